// SPDX-License-Identifier: GPL-2.0-only
// WCCP's roles and processing: which cache has the packet, by which rule, and what is changed.
#include <netinet/in.h>

#include <algorithm>

#include "wlb/wccp_service.h"
#include "wlbctl/explain.h"
#include "wlbctl/finding.h"

namespace wlb::cli {

namespace {

bool has(const std::vector<std::string> &interfaces, const std::string &interface)
{
    return !interface.empty() &&
           std::find(interfaces.begin(), interfaces.end(), interface) != interfaces.end();
}

bool matches(const RedirectRule &rule, const Packet &packet)
{
    return (!rule.source || rule.source->contains(packet.source)) &&
           (!rule.destination || rule.destination->contains(packet.destination));
}

// Its place, or the number of rules if none matches.
std::size_t first_match(const std::vector<RedirectRule> &rules, const Packet &packet)
{
    const auto found = std::find_if(rules.begin(), rules.end(),
                                    [&](const auto &rule) { return matches(rule, packet); });
    return static_cast<std::size_t>(found - rules.begin());
}

// "rule 2, \"!10.0.0.0/8\""
std::string rule_text(const std::vector<RedirectRule> &rules, std::size_t index)
{
    return "rule " + std::to_string(index + 1) + ", \"" + to_text(rules[index]) + "\"";
}

// An address that routers forward: of a host, and of more than a link.
bool is_ordinary(const Address &address, bool destination)
{
    const auto *octet = address.data();
    if (address.is_ipv6()) {
        const bool link_local = octet[0] == 0xfe && (octet[1] & 0xc0) == 0x80;
        const bool loopback = address.text() == "::1";
        return !link_local && !loopback && !address.is_multicast() && address.text() != "::";
    }
    const bool link_local = octet[0] == 169 && octet[1] == 254;
    const bool everybody = std::all_of(octet, octet + 4, [](auto byte) { return byte == 255; });
    return octet[0] != 0 && !link_local &&
           (!destination || (!address.is_multicast() && !everybody && octet[0] != 127));
}

class CacheRouterPart {
public:
    CacheRouterPart(const Packet &packet, const InForce &kernel, const Run &run)
        : packet_(packet), kernel_(kernel), run_(run)
    {
    }

    Part run()
    {
        part_.decide("passed", "passes: it belongs to no group");
        for (const auto &running : kernel_.groups.groups) {
            bool assigned = false;
            for (const auto &one : kernel_.assignments)
                if (one.assignment.group == running.group.name &&
                    one.assignment.ipv6 == packet_.source.is_ipv6()) {
                    assigned = true;
                    tries_.push_back({&running.group, &one.assignment});
                }
            if (!assigned)
                say(running.group, "no cache has any of its " +
                                       std::string(packet_.source.family_name()) + " packets");
        }
        std::stable_sort(tries_.begin(), tries_.end(), [](const Try &a, const Try &b) {
            const auto x = rank(a);
            const auto y = rank(b);
            return wlb_wccp_order(&x, &y) < 0;
        });
        for (const auto &one : tries_)
            if (!before_routing(one) && !behind_routing(one))
                say(*one.group, interfaces_text(*one.group));
        for (const bool routed : {false, true})
            for (const auto &one : tries_)
                if (routed ? behind_routing(one) : before_routing(one)) {
                    routed_ = routed;
                    const auto what = look(one);
                    if (what == decided)
                        return part_;
                    if (what == left_alone)
                        break;
                }
        return part_;
    }

private:
    struct Try {
        const RedirectGroup *group;
        const RedirectAssignment *assignment;
    };
    enum Outcome { next_group, left_alone, decided };

    static wlb_wccp_rank rank(const Try &one)
    {
        return {one.assignment->priority, static_cast<std::uint8_t>(one.group->type),
                one.group->id};
    }

    void say(const RedirectGroup &group, const std::string &text)
    {
        part_.step("group " + group.name, text);
    }

    [[nodiscard]] bool before_routing(const Try &one) const
    {
        return one.group->hook == GroupHook::prerouting && has(one.group->in, packet_.in);
    }

    [[nodiscard]] bool behind_routing(const Try &one) const
    {
        return packet_.is_forwarded() &&
               (has(one.group->out, packet_.out) ||
                (one.group->hook == GroupHook::forward && has(one.group->in, packet_.in)));
    }

    [[nodiscard]] std::string interfaces_text(const RedirectGroup &group) const
    {
        const auto list = [](const std::vector<std::string> &names) {
            return names.empty() ? std::string("nothing") : join(names, ", ");
        };
        return "not of its interfaces: it takes what comes in by " + list(group.in) +
               " or leaves by " + list(group.out);
    }

