// SPDX-License-Identifier: GPL-2.0-only
#include "gatewayd/metrics.h"

#include "daemon/measured.h"

namespace wlb::gatewayd {

using daemon::gauge;
using daemon::text_of;
using daemon::with;

void measure(const Json &shown, Metrics &metrics)
{
    for (const auto &replica : shown.at("replicas")) {
        const Labels labels{{"origin", text_of(replica, "origin")},
                            {"replica", text_of(replica, "address")}};
        gauge(metrics, "registry_replica_in_force", "1: it gets clones", labels, replica,
              "in-force");
        gauge(metrics, "registry_replica_registered", "1: it has registered", labels, replica,
              "registered");
        gauge(metrics, "registry_replica_weight", "What it says that it can take", labels, replica,
              "weight");
        if (replica.at("state").is_string())
            for (const auto *state : {"ready", "busy", "draining", "down"})
                metrics.gauge("registry_replica_state", "1: it says that it is so",
                              with(labels, "state", state), text_of(replica, "state") == state);
        if (replica.at("round-trip-ms").is_number())
            metrics.gauge("registry_replica_round_trip_seconds",
                          "Median of the latest round trips to it", labels,
                          replica.at("round-trip-ms").get<double>() / 1000);
        metrics.gauge("registry_replica_delay_seconds", "One way to it, as the kernel has it",
                      labels, replica.at("delay-ms").get<double>() / 1000);
        gauge(metrics, "registry_replica_silent_seconds", "Since its last answer", labels, replica,
              "silent");
        gauge(metrics, "registry_replica_unanswered", "Questions in a row without an answer",
              labels, replica, "unanswered");
        gauge(metrics, "registry_replica_deaths", "Deaths that are remembered", labels, replica,
              "deaths");
    }
    for (const auto &registry : shown.at("registries"))
        daemon::messages(metrics, "registry", {{"listen", text_of(registry, "listen")}},
                         registry.at("messages"));
}

} // namespace wlb::gatewayd
