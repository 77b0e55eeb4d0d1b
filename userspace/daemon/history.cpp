// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/history.h"

namespace wlb::daemon {

void History::note(std::chrono::milliseconds time, const Stats &stats)
{
    // Another module counts other things.
    std::vector<std::string> names;
    names.reserve(stats.counters.size());
    Sample sample{time, stats.flows, {}};
    for (const auto &counter : stats.counters) {
        names.push_back(counter.name);
        sample.values.push_back(counter.value);
    }
    if (names != names_) {
        samples_.clear();
        names_ = std::move(names);
    }
    samples_.push_back(std::move(sample));
    if (samples_.size() > most_samples)
        samples_.pop_front();
}

Json History::show(std::chrono::milliseconds now) const
{
    auto ages = Json::array();
    auto flows = Json::array();
    for (const auto &sample : samples_) {
        ages.push_back(static_cast<double>((now - sample.time).count()) / 1000);
        flows.push_back(sample.flows);
    }
    auto counters = Json::object();
    for (std::size_t i = 0; i < names_.size(); ++i) {
        if (samples_.front().values[i] == samples_.back().values[i])
            continue;
        auto increases = Json::array();
        for (std::size_t at = 1; at < samples_.size(); ++at) {
            const auto before = samples_[at - 1].values[i];
            const auto after = samples_[at].values[i];
            // A module that was loaded anew counts from 0.
            increases.push_back(after < before ? after : after - before);
        }
        counters[names_[i]] = increases;
    }
    return {{"seconds", ages}, {"flows", flows}, {"counters", counters}};
}

} // namespace wlb::daemon
