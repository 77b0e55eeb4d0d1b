// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/validate.h"

#include <linux/wlb.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "wlb/checks.h"
#include "wlb/toml_registry.h"
#include "wlb/validate_cache_host.h"
#include "wlb/validate_processing.h"

namespace wlb {

namespace {

// Seconds, 24 days: the kernel counts them in 32 bits of ticks.
constexpr std::int64_t longest_timeout = std::int64_t{24} * 24 * 3600;
constexpr std::int64_t most_clones = std::numeric_limits<std::uint32_t>::max();

class Validator : private Checks {
public:
    explicit Validator(const Config &config) : config_(config) {}

    std::vector<Problem> run()
    {
        client_gateway(config_.client_gateway);
        server_gateway(config_.server_gateway);
        each("server-gateway.origin", "origin", config_.origins,
             [this](const auto &subject, const auto &origin) { this->origin(subject, origin); });
        owners_.clear();
        each("replica.origin", "replica", config_.served,
             [this](const auto &subject, const auto &served) { this->served(subject, served); });
        cache_router(config_.cache_router);
        check_cache_host(*this, config_.cache_host);
        check_processing(*this, config_.processing);
        return take_problems();
    }

private:
    template <class Objects, class Check>
    void each(const std::string &list, const std::string &kind, const Objects &objects, Check check)
    {
        if (objects.size() > WLB_MAX_SERVICES)
            add(at(list, WLB_MAX_SERVICES),
                list + ": more than " + std::to_string(WLB_MAX_SERVICES) + " of them");
        std::set<std::string> names;
        for (std::size_t i = 0; i < objects.size(); ++i) {
            const auto &object = objects[i];
            const Subject subject{at(list, i), object.name.empty()
                                                   ? kind + " #" + std::to_string(i + 1)
                                                   : kind + " \"" + object.name + "\""};
            name(subject, object.name);
            if (!object.name.empty() && !names.insert(object.name).second)
                add(subject, "name",
                    "there is another " + kind + " of this name; names must be unique");
            check(subject, object);
        }
    }

    void delay(const Subject &subject, const std::string &key, const std::string &label,
               microseconds value)
    {
        const microseconds most(WLB_MAX_DELAY_US);
        if (value < microseconds(0) || value > most)
            add(subject, key,
                label + " is " + format_duration(value) + ", must be 0s.." + format_duration(most));
    }

    void ports(const Subject &subject, const std::vector<std::uint16_t> &list)
    {
        limit(subject, "ports", list, WLB_MAX_PORTS);
        std::set<std::uint16_t> seen;
        for (std::size_t i = 0; i < list.size(); ++i) {
            if (list[i] == 0)
                add(subject, at("ports", i), "ports: port 0 is outside 1..65535");
            if (!seen.insert(list[i]).second)
                add(subject, at("ports", i),
                    "ports: port " + std::to_string(list[i]) + " is given twice");
        }
    }

    void client_gateway(const ClientGateway &gateway)
    {
        const Subject subject{"client-gateway", "client-gateway"};
        interfaces(subject, "inside", gateway.inside);
        range(subject, "max-flows", gateway.max_flows, 1024, 16777216);
        range(subject, "client-quota", gateway.client_quota, 1,
              std::numeric_limits<std::uint32_t>::max());
        range(subject, "max-learned", gateway.max_learned, 16, 65536);
        if (gateway.returns.empty())
            add(subject, "returns",
                "returns must have at least one of \"nat\", \"spoof\" and \"tunnel\"");
        const Timeouts &t = gateway.timeouts;
        const std::pair<const char *, seconds> timeouts[] = {
            {"timeouts.racing", t.racing},
            {"timeouts.tombstone", t.tombstone},
            {"timeouts.established", t.established},
            {"timeouts.closing", t.closing},
            {"timeouts.reset", t.reset},
            {"timeouts.learned", t.learned}};
        for (const auto &[key, value] : timeouts)
            range(subject, key, value.count(), 1, longest_timeout);
        range(subject, "timeouts.untagged", t.untagged.count(), 0, longest_timeout);
        if (t.dead.count() != 0)
            range(subject, "timeouts.dead", t.dead.count(), 8, longest_timeout);

        each("client-gateway.service", "service", gateway.services,
             [this](const auto &each_subject, const auto &service) {
                 this->service(each_subject, service);
             });
        const ClientGateway defaults;
        auto settings = gateway;
        settings.services.clear();
        if (gateway.services.empty() && settings != defaults)
            add("client-gateway",
                "client-gateway: settings without a service would be lost, as the "
                "role is off without one; add a [[client-gateway.service]]");
    }

    void server_gateway(const ServerGateway &gateway)
    {
        range({"server-gateway", "server-gateway"}, "clones-per-second", gateway.clones_per_second,
              0, most_clones);
        if (config_.origins.empty() && gateway != ServerGateway())
            add("server-gateway",
                "server-gateway: settings without an origin would be lost, as the "
                "role is off without one; add a [[server-gateway.origin]]");
    }

