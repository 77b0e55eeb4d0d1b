// SPDX-License-Identifier: GPL-2.0-only
// The host of a cache as the kernel has it: whose redirected packets are taken in, and
// which are returned. Field for field what include/uapi/linux/wlb.h carries.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "wlb/address.h"
#include "wlb/duration.h"
#include "wlb/group.h"

namespace wlb {

// A router of one service group.
struct Door {
    Address address;
    Forward forward = Forward::gre;       // router to cache
    Forward return_method = Forward::gre; // cache to router
    GroupType type = GroupType::standard;
    std::uint8_t id = 0;
    std::optional<Address> source; // outer, of what goes back; absent: the route's

    bool operator==(const Door &) const = default;
};

struct CacheDoors {
    std::vector<Door> doors;           // none: the role is off
    std::vector<RedirectRule> rules;   // what they permit is returned
    std::uint32_t share = 0;           // of a thousand new connections, returned
    std::optional<std::uint32_t> mark; // of what is taken in; absent: as it is
    bool nat = false;                  // the proxies' sockets have other addresses
    std::vector<std::uint16_t> ports;  // where the proxies listen

    bool operator==(const CacheDoors &) const = default;
};

struct DoorCounters {
    std::uint64_t packets = 0; // returned
    std::uint64_t bytes = 0;
};

struct RunningDoors {
    CacheDoors cache;
    std::vector<DoorCounters> counters; // one per door
};

// Packets between these are returned for a while: something learned.
struct Bypass {
    std::optional<Address> source; // absent: any
    Address destination;
    seconds lifetime{0}; // of a dump: what is left

    bool operator==(const Bypass &) const = default;
};

} // namespace wlb
