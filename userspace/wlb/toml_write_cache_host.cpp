// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/toml_write_cache_host.h"

#include <array>
#include <charconv>

#include "wlb/probe_config.h"
#include "wlb/toml_text.h"

namespace wlb {

using namespace toml_text;

namespace {

// The shortest that is read back as the same.
std::string fraction(double value)
{
    std::array<char, 32> digits{};
    const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), value);
    return {digits.data(), result.ptr};
}

std::string text(const CacheService &service)
{
    if (!service.id.dynamic)
        return quote(service.id.text());
    const auto protocol = protocol_text(service.protocol);
    Inner out;
    out.add("id", service.id.text())
        .add("protocol", parse_protocol(protocol) ? quote(protocol) : protocol);
    if (!service.ports.empty())
        out.add("ports", numbers(service.ports))
            .add("ports-are", quote(service.source_ports ? "source" : "destination"));
    return out.add("hash", names(service.hash))
        .add("alternative-hash", names(service.alternative_hash))
        .add("priority", number(service.priority))
        .text();
}

std::string text(const CacheMask &mask)
{
    return Inner()
        .add("source", mask.source, quoted_text<Address>)
        .add("destination", mask.destination, quoted_text<Address>)
        .add("source-port", number(mask.source_port))
        .add("destination-port", number(mask.destination_port))
        .text();
}

std::string text(const CacheTraffic &traffic)
{
    return Inner()
        .add("source", traffic.source, quoted_text<Prefix>)
        .add("destination", traffic.destination, quoted_text<Prefix>)
        .add("source-port", traffic.source_port, number)
        .add("destination-port", traffic.destination_port, number)
        .text();
}

std::string text(const CacheMember &member)
{
    Inner out;
    out.add("address", quote(member.address.text()));
    if (!member.buckets.empty())
        out.add("buckets",
                list(member.buckets, [](const auto &range) { return quote(to_text(range)); }));
    if (!member.traffic.empty())
        out.add("traffic", list(member.traffic, [](const auto &traffic) { return text(traffic); }));
    return out.text();
}

std::string text(const Deliver &deliver)
{
    return Inner().add(name_of(deliver.by), number(deliver.port)).text();
}

std::string routers(const Membership &group)
{
    std::string out;
    if (!group.routers.empty())
        out += line("routers", list(group.routers, quoted_text<Address>));
    if (group.group_address)
        out += line("group-address", quote(group.group_address->text())) +
               line("group-interface", quote(group.group_interface));
    out += line("learn-routers", boolean(group.learn_routers)) +
           line("strict-source", boolean(group.strict_source));
    if (!group.router_list.empty())
        out += line("router-list", prefixes(group.router_list));
    return out;
}

std::string text(const Membership &group)
{
    auto out = "\n[[cache.group]]\n" + line("service", text(group.service)) +
               line("address", quote(group.address ? group.address->text() : "")) + routers(group);
    if (!group.password_file.empty())
        out += line("password-file", quote(group.password_file));
    out += line("version", quote(group.version_2_01 ? "2.01" : "2.00")) +
           line("forwarding", names(group.forwarding)) + line("return", names(group.returning)) +
           line("assignment", names(group.assignment)) +
           line("interval", duration(group.interval)) +
           line("timeout-scale", number(group.timeout_scale)) +
           line("assignment-scale", number(group.assignment_scale)) +
           line("weight", number(group.weight));
    if (group.mask)
        out += line("mask", text(*group.mask));
    out += line("bucket-format", quote(name_of(group.bucket_format))) +
           line("hot-buckets", numbers(group.hot_buckets)) +
           line("slow-start", duration(group.slow_start)) + line("yield", boolean(group.yield));
    if (group.deliver)
        out += line("deliver", text(*group.deliver));
    if (group.probe)
        out += line("probe", probe_toml(*group.probe));
    if (!group.members.empty())
        out += line("member", list(group.members, [](const auto &member) { return text(member); }));
    return out;
}

} // namespace

std::string cache_host_toml(const CacheHost &host)
{
    auto out = "\n[cache]\n" + line("mark", number(host.mark));
    if (!host.bypass.empty())
        out += line("bypass", rules(host.bypass));
    const auto overload = Inner()
                              .add("connections", host.overload.connections, number)
                              .add("load", host.overload.load, fraction)
                              .add("answer-time", host.overload.answer_time, duration);
    if (!overload.empty())
        out += line("overload", overload.text());
    for (const auto &group : host.groups)
        out += text(group);
    return out;
}

