// SPDX-License-Identifier: GPL-2.0-only
// One service group of one address family as wlb-cached runs it.
#pragma once

#include "wccp/cache_config.h"
#include "wlb/cache_host.h"
#include "wlb/result.h"

namespace wlb::cached {

// What the protocol needs of a group's configuration; an error if the password cannot be
// read.
Result<wccp::CacheConfig> member_config(const Membership &group);

} // namespace wlb::cached
