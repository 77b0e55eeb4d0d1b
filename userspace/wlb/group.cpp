// SPDX-License-Identifier: GPL-2.0-only
// Service groups and assignments on the wire.
#include "wlb/group.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "wlb/reader.h"
#include "wlb/writer.h"

namespace wlb {

namespace {

// An attribute's length is 16 bits; of many values each attribute has so many.
constexpr std::size_t values_per_attribute = 4096;

void put(Writer &out, const RedirectGroup &group)
{
    out.nest(WLB_A_GROUP, [&] {
        out.string(WLB_GROUP_A_NAME, group.name);
        out.u8(WLB_GROUP_A_TYPE, static_cast<std::uint8_t>(group.type));
        out.u8(WLB_GROUP_A_ID, group.id);
        for (const auto &name : group.in)
            out.string(WLB_GROUP_A_IN, name);
        for (const auto &name : group.out)
            out.string(WLB_GROUP_A_OUT, name);
        for (const auto &name : group.exclude)
            out.string(WLB_GROUP_A_EXCLUDE, name);
        for (const auto &rule : group.rules)
            out.rule(WLB_GROUP_A_RULE, rule);
        if (group.closed)
            out.flag(WLB_GROUP_A_CLOSED);
        out.u8(WLB_GROUP_A_HOOK, static_cast<std::uint8_t>(group.hook));
        if (group.source4)
            out.address(WLB_GROUP_A_SOURCE4, *group.source4);
        if (group.source6)
            out.address(WLB_GROUP_A_SOURCE6, *group.source6);
        out.u32(WLB_GROUP_A_DRAIN, group.drain.count());
    });
}

void put(Writer &out, const RedirectMask &mask, std::size_t length)
{
    out.nest(WLB_ASSIGN_A_MASK, [&] {
        out.bytes(WLB_MASK_A_SRC, mask.src.data(), length);
        out.bytes(WLB_MASK_A_DST, mask.dst.data(), length);
        out.u16(WLB_MASK_A_SPORT, mask.sport);
        out.u16(WLB_MASK_A_DPORT, mask.dport);
    });
}

void put(Writer &out, const RedirectAssignment &assignment)
{
    out.nest(WLB_A_ASSIGNMENT, [&] {
        out.u8(WLB_ASSIGN_A_PRIORITY, assignment.priority);
        out.u8(WLB_ASSIGN_A_PROTOCOL, assignment.protocol);
        out.u32(WLB_ASSIGN_A_FLAGS, assignment.flags);
        out.bytes(WLB_ASSIGN_A_PORTS, assignment.ports.data(), sizeof(assignment.ports));
        out.u8(WLB_ASSIGN_A_METHOD, assignment.buckets ? WLB_ASSIGN_HASH : WLB_ASSIGN_MASK);
        for (const auto &member : assignment.members)
            out.nest(WLB_ASSIGN_A_MEMBER, [&] {
                out.address(WLB_MEMBER_A_ADDRESS, member.address);
                out.u8(WLB_MEMBER_A_FORWARD, static_cast<std::uint8_t>(member.forward));
                out.u8(WLB_MEMBER_A_RETURN, static_cast<std::uint8_t>(member.return_method));
            });
        if (assignment.buckets)
            out.bytes(WLB_ASSIGN_A_BUCKETS, assignment.buckets->data(), assignment.buckets->size());
        for (const auto &set : assignment.masks)
            put(out, set.mask, assignment.ipv6 ? 16 : 4);
        if (assignment.key_address)
            out.address(WLB_ASSIGN_A_KEY_ADDRESS, *assignment.key_address);
        out.u32(WLB_ASSIGN_A_KEY_NUMBER, assignment.key_number);
        out.u32(WLB_ASSIGN_A_CHANGE_NUMBER, assignment.change_number);
        if (!assignment.state.empty())
            out.bytes(WLB_ASSIGN_A_STATE, assignment.state.data(), assignment.state.size());
    });
}

std::vector<wlb_value> values_of(const RedirectAssignment &assignment)
{
    std::vector<wlb_value> values;
    for (std::size_t i = 0; i < assignment.masks.size(); ++i)
        for (const auto &value : assignment.masks[i].values)
            values.push_back({value.number, static_cast<std::uint8_t>(i), value.member, 0});
    return values;
}

std::vector<Counter> group_counters()
{
    std::vector<Counter> counters;
#define WLB_GROUP_COUNTER(name, text) counters.push_back({#name, 0, text});
    WLB_GROUP_STATS(WLB_GROUP_COUNTER)
#undef WLB_GROUP_COUNTER
    return counters;
}

RunningGroup read_group(Reader &in, const nlattr *nest)
{
    RunningGroup running{{}, group_counters()};
    auto &group = running.group;
    in.nested(nest, [&](int type, const nlattr *a) {
        switch (type) {
        case WLB_GROUP_A_NAME:
            group.name = Reader::string(a);
            break;
        case WLB_GROUP_A_TYPE:
            group.type = in.group_type(a);
            break;
        case WLB_GROUP_A_ID:
            group.id = in.u8(a);
            break;
        case WLB_GROUP_A_IN:
            group.in.push_back(Reader::string(a));
            break;
        case WLB_GROUP_A_OUT:
            group.out.push_back(Reader::string(a));
            break;
        case WLB_GROUP_A_EXCLUDE:
            group.exclude.push_back(Reader::string(a));
            break;
        case WLB_GROUP_A_RULE:
            group.rules.push_back(in.rule(a));
            break;
        case WLB_GROUP_A_CLOSED:
            group.closed = true;
            break;
        case WLB_GROUP_A_HOOK:
            group.hook = static_cast<GroupHook>(in.mode(a, __WLB_HOOK_MAX));
            break;
        case WLB_GROUP_A_SOURCE4:
            group.source4 = in.address(a);
            break;
        case WLB_GROUP_A_SOURCE6:
            group.source6 = in.address(a);
            break;
        case WLB_GROUP_A_DRAIN:
            group.drain = seconds(in.u32(a));
            break;
        case WLB_GROUP_A_STATS:
            in.counters(a, running.counters);
            break;
        default:
            break;
        }
    });
    return running;
}

void read_member(Reader &in, const nlattr *nest, RunningAssignment &running)
{
    auto &member = running.assignment.members.emplace_back();
    auto &counters = running.counters.emplace_back();
    in.nested(nest, [&](int type, const nlattr *a) {
        switch (type) {
        case WLB_MEMBER_A_ADDRESS:
            member.address = in.address(a);
            break;
        case WLB_MEMBER_A_FORWARD:
            member.forward = in.forward(a);
            break;
        case WLB_MEMBER_A_RETURN:
            member.return_method = in.forward(a);
            break;
        case WLB_MEMBER_A_PACKETS:
            counters.packets = in.u64(a);
            break;
        case WLB_MEMBER_A_BYTES:
            counters.bytes = in.u64(a);
            break;
        case WLB_MEMBER_A_RETURNED:
            counters.returned = in.u64(a);
            break;
        default:
            break;
        }
    });
}

void read_mask(Reader &in, const nlattr *nest, RedirectAssignment &assignment)
{
    auto &mask = assignment.masks.emplace_back().mask;
    const std::size_t length = assignment.ipv6 ? 16 : 4;
    in.nested(nest, [&](int type, const nlattr *a) {
        switch (type) {
        case WLB_MASK_A_SRC:
            in.fixed(a, mask.src.data(), length);
            break;
        case WLB_MASK_A_DST:
            in.fixed(a, mask.dst.data(), length);
            break;
        case WLB_MASK_A_SPORT:
            mask.sport = in.u16(a);
            break;
        case WLB_MASK_A_DPORT:
            mask.dport = in.u16(a);
            break;
        default:
            break;
        }
    });
}

void read_assignment(Reader &in, const nlattr *nest, RunningAssignment &running)
{
    auto &assignment = running.assignment;
    in.nested(nest, [&](int type, const nlattr *a) {
        switch (type) {
        case WLB_ASSIGN_A_PRIORITY:
            assignment.priority = in.u8(a);
            break;
        case WLB_ASSIGN_A_PROTOCOL:
            assignment.protocol = in.u8(a);
            break;
        case WLB_ASSIGN_A_FLAGS:
            assignment.flags = in.u32(a);
            break;
        case WLB_ASSIGN_A_PORTS:
            in.fixed(a, assignment.ports.data(), sizeof(assignment.ports));
            break;
        case WLB_ASSIGN_A_MEMBER:
            read_member(in, a, running);
            break;
        case WLB_ASSIGN_A_BUCKETS:
            in.fixed(a, assignment.buckets.emplace().data(), WLB_BUCKETS);
            break;
        case WLB_ASSIGN_A_MASK:
            read_mask(in, a, assignment);
            break;
        case WLB_ASSIGN_A_KEY_ADDRESS:
            assignment.key_address = in.address(a);
            break;
        case WLB_ASSIGN_A_KEY_NUMBER:
            assignment.key_number = in.u32(a);
            break;
        case WLB_ASSIGN_A_CHANGE_NUMBER:
            assignment.change_number = in.u32(a);
            break;
        case WLB_ASSIGN_A_STATE:
            assignment.state = Reader::bytes(a);
            break;
        default:
            break;
        }
    });
}

void read_values(Reader &in, const nlattr *attribute, RedirectAssignment &assignment)
{
    const auto bytes = Reader::bytes(attribute);
    in.require(bytes.size() % sizeof(wlb_value) == 0);
    for (std::size_t at = 0; at + sizeof(wlb_value) <= bytes.size(); at += sizeof(wlb_value)) {
        wlb_value value{};
        std::memcpy(&value, bytes.data() + at, sizeof(value));
        in.require(value.mask < assignment.masks.size());
        if (value.mask < assignment.masks.size())
            assignment.masks[value.mask].values.push_back({value.number, value.member});
    }
}

} // namespace

Result<Message> encode_groups(int family, const RedirectGroups &groups)
{
    return build_request(family, WLB_CMD_GROUP_SET, 0, [&](Writer &out) {
        out.nest(WLB_A_ROUTER, [&] {
            if (groups.check_all)
                out.flag(WLB_ROUTER_A_CHECK_ALL);
            if (groups.lease.count() != 0)
                out.u32(WLB_ROUTER_A_LEASE, groups.lease.count());
        });
        for (const auto &group : groups.groups)
            put(out, group);
    });
}

Result<Message> encode_assignment(int family, const RedirectAssignment &assignment)
{
    const auto values = values_of(assignment);
    return build_request(family, WLB_CMD_ASSIGN_SET, 0, [&](Writer &out) {
        out.string(WLB_A_NAME, assignment.group);
        out.u8(WLB_A_FAMILY, assignment.ipv6 ? AF_INET6 : AF_INET);
        put(out, assignment);
        for (std::size_t at = 0; at < values.size(); at += values_per_attribute)
            out.bytes(WLB_A_VALUES, &values[at],
                      std::min(values.size() - at, values_per_attribute) * sizeof(values[0]));
    });
}

Result<Message> encode_no_assignment(int family, const std::string &group, bool ipv6)
{
    return build_request(family, WLB_CMD_ASSIGN_SET, 0, [&](Writer &out) {
        out.string(WLB_A_NAME, group);
        out.u8(WLB_A_FAMILY, ipv6 ? AF_INET6 : AF_INET);
    });
}

Result<Message> encode_renewal(int family)
{
    return build_request(family, WLB_CMD_LEASE_RENEW, 0, [](Writer &) {});
}

Status decode_groups(const nlmsghdr *message, RunningGroups &groups)
{
    Reader in;
    in.top(message, [&](int type, const nlattr *a) {
        if (type == WLB_A_ROUTER)
            in.nested(a, [&](int inner, const nlattr *b) {
                if (inner == WLB_ROUTER_A_CHECK_ALL)
                    groups.check_all = true;
                else if (inner == WLB_ROUTER_A_LEASE)
                    groups.lease = milliseconds(in.u32(b));
            });
        else if (type == WLB_A_GROUP)
            groups.groups.push_back(read_group(in, a));
    });
    if (in.bad())
        return unreadable("groups");
    return Done{};
}

Status decode_assignments(const nlmsghdr *message, std::vector<RunningAssignment> &assignments)
{
    Reader in;
    std::string group;
    std::uint8_t family = 0;
    // Group and family come first; values belong to the assignment before.
    in.top(message, [&](int type, const nlattr *a) {
        switch (type) {
        case WLB_A_NAME:
            group = Reader::string(a);
            break;
        case WLB_A_FAMILY:
            family = in.u8(a);
            in.require(family == AF_INET || family == AF_INET6);
            break;
        case WLB_A_ASSIGNMENT: {
            auto &running = assignments.emplace_back();
            running.assignment.group = group;
            running.assignment.ipv6 = family == AF_INET6;
            read_assignment(in, a, running);
            in.require(!group.empty() && family != 0);
            break;
        }
        case WLB_A_VALUES: {
            const bool follows = !assignments.empty() &&
                                 assignments.back().assignment.group == group &&
                                 assignments.back().assignment.ipv6 == (family == AF_INET6);
            in.require(follows);
            if (follows)
                read_values(in, a, assignments.back().assignment);
            break;
        }
        default:
            break;
        }
    });
    if (in.bad())
        return unreadable("assignments");
    return Done{};
}

} // namespace wlb
