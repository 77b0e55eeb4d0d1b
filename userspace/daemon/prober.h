// SPDX-License-Identifier: GPL-2.0-only
// Asks a server again and again whether it works.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "daemon/health.h"
#include "daemon/probe.h"

namespace wlb::daemon {

class Prober {
public:
    using Noted = std::function<void(bool changed)>;

    // Without `config` the server always works. `noted` is called after each answer.
    Prober(boost::asio::io_context &io, std::optional<Probe> config, Noted noted);

    void start();
    // Its state stays, unless there is nothing more to ask: then it works.
    void reconfigure(std::optional<Probe> config);

    [[nodiscard]] bool up() const { return !config_ || health_.up(); }
    // Has been asked, or needs not to be.
    [[nodiscard]] bool known() const { return !config_ || health_.known(); }
    [[nodiscard]] const std::optional<ProbeResult> &last() const { return last_; }

private:
    void ask();
    void take(const ProbeResult &result);

    boost::asio::io_context &io_;
    std::optional<Probe> config_;
    Noted noted_;
    Health health_;
    std::unique_ptr<RunningProbe> running_;
    std::optional<ProbeResult> last_;
    boost::asio::steady_timer timer_;
};

} // namespace wlb::daemon
