// SPDX-License-Identifier: GPL-2.0-only
// What the module knows, as metrics.
#pragma once

#include "wlb/kernel.h"
#include "wlb/metrics.h"

namespace wlb {

// Of one network namespace. What cannot be read is left out, but for the counters, without
// which there is no module.
Status measure(Kernel &kernel, Metrics &metrics);

void measure(const Stats &stats, Metrics &metrics);
// The latest races, and what they have taught.
void measure(const std::vector<RaceRecord> &races, Metrics &metrics);
void measure(const std::vector<Learned> &learned, Metrics &metrics);
void measure(const std::vector<ReplicaInForce> &replicas, Metrics &metrics);
void measure(const RunningGroups &groups, Metrics &metrics);
void measure(const std::vector<RunningAssignment> &assignments, Metrics &metrics);
void measure(const RunningDoors &running, Metrics &metrics);
void measure(const std::vector<RunningProcessRule> &rules, Metrics &metrics);

// How many buckets or values each member has, and of buckets how many nobody has.
struct Shares {
    std::vector<std::uint64_t> members;
    std::uint64_t nobody = 0;
};

Shares shares_of(const RedirectAssignment &assignment);

} // namespace wlb
