// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/toml_walk.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace wlb {

namespace {

std::size_t edit_distance(std::string_view a, std::string_view b)
{
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), 0);
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i + 1;
        for (std::size_t j = 0; j < b.size(); ++j) {
            const auto change = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({change, row[j] + 1, diagonal + 1});
        }
    }
    return row.back();
}

const char *type_name(const toml::node &node)
{
    switch (node.type()) {
    case toml::node_type::table:
        return "a table";
    case toml::node_type::array:
        return "a list";
    case toml::node_type::string:
        return "a string";
    case toml::node_type::integer:
        return "a whole number";
    case toml::node_type::floating_point:
        return "a number with a fraction";
    case toml::node_type::boolean:
        return "true or false";
    default:
        return "a date or time";
    }
}

std::string label(const std::string &path)
{
    return path.empty() ? "top level" : path;
}

} // namespace

using Place = toml::source_position;
void TomlWalk::complain(Place place, const std::string &message)
{
    errors_.push_back({place.line, place.column, message});
}

TomlWalk::Place TomlWalk::locate(std::string path) const
{
    for (;;) {
        const auto found = places_.find(path);
        if (found != places_.end())
            return found->second;
        const auto end = path.find_last_of(".[");
        if (end == std::string::npos)
            return Place{1, 1};
        path.erase(end);
    }
}

void TomlWalk::note(const std::string &path, const toml::node &node)
{
    places_[path] = node.source().begin;
}

void TomlWalk::forget(const std::string &path)
{
    const auto is_below = [&](const std::string &other) {
        return other.compare(0, path.size(), path) == 0;
    };
    // What is below a path comes right behind it in their order.
    for (auto i = places_.lower_bound(path); i != places_.end() && is_below(i->first);)
        i = places_.erase(i);
    for (auto i = failed_.lower_bound(path); i != failed_.end() && is_below(*i);)
        i = failed_.erase(i);
}

void TomlWalk::fail(const std::string &path, const toml::node &node, const std::string &message)
{
    failed_.insert(path);
    complain(node.source().begin, label(path) + ": " + message);
}

void TomlWalk::wrong_type(const std::string &path, const toml::node &node,
                          const std::string &wanted)
{
    fail(path, node, std::string("this is ") + type_name(node) + ", must be " + wanted);
}

void TomlWalk::keys(const toml::table &table, const std::string &path, Names known)
{
    for (const auto &[key, node] : table) {
        const std::string given(key.str());
        if (std::find(known.begin(), known.end(), given) != known.end())
            continue;
        const auto nearest =
            *std::min_element(known.begin(), known.end(), [&](auto left, auto right) {
                return edit_distance(given, left) < edit_distance(given, right);
            });
        std::string message = label(path) + ": unknown key \"" + given + "\"";
        if (edit_distance(given, nearest) <= std::max<std::size_t>(2, nearest.size() / 3)) {
            message += "; did you mean \"" + std::string(nearest) + "\"?";
        } else {
            std::vector<std::string> names(known.begin(), known.end());
            message += "; known are " + join(names, ", ");
        }
        complain(key.source().begin, message);
    }
}

const toml::node *TomlWalk::find(const toml::table &table, const std::string &path,
                                 std::string_view key)
{
    const auto *node = table.get(key);
    if (node != nullptr)
        note(path + "." + std::string(key), *node);
    return node;
}

const toml::table *TomlWalk::inner(const toml::table &table, const std::string &path,
                                   std::string_view key, const std::string &example)
{
    const auto *node = find(table, path, key);
    if (node != nullptr && !node->is_table())
        wrong_type(path + "." + std::string(key), *node, "a table as in " + example);
    return node == nullptr ? nullptr : node->as_table();
}

const toml::table *TomlWalk::role(const toml::table &root, const std::string &name)
{
    const auto *node = root.get(name);
    if (node == nullptr)
        return nullptr;
    note(name, *node);
    if (!node->is_table())
        wrong_type(name, *node, "a table: [" + name + "]");
    return node->as_table();
}

void TomlWalk::each(const toml::table &table, const std::string &path, const std::string &key,
                    const std::function<void(const toml::table &, const std::string &)> &read)
{
    const auto *node = table.get(key);
    if (node == nullptr)
        return;
    const auto list_path = path + "." + key;
    const auto wanted = "a list of tables: [[" + list_path + "]]";
    const auto *list = node->as_array();
    if (list == nullptr) {
        wrong_type(list_path, *node, wanted);
        failed_.insert(path); // it is not known whether the role has objects
        return;
    }
    std::size_t index = 0;
    for (const auto &entry : *list) {
        const auto *fields = entry.as_table();
        if (fields == nullptr) {
            wrong_type(list_path, entry, wanted);
            failed_.insert(path);
            continue;
        }
        const auto entry_path = list_path + "[" + std::to_string(index++) + "]";
        note(entry_path, *fields);
        read(*fields, entry_path);
    }
}

