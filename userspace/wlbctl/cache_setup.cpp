// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/cache_setup.h"

namespace wlb::cli {

namespace {

constexpr int tcp = 6, udp = 17;

std::vector<const char *> families_of(const Delivery &delivery)
{
    std::vector<const char *> families;
    if (delivery.ipv4)
        families.push_back("-4");
    if (delivery.ipv6)
        families.push_back("-6");
    return families;
}

std::string mark_text(const CacheHost &host)
{
    return std::to_string(host.mark);
}

std::vector<std::uint16_t> ports_of(const CacheService &service)
{
    return service.id.dynamic ? service.ports : std::vector<std::uint16_t>{80};
}

Result<std::string> match_of(const Membership &group)
{
    const auto &service = group.service;
    const auto protocol = service.id.dynamic ? service.protocol : tcp;
    std::string match = std::string("meta nfproto ") + (group.is_ipv6() ? "ipv6" : "ipv4");
    if (protocol != 0 && protocol != tcp && protocol != udp)
        return Error{"group " + group.name() + ": service is of IP protocol " +
                     std::to_string(protocol) +
                     ": only TCP and UDP can be delivered to a port, leave deliver out"};
    match += protocol == tcp   ? " meta l4proto tcp"
             : protocol == udp ? " meta l4proto udp"
                               : " meta l4proto { tcp, udp }";
    const auto ports = ports_of(service);
    if (ports.empty())
        return match;
    std::vector<std::string> texts;
    texts.reserve(ports.size());
    for (const auto port : ports)
        texts.push_back(std::to_string(port));
    return match + (service.id.dynamic && service.source_ports ? " th sport { " : " th dport { ") +
           join(texts, ", ") + " }";
}

} // namespace

Delivery delivery_of(const CacheHost &host)
{
    Delivery delivery;
    for (const auto &group : host.groups) {
        if (!group.deliver)
            continue;
        delivery.tproxy = delivery.tproxy || group.deliver->by == DeliverBy::tproxy;
        (group.is_ipv6() ? delivery.ipv6 : delivery.ipv4) = true;
    }
    return delivery;
}

Result<std::string> delivery_rules(const CacheHost &host)
{
    std::string take;
    std::string hand;
    for (const auto &group : host.groups) {
        if (!group.deliver)
            continue;
        const auto match = match_of(group);
        if (!match)
            return match.error();
        const auto port = ":" + std::to_string(group.deliver->port);
        const bool tproxy = group.deliver->by == DeliverBy::tproxy;
        auto &rules = tproxy ? take : hand;
        rules.append("\t\tmeta mark ").append(mark_text(host)).append(" ").append(*match);
        if (tproxy)
            rules.append(group.is_ipv6() ? " tproxy ip6 to " : " tproxy ip to ")
                .append(port)
                .append(" accept\n");
        else
            rules.append(" redirect to ").append(port).append("\n");
    }
    const std::string name = delivery_table;
    std::string text =
        "add table inet " + name + "\ndelete table inet " + name + "\ntable inet " + name + " {\n";
    if (!take.empty())
        text +=
            "\tchain take {\n\t\ttype filter hook prerouting priority mangle; policy accept;\n" +
            take + "\t}\n";
    if (!hand.empty())
        text += "\tchain hand {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n" +
                hand + "\t}\n";
    return text + "}";
}

Result<std::vector<Step>> setup_steps(const CacheHost &host, const std::vector<std::string> &loosen)
{
    const auto rules = delivery_rules(host);
    if (!rules)
        return rules.error();
    const auto delivery = delivery_of(host);
    const auto table = std::to_string(delivery_route_table);
    std::vector<Step> steps;
    if (delivery.tproxy)
        for (const auto *family : families_of(delivery)) {
            steps.push_back({{"ip", family, "route", "replace", "local", "default", "dev", "lo",
                              "table", table},
                             ""});
            steps.push_back({{"ip", family, "rule", "add", "priority", table, "fwmark",
                              mark_text(host), "lookup", table},
                             "File exists"});
        }
    steps.push_back({{"nft", *rules}, ""});
    for (const auto &interface : loosen)
        steps.push_back(
            {{"sysctl", "-q", "-w", "net.ipv4.conf." + interface + ".rp_filter=2"}, ""});
    return steps;
}

std::vector<Step> removal_steps(const CacheHost &host)
{
    const auto table = std::to_string(delivery_route_table);
    std::vector<Step> steps{
        {{"nft", "delete", "table", "inet", delivery_table}, "No such file or directory"}};
    const auto delivery = delivery_of(host);
    if (!delivery.tproxy)
        return steps;
    for (const auto *family : families_of(delivery)) {
        steps.push_back({{"ip", family, "rule", "del", "priority", table, "fwmark", mark_text(host),
                          "lookup", table},
                         "No such file or directory"});
        steps.push_back({{"ip", family, "route", "flush", "table", table}, "does not exist"});
    }
    return steps;
}

} // namespace wlb::cli
