// SPDX-License-Identifier: GPL-2.0-only
// What hands packets that the module has taken in to a proxy: the commands, not their
// running.
#pragma once

#include <string>
#include <vector>

#include "wlb/cache_host.h"
#include "wlb/result.h"
#include "wlbctl/run.h"

namespace wlb::cli {

inline constexpr const char *delivery_table = "wlb_cache"; // of nftables, family inet
// WCCP's port, which is nobody else's. The rule's priority too: two rules without one are not
// the same to the kernel.
inline constexpr int delivery_route_table = 2048;

struct Step {
    Words command;
    std::string unless; // part of an error that says that it is so already
};

// Which families and ways the groups use.
struct Delivery {
    bool tproxy = false;
    bool ipv4 = false;
    bool ipv6 = false;
};
Delivery delivery_of(const CacheHost &host);

// An error tells which group nothing can be delivered of.
Result<std::string> delivery_rules(const CacheHost &host);

// `loosen`: interfaces whose strict reverse path filter is to be a loose one.
Result<std::vector<Step>> setup_steps(const CacheHost &host,
                                      const std::vector<std::string> &loosen);
std::vector<Step> removal_steps(const CacheHost &host);

} // namespace wlb::cli
