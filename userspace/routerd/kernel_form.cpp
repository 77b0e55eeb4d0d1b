// SPDX-License-Identifier: GPL-2.0-only
#include "routerd/kernel_form.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <map>

namespace wlb::routerd {

namespace {

using Json = nlohmann::json;
constexpr int state_version = 1;

Forward forward_of(wccp::Transport transport)
{
    return transport == wccp::Transport::l2 ? Forward::l2 : Forward::gre;
}

wccp::Transport transport_of(Forward forward)
{
    return forward == Forward::l2 ? wccp::Transport::l2 : wccp::Transport::gre;
}

// What the kernel has no use for, but the next process has.
std::vector<std::uint8_t> state_of(const wccp::Assignment &assignment)
{
    const auto &service = assignment.service;
    auto weights = Json::array();
    for (const auto &member : assignment.members)
        weights.push_back(member.weight);
    auto routers = Json::array();
    for (const auto &router : assignment.routers)
        routers.push_back(router.text());
    return Json::to_cbor({{"version", state_version},
                          {"type", service.type},
                          {"id", service.id},
                          {"priority", service.priority},
                          {"protocol", service.protocol},
                          {"flags", service.flags},
                          {"ports", service.ports},
                          {"transmit", assignment.timers.transmit.count()},
                          {"timeout-scale", assignment.timers.timeout_scale},
                          {"assign-scale", assignment.timers.assign_scale},
                          {"weights", weights},
                          {"routers", routers}});
}

bool read_state(const std::vector<std::uint8_t> &state, wccp::Assignment &to)
{
    try {
        const auto json = Json::from_cbor(state);
        if (json.at("version") != state_version)
            return false;
        auto &service = to.service;
        service.type = json.at("type");
        service.id = json.at("id");
        service.priority = json.at("priority");
        service.protocol = json.at("protocol");
        service.flags = json.at("flags");
        service.ports = json.at("ports");
        to.timers.transmit = wccp::Duration(json.at("transmit").get<std::int64_t>());
        to.timers.timeout_scale = json.at("timeout-scale");
        to.timers.assign_scale = json.at("assign-scale");
        const auto &weights = json.at("weights");
        if (weights.size() > to.members.size())
            return false;
        to.members.resize(weights.size()); // who was leaving comes last
        for (std::size_t i = 0; i < weights.size(); ++i)
            to.members[i].weight = weights[i];
        for (const auto &router : json.at("routers")) {
            const auto address = Address::parse(router.get<std::string>());
            if (!address)
                return false;
            to.routers.push_back(*address);
        }
        return true;
    } catch (const Json::exception &) {
        return false;
    }
}

// Values by their numbers; of two of the same number the first counts, as it would if they
// were tried in their order. One with bits past its mask never matches.
RedirectMaskSet to_kernel(const wccp::MaskSet &set, std::uint8_t address_size)
{
    RedirectMaskSet result;
    std::copy(std::begin(set.mask.src), std::end(set.mask.src), result.mask.src.begin());
    std::copy(std::begin(set.mask.dst), std::end(set.mask.dst), result.mask.dst.begin());
    result.mask.sport = set.mask.sport;
    result.mask.dport = set.mask.dport;
    std::map<std::uint32_t, std::uint8_t> members;
    for (const auto &value : set.values) {
        const wlb_redirect_key key{value.value.src, value.value.dst, address_size,
                                   value.value.sport, value.value.dport};
        if (wlb_wccp_match(&key, &set.mask, &value.value))
            members.emplace(wlb_wccp_vsn(&key, &set.mask), value.member);
    }
    for (const auto &[number, member] : members)
        result.values.push_back({number, member});
    return result;
}

wccp::MaskSet from_kernel(const RedirectMaskSet &set, std::uint8_t address_size)
{
    wccp::MaskSet result{};
    std::copy(set.mask.src.begin(), set.mask.src.end(), std::begin(result.mask.src));
    std::copy(set.mask.dst.begin(), set.mask.dst.end(), std::begin(result.mask.dst));
    result.mask.sport = set.mask.sport;
    result.mask.dport = set.mask.dport;
    for (const auto &value : set.values) {
        wccp::MaskValue read{};
        wlb_wccp_vsn_value(&result.mask, address_size, value.number, &read.value);
        read.member = value.member;
        result.values.push_back(read);
    }
    return result;
}

std::uint8_t address_size(bool ipv6)
{
    return ipv6 ? 16 : 4;
}

} // namespace

RedirectGroups to_kernel(const CacheRouter &router)
{
    RedirectGroups groups;
    groups.check_all = router.check_services_all;
    groups.lease = router.lease;
    for (const auto &from : router.groups) {
        RedirectGroup &to = groups.groups.emplace_back();
        to.name = from.service.text();
        to.type = from.service.dynamic ? GroupType::dynamic : GroupType::standard;
        to.id = from.service.id;
        to.in = from.redirect_in;
        to.out = from.redirect_out;
        to.exclude = from.exclude_in;
        to.rules = from.redirect_list;
        to.closed = from.closed;
        to.hook = from.hook;
        to.drain = from.drain;
        for (const auto &source : from.source)
            (source.is_ipv6() ? to.source6 : to.source4) = source;
    }
    return groups;
}

std::optional<RedirectAssignment> to_kernel(const ServiceId &service, bool ipv6,
                                            const wccp::Assignment &assignment,
                                            const std::vector<RedirectMember> &leaving)
{
    const auto means = wccp::effective(assignment.service);
    if (!means || assignment.members.empty())
        return std::nullopt;
    RedirectAssignment result;
    result.group = service.text();
    result.ipv6 = ipv6;
    result.priority = means->priority;
    result.protocol = means->protocol;
    result.flags = means->flags;
    result.ports = means->ports;
    for (const auto &member : assignment.members)
        result.members.push_back(
            {member.address, forward_of(member.forwarding), forward_of(member.packet_return)});
    for (const auto &member : leaving)
        if (result.members.size() < WLB_MAX_CACHES)
            result.members.push_back(member);
    if (assignment.method == wccp::Method::hash)
        result.buckets = assignment.buckets;
    for (const auto &set : assignment.sets)
        if (wlb_wccp_mask_bits(&set.mask, address_size(ipv6)) <= WLB_MAX_MASK_BITS)
            result.masks.push_back(to_kernel(set, address_size(ipv6)));
    if (assignment.key.number != 0 || assignment.key.address != Address())
        result.key_address = assignment.key.address;
    result.key_number = assignment.key.number;
    result.change_number = assignment.change_number;
    result.state = state_of(assignment);
    return result;
}

std::optional<wccp::Assignment> from_kernel(const RedirectAssignment &assignment)
{
    wccp::Assignment result;
    for (const auto &member : assignment.members)
        result.members.push_back(
            {member.address, transport_of(member.forward), transport_of(member.return_method), 0});
    if (!read_state(assignment.state, result))
        return std::nullopt;
    result.buckets.fill(WLB_WCCP_BUCKET_NONE);
    if (assignment.buckets)
        result.buckets = *assignment.buckets;
    else
        result.method = wccp::Method::mask;
    for (const auto &set : assignment.masks)
        result.sets.push_back(from_kernel(set, address_size(assignment.ipv6)));
    if (assignment.key_address)
        result.key.address = *assignment.key_address;
    result.key.number = assignment.key_number;
    result.change_number = assignment.change_number;
    return result;
}

} // namespace wlb::routerd
