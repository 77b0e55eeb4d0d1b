// SPDX-License-Identifier: GPL-2.0-only
// What an operator wants to see of a group.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "wccp/assignment.h"
#include "wccp/config.h"

namespace wlb::wccp {

// What becomes of a cache, in words that caches use too; `why` says more.
enum class CacheStatus : std::uint8_t {
    negotiating_membership, // has not shown yet that it gets our answers
    negotiating_assignment, // usable, but nothing is assigned to it
    ready,
    capability_mismatch,
    assignment_mismatch, // of the method
    bad_router_id,       // lists routers, but not us
    bad_router_view,     // lists us with a receive ID that is not ours
    not_on_link,         // wants L2
    group_full,
    shutting_down,
};
const char *text(CacheStatus status);

struct CacheReport {
    Address address; // identity
    Address source;
    CacheStatus status = CacheStatus::negotiating_membership;
    std::string why; // empty if ready
    bool usable = false;
    bool queried = false; // silent for so long that it was asked
    bool multicast = false;
    std::uint8_t minor = 0; // of its last message
    Transport forwarding = Transport::gre;
    Transport packet_return = Transport::gre;
    Method method = Method::hash;
    std::uint16_t weight = 0;
    std::uint32_t receive_id = 0; // the last one sent to it
    Duration silent{0};
    Duration connected{0};   // usable for so long
    BucketVector initial{};  // as its own messages tell
    BucketVector assigned{}; // with hash
    std::size_t share = 0;   // buckets or values
};

struct Report {
    Address router_id;
    std::optional<ServiceInfo> service; // none: no member yet
    std::optional<Method> method;
    Timers timers;
    std::uint32_t change_number = 0;
    std::uint32_t receive_id = 0; // the last one sent
    Key key;
    std::vector<Address> routers;     // "informed of"
    std::vector<Address> visible;     // usable caches
    std::vector<Address> not_visible; // others that are heard, or that members list
    std::optional<Duration> flush_in; // no assignment since the last change
    std::string assignment_refusal;   // of the last one that was not taken
    std::vector<CacheReport> caches;  // by address; then the newest of those only heard
    std::size_t contacts = 0;         // all of those
    Counters counters;
};
inline constexpr std::size_t reported_contacts = 32;

} // namespace wlb::wccp
