// SPDX-License-Identifier: GPL-2.0-only
// CacheHost -> [cache] of wlb.toml.
#pragma once

#include <string>

#include "wlb/cache_host.h"

namespace wlb {

std::string cache_host_toml(const CacheHost &host);

// As defaults_toml().
std::string cache_host_defaults();

} // namespace wlb
