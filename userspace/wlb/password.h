// SPDX-License-Identifier: GPL-2.0-only
// The password of a service group.
#pragma once

#include <string>

#include "wlb/result.h"

namespace wlb {

// The file's first line, 1..8 characters.
Result<std::string> read_password(const std::string &path);

} // namespace wlb
