// SPDX-License-Identifier: GPL-2.0-only
// The roles of wide-area selection: whom a SYN is offered to, and who has a connection.
#include <algorithm>

#include "wlb/fsm.h"
#include "wlbctl/explain.h"
#include "wlbctl/finding.h"
#include "wlbctl/json_text.h"

namespace wlb::cli {

namespace {

bool has(const std::vector<std::uint16_t> &ports, std::optional<std::uint16_t> port)
{
    return port && std::find(ports.begin(), ports.end(), *port) != ports.end();
}

const Prefix *match(const std::vector<Prefix> &list, const Address &address)
{
    const auto found = std::find_if(list.begin(), list.end(),
                                    [&](const Prefix &prefix) { return prefix.contains(address); });
    return found == list.end() ? nullptr : &*found;
}

std::string texts(const std::vector<Address> &addresses)
{
    std::vector<std::string> all;
    all.reserve(addresses.size());
    for (const auto &address : addresses)
        all.push_back(address.text());
    return all.empty() ? "nobody" : join(all, ", ");
}

Json json(const std::vector<Address> &addresses)
{
    auto array = Json::array();
    for (const auto &address : addresses)
        array.push_back(address.text());
    return array;
}

std::string ports_text(const std::vector<std::uint16_t> &ports)
{
    std::vector<std::string> all;
    all.reserve(ports.size());
    for (const auto port : ports)
        all.push_back(std::to_string(port));
    return join(all, ", ");
}

// The module's state machine of a flow, as it stands.
wlb_fsm machine_of(const Flow &flow)
{
    wlb_fsm machine{};
    machine.isn = flow.isn;
    machine.state = flow.state;
    if (flow.track) {
        machine.flags = flow.track->flags;
        machine.end[WLB_DIR_CLIENT] = flow.track->client_end;
        machine.ack[WLB_DIR_CLIENT] = flow.track->client_ack;
        machine.end[WLB_DIR_SERVER] = flow.track->server_end;
        machine.ack[WLB_DIR_SERVER] = flow.track->server_ack;
        machine.nonce = flow.track->new_isn;
    }
    return machine;
}

class ClientGatewayPart {
public:
    ClientGatewayPart(const Packet &packet, const InForce &kernel)
        : packet_(packet), kernel_(kernel), gateway_(kernel.running.config.client_gateway)
    {
    }

    Part run()
    {
        if (packet_.protocol != IPPROTO_TCP)
            return pass("it is no TCP");
        if (const auto *flow = returning())
            return carried_back(*flow);
        const auto *service = find_service();
        if (service == nullptr)
            return pass("no service has TCP port " + std::to_string(*packet_.dport));
        part_.facts["service"] = service->name;
        part_.step("service", service->name + " has port " + std::to_string(*packet_.dport));
        const auto *flow = find_flow();
        if (!packet_.is_syn())
            return segment(*service, flow);
        if (!inside())
            return part_;
        if (kernel_.stats.counter("syn_untagged") != 0)
            part_.step("untagged", "unless the way to this server drops tags, which is remembered "
                                   "for " +
                                       format_duration(gateway_.timeouts.untagged));
        for (const auto &end : {packet_.source, packet_.destination})
            if (const auto *prefix = match(service->never, end)) {
                part_.step("never", end.text() + " is in " + prefix->text());
                return part_.decide("not-permitted", "tagged \"redirection not permitted\": the "
                                                     "server alone answers");
            }
        if (flow != nullptr && !begins_anew(*flow))
            return part_;
        if (flow == nullptr && kernel_.stats.flows >= gateway_.max_flows)
            part_.step("table", "it is full with " + std::to_string(kernel_.stats.flows) +
                                    " flows: the SYN passes untagged unless another race is "
                                    "forgotten for it");
        return race(*service);
    }

private:
    Part pass(const std::string &why) { return part_.decide("passed", "passes: " + why); }

