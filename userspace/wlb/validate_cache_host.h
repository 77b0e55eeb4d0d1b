// SPDX-License-Identifier: GPL-2.0-only
// What [cache] of wlb.toml may be.
#pragma once

#include "wlb/cache_host.h"
#include "wlb/checks.h"

namespace wlb {

void check_cache_host(Checks &checks, const CacheHost &host);

} // namespace wlb
