// SPDX-License-Identifier: GPL-2.0-only
// Config -> wlb.toml.
#pragma once

#include <string>

#include "wlb/config.h"

namespace wlb {

// What parse_config() reads back to the same Config.
std::string to_toml(const Config &config);

// Every key with its default and a word about it, all commented out: a comment
// is "# text", a key that may be uncommented is "#key = value".
std::string defaults_toml();

} // namespace wlb
