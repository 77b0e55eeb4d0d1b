// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/toml_cache_host.h"

#include <algorithm>

#include "wlb/probe_config.h"

namespace wlb {

namespace {

class MembershipReader {
public:
    MembershipReader(TomlWalk &walk, const toml::table &table, const std::string &path,
                     Membership &group)
        : walk_(walk), table_(table), path_(path), group_(group)
    {
    }

    void run()
    {
        walk_.keys(
            table_, path_,
            {"service",          "address",       "routers",     "group-address", "group-interface",
             "learn-routers",    "strict-source", "router-list", "password-file", "version",
             "forwarding",       "return",        "assignment",  "interval",      "timeout-scale",
             "assignment-scale", "weight",        "mask",        "bucket-format", "hot-buckets",
             "slow-start",       "yield",         "deliver",     "probe",         "member"});
        service();
        routers();
        walk_.string(table_, path_, "password-file", group_.password_file);
        walk_.choice(table_, path_, "version", &parse_version_2_01, group_.version_2_01);
        methods();
        walk_.whole_milliseconds(table_, path_, "interval", group_.interval);
        walk_.integer(table_, path_, "timeout-scale", group_.timeout_scale);
        walk_.integer(table_, path_, "assignment-scale", group_.assignment_scale);
        walk_.integer(table_, path_, "weight", group_.weight);
        mask();
        walk_.choice(table_, path_, "bucket-format", &parse_bucket_format, group_.bucket_format);
        walk_.numbers<std::uint8_t>(table_, path_, "hot-buckets", 0, 255, group_.hot_buckets);
        walk_.whole_seconds(table_, path_, "slow-start", group_.slow_start);
        walk_.boolean(table_, path_, "yield", group_.yield);
        deliver();
        read_probe(walk_, table_, path_, "{ http = \"http://127.0.0.1:3128/\" }", group_.probe);
        if (walk_.has_failed(path_ + ".probe"))
            walk_.excuse("cache.overload.answer-time"); // a probe is there, but not read
        walk_.list(table_, path_, "member", group_.members,
                   "a list of tables as in [{ address = \"192.0.2.22\", buckets = [\"0-63\"] }]",
                   false, [this](const toml::node &entry, const std::string &item_path) {
                       member(entry, item_path);
                   });
    }

private:
    void service()
    {
        const auto own_path = path_ + ".service";
        const std::string wanted =
            "\"web-cache\", or a table as in { id = 80, ports = [80, 8080] }";
        const auto *node = walk_.find(table_, path_, "service");
        if (node == nullptr) {
            walk_.fail(path_, table_, "service is missing: " + wanted);
            walk_.excuse(own_path);
        } else if (const auto *description = node->as_table()) {
            dynamic_service(*description, own_path);
        } else if (const auto *text = node->as_string()) {
            if (text->get() != ServiceId().text())
                walk_.fail(own_path, *node, "\"" + text->get() + "\" must be " + wanted);
        } else {
            walk_.wrong_type(own_path, *node, wanted);
        }
    }

    void dynamic_service(const toml::table &table, const std::string &path)
    {
        auto &service = group_.service;
        walk_.keys(
            table, path,
            {"id", "protocol", "ports", "ports-are", "hash", "alternative-hash", "priority"});
        service_id(table, path);
        protocol(table, path);
        walk_.ports(table, path, service.ports, nullptr);
        walk_.choice(table, path, "ports-are", &parse_ports_are, service.source_ports);
        walk_.set_of(table, path, "hash", "a list of fields", &parse_hash_field, service.hash);
        walk_.set_of(table, path, "alternative-hash", "a list of fields", &parse_hash_field,
                     service.alternative_hash);
        walk_.integer(table, path, "priority", service.priority);
    }

