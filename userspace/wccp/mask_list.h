// SPDX-License-Identifier: GPL-2.0-only
// Mask/value sets that are made here, and how a message tells them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "wccp/addresses.h"
#include "wccp/assignment.h"

namespace wlb::wccp {

inline constexpr std::uint16_t usual_mask_bits = 0x1741; // what Squid and others take

// Where nobody says which bits: the usual six of the first field that the service's flags
// name, source address before destination address before ports.
wlb_wccp_mask usual_mask(const ServiceInfo &service, std::uint8_t addr_len);

inline std::uint8_t addr_len_of(bool ipv6)
{
    return ipv6 ? 16 : 4;
}

// Each value of the mask for the member at its number; none for one that is nobody's.
MaskSet filled(const wlb_wccp_mask &mask, std::uint8_t addr_len,
               const std::vector<std::uint8_t> &members);
// The value's number, if the mask can have it.
std::optional<std::uint32_t> number_of(const wlb_wccp_mask &value, const wlb_wccp_mask &mask,
                                       std::uint8_t addr_len);
bool same_mask(const wlb_wccp_mask &a, const wlb_wccp_mask &b);

// Sets in the compact form of 2.01, if they can be told so (R1 7): every value within its
// mask, and none twice.
std::optional<AltMaskList> compact(const std::vector<MaskSet> &sets,
                                   const std::vector<Address> &caches, bool ipv6,
                                   AddressList &list);
MaskList spelled_out(const std::vector<MaskSet> &sets, const std::vector<Address> &caches,
                     AddressList &list);

} // namespace wlb::wccp
