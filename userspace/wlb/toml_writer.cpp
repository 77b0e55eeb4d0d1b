// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/toml_writer.h"

#include "wlb/toml_registry.h"
#include "wlb/toml_text.h"
#include "wlb/toml_write_cache_host.h"
#include "wlb/toml_write_processing.h"

namespace wlb {

using namespace toml_text;

namespace {

std::string servers(const std::vector<Address> &items)
{
    if (items.size() == 1)
        return quote(items.front().text());
    return list(items, [](const auto &server) { return quote(server.text()); });
}

std::string timeouts(const Timeouts &t)
{
    return "{ racing = " + duration(t.racing) + ", tombstone = " + duration(t.tombstone) +
           ", established = " + duration(t.established) + ", closing = " + duration(t.closing) +
           ", reset = " + duration(t.reset) + ", untagged = " + duration(t.untagged) +
           ", dead = " + duration(t.dead) + ", learned = " + duration(t.learned) + " }";
}

std::string text(const Service &service)
{
    auto out = "\n[[client-gateway.service]]\n" + line("name", quote(service.name)) +
               line("ports", service.all_ports ? quote("all") : numbers(service.ports)) +
               line("replicas", service.any_replica ? quote("any") : prefixes(service.replicas));
    if (!service.never.empty())
        out += line("never", prefixes(service.never));
    if (service.sticky.count() != 0)
        out += line("sticky", duration(service.sticky));
    const Service defaults;
    if (service.race != defaults.race)
        out += line("race", quote(name_of(service.race)));
    if (service.fan_out != defaults.fan_out)
        out += line("fan-out", std::to_string(service.fan_out));
    if (service.explore != defaults.explore)
        out += line("explore", duration(service.explore));
    if (service.fastpath != defaults.fastpath)
        out += line("fastpath", quote(name_of(service.fastpath)));
    return out;
}

std::string text(const Replica &replica)
{
    return "{ address = " + quote(replica.address.text()) +
           ", via = " + quote(name_of(replica.via)) + ", delay = " + duration(replica.delay) + " }";
}

std::string text(const Origin &origin)
{
    auto out =
        "\n[[server-gateway.origin]]\n" + line("name", quote(origin.name)) +
        line("server", servers(origin.servers)) + line("ports", numbers(origin.ports)) +
        line("race", quote(name_of(origin.race))) + line("max-hold", duration(origin.max_hold)) +
        line("replicas", list(origin.replicas, [](const auto &replica) { return text(replica); }));
    if (origin.source)
        out += line("source", quote(origin.source->text()));
    out += line("strip-tag", boolean(origin.strip_tag));
    const Origin defaults;
    if (origin.fan_out != defaults.fan_out)
        out += line("fan-out", std::to_string(origin.fan_out));
    if (origin.pick != defaults.pick)
        out += line("pick", quote(name_of(origin.pick)));
    if (origin.clones_per_second != 0)
        out += line("clones-per-second", std::to_string(origin.clones_per_second));
    if (origin.clones_per_prefix != 0)
        out += line("clones-per-prefix", std::to_string(origin.clones_per_prefix));
    if (origin.cookie.count() != 0)
        out += line("cookie", duration(origin.cookie));
    return out + registry_toml(origin.registry);
}

std::string text(const Served &served)
{
    return "\n[[replica.origin]]\n" + line("name", quote(served.name)) +
           line("server", servers(served.servers)) + line("ports", numbers(served.ports)) +
           line("local", quote(served.local ? served.local->text() : "")) +
           line("return", quote(name_of(served.return_mode))) +
           (served.via ? line("via", quote(name_of(*served.via))) : "") +
           (served.trust_path ? line("trust-path", "true") : "") +
           line("clones-from", prefixes(served.from)) + registration_toml(served.registration);
}

std::string service(const ServiceId &id)
{
    return id.dynamic ? id.text() : quote(id.text());
}

std::string text(const CacheGroup &group)
{
    auto out = "\n[[cache-router.group]]\n" + line("service", service(group.service)) +
               line("redirect-in", strings(group.redirect_in)) +
               line("redirect-out", strings(group.redirect_out)) +
               line("exclude-in", strings(group.exclude_in));
    if (!group.redirect_list.empty())
        out += line("redirect-list", rules(group.redirect_list));
    out += line("group-list", group.any_cache ? quote("any") : prefixes(group.group_list));
    if (!group.source.empty())
        out += line("source", servers(group.source));
    if (group.group_address)
        out += line("group-address", quote(group.group_address->text())) +
               line("group-listen", strings(group.group_listen));
    if (!group.password_file.empty())
        out += line("password-file", quote(group.password_file)) +
               line("md5-compat", quote(name_of(group.md5_compat)));
    return out + line("mode", quote(group.closed ? "closed" : "open")) +
           line("hook", quote(name_of(group.hook))) + line("drain", duration(group.drain)) +
           line("forwarding", names(group.forwarding)) + line("return", names(group.returning)) +
           line("assignment", names(group.assignment)) +
           line("version", quote(group.version_2_01 ? "2.01" : "2.00")) +
           line("variable-timers", boolean(group.variable_timers)) +
           line("strict-source", boolean(group.strict_source)) +
           line("reassign-kick", boolean(group.reassign_kick)) +
           line("assignment-fallback", duration(group.assignment_fallback)) +
           line("squid-filler", quote(name_of(group.squid_filler))) +
           line("bucket-format", quote(name_of(group.bucket_format)));
}

std::string defaults(const CacheGroup &group)
{
    return "\n"
           "# Role cache router: redirects service groups to caches, by WCCP; wlb-routerd's.\n"
           "#[cache-router]\n"
           "# a packet that a redirect list denies may be another service's\n" +
           off("check-services-all", boolean(CacheRouter().check_services_all)) +
           "# while wlb-routerd does not run the kernel redirects for so long, 1s..1h; 0: for "
           "ever\n" +
           off("lease", duration(CacheRouter().lease)) +
           "\n"
           "#[[cache-router.group]]\n"
           "# required, unique: \"web-cache\" or the number of a dynamic service, 0..255\n" +
           off("service", service(group.service)) +
           "# interfaces: packets that come in, or would go out by them, are redirected; what "
           "comes\n"
           "# in by the last is not\n" +
           off("redirect-in", strings(group.redirect_in)) +
           off("redirect-out", strings(group.redirect_out)) +
           off("exclude-in", strings(group.exclude_in)) +
           "# \"[!]SOURCE[ -> DESTINATION]\", prefixes or any; the first that matches decides, "
           "none:\n"
           "# not redirected; absent: everything is\n"
           "# redirect-list = [\"!10.0.0.0/8\", \"any -> 203.0.113.0/24\"]\n"
           "# required: who may be a cache, prefixes; or \"any\"\n" +
           off("group-list", "[\"192.0.2.0/24\"]") +
           "# router id and outer source, at most one of each family; absent: this host's highest\n"
           "# source = \"192.0.2.1\"\n"
           "# multicast address of the group, and where it is heard\n"
           "# group-address = \"224.1.1.1\"\n" +
           off("group-listen", strings(group.group_listen)) +
           "# its first line, 1..8 characters, signs the messages (MD5)\n"
           "# password-file = \"/etc/wlb/wccp.key\"\n"
           "# closed: what no cache takes is dropped\n" +
           off("mode", quote(group.closed ? "closed" : "open")) +
           "# forward: only what the FORWARD rules let pass is redirected\n" +
           off("hook", quote(name_of(group.hook))) +
           "# how long connections stay with their cache when their bucket moves\n" +
           off("drain", duration(group.drain)) + "# what is offered to caches\n" +
           off("forwarding", names(group.forwarding)) + off("return", names(group.returning)) +
           off("assignment", names(group.assignment)) +
           off("version", quote(group.version_2_01 ? "2.01" : "2.00")) +
           off("variable-timers", boolean(group.variable_timers)) +
           "# a cache's messages must come from the address that they name\n" +
           off("strict-source", boolean(group.strict_source)) +
           "# ask once a minute, if nobody assigns\n" +
           off("reassign-kick", boolean(group.reassign_kick)) +
           "# assign after that time, if nobody does; 0s: never\n" +
           off("assignment-fallback", duration(group.assignment_fallback)) +
           "# empty components that Squid 4.17 and later need: off, on or auto\n" +
           off("squid-filler", quote(name_of(group.squid_filler))) +
           "# the alternative hash flag of a bucket: cisco: 0x80, as everybody; draft: 0x01\n" +
           off("bucket-format", quote(name_of(group.bucket_format))) +
           "# squid: accept the digests of old Squids too\n" +
           off("md5-compat", quote(name_of(group.md5_compat)));
}

} // namespace

std::string to_toml(const Config &config)
{
    std::string out = "# wlb configuration: see wlb.toml(5)\n";
    const auto &gateway = config.client_gateway;
    if (!gateway.services.empty()) {
        out += "\n[client-gateway]\n";
        if (!gateway.inside.empty())
            out += line("inside", strings(gateway.inside));
        out += line("max-flows", std::to_string(gateway.max_flows)) +
               line("client-quota", std::to_string(gateway.client_quota)) +
               line("max-learned", std::to_string(gateway.max_learned)) +
               line("returns", names(gateway.returns)) +
               line("conntrack", quote(name_of(gateway.conntrack))) +
               line("timeouts", timeouts(gateway.timeouts));
    }
    for (const auto &service : gateway.services)
        out += text(service);
    if (config.server_gateway.clones_per_second != 0)
        out += "\n[server-gateway]\n" +
               line("clones-per-second", std::to_string(config.server_gateway.clones_per_second));
    for (const auto &origin : config.origins)
        out += text(origin);
    for (const auto &served : config.served)
        out += text(served);
    const auto &router = config.cache_router;
    if (!router.groups.empty())
        out += "\n[cache-router]\n" +
               line("check-services-all", boolean(router.check_services_all)) +
               line("lease", duration(router.lease));
    for (const auto &group : router.groups)
        out += text(group);
    if (!config.cache_host.groups.empty())
        out += cache_host_toml(config.cache_host);
    if (!config.processing.rules.empty())
        out += processing_toml(config.processing);
    return out;
}

std::string defaults_toml()
{
    const ClientGateway gateway;
    const Origin origin;
    const Replica replica;
    const Served served;
    return "# Every key of wlb.toml(5) with its default. \"required\": there is no default, the "
           "value\n"
           "# is an example. A role whose table is absent is off.\n"
           "\n"
           "# Role client gateway: tags the clients' SYNs, keeps the translation table.\n"
           "#[client-gateway]\n"
           "# SYNs are tagged only if they came in by one of these, \"lo\": are the host's own;\n"
           "# none: all of them\n" +
           off("inside", strings(gateway.inside)) +
           "# entries of the translation table, 1024..16777216\n" +
           off("max-flows", std::to_string(gateway.max_flows)) +
           "# half-open flows per client (IPv6: per /64)\n" +
           off("client-quota", std::to_string(gateway.client_quota)) +
           "# origins whose answerers are remembered for race = \"direct\", 16..65536\n" +
           off("max-learned", std::to_string(gateway.max_learned)) +
           "# how replicas' packets may come back: what is offered to them, at least one\n" +
           off("returns", names(gateway.returns)) +
           "# what connection tracking sees of services: outside: clients and servers; notrack: "
           "nothing\n" +
           off("conntrack", quote(name_of(gateway.conntrack))) +
           "# how long flows live: no answer yet; the server won; carried; after both FINs; after "
           "a RST.\n"
           "# untagged: how long a server whose path drops tags gets none; 0s: tags again at "
           "once.\n"
           "# dead: a winner that is silent for as long is dead, at least 8s; 0s: never.\n"
           "# learned: an answerer that is not heard of for as long is forgotten\n" +
           off("timeouts", timeouts(gateway.timeouts)) +
           "\n"
           "#[[client-gateway.service]]\n"
           "# required, unique\n" +
           off("name", quote("web")) +
           "# required: at most 16, in no other service; or \"all\": every port no other service "
           "has\n" +
           off("ports", "[80, 443]") + "# required: who may answer, prefixes; or \"any\"\n" +
           off("replicas", "[\"198.51.100.0/24\"]") +
           "# clients and servers whose SYNs are tagged \"redirection not permitted\"\n" +
           off("never", "[]") +
           "# how long a client's races for a server stay with the last winner; 0s: not at all\n" +
           off("sticky", duration(Service().sticky)) +
           "# race: take part in the server gateway's races; direct: clone to those that such a "
           "race\n"
           "# has shown to answer, and have the server's gateway clone no more\n" +
           off("race", quote(name_of(Service().race))) +
           "# direct: to how many of them, the nearest, 1..8\n" +
           off("fan-out", std::to_string(Service().fan_out)) +
           "# direct: how often, at most, the server's gateway may clone all the same; 0s: "
           "never\n" +
           off("explore", duration(Service().explore)) +
           "# auto: connections that connection tracking is sure of, or does not track, pass by\n"
           "# the firewall's rules but for a packet a second; on: it need not be sure; off\n" +
           off("fastpath", quote(name_of(Service().fastpath))) +
           "\n"
           "# Role server gateway: clones tagged SYNs of a replicated server to its replicas.\n"
           "#[server-gateway]\n"
           "# clones in a second of all origins together, at the most; 0: any number\n" +
           off("clones-per-second", std::to_string(ServerGateway().clones_per_second)) +
           "\n"
           "#[[server-gateway.origin]]\n"
           "# required, unique\n" +
           off("name", quote("www")) + "# required: an address or a list of one family\n" +
           off("server", quote("203.0.113.10")) + "# required: at most 16\n" +
           off("ports", "[80, 443]") +
           "# raw: clone at once; equal: hold each copy so that all start with equal delay\n" +
           off("race", quote(name_of(origin.race))) + "# cap of the hold time, 0s..1s\n" +
           off("max-hold", duration(origin.max_hold)) +
           "# at most 32; address is required; via is gre or ipip; delay: gateway to replica, one "
           "way;\n"
           "# as in [{ address = \"198.51.100.7\", via = " +
           quote(name_of(replica.via)) + ", delay = " + duration(replica.delay) + " }]\n" +
           off("replicas", "[]") +
           "# outer source of clones; absent: the gateway's own by its routing table\n"
           "# source = \"203.0.113.1\"\n"
           "# true: the server's copy loses the tag; false: its tag says \"not permitted\"\n" +
           off("strip-tag", boolean(origin.strip_tag)) +
           "# to how many replicas a SYN is cloned, 1..32, and to which if not to all: nearest, by "
           "their\n"
           "# delay, or random\n" +
           off("fan-out", std::to_string(origin.fan_out)) +
           off("pick", quote(name_of(origin.pick))) +
           "# clones in a second, at the most, and of those for one /24 or /64 and server; 0: any "
           "number.\n"
           "# SYNs beyond that go to the server alone\n" +
           off("clones-per-second", std::to_string(origin.clones_per_second)) +
           off("clones-per-prefix", std::to_string(origin.clones_per_prefix)) +
           "# how long who has shown to have his address may race, before he shows it anew; 0s: "
           "he\n"
           "# need not\n" +
           off("cookie", duration(origin.cookie)) + registry_defaults() +
           "\n"
           "# Role replica: cracks clones and answers for an origin.\n"
           "#[[replica.origin]]\n"
           "# absent: the first server's address\n"
           "# name = \"www\"\n"
           "# required: an address or a list of one family\n" +
           off("server", quote("203.0.113.10")) + "# required: at most 16\n" +
           off("ports", "[80, 443]") + "# required: the address of this host to serve from\n" +
           off("local", quote("198.51.100.7")) +
           "# how packets get back to the client: nat, spoof or tunnel\n" +
           off("return", quote(name_of(served.return_mode))) +
           "# with spoof and tunnel: gre or ipip\n"
           "# via = " +
           quote(name_of(*default_via(Return::tunnel))) +
           "\n"
           "# with spoof: from the first packet on, without a probe of the path to the client\n" +
           off("trust-path", boolean(served.trust_path)) +
           "# required: the server gateways that clones may come from, prefixes\n" +
           off("clones-from", "[\"203.0.113.1\"]") + registration_defaults() +
           defaults(CacheGroup()) + cache_host_defaults() + processing_defaults();
}

} // namespace wlb
