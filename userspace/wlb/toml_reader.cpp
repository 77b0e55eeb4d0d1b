// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/toml_reader.h"

#include <toml++/toml.h>

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <tuple>

#include "wlb/validate.h"

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

using Names = std::initializer_list<std::string_view>;

// The model's elements go by paths ("replica.origin[0].ports[1]", indices of
// the model, not of the file). The reader notes where each one stood, so that
// what validate() finds gets its line and column.
class ConfigReader {
public:
    ParsedConfig run(const toml::table &root)
    {
        keys(root, "", {"client-gateway", "server-gateway", "replica"});
        if (const auto *table = role(root, "client-gateway"))
            client_gateway(*table);
        if (const auto *table = role(root, "server-gateway")) {
            keys(*table, "server-gateway", {"origin"});
            each(*table, "server-gateway", "origin",
                 [this](const auto &entry, const auto &path) { origin(entry, path); });
        }
        if (const auto *table = role(root, "replica")) {
            keys(*table, "replica", {"origin"});
            each(*table, "replica", "origin",
                 [this](const auto &entry, const auto &path) { served(entry, path); });
        }
        for (const auto &problem : validate(parsed_.config))
            if (failed_.count(problem.path) == 0)
                complain(locate(problem.path), problem.message);

        const auto place = [](const Diagnostic &d) { return std::tie(d.line, d.column); };
        std::stable_sort(parsed_.errors.begin(), parsed_.errors.end(),
                         [&](const auto &a, const auto &b) { return place(a) < place(b); });
        return std::move(parsed_);
    }

private:
    using Place = toml::source_position;

    void complain(Place place, const std::string &message)
    {
        parsed_.errors.push_back({place.line, place.column, message});
    }

    // The element itself, or the nearest one around it if it is absent.
    [[nodiscard]] Place locate(std::string path) const
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

    void note(const std::string &path, const toml::node &node)
    {
        places_[path] = node.source().begin;
    }

    // An item that could not be read left its index to the next one.
    void forget(const std::string &path)
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

    // An element that could not be read: validate() is not to call it missing.
    void fail(const std::string &path, const toml::node &node, const std::string &message)
    {
        failed_.insert(path);
        complain(node.source().begin, label(path) + ": " + message);
    }

    static std::string label(const std::string &path) { return path.empty() ? "top level" : path; }

    void wrong_type(const std::string &path, const toml::node &node, const std::string &wanted)
    {
        fail(path, node, std::string("this is ") + type_name(node) + ", must be " + wanted);
    }

    void keys(const toml::table &table, const std::string &path, Names known)
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

    const toml::node *find(const toml::table &table, const std::string &path, std::string_view key)
    {
        const auto *node = table.get(key);
        if (node != nullptr)
            note(path + "." + std::string(key), *node);
        return node;
    }

    const toml::table *role(const toml::table &root, const std::string &name)
    {
        const auto *node = root.get(name);
        if (node == nullptr)
            return nullptr;
        note(name, *node);
        if (!node->is_table())
            wrong_type(name, *node, "a table: [" + name + "]");
        return node->as_table();
    }

