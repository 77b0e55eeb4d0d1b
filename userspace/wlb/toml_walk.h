// SPDX-License-Identifier: GPL-2.0-only
// Walking over a TOML file: typed readers that note where each element stood and
// collect what is wrong with it.
#pragma once

#include <toml++/toml.h>

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "wlb/address.h"
#include "wlb/duration.h"
#include "wlb/toml_reader.h"

namespace wlb {

// The model's elements go by paths ("replica.origin[0].ports[1]", indices of
// the model, not of the file). Each one's place is noted, so that what
// validate() finds gets its line and column.
class TomlWalk {
public:
    using Place = toml::source_position;
    using Names = std::initializer_list<std::string_view>;

    void complain(Place place, const std::string &message);

    // The element itself, or the nearest one around it if it is absent.
    [[nodiscard]] Place locate(std::string path) const;
    void note(const std::string &path, const toml::node &node);

    // An item that could not be read left its index to the next one.
    void forget(const std::string &path);

    // An element that could not be read: validate() is not to call it missing.
    void fail(const std::string &path, const toml::node &node, const std::string &message);
    void wrong_type(const std::string &path, const toml::node &node, const std::string &wanted);
    void keys(const toml::table &table, const std::string &path, Names known);
    const toml::node *find(const toml::table &table, const std::string &path, std::string_view key);
    // A table in place of a value; `example` is one.
    const toml::table *inner(const toml::table &table, const std::string &path,
                             std::string_view key, const std::string &example);
    const toml::table *role(const toml::table &root, const std::string &name);
    void each(const toml::table &table, const std::string &path, const std::string &key,
              const std::function<void(const toml::table &, const std::string &)> &read);
    std::optional<std::string> string(const toml::node &node, const std::string &path);
    void string(const toml::table &table, const std::string &path, std::string_view key,
                std::string &target);
    void integer(const toml::table &table, const std::string &path, std::string_view key,
                 std::int64_t &target);
    void port(const toml::table &table, const std::string &path, std::string_view key,
              std::optional<std::uint16_t> &target);
    void boolean(const toml::table &table, const std::string &path, std::string_view key,
                 bool &target);
    std::optional<microseconds> duration(const toml::table &table, const std::string &path,
                                         std::string_view key, microseconds bare);

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

    template <class T>
    void choice(const toml::table &table, const std::string &path, std::string_view key,
                Result<T> (*parse)(std::string_view), T &target)
    {
        std::optional<T> chosen;
        value(table, path, key, parse, chosen);
        target = chosen.value_or(target);
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

    // A list, or the word "any" in its place.
    template <class T>
    void texts_or_any(const toml::table &table, const std::string &path, std::string_view key,
                      const std::string &wanted, Result<T> (*parse)(std::string_view),
                      std::vector<T> &target, bool &any)
    {
        const auto *node = table.get(key);
        if (node == nullptr || !node->is_string()) {
            texts(table, path, key, wanted + ", or \"any\"", false, parse, target);
            return;
        }
        const auto own_path = path + "." + std::string(key);
        note(own_path, *node);
        any = node->as_string()->get() == "any";
        if (!any)
            fail(own_path, *node, "must be " + wanted + ", or \"any\"");
    }

    // A list of names of which each may be there once.
    template <class T>
    void list_of(const toml::table &table, const std::string &path, std::string_view key,
                 const std::string &wanted, Result<T> (*parse)(std::string_view),
                 std::vector<T> &target)
    {
        if (table.get(key) == nullptr)
            return;
        target.clear();
        texts(table, path, key, wanted, false, parse, target);
        for (std::size_t i = 0; i < target.size(); ++i) {
            const auto item_path = path + "." + std::string(key) + "[" + std::to_string(i) + "]";
            const auto here = target.begin() + static_cast<std::ptrdiff_t>(i);
            if (std::find(target.begin(), here, *here) != here)
                complain(locate(item_path),
                         item_path + ": \"" + name_of(*here) + "\" is given twice");
        }
    }
    template <class T>
    void set_of(const toml::table &table, const std::string &path, std::string_view key,
                const std::string &wanted, Result<T> (*parse)(std::string_view),
                std::set<T> &target)
    {
        if (table.get(key) == nullptr)
            return;
        std::vector<T> values;
        list_of(table, path, key, wanted, parse, values);
        target = {values.begin(), values.end()};
    }

    // A list of numbers of which each may be there once.
    template <class T>
    void numbers(const toml::table &table, const std::string &path, std::string_view key, T least,
                 T most, std::set<T> &target)
    {
        const auto wanted = std::to_string(least) + ".." + std::to_string(most);
        std::vector<T> values;
        list(table, path, key, values, "a list of numbers of " + wanted, false,
             [&](const toml::node &entry, const std::string &item_path) {
                 const auto *number = entry.as_integer();
                 if (number == nullptr) {
                     wrong_type(item_path, entry, "a number of " + wanted);
                 } else if (number->get() < least || number->get() > most) {
                     fail(item_path, entry,
                          std::to_string(number->get()) + " is outside " + wanted);
                 } else {
                     values.push_back(static_cast<T>(number->get()));
                     if (!target.insert(values.back()).second)
                         fail(item_path, entry, std::to_string(number->get()) + " is given twice");
                 }
             });
    }

    void strings(const toml::table &table, const std::string &path, std::string_view key,
                 const std::string &wanted, std::vector<std::string> &target);
    void whole_seconds(const toml::table &table, const std::string &path, std::string_view key,
                       seconds &target);
    void whole_milliseconds(const toml::table &table, const std::string &path, std::string_view key,
                            milliseconds &target);
    void ports(const toml::table &table, const std::string &path,
               std::vector<std::uint16_t> &target, bool *all);

    // An element whose fault has been told already, and what is taken for one.
    [[nodiscard]] bool has_failed(const std::string &path) const
    {
        return failed_.count(path) != 0;
    }
    void excuse(const std::string &path) { failed_.insert(path); }

    // In the order of the file.
    std::vector<Diagnostic> take_errors();

private:
    std::vector<Diagnostic> errors_;
    std::map<std::string, Place> places_;
    std::set<std::string> failed_;
};

} // namespace wlb