    [[nodiscard]] bool is_member(const RedirectAssignment &assignment, const Address &address) const
    {
        return std::any_of(assignment.members.begin(), assignment.members.end(),
                           [&](const auto &member) { return member.address == address; });
    }

    Outcome leave(const std::string &why)
    {
        part_.decide("passed", "passes: " + why);
        return left_alone;
    }

    Outcome look(const Try &one)
    {
        const auto &group = *one.group;
        const auto &assignment = *one.assignment;
        const std::string where = routed_ ? "behind routing: " : "";
        const wlb_wccp_packet packet{packet_.protocol, packet_.sport.value_or(0),
                                     packet_.dport.value_or(0)};
        std::size_t ports = 0;
        while (ports < assignment.ports.size() && assignment.ports.at(ports) != 0)
            ++ports;
        const bool by_source = (assignment.flags & WLB_WCCP_PORTS) != 0 &&
                               (assignment.flags & WLB_WCCP_PORTS_SRC) != 0;
        if (by_source && !packet_.sport)
            return unknown(group, "its service is of source ports");
        if (!wlb_wccp_covers(assignment.protocol, assignment.flags, assignment.ports.data(),
                             static_cast<unsigned>(ports), &packet)) {
            say(group, where + service_text(assignment, ports, by_source));
            return next_group;
        }
        for (const auto &exempt :
             {std::pair{has(group.exclude, packet_.in), packet_.in + " is excluded"},
              {is_member(assignment, packet_.source),
               packet_.source.text() + " is one of its caches"},
              {is_member(assignment, packet_.destination),
               packet_.destination.text() + " is one of its caches"}})
            if (exempt.first) {
                say(group, where + exempt.second);
                return next_group;
            }
        for (const bool destination : {false, true}) {
            const auto &end = destination ? packet_.destination : packet_.source;
            if (!is_ordinary(end, destination)) {
                say(group, where + end.text() + " is no host's that routers forward for");
                return leave("of such an address nothing is redirected");
            }
        }
        if (!routed_ && packet_.local) {
            say(group, "it is for this host");
            return leave("what is for the router is not redirected");
        }
        return listed(one, where);
    }

    [[nodiscard]] std::string service_text(const RedirectAssignment &assignment, std::size_t ports,
                                           bool by_source) const
    {
        if (assignment.protocol != packet_.protocol)
            return "its service is of " + protocol_name(assignment.protocol);
        std::vector<std::string> all;
        for (std::size_t i = 0; i < ports; ++i)
            all.push_back(std::to_string(assignment.ports.at(i)));
        return std::string("its service is of ") + (by_source ? "source" : "destination") +
               " ports " + join(all, ", ");
    }

    // The redirect list.
    Outcome listed(const Try &one, const std::string &where)
    {
        const auto &rules = one.group->rules;
        auto text = where + "of its service";
        if (!rules.empty()) {
            const auto rule = first_match(rules, packet_);
            const bool none = rule == rules.size();
            text += none ? ", and no rule of its redirect list has it"
                         : ", " + rule_text(rules, rule) + ", " +
                               (rules[rule].deny ? "denies" : "permits");
            if (none || rules[rule].deny) {
                say(*one.group, text);
                if (kernel_.groups.check_all)
                    return next_group;
                return leave("the redirect list of group " + one.group->name +
                             " denies it, and no other group is asked");
            }
        }
        return choose(one, text);
    }

    Outcome unknown(const RedirectGroup &group, const std::string &why)
    {
        say(group, why);
        part_.decide("unknown", "that depends on the client's port: give it");
        return decided;
    }

