// SPDX-License-Identifier: GPL-2.0-only
// The cache router as the kernel has it: service groups, and which cache of a group
// has which packets. Field for field what include/uapi/linux/wlb.h carries.
#pragma once

#include <linux/wlb.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "wlb/address.h"
#include "wlb/duration.h"
#include "wlb/records.h"

namespace wlb {

enum class GroupType : std::uint8_t { standard = WLB_GROUP_STANDARD, dynamic = WLB_GROUP_DYNAMIC };

enum class GroupHook : std::uint8_t {
    prerouting = WLB_HOOK_PREROUTING,
    forward = WLB_HOOK_FORWARD
};

enum class Forward : std::uint8_t { gre = WLB_FORWARD_GRE, l2 = WLB_FORWARD_L2 };

struct RedirectRule {
    bool deny = false;
    std::optional<Prefix> source; // absent: any
    std::optional<Prefix> destination;

    bool operator==(const RedirectRule &) const = default;
};

struct RedirectGroup {
    std::string name;
    GroupType type = GroupType::standard;
    std::uint8_t id = 0;
    std::vector<std::string> in;
    std::vector<std::string> out;
    std::vector<std::string> exclude;
    std::vector<RedirectRule> rules; // none: everything is permitted
    bool closed = false;
    GroupHook hook = GroupHook::prerouting;
    std::optional<Address> source4;
    std::optional<Address> source6;
    seconds drain{0};

    bool operator==(const RedirectGroup &) const = default;
};

struct RedirectGroups {
    bool check_all = false;
    milliseconds lease{0}; // without a sign of life for so long the groups go idle; 0: never
    std::vector<RedirectGroup> groups; // none: the role is off

    bool operator==(const RedirectGroups &) const = default;
};

struct RunningGroup {
    RedirectGroup group;
    std::vector<Counter> counters; // in the order of WLB_GROUP_STATS, then unknown ones
};

struct RunningGroups {
    bool check_all = false;
    milliseconds lease{0};
    std::vector<RunningGroup> groups;
};

struct RedirectMember {
    Address address;
    Forward forward = Forward::gre;
    Forward return_method = Forward::gre;

    bool operator==(const RedirectMember &) const = default;
};

// Network order; of an IPv4 service the first 4 bytes of the addresses count.
struct RedirectMask {
    std::array<std::uint8_t, 16> src{};
    std::array<std::uint8_t, 16> dst{};
    std::uint16_t sport = 0;
    std::uint16_t dport = 0;

    bool operator==(const RedirectMask &) const = default;
};

struct RedirectValue {
    std::uint32_t number = 0; // value sequence number
    std::uint8_t member = 0;  // index

    auto operator<=>(const RedirectValue &) const = default;
};

struct RedirectMaskSet {
    RedirectMask mask;
    std::vector<RedirectValue> values; // ascending, each number once

    bool operator==(const RedirectMaskSet &) const = default;
};

struct RedirectAssignment {
    std::string group; // its name
    bool ipv6 = false;
    std::uint8_t priority = 0;
    std::uint8_t protocol = 0;
    std::uint32_t flags = 0;
    std::array<std::uint16_t, WLB_WCCP_PORTS_LEN> ports{};
    std::vector<RedirectMember> members;
    // Method hash if there are buckets, else mask.
    std::optional<std::array<std::uint8_t, WLB_BUCKETS>> buckets;
    std::vector<RedirectMaskSet> masks;
    // Kept for a daemon that starts anew.
    std::optional<Address> key_address;
    std::uint32_t key_number = 0;
    std::uint32_t change_number = 0;
    std::vector<std::uint8_t> state;

    bool operator==(const RedirectAssignment &) const = default;
};

struct MemberCounters {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    std::uint64_t returned = 0;
};

struct RunningAssignment {
    RedirectAssignment assignment;
    std::vector<MemberCounters> counters; // one per member
};

} // namespace wlb
