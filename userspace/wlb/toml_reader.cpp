// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/toml_reader.h"

#include "wlb/toml_cache_host.h"
#include "wlb/toml_cache_router.h"
#include "wlb/toml_processing.h"
#include "wlb/toml_registry.h"
#include "wlb/validate.h"

namespace wlb {

namespace {

class ConfigReader : private TomlWalk {
public:
    ParsedConfig run(const toml::table &root)
    {
        keys(
            root, "",
            {"client-gateway", "server-gateway", "replica", "cache-router", "cache", "processing"});
        if (const auto *table = role(root, "client-gateway"))
            client_gateway(*table);
        if (const auto *table = role(root, "server-gateway")) {
            keys(*table, "server-gateway", {"clones-per-second", "origin"});
            integer(*table, "server-gateway", "clones-per-second",
                    parsed_.config.server_gateway.clones_per_second);
            each(*table, "server-gateway", "origin",
                 [this](const auto &entry, const auto &path) { origin(entry, path); });
        }
        if (const auto *table = role(root, "replica")) {
            keys(*table, "replica", {"origin"});
            each(*table, "replica", "origin",
                 [this](const auto &entry, const auto &path) { served(entry, path); });
        }
        if (const auto *table = role(root, "cache-router"))
            read_cache_router(*this, *table, parsed_.config.cache_router);
        if (const auto *table = role(root, "cache"))
            read_cache_host(*this, *table, parsed_.config.cache_host);
        if (const auto *table = role(root, "processing"))
            read_processing(*this, *table, parsed_.config.processing);
        for (const auto &problem : validate(parsed_.config))
            if (!has_failed(problem.path))
                complain(locate(problem.path), problem.message);

        parsed_.errors = take_errors();
        return std::move(parsed_);
    }

private:
    void servers(const toml::table &table, const std::string &path, std::vector<Address> &target)
    {
        texts(table, path, "server", "an address or a list of addresses", true, &Address::parse,
              target);
    }

    void client_gateway(const toml::table &table)
    {
        const std::string path = "client-gateway";
        auto &gateway = parsed_.config.client_gateway;
        keys(table, path,
             {"inside", "max-flows", "client-quota", "max-learned", "returns", "conntrack",
              "timeouts", "service"});
        strings(table, path, "inside", "a list of interface names", gateway.inside);
        integer(table, path, "max-flows", gateway.max_flows);
        integer(table, path, "client-quota", gateway.client_quota);
        integer(table, path, "max-learned", gateway.max_learned);
        set_of(table, path, "returns", "a list of return modes", &parse_return, gateway.returns);
        choice(table, path, "conntrack", &parse_conntrack, gateway.conntrack);
        timeouts(table, path, gateway.timeouts);
        each(table, path, "service",
             [this](const auto &entry, const auto &entry_path) { service(entry, entry_path); });
    }

    void timeouts(const toml::table &table, const std::string &parent, Timeouts &target)
    {
        const auto *entries = inner(table, parent, "timeouts", "{ racing = \"70s\" }");
        if (entries == nullptr)
            return;
        const auto path = parent + ".timeouts";
        keys(*entries, path,
             {"racing", "tombstone", "established", "closing", "reset", "untagged", "dead",
              "learned"});
        whole_seconds(*entries, path, "racing", target.racing);
        whole_seconds(*entries, path, "tombstone", target.tombstone);
        whole_seconds(*entries, path, "established", target.established);
        whole_seconds(*entries, path, "closing", target.closing);
        whole_seconds(*entries, path, "reset", target.reset);
        whole_seconds(*entries, path, "untagged", target.untagged);
        whole_seconds(*entries, path, "dead", target.dead);
        whole_seconds(*entries, path, "learned", target.learned);
    }

    void service(const toml::table &table, const std::string &path)
    {
        auto &service = parsed_.config.client_gateway.services.emplace_back();
        keys(table, path,
             {"name", "ports", "replicas", "never", "sticky", "race", "fan-out", "explore",
              "fastpath"});
        string(table, path, "name", service.name);
        ports(table, path, service.ports, &service.all_ports);
        texts_or_any(table, path, "replicas", "a list of prefixes", &Prefix::parse,
                     service.replicas, service.any_replica);
        texts(table, path, "never", "a list of prefixes", false, &Prefix::parse, service.never);
        whole_seconds(table, path, "sticky", service.sticky);
        choice(table, path, "race", &parse_service_race, service.race);
        integer(table, path, "fan-out", service.fan_out);
        whole_seconds(table, path, "explore", service.explore);
        choice(table, path, "fastpath", &parse_fastpath, service.fastpath);
    }