    // Which cache, by the kernel's own arithmetic.
    Outcome choose(const Try &one, std::string text)
    {
        const auto &assignment = *one.assignment;
        const wlb_redirect_key key{packet_.source.data(), packet_.destination.data(),
                                   packet_.source.size(), packet_.sport.value_or(0),
                                   packet_.dport.value_or(0)};
        const bool has_ports = packet_.dport.has_value();
        part_.facts["group"] = one.group->name;
        std::optional<std::size_t> member;
        if (assignment.buckets) {
            const auto fields = assignment.flags | assignment.flags >> WLB_WCCP_ALT_SHIFT;
            if (has_ports && !packet_.sport && (fields & WLB_WCCP_SRC_PORT) != 0)
                return unknown(*one.group, "its hash is of source ports");
            wlb_wccp_choice choice{};
            wlb_wccp_choose(&key, assignment.flags, assignment.buckets->data(), &choice);
            part_.facts["bucket"] = choice.primary;
            text += ", bucket " + std::to_string(choice.primary);
            if (choice.alt_used) {
                part_.facts["alternative_bucket"] = choice.alt;
                text += ", alternative bucket " + std::to_string(choice.alt);
            }
            if (choice.cache != WLB_WCCP_BUCKET_NONE)
                member = choice.cache;
        } else {
            for (std::size_t i = 0; i < assignment.masks.size() && !member; ++i) {
                const auto &set = assignment.masks[i];
                if (has_ports && !packet_.sport && set.mask.sport != 0)
                    return unknown(*one.group, "its masks are of source ports");
                member = by_mask(set, i, key, text);
            }
        }
        if (!member || *member >= assignment.members.size()) {
            say(*one.group, text + ", which no cache has");
            return no_cache(*one.group, "no cache is assigned");
        }
        const auto &cache = assignment.members[*member];
        part_.facts["cache"] = cache.address.text();
        part_.facts["forwarding"] = name_of(cache.forward);
        say(*one.group, text + ": cache " + cache.address.text());
        if (one.group->drain.count() != 0 && packet_.protocol == IPPROTO_TCP) {
            part_.facts["drain_s"] = one.group->drain.count();
            say(*one.group, "drain: if a reassignment is no longer ago than " +
                                format_duration(one.group->drain) +
                                ", a connection from before it, and one of ends that began since "
                                "and are remembered, stays with its cache");
        }
        return send(*one.group, cache);
    }

    std::optional<std::size_t> by_mask(const RedirectMaskSet &set, std::size_t index,
                                       const wlb_redirect_key &key, std::string &text)
    {
        wlb_wccp_mask mask{};
        std::copy(set.mask.src.begin(), set.mask.src.end(), std::begin(mask.src));
        std::copy(set.mask.dst.begin(), set.mask.dst.end(), std::begin(mask.dst));
        mask.sport = set.mask.sport;
        mask.dport = set.mask.dport;
        const auto number = wlb_wccp_vsn(&key, &mask);
        text += ", mask " + std::to_string(index) + " value " + std::to_string(number);
        const auto found = std::lower_bound(
            set.values.begin(), set.values.end(), number,
            [](const RedirectValue &value, std::uint32_t wanted) { return value.number < wanted; });
        if (found == set.values.end() || found->number != number)
            return {};
        part_.facts["mask"] = index;
        part_.facts["value"] = number;
        return found->member;
    }

    Outcome no_cache(const RedirectGroup &group, const std::string &why)
    {
        part_.ends = group.closed && !routed_;
        if (group.closed)
            part_.decide("dropped", "dropped: " + why + ", and group " + group.name + " is closed");
        else
            part_.decide("passed", "passes to the server: " + why);
        return decided;
    }

    Outcome send(const RedirectGroup &group, const RedirectMember &cache)
    {
        const auto route = route_to(run_, cache.address);
        const auto type = word(route, "type");
        if (!route.is_object() || (!type.empty() && type != "unicast"))
            return no_cache(group, "there is no route to cache " + cache.address.text());
        if (cache.forward == Forward::l2) {
            if (!word(route, "gateway").empty())
                return no_cache(group, "cache " + cache.address.text() +
                                           " is behind a router, where L2 does not reach");
            const auto neighbours = parse_output(run_(
                {"ip", "-j", "neigh", "show", cache.address.text(), "dev", word(route, "dev")}));
            for (const auto &one : neighbours.is_array() ? neighbours : Json::array())
                if (word(one, "state").find("FAILED") != std::string::npos)
                    return no_cache(group, "cache " + cache.address.text() +
                                               " does not answer on " + word(route, "dev"));
        }
        part_.ends = !routed_;
        part_.decide("redirected", "redirected to cache " + cache.address.text() + " by " +
                                       (cache.forward == Forward::gre ? "GRE" : "L2") +
                                       ", out by " + word(route, "dev"));
        return decided;
    }

