// SPDX-License-Identifier: GPL-2.0-only
// [processing] of wlb.toml.
#pragma once

#include "wlb/processing.h"
#include "wlb/toml_walk.h"

namespace wlb {

void read_processing(TomlWalk &walk, const toml::table &table, Processing &processing);

} // namespace wlb