    void each(const toml::table &table, const std::string &path, const std::string &key,
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

    std::optional<std::string> string(const toml::node &node, const std::string &path)
    {
        if (const auto *value = node.as_string())
            return value->get();
        wrong_type(path, node, "a string");
        return std::nullopt;
    }

    void string(const toml::table &table, const std::string &path, std::string_view key,
                std::string &target)
    {
        if (const auto *node = find(table, path, key))
            target = string(*node, path + "." + std::string(key)).value_or("");
    }

    void integer(const toml::table &table, const std::string &path, std::string_view key,
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

    void boolean(const toml::table &table, const std::string &path, std::string_view key,
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

    std::optional<microseconds> duration(const toml::table &table, const std::string &path,
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

    // Text to anything that has a parser of its own.
    template <class T>
    void value(const toml::table &table, const std::string &path, std::string_view key,
               Result<T> (*parse)(std::string_view), std::optional<T> &target)
    {
        const auto *node = find(table, path, key);
        if (node == nullptr)
            return;
        const auto own_path = path + "." + std::string(key);
        const auto text = string(*node, own_path);
        if (!text)
            return;
        if (const auto result = parse(*text))
            target = *result;
        else
            fail(own_path, *node, result.error().message);
    }

    // A list, or one item alone where that is unambiguous. `read` pushes what
    // it could read; the place of an item is noted under its index in `target`.
    template <class T, class Read>
    void list(const toml::table &table, const std::string &path, std::string_view key,
              std::vector<T> &target, const std::string &wanted, bool single, Read read)
    {
        const auto *node = find(table, path, key);
        if (node == nullptr)
            return;
        const auto own_path = path + "." + std::string(key);
        const auto item = [&](const toml::node &entry) {
            const auto item_path = own_path + "[" + std::to_string(target.size()) + "]";
            const auto before = target.size();
            forget(item_path);
            read(entry, item_path);
            if (target.size() == before)
                failed_.insert(own_path);
            else
                note(item_path, entry);
        };
        if (const auto *entries = node->as_array())
            for (const auto &entry : *entries)
                item(entry);
        else if (single && !node->is_table())
            item(*node);
        else
            wrong_type(own_path, *node, wanted);
    }

    void ports(const toml::table &table, const std::string &path,
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

    template <class T>
    void texts(const toml::table &table, const std::string &path, std::string_view key,
               const std::string &wanted, bool single, Result<T> (*parse)(std::string_view),
               std::vector<T> &target)
    {
        list(table, path, key, target, wanted, single,
             [&](const toml::node &entry, const std::string &item_path) {
                 const auto text = string(entry, item_path);
                 if (!text)
                     return;
                 if (const auto result = parse(*text))
                     target.push_back(*result);
                 else
                     fail(item_path, entry, result.error().message);
             });
    }

    void servers(const toml::table &table, const std::string &path, std::vector<Address> &target)
    {
        texts(table, path, "server", "an address or a list of addresses", true, &Address::parse,
              target);
    }

    void client_gateway(const toml::table &table)
    {
        const std::string path = "client-gateway";
        auto &gateway = parsed_.config.client_gateway;
        keys(
            table, path,
            {"inside", "max-flows", "client-quota", "returns", "conntrack", "timeouts", "service"});
        list(table, path, "inside", gateway.inside, "a list of interface names", false,
             [&](const toml::node &entry, const std::string &item_path) {
                 if (const auto name = string(entry, item_path))
                     gateway.inside.push_back(*name);
             });
        integer(table, path, "max-flows", gateway.max_flows);
        integer(table, path, "client-quota", gateway.client_quota);
        returns(table, path, gateway.returns);
        std::optional<Conntrack> conntrack;
        value(table, path, "conntrack", &parse_conntrack, conntrack);
        gateway.conntrack = conntrack.value_or(gateway.conntrack);
        timeouts(table, path, gateway.timeouts);
        each(table, path, "service",
             [this](const auto &entry, const auto &entry_path) { service(entry, entry_path); });
    }

    void returns(const toml::table &table, const std::string &path, std::set<Return> &target)
    {
        if (table.get("returns") == nullptr)
            return;
        std::vector<Return> modes;
        texts(table, path, "returns", "a list of return modes", false, &parse_return, modes);
        target.clear();
        for (std::size_t i = 0; i < modes.size(); ++i) {
            const auto item_path = path + ".returns[" + std::to_string(i) + "]";
            if (!target.insert(modes[i]).second)
                complain(locate(item_path),
                         item_path + ": \"" + name_of(modes[i]) + "\" is given twice");
        }
    }

    void timeouts(const toml::table &table, const std::string &parent, Timeouts &target)
    {
        const auto *node = find(table, parent, "timeouts");
        if (node == nullptr)
            return;
        const auto path = parent + ".timeouts";
        const auto *entries = node->as_table();
        if (entries == nullptr) {
            wrong_type(path, *node, "a table as in { racing = \"70s\" }");
            return;
        }
        keys(*entries, path,
             {"racing", "tombstone", "established", "closing", "reset", "untagged", "dead"});
        whole_seconds(*entries, path, "racing", target.racing);
        whole_seconds(*entries, path, "tombstone", target.tombstone);
        whole_seconds(*entries, path, "established", target.established);
        whole_seconds(*entries, path, "closing", target.closing);
        whole_seconds(*entries, path, "reset", target.reset);
        whole_seconds(*entries, path, "untagged", target.untagged);
        whole_seconds(*entries, path, "dead", target.dead);
    }

    void whole_seconds(const toml::table &table, const std::string &path, std::string_view key,
                       seconds &target)
    {
        const auto value = duration(table, path, key, seconds(1));
        if (!value)
            return;
        target = std::chrono::duration_cast<seconds>(*value);
        if (target != *value)
            fail(path + "." + std::string(key), *table.get(key),
                 format_duration(*value) + " is not a whole number of seconds");
    }

    void service(const toml::table &table, const std::string &path)
    {
        auto &service = parsed_.config.client_gateway.services.emplace_back();
        keys(table, path, {"name", "ports", "replicas", "never", "sticky"});
        string(table, path, "name", service.name);
        ports(table, path, service.ports, &service.all_ports);
        const auto *replicas = table.get("replicas");
        if (replicas != nullptr && replicas->is_string()) {
            note(path + ".replicas", *replicas);
            service.any_replica = replicas->as_string()->get() == "any";
            if (!service.any_replica)
                fail(path + ".replicas", *replicas, "must be a list of prefixes, or \"any\"");
        } else {
            texts(table, path, "replicas", "a list of prefixes, or \"any\"", false, &Prefix::parse,
                  service.replicas);
        }
        texts(table, path, "never", "a list of prefixes", false, &Prefix::parse, service.never);
        whole_seconds(table, path, "sticky", service.sticky);
    }

    void origin(const toml::table &table, const std::string &path)
    {
        auto &origin = parsed_.config.origins.emplace_back();
        keys(table, path,
             {"name", "server", "ports", "race", "max-hold", "replicas", "source", "strip-tag"});
        string(table, path, "name", origin.name);
        servers(table, path, origin.servers);
        ports(table, path, origin.ports, nullptr);
        std::optional<Race> race;
        value(table, path, "race", &parse_race, race);
        origin.race = race.value_or(origin.race);
        origin.max_hold = duration(table, path, "max-hold", std::chrono::milliseconds(1))
                              .value_or(origin.max_hold);
        list(table, path, "replicas", origin.replicas,
             "a list of tables as in [{ address = \"198.51.100.7\" }]", false,
             [&](const toml::node &entry, const std::string &item_path) {
                 replica(entry, item_path, origin.replicas);
             });
        value(table, path, "source", &Address::parse, origin.source);
        boolean(table, path, "strip-tag", origin.strip_tag);
    }

    void replica(const toml::node &node, const std::string &path, std::vector<Replica> &target)
    {
        const auto *table = node.as_table();
        if (table == nullptr) {
            wrong_type(path, node, "a table as in { address = \"198.51.100.7\" }");
            return;
        }
        keys(*table, path, {"address", "via", "delay"});
        std::optional<Address> address;
        std::optional<Via> via;
        value(*table, path, "address", &Address::parse, address);
        value(*table, path, "via", &parse_via, via);
        const auto delay = duration(*table, path, "delay", std::chrono::milliseconds(1));
        if (address)
            target.push_back({*address, via.value_or(Via::gre), delay.value_or(microseconds(0))});
        else if (table->get("address") == nullptr)
            fail(path, node, "address is missing: the replica's address");
    }

    void served(const toml::table &table, const std::string &path)
    {
        auto &served = parsed_.config.served.emplace_back();
        keys(table, path,
             {"name", "server", "ports", "local", "return", "via", "trust-path", "clones-from"});
        servers(table, path, served.servers);
        string(table, path, "name", served.name);
        if (table.get("name") == nullptr && !served.servers.empty())
            served.name = default_name(served.servers.front());
        if (served.servers.empty())
            failed_.insert(path + ".name"); // it is the server that is missing
        ports(table, path, served.ports, nullptr);
        value(table, path, "local", &Address::parse, served.local);
        std::optional<Return> mode;
        value(table, path, "return", &parse_return, mode);
        served.return_mode = mode.value_or(served.return_mode);
        value(table, path, "via", &parse_via, served.via);
        if (!served.via)
            served.via = default_via(served.return_mode);
        boolean(table, path, "trust-path", served.trust_path);
        if (failed_.count(path + ".return") != 0)
            for (const auto *key : {".via", ".trust-path"})
                failed_.insert(path + key); // it is the mode that is wrong
        texts(table, path, "clones-from", "a list of prefixes", false, &Prefix::parse, served.from);
    }

    ParsedConfig parsed_;
    std::map<std::string, Place> places_;
    std::set<std::string> failed_;
};

} // namespace

ParsedConfig parse_config(std::string_view text)
{
    try {
        const toml::table root = toml::parse(text);
        return ConfigReader().run(root);
    } catch (const toml::parse_error &error) {
        const auto place = error.source().begin;
        ParsedConfig parsed;
        parsed.errors.push_back({place.line, place.column, std::string(error.description())});
        return parsed;
    }
}

} // namespace wlb
