// SPDX-License-Identifier: GPL-2.0-only
#include "gatewayd/show.h"

namespace wlb::gatewayd {

namespace {

double in_seconds(std::chrono::nanoseconds duration)
{
    return std::chrono::duration<double>(duration).count();
}

double in_ms(std::chrono::nanoseconds duration)
{
    return std::chrono::duration<double, std::milli>(duration).count();
}

} // namespace

Json show(const registry::ReplicaReport &report, const std::vector<ReplicaInForce> *kernel)
{
    auto returns = Json::array();
    for (const auto mode : report.returns)
        returns.push_back(name_of(mode));
    Json json{{"origin", report.origin},
              {"address", report.address.text()},
              {"name", report.name},
              {"configured", report.configured},
              {"registered", report.registered},
              {"in-force", report.in},
              {"state", report.registered ? Json(registry::text(report.state)) : Json()},
              {"via", name_of(report.via)},
              {"returns", returns},
              {"weight", report.weight},
              {"round-trip-ms", report.round_trip ? Json(in_ms(*report.round_trip)) : Json()},
              {"samples", report.samples},
              {"delay-ms", in_ms(report.delay)},
              {"silent", report.silent ? Json(in_seconds(*report.silent)) : Json()},
              {"unanswered", report.unanswered},
              {"answers", report.answers},
              {"needed", report.needed},
              {"deaths", report.deaths}};
    if (kernel == nullptr)
        return json;
    json["clones"] = 0;
    for (const auto &one : *kernel)
        if (one.origin == report.origin && one.replica.address == report.address)
            json["clones"] = one.clones;
    return json;
}

Json show(const RealmId &id, const registry::Gateway &gateway)
{
    const auto &counters = gateway.counters();
    auto refused = Json::object();
    for (std::size_t i = 0; i < registry::refusals; ++i)
        refused[registry::text(static_cast<registry::Refusal>(i))] = counters.refused[i];
    auto origins = Json::array();
    for (const auto &origin : gateway.config().origins)
        origins.push_back(origin.name);
    return {{"listen", id.first.text()},
            {"key-file", id.second},
            {"interval", in_seconds(gateway.config().interval)},
            {"origins", origins},
            {"messages",
             {{"hello", counters.hello},
              {"state", counters.state},
              {"ask", counters.ask},
              {"refused", refused}}}};
}

Json show_event(const registry::GatewayEvent &event)
{
    return {{"event", registry::text(event.kind)},
            {"origin", event.origin},
            {"replica", event.replica.text()},
            {"reason", event.reason}};
}

} // namespace wlb::gatewayd
