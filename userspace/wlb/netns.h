// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include <string>

#include "wlb/result.h"

namespace wlb {

// Makes /run/netns/`name` this thread's network namespace, for all that it opens from now on.
Status enter_namespace(const std::string &name);

} // namespace wlb