    void origin(const toml::table &table, const std::string &path)
    {
        auto &origin = parsed_.config.origins.emplace_back();
        keys(table, path,
             {"name", "server", "ports", "race", "max-hold", "replicas", "source", "strip-tag",
              "fan-out", "pick", "clones-per-second", "clones-per-prefix", "cookie", "registry"});
        string(table, path, "name", origin.name);
        servers(table, path, origin.servers);
        ports(table, path, origin.ports, nullptr);
        choice(table, path, "race", &parse_race, origin.race);
        origin.max_hold = duration(table, path, "max-hold", std::chrono::milliseconds(1))
                              .value_or(origin.max_hold);
        list(table, path, "replicas", origin.replicas,
             "a list of tables as in [{ address = \"198.51.100.7\" }]", false,
             [&](const toml::node &entry, const std::string &item_path) {
                 replica(entry, item_path, origin.replicas);
             });
        value(table, path, "source", &Address::parse, origin.source);
        boolean(table, path, "strip-tag", origin.strip_tag);
        integer(table, path, "fan-out", origin.fan_out);
        choice(table, path, "pick", &parse_pick, origin.pick);
        integer(table, path, "clones-per-second", origin.clones_per_second);
        integer(table, path, "clones-per-prefix", origin.clones_per_prefix);
        whole_seconds(table, path, "cookie", origin.cookie);
        read_registry(*this, table, path, origin.registry);
    }

    void replica(const toml::node &node, const std::string &path, std::vector<Replica> &target)
    {
        const auto *table = node.as_table();
        if (table == nullptr) {
            wrong_type(path, node, "a table as in { address = \"198.51.100.7\" }");
            return;
        }
        keys(*table, path, {"address", "via", "delay"});
        std::optional<Address> address;
        std::optional<Via> via;
        value(*table, path, "address", &Address::parse, address);
        value(*table, path, "via", &parse_via, via);
        const auto delay = duration(*table, path, "delay", std::chrono::milliseconds(1));
        if (address)
            target.push_back({*address, via.value_or(Via::gre), delay.value_or(microseconds(0))});
        else if (table->get("address") == nullptr)
            fail(path, node, "address is missing: the replica's address");
    }

    void served(const toml::table &table, const std::string &path)
    {
        auto &served = parsed_.config.served.emplace_back();
        keys(table, path,
             {"name", "server", "ports", "local", "return", "via", "trust-path", "clones-from",
              "gateways", "key-file", "weight", "probe", "busy"});
        servers(table, path, served.servers);
        string(table, path, "name", served.name);
        if (table.get("name") == nullptr && !served.servers.empty())
            served.name = default_name(served.servers.front());
        if (served.servers.empty())
            excuse(path + ".name"); // it is the server that is missing
        ports(table, path, served.ports, nullptr);
        value(table, path, "local", &Address::parse, served.local);
        choice(table, path, "return", &parse_return, served.return_mode);
        value(table, path, "via", &parse_via, served.via);
        if (!served.via)
            served.via = default_via(served.return_mode);
        boolean(table, path, "trust-path", served.trust_path);
        if (has_failed(path + ".return"))
            for (const auto *key : {".via", ".trust-path"})
                excuse(path + key); // it is the mode that is wrong
        texts(table, path, "clones-from", "a list of prefixes", false, &Prefix::parse, served.from);
        read_registration(*this, table, path, served.registration);
    }

    ParsedConfig parsed_;
};

} // namespace

ParsedConfig parse_config(std::string_view text)
{
    try {
        const toml::table root = toml::parse(text);
        return ConfigReader().run(root);
    } catch (const toml::parse_error &error) {
        const auto place = error.source().begin;
        ParsedConfig parsed;
        parsed.errors.push_back({place.line, place.column, std::string(error.description())});
        return parsed;
    }
}

} // namespace wlb
