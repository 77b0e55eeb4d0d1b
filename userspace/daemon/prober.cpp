// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/prober.h"

namespace wlb::daemon {

namespace {

Health health_of(const std::optional<Probe> &config)
{
    const Probe probe = config.value_or(Probe{});
    return {static_cast<unsigned>(probe.rise), static_cast<unsigned>(probe.fall)};
}

} // namespace

Prober::Prober(boost::asio::io_context &io, std::optional<Probe> config, Noted noted)
    : io_(io), config_(std::move(config)), noted_(std::move(noted)), health_(health_of(config_)),
      timer_(io)
{
}

void Prober::start()
{
    if (config_)
        ask();
}

void Prober::reconfigure(std::optional<Probe> config)
{
    if (config == config_)
        return;
    const bool was_up = up();
    config_ = std::move(config);
    running_.reset();
    timer_.cancel();
    if (config_) {
        health_.configure(static_cast<unsigned>(config_->rise),
                          static_cast<unsigned>(config_->fall));
        ask();
    } else {
        last_.reset();
    }
    if (up() != was_up)
        noted_(true);
}

void Prober::ask()
{
    timer_.expires_after(config_->interval);
    timer_.async_wait([this](auto error) {
        if (!error)
            ask();
    });
    running_ = start_probe(io_, *config_, [this](const ProbeResult &result) { take(result); });
}

void Prober::take(const ProbeResult &result)
{
    last_ = result;
    const bool changed = health_.note(result.good);
    noted_(changed);
}

} // namespace wlb::daemon
