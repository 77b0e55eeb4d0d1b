// SPDX-License-Identifier: GPL-2.0-only
// What the kernel is told of the routers, and what it still knows when a daemon starts.
#pragma once

#include <cstdint>
#include <vector>

#include "wccp/cache.h"
#include "wlb/cache_host.h"
#include "wlb/doors.h"

namespace wlb::cached {

// The routers of one group, as the protocol has them.
std::vector<Door> doors_of(const Membership &group, const std::vector<wccp::Path> &paths);

// All but the doors.
CacheDoors frame_of(const CacheHost &host, std::uint32_t share);

// Those of a group that an earlier daemon has left.
std::vector<Door> doors_left(const CacheDoors &kernel, const Membership &group);

} // namespace wlb::cached
