// SPDX-License-Identifier: GPL-2.0-only
// What wlb-cached knows, as metrics.
#pragma once

#include "wlb/metrics.h"
#include "wlb/output.h"

namespace wlb::cached {

// `shown` is what Daemon::observe() has told.
void measure(const Json &shown, Metrics &metrics);

} // namespace wlb::cached
