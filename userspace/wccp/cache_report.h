// SPDX-License-Identifier: GPL-2.0-only
// What an operator wants to see of a cache in a group.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "wccp/cache_config.h"
#include "wccp/negotiation.h"
#include "wccp/report.h"

namespace wlb::wccp {

enum class CachePhase : std::uint8_t {
    silent,  // not started, not enabled, not usable, or gone
    present, // says HERE_I_AM
    leaving, // says SHUTDOWN
};
const char *text(CachePhase phase);

struct RouterReport {
    Address id;
    Address source;  // of its last message
    Address sent_to; // where HERE_I_AM goes
    CacheStatus status = CacheStatus::negotiating_membership;
    std::string why; // empty if ready
    bool multicast = false;
    bool learned = false;   // from another router's view
    bool listed = false;    // we are in its view
    std::uint8_t minor = 0; // the highest that it has spoken
    std::uint32_t forwarding = 0, packet_return = 0, assignment = 0; // sets of bits: its offer
    std::uint32_t receive_id = 0;
    std::uint32_t change_number = 0;
    Key key;
    std::size_t share = 0; // ours, in its view: buckets or values
    Duration silent{0};
    Duration known{0};
    std::vector<Address> routers; // its view
    std::vector<Address> caches;
};

struct PeerReport { // a cache that every router sees
    Address address;
    std::uint16_t weight = 0;
    unsigned grown = 0; // eighths of its weight that count
    std::size_t share = 0;
};

struct CacheGroupReport {
    Address address;
    CachePhase phase = CachePhase::silent;
    ServiceInfo service;
    Agreed agreed;
    std::uint32_t change_number = 0;
    std::vector<RouterReport> routers; // by ID
    std::vector<Address> unheard;      // addresses that nobody answers from
    std::vector<PeerReport> caches;    // by address
    std::optional<Address> designated; // none: nobody, or this cache cannot tell
    std::string why_not;               // this cache cannot be designated
    Key key;                           // that this cache has assigned last
    bool reflected = false;            // by every router
    std::optional<Duration> assign_in;
    CacheCounters counters;
};

} // namespace wlb::wccp
