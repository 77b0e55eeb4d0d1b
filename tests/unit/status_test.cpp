// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/standings.h"

#include <catch2/catch.hpp>

#include "fake_kernel.h"
#include "sample.h"
#include "wlbctl_runner.h"

using namespace wlb;
using test::address;

namespace {

RaceRecord race(std::uint64_t id, const char *server, std::vector<Answer> answers)
{
    RaceRecord record;
    record.id = id;
    record.tuple.client = address("10.1.1.2");
    record.tuple.server = address(server);
    record.tuple.server_port = 80;
    record.answers = std::move(answers);
    return record;
}

const auto r1 = address("198.51.100.2");
const auto r2 = address("198.51.100.18");
const auto s = address("203.0.113.10");

std::vector<RaceRecord> some_races()
{
    return {race(1, "203.0.113.10", {{s, 102000, true}, {r1, 142000, false}}),
            race(2, "203.0.113.10", {{r1, 12000, true}, {r2, 42000, false}}),
            race(3, "203.0.113.11", {}), race(4, "203.0.113.10", {{r2, 42100, true}}),
            race(5, "203.0.113.10", {{r1, 12100, true}})};
}

} // namespace

TEST_CASE("quantiles and bars", "[status]")
{
    CHECK(quantile({7}, 0.5) == 7);
    CHECK(quantile({1, 2, 3, 4}, 0) == 1);
    CHECK(quantile({1, 2, 3, 4}, 0.5) == 2);
    CHECK(quantile({1, 2, 3, 4}, 0.99) == 4);
    using Bars = std::map<std::uint32_t, std::uint64_t>;
    CHECK(histogram({}).empty());
    CHECK(histogram({0, 1, 2, 3, 4, 7, 8}) == Bars{{1, 1}, {2, 1}, {4, 2}, {8, 2}, {16, 1}});
    CHECK(histogram({0x7fffffff, 0x80000000, 0xffffffff}) == Bars{{0x80000000, 3}});
}

TEST_CASE("what races add up to", "[status]")
{
    const auto all = standings(some_races());
    REQUIRE(all.size() == 1); // nobody has answered for the other
    CHECK(to_text(all.front()) ==
          "203.0.113.10:80 latest 4 races\n"
          "    198.51.100.2 won 2 (50.0 %) answered 3 after least 12.0 median 12.1 p99 142.0 ms; "
          "<16.4:2 <262.1:1\n"
          "    198.51.100.18 won 1 (25.0 %) answered 2 after least 42.0 median 42.0 p99 42.1 ms; "
          "<65.5:2\n"
          "    203.0.113.10 won 1 (25.0 %) answered 1 after least 102.0 median 102.0 p99 102.0 ms; "
          "<131.1:1\n");
    const auto json = to_json(all.front());
    CHECK(json["answerers"][0]["share"] == 0.5);
    CHECK(json["answerers"][1]["histogram"].dump() == R"([{"below_us":65536,"count":2}])");
}

TEST_CASE("status of the roles that are on", "[status]")
{
    test::FakeState state;
    CHECK(test::wlbctl(state, "status").out == "no role is on\n");
    CHECK(test::wlbctl(state, "-j status").out == "{\"daemons\":[]}\n");

    state.running.config = test::sample();
    state.running.busy = {"www"};
    state.running.roles = WLB_ROLE_ALL;
    state.races = some_races();
    state.replicas = {{"www", {address("198.51.100.7"), Via::gre, microseconds(1)}, 30, false},
                      {"six", {address("2001:db8::7"), Via::gre, microseconds(1)}, 0, true}};
    state.stats.flows = 3;
    state.stats.counters = {
        {"race_won_replica", 3, ""}, {"race_won_server", 1, ""},  {"syn_cloned", 10, ""},
        {"syn_no_cookie", 30, ""},   {"syn_race_refused", 5, ""}, {"clone_sent", 30, ""},
        {"clone_cracked", 6, ""},    {"clone_busy", 3, ""},       {"clone_no_listener", 3, ""}};
    const auto text = test::wlbctl(state, "status").out;
    INFO(text);
    CHECK(text == "client gateway: 3 flows, 0 racing; won by replicas 3, by servers 1, by nobody "
                  "0\n"
                  "  service web ports 80,443 replicas 198.51.100.0/24,2001:db8:7::/48 never "
                  "203.0.113.99,10.1.9.0/24 sticky 9s race direct fan-out 3 explore 11s "
                  "fastpath off\n"
                  "  service rest ports all replicas any sticky 0s race race fan-out 4 explore 10s "
                  "fastpath auto\n  " +
                      to_text(standings(state.races).front()) +
                      "server gateway: 40 SYNs to clone, 10 cloned, 30 clones, answers per SYN "
                      "1.75\n"
                      "    not cloned: syn_no_cookie 30\n"
                      "    www 198.51.100.7 clones 30 registered\n"
                      "    six 2001:db8::7 clones 0\n"
                      "replica: 12 clones, 6 taken, busy 25.0 %\n"
                      "    dropped: clone_busy 3\n"
                      "    dropped: clone_no_listener 3\n"
                      "    www takes no races: busy by order\n"
                      "    six takes races\n"
                      "not reachable: wlb-gatewayd does not run in this network namespace\n");
    const auto json = nlohmann::json::parse(test::wlbctl(state, "-j status").out);
    CHECK(json["server_gateway"]["answers_per_syn"] == 1.75);
    CHECK(json["replica"]["busy_share"] == 0.25);
    CHECK(json["client_gateway"]["origins"][0]["races"] == 4);
    CHECK(json["client_gateway"]["services"][0]["name"] == "web");
    CHECK(json["daemons"].dump() ==
          R"([{"answers":false,"name":"wlb-gatewayd","why":"wlb-gatewayd does not run in this )"
          R"(network namespace"}])");
}

