// SPDX-License-Identifier: GPL-2.0-only
// Who gets which bucket or value (R1 3.8, 3.10): by weight, by what each cache takes, and
// with as little moved as can be.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace wlb::wccp {

inline constexpr std::uint8_t nobody = 0xff;
inline constexpr std::size_t max_slots = 1024;

// A bucket of hash assignment or a value of a mask. Bit i of a set is member i.
struct Slot {
    std::optional<std::uint8_t> owner; // the member that has it now
    std::uint32_t former = 0;          // members that had it before they went and came back
    std::uint32_t accepts = ~0U;       // members whose specification allows it
};

// One of at most 32 members for each of at most max_slots slots, or nobody for one that none
// of them takes. Members of weight 0 get nothing unless all have it, then all the same.
// Weights are at most 2^20. The result is, of all that are possible,
// 1. nearest to what the weights say: the least sum of squares of differences. Without
//    specifications that is the method of the largest remainder.
// 2. the one that takes fewest slots from members that have them
// 3. the one that gives most slots to former owners.
// Of several that are equal in all that always the same one.
std::vector<std::uint8_t> allocate(std::vector<Slot> slots, std::vector<std::uint32_t> weights);

} // namespace wlb::wccp
