// SPDX-License-Identifier: GPL-2.0-only
// What races add up to over a long time. The kernel keeps the latest ones only: who looks often
// enough sees them all.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "wlb/metrics.h"
#include "wlb/records.h"

namespace wlb {

class RaceTally {
public:
    // Clients decide how many servers there are: past so many pairs of a server and its
    // answerer all others are one.
    static constexpr std::size_t most_pairs = 256;

    // Those that began before `from_ns` are somebody else's.
    explicit RaceTally(std::uint64_t from_ns = 0) : from_ns_(from_ns) {}

    // Sorted by id; those that were taken before count once, and those that began after `until_ns`
    // not yet: losers may still answer.
    void take(const std::vector<RaceRecord> &races, std::uint64_t until_ns);
    void measure(Metrics &metrics) const;

private:
    struct Sum {
        std::uint64_t wins = 0;
        Durations answers;
    };

    Sum &of(const RaceRecord &race, const Answer &answer);

    std::uint64_t from_ns_;
    std::uint64_t last_ = 0; // id
    std::uint64_t missed_ = 0;
    std::map<std::pair<std::string, std::string>, Sum> sums_; // by server and answerer
};

} // namespace wlb
