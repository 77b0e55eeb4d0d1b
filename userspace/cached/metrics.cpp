// SPDX-License-Identifier: GPL-2.0-only
#include "cached/metrics.h"

#include <map>

#include "daemon/measured.h"

namespace wlb::cached {

using daemon::gauge;
using daemon::text_of;
using daemon::with;

namespace {

void measure_group(const Json &group, const Labels &labels, Metrics &metrics)
{
    metrics.gauge("membership_present", "1: this host says that it is there", labels,
                  text_of(group, "phase") == "present" ? 1 : 0);
    gauge(metrics, "membership_drained", "1: it stays away by request", labels, group, "drained");
    const auto &proxy = group.at("proxy");
    metrics.gauge(
        "proxy_up", "1: the proxy works, or is not probed", labels,
        text_of(proxy, "state") == "works" || text_of(proxy, "state") == "not probed" ? 1 : 0);
    gauge(metrics, "proxy_answer_seconds", "How long the last probe took", labels, proxy,
          "answer-time");
    metrics.gauge("membership_designated", "1: this host is the designated cache", labels,
                  group.at("designated") == group.at("address") ? 1 : 0);
    std::map<std::string, unsigned> states{{"ready", 0}};
    for (const auto &router : group.at("routers")) {
        ++states[text_of(router, "state")];
        const auto own = with(labels, "router", text_of(router, "router-id"));
        gauge(metrics, "membership_share", "Buckets, or values of masks, that this host has of it",
              own, router, "share");
        gauge(metrics, "membership_router_silent_seconds", "Since the router's last message", own,
              router, "silent");
    }
    for (const auto &[state, count] : states)
        metrics.gauge("membership_routers", "Routers of the group, by what they say of this host",
                      with(labels, "state", state), count);
    metrics.gauge("membership_unheard_routers", "Addresses that no router answers from", labels,
                  static_cast<double>(group.at("unheard").size()));
    for (const auto &cache : group.at("caches"))
        gauge(metrics, "membership_cache_share",
              "Buckets, or values of masks, of each cache that all routers see",
              with(labels, "cache", text_of(cache, "address")), cache, "share");
    daemon::messages(metrics, "membership", labels, group.at("messages"));
}

} // namespace

void measure(const Json &shown, Metrics &metrics)
{
    for (const auto &group : shown.at("groups"))
        measure_group(group,
                      {{"group", text_of(group, "group")}, {"family", text_of(group, "family")}},
                      metrics);
    const auto &host = shown.at("host");
    gauge(metrics, "overload_returned_ratio", "The part of new connections that goes back", {},
          host, "returned-share");
    gauge(metrics, "host_connections", "TCP sockets in use", {}, host, "connections");
    gauge(metrics, "host_load", "Average of one minute", {}, host, "load");
    metrics.counter("membership_unwanted_messages", "Messages for no group of this host", {},
                    shown.at("unwanted").get<double>());
}

} // namespace wlb::cached
