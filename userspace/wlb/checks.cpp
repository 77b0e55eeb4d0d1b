// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/checks.h"

#include <linux/wlb.h>
#include <net/if.h>

#include <algorithm>
#include <set>
#include <utility>

#include "wlb/cache_router.h"

namespace wlb {

std::string at(const std::string &list, std::size_t index)
{
    return list + "[" + std::to_string(index) + "]";
}

void Checks::add(std::string path, std::string message)
{
    problems_.push_back({std::move(path), std::move(message)});
}

void Checks::add(const Subject &subject, const std::string &key, const std::string &message)
{
    add(subject.key(key), subject.title + ": " + message);
}

void Checks::name(const Subject &subject, const std::string &name)
{
    const std::string allowed =
        "1.." + std::to_string(WLB_NAME_LEN - 1) + " characters of A-Z a-z 0-9 _ . -";
    const auto good = [](unsigned char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '.' || c == '-';
    };
    if (name.empty())
        add(subject, "name", "name is missing: " + allowed);
    else if (name.size() >= WLB_NAME_LEN || !std::all_of(name.begin(), name.end(), good))
        add(subject, "name", "name must be " + allowed);
}

void Checks::range(const Subject &subject, const std::string &key, std::int64_t value,
                   std::int64_t least, std::int64_t most)
{
    if (value < least || value > most)
        add(subject, key,
            key + " is " + std::to_string(value) + ", must be " + std::to_string(least) + ".." +
                std::to_string(most));
}

void Checks::period(const Subject &subject, const std::string &key, microseconds value,
                    microseconds least, microseconds most)
{
    if (value < least || value > most)
        add(subject, key,
            key + " is " + format_duration(value) + ", must be " + format_duration(least) + ".." +
                format_duration(most));
}

void Checks::prefixes(const Subject &subject, const std::string &key,
                      const std::vector<Prefix> &list)
{
    limit(subject, key, list, WLB_MAX_PREFIXES);
    for (std::size_t i = 0; i < list.size(); ++i)
        prefix(subject, at(key, i), key, list[i]);
}

void Checks::prefix(const Subject &subject, const std::string &key, const std::string &label,
                    const Prefix &prefix)
{
    if (!prefix.has_host_bits())
        return;
    const Prefix proper{prefix.address.network(prefix.length), prefix.length};
    add(subject, key,
        label + ": " + prefix.text() + " has bits set past its length; did you mean " +
            proper.text() + " or " + prefix.address.text() + "?");
}

void Checks::interface(const Subject &subject, const std::string &key, const std::string &label,
                       const std::string &name)
{
    const auto bad = [](unsigned char c) { return c <= ' ' || c == '/' || c == ':' || c == 0x7f; };
    if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == ".." ||
        std::any_of(name.begin(), name.end(), bad))
        add(subject, key,
            label + " is not an interface name: 1.." + std::to_string(IFNAMSIZ - 1) +
                " characters without space, / and :");
}

void Checks::interfaces(const Subject &subject, const std::string &key,
                        const std::vector<std::string> &list)
{
    limit(subject, key, list, WLB_MAX_INSIDE);
    std::set<std::string> seen;
    for (std::size_t i = 0; i < list.size(); ++i) {
        const auto label = std::string(key).append(": \"").append(list[i]).append("\"");
        interface(subject, at(key, i), label, list[i]);
        if (!seen.insert(list[i]).second)
            add(subject, at(key, i), label + " is given twice");
    }
}

void Checks::host(const Subject &subject, const std::string &key, const std::string &label,
                  const Address &address)
{
    if (!address.is_host())
        add(subject, key,
            label + ": " + address.text() +
                " must be the address of one host: not unspecified, multicast, broadcast or "
                "IPv4-mapped");
}

void Checks::family(const Subject &subject, const std::string &key, const std::string &label,
                    const Address &address, const std::string &role, const Address &model)
{
    if (address.is_ipv6() != model.is_ipv6())
        add(subject, key,
            label + ": " + address.text() + " must be " + model.family_name() + " as the " + role +
                " " + model.text());
}

void Checks::multicast(const Subject &subject, const std::string &key, const Address &address)
{
    if (!address.is_multicast())
        add(subject, key,
            key + ": " + address.text() + " must be a multicast address (224.0.0.0/4 or ff00::/8)");
}

void Checks::absolute(const Subject &subject, const std::string &key, const std::string &path)
{
    if (path.empty() || path.front() != '/')
        add(subject, key, key + ": \"" + path + "\" must begin with a slash");
}

void Checks::methods(const Subject &subject, const std::string &key, bool empty)
{
    if (empty)
        add(subject, key, key + " must have at least one method");
}

void Checks::rules(const Subject &subject, const std::string &key,
                   const std::vector<RedirectRule> &list)
{
    limit(subject, key, list, WLB_MAX_RULES);
    for (std::size_t i = 0; i < list.size(); ++i) {
        const auto &rule = list[i];
        for (const auto &end : {rule.source, rule.destination})
            if (end)
                prefix(subject, at(key, i), key, *end);
        if (rule.source && rule.destination &&
            rule.source->address.is_ipv6() != rule.destination->address.is_ipv6())
            add(subject, at(key, i), key + ": \"" + to_text(rule) + "\": addresses of one family");
    }
}

} // namespace wlb
