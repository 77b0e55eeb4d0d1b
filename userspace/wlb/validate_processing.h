// SPDX-License-Identifier: GPL-2.0-only
// What [processing] of wlb.toml may be.
#pragma once

#include "wlb/checks.h"
#include "wlb/processing.h"

namespace wlb {

void check_processing(Checks &checks, const Processing &processing);

} // namespace wlb
