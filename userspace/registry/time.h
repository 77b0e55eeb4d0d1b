// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include <chrono>

namespace wlb::registry {

// Of CLOCK_MONOTONIC, as is every duration: what the caller's clock says.
using Time = std::chrono::nanoseconds;

} // namespace wlb::registry
