// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/metrics.h"

#include <prometheus/text_serializer.h>

#include "wlb/output.h"

namespace wlb {

namespace {

// The serializer escapes what the format asks for, but lets broken UTF-8 through, at which
// Prometheus gives up the whole page.
std::string clean(const std::string &text)
{
    return Json::parse(Json(text).dump(-1, ' ', false, Json::error_handler_t::replace))
        .get<std::string>();
}

} // namespace

void Durations::note(double seconds)
{
    std::size_t place = 0;
    while (place < counts_.size() && seconds > bounds[place])
        ++place;
    if (place < counts_.size())
        ++counts_[place];
    ++all_;
    sum_ += seconds;
}

prometheus::ClientMetric::Histogram Durations::histogram() const
{
    prometheus::ClientMetric::Histogram histogram;
    histogram.sample_count = all_;
    histogram.sample_sum = sum_;
    std::uint64_t so_far = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
        so_far += counts_[i];
        histogram.bucket.push_back({so_far, bounds[i]});
    }
    return histogram; // the serializer adds +Inf
}

void Metrics::counter(const std::string &name, const char *help, Labels labels, double value)
{
    add(name + "_total", help, prometheus::MetricType::Counter, std::move(labels)).counter.value =
        value;
}

void Metrics::gauge(const std::string &name, const char *help, Labels labels, double value)
{
    add(name, help, prometheus::MetricType::Gauge, std::move(labels)).gauge.value = value;
}

void Metrics::durations(const std::string &name, const char *help, Labels labels,
                        const Durations &durations)
{
    add(name, help, prometheus::MetricType::Histogram, std::move(labels)).histogram =
        durations.histogram();
}

prometheus::ClientMetric &Metrics::add(const std::string &name, const char *help,
                                       prometheus::MetricType type, Labels labels)
{
    const auto [place, is_new] = places_.try_emplace(name, families_.size());
    if (is_new)
        families_.push_back({"wlb_" + name, help, type, {}});
    for (auto &label : labels)
        label.value = clean(label.value);
    auto &metric = families_[place->second].metric.emplace_back();
    metric.label = std::move(labels);
    return metric;
}

std::string Metrics::text() const
{
    return prometheus::TextSerializer().Serialize(families_);
}

} // namespace wlb
