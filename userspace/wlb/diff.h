// SPDX-License-Identifier: GPL-2.0-only
// What would change: one line per object added or removed, or field changed.
#pragma once

#include <string>
#include <vector>

#include "wlb/config.h"

namespace wlb {

// "+ service web", "~ origin www: race raw -> equal", "- replica www". Empty if
// the two do the same; the order of objects among each other means nothing.
std::vector<std::string> diff(const Config &before, const Config &after);

} // namespace wlb
