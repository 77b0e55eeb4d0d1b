// SPDX-License-Identifier: GPL-2.0-only
// Metrics in Prometheus' text format.
#pragma once

#include <prometheus/metric_family.h>

#include <map>
#include <string>
#include <vector>

namespace wlb {

// By name and value. A value may be any text: it is escaped, and what is no UTF-8 replaced.
using Labels = std::vector<prometheus::ClientMetric::Label>;

// How many took how long. It only grows, so that rates can be made of it.
class Durations {
public:
    static constexpr double bounds[] = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05,
                                        0.1,   0.2,   0.5,   1,    2,    5}; // s

    void note(double seconds);
    [[nodiscard]] prometheus::ClientMetric::Histogram histogram() const;

private:
    std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>(std::size(bounds));
    std::uint64_t all_ = 0;
    double sum_ = 0;
};

class Metrics {
public:
    // A family is begun by the first of its metrics: `name` is without "wlb_", and of a counter
    // without "_total". The unit is the last word of the name: seconds, bytes, packets, ...
    void counter(const std::string &name, const char *help, Labels labels, double value);
    void gauge(const std::string &name, const char *help, Labels labels, double value);
    void durations(const std::string &name, const char *help, Labels labels,
                   const Durations &durations);

    [[nodiscard]] std::string text() const;

private:
    prometheus::ClientMetric &add(const std::string &name, const char *help,
                                  prometheus::MetricType type, Labels labels);

    std::vector<prometheus::MetricFamily> families_; // in the order of their first metrics
    std::map<std::string, std::size_t> places_;      // of families
};

} // namespace wlb
