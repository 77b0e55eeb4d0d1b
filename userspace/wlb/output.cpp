// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/output.h"

#include <linux/wlb.h>

#include <array>
#include <cstdio>
#include <ctime>

namespace wlb {

namespace {

std::string state_name(std::uint8_t state)
{
    static constexpr std::array<const char *, __WLB_FLOW_STATE_MAX> names{"racing", "won",
                                                                          "tombstone", "closing"};
    return state < names.size() ? names.at(state) : "state-" + std::to_string(state);
}

std::string return_name(std::uint8_t mode)
{
    return mode < __WLB_RETURN_MAX ? name_of(static_cast<Return>(mode))
                                   : "return-" + std::to_string(mode);
}

std::string via_name(std::uint8_t via)
{
    return via < __WLB_VIA_MAX ? name_of(static_cast<Via>(via)) : "via-" + std::to_string(via);
}

std::string fraction(std::uint64_t thousandths, const char *unit)
{
    std::array<char, 40> text{};
    std::snprintf(text.data(), text.size(), "%llu.%03llu%s",
                  static_cast<unsigned long long>(thousandths / 1000),
                  static_cast<unsigned long long>(thousandths % 1000), unit);
    return text.data();
}

std::string utc(std::uint64_t time_ns)
{
    const auto second = static_cast<std::time_t>(time_ns / 1000000000);
    std::tm parts{};
    gmtime_r(&second, &parts);
    std::array<char, 32> date{};
    std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S", &parts);
    std::array<char, 16> micro{};
    std::snprintf(micro.data(), micro.size(), ".%06uZ",
                  static_cast<unsigned>(time_ns % 1000000000 / 1000));
    return std::string(date.data()) + micro.data();
}

Json to_json(const std::optional<Address> &address)
{
    return address ? Json(address->text()) : Json(nullptr);
}

template <class Items> Json texts(const Items &items)
{
    auto array = Json::array();
    for (const auto &item : items)
        array.push_back(item.text());
    return array;
}

void add(Json &object, const Tuple &tuple)
{
    object["client"] = tuple.client.text();
    object["client_port"] = tuple.client_port;
    object["server"] = tuple.server.text();
    object["server_port"] = tuple.server_port;
}

} // namespace

std::string to_text(const Tuple &tuple)
{
    return endpoint(tuple.client, tuple.client_port) + " > " +
           endpoint(tuple.server, tuple.server_port);
}

std::string to_text(const Flow &flow)
{
    auto text = to_text(flow.tuple) + " winner " + (flow.winner ? flow.winner->text() : "none");
    if (flow.return_mode)
        text += " return " + return_name(*flow.return_mode);
    if (flow.via)
        text += " " + via_name(*flow.via);
    return text + " state " + state_name(flow.state) + " expires " +
           fraction(flow.expires_ms, "s") + " isn " + std::to_string(flow.isn);
}

std::string to_text(const RaceRecord &race)
{
    const auto winner = race.winner();
    auto text = "#" + std::to_string(race.id) + " " + utc(race.time_ns) + " " +
                to_text(race.tuple) + " winner " + (winner ? winner->text() : "none");
    for (const auto &answer : race.answers)
        text += " answer " + answer.address.text() + " " + fraction(answer.delay_us, "ms");
    return text;
}

std::string to_text(const Learned &learned)
{
    std::string text;
    for (const auto &a : learned.answerers) {
        text += (text.empty() ? "" : "\n") + endpoint(learned.server, learned.server_port) +
                " answerer " + a.address.text() + " via " + via_name(a.via) + " rtt " +
                fraction(a.rtt_us, "ms") + (a.raced ? " raced" : "") + " wins " +
                std::to_string(a.wins) + "/" + std::to_string(a.answers) + " asked " +
                std::to_string(a.asked) + " missed " + std::to_string(a.missed) + " age " +
                fraction(a.age_ms, "s");
        if (a.silent_ms)
            text += " silent " + fraction(*a.silent_ms, "s");
    }
    return text;
}

std::string to_text(const Bypass &bypass)
{
    return "bypass " + bypass.destination.text() + " source " +
           (bypass.source ? bypass.source->text() : "any") + " lifetime " +
           format_duration(bypass.lifetime);
}

Json to_json(const Flow &flow)
{
    auto object = Json::object();
    add(object, flow.tuple);
    object["winner"] = to_json(flow.winner);
    object["return"] = flow.return_mode ? Json(return_name(*flow.return_mode)) : Json(nullptr);
    object["via"] = flow.via ? Json(via_name(*flow.via)) : Json(nullptr);
    object["state"] = state_name(flow.state);
    object["expires_ms"] = flow.expires_ms;
    object["isn"] = flow.isn;
    return object;
}

Json to_json(const RaceRecord &race)
{
    auto object = Json::object();
    object["id"] = race.id;
    object["time_ns"] = race.time_ns;
    add(object, race.tuple);
    object["winner"] = to_json(race.winner());
    object["answers"] = Json::array();
    for (const auto &answer : race.answers)
        object["answers"].push_back({{"address", answer.address.text()},
                                     {"delay_us", answer.delay_us},
                                     {"won", answer.won}});
    return object;
}

Json to_json(const Learned &learned)
{
    auto answerers = Json::array();
    for (const auto &a : learned.answerers)
        answerers.push_back({{"address", a.address.text()},
                             {"via", via_name(a.via)},
                             {"rtt_us", a.rtt_us},
                             {"raced", a.raced},
                             {"age_ms", a.age_ms},
                             {"answers", a.answers},
                             {"wins", a.wins},
                             {"asked", a.asked},
                             {"missed", a.missed},
                             {"silent_ms", a.silent_ms ? Json(*a.silent_ms) : Json(nullptr)}});
    return {
        {"server", learned.server.text()},
        {"server_port", learned.server_port},
        {"answerers", answerers},
    };
}

Json to_json(const Bypass &bypass)
{
    return {
        {"destination", bypass.destination.text()},
        {"source", to_json(bypass.source)},
        {"lifetime_s", bypass.lifetime.count()},
    };
}

// What is absent is any, or nothing.
Json to_json(const ProcessRule &rule)
{
    auto object = Json::object();
    object["on"] = Json::array();
    for (const auto on : rule.on)
        object["on"].push_back(name_of(on));
    if (rule.source)
        object["source"] = rule.source->text();
    if (rule.destination)
        object["destination"] = rule.destination->text();
    if (rule.protocol)
        object["protocol"] = protocol_text(*rule.protocol);
    if (rule.port)
        object["port"] = *rule.port;
    if (rule.dscp)
        object["dscp"] = *rule.dscp;
    if (rule.rewrite)
        object["rewrite"] = rule.rewrite->text();
    if (!rule.tag.empty())
        object["tag"] = tag_text(rule.tag);
    if (rule.untag)
        object["untag"] = true;
    if (!rule.copy.empty())
        object["copy"] = rule.copy;
    return object;
}

Json to_json(const Stats &stats)
{
    auto object = Json::object();
    object["counters"] = Json::object();
    for (const auto &counter : stats.counters)
        object["counters"][counter.name] = counter.value;
    object["flows"] = stats.flows;
    object["racing"] = stats.racing;
    object["held"] = stats.held;
    return object;
}

Json to_json(const Service &service)
{
    return {
        {"name", service.name},
        {"ports", service.all_ports ? Json("all") : Json(service.ports)},
        {"replicas", service.any_replica ? Json("any") : texts(service.replicas)},
        {"never", texts(service.never)},
        {"sticky_s", service.sticky.count()},
        {"race", name_of(service.race)},
        {"fan_out", service.fan_out},
        {"explore_s", service.explore.count()},
        {"fastpath", name_of(service.fastpath)},
    };
}

Json to_json(const Origin &origin)
{
    auto replicas = Json::array();
    for (const auto &replica : origin.replicas)
        replicas.push_back({{"address", replica.address.text()},
                            {"via", name_of(replica.via)},
                            {"delay_us", replica.delay.count()}});
    return {
        {"name", origin.name},
        {"server", texts(origin.servers)},
        {"ports", origin.ports},
        {"race", name_of(origin.race)},
        {"max_hold_us", origin.max_hold.count()},
        {"replicas", replicas},
        {"source", to_json(origin.source)},
        {"strip_tag", origin.strip_tag},
        {"fan_out", origin.fan_out},
        {"pick", name_of(origin.pick)},
        {"clones_per_second", origin.clones_per_second},
        {"clones_per_prefix", origin.clones_per_prefix},
        {"cookie_s", origin.cookie.count()},
    };
}

Json to_json(const Served &served, bool busy)
{
    return {
        {"name", served.name},
        {"server", texts(served.servers)},
        {"ports", served.ports},
        {"local", to_json(served.local)},
        {"return", name_of(served.return_mode)},
        {"via", served.via ? Json(name_of(*served.via)) : Json(nullptr)},
        {"trust_path", served.trust_path},
        {"clones_from", texts(served.from)},
        {"busy", busy},
    };
}

} // namespace wlb