    [[nodiscard]] const Service *find_service() const
    {
        const Service *rest = nullptr;
        for (const auto &service : gateway_.services) {
            if (has(service.ports, packet_.dport))
                return &service;
            if (service.all_ports)
                rest = &service;
        }
        return rest;
    }

    [[nodiscard]] const Flow *find_flow()
    {
        if (!packet_.sport) {
            part_.step("flow", "of no client port, so that no flow is looked for");
            return nullptr;
        }
        for (const auto &flow : kernel_.flows)
            if (flow.tuple.client == packet_.source && flow.tuple.server == packet_.destination) {
                part_.step("flow", to_text(flow));
                part_.facts["flow"] = to_json(flow);
                return &flow;
            }
        part_.step("flow", "none of these ends");
        return nullptr;
    }

    // A flow whose client the packet is for.
    [[nodiscard]] const Flow *returning() const
    {
        const auto found =
            std::find_if(kernel_.flows.begin(), kernel_.flows.end(), [&](const Flow &flow) {
                return flow.tuple.client == packet_.destination &&
                       (flow.winner == packet_.source || flow.tuple.server == packet_.source);
            });
        return found == kernel_.flows.end() ? nullptr : &*found;
    }

    Part carried_back(const Flow &flow)
    {
        part_.step("flow", to_text(flow));
        part_.facts["flow"] = to_json(flow);
        if (packet_.is_syn())
            return pass("answers are not explained; --segment asks about what follows them");
        const bool server = flow.tuple.server == packet_.source;
        const bool spoofed = server && flow.return_mode == WLB_RETURN_SPOOF;
        auto machine = machine_of(flow);
        const wlb_seg data{
            machine.end[WLB_DIR_SERVER], machine.end[WLB_DIR_CLIENT], 1, WLB_TCP_ACK, false, 0};
        int stat = WLB_NO_STAT;
        switch (wlb_fsm_segment(&machine, &data,
                                server && !spoofed ? WLB_FROM_SERVER : WLB_FROM_WINNER, &stat)) {
        case WLB_DROP:
            return part_.decide("dropped", "dropped: a replica has won, not the server");
        case WLB_CARRY:
            return part_.decide(
                "carried", "comes from the winner" +
                               (spoofed ? std::string(", under the server's address")
                                        : ": on to the client as from " +
                                              endpoint(flow.tuple.server, flow.tuple.server_port)));
        default:
            return pass("the server has won, or nobody yet");
        }
    }

    [[nodiscard]] bool inside()
    {
        const auto is_inside = [&](const std::string &interface) {
            return gateway_.inside.empty() ||
                   std::find(gateway_.inside.begin(), gateway_.inside.end(),
                             interface.empty() ? "lo" : interface) != gateway_.inside.end();
        };
        const auto in = packet_.in.empty() ? std::string("this host itself") : packet_.in;
        if (!is_inside(packet_.in)) {
            pass(in + " is not inside: " + join(gateway_.inside, ", ") + " are");
            return false;
        }
        if (packet_.out.empty()) {
            pass(packet_.local ? "it is for this host" : "it leaves by no interface");
            return false;
        }
        if (packet_.out == "lo" || (!gateway_.inside.empty() && is_inside(packet_.out))) {
            pass("it leaves by " + packet_.out + ", which is inside too");
            return false;
        }
        part_.step("inside", in + (gateway_.inside.empty() ? ": every interface is"
                                                           : " is, " + packet_.out + " is not"));
        return true;
    }

