// SPDX-License-Identifier: GPL-2.0-only
// Which cache gets which traffic: as the kernel is told it, as the group keeps it, and as a
// REDIRECT_ASSIGN says it.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "wccp/addresses.h"
#include "wccp/message.h"
#include "wlb/address.h"
#include "wlb/redirect.h"
#include "wlb/result.h"

namespace wlb::wccp {

using Duration = std::chrono::milliseconds;
using Time = std::chrono::milliseconds; // of a monotonic clock, since whenever

// The values are the capabilities' bits (R1 6.11.1 to 6.11.3).
enum class Transport : std::uint32_t { gre = 1, l2 = 2 };
enum class Method : std::uint32_t { hash = 1, mask = 2 };

// What a group has agreed upon (R1 2.1), and what follows from it.
struct Timers {
    Duration transmit{10000};
    unsigned timeout_scale = 1;
    unsigned assign_scale = 1;

    [[nodiscard]] Duration query() const { return transmit * timeout_scale * 5 / 2; } // R1 3.14
    [[nodiscard]] Duration remove() const { return transmit * timeout_scale * 3; }
    [[nodiscard]] Duration flush() const { return transmit * assign_scale * 5; } // R1 3.8.1
    bool operator==(const Timers &) const = default;
};

// Neither change numbers nor receive IDs nor keys are ever 0: R1 6.1 says so of receive IDs;
// a cache that begins with a change number of 0 would see no change in one of 0; and a key
// of 0 is that of no assignment.
inline std::uint32_t next_number(std::uint32_t number)
{
    return number == UINT32_MAX ? 1 : number + 1;
}

struct Key { // R1 6.3; both 0 if there is no assignment
    Address address;
    std::uint32_t number = 0;
    bool operator==(const Key &) const = default;
};

// A member's index instead of its address, in the containing list of caches or members.
struct MaskValue {
    wlb_wccp_mask value;
    std::uint8_t member;
    bool operator==(const MaskValue &other) const;
};

struct MaskSet { // R1 3.11.2: sets and values are tried in their order
    wlb_wccp_mask mask;
    std::vector<MaskValue> values;
    bool operator==(const MaskSet &other) const;
};

using Buckets = std::array<std::uint8_t, WLB_WCCP_BUCKETS>; // index | WLB_WCCP_BUCKET_ALT, or NONE
using BucketVector = std::array<std::uint8_t, 32>;          // R1 6.6

struct Member {
    Address address;
    Transport forwarding = Transport::gre;
    Transport packet_return = Transport::gre;
    std::uint16_t weight = 0;
    bool operator==(const Member &) const = default;
};

// All that the data path needs to know of a group, and all that a router that starts again
// needs to go on. Without members there is no redirection.
struct Assignment {
    ServiceInfo service;         // as defined by the first member; see effective()
    std::vector<Member> members; // usable caches by address, at most max_caches
    Method method = Method::hash;
    Buckets buckets{};         // with hash; an index is one into members
    std::vector<MaskSet> sets; // with mask
    Key key;
    std::uint32_t change_number = 0; // never 0
    Timers timers;
    std::vector<Address> routers; // in the view; only a restored group needs them
    bool operator==(const Assignment &) const = default;
};

// A standard service in a dynamic one's words (R1 5.1.2); a dynamic one as it is. None for
// a standard service that nobody has defined.
std::optional<ServiceInfo> effective(const ServiceInfo &service);
// Whether both describe the same traffic (R1 3.2): ports up to the first 0, and only if
// they are meant; of a standard service nothing but its ID.
bool same_service(const ServiceInfo &a, const ServiceInfo &b);

// An assignment by address, as it came and as it is kept while members come and go.
class Table {
public:
    Table() { buckets_.fill(WLB_WCCP_BUCKET_NONE); }
    static Table of_buckets(std::vector<Address> caches, const Buckets &buckets);
    static Table of_sets(std::vector<Address> caches, std::vector<MaskSet> sets);

    [[nodiscard]] Method method() const { return method_; }
    [[nodiscard]] bool empty() const;                            // nothing is assigned to anybody
    [[nodiscard]] std::size_t share(const Address &cache) const; // buckets or values
    [[nodiscard]] BucketVector vector_of(const Address &cache) const;
    [[nodiscard]] const std::vector<Address> &caches() const { return caches_; }
    [[nodiscard]] const Buckets &buckets() const { return buckets_; }
    [[nodiscard]] const std::vector<MaskSet> &sets() const { return sets_; }

    // Takes away all that the cache has; it becomes unassigned.
    void purge(const Address &cache);
    // Fills in buckets or sets, with indices into its members. All of the table's caches must
    // be among them.
    void write(Assignment &assignment) const;

    bool operator==(const Table &) const = default;

private:
    // Which octets of a bucket or a value mean the cache: a list may name one twice.
    [[nodiscard]] std::array<bool, WLB_WCCP_BUCKET_NONE + 1> indices_of(const Address &cache) const;

    Method method_ = Method::hash;
    std::vector<Address> caches_;
    Buckets buckets_{};
    std::vector<MaskSet> sets_;
};

// A bucket's octet: everybody's, with the flag for the alternative above the index, or that
// of the drafts' picture, with the flag below it.
enum class BucketFormat { cisco, draft };

// What a REDIRECT_ASSIGN says.
struct RouterEntry {
    Address router;
    std::uint32_t receive_id = 0;
    std::uint32_t change_number = 0;
};
struct Proposal {
    Key key;
    std::vector<RouterEntry> routers;
    Table table;
    // What of it says nothing and is left out
    unsigned bad_buckets = 0;          // index past the caches
    unsigned bad_sequence_numbers = 0; // past the mask's bits, or listed before
    unsigned never_matching = 0;       // values with bits past their mask: kept
};
Result<Proposal> read_proposal(const Message &message, const Addresses &addresses,
                               BucketFormat format);
// What an I_SEE_YOU says of a mask assignment in force, if anything.
Result<std::optional<Table>> read_map(const Message &message, const Addresses &addresses);

} // namespace wlb::wccp
