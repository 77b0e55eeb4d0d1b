// SPDX-License-Identifier: GPL-2.0-only
// What the address fields of a message mean (R1 4.7): IPv4 addresses or, in a message with
// an Address Table, indices into that from 1. 0 is "unspecified", of a mask "no bit".
#pragma once

#include <array>
#include <vector>

#include "wccp/message.h"
#include "wlb/address.h"
#include "wlb/redirect.h"
#include "wlb/result.h"

namespace wlb::wccp {

// The address fields of a message that was received; outlives the message.
class Addresses {
public:
    // Fails if there is a table that version 2.00 does not have, or one of another family
    // than IPv4 or IPv6, or with addresses shorter than the family's.
    static Result<Addresses> of(const Message &message);

    [[nodiscard]] bool is_ipv6() const { return ipv6_; }
    // An index past the table is an error; 0 is the family's unspecified address.
    [[nodiscard]] Result<Address> address(Word word) const;
    [[nodiscard]] Result<wlb_wccp_mask> mask(const MaskElement &element) const;

private:
    bool table_ = false;
    bool ipv6_ = false;
    std::vector<Address> entries_;
};

// The address fields of a message that is being made, and the table for its end.
class AddressList {
public:
    explicit AddressList(bool ipv6) : ipv6_(ipv6) {}

    Word word(const Address &address);
    MaskElement mask(const wlb_wccp_mask &mask);
    // Appends the table if the family needs one.
    void finish(Message &message) const;

private:
    Word word(const std::uint8_t *octets);

    bool ipv6_;
    std::vector<Address> entries_;
};

Address unspecified(bool ipv6);
bool contains(const std::vector<Prefix> &list, const Address &address);

// Whether the message has the command with that cache for its value (R1 6.12).
bool has_command(const Message &message, std::uint16_t command, const Addresses &addresses,
                 const Address &cache);
// The command for a message that is being made.
Element command_for(std::uint16_t command, const Address &cache, AddressList &list);

} // namespace wlb::wccp
