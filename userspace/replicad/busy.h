// SPDX-License-Identifier: GPL-2.0-only
// Whether a replica is busy (FIG 4, op 406), with hysteresis. Pure.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "wlb/registry_config.h"

namespace wlb::replicad {

// What was measured just now; what could not be is absent, and makes nobody busy.
struct Measured {
    std::optional<double> accept_queue; // of the fullest listener, share
    std::optional<double> syn_queue;
    std::optional<double> load;
    std::optional<double> connections_per_second;
};

class Criterion {
public:
    static constexpr double calm = 0.8; // of the limit
    static constexpr unsigned samples = 2;

    // Busy at the limit, at once; not any more after so many samples in a row below 80 % of it.
    void note(std::optional<double> limit, std::optional<double> value)
    {
        limit_ = limit;
        value_ = value;
        if (!limit || !value) {
            busy_ = false;
            below_ = 0;
        } else if (*value >= *limit) {
            busy_ = true;
            below_ = 0;
        } else if (busy_) {
            below_ = *value < calm * *limit ? below_ + 1 : 0;
            busy_ = below_ < samples;
        }
    }

    [[nodiscard]] bool busy() const { return busy_; }
    [[nodiscard]] std::optional<double> limit() const { return limit_; }
    [[nodiscard]] std::optional<double> value() const { return value_; }

private:
    bool busy_ = false;
    unsigned below_ = 0;
    std::optional<double> limit_;
    std::optional<double> value_;
};

class Business {
public:
    static constexpr std::array<const char *, 4> names{"accept-queue", "syn-queue", "load",
                                                       "connections-per-second"};

    void note(const BusyLimits &limits, const Measured &measured)
    {
        const auto rate = limits.connections_per_second;
        criteria_[0].note(limits.accept_queue, measured.accept_queue);
        criteria_[1].note(limits.syn_queue, measured.syn_queue);
        criteria_[2].note(limits.load, measured.load);
        criteria_[3].note(rate ? std::optional(static_cast<double>(*rate)) : std::nullopt,
                          measured.connections_per_second);
    }

    [[nodiscard]] bool busy() const
    {
        for (const auto &criterion : criteria_)
            if (criterion.busy())
                return true;
        return false;
    }
    [[nodiscard]] const Criterion &operator[](std::size_t i) const { return criteria_.at(i); }

private:
    std::array<Criterion, 4> criteria_;
};

} // namespace wlb::replicad
