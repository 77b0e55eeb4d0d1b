// SPDX-License-Identifier: GPL-2.0-only
// Asks a server once whether it works: by a TCP connection, an HTTP request or a command.
#pragma once

#include <utility> // which Boost 1.74 forgets

#include <boost/asio.hpp>

#include <functional>
#include <memory>
#include <string>

#include "wlb/cache_host.h"
#include "wlb/duration.h"

namespace wlb::daemon {

struct ProbeResult {
    bool good = false;
    microseconds took{0};
    std::string why; // empty if good
};

class RunningProbe {
public:
    RunningProbe() = default;
    RunningProbe(const RunningProbe &) = delete;
    RunningProbe &operator=(const RunningProbe &) = delete;
    // Nobody waits for the result any more.
    virtual ~RunningProbe() = default;
};

// `done` is called once, from the loop, unless the probe is destroyed before; it may destroy
// it.
std::unique_ptr<RunningProbe> start_probe(boost::asio::io_context &io, const Probe &config,
                                          std::function<void(const ProbeResult &)> done);

} // namespace wlb::daemon
