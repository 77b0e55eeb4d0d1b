// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/validate_cache_host.h"

#include <linux/wlb.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "wlb/probe_config.h"

namespace wlb {

namespace {

constexpr std::size_t most_routers = 32; // of a group
// Each router of each group is a door of the kernel's.
constexpr std::size_t most_groups = WLB_MAX_DOORS / most_routers;
constexpr std::size_t most_proxies = 16; // ports that the kernel knows of
constexpr std::size_t most_ports = 8;    // a message has no room for more
constexpr unsigned most_mask_bits = 10;
constexpr double least_load = 0.01; // hundredths are what the system tells
constexpr double most_load = 1e6;

unsigned bits_of(const std::optional<Address> &mask)
{
    unsigned bits = 0;
    for (std::size_t i = 0; mask && i < mask->size(); ++i)
        bits += static_cast<unsigned>(std::popcount(mask->data()[i]));
    return bits;
}

class MembershipCheck {
public:
    MembershipCheck(Checks &checks, const Subject &subject, const Membership &group)
        : checks_(checks), subject_(subject), group_(group)
    {
    }

    void run()
    {
        if (group_.service.id.dynamic)
            service();
        if (!group_.address)
            add("address", "address is missing: this cache's own, which also tells the family");
        else
            checks_.host(subject_, "address", "address", *group_.address);
        routers();
        group_address();
        checks_.prefixes(subject_, "router-list", group_.router_list);
        if (!group_.password_file.empty())
            checks_.absolute(subject_, "password-file", group_.password_file);
        if (!group_.version_2_01 && group_.is_ipv6())
            add("version", "version: \"2.00\" has no IPv6; must be \"2.01\"");
        checks_.methods(subject_, "forwarding", group_.forwarding.empty());
        checks_.methods(subject_, "return", group_.returning.empty());
        checks_.methods(subject_, "assignment", group_.assignment.empty());
        checks_.period(subject_, "interval", group_.interval, milliseconds(500), seconds(60));
        checks_.range(subject_, "timeout-scale", group_.timeout_scale, 1, 5);
        checks_.range(subject_, "assignment-scale", group_.assignment_scale, 1, 5);
        checks_.range(subject_, "weight", group_.weight, 0, 65535);
        if (group_.mask)
            mask(*group_.mask);
        checks_.period(subject_, "slow-start", group_.slow_start, seconds(0),
                       std::chrono::hours(1));
        if (group_.probe)
            check_probe(checks_, subject_, *group_.probe);
        members();
    }

private:
    void add(const std::string &key, const std::string &message)
    {
        checks_.add(subject_, key, message);
    }

    // The family is the group's.
    void family(const std::string &key, const std::string &label, const Address &address)
    {
        if (group_.address)
            checks_.family(subject_, key, label, address, "address", *group_.address);
    }

    void prefix(const std::string &key, const std::string &label, const std::optional<Prefix> &net)
    {
        if (!net)
            return;
        checks_.prefix(subject_, key, label, *net);
        family(key, label, net->address);
    }

    void service()
    {
        const auto &service = group_.service;
        checks_.range(subject_, "service.protocol", service.protocol, 0, 255);
        checks_.range(subject_, "service.priority", service.priority, 0, 255);
        checks_.limit(subject_, "service.ports", service.ports, most_ports);
        std::set<std::uint16_t> seen;
        for (std::size_t i = 0; i < service.ports.size(); ++i)
            if (!seen.insert(service.ports[i]).second)
                add(at("service.ports", i),
                    "service.ports: port " + std::to_string(service.ports[i]) + " is given twice");
        const auto &named = protocol_text(service.protocol);
        if (!service.ports.empty() && named != "tcp" && named != "udp")
            add("service.ports", "service.ports: only with protocol = \"tcp\" or \"udp\"");
        if (service.ports.empty() && service.source_ports)
            add("service.ports-are", "service.ports-are: only with ports");
    }

    void routers()
    {
        const auto &routers = group_.routers;
        if (routers.empty() && !group_.group_address)
            add("routers", "routers is missing: a list of addresses, or group-address instead");
        checks_.limit(subject_, "routers", routers, most_routers);
        std::set<Address> seen;
        for (std::size_t i = 0; i < routers.size(); ++i) {
            const auto key = at("routers", i);
            checks_.host(subject_, key, "routers", routers[i]);
            family(key, "routers", routers[i]);
            if (routers[i] == group_.address)
                add(key, "routers: " + routers[i].text() +
                             " is this cache's own address; a router must be another host");
            if (!seen.insert(routers[i]).second)
                add(key, "routers: " + routers[i].text() + " is given twice");
        }
    }

