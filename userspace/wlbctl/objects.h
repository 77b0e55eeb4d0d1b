// SPDX-License-Identifier: GPL-2.0-only
// What adding, deleting and listing have in common for services, origins and
// served origins.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "wlb/validate.h"
#include "wlbctl/options.h"

namespace wlb::cli {

// A whole number; validate() knows its range.
Result<std::int64_t> parse_count(std::string_view text);

// How often: 1 or more.
Result<std::uint64_t> parse_times(std::string_view text);

// `path` is the list's in the file, as in Problem::path.
template <class T>
Result<bool> add_object(Config &config, std::vector<T> &list, const T &object, const char *kind,
                        const std::string &path)
{
    const auto same = [&](const T &other) { return other.name == object.name; };
    if (std::any_of(list.begin(), list.end(), same))
        return Error{std::string(kind) + " \"" + object.name +
                     "\" exists already; delete it first"};
    const auto own_path = path + "[" + std::to_string(list.size()) + "]";
    list.push_back(object);
    std::vector<std::string> messages;
    for (const auto &problem : validate(config))
        if (problem.path.compare(0, own_path.size(), own_path) == 0)
            messages.push_back(problem.message);
    if (!messages.empty())
        return Error{join(messages, "\n")};
    return true;
}

template <class T>
Result<bool> delete_object(std::vector<T> &list, const std::string &name, const char *kind)
{
    const auto found = std::find_if(list.begin(), list.end(),
                                    [&](const T &object) { return object.name == name; });
    if (found == list.end())
        return Error{std::string(kind) + " \"" + name + "\" does not exist"};
    list.erase(found);
    return true;
}

// Connects and changes the configuration; returns the exit status.
int change_config(const Context &context, std::uint32_t roles,
                  const std::function<Result<bool>(Config &)> &change);

} // namespace wlb::cli