    void service_id(const toml::table &table, const std::string &path)
    {
        const auto *node = walk_.find(table, path, "id");
        std::int64_t number = 0;
        walk_.integer(table, path, "id", number);
        if (node == nullptr)
            walk_.fail(path, table, "id is missing: the number of a dynamic service, 0..255");
        else if (const auto id = ServiceId::from_number(number))
            group_.service.id = *id;
        else
            walk_.fail(path + ".id", *node,
                       "id is " + std::to_string(number) +
                           ", must be 0..255: the number of a dynamic service");
        if (walk_.has_failed(path + ".id"))
            walk_.excuse(path);
    }

    void protocol(const toml::table &table, const std::string &path)
    {
        const auto *node = walk_.find(table, path, "protocol");
        if (node == nullptr)
            return;
        if (node->is_integer())
            walk_.integer(table, path, "protocol", group_.service.protocol);
        else if (node->is_string())
            walk_.choice(table, path, "protocol", &parse_protocol, group_.service.protocol);
        else
            walk_.wrong_type(path + ".protocol", *node, "\"tcp\", \"udp\" or a number");
    }

    static Result<bool> parse_ports_are(std::string_view text)
    {
        if (text == "destination" || text == "source")
            return text == "source";
        return Error{"\"" + std::string(text) + "\" must be \"destination\" or \"source\""};
    }

    void routers()
    {
        walk_.value(table_, path_, "address", &Address::parse, group_.address);
        walk_.texts(table_, path_, "routers", "a list of addresses", false, &Address::parse,
                    group_.routers);
        walk_.value(table_, path_, "group-address", &Address::parse, group_.group_address);
        walk_.string(table_, path_, "group-interface", group_.group_interface);
        walk_.boolean(table_, path_, "learn-routers", group_.learn_routers);
        walk_.boolean(table_, path_, "strict-source", group_.strict_source);
        walk_.texts(table_, path_, "router-list", "a list of prefixes", false, &Prefix::parse,
                    group_.router_list);
        not_empty(table_, path_, "router-list", "everybody's messages are looked at");
    }

    void methods()
    {
        walk_.list_of(table_, path_, "forwarding", "a list of forwarding methods", &parse_forward,
                      group_.forwarding);
        walk_.list_of(table_, path_, "return", "a list of return methods", &parse_forward,
                      group_.returning);
        walk_.list_of(table_, path_, "assignment", "a list of assignment methods", &parse_allotment,
                      group_.assignment);
    }

    // A list whose absence says more than an empty one.
    void not_empty(const toml::table &table, const std::string &path, const std::string &key,
                   const std::string &otherwise)
    {
        const auto *list = table.get_as<toml::array>(key);
        if (list != nullptr && list->empty())
            walk_.fail(path + "." + key, *list,
                       "must have at least one item; without the key " + otherwise);
    }

    void mask()
    {
        const auto *table = walk_.inner(table_, path_, "mask", "{ source = \"0.0.23.65\" }");
        if (table == nullptr)
            return;
        const auto path = path_ + ".mask";
        auto &mask = group_.mask.emplace();
        walk_.keys(*table, path, {"source", "destination", "source-port", "destination-port"});
        walk_.value(*table, path, "source", &Address::parse, mask.source);
        walk_.value(*table, path, "destination", &Address::parse, mask.destination);
        walk_.integer(*table, path, "source-port", mask.source_port);
        walk_.integer(*table, path, "destination-port", mask.destination_port);
        for (const auto *key : {".source", ".destination", ".source-port", ".destination-port"})
            if (walk_.has_failed(path + key))
                walk_.excuse(path); // not known how many bits it has
    }

    void deliver()
    {
        const std::string example = "{ tproxy = 3129 }";
        const auto *table = walk_.inner(table_, path_, "deliver", example);
        if (table == nullptr)
            return;
        const auto path = path_ + ".deliver";
        walk_.keys(*table, path, {"tproxy", "redirect"});
        std::optional<std::uint16_t> tproxy;
        std::optional<std::uint16_t> redirect;
        walk_.port(*table, path, "tproxy", tproxy);
        walk_.port(*table, path, "redirect", redirect);
        if (table->contains("tproxy") == table->contains("redirect"))
            walk_.fail(path, *table, "must have one of tproxy and redirect, as in " + example);
        if (tproxy)
            group_.deliver = Deliver{DeliverBy::tproxy, *tproxy};
        else if (redirect)
            group_.deliver = Deliver{DeliverBy::redirect, *redirect};
    }