namespace {

// A group of which 10.2.0.11 has 64 buckets, 10.2.0.12 the rest but one.
void add_group(test::FakeState &state)
{
    RedirectGroup group;
    group.name = "web-cache";
    state.groups.lease = milliseconds{20000};
    state.groups.groups = {
        {group, {{"gre", 600, ""}, {"l2", 30, ""}, {"denied", 4, ""}, {"closed", 0, ""}}}};
    RedirectAssignment assignment;
    assignment.group = "web-cache";
    assignment.members = {{address("10.2.0.12"), Forward::l2, Forward::gre},
                          {address("10.2.0.11"), Forward::gre, Forward::gre}};
    assignment.buckets.emplace();
    assignment.buckets->fill(0);
    std::fill_n(assignment.buckets->begin(), 64, std::uint8_t{1});
    assignment.buckets->back() = WLB_BUCKET_NONE;
    state.assignments = {{assignment, {{30, 3000, 1}, {600, 60000, 0}}}};
}

Json cache_told(const char *address, bool usable, const char *status, const char *why)
{
    return {{"address", address}, {"usable", usable}, {"state", status}, {"why", why}};
}

cli::Ask asking(const Json &routerd, const Json &cached, const Json &replicad = nullptr)
{
    return
        [=](const std::string &daemon, const std::string &, const Json &request) -> Result<Json> {
            if (request != Json{{"command", "show"}})
                return Error{"what?"};
            const auto &answer = daemon == "wlb-routerd"    ? routerd
                                 : daemon == "wlb-cached"   ? cached
                                 : daemon == "wlb-replicad" ? replicad
                                                            : Json();
            if (answer.is_null())
                return Error{daemon + " does not run", ECONNREFUSED};
            if (answer.is_string())
                return Error{daemon + answer.get<std::string>(), ETIMEDOUT};
            return answer;
        };
}

} // namespace

