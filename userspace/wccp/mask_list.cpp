// SPDX-License-Identifier: GPL-2.0-only
#include "wccp/mask_list.h"

#include <cstring>
#include <map>
#include <set>

#include "wccp/allocate.h"

namespace wlb::wccp {

wlb_wccp_mask usual_mask(const ServiceInfo &service, std::uint8_t addr_len)
{
    const auto described = effective(service).value_or(service);
    const auto flags = described.flags | described.flags >> WLB_WCCP_ALT_SHIFT;
    const bool port_only =
        (flags & WLB_WCCP_HASH) != 0 && (flags & (WLB_WCCP_SRC_IP | WLB_WCCP_DST_IP)) == 0;
    wlb_wccp_mask mask{};
    if (port_only) {
        (flags & WLB_WCCP_SRC_PORT ? mask.sport : mask.dport) = usual_mask_bits;
        return mask;
    }
    auto *field = flags & WLB_WCCP_SRC_IP ? mask.src : mask.dst;
    field[addr_len - 2] = usual_mask_bits >> 8;
    field[addr_len - 1] = usual_mask_bits & 0xff;
    return mask;
}

MaskSet filled(const wlb_wccp_mask &mask, std::uint8_t addr_len,
               const std::vector<std::uint8_t> &members)
{
    MaskSet set{mask, {}};
    for (std::uint32_t number = 0; number < members.size(); ++number) {
        if (members[number] == nobody)
            continue;
        MaskValue value{{}, members[number]};
        wlb_wccp_vsn_value(&mask, addr_len, number, &value.value);
        set.values.push_back(value);
    }
    return set;
}

std::optional<std::uint32_t> number_of(const wlb_wccp_mask &value, const wlb_wccp_mask &mask,
                                       std::uint8_t addr_len)
{
    const wlb_redirect_key key{.src = value.src,
                               .dst = value.dst,
                               .addr_len = addr_len,
                               .sport = value.sport,
                               .dport = value.dport};
    if (!wlb_wccp_match(&key, &mask, &value))
        return {};
    return wlb_wccp_vsn(&key, &mask);
}

bool same_mask(const wlb_wccp_mask &a, const wlb_wccp_mask &b)
{
    return std::memcmp(a.src, b.src, sizeof(a.src)) == 0 &&
           std::memcmp(a.dst, b.dst, sizeof(a.dst)) == 0 && a.sport == b.sport &&
           a.dport == b.dport;
}

std::optional<AltMaskList> compact(const std::vector<MaskSet> &sets,
                                   const std::vector<Address> &caches, bool ipv6, AddressList &list)
{
    AltMaskList result;
    for (const auto &set : sets) {
        const auto addr_len = addr_len_of(ipv6);
        if (wlb_wccp_mask_bits(&set.mask, addr_len) > WLB_WCCP_VSN_BITS)
            return {};
        std::map<std::uint8_t, std::vector<std::uint32_t>> numbers;
        std::set<std::uint32_t> seen;
        for (const auto &value : set.values) {
            const auto number = number_of(value.value, set.mask, addr_len);
            if (!number || !seen.insert(*number).second)
                return {};
            numbers[value.member].push_back(*number);
        }
        auto &element = result.emplace_back();
        element.mask = list.mask(set.mask);
        for (auto &[member, of_member] : numbers)
            element.caches.push_back({list.word(caches[member]), std::move(of_member)});
    }
    return result;
}

MaskList spelled_out(const std::vector<MaskSet> &sets, const std::vector<Address> &caches,
                     AddressList &list)
{
    MaskList result;
    for (const auto &set : sets) {
        auto &element = result.emplace_back();
        element.mask = list.mask(set.mask);
        for (const auto &value : set.values)
            element.values.push_back({list.mask(value.value), list.word(caches[value.member])});
    }
    return result;
}

} // namespace wlb::wccp
