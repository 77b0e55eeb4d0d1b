// SPDX-License-Identifier: GPL-2.0-only
// Capabilities and versions: what is offered, what is chosen, what both are (R1 3.4, 3.5).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "wccp/assignment.h"
#include "wccp/config.h"
#include "wccp/message.h"

namespace wlb::wccp {

// What a router offers a group's caches. The first one that becomes usable fixes method and
// timers for all (R1 3.5.2, 3.5.4, 3.5.5); forwarding and return are each cache's own.
struct Offer {
    std::uint32_t forwarding = 1; // sets of bits
    std::uint32_t packet_return = 1;
    std::uint32_t assignment = 1;
    bool timers = false; // offered at all
    Duration transmit_min{10000}, transmit_max{10000};
    unsigned timeout_min = 1, timeout_max = 1; // scales
    unsigned assign_min = 1, assign_max = 1;
};

struct Agreed {
    Transport forwarding = Transport::gre;
    Transport packet_return = Transport::gre;
    Method method = Method::hash;
    Timers timers;
    bool operator==(const Agreed &) const = default;
};

struct Fixed {
    Method method = Method::hash;
    Timers timers;
};
Offer offer_of(const GroupConfig &config, const std::optional<Fixed> &fixed);

// What a HERE_I_AM chooses; what it does not name is the default. The error tells which
// capability does not fit; `method` whether it is only the assignment method.
struct Choice {
    std::optional<Agreed> agreed;
    bool method_differs = false;
    std::string why;
};
Choice choose(const Capabilities *capabilities, const Offer &offer);

// For I_SEE_YOU. Not to be told less than the offer is what keeps Squid from giving up.
Capabilities capabilities_of(const Offer &offer);
Capabilities capabilities_of(const Agreed &agreed, bool timers);

// What an I_SEE_YOU offers; what it does not name is the default. A range that is none, its
// end before its beginning or with a 0, offers nothing.
Offer read_offer(const Capabilities *capabilities);

// The minor version of the answer to a message of `theirs`, V set or not.
inline std::uint8_t answer_minor(std::uint8_t ours, std::uint8_t theirs, bool minimum_version)
{
    return minimum_version || theirs > ours ? ours : theirs;
}

} // namespace wlb::wccp