    const Packet &packet_;
    const InForce &kernel_;
    const Run &run_;
    std::vector<Try> tries_;
    bool routed_ = false; // at POST_ROUTING, else at PRE_ROUTING
    Part part_{"cache-router"};
};

bool listens(const Run &run, const std::vector<std::uint16_t> &ports)
{
    return std::any_of(ports.begin(), ports.end(), [&](auto port) {
        const auto sockets = run({"ss", "-HltnO", "sport", "=", std::to_string(port)});
        return sockets && !sockets->empty();
    });
}

bool has_socket(const Run &run, const Packet &packet)
{
    const auto sockets =
        run({"ss", "-HtnO", "src", endpoint(packet.destination, packet.dport.value_or(0)), "dst",
             endpoint(packet.source, packet.sport.value_or(0))});
    return sockets && !sockets->empty();
}

} // namespace

Part explain_cache_router(const Packet &packet, const InForce &kernel, const Run &run)
{
    return CacheRouterPart(packet, kernel, run).run();
}

Part explain_cache(const Packet &packet, const InForce &kernel, const Run &run)
{
    Part part("cache");
    const auto &cache = kernel.doors.cache;
    const auto back = [&](const std::string &why) {
        part.ends = true;
        return part.decide("returned", "returned to " + packet.from->text() + ": " + why);
    };
    if (!packet.from)
        return part.decide("passed", "is not redirected; --from ROUTER asks about one that is");
    const auto door = std::find_if(cache.doors.begin(), cache.doors.end(),
                                   [&](const Door &one) { return one.address == *packet.from; });
    if (door == cache.doors.end())
        return part.decide("passed",
                           "left alone: " + packet.from->text() + " is no router of this cache's");
    part.step("router", packet.from->text() + " sends by " + name_of(door->forward) +
                            " and has it back by " + name_of(door->return_method));
    const bool tcp = packet.protocol == IPPROTO_TCP;
    if (packet.kind == Packet::segment) {
        if (has_socket(run, packet))
            part.step("connection", "a socket of this host has it");
        else if (cache.nat)
            return part.decide("unknown", "taken in if connection tracking knows the connection, "
                                          "else returned");
        else
            return back("it is of no connection here, if no SYN cookies are in use");
    } else {
        const auto rule = first_match(cache.rules, packet);
        if (rule < cache.rules.size() && !cache.rules[rule].deny)
            return back(rule_text(cache.rules, rule) + ", of bypass");
        part.step("bypass", rule < cache.rules.size() ? rule_text(cache.rules, rule)
                                                      : std::string("no rule has it"));
        for (const auto &one : kernel.bypasses)
            if (one.destination == packet.destination &&
                (!one.source || *one.source == packet.source))
                return back("learned, for " + format_duration(one.lifetime) +
                            " yet: " + one.destination.text() +
                            (one.source ? " from " + one.source->text() : std::string()));
        part.step("learned", "nothing");
        if (tcp && cache.share >= 1000)
            return back("overload");
        if (tcp && cache.share != 0)
            part.step("overload", std::to_string(cache.share) +
                                      " of 1000 new connections are returned, by their hash");
        if (tcp && !cache.ports.empty() && door->source && !listens(run, cache.ports))
            return back("no proxy listens");
    }
    part.ends = true;
    return part.decide("taken-in",
                       "taken in" +
                           (cache.mark ? ", mark " + std::to_string(*cache.mark) : std::string()));
}

Part explain_process(const Packet &packet, const InForce &kernel)
{
    Part part("process");
    if (!packet.is_forwarded())
        return part.decide("passed", "only what is forwarded is processed");
    for (std::size_t i = 0; i < kernel.process.size(); ++i) {
        const auto &rule = kernel.process[i].rule;
        if (!rule.on.contains(ProcessOn::passing) ||
            (rule.source && !rule.source->contains(packet.source)) ||
            (rule.destination && !rule.destination->contains(packet.destination)) ||
            (rule.protocol && *rule.protocol != 0 && *rule.protocol != packet.protocol) ||
            (rule.port && rule.port != packet.dport) ||
            (rule.rewrite && rule.rewrite->is_ipv6() != packet.source.is_ipv6()))
            continue;
        std::vector<std::string> actions;
        if (rule.dscp)
            actions.push_back("DSCP " + std::to_string(*rule.dscp));
        if (rule.rewrite)
            actions.push_back("connections that begin go to " + rule.rewrite->text());
        if (!rule.tag.empty())
            actions.push_back("SYNs are tagged " + tag_text(rule.tag));
        if (rule.untag)
            actions.emplace_back("SYNs lose such a tag");
        if (kernel.process[i].copy_group)
            actions.push_back("copied to NFLOG " + std::to_string(*kernel.process[i].copy_group));
        part.facts["rule"] = i + 1;
        return part.decide("processed",
                           "rule " + std::to_string(i + 1) + ": " +
                               (actions.empty() ? "nothing is done to it" : join(actions, ", ")));
    }
    return part.decide("passed", "passes: no rule has it");
}

} // namespace wlb::cli
