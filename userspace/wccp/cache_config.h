// SPDX-License-Identifier: GPL-2.0-only
// What an operator says of one cache in one service group, and what it counts.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "wccp/assignment.h"
#include "wccp/message.h"
#include "wlb/address.h"
#include "wlb/result.h"

namespace wlb::wccp {

// Which part of the traffic a cache takes, whatever its weight. With hash assignment that is
// a set of buckets; with mask assignment those values that one of these agrees with in the
// bits that both masks have.
struct Traffic {
    wlb_wccp_mask mask{};
    wlb_wccp_mask value{};
    bool operator==(const Traffic &other) const;
};
struct Specification {
    std::optional<BucketVector> buckets; // none: every one
    std::vector<Traffic> traffic;        // empty: all
    bool operator==(const Specification &) const = default;
};

struct CacheConfig {
    bool enabled = true;
    Address address;     // identity and source; its family is the group's
    ServiceInfo service; // as this cache describes it

    std::vector<Address> routers;         // spoken to by unicast
    std::optional<Address> group_address; // and by multicast
    bool learn_routers = true;            // also those that routers' views tell of
    // Whether an address is this host's own: its router is not learned. None: no other is.
    std::function<bool(const Address &)> is_own;
    bool strict_source = true;       // routers answer from the address they are spoken to at
    std::vector<Prefix> router_list; // whose messages are looked at; empty: everybody's
    std::string password;            // empty: no MD5; more than 8 octets do not count
    std::uint8_t max_minor = 1;      // 0: version 2.00 only, which IPv6 cannot have

    // In order of preference; the first one is taken that every router offers.
    std::vector<Transport> forwarding{Transport::gre, Transport::l2};
    std::vector<Transport> packet_return{Transport::gre, Transport::l2};
    std::vector<Method> assignment{Method::hash, Method::mask};
    Timers timers; // wanted; the nearest that every router offers are taken

    std::uint16_t weight = 0; // all 0: equal shares
    // The mask to assign by; none: the usual six bits. Every value of its bits is assigned.
    std::optional<wlb_wccp_mask> mask;
    BucketFormat bucket_format = BucketFormat::cisco;
    // Buckets that the designated cache marks for the alternative hash.
    BucketVector hot_buckets{};
    // A cache that joins has an eighth of its weight at first, and all of it after so long.
    Duration slow_start{0};
    // What each member takes, this one too. No message carries it, so every cache that may
    // be designated must know all of them; this one's buckets are told as its initial ones.
    std::map<Address, Specification> specifications;
    // Squid on x86 elects by addresses read backwards. Leave a full assignment of another
    // member alone even if that one should not be the designated cache.
    bool yield = false;

    [[nodiscard]] bool is_ipv6() const { return address.is_ipv6(); }
};

inline constexpr unsigned max_mask_bits = 10;                     // 1024 values; usual are 6
inline constexpr Duration transmit_min{500}, transmit_max{60000}; // R1 6.11.4
inline constexpr unsigned scale_max = 5;                          // R1 6.11.5

// An error names the setting and what is allowed.
Status validate(const CacheConfig &config);

// Why a message did nothing.
enum class CacheRefusal : std::uint8_t {
    silent,
    header,
    not_for_cache,
    other_service,
    family,
    destination,
    router_list,
    authentication,
    malformed,
    component_missing,
    identity,
    not_addressed,
    sent_to,
    source,
    service_mismatch,
    receive_id,
    too_many_routers,
    unknown_router,
};
inline constexpr std::size_t cache_refusals = 18;
const char *text(CacheRefusal refusal);

struct CacheCounters {
    std::array<std::uint64_t, cache_refusals> refused{};
    std::uint64_t here_i_am = 0;       // sent
    std::uint64_t i_see_you = 0;       // taken
    std::uint64_t removal_query = 0;   // answered
    std::uint64_t redirect_assign = 0; // sent, not counting each address
    std::uint64_t assignments = 0;     // keys used
    std::uint64_t routers_lost = 0;

    [[nodiscard]] std::uint64_t of(CacheRefusal refusal) const
    {
        return refused[static_cast<std::size_t>(refusal)];
    }
    bool operator==(const CacheCounters &) const = default;
};

} // namespace wlb::wccp
