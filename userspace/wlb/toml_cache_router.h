// SPDX-License-Identifier: GPL-2.0-only
// [cache-router] of wlb.toml.
#pragma once

#include "wlb/cache_router.h"
#include "wlb/toml_walk.h"

namespace wlb {

void read_cache_router(TomlWalk &walk, const toml::table &table, CacheRouter &router);

} // namespace wlb
