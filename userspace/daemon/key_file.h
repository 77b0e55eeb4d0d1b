// SPDX-License-Identifier: GPL-2.0-only
// The file of a registry's keys.
#pragma once

#include <string>

#include "registry/keys.h"

namespace wlb::daemon {

// An error if others than its owner and group may read or write it.
Result<registry::Keys> read_keys(const std::string &path);

} // namespace wlb::daemon
