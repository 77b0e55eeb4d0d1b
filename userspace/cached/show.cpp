// SPDX-License-Identifier: GPL-2.0-only
#include "cached/show.h"

#include <algorithm>

namespace wlb::cached {

namespace {

template <class Duration> double in_seconds(Duration duration)
{
    return std::chrono::duration<double>(duration).count();
}

const char *name(wccp::Transport transport)
{
    return transport == wccp::Transport::l2 ? "l2" : "gre";
}

const char *name(wccp::Method method)
{
    return method == wccp::Method::mask ? "mask" : "hash";
}

Json show(const wccp::Key &key)
{
    return {{"address", key.address.text()}, {"number", key.number}};
}

Json show(const daemon::Prober &prober, const Membership &config)
{
    if (!config.probe)
        return {{"state", "not probed"}};
    Json json{{"state", !prober.known() ? "not known yet"
                        : prober.up()   ? "works"
                                        : "does not work"}};
    if (const auto &last = prober.last()) {
        json["answer-time"] = in_seconds(last->took);
        json["why"] = last->why;
    }
    return json;
}

// What the kernel has counted of a router's packets in this group.
void add_counters(Json &json, const GroupId &id, const wccp::RouterReport &router,
                  const RunningDoors &running)
{
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < running.cache.doors.size(); ++i) {
        const auto &door = running.cache.doors[i];
        if (door.id != id.service.id || (door.type == GroupType::dynamic) != id.service.dynamic ||
            (door.address != router.source && door.address != router.id))
            continue;
        packets += running.counters[i].packets;
        bytes += running.counters[i].bytes;
    }
    json["returned-packets"] = packets;
    json["returned-bytes"] = bytes;
}

Json show(const GroupId &id, const wccp::RouterReport &router, const RunningDoors *running)
{
    Json json{{"router-id", router.id.text()},
              {"source", router.source.text()},
              {"sent-to", router.sent_to.text()},
              {"state", wccp::text(router.status)},
              {"why", router.why},
              {"multicast", router.multicast},
              {"learned", router.learned},
              {"version", "2.0" + std::to_string(router.minor)},
              {"receive-id", router.receive_id},
              {"change-number", router.change_number},
              {"key", show(router.key)},
              {"share", router.share},
              {"silent", in_seconds(router.silent)},
              {"known", in_seconds(router.known)}};
    auto caches = Json::array();
    for (const auto &cache : router.caches)
        caches.push_back(cache.text());
    json["caches"] = caches;
    if (running != nullptr)
        add_counters(json, id, router, *running);
    return json;
}

Json show(const wccp::CacheCounters &counters)
{
    auto refused = Json::object();
    for (std::size_t i = 0; i < wccp::cache_refusals; ++i)
        refused[wccp::text(static_cast<wccp::CacheRefusal>(i))] = counters.refused[i];
    return {{"here-i-am", counters.here_i_am},
            {"i-see-you", counters.i_see_you},
            {"removal-query", counters.removal_query},
            {"redirect-assign", counters.redirect_assign},
            {"assignments", counters.assignments},
            {"routers-lost", counters.routers_lost},
            {"refused", refused}};
}

Json show_caches(const wccp::CacheGroupReport &report)
{
    auto caches = Json::array();
    for (const auto &peer : report.caches)
        caches.push_back({{"address", peer.address.text()},
                          {"weight", peer.weight},
                          {"grown", peer.grown},
                          {"share", peer.share}});
    return caches;
}

} // namespace

Json show(const GroupId &id, const Membership &config, const wccp::CacheGroupReport &report,
          const daemon::Prober &prober, bool drained, const RunningDoors *running)
{
    Json json{{"group", id.service.text()},
              {"family", id.ipv6 ? "IPv6" : "IPv4"},
              {"address", report.address.text()},
              {"phase", wccp::text(report.phase)},
              {"drained", drained},
              {"proxy", show(prober, config)},
              {"authentication", config.password_file.empty() ? "none" : "md5"},
              {"weight", config.weight},
              {"forwarding", name(report.agreed.forwarding)},
              {"return", name(report.agreed.packet_return)},
              {"assignment", name(report.agreed.method)},
              {"transmit-interval", in_seconds(report.agreed.timers.transmit)},
              {"change-number", report.change_number},
              {"designated", report.designated ? Json(report.designated->text()) : Json()},
              {"why-not-designated", report.why_not},
              {"key", show(report.key)},
              {"reflected", report.reflected},
              {"assign-in", report.assign_in ? Json(in_seconds(*report.assign_in)) : Json()}};
    auto routers = Json::array();
    for (const auto &router : report.routers)
        routers.push_back(show(id, router, running));
    json["routers"] = routers;
    auto unheard = Json::array();
    for (const auto &address : report.unheard)
        unheard.push_back(address.text());
    json["unheard"] = unheard;
    json["caches"] = show_caches(report);
    json["messages"] = show(report.counters);
    return json;
}

Json show(const CacheHost &host, const Pressure &pressure, std::uint32_t share)
{
    Json json{{"mark", host.mark}, {"returned-share", share / 1000.0}};
    if (host.overload == Overload{})
        return json;
    json["connections"] = pressure.connections;
    json["load"] = pressure.load;
    json["answer-time"] = pressure.answer_time ? Json(in_seconds(*pressure.answer_time)) : Json();
    return json;
}

Json show_event(const GroupId &id, const wccp::CacheEvent &event)
{
    return {{"event", wccp::text(event.kind)},
            {"group", id.service.text()},
            {"family", id.ipv6 ? "IPv6" : "IPv4"},
            {"router", event.router.text()},
            {"reason", event.reason}};
}

} // namespace wlb::cached
