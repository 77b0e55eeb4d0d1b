// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/explain.h"

#include <netinet/in.h>

#include "wlb/control_name.h"
#include "wlbctl/finding.h"
#include "wlbctl/flow_end.h"
#include "wlbctl/options.h"
#include "wlbctl/taking.h"
#include "wlbctl/wccp_text.h"

namespace wlb::cli {

namespace {

bool has_ports(std::uint8_t protocol)
{
    return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

Result<std::uint8_t> read_protocol(const std::string &text)
{
    for (const std::uint8_t known : {IPPROTO_TCP, IPPROTO_UDP})
        if (text == protocol_name(known))
            return known;
    const auto number = parse_protocol(text);
    if (number && *number != 0)
        return *number;
    return Error{"PROTOCOL: \"" + text + "\" must be tcp, udp or a number of 1..255"};
}

// What a packet is to be asked about, but for its way.
void read_packet(Options &options, Packet &packet)
{
    const auto protocol = read_protocol(options.text("PROTOCOL"));
    if (!protocol)
        return options.complain(protocol.error().message);
    packet.protocol = *protocol;
    for (const bool source : {true, false}) {
        const auto *const name = source ? "CLIENT" : "SERVER";
        const auto end = parse_flow_end(options.text(name));
        if (!end)
            return options.complain(std::string(name) + ": " + end.error().message);
        if (end->port && !has_ports(packet.protocol))
            return options.complain(std::string(name) + ": protocol " +
                                    std::to_string(packet.protocol) + " has no ports");
        (source ? packet.source : packet.destination) = end->address;
        (source ? packet.sport : packet.dport) = end->port;
    }
    if (has_ports(packet.protocol) && !packet.dport)
        return options.complain("SERVER: the port is missing: " + packet.destination.text() +
                                ":80");
    if (packet.source.is_ipv6() != packet.destination.is_ipv6())
        return options.complain("CLIENT and SERVER must be of one address family");
    const bool tcp = packet.protocol == IPPROTO_TCP;
    for (const auto *name : {"tagged", "segment"})
        if (options.has(name) && !tcp)
            return options.complain(std::string("--") + name + " is of tcp only");
    if (options.has("tagged") && options.has("segment"))
        return options.complain("--tagged is a SYN, so not with --segment");
    packet.kind = !tcp                     ? Packet::other
                  : options.has("tagged")  ? Packet::tagged_syn
                  : options.has("segment") ? Packet::segment
                                           : Packet::syn;
    options.read("from", &Address::parse, packet.from);
    if (packet.from && packet.from->is_ipv6() != packet.source.is_ipv6())
        return options.complain("--from must be of the family of CLIENT and SERVER");
    if (options.has("in"))
        packet.in = options.text("in");
}

// By which interfaces it comes and leaves, as far as it is not said.
void find_way(Packet &packet, bool in_is_given, const Run &run)
{
    if (!in_is_given) {
        const auto back = route_to(run, packet.source);
        packet.in = word(back, "type") == "local" ? "" : word(back, "dev");
    }
    Words words{
        "ip", "-j", "route", "get", packet.destination.text(), "from", packet.source.text()};
    if (!packet.in.empty())
        words.insert(words.end(), {"iif", packet.in});
    const auto said = run(words);
    const auto route = first_of(parse_output(said));
    if (route.is_null()) {
        packet.unrouted = said ? "ip route get finds no route" : said.error().message;
        return;
    }
    const auto type = word(route, "type");
    packet.local = type == "local" || type == "broadcast" || type == "anycast";
    if (type.empty() || type == "unicast" || type == "multicast")
        packet.out = word(route, "dev");
    else if (!packet.local)
        packet.unrouted = "its route is " + type;
}

// Whether a flow is between the packet's ends, by its client's or by its server's side.
bool concerns(const Flow &flow, const Packet &packet)
{
    const auto is_client = [&](const Address &address, std::optional<std::uint16_t> port,
                               std::optional<std::uint16_t> other) {
        return flow.tuple.client == address && port == flow.tuple.client_port &&
               other == flow.tuple.server_port;
    };
    return is_client(packet.source, packet.sport, packet.dport) ||
           is_client(packet.destination, packet.dport, packet.sport);
}

Status read_kernel(Kernel &kernel, const Packet &packet, InForce &force)
{
    std::vector<Status> all{take(kernel.read_config(), force.running),
                            take(kernel.read_stats(), force.stats),
                            take(kernel.read_groups(), force.groups),
                            take(kernel.read_assignments(), force.assignments),
                            take(kernel.read_cache(), force.doors),
                            take(kernel.read_process(), force.process)};
    const auto roles = force.running.roles;
    if ((roles & WLB_ROLE_CLIENT_GATEWAY) != 0) {
        all.push_back(take(kernel.read_learned(), force.learned));
        const auto flows = kernel.read_flows([&](const Flow &flow) {
            if (concerns(flow, packet))
                force.flows.push_back(flow);
        });
        if (!flows)
            return flows.error();
    }
    if ((roles & WLB_ROLE_SERVER_GATEWAY) != 0)
        all.push_back(take(kernel.read_replicas(), force.replicas));
    if (!force.doors.cache.doors.empty())
        all.push_back(take(kernel.read_bypasses(), force.bypasses));
    return all_of(all);
}

const char *kind_text(const Packet &packet)
{
    switch (packet.kind) {
    case Packet::syn:
        return "SYN";
    case Packet::tagged_syn:
        return "tagged SYN";
    case Packet::segment:
        return "segment of a connection";
    default:
        return "packet";
    }
}

std::string end_text(const Address &address, std::optional<std::uint16_t> port)
{
    return port ? endpoint(address, *port) : address.text();
}

std::string packet_text(const Packet &packet)
{
    auto text = std::string(kind_text(packet)) + ", " + protocol_name(packet.protocol) + " " +
                end_text(packet.source, packet.sport) + " -> " +
                end_text(packet.destination, packet.dport);
    if (packet.from)
        return text + ", from " + packet.from->text();
    text += packet.in.empty() ? ", sent by this host" : ", in by " + packet.in;
    if (packet.local)
        return text + ", for this host";
    return text +
           (packet.out.empty() ? ", goes nowhere: " + packet.unrouted : ", out by " + packet.out);
}

Json packet_json(const Packet &packet)
{
    const auto port = [](std::optional<std::uint16_t> number) {
        return number ? Json(*number) : Json();
    };
    const auto name = [](const std::string &interface) {
        return interface.empty() ? Json() : Json(interface);
    };
    return {{"kind", kind_text(packet)},
            {"protocol", packet.protocol},
            {"client", packet.source.text()},
            {"client_port", port(packet.sport)},
            {"server", packet.destination.text()},
            {"server_port", port(packet.dport)},
            {"from", packet.from ? Json(packet.from->text()) : Json()},
            {"in", name(packet.in)},
            {"out", name(packet.out)},
            {"local", packet.local}};
}

Json to_json(const Part &part)
{
    auto steps = Json::array();
    for (const auto &[rule, says] : part.steps)
        steps.push_back({{"rule", rule}, {"says", says}});
    Json json{{"role", part.role}, {"verdict", part.verdict}, {"text", part.text}};
    json.update(part.facts);
    json["steps"] = steps;
    return json;
}

void write(std::ostream &out, const Packet &packet, const std::vector<Part> &parts)
{
    out << packet_text(packet) << "\n";
    for (const auto &part : parts) {
        out << part.role << ": " << part.text << "\n";
        for (const auto &[rule, says] : part.steps)
            out << "    " << rule << ": " << says << "\n";
    }
    if (parts.empty())
        out << "no role of wlb is on here: it passes as without it\n";
}

int explain_command(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.word("PROTOCOL", true)
        .word("CLIENT", true)
        .word("SERVER", true)
        .option("in", "INTERFACE", "it comes in by this one; else that of the route to CLIENT")
        .flag("tagged", "a SYN with a tag that permits clones, as a server's gateway gets it")
        .flag("segment", "a segment of a connection that has begun, in place of a SYN")
        .option("from", "ADDRESS", "a clone of this gateway's, or redirected by this router");
    if (!options.parse(args))
        return options.status();
    Packet packet;
    read_packet(options, packet);
    if (!options.good())
        return options.status();
    auto kernel = context.connect_inside();
    if (!kernel)
        return refuse(context, kernel.error());
    if (options.has("in"))
        if (const auto link = context.run_program({"ip", "-j", "link", "show", "dev", packet.in});
            !link)
            return refuse(context, Error{"--in: " + link.error().message});
    find_way(packet, options.has("in"), context.run_program);
    InForce force;
    if (const auto status = read_kernel(**kernel, packet, force); !status)
        return refuse(context, status.error());
    if (!force.running.config.origins.empty())
        if (const auto shown = context.ask(gatewayd_name, "", {{"command", "show"}}))
            force.gatewayd = *shown;
    const auto parts = explain(packet, force, context.run_program);
    if (!context.json) {
        write(context.out, packet, parts);
        return done;
    }
    auto roles = Json::array();
    for (const auto &part : parts)
        roles.push_back(to_json(part));
    context.write({{"packet", packet_json(packet)}, {"roles", roles}});
    return done;
}

} // namespace

Part &Part::decide(const std::string &word, const std::string &why)
{
    verdict = word;
    text = why;
    return *this;
}

Json route_to(const Run &run, const Address &address)
{
    return first_of(parse_output(run({"ip", "-j", "route", "get", address.text()})));
}

std::string protocol_name(std::uint8_t protocol)
{
    return protocol == IPPROTO_TCP   ? "tcp"
           : protocol == IPPROTO_UDP ? "udp"
                                     : "protocol " + std::to_string(protocol);
}

std::vector<Part> explain(const Packet &packet, const InForce &kernel, const Run &run)
{
    const auto roles = kernel.running.roles;
    const auto is = [&](std::uint32_t role) { return (roles & role) != 0; };
    std::vector<Part> parts;
    if (packet.from) {
        if (is(WLB_ROLE_REPLICA))
            parts.push_back(explain_replica(packet, kernel, run));
        if (!kernel.doors.cache.doors.empty())
            parts.push_back(explain_cache(packet, kernel, run));
        return parts;
    }
    if (!kernel.groups.groups.empty())
        parts.push_back(explain_cache_router(packet, kernel, run));
    if (!parts.empty() && parts.back().ends)
        return parts;
    if (is(WLB_ROLE_SERVER_GATEWAY))
        parts.push_back(explain_server_gateway(packet, kernel));
    if (is(WLB_ROLE_CLIENT_GATEWAY))
        parts.push_back(explain_client_gateway(packet, kernel));
    if (is(WLB_ROLE_REPLICA))
        parts.push_back(explain_replica(packet, kernel, run));
    if (!kernel.doors.cache.doors.empty())
        parts.push_back(explain_cache(packet, kernel, run));
    // What goes to a cache, and what is dropped, does not pass.
    if (!kernel.process.empty() &&
        (kernel.groups.groups.empty() || parts.front().verdict == "passed"))
        parts.push_back(explain_process(packet, kernel));
    return parts;
}

const std::vector<Command> &explain_commands()
{
    static const std::vector<Command> commands{
        {"explain", "",
         "PROTOCOL CLIENT[:PORT] SERVER[:PORT] [--in INTERFACE] [--tagged | --segment] "
         "[--from ADDRESS]",
         "Show what would become of a packet of these ends, role by role, and why.",
         "explain tcp 10.1.1.2:40000 203.0.113.10:80", &explain_command},
    };
    return commands;
}

} // namespace wlb::cli
