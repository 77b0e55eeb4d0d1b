// SPDX-License-Identifier: GPL-2.0-only
// The kernel's counters over the last minutes, for somebody who begins to look just now. Pure.
#pragma once

#include <chrono>
#include <deque>
#include <vector>

#include "wlb/output.h"
#include "wlb/records.h"

namespace wlb::daemon {

class History {
public:
    static constexpr auto interval = std::chrono::seconds(5); // between two samples
    static constexpr std::size_t most_samples = 121;          // of 10 minutes

    // `time` is of a clock that is never set.
    void note(std::chrono::milliseconds time, const Stats &stats);
    // {"seconds": how long ago each sample was taken, the oldest first,
    //  "flows": entries then, "counters": {name: [increase since the sample before]}}: of the
    // counters that have changed.
    [[nodiscard]] Json show(std::chrono::milliseconds now) const;

private:
    struct Sample {
        std::chrono::milliseconds time;
        std::uint32_t flows;
        std::vector<std::uint64_t> values;
    };

    std::vector<std::string> names_;
    std::deque<Sample> samples_;
};

} // namespace wlb::daemon
