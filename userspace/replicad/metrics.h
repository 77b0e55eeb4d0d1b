// SPDX-License-Identifier: GPL-2.0-only
// What wlb-replicad knows, as metrics.
#pragma once

#include "wlb/metrics.h"
#include "wlb/output.h"

namespace wlb::replicad {

// `shown` is what Daemon::observe() has told.
void measure(const Json &shown, Metrics &metrics);

} // namespace wlb::replicad
