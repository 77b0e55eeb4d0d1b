// SPDX-License-Identifier: GPL-2.0-only
#include "replicad/metrics.h"

#include "daemon/measured.h"

namespace wlb::replicad {

using daemon::gauge;
using daemon::text_of;
using daemon::with;

void measure(const Json &shown, Metrics &metrics)
{
    for (const auto &replica : shown.at("replicas")) {
        const Labels labels{{"replica", text_of(replica, "replica")}};
        for (const auto *state : {"ready", "busy", "draining", "down"})
            metrics.gauge("served_state", "1: gateways are told that the replica is so",
                          with(labels, "state", state), text_of(replica, "state") == state);
        gauge(metrics, "served_drained", "1: it takes nothing new by request", labels, replica,
              "drained");
        gauge(metrics, "served_silent", "1: the kernel drops its clones", labels, replica,
              "silent");
        gauge(metrics, "served_connections", "Connections that are open", labels, replica,
              "connections");
        const auto &probe = replica.at("probe");
        metrics.gauge("served_up", "1: the server works, or is not probed", labels,
                      text_of(probe, "state") == "works" ||
                          text_of(probe, "state") == "not probed");
        gauge(metrics, "served_answer_seconds", "How long the last probe took", labels, probe,
              "answer-time");
        for (const auto &[name, criterion] : replica.at("busy").items()) {
            const auto own = with(labels, "criterion", name);
            gauge(metrics, "served_busy", "1: by this criterion it is busy", own, criterion,
                  "busy");
            gauge(metrics, "served_busy_value", "What was measured last", own, criterion, "value");
            gauge(metrics, "served_busy_limit", "From which on it is busy", own, criterion,
                  "limit");
        }
        for (const auto &gateway : replica.at("gateways")) {
            const auto own = with(labels, "gateway", text_of(gateway, "address"));
            metrics.counter("served_gateway_asked", "Questions of the gateway", own,
                            gateway.at("asked").get<double>());
            gauge(metrics, "served_gateway_silent_seconds", "Since the gateway last asked", own,
                  gateway, "silent");
        }
    }
    for (const auto &door : shown.at("registrations"))
        daemon::messages(metrics, "registration", {{"local", text_of(door, "local")}},
                         door.at("messages"));
}

} // namespace wlb::replicad