    // What the module's state machine says of the same SYN, and of a new one.
    bool begins_anew(const Flow &flow)
    {
        const auto say = [&](std::uint32_t isn) {
            auto machine = machine_of(flow);
            const wlb_seg syn{isn, 0, 1, WLB_TCP_SYN, false, 0};
            int stat = WLB_NO_STAT;
            return wlb_fsm_segment(&machine, &syn, WLB_FROM_CLIENT, &stat);
        };
        const auto name = [](wlb_verdict verdict) -> std::string {
            switch (verdict) {
            case WLB_RACE:
            case WLB_RACE_PLAIN:
                return "the same race";
            case WLB_RENEW:
                return "a race of its own";
            case WLB_CARRY:
                return "to the winner";
            default:
                return "to the server";
            }
        };
        // Farther than any segment of the flow was.
        const auto end = flow.track ? flow.track->client_end : flow.isn;
        const auto anew = say(end + (1U << 20));
        part_.step("state", "the same SYN, repeated: " + name(say(flow.isn)) +
                                "; a new connection's: " + name(anew));
        if (anew == WLB_RENEW)
            return true;
        part_.decide(anew == WLB_CARRY ? "carried" : "passed",
                     "goes " + name(anew) +
                         (flow.winner ? ", " + flow.winner->text() : std::string()));
        part_.facts["winner"] = flow.winner ? Json(flow.winner->text()) : Json();
        return false;
    }

    Part segment(const Service &service, const Flow *flow)
    {
        if (flow == nullptr)
            return pass("nothing but a SYN begins a flow");
        if (flow->state == WLB_FLOW_RACING)
            return pass("nobody has won yet");
        if (flow->state == WLB_FLOW_TOMBSTONE)
            return pass("the server has won");
        fast_path(service);
        part_.facts["winner"] = flow->winner->text();
        const auto mode = flow->return_mode.value_or(WLB_RETURN_NAT);
        return part_.decide("carried",
                            std::string("goes to the winner, ") + flow->winner->text() +
                                (mode == WLB_RETURN_TUNNEL ? ", in a tunnel" : ", by its address"));
    }

    void fast_path(const Service &service)
    {
        std::string why;
        if (service.fastpath == FastPath::off)
            why = "off in the service";
        else if (packet_.in.empty())
            why = "not for what this host sends";
        else if (!kernel_.groups.groups.empty() || !kernel_.doors.cache.doors.empty() ||
                 !kernel_.process.empty())
            why = "not beside a cache router, a cache or rules for processing";
        part_.facts["fastpath"] = why.empty();
        part_.step(
            "fast path",
            !why.empty() ? why
            : service.fastpath == FastPath::on
                ? "on: all but one packet a second go past routing and rules"
                : "once connection tracking is sure of the flow, all but one packet a second "
                  "go past routing and rules");
    }

    Part race(const Service &service)
    {
        part_.facts["race"] = name_of(service.race);
        if (service.race == ServiceRace::join)
            return part_.decide("raced", "tagged: the server's gateway may clone it, and the first "
                                         "who may answer and does wins");
        return direct(service);
    }

    // Whom wlb_direct_ask() would ask.
    Part direct(const Service &service)
    {
        std::vector<Address> asked;
        for (const auto &origin : kernel_.learned) {
            if (origin.server != packet_.destination || origin.server_port != *packet_.dport)
                continue;
            for (const auto &one : origin.answerers) {
                const auto rtt = fixed(one.rtt_us / 1000.0, 1) + " ms";
                std::string why;
                if (!service.any_replica && match(service.replicas, one.address) == nullptr)
                    why = "not one of the service's replicas";
                else if (one.silent_ms)
                    why = "silent, not asked for " + format_duration(milliseconds(*one.silent_ms)) +
                          " yet";
                else if (static_cast<std::int64_t>(asked.size()) >= service.fan_out)
                    why = "farther than the " + std::to_string(service.fan_out) + " of fan-out";
                else
                    asked.push_back(one.address);
                part_.step("answerer",
                           one.address.text() + ", " + rtt + ": " + (why.empty() ? "asked" : why));
            }
        }
        part_.facts["asked"] = json(asked);
        if (asked.empty())
            return part_.decide("raced", "tagged: nobody is known who answers, so that the "
                                         "server's gateway is asked to clone it");
        if (service.explore.count() != 0)
            part_.step("explore", "once in " + format_duration(service.explore) +
                                      " the server's gateway may clone it as well");
        return part_.decide("raced", "cloned to " + texts(asked) +
                                         "; the server's copy is tagged \"redirection not "
                                         "permitted\"");
    }

