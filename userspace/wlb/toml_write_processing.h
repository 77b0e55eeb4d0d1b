// SPDX-License-Identifier: GPL-2.0-only
// Processing -> [processing] of wlb.toml.
#pragma once

#include <string>

#include "wlb/processing.h"

namespace wlb {

std::string processing_toml(const Processing &processing);

// As defaults_toml().
std::string processing_defaults();

} // namespace wlb
