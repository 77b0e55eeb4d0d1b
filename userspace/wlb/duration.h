// SPDX-License-Identifier: GPL-2.0-only
// Durations as people write them: "55ms", "70s".
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "wlb/result.h"

namespace wlb {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// A whole number and a unit of us, ms, s, m, h; without a unit it counts `bare`.
Result<microseconds> parse_duration(std::string_view text, microseconds bare);
Result<microseconds> to_duration(std::int64_t number, microseconds unit);
// The same, whole seconds only; without a unit it counts seconds.
Result<seconds> parse_seconds(std::string_view text);

// In the largest of s, ms, us that needs no fraction.
std::string format_duration(microseconds duration);

} // namespace wlb
