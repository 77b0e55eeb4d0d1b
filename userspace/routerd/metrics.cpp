// SPDX-License-Identifier: GPL-2.0-only
#include "routerd/metrics.h"

#include <map>

#include "daemon/measured.h"

namespace wlb::routerd {

using daemon::gauge;
using daemon::text_of;
using daemon::with;

namespace {

void measure_caches(const Json &group, const Labels &labels, Metrics &metrics)
{
    std::map<std::string, unsigned> states{{"ready", 0}};
    for (const auto &cache : group.at("caches")) {
        ++states[text_of(cache, "state")];
        // Who is only heard may be anybody, and many.
        if (!cache.at("usable").get<bool>())
            continue;
        const auto own = with(labels, "cache", text_of(cache, "address"));
        gauge(metrics, "wccp_cache_share", "Buckets, or values of masks, assigned to the cache",
              own, cache, "share");
        gauge(metrics, "wccp_cache_weight", "What the cache says that it can take", own, cache,
              "weight");
        gauge(metrics, "wccp_cache_silent_seconds", "Since its last message", own, cache, "silent");
        gauge(metrics, "wccp_cache_connected_seconds", "Since it became usable", own, cache,
              "connected");
    }
    for (const auto &[state, count] : states)
        metrics.gauge("wccp_caches", "Caches that are heard, by what they are to the group",
                      with(labels, "state", state), count);
}

} // namespace

void measure(const Json &shown, Metrics &metrics)
{
    for (const auto &group : shown.at("groups")) {
        const Labels labels{{"group", text_of(group, "group")},
                            {"family", text_of(group, "family")}};
        measure_caches(group, labels, metrics);
        metrics.gauge("wccp_members", "Caches that are usable", labels,
                      static_cast<double>(group.at("visible").size()));
        metrics.gauge("wccp_routers", "Routers that members know of", labels,
                      static_cast<double>(group.at("routers").size()));
        daemon::messages(metrics, "wccp", labels, group.at("messages"));
    }
    metrics.counter("wccp_unwanted_messages", "Messages for no service of this router", {},
                    shown.at("unwanted").get<double>());
}

} // namespace wlb::routerd
