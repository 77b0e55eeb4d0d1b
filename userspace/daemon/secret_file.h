// SPDX-License-Identifier: GPL-2.0-only
// Keys and passwords: files of root's, or of who runs the daemon, that others can neither read
// nor change. Errors name the file and what is wrong, never what is in it.
#pragma once

#include <string>

#include "registry/keys.h"
#include "wlb/result.h"

namespace wlb::daemon {

// Keys of a registry: lines of a number and a secret.
Result<registry::Keys> read_keys(const std::string &path);

// The password of a service group: the first line, 1..8 characters.
Result<std::string> read_password(const std::string &path);

} // namespace wlb::daemon