    const Packet &packet_;
    const InForce &kernel_;
    const ClientGateway &gateway_;
    Part part_{"client-gateway"};
};

const Origin *find_origin(const Packet &packet, const std::vector<Origin> &origins)
{
    const auto found = std::find_if(origins.begin(), origins.end(), [&](const Origin &origin) {
        return has(origin.ports, packet.dport) &&
               std::find(origin.servers.begin(), origin.servers.end(), packet.destination) !=
                   origin.servers.end();
    });
    return found == origins.end() ? nullptr : &*found;
}

// What wlb-gatewayd knows of a replica that is not in force.
std::string registry_says(const Json &gatewayd, const std::string &origin, const Address &address)
{
    if (!gatewayd.is_object())
        return "not in force";
    for (const auto &one : gatewayd.value("replicas", Json::array()))
        if (word(one, "origin") == origin && word(one, "address") == address.text())
            return one.value("registered", false)
                       ? "registered, " + word(one, "state") + ", " + word(one, "answers") +
                             " of " + word(one, "needed") + " answers"
                       : "not registered with wlb-gatewayd";
    return "wlb-gatewayd does not know it";
}

// What bounds an origin's clones, and what the kernel does not tell of it.
void explain_limits(const Packet &packet, const InForce &kernel, const Origin &origin, Part &part)
{
    if (origin.cookie.count() != 0)
        part.step("cookie", "its tag must have a cookie that this gateway has given to " +
                                packet.source.network(packet.source.is_ipv6() ? 64 : 24).text() +
                                (packet.source.is_ipv6() ? "/64" : "/24") +
                                " with an answer of the server; without it the server alone "
                                "answers, and gives one");
    const auto limit = [&](const char *rule, std::int64_t rate) {
        if (rate != 0)
            part.step(rule, std::to_string(rate) +
                                " a second: if they are used up the server alone answers");
    };
    limit("clones-per-prefix", origin.clones_per_prefix);
    limit("clones-per-second of the origin", origin.clones_per_second);
    limit("clones-per-second of all", kernel.running.config.server_gateway.clones_per_second);
}

} // namespace

Part explain_client_gateway(const Packet &packet, const InForce &kernel)
{
    return ClientGatewayPart(packet, kernel).run();
}

Part explain_server_gateway(const Packet &packet, const InForce &kernel)
{
    Part part("server-gateway");
    const auto pass = [&](const std::string &why) {
        return part.decide("passed", "passes: " + why);
    };
    if (packet.protocol != IPPROTO_TCP || !packet.is_syn())
        return pass("only SYNs are cloned");
    const auto *origin = find_origin(packet, kernel.running.config.origins);
    if (origin == nullptr)
        return pass("no origin has " + endpoint(packet.destination, *packet.dport));
    part.facts["origin"] = origin->name;
    part.step("origin", origin->name + " has " + endpoint(packet.destination, *packet.dport));
    if (packet.kind != Packet::tagged_syn)
        return pass("it has no tag that permits clones; --tagged asks about one that has");
    if (packet.in.empty() || (packet.out.empty() && !packet.local))
        return pass("only what is forwarded, or comes in for this host, is cloned");

    // As wlb_replicas_order() and wlb_sg_clone_all() do.
    std::vector<ReplicaInForce> in_force;
    for (const auto &one : kernel.replicas)
        if (one.origin == origin->name)
            in_force.push_back(one);
    std::stable_sort(in_force.begin(), in_force.end(), [](const auto &a, const auto &b) {
        return a.replica.delay < b.replica.delay;
    });
    const auto count = std::min(in_force.size(), static_cast<std::size_t>(origin->fan_out));
    const auto pool = origin->pick == Pick::nearest ? count : in_force.size();
    const auto hold = pool == 0 || origin->race == Race::raw
                          ? microseconds(0)
                          : std::min(in_force[pool - 1].replica.delay, origin->max_hold);
    std::vector<Address> asked;
    for (std::size_t i = 0; i < in_force.size(); ++i) {
        const auto &replica = in_force[i].replica;
        std::string how = "farther than the " + std::to_string(count) + " of fan-out";
        if (i < pool) {
            asked.push_back(replica.address);
            how = std::string("by ") + name_of(replica.via);
            if (origin->race == Race::equal)
                how += ", held for " + format_duration(hold - std::min(hold, replica.delay));
            if (count < pool)
                how.insert(0, "one of those of whom " + std::to_string(count) + " are chosen, ");
        }
        part.step("replica",
                  replica.address.text() + ", " + format_duration(replica.delay) + " away: " + how);
    }
    for (const auto &replica : origin->replicas) {
        const auto is_it = [&](const auto &one) { return one.replica.address == replica.address; };
        if (std::none_of(in_force.begin(), in_force.end(), is_it))
            part.step("replica", replica.address.text() + ": " +
                                     registry_says(kernel.gatewayd, origin->name, replica.address));
    }
    explain_limits(packet, kernel, *origin, part);
    part.facts["asked"] = json(asked);
    part.facts["clones"] = count;
    part.facts["race"] = name_of(origin->race);
    part.facts["cookie"] = origin->cookie.count() != 0;
    if (asked.empty())
        return pass("no replica is in force");
    const auto server = origin->race == Race::equal
                            ? "; the server's copy is held for " + format_duration(hold)
                            : std::string("; the server gets its copy at once");
    return part.decide("cloned",
                       "cloned to " + (count < pool ? std::to_string(count) + " of " : "") +
                           texts(asked) +
                           (origin->cookie.count() != 0 ? ", with a good cookie" : "") + server);
}

Part explain_replica(const Packet &packet, const InForce &kernel, const Run &run)
{
    Part part("replica");
    const auto drop = [&](const std::string &why) {
        part.ends = true;
        return part.decide("dropped", "no answer: " + why);
    };
    if (!packet.from)
        return part.decide("passed", "is no clone; --from GATEWAY asks about one");
    if (packet.protocol != IPPROTO_TCP || !packet.is_syn())
        return drop("only clones of SYNs are answered");
    const auto &all = kernel.running.config.served;
    const auto served = std::find_if(all.begin(), all.end(), [&](const Served &one) {
        return has(one.ports, packet.dport) && std::find(one.servers.begin(), one.servers.end(),
                                                         packet.destination) != one.servers.end();
    });
    if (served == all.end())
        return drop("no origin served here has " + endpoint(packet.destination, *packet.dport));
    part.facts["origin"] = served->name;
    part.step("origin", served->name + " has " + endpoint(packet.destination, *packet.dport) +
                            " and is served from " + served->local->text());
    const auto *gateway = match(served->from, *packet.from);
    if (gateway == nullptr)
        return drop(packet.from->text() + " is no gateway that clones are taken from");
    part.step("clones-from", packet.from->text() + " is in " + gateway->text());
    if (kernel.running.busy.contains(served->name))
        return drop("busy, by wlbctl replica busy or wlb-replicad");
    part.step("busy", "no");
    // Gateways offer every way back, unless `returns` of [client-gateway] says otherwise.
    part.step("return", served->return_mode == Return::nat
                            ? std::string("nat")
                            : std::string(name_of(served->return_mode)) +
                                  "; a clone that does not offer it is answered by nat, from " +
                                  served->local->text() + ", if it offers that");
    const auto address = served->return_mode == Return::nat ? *served->local : packet.destination;
    if (word(route_to(run, address), "type") != "local")
        return drop(address.text() + " is no address of this host");
    const auto sockets = run({"ss", "-HltnO", "sport", "=", std::to_string(*packet.dport)});
    if (!sockets || sockets->empty())
        return drop("nobody listens at " + endpoint(address, *packet.dport));
    part.step("server", "somebody listens at port " + ports_text({*packet.dport}) +
                            "; a full accept queue would keep it silent");
    part.facts["address"] = address.text();
    part.ends = true;
    return part.decide("answered", "answered at once, by " + endpoint(address, *packet.dport));
}

} // namespace wlb::cli