    void service(const Subject &subject, const Service &service)
    {
        ports(subject, service.ports);
        if (service.all_ports && !service.ports.empty())
            add(subject, "ports", "ports must be a list of ports or \"all\", not both");
        else if (!service.all_ports && service.ports.empty())
            add(subject, "ports",
                "ports is missing: a list of 1.." + std::to_string(WLB_MAX_PORTS) +
                    " ports, or \"all\"");
        if (service.all_ports) {
            if (!all_ports_owner_.empty())
                add(subject, "ports",
                    "ports: " + all_ports_owner_ + " has \"all\" already; only one service can");
            else
                all_ports_owner_ = subject.title;
        }
        for (std::size_t i = 0; i < service.ports.size(); ++i) {
            const auto [owner, fresh] =
                port_owners_.try_emplace(service.ports[i], subject.path, subject.title);
            if (!fresh && owner->second.first != subject.path)
                add(subject, at("ports", i),
                    "ports: port " + std::to_string(service.ports[i]) + " is in " +
                        owner->second.second + " already; a port can be in one service only");
        }

        prefixes(subject, "replicas", service.replicas);
        if (service.any_replica && !service.replicas.empty())
            add(subject, "replicas", "replicas must be a list of prefixes or \"any\", not both");
        else if (!service.any_replica && service.replicas.empty())
            add(subject, "replicas",
                "replicas is missing: who may answer, a list of prefixes; to let anybody answer "
                "say "
                "\"any\"");
        prefixes(subject, "never", service.never);
        range(subject, "sticky", service.sticky.count(), 0, longest_timeout);
        range(subject, "fan-out", service.fan_out, 1, WLB_MAX_ANSWERS);
        range(subject, "explore", service.explore.count(), 0, longest_timeout);
    }

    // What an origin and a served origin have in common: the first server
    // sets the family, and a (server, port) pair has one owner in its role.
    void servers(const Subject &subject, const std::vector<Address> &servers,
                 const std::vector<std::uint16_t> &port_list)
    {
        if (servers.empty())
            add(subject, "server", "server is missing: an address or a list of addresses");
        limit(subject, "server", servers, WLB_MAX_SERVERS);
        if (port_list.empty())
            add(subject, "ports",
                "ports is missing: a list of 1.." + std::to_string(WLB_MAX_PORTS) + " ports");
        ports(subject, port_list);

        std::set<Address> seen;
        for (std::size_t i = 0; i < servers.size(); ++i) {
            const auto key = at("server", i);
            peer(subject, key, "server", servers[i], servers);
            if (!seen.insert(servers[i]).second) {
                add(subject, key, "server: " + servers[i].text() + " is given twice");
                continue;
            }
            for (const auto port : port_list) {
                const auto [owner, fresh] =
                    owners_.try_emplace(std::pair(servers[i], port), subject.path, subject.title);
                if (fresh || owner->second.first == subject.path)
                    continue;
                add(subject, key,
                    "server: " + endpoint(servers[i], port) + " is in " + owner->second.second +
                        " already; a server's port can be in one only");
            }
        }
    }

    // An address of one host, of the servers' family.
    void peer(const Subject &subject, const std::string &key, const std::string &label,
              const Address &address, const std::vector<Address> &servers)
    {
        host(subject, key, label, address);
        if (!servers.empty())
            family(subject, key, label, address, "server", servers.front());
    }

    void origin(const Subject &subject, const Origin &origin)
    {
        servers(subject, origin.servers, origin.ports);
        delay(subject, "max-hold", "max-hold", origin.max_hold);
        limit(subject, "replicas", origin.replicas, WLB_MAX_REPLICAS);
        range(subject, "fan-out", origin.fan_out, 1, WLB_MAX_REPLICAS);
        range(subject, "clones-per-second", origin.clones_per_second, 0, most_clones);
        range(subject, "clones-per-prefix", origin.clones_per_prefix, 0, most_clones);
        range(subject, "cookie", origin.cookie.count(), 0, longest_timeout);
        std::set<Address> seen;
        for (std::size_t i = 0; i < origin.replicas.size(); ++i) {
            const auto &replica = origin.replicas[i];
            const auto path = at("replicas", i);
            const auto key = path + ".address";
            peer(subject, key, "replicas", replica.address, origin.servers);
            if (std::find(origin.servers.begin(), origin.servers.end(), replica.address) !=
                origin.servers.end())
                add(subject, key,
                    "replicas: " + replica.address.text() +
                        " is a server of this origin; a replica must be another host");
            if (!seen.insert(replica.address).second)
                add(subject, key, "replicas: " + replica.address.text() + " is given twice");
            delay(subject, path + ".delay", "replicas: delay of " + replica.address.text(),
                  replica.delay);
        }
        if (origin.source)
            peer(subject, "source", "source", *origin.source, origin.servers);
        check_registry(*this, subject, origin, config_.origins);
    }