    void group_address()
    {
        const auto &interface = group_.group_interface;
        if (!group_.group_address) {
            if (!interface.empty())
                add("group-interface", "group-interface: only with group-address");
            return;
        }
        checks_.multicast(subject_, "group-address", *group_.group_address);
        family("group-address", "group-address", *group_.group_address);
        if (interface.empty())
            add("group-interface",
                "group-interface is missing: the interface that group-address is heard by");
        else
            checks_.interface(subject_, "group-interface", "group-interface: \"" + interface + "\"",
                              interface);
    }

    void mask(const CacheMask &mask)
    {
        if (mask.source)
            family("mask.source", "mask.source", *mask.source);
        if (mask.destination)
            family("mask.destination", "mask.destination", *mask.destination);
        checks_.range(subject_, "mask.source-port", mask.source_port, 0, 65535);
        checks_.range(subject_, "mask.destination-port", mask.destination_port, 0, 65535);
        const auto port_bits = [](std::int64_t port) {
            return static_cast<unsigned>(std::popcount(static_cast<std::uint64_t>(port)));
        };
        const auto bits = bits_of(mask.source) + bits_of(mask.destination) +
                          port_bits(mask.source_port) + port_bits(mask.destination_port);
        if (bits == 0 || bits > most_mask_bits)
            add("mask", "mask has " + std::to_string(bits) + " bits, must be 1.." +
                            std::to_string(most_mask_bits));
    }

    void members()
    {
        checks_.limit(subject_, "member", group_.members, WLB_MAX_CACHES);
        std::set<Address> seen;
        for (std::size_t i = 0; i < group_.members.size(); ++i) {
            const auto &member = group_.members[i];
            const auto path = at("member", i);
            checks_.host(subject_, path + ".address", "member", member.address);
            family(path + ".address", "member", member.address);
            if (!seen.insert(member.address).second)
                add(path + ".address", "member: " + member.address.text() + " is given twice");
            for (std::size_t j = 0; j < member.traffic.size(); ++j) {
                const auto item = at(path + ".traffic", j);
                prefix(item + ".source", "traffic", member.traffic[j].source);
                prefix(item + ".destination", "traffic", member.traffic[j].destination);
            }
        }
    }

    Checks &checks_;
    const Subject &subject_;
    const Membership &group_;
};

void check_overload(Checks &checks, const CacheHost &host)
{
    const Subject subject{"cache", "cache"};
    const auto &overload = host.overload;
    if (overload.connections)
        checks.range(subject, "overload.connections", *overload.connections, 1, 100000000);
    if (overload.load && !(*overload.load >= least_load && *overload.load <= most_load))
        checks.add(subject, "overload.load", "overload.load must be 0.01..1000000");
    if (!overload.answer_time)
        return;
    checks.period(subject, "overload.answer-time", *overload.answer_time, milliseconds(1),
                  seconds(60));
    if (!host.groups.empty() &&
        std::none_of(host.groups.begin(), host.groups.end(),
                     [](const auto &group) { return group.probe.has_value(); }))
        checks.add(subject, "overload.answer-time",
                   "overload.answer-time: only with a probe in one of the groups");
}

// The kernel knows so many ports of proxies.
void check_proxies(Checks &checks, const std::vector<Membership> &groups)
{
    std::set<std::uint16_t> ports;
    for (std::size_t i = 0; i < groups.size(); ++i)
        if (const auto &deliver = groups[i].deliver;
            deliver && ports.insert(deliver->port).second && ports.size() == most_proxies + 1)
            checks.add(at("cache.group", i) + ".deliver", "deliver: more than " +
                                                              std::to_string(most_proxies) +
                                                              " ports in all groups together");
}

} // namespace

void check_cache_host(Checks &checks, const CacheHost &host)
{
    const std::string list = "cache.group";
    const Subject role{"cache", "cache"};
    checks.range(role, "mark", host.mark, 1, std::numeric_limits<std::uint32_t>::max());
    checks.rules(role, "bypass", host.bypass);
    check_overload(checks, host);
    if (host.groups.empty() && host != CacheHost())
        checks.add("cache", "cache: settings without a group mean nothing, as the role is off "
                            "without one; add a [[cache.group]]");
    checks.limit(role, "group", host.groups, most_groups);
    std::map<std::pair<ServiceId, bool>, std::size_t> seen;
    for (std::size_t i = 0; i < host.groups.size(); ++i) {
        const auto &group = host.groups[i];
        const Subject subject{at(list, i), "group " + group.name()};
        const auto [first, fresh] =
            seen.try_emplace(std::pair(group.service.id, group.is_ipv6()), i);
        if (!fresh)
            checks.add(subject, "service",
                       "service: " + at(list, first->second) + " and " + at(list, i) +
                           " are both of it; a service has one group of each family");
        MembershipCheck(checks, subject, group).run();
    }
    check_proxies(checks, host.groups);
}

} // namespace wlb
