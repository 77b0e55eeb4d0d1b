// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/fields.h"

#include <algorithm>
#include <iterator>

namespace wlb {

namespace {

template <class Items, class Text> Field list(const char *name, const Items &items, Text text)
{
    Field field{name, {}, true};
    std::transform(items.begin(), items.end(), std::back_inserter(field.items), text);
    return field;
}

Field addresses(const char *name, const std::vector<Address> &items)
{
    return list(name, items, [](const auto &address) { return address.text(); });
}

Field prefixes(const char *name, const std::vector<Prefix> &items)
{
    return list(name, items, [](const auto &prefix) { return prefix.text(); });
}

Field ports(const std::vector<std::uint16_t> &items)
{
    return list("ports", items, [](auto port) { return std::to_string(port); });
}

Field scalar(const char *name, const std::string &value)
{
    return Field{name, {value}, false};
}

std::string text(const Replica &replica)
{
    return replica.address.text() + ",via=" + name_of(replica.via) +
           ",delay=" + format_duration(replica.delay);
}

} // namespace

std::vector<Field> fields_of(const ClientGateway &gateway)
{
    const auto &t = gateway.timeouts;
    return {
        Field{"inside", gateway.inside, true},
        scalar("max-flows", std::to_string(gateway.max_flows)),
        scalar("client-quota", std::to_string(gateway.client_quota)),
        scalar("max-learned", std::to_string(gateway.max_learned)),
        list("returns", gateway.returns, [](auto mode) { return name_of(mode); }),
        scalar("conntrack", name_of(gateway.conntrack)),
        scalar("timeouts.racing", format_duration(t.racing)),
        scalar("timeouts.tombstone", format_duration(t.tombstone)),
        scalar("timeouts.established", format_duration(t.established)),
        scalar("timeouts.closing", format_duration(t.closing)),
        scalar("timeouts.reset", format_duration(t.reset)),
        scalar("timeouts.untagged", format_duration(t.untagged)),
        scalar("timeouts.dead", format_duration(t.dead)),
        scalar("timeouts.learned", format_duration(t.learned)),
    };
}

std::vector<Field> fields_of(const ServerGateway &gateway)
{
    return {scalar("clones-per-second", std::to_string(gateway.clones_per_second))};
}

std::vector<Field> fields_of(const Service &service)
{
    return {
        service.all_ports ? Field{"ports", {"all"}, true} : ports(service.ports),
        service.any_replica ? Field{"replicas", {"any"}, true}
                            : prefixes("replicas", service.replicas),
        prefixes("never", service.never),
        scalar("sticky", format_duration(service.sticky)),
        scalar("race", name_of(service.race)),
        scalar("fan-out", std::to_string(service.fan_out)),
        scalar("explore", format_duration(service.explore)),
        scalar("fastpath", name_of(service.fastpath)),
    };
}

std::vector<Field> fields_of(const Origin &origin)
{
    return {
        addresses("server", origin.servers),
        ports(origin.ports),
        scalar("race", name_of(origin.race)),
        scalar("max-hold", format_duration(origin.max_hold)),
        list("replicas", origin.replicas, [](const auto &replica) { return text(replica); }),
        scalar("source", origin.source ? origin.source->text() : "auto"),
        scalar("strip-tag", origin.strip_tag ? "true" : "false"),
        scalar("fan-out", std::to_string(origin.fan_out)),
        scalar("pick", name_of(origin.pick)),
        scalar("clones-per-second", std::to_string(origin.clones_per_second)),
        scalar("clones-per-prefix", std::to_string(origin.clones_per_prefix)),
        scalar("cookie", format_duration(origin.cookie)),
    };
}

std::vector<Field> fields_of(const Served &served)
{
    return {
        addresses("server", served.servers),
        ports(served.ports),
        scalar("local", served.local ? served.local->text() : "none"),
        scalar("return", name_of(served.return_mode)),
        scalar("via", served.via ? name_of(*served.via) : "none"),
        scalar("trust-path", served.trust_path ? "true" : "false"),
        prefixes("clones-from", served.from),
    };
}

std::string describe(const std::string &kind, const std::string &name,
                     const std::vector<Field> &fields)
{
    auto text = kind + " " + name;
    for (const auto &field : fields) {
        if (field.items.empty())
            continue;
        // The items of `replicas` have commas of their own.
        const bool commas = std::any_of(field.items.begin(), field.items.end(), [](const auto &i) {
            return i.find(',') != std::string::npos;
        });
        text += " " + field.name + " " + join(field.items, commas ? " " : ",");
    }
    return text;
}

} // namespace wlb
