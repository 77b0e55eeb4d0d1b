// SPDX-License-Identifier: GPL-2.0-only
// Why a proxy's host does not get, or does not answer, what routers redirect.
#pragma once

#include <string>
#include <vector>

#include "wlb/cache_host.h"
#include "wlbctl/finding.h"

namespace wlb::cli {

std::vector<Finding> examine(const CacheHost &host, const Patient &patient);

// Interfaces by which routers are reached and whose reverse path filter is strict.
std::vector<std::string> strict_interfaces(const CacheHost &host, const Patient &patient);

} // namespace wlb::cli
