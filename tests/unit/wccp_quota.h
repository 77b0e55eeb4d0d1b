// SPDX-License-Identifier: GPL-2.0-only
// What a fair share is and how little must move to get there, by formula: an oracle for the
// allocator, without its code.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace wccp_test {

// Every member has its exact quota, rounded down or up.
inline bool is_fair(const std::vector<std::size_t> &have, const std::vector<std::uint32_t> &weights,
                    std::size_t slots)
{
    const auto sum = std::accumulate(weights.begin(), weights.end(), std::uint64_t{0});
    for (std::size_t i = 0; i < have.size(); ++i) {
        const auto part = slots * (sum ? weights[i] : 1);
        const auto whole = sum ? sum : weights.size();
        if (have[i] < part / whole || have[i] > (part + whole - 1) / whole)
            return false;
    }
    return std::accumulate(have.begin(), have.end(), std::size_t{0}) == slots;
}

// Members keep what they have up to their share by the largest remainder. Where remainders
// are equal the extra slots may go to any of those; every one that has more than its share
// without the extra one loses one slot less if it gets it.
inline std::size_t least_moves(const std::vector<std::size_t> &have,
                               const std::vector<std::uint32_t> &weights, std::size_t slots)
{
    const auto n = weights.size();
    const auto sum = std::accumulate(weights.begin(), weights.end(), std::uint64_t{0});
    const auto whole = sum ? sum : n;
    std::vector<std::size_t> share(n);
    std::vector<std::uint64_t> remainder(n);
    auto extra = slots;
    for (std::size_t i = 0; i < n; ++i) {
        const auto part = slots * (sum ? weights[i] : 1);
        share[i] = part / whole;
        remainder[i] = part % whole;
        extra -= share[i];
    }
    auto sorted = remainder;
    std::sort(sorted.rbegin(), sorted.rend());
    std::size_t moves = 0, above = 0, equal_and_more = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const bool up = extra > 0 && remainder[i] > sorted[extra - 1];
        const bool may = extra > 0 && remainder[i] == sorted[extra - 1];
        above += up;
        const auto least = share[i] + (up ? 1 : 0);
        moves += have[i] > least ? have[i] - least : 0;
        equal_and_more += may && have[i] > least;
    }
    return moves - std::min(equal_and_more, extra - above);
}

} // namespace wccp_test