TEST_CASE("status of a cache router: of the kernel, and of its daemon", "[status]")
{
    test::FakeState state;
    add_group(state);
    const auto alone = test::wlbctl(state, "status", asking(" does not answer", nullptr));
    CHECK(alone.status == 0);
    CHECK(alone.out == "cache router:\n"
                       "  web-cache: redirected 630 packets, returned 0, denied 4\n"
                       "    IPv4: 2 caches, hash assignment: 1 buckets have no cache\n"
                       "      10.2.0.11 buckets 64 (25.0 %), gre, packets 600\n"
                       "      10.2.0.12 buckets 191 (74.6 %), l2, packets 30\n"
                       "not reachable: wlb-routerd does not answer\n");

    const Json routerd{
        {"groups",
         {{{"group", "web-cache"},
           {"family", "IPv4"},
           {"routers", {"10.2.0.1"}},
           {"assignment-refused", ""},
           {"caches",
            {cache_told("10.2.0.11", true, "ready", ""), cache_told("10.2.0.12", true, "ready", ""),
             cache_told("10.2.0.13", true, "ready", ""),
             cache_told("10.2.0.14", false, "not on link", "wants L2 and is behind a router")}}},
          {{"group", "web-cache"},
           {"family", "IPv6"},
           {"routers", {"2001:db8::1"}},
           {"assignment-refused", ""},
           {"caches", Json::array()}}}}};
    CHECK(test::wlbctl(state, "status", asking(routerd, nullptr)).out ==
          "cache router:\n"
          "  web-cache: redirected 630 packets, returned 0, denied 4\n"
          "    IPv4: 3 of 4 caches usable, hash assignment: 1 buckets have no cache\n"
          "      10.2.0.11 usable, ready, buckets 64 (25.0 %), gre, packets 600\n"
          "      10.2.0.12 usable, ready, buckets 191 (74.6 %), l2, packets 30\n"
          "      10.2.0.13 usable, ready, buckets 0 (0.0 %): it has no bucket\n"
          "      10.2.0.14 NOT usable, not on link, buckets 0 (0.0 %): wants L2 and is behind a "
          "router\n");
    const auto json =
        nlohmann::json::parse(test::wlbctl(state, "-j status", asking(routerd, nullptr)).out);
    const auto &family = json["cache_router"]["groups"][0]["families"][0];
    CHECK(json["cache_router"]["lease_ms"] == 20000);
    CHECK(json["cache_router"]["groups"][0]["packets"].dump() ==
          R"({"denied":4,"gre":600,"l2":30})");
    CHECK(family["usable"] == 3);
    CHECK(family["unassigned"] == 1);
    CHECK(family["caches"][1]["share"] == 191 / 256.0);
    CHECK(family["caches"][1]["bytes"] == 3000);
    CHECK(family["caches"][3]["why"] == "wants L2 and is behind a router");
    CHECK(json["daemons"].dump() == R"([{"answers":true,"name":"wlb-routerd","why":null}])");

    const auto idle = [&](const Json &told) {
        state.assignments.clear();
        return test::wlbctl(state, "status", asking(told, nullptr)).out;
    };
    const auto has = [](const std::string &text, const std::string &part) {
        return text.find(part) != std::string::npos;
    };
    CHECK(has(idle(nullptr), "    IPv4: 0 caches: no cache has any of its packets\n"));
    CHECK(has(idle(routerd), "4 caches usable: the caches have not assigned its packets yet\n"));
    auto other = routerd;
    other["groups"][0]["assignment-refused"] = "no such router";
    CHECK(has(idle(other), "usable: the last assignment was refused: no such router\n"));
    for (auto &cache : other["groups"][0]["caches"])
        cache["usable"] = false;
    CHECK(has(idle(other), "    IPv4: 0 of 4 caches usable: no cache is usable\n"));
    other["groups"][0]["caches"] = Json::array();
    CHECK(has(idle(other), "    IPv4: 0 of 0 caches usable: no cache has been heard\n"));
}

TEST_CASE("status of a cache's host, and of processing", "[status]")
{
    test::FakeState state;
    state.doors.cache.share = 125;
    state.doors.cache.doors = {
        {address("10.2.0.1"), Forward::gre, Forward::gre, GroupType::dynamic, 51, std::nullopt}};
    state.doors.counters = {{7, 700}};
    RunningProcessRule rule;
    rule.rule.on = {ProcessOn::returned};
    rule.rule.dscp = 8;
    rule.copy_group = 2048;
    rule.packets = 5;
    state.process = {rule};
    CHECK(test::wlbctl(state, "status").out ==
          "cache: new connections returned 12.5 %\n"
          "  51 IPv4\n"
          "    router 10.2.0.1, returned 7\n"
          "processing:\n"
          "  returned: dscp 8, copy to NFLOG 2048; 5 packets\n"
          "not reachable: wlb-cached does not run in this network namespace\n"
          "not reachable: wlb-processd does not run in this network namespace\n");

    // Before any router has answered the kernel knows nothing.
    state = {};
    const Json cached{{"groups",
                       {{{"group", "web-cache"},
                         {"family", "IPv4"},
                         {"address", "10.2.0.12"},
                         {"phase", "joins"},
                         {"drained", false},
                         {"proxy", {{"state", "does not work"}, {"why", "connection refused"}}},
                         {"designated", nullptr},
                         {"why-not-designated", "no router has answered"},
                         {"routers", Json::array()},
                         {"unheard", {"10.2.0.1"}}}}}};
    CHECK(test::wlbctl(state, "status", asking(nullptr, cached)).out ==
          "cache: new connections returned 0.0 %\n"
          "  web-cache IPv4: 10.2.0.12, joins, proxy does not work: connection refused; not "
          "designated: no router has answered\n"
          "    router 10.2.0.1: it does not answer\n");
}

TEST_CASE("races as they come, summed up", "[status]")
{
    test::FakeState state;
    state.races = some_races();
    const auto looks = test::wlbctl(state, "race top --count 2 --interval 0s").out;
    CHECK(looks == to_text(standings(state.races).front()) + "--\n--\n");
    CHECK(test::wlbctl(state, "-j race top --count 1").out ==
          Json::array({to_json(standings(state.races).front())}).dump() + "\n");
    CHECK(test::wlbctl(state, "race top --count 0").status == 2);
}