    void served(const Subject &subject, const Served &served)
    {
        servers(subject, served.servers, served.ports);
        if (!served.local) {
            add(subject, "local", "local is missing: the address of this host to serve from");
        } else {
            peer(subject, "local", "local", *served.local, served.servers);
            if (std::find(served.servers.begin(), served.servers.end(), *served.local) !=
                served.servers.end())
                add(subject, "local",
                    "local: " + served.local->text() +
                        " is a server of this origin; it must be an address of this host");
        }
        if (served.via && served.return_mode == Return::nat)
            add(subject, "via", "via: only with return = spoof or tunnel");
        if (served.trust_path && served.return_mode != Return::spoof)
            add(subject, "trust-path", "trust-path: only with return = spoof");
        if (served.return_mode == Return::spoof && served.servers.size() > 1)
            add(subject, at("server", 1),
                "server: only one with return = spoof: clients' packets to the local address are "
                "turned to it");
        if (served.from.empty())
            add(subject, "clones-from",
                "clones-from is missing: the server gateways that clones may come from, a list of "
                "1.." +
                    std::to_string(WLB_MAX_PREFIXES) + " prefixes");
        prefixes(subject, "clones-from", served.from);
        check_registration(*this, subject, served);
    }

    void cache_router(const CacheRouter &router)
    {
        const std::string list = "cache-router.group";
        if (router.groups.size() > WLB_MAX_GROUPS)
            add(at(list, WLB_MAX_GROUPS),
                list + ": more than " + std::to_string(WLB_MAX_GROUPS) + " of them");
        if (router.lease.count() != 0 &&
            (router.lease > std::chrono::hours(1) || router.lease < seconds(1)))
            add("cache-router.lease", "lease: 0, or 1s..1h");
        if (router.groups.empty() && router != CacheRouter())
            add("cache-router", "cache-router: settings without a group mean nothing, as the role "
                                "is off without one; add a [[cache-router.group]]");
        std::set<ServiceId> seen;
        for (std::size_t i = 0; i < router.groups.size(); ++i) {
            const auto &group = router.groups[i];
            const Subject subject{at(list, i), "group " + group.service.text()};
            if (!seen.insert(group.service).second)
                add(subject, "service",
                    "service: there is another group of it; a service is one group's");
            this->group(subject, group);
        }
    }

    void group(const Subject &subject, const CacheGroup &group)
    {
        interfaces(subject, "redirect-in", group.redirect_in);
        interfaces(subject, "redirect-out", group.redirect_out);
        interfaces(subject, "exclude-in", group.exclude_in);
        interfaces(subject, "group-listen", group.group_listen);
        rules(subject, "redirect-list", group.redirect_list);
        prefixes(subject, "group-list", group.group_list);
        if (!group.any_cache && group.group_list.empty())
            add(subject, "group-list",
                "group-list is missing: who may be a cache, a list of prefixes; to let anybody be "
                "one say \"any\"");
        sources(subject, group.source);
        if (group.group_address)
            multicast(subject, "group-address", *group.group_address);
        if (group.group_address && group.group_listen.empty())
            add(subject, "group-listen",
                "group-listen is missing: the interfaces that group-address is heard by");
        if (!group.group_address && !group.group_listen.empty())
            add(subject, "group-listen", "group-listen: only with group-address");
        if (!group.password_file.empty())
            absolute(subject, "password-file", group.password_file);
        if (group.md5_compat != Md5Compat::strict && group.password_file.empty())
            add(subject, "md5-compat", "md5-compat: only with password-file");
        range(subject, "drain", group.drain.count(), 0, WLB_MAX_DRAIN);
        range(subject, "assignment-fallback", group.assignment_fallback.count(), 0, 86400);
        methods(subject, "forwarding", group.forwarding.empty());
        methods(subject, "return", group.returning.empty());
        methods(subject, "assignment", group.assignment.empty());
    }

    void sources(const Subject &subject, const std::vector<Address> &list)
    {
        for (std::size_t i = 0; i < list.size(); ++i) {
            host(subject, at("source", i), "source", list[i]);
            for (std::size_t j = 0; j < i; ++j)
                if (list[j].is_ipv6() == list[i].is_ipv6())
                    add(subject, at("source", i),
                        "source: " + list[j].text() + " is " + list[j].family_name() +
                            " already; at most one address of each family");
        }
    }

    const Config &config_;
    // Owners as (path, title): two objects may bear the same title by mistake.
    using Owner = std::pair<std::string, std::string>;
    std::map<std::uint16_t, Owner> port_owners_;
    std::map<std::pair<Address, std::uint16_t>, Owner> owners_;
    std::string all_ports_owner_;
};

} // namespace

std::vector<Problem> validate(const Config &config)
{
    return Validator(config).run();
}

} // namespace wlb
