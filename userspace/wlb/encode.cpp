// SPDX-License-Identifier: GPL-2.0-only
#include <linux/wlb.h>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>

#include <cerrno>
#include <functional>

#include "wlb/message.h"
#include "wlb/writer.h"

namespace wlb {

namespace {

constexpr std::size_t largest_message = std::size_t{64} << 20;

void put(Writer &out, const ClientGateway &gateway)
{
    std::uint32_t returns = 0;
    for (const auto mode : gateway.returns)
        returns |= 1U << static_cast<unsigned>(mode);
    out.nest(WLB_A_CLIENT_GATEWAY, [&] {
        for (const auto &name : gateway.inside)
            out.string(WLB_CG_A_INSIDE, name);
        out.u32(WLB_CG_A_MAX_FLOWS, gateway.max_flows);
        out.u32(WLB_CG_A_CLIENT_QUOTA, gateway.client_quota);
        out.u32(WLB_CG_A_RETURNS, returns);
        out.u8(WLB_CG_A_CONNTRACK, static_cast<std::uint8_t>(gateway.conntrack));
        out.u32(WLB_CG_A_T_RACING, gateway.timeouts.racing.count());
        out.u32(WLB_CG_A_T_TOMBSTONE, gateway.timeouts.tombstone.count());
        out.u32(WLB_CG_A_T_ESTABLISHED, gateway.timeouts.established.count());
        out.u32(WLB_CG_A_T_CLOSING, gateway.timeouts.closing.count());
        out.u32(WLB_CG_A_T_RESET, gateway.timeouts.reset.count());
        out.u32(WLB_CG_A_T_UNTAGGED, gateway.timeouts.untagged.count());
        out.u32(WLB_CG_A_T_DEAD, gateway.timeouts.dead.count());
        out.u32(WLB_CG_A_T_LEARNED, gateway.timeouts.learned.count());
        out.u32(WLB_CG_A_MAX_LEARNED, gateway.max_learned);
    });
}

void put(Writer &out, const Service &service)
{
    out.nest(WLB_A_SERVICE, [&] {
        out.string(WLB_SERVICE_A_NAME, service.name);
        if (service.all_ports)
            out.flag(WLB_SERVICE_A_ALL_PORTS);
        else
            out.ports(WLB_SERVICE_A_PORTS, service.ports);
        if (service.any_replica)
            out.flag(WLB_SERVICE_A_ANY_REPLICA);
        for (const auto &prefix : service.replicas)
            out.prefix(WLB_SERVICE_A_REPLICA, prefix);
        for (const auto &prefix : service.never)
            out.prefix(WLB_SERVICE_A_NEVER, prefix);
        out.u32(WLB_SERVICE_A_STICKY, service.sticky.count());
        out.u8(WLB_SERVICE_A_RACE, static_cast<std::uint8_t>(service.race));
        out.u8(WLB_SERVICE_A_FAN_OUT, static_cast<std::uint8_t>(service.fan_out));
        out.u32(WLB_SERVICE_A_EXPLORE, service.explore.count());
        out.u8(WLB_SERVICE_A_FASTPATH, static_cast<std::uint8_t>(service.fastpath));
    });
}

void put(Writer &out, const Origin &origin)
{
    out.nest(WLB_A_ORIGIN, [&] {
        out.string(WLB_ORIGIN_A_NAME, origin.name);
        for (const auto &server : origin.servers)
            out.address(WLB_ORIGIN_A_SERVER, server);
        out.ports(WLB_ORIGIN_A_PORTS, origin.ports);
        out.u8(WLB_ORIGIN_A_RACE, origin.race == Race::equal ? WLB_RACE_EQUAL : WLB_RACE_RAW);
        out.u32(WLB_ORIGIN_A_MAX_HOLD, origin.max_hold.count());
        for (const auto &replica : origin.replicas)
            out.nest(WLB_ORIGIN_A_REPLICA, [&] {
                out.address(WLB_REPLICA_A_ADDRESS, replica.address);
                out.u8(WLB_REPLICA_A_VIA, static_cast<std::uint8_t>(replica.via));
                out.u32(WLB_REPLICA_A_DELAY, replica.delay.count());
            });
        if (origin.source)
            out.address(WLB_ORIGIN_A_SOURCE, *origin.source);
        if (origin.strip_tag)
            out.flag(WLB_ORIGIN_A_STRIP);
        out.u8(WLB_ORIGIN_A_FAN_OUT, static_cast<std::uint8_t>(origin.fan_out));
        out.u8(WLB_ORIGIN_A_PICK, static_cast<std::uint8_t>(origin.pick));
        out.u32(WLB_ORIGIN_A_RATE, origin.clones_per_second);
        out.u32(WLB_ORIGIN_A_PREFIX_RATE, origin.clones_per_prefix);
        out.u32(WLB_ORIGIN_A_COOKIE, origin.cookie.count());
    });
}

void put(Writer &out, const Served &served)
{
    out.nest(WLB_A_SERVED, [&] {
        out.string(WLB_SERVED_A_NAME, served.name);
        for (const auto &server : served.servers)
            out.address(WLB_SERVED_A_SERVER, server);
        out.ports(WLB_SERVED_A_PORTS, served.ports);
        if (served.local)
            out.address(WLB_SERVED_A_LOCAL, *served.local);
        out.u8(WLB_SERVED_A_RETURN, static_cast<std::uint8_t>(served.return_mode));
        if (served.via)
            out.u8(WLB_SERVED_A_VIA, static_cast<std::uint8_t>(*served.via));
        if (served.trust_path)
            out.flag(WLB_SERVED_A_TRUST_PATH);
        for (const auto &prefix : served.from)
            out.prefix(WLB_SERVED_A_FROM, prefix);
    });
}

} // namespace

Result<Message> build_request(int family, std::uint8_t command, int flags,
                              const std::function<void(Writer &)> &fill)
{
    for (std::size_t size = 4096; size <= largest_message; size *= 2) {
        Message message(nlmsg_alloc_size(size));
        if (!message || genlmsg_put(message.get(), NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, flags,
                                    command, WLB_GENL_VERSION) == nullptr)
            return Error{"out of memory", ENOMEM};
        Writer writer(message.get());
        fill(writer);
        if (!writer.full())
            return message;
    }
    return Error{"the request is too large", EMSGSIZE};
}

Result<Message> make_request(int family, std::uint8_t command, int flags)
{
    return build_request(family, command, flags, [](Writer &) {});
}

Result<Message> encode_config(int family, const Config &config, std::uint32_t roles,
                              std::optional<std::uint32_t> generation)
{
    return build_request(family, WLB_CMD_CONF_SET, 0, [&](Writer &out) {
        out.u32(WLB_A_ROLES, roles);
        if (generation)
            out.u32(WLB_A_GENERATION, *generation);
        const auto &gateway = config.client_gateway;
        if ((roles & WLB_ROLE_CLIENT_GATEWAY) != 0 && !gateway.services.empty()) {
            put(out, gateway);
            for (const auto &service : gateway.services)
                put(out, service);
        }
        if ((roles & WLB_ROLE_SERVER_GATEWAY) != 0 && !config.origins.empty()) {
            out.nest(WLB_A_SERVER_GATEWAY,
                     [&] { out.u32(WLB_SG_A_RATE, config.server_gateway.clones_per_second); });
            for (const auto &origin : config.origins)
                put(out, origin);
        }
        if ((roles & WLB_ROLE_REPLICA) != 0)
            for (const auto &served : config.served)
                put(out, served);
    });
}

Result<Message> encode_busy(int family, bool busy, const std::optional<std::string> &name)
{
    return build_request(family, WLB_CMD_BUSY_SET, 0, [&](Writer &out) {
        out.u8(WLB_A_BUSY, busy ? 1 : 0);
        if (name)
            out.string(WLB_A_NAME, *name);
    });
}

Result<Message> encode_flow(int family, const Flow &flow)
{
    return build_request(family, WLB_CMD_FLOW_NEW, 0, [&](Writer &out) {
        out.nest(WLB_A_FLOW, [&] {
            out.address(WLB_FLOW_A_CLIENT, flow.tuple.client);
            out.u16(WLB_FLOW_A_CLIENT_PORT, flow.tuple.client_port);
            out.address(WLB_FLOW_A_SERVER, flow.tuple.server);
            out.u16(WLB_FLOW_A_SERVER_PORT, flow.tuple.server_port);
            if (flow.winner)
                out.address(WLB_FLOW_A_WINNER, *flow.winner);
            out.u8(WLB_FLOW_A_STATE, flow.state);
            out.u32(WLB_FLOW_A_EXPIRES, flow.expires_ms);
            out.u32(WLB_FLOW_A_ISN, flow.isn);
            if (flow.return_mode)
                out.u8(WLB_FLOW_A_RETURN, *flow.return_mode);
            if (flow.via)
                out.u8(WLB_FLOW_A_VIA, *flow.via);
            if (!flow.track)
                return;
            out.u32(WLB_FLOW_A_CLIENT_END, flow.track->client_end);
            out.u32(WLB_FLOW_A_CLIENT_ACK, flow.track->client_ack);
            out.u32(WLB_FLOW_A_SERVER_END, flow.track->server_end);
            out.u32(WLB_FLOW_A_SERVER_ACK, flow.track->server_ack);
            out.u8(WLB_FLOW_A_FLAGS, flow.track->flags);
            out.u16(WLB_FLOW_A_NEW_ISN, flow.track->new_isn);
        });
    });
}

Result<Message> encode_flush(int family, const FlowFilter &filter)
{
    return build_request(family, WLB_CMD_FLOW_FLUSH, 0, [&](Writer &out) {
        if (!filter.client && !filter.server && !filter.winner)
            return; // no filter at all: every flow
        out.nest(WLB_A_FLOW, [&] {
            if (filter.client)
                out.address(WLB_FLOW_A_CLIENT, *filter.client);
            if (filter.server)
                out.address(WLB_FLOW_A_SERVER, *filter.server);
            if (filter.winner)
                out.address(WLB_FLOW_A_WINNER, *filter.winner);
        });
    });
}

Result<Message> encode_forget(int family, const std::optional<Address> &server)
{
    return build_request(family, WLB_CMD_LEARNED_FLUSH, 0, [&](Writer &out) {
        if (server)
            out.nest(WLB_A_LEARNED, [&] { out.address(WLB_LEARNED_A_SERVER, *server); });
    });
}

} // namespace wlb
