// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/diff.h"

#include <algorithm>

#include "wlb/fields.h"

namespace wlb {

namespace {

using Items = std::vector<std::string>;

// The items of `left` that are not in `right`, each with a sign.
void append_missing(const Items &left, const Items &right, char sign, std::string &text)
{
    for (const auto &item : left)
        if (std::find(right.begin(), right.end(), item) == right.end())
            text += std::string(" ") + sign + item;
}

std::string change(const Field &before, const Field &after)
{
    if (!before.is_list)
        return before.name + " " + before.items.front() + " -> " + after.items.front();
    std::string text = before.name;
    append_missing(before.items, after.items, '-', text);
    append_missing(after.items, before.items, '+', text);
    return text == before.name ? text + " in another order" : text;
}

void compare(const std::string &title, const std::vector<Field> &before,
             const std::vector<Field> &after, std::vector<std::string> &lines)
{
    for (std::size_t i = 0; i < before.size(); ++i)
        if (before[i] != after[i])
            lines.push_back("~ " + title + ": " + change(before[i], after[i]));
}

template <class Objects>
void compare_all(const std::string &kind, const Objects &before, const Objects &after,
                 std::vector<std::string> &lines)
{
    const auto find = [](const Objects &objects, const std::string &name) {
        return std::find_if(objects.begin(), objects.end(),
                            [&](const auto &object) { return object.name == name; });
    };
    for (const auto &object : before)
        if (find(after, object.name) == after.end())
            lines.push_back("- " + kind + " " + object.name);
    for (const auto &object : after) {
        const auto old = find(before, object.name);
        if (old == before.end())
            lines.push_back("+ " + kind + " " + object.name);
        else
            compare(kind + " " + object.name, fields_of(*old), fields_of(object), lines);
    }
}

} // namespace

std::vector<std::string> diff(const Config &before, const Config &after)
{
    std::vector<std::string> lines;
    // The settings of a role that goes off go with it.
    if (!after.client_gateway.services.empty())
        compare("client-gateway", fields_of(before.client_gateway), fields_of(after.client_gateway),
                lines);
    compare_all("service", before.client_gateway.services, after.client_gateway.services, lines);
    if (!after.origins.empty())
        compare("server-gateway", fields_of(before.server_gateway), fields_of(after.server_gateway),
                lines);
    compare_all("origin", before.origins, after.origins, lines);
    compare_all("replica", before.served, after.served, lines);
    return lines;
}

} // namespace wlb
