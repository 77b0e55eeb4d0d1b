// SPDX-License-Identifier: GPL-2.0-only
// What all daemons do alike: options, log, signals, systemd's notifications and watchdog.
// They run in the foreground, in one network namespace.
#pragma once

#include <utility> // which Boost 1.74 forgets

#include <boost/asio.hpp>

#include <functional>
#include <memory>
#include <string>

#include "daemon/control.h"
#include "wlb/config.h"
#include "wlb/metrics.h"
#include "wlb/output.h"
#include "wlb/result.h"

namespace wlb::daemon {

class Service {
public:
    Service() = default;
    Service(const Service &) = delete;
    Service &operator=(const Service &) = delete;
    virtual ~Service() = default;

    virtual Status start() = 0;
    // SIGHUP. An error: everything is as before.
    virtual Status reload() = 0;
    // SIGTERM. `done` is to be called once, when there is no more to do.
    virtual void stop(const std::function<void()> &done) = 0;
    // Its part of /status.json: what wlbctl shows of it, and what only a page needs.
    virtual Json observe() = 0;
    [[nodiscard]] virtual const Control &control() const = 0;
};

struct Program {
    const char *name;
    const char *purpose;     // lines of --help
    std::uint16_t http_port; // of the loopback interface, unless --http says otherwise
    // What its observe() tells, as metrics.
    void (*measure)(const Json &shown, Metrics &metrics);
    std::function<std::unique_ptr<Service>(boost::asio::io_context &io,
                                           const std::string &config_file)>
        make;
};

// The exit status: 0 ended by a signal, 1 refused, 2 bad usage.
int run(const Program &program, int argc, char **argv);

// An error has a line for each fault, with its line and column.
Result<Config> read_config(const std::string &file);

// Reloads, and tells systemd and the log of it.
Status reload(Service &service);

// The same as an answer to wlbctl.
Json answer_reload(Service &service);

} // namespace wlb::daemon