    void member(const toml::node &node, const std::string &path)
    {
        const auto *table = node.as_table();
        if (table == nullptr) {
            walk_.wrong_type(path, node, "a table as in { address = \"192.0.2.22\" }");
            return;
        }
        walk_.keys(*table, path, {"address", "buckets", "traffic"});
        CacheMember member;
        std::optional<Address> address;
        walk_.value(*table, path, "address", &Address::parse, address);
        walk_.texts(*table, path, "buckets", "a list of buckets as in [\"0-63\", \"128\"]", false,
                    &parse_bucket_range, member.buckets);
        not_empty(*table, path, "buckets", "it takes every one");
        walk_.list(*table, path, "traffic", member.traffic,
                   "a list of tables as in [{ source = \"10.0.0.0/8\" }]", false,
                   [&](const toml::node &entry, const std::string &item_path) {
                       traffic(entry, item_path, member.traffic);
                   });
        not_empty(*table, path, "traffic", "it takes all");
        if (!table->contains("address"))
            walk_.fail(path, node, "address is missing: the member's address");
        if (!address)
            return;
        member.address = *address;
        group_.members.push_back(member);
    }

    void traffic(const toml::node &node, const std::string &path, std::vector<CacheTraffic> &target)
    {
        const auto *table = node.as_table();
        if (table == nullptr) {
            walk_.wrong_type(path, node, "a table as in { source = \"10.0.0.0/8\" }");
            return;
        }
        walk_.keys(*table, path, {"source", "destination", "source-port", "destination-port"});
        CacheTraffic traffic;
        walk_.value(*table, path, "source", &Prefix::parse, traffic.source);
        walk_.value(*table, path, "destination", &Prefix::parse, traffic.destination);
        walk_.port(*table, path, "source-port", traffic.source_port);
        walk_.port(*table, path, "destination-port", traffic.destination_port);
        if (table->empty())
            walk_.fail(path, node,
                       "must have one of source, destination, source-port and "
                       "destination-port");
        target.push_back(traffic);
    }

    TomlWalk &walk_;
    const toml::table &table_;
    const std::string &path_;
    Membership &group_;
};

void read_overload(TomlWalk &walk, const toml::table &parent, Overload &overload)
{
    const auto *table = walk.inner(parent, "cache", "overload", "{ connections = 10000 }");
    if (table == nullptr)
        return;
    const std::string path = "cache.overload";
    walk.keys(*table, path, {"connections", "load", "answer-time"});
    std::int64_t connections = 0;
    walk.integer(*table, path, "connections", connections);
    if (table->contains("connections"))
        overload.connections = connections;
    if (const auto *node = walk.find(*table, path, "load")) {
        if (const auto *whole = node->as_integer())
            overload.load = static_cast<double>(whole->get());
        else if (const auto *number = node->as_floating_point())
            overload.load = number->get();
        else
            walk.wrong_type(path + ".load", *node, "a number");
    }
    milliseconds answer_time{0};
    walk.whole_milliseconds(*table, path, "answer-time", answer_time);
    if (table->contains("answer-time"))
        overload.answer_time = answer_time;
}

} // namespace

void read_cache_host(TomlWalk &walk, const toml::table &table, CacheHost &host)
{
    const std::string path = "cache";
    walk.keys(table, path, {"mark", "bypass", "overload", "group"});
    walk.integer(table, path, "mark", host.mark);
    walk.texts(table, path, "bypass", "a list of rules", false, &parse_redirect_rule, host.bypass);
    read_overload(walk, table, host.overload);
    walk.each(table, path, "group", [&](const auto &entry, const auto &entry_path) {
        MembershipReader(walk, entry, entry_path, host.groups.emplace_back()).run();
    });
}

} // namespace wlb