std::string cache_host_defaults()
{
    const Membership group;
    return "\n"
           "# Role cache: makes the host of a proxy a WCCP cache; wlb-cached's.\n"
           "#[cache]\n"
           "# of packets that are taken in, 1..4294967295\n" +
           off("mark", number(CacheHost().mark)) +
           "# what goes back to the router: rules as a redirect-list's, the first that matches "
           "decides\n"
           "# bypass = [\"!10.1.0.0/16 -> any\", \"10.0.0.0/8\"]\n"
           "# while any is passed some of the new connections go back; each is optional:\n"
           "# TCP sockets in use, load average of a minute, how long a probe's answer takes\n"
           "# overload = { connections = 10000, load = 8.0, answer-time = \"500ms\" }\n"
           "\n"
           "#[[cache.group]]\n"
           "# required, unique: \"web-cache\", or a dynamic service as its caches describe it: "
           "id 0..255;\n"
           "# protocol tcp, udp or a number; at most 8 ports, none: all; ports-are destination or "
           "source;\n"
           "# hash, alternative-hash: of source-ip, destination-ip, source-port, "
           "destination-port\n"
           "# as in { id = 80, protocol = \"tcp\", ports = [80, 8080], hash = "
           "[\"destination-ip\"], priority = 0 }\n" +
           off("service", text(group.service)) +
           "# required: this cache's own, also tells the family\n" +
           off("address", quote("192.0.2.21")) +
           "# at most 32; required, or the multicast address and where it is heard, or both\n" +
           off("routers", "[\"192.0.2.1\"]") +
           "# group-address = \"239.1.1.1\"\n"
           "# group-interface = \"eth0\"\n"
           "# also those that routers tell of\n" +
           off("learn-routers", boolean(group.learn_routers)) +
           "# routers must answer from the address that they are spoken to at\n" +
           off("strict-source", boolean(group.strict_source)) +
           "# whose messages are looked at, prefixes; absent: everybody's\n"
           "# router-list = [\"192.0.2.0/24\"]\n"
           "# its first line, 1..8 characters, signs the messages (MD5)\n"
           "# password-file = \"/etc/wlb/wccp.key\"\n" +
           off("version", quote(group.version_2_01 ? "2.01" : "2.00")) +
           "# by preference: the first that every router offers\n" +
           off("forwarding", names(group.forwarding)) + off("return", names(group.returning)) +
           off("assignment", names(group.assignment)) +
           "# between messages, 500ms..60s; the nearest that every router offers\n" +
           off("interval", duration(group.interval)) +
           "# 1..5: how many times as long until one that is silent is given up, until an "
           "assignment lapses\n" +
           off("timeout-scale", number(group.timeout_scale)) +
           off("assignment-scale", number(group.assignment_scale)) +
           "# share among the caches, 0..65535; all 0: equal shares\n" +
           off("weight", number(group.weight)) +
           "# bits to assign by, 1..10 in all; absent: the usual six\n"
           "# mask = { source = \"0.0.23.65\", destination = \"0.0.0.0\", source-port = 0, "
           "destination-port = 0 }\n"
           "# the alternative hash flag of a bucket: cisco: 0x80, as everybody; draft: 0x01\n" +
           off("bucket-format", quote(name_of(group.bucket_format))) +
           "# buckets of 0..255 that are spread by the alternative hash\n" +
           off("hot-buckets", numbers(group.hot_buckets)) +
           "# for so long a cache that joins has less than its share, 0s..1h\n" +
           off("slow-start", duration(group.slow_start)) +
           "# leave another cache's full assignment alone, as is right beside Squid\n" +
           off("yield", boolean(group.yield)) +
           "# where the proxy listens, tproxy or redirect; absent: own rules take what has the "
           "mark\n"
           "# deliver = { tproxy = 3129 }\n"
           "# is the proxy well: http (status: good answers; absent: below 500), tcp or command; "
           "optional\n"
           "# probe = { http = \"http://127.0.0.1:3128/\", interval = \"2s\", timeout = \"1s\", "
           "rise = 2, fall = 3 }\n"
           "# what members take, whatever their weights: buckets with hash, traffic with mask; "
           "at most 32\n"
           "# member = [{ address = \"192.0.2.22\", buckets = [\"0-63\"], traffic = [{ source = "
           "\"10.0.0.0/8\" }] }]\n";
}

} // namespace wlb
