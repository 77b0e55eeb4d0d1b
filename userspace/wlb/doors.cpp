// SPDX-License-Identifier: GPL-2.0-only
// The cache's host, and what it has learned, on the wire.
#include "wlb/doors.h"

#include "wlb/reader.h"
#include "wlb/writer.h"

namespace wlb {

namespace {

void put(Writer &out, const Door &door)
{
    out.nest(WLB_CACHE_A_DOOR, [&] {
        out.address(WLB_DOOR_A_ADDRESS, door.address);
        out.u8(WLB_DOOR_A_FORWARD, static_cast<std::uint8_t>(door.forward));
        out.u8(WLB_DOOR_A_RETURN, static_cast<std::uint8_t>(door.return_method));
        out.u8(WLB_DOOR_A_TYPE, static_cast<std::uint8_t>(door.type));
        out.u8(WLB_DOOR_A_ID, door.id);
        if (door.source)
            out.address(WLB_DOOR_A_SOURCE, *door.source);
    });
}

// Who they are, but for how long.
void put_pair(Writer &out, const Bypass &bypass)
{
    if (bypass.source)
        out.address(WLB_BYPASS_A_SOURCE, *bypass.source);
    out.address(WLB_BYPASS_A_DESTINATION, bypass.destination);
}

void read_door(Reader &in, const nlattr *nest, RunningDoors &running)
{
    auto &door = running.cache.doors.emplace_back();
    auto &counters = running.counters.emplace_back();
    in.nested(nest, [&](int type, const nlattr *a) {
        switch (type) {
        case WLB_DOOR_A_ADDRESS:
            door.address = in.address(a);
            break;
        case WLB_DOOR_A_FORWARD:
            door.forward = in.forward(a);
            break;
        case WLB_DOOR_A_RETURN:
            door.return_method = in.forward(a);
            break;
        case WLB_DOOR_A_TYPE:
            door.type = in.group_type(a);
            break;
        case WLB_DOOR_A_ID:
            door.id = in.u8(a);
            break;
        case WLB_DOOR_A_SOURCE:
            door.source = in.address(a);
            break;
        case WLB_DOOR_A_PACKETS:
            counters.packets = in.u64(a);
            break;
        case WLB_DOOR_A_BYTES:
            counters.bytes = in.u64(a);
            break;
        default:
            break;
        }
    });
}

void read_cache(Reader &in, const nlattr *nest, RunningDoors &running)
{
    auto &cache = running.cache;
    in.nested(nest, [&](int type, const nlattr *a) {
        switch (type) {
        case WLB_CACHE_A_DOOR:
            read_door(in, a, running);
            break;
        case WLB_CACHE_A_RULE:
            cache.rules.push_back(in.rule(a));
            break;
        case WLB_CACHE_A_SHARE:
            cache.share = in.u32(a);
            break;
        case WLB_CACHE_A_MARK:
            cache.mark = in.u32(a);
            break;
        case WLB_CACHE_A_NAT:
            cache.nat = true;
            break;
        case WLB_CACHE_A_PORT:
            cache.ports.push_back(in.u16(a));
            break;
        default:
            break;
        }
    });
}

} // namespace

Result<Message> encode_cache(int family, const CacheDoors &cache)
{
    return build_request(family, WLB_CMD_CACHE_SET, 0, [&](Writer &out) {
        if (cache.doors.empty())
            return;
        out.nest(WLB_A_CACHE, [&] {
            for (const auto &door : cache.doors)
                put(out, door);
            for (const auto &rule : cache.rules)
                out.rule(WLB_CACHE_A_RULE, rule);
            out.u32(WLB_CACHE_A_SHARE, cache.share);
            if (cache.mark)
                out.u32(WLB_CACHE_A_MARK, *cache.mark);
            if (cache.nat)
                out.flag(WLB_CACHE_A_NAT);
            for (const auto port : cache.ports)
                out.u16(WLB_CACHE_A_PORT, port);
        });
    });
}

Result<Message> encode_bypass(int family, const Bypass &bypass)
{
    return build_request(family, WLB_CMD_BYPASS_ADD, 0, [&](Writer &out) {
        out.nest(WLB_A_BYPASS, [&] {
            put_pair(out, bypass);
            out.u32(WLB_BYPASS_A_LIFETIME, bypass.lifetime.count());
        });
    });
}

Result<Message> encode_no_bypass(int family, const std::optional<Bypass> &bypass)
{
    return build_request(family, WLB_CMD_BYPASS_DEL, 0, [&](Writer &out) {
        if (bypass)
            out.nest(WLB_A_BYPASS, [&] { put_pair(out, *bypass); });
    });
}

Status decode_cache(const nlmsghdr *message, RunningDoors &running)
{
    Reader in;
    in.top(message, [&](int type, const nlattr *a) {
        if (type == WLB_A_CACHE)
            read_cache(in, a, running);
    });
    if (in.bad())
        return unreadable("doors");
    return Done{};
}

Result<Bypass> decode_bypass(const nlmsghdr *message)
{
    Reader in;
    Bypass bypass;
    bool present = false;
    const auto visit = [&](int type, const nlattr *a) {
        if (type == WLB_BYPASS_A_SOURCE)
            bypass.source = in.address(a);
        else if (type == WLB_BYPASS_A_DESTINATION)
            bypass.destination = in.address(a);
        else if (type == WLB_BYPASS_A_LIFETIME)
            bypass.lifetime = seconds(in.u32(a));
    };
    in.top(message, [&](int type, const nlattr *a) {
        if (type != WLB_A_BYPASS)
            return;
        present = true;
        in.nested(a, visit);
    });
    in.require(present);
    if (in.bad())
        return unreadable("bypasses");
    return bypass;
}

} // namespace wlb
