// SPDX-License-Identifier: GPL-2.0-only
// How near the host of a proxy is to what it can do, and how much of the new connections is
// therefore returned to the routers.
#pragma once

#include <cstdint>
#include <optional>

#include "wlb/cache_host.h"
#include "wlb/result.h"

namespace wlb::cached {

struct Pressure {
    std::int64_t connections = 0;            // TCP sockets in use
    double load = 0;                         // average of one minute
    std::optional<microseconds> answer_time; // the last probe's; the longest of several groups
};

// Of this network namespace; answer_time is the caller's.
Result<Pressure> read_pressure();

// Of a thousand new connections so many are to be returned: none up to 80 % of each limit, from
// there on in proportion, all at the limit. Established ones stay, so the proxy comes to rest
// in between. A step is 10, so that what is measured may tremble.
std::uint32_t share_returned(const Overload &limits, const Pressure &pressure);

} // namespace wlb::cached
