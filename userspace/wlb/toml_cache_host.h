// SPDX-License-Identifier: GPL-2.0-only
// [cache] of wlb.toml.
#pragma once

#include "wlb/cache_host.h"
#include "wlb/toml_walk.h"

namespace wlb {

void read_cache_host(TomlWalk &walk, const toml::table &table, CacheHost &host);

} // namespace wlb
