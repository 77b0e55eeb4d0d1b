// SPDX-License-Identifier: GPL-2.0-only
// What an operator says of one service group, and what the group counts.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "wccp/assignment.h"
#include "wlb/address.h"

namespace wlb::wccp {

enum class SquidFiller { off, on, automatic };

struct GroupConfig {
    std::uint8_t service_type = ServiceInfo::standard;
    std::uint8_t service_id = 0;
    Address router_id; // its family is the group's; caches must be able to reach it

    // Whose messages are looked at. An empty list lets nobody in unless allow_any.
    std::vector<Prefix> group_list;
    bool allow_any = false;
    bool strict_source = true; // a cache's identity is the address it sends from
    std::string password;      // empty: no MD5; more than 8 octets do not count
    bool md5_squid = false;    // also the forms of Squid's that DigestForm tells of

    std::optional<Address> group_address; // multicast
    bool answer_source_port = false;      // answers go to 2048 otherwise
    std::uint8_t max_minor = 1;           // 0: version 2.00 only

    // Sets of Transport and Method bits that are offered
    std::uint32_t forwarding = 3;
    std::uint32_t packet_return = 3;
    std::uint32_t assignment = 3;
    // Whether a cache can be reached without a router in between, as forwarding by L2
    // needs; none: no cache can.
    std::function<bool(const Address &)> on_link;

    // Offer other timers than the default ones, in these ranges; the first cache chooses.
    bool variable_timers = false;
    Duration transmit_min{500}, transmit_max{60000};
    unsigned scale_min = 1, scale_max = 5;

    BucketFormat bucket_format = BucketFormat::cisco;
    // Squid from 4.17 and 5.2 on takes every component for 4 octets longer than it is where
    // pointers have 8; an empty one of unknown type behind each makes up for it.
    SquidFiller squid_filler = SquidFiller::off;
    // The router assigns by itself if no cache has, so long after a change; 0: never. For
    // caches that cannot.
    Duration assignment_fallback{0};
    // Squid sends an assignment once. If it is lost nothing happens until the membership
    // changes; so the change number does, every 60 s while there is no assignment.
    bool reassign_kick = false;
    // An authentic assignment by a member that lists other routers but not this one takes
    // this one's away (D01 "REDIRECT_ASSIGN").
    bool flush_if_unlisted = true;

    // Answers a second: to one source that has not shown that it gets them, to all such
    // together, and to one that has (three in 0.1 T answer a query).
    unsigned source_rate = 2;
    unsigned total_rate = 100;
    unsigned member_rate = 32;

    [[nodiscard]] bool is_ipv6() const { return router_id.is_ipv6(); }
    [[nodiscard]] bool allows(const Address &source) const;
};

// Why a message or a part of it did nothing. Those from receive_id to rate are answered or
// would have been.
enum class Refusal : std::uint8_t {
    header,
    not_for_router,
    other_service,
    family,
    destination,
    group_list,
    authentication,
    malformed,
    component_missing,
    identity,
    strict_source,
    identity_taken,
    service_mismatch,
    receive_id,
    capabilities,
    group_full,
    rate,
    assignment_sender,
    assignment_method,
    assignment_unlisted,
    assignment_receive_id,
    assignment_change_number,
};
inline constexpr std::size_t refusals = 22;
const char *text(Refusal refusal);

struct Counters {
    std::array<std::uint64_t, refusals> refused{};
    std::uint64_t here_i_am = 0; // valid ones
    std::uint64_t i_see_you = 0; // sent
    std::uint64_t removal_query = 0;
    std::uint64_t redirect_assign = 0; // valid ones
    std::uint64_t flushed = 0;
    std::uint64_t fallback = 0;
    std::uint64_t kicked = 0;
    std::uint64_t evicted = 0;              // addresses forgotten for newer ones
    std::uint64_t map_omitted = 0;          // I_SEE_YOUs too long with their assignment map
    std::uint64_t unknown_caches = 0;       // in assignments, not usable here
    std::uint64_t bad_buckets = 0;          // in assignments
    std::uint64_t bad_sequence_numbers = 0; // likewise
    std::uint64_t never_matching = 0;       // likewise

    [[nodiscard]] std::uint64_t of(Refusal refusal) const
    {
        return refused[static_cast<std::size_t>(refusal)];
    }
    bool operator==(const Counters &) const = default;
};

} // namespace wlb::wccp
