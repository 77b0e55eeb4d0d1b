// SPDX-License-Identifier: GPL-2.0-only
#include "cached/pressure.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

namespace wlb::cached {

namespace {

constexpr double beginning = 0.8; // of a limit
constexpr double step = 10;       // of a thousand

// "TCP: inuse 5 orphan 0 ...": sockets in every state but TIME_WAIT.
Result<std::int64_t> sockets_in_use(const char *file, const std::string &protocol)
{
    std::ifstream stream(file);
    if (!stream)
        return Error{std::string(file) + ": " + std::strerror(errno), errno};
    for (std::string line; std::getline(stream, line);) {
        const auto head = protocol + ": inuse ";
        if (line.compare(0, head.size(), head) == 0)
            return std::strtoll(line.c_str() + head.size(), nullptr, 10);
    }
    return Error{std::string(file) + " does not tell of " + protocol};
}

} // namespace

Result<Pressure> read_pressure()
{
    Pressure pressure;
    const auto tcp4 = sockets_in_use("/proc/self/net/sockstat", "TCP");
    if (!tcp4)
        return tcp4.error();
    // A host without IPv6 has no such file.
    const auto tcp6 = sockets_in_use("/proc/self/net/sockstat6", "TCP6");
    pressure.connections = *tcp4 + (tcp6 ? *tcp6 : 0);
    if (getloadavg(&pressure.load, 1) != 1)
        return Error{"the load average cannot be read"};
    return pressure;
}

std::uint32_t share_returned(const Overload &limits, const Pressure &pressure)
{
    double most = 0;
    const auto weigh = [&](double value, double limit) { most = std::max(most, value / limit); };
    if (limits.connections)
        weigh(static_cast<double>(pressure.connections), static_cast<double>(*limits.connections));
    if (limits.load)
        weigh(pressure.load, *limits.load);
    if (limits.answer_time && pressure.answer_time)
        weigh(static_cast<double>(pressure.answer_time->count()),
              static_cast<double>(microseconds(*limits.answer_time).count()));
    const auto share = 1000 * (most - beginning) / (1 - beginning);
    return static_cast<std::uint32_t>(std::clamp(std::round(share / step) * step, 0.0, 1000.0));
}

} // namespace wlb::cached
