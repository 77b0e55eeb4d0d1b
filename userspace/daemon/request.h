// SPDX-License-Identifier: GPL-2.0-only
// What a client of a daemon's control socket may say.
#pragma once

#include <string>
#include <string_view>

#include "wlb/output.h"

namespace wlb::daemon {

inline constexpr std::size_t longest_request = 4096;

// A line: an object with a command, and fields of it that some daemon knows, each of its kind and
// in its range. An error names the field.
Result<Json> read_request(std::string_view line);

// A field of a request, "" if it is absent or no text.
std::string word(const Json &request, const char *key);

} // namespace wlb::daemon
