// SPDX-License-Identifier: GPL-2.0-only
// What is told as JSON, read as metrics.
#pragma once

#include <string>

#include "wlb/metrics.h"
#include "wlb/output.h"

namespace wlb::daemon {

inline Labels with(Labels labels, const std::string &name, const std::string &value)
{
    labels.push_back({name, value});
    return labels;
}

inline std::string text_of(const Json &object, const char *key)
{
    return object.at(key).get<std::string>();
}

// A gauge of a number, or 1 and 0 of true and false; what is not known is left out.
inline void gauge(Metrics &metrics, const std::string &name, const char *help, const Labels &labels,
                  const Json &object, const char *key)
{
    const auto value = object.find(key);
    if (value == object.end() || value->is_null())
        return;
    metrics.gauge(name, help, labels,
                  value->is_boolean() ? (value->get<bool>() ? 1 : 0) : value->get<double>());
}

// A counter of each number of an object, by key: but "refused", which is told by reason.
inline void messages(Metrics &metrics, const std::string &protocol, const Labels &labels,
                     const Json &counters)
{
    for (const auto &[kind, count] : counters.items())
        if (count.is_number())
            metrics.counter(protocol + "_messages",
                            "Messages sent and taken, and what came of them, by kind",
                            with(labels, "kind", kind), count.get<double>());
    if (counters.contains("refused"))
        for (const auto &[reason, count] : counters.at("refused").items())
            metrics.counter(protocol + "_refused", "Messages that changed nothing, by reason",
                            with(labels, "reason", reason), count.get<double>());
}

} // namespace wlb::daemon
