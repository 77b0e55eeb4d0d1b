// SPDX-License-Identifier: GPL-2.0-only
// Values as TOML writes them.
#pragma once

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "wlb/address.h"
#include "wlb/duration.h"
#include "wlb/group.h"

namespace wlb::toml_text {

std::string quote(const std::string &text);
std::string boolean(bool value);
std::string number(std::int64_t value);
std::string duration(microseconds value);
std::string strings(const std::vector<std::string> &items);
std::string prefixes(const std::vector<Prefix> &items);
std::string rules(const std::vector<RedirectRule> &items);
std::string line(const char *key, const std::string &value);
// A key that may be uncommented.
std::string off(const char *key, const std::string &value);

template <class List, class Text> std::string list(const List &items, Text text)
{
    std::vector<std::string> texts;
    std::transform(items.begin(), items.end(), std::back_inserter(texts), text);
    return "[" + join(texts, ", ") + "]";
}

template <class Values> std::string names(const Values &values)
{
    return list(values, [](auto value) { return quote(name_of(value)); });
}

template <class Values> std::string numbers(const Values &values)
{
    return list(values, [](auto value) { return std::to_string(value); });
}

template <class T> std::string quoted_text(const T &value)
{
    return quote(value.text());
}

// A table in place of a value, of those entries that there are.
class Inner {
public:
    Inner &add(const char *key, const std::string &value)
    {
        entries_.push_back(std::string(key) + " = " + value);
        return *this;
    }
    template <class T, class Text>
    Inner &add(const char *key, const std::optional<T> &value, Text text)
    {
        return value ? add(key, text(*value)) : *this;
    }
    [[nodiscard]] bool empty() const { return entries_.empty(); }
    [[nodiscard]] std::string text() const { return "{ " + join(entries_, ", ") + " }"; }

private:
    std::vector<std::string> entries_;
};

} // namespace wlb::toml_text