std::optional<std::string> TomlWalk::string(const toml::node &node, const std::string &path)
{
    if (const auto *value = node.as_string())
        return value->get();
    wrong_type(path, node, "a string");
    return std::nullopt;
}

void TomlWalk::string(const toml::table &table, const std::string &path, std::string_view key,
                      std::string &target)
{
    if (const auto *node = find(table, path, key))
        target = string(*node, path + "." + std::string(key)).value_or("");
}

void TomlWalk::strings(const toml::table &table, const std::string &path, std::string_view key,
                       const std::string &wanted, std::vector<std::string> &target)
{
    list(table, path, key, target, wanted, false,
         [&](const toml::node &entry, const std::string &item_path) {
             if (const auto text = string(entry, item_path))
                 target.push_back(*text);
         });
}

void TomlWalk::integer(const toml::table &table, const std::string &path, std::string_view key,
                       std::int64_t &target)
{
    const auto *node = find(table, path, key);
    if (node == nullptr)
        return;
    if (const auto *value = node->as_integer())
        target = value->get();
    else
        wrong_type(path + "." + std::string(key), *node, "a whole number");
}

void TomlWalk::port(const toml::table &table, const std::string &path, std::string_view key,
                    std::optional<std::uint16_t> &target)
{
    const auto *node = find(table, path, key);
    if (node == nullptr)
        return;
    const auto own_path = path + "." + std::string(key);
    const auto *number = node->as_integer();
    if (number == nullptr)
        wrong_type(own_path, *node, "a port of 1..65535");
    else if (const auto port = to_port(number->get()))
        target = *port;
    else
        fail(own_path, *node, port.error().message);
}

void TomlWalk::boolean(const toml::table &table, const std::string &path, std::string_view key,
                       bool &target)
{
    const auto *node = find(table, path, key);
    if (node == nullptr)
        return;
    if (const auto *value = node->as_boolean())
        target = value->get();
    else
        wrong_type(path + "." + std::string(key), *node, "true or false");
}

std::optional<microseconds> TomlWalk::duration(const toml::table &table, const std::string &path,
                                               std::string_view key, microseconds bare)
{
    const auto *node = find(table, path, key);
    if (node == nullptr)
        return std::nullopt;
    const auto own_path = path + "." + std::string(key);
    Result<microseconds> result = microseconds(0);
    if (const auto *text = node->as_string()) {
        result = parse_duration(text->get(), bare);
    } else if (const auto *number = node->as_integer()) {
        result = to_duration(number->get(), bare);
    } else {
        wrong_type(own_path, *node,
                   "a duration as in \"55ms\", or a whole number of " +
                       std::string(bare == seconds(1) ? "seconds" : "milliseconds"));
        return std::nullopt;
    }
    if (result)
        return *result;
    fail(own_path, *node, result.error().message);
    return std::nullopt;
}

void TomlWalk::whole_seconds(const toml::table &table, const std::string &path,
                             std::string_view key, seconds &target)
{
    const auto value = duration(table, path, key, seconds(1));
    if (!value)
        return;
    target = std::chrono::duration_cast<seconds>(*value);
    if (target != *value)
        fail(path + "." + std::string(key), *table.get(key),
             format_duration(*value) + " is not a whole number of seconds");
}

void TomlWalk::whole_milliseconds(const toml::table &table, const std::string &path,
                                  std::string_view key, milliseconds &target)
{
    const auto value = duration(table, path, key, milliseconds(1));
    if (!value)
        return;
    target = std::chrono::duration_cast<milliseconds>(*value);
    if (target != *value)
        fail(path + "." + std::string(key), *table.get(key),
             format_duration(*value) + " is not a whole number of milliseconds");
}

void TomlWalk::ports(const toml::table &table, const std::string &path,
                     std::vector<std::uint16_t> &target, bool *all)
{
    const auto *node = table.get("ports");
    if (node != nullptr && all != nullptr && node->is_string()) {
        note(path + ".ports", *node);
        *all = node->as_string()->get() == "all";
        if (!*all)
            fail(path + ".ports", *node, "must be a list of ports, or \"all\"");
        return;
    }
    list(table, path, "ports", target,
         all != nullptr ? "a list of ports, or \"all\"" : "a list of ports", false,
         [&](const toml::node &entry, const std::string &item_path) {
             const auto *number = entry.as_integer();
             if (number == nullptr)
                 wrong_type(item_path, entry, "a port of 1..65535");
             else if (const auto port = to_port(number->get()))
                 target.push_back(*port);
             else
                 fail(item_path, entry, port.error().message);
         });
}

std::vector<Diagnostic> TomlWalk::take_errors()
{
    const auto place = [](const Diagnostic &d) { return std::tie(d.line, d.column); };
    std::stable_sort(errors_.begin(), errors_.end(),
                     [&](const auto &a, const auto &b) { return place(a) < place(b); });
    return std::move(errors_);
}

} // namespace wlb
