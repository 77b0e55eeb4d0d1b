// SPDX-License-Identifier: GPL-2.0-only
// WCCP's two roles on one screen: what the kernel has, and beside it what only the daemon knows.
#pragma once

#include <ostream>
#include <vector>

#include "wlb/kernel.h"
#include "wlb/output.h"

namespace wlb::cli {

// `told` is what wlb-routerd shows, null if it does not answer.
Json status_of_router(const RunningGroups &groups, const std::vector<RunningAssignment> &assigned,
                      const Json &told);
void write_router_status(std::ostream &out, const Json &router);

// The same with wlb-cached.
Json status_of_cache(const RunningDoors &doors, const Json &told);
void write_cache_status(std::ostream &out, const Json &cache);

} // namespace wlb::cli
