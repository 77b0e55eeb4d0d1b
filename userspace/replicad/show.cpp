// SPDX-License-Identifier: GPL-2.0-only
#include "replicad/show.h"

namespace wlb::replicad {

namespace {

double in_seconds(std::chrono::nanoseconds duration)
{
    return std::chrono::duration<double>(duration).count();
}

Json show_probe(const Instance &instance)
{
    if (!instance.config.registration.probe)
        return {{"state", "not probed"}};
    const auto &prober = instance.prober;
    Json json{{"state", !prober.known() ? "not known yet"
                        : prober.up()   ? "works"
                                        : "does not work"}};
    if (const auto &last = prober.last()) {
        json["answer-time"] = in_seconds(last->took);
        json["why"] = last->why;
    }
    return json;
}

Json show_business(const Business &business)
{
    auto json = Json::object();
    for (std::size_t i = 0; i < Business::names.size(); ++i) {
        const auto &criterion = business[i];
        if (!criterion.limit())
            continue;
        json[Business::names[i]] = {
            {"busy", criterion.busy()},
            {"limit", *criterion.limit()},
            {"value", criterion.value() ? Json(*criterion.value()) : Json()}};
    }
    return json;
}

} // namespace

Json show(const Instance &instance, const std::optional<std::size_t> &connections)
{
    const auto &served = instance.config;
    auto servers = Json::array();
    for (const auto &server : served.servers)
        servers.push_back(server.text());
    return {{"replica", served.name},
            {"server", servers},
            {"ports", served.ports},
            {"local", served.local ? served.local->text() : ""},
            {"state", registry::text(instance.state())},
            {"drained", instance.drained},
            {"silent", instance.told ? Json(*instance.told) : Json()},
            {"connections", connections ? Json(*connections) : Json()},
            {"weight", served.registration.weight},
            {"probe", show_probe(instance)},
            {"busy", show_business(instance.business)}};
}

Json show(const registry::GatewayView &gateway)
{
    return {{"address", gateway.address.first.text()},
            {"port", gateway.address.second},
            {"asked", gateway.asked},
            {"silent", gateway.silent ? Json(in_seconds(*gateway.silent)) : Json()},
            {"interval", gateway.interval ? Json(in_seconds(*gateway.interval)) : Json()}};
}

Json show(const registry::ReplicaCounters &counters)
{
    auto refused = Json::object();
    for (std::size_t i = 0; i < registry::refusals; ++i)
        refused[registry::text(static_cast<registry::Refusal>(i))] = counters.refused[i];
    return {{"hello", counters.hello}, {"state", counters.state}, {"refused", refused}};
}

} // namespace wlb::replicad
