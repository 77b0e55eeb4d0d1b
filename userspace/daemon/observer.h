// SPDX-License-Identifier: GPL-2.0-only
// What a daemon shows to whoever looks, by HTTP: / for people, /status.json for that page and
// for scripts, /metrics for Prometheus. The kernel's part is the same in every daemon.
#pragma once

#include <utility> // which Boost 1.74 forgets

#include <boost/asio.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "daemon/control.h"
#include "daemon/history.h"
#include "daemon/http.h"
#include "wlb/kernel.h"
#include "wlb/kernel_metrics.h"
#include "wlb/race_tally.h"

namespace wlb::daemon {

class Observer {
public:
    using Clock = std::chrono::steady_clock;

    // The daemon's own part: as JSON, and that as metrics.
    struct Subject {
        std::string name;
        std::function<Json()> show;
        std::function<void(const Json &shown, Metrics &metrics)> measure;
        std::function<const Control &()> control;
    };

    Observer(boost::asio::io_context &io, Subject subject);

    // A daemon works without it: what goes wrong is logged.
    void open(const Endpoint &at);

    std::optional<HttpPage> answer(const std::string &path);

private:
    struct Kept { // many who look at once cost what one does
        Clock::time_point until{};
        std::shared_ptr<const std::string> text;
    };

    bool connect();
    void sample();
    void wait();
    [[nodiscard]] std::string metrics();
    [[nodiscard]] Json show();
    [[nodiscard]] Json show_kernel();
    [[nodiscard]] Json show_control() const;
    static const std::shared_ptr<const std::string> &keep(Kept &kept,
                                                          const std::function<std::string()> &make);

    Subject subject_;
    std::unique_ptr<Kernel> kernel_; // its own: none while there is no module
    std::chrono::system_clock::time_point started_;
    History history_;
    RaceTally tally_;
    std::uint64_t answers_[2] = {0, 0}; // in races, as the last two samples told
    Kept metrics_;
    Kept status_;
    boost::asio::steady_timer timer_;
    Http http_;
};

} // namespace wlb::daemon
