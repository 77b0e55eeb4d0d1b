// SPDX-License-Identifier: GPL-2.0-only
// What daemons tell as JSON, as metrics. Scenarios compare them with what real ones show.
#include <catch2/catch.hpp>

#include "gatewayd/metrics.h"
#include "processd/metrics.h"
#include "replicad/metrics.h"
#include "routerd/metrics.h"
#include "routerd/show.h"

using namespace wlb;

namespace {

std::string measured(void (*measure)(const Json &, Metrics &), const char *shown)
{
    Metrics metrics;
    measure(Json::parse(shown), metrics);
    return "\n" + metrics.text();
}

bool has(const std::string &text, const std::string &line)
{
    return text.find("\n" + line + "\n") != std::string::npos;
}

} // namespace

TEST_CASE("metrics of a group: members one by one, who is only heard as a number", "[metrics]")
{
    const auto text = measured(&routerd::measure, R"({"unwanted": 3, "groups": [{
        "group": "web-cache", "family": "IPv4", "visible": ["192.0.2.21"], "routers": [],
        "messages": {"here-i-am": 7, "refused": {"malformed": 2}},
        "caches": [
            {"address": "192.0.2.21", "state": "ready", "usable": true, "share": 256,
             "weight": 100, "silent": 0.5, "connected": 60},
            {"address": "192.0.2.66", "state": "negotiating membership", "usable": false}]}]})");
    INFO(text);
    const std::string group = R"({group="web-cache",family="IPv4")";
    CHECK(has(text, "wlb_wccp_cache_share" + group + R"(,cache="192.0.2.21"} 256)"));
    CHECK(has(text, "wlb_wccp_caches" + group + R"(,state="ready"} 1)"));
    CHECK(has(text, "wlb_wccp_caches" + group + R"(,state="negotiating membership"} 1)"));
    CHECK(has(text, "wlb_wccp_members" + group + "} 1"));
    CHECK(has(text, "wlb_wccp_messages_total" + group + R"(,kind="here-i-am"} 7)"));
    CHECK(has(text, "wlb_wccp_refused_total" + group + R"(,reason="malformed"} 2)"));
    CHECK(has(text, "wlb_wccp_unwanted_messages_total 3"));
    CHECK(text.find("192.0.2.66") == std::string::npos);
}

TEST_CASE("metrics of replicas: what is not known is left out", "[metrics]")
{
    const auto text = measured(&gatewayd::measure, R"({"registries": [], "replicas": [
        {"origin": "www", "address": "198.51.100.7", "in-force": true, "registered": true,
         "state": "busy", "weight": 2, "round-trip-ms": 110.5, "delay-ms": 55, "silent": 0.25,
         "unanswered": 0, "deaths": 1},
        {"origin": "www", "address": "198.51.100.9", "in-force": false, "registered": false,
         "state": null, "weight": 1, "round-trip-ms": null, "delay-ms": 0, "silent": null,
         "unanswered": 4, "deaths": 0}]})");
    INFO(text);
    const std::string first = R"({origin="www",replica="198.51.100.7")";
    CHECK(has(text, "wlb_registry_replica_in_force" + first + "} 1"));
    CHECK(has(text, "wlb_registry_replica_state" + first + R"(,state="busy"} 1)"));
    CHECK(has(text, "wlb_registry_replica_state" + first + R"(,state="ready"} 0)"));
    CHECK(has(text, "wlb_registry_replica_round_trip_seconds" + first + "} 0.1105"));
    CHECK(has(text, "wlb_registry_replica_delay_seconds" + first + "} 0.055"));
    const std::string second = R"({origin="www",replica="198.51.100.9")";
    CHECK(has(text, "wlb_registry_replica_in_force" + second + "} 0"));
    CHECK(text.find("wlb_registry_replica_silent_seconds" + second) == std::string::npos);
    CHECK(text.find("wlb_registry_replica_round_trip_seconds" + second) == std::string::npos);
    CHECK(text.find("wlb_registry_replica_state" + second) == std::string::npos);
}

TEST_CASE("metrics of a replica itself, and of copies", "[metrics]")
{
    const auto replica = measured(&replicad::measure, R"({"replicas": [
        {"replica": "www", "state": "ready", "drained": false, "silent": null,
         "connections": null, "probe": {"state": "works", "answer-time": 0.003},
         "busy": {"load": {"busy": true, "limit": 8.0, "value": 9.5}},
         "gateways": [{"address": "203.0.113.1", "asked": 12, "silent": 0.5}]}],
        "registrations": [{"local": "198.51.100.7:2061", "messages": {"hello": 1,
                                                                      "refused": {}}}]})");
    INFO(replica);
    CHECK(has(replica, R"(wlb_served_up{replica="www"} 1)"));
    CHECK(has(replica, R"(wlb_served_busy_value{replica="www",criterion="load"} 9.5)"));
    CHECK(
        has(replica, R"(wlb_served_gateway_asked_total{replica="www",gateway="203.0.113.1"} 12)"));
    CHECK(replica.find("wlb_served_connections") == std::string::npos);
    const auto copies = measured(&processd::measure, R"({"rules": [{}, {}], "copies": [
        {"name": "watch", "packets": 5, "octets": 320, "missed": 1, "failed": 0}]})");
    INFO(copies);
    CHECK(has(copies, R"(wlb_copied_bytes_total{copy="watch"} 320)"));
    CHECK(has(copies, "wlb_process_rules 2"));
    CHECK(copies.find("cut") == std::string::npos);
}

TEST_CASE("a group's map for a picture", "[metrics]")
{
    wccp::Assignment assignment;
    CHECK(routerd::show_map(assignment).dump() ==
          R"({"assignment":"hash","caches":[],"buckets":[]})");
    assignment.members.resize(2);
    assignment.buckets.fill(1);
    assignment.buckets[0] = WLB_WCCP_BUCKET_NONE;
    assignment.buckets[1] = 0 | WLB_WCCP_BUCKET_ALT;
    assignment.buckets[2] = 7; // of nobody who is a member
    const auto map = routerd::show_map(assignment);
    CHECK(map["caches"].size() == 2);
    CHECK(map["buckets"].size() == 256);
    CHECK(map["buckets"][0] == -1);
    CHECK(map["buckets"][1] == 0);
    CHECK(map["buckets"][2] == -1);
    CHECK(map["buckets"][255] == 1);
    assignment.method = wccp::Method::mask;
    assignment.sets = {{{}, {{{}, 1}, {{}, 0}, {{}, 1}}}};
    CHECK(routerd::show_map(assignment)["values"].dump() == "[1,2]");
}
