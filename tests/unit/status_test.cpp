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
    CHECK(test::wlbctl(state, "status").out ==
          "none of the roles client gateway, server gateway and replica is on\n");
    CHECK(test::wlbctl(state, "-j status").out == "{}\n");

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
                  "0\n  " +
                      to_text(standings(state.races).front()) +
                      "server gateway: 40 SYNs to clone, 10 cloned, 30 clones, answers per SYN "
                      "1.75\n"
                      "    not cloned: syn_no_cookie 30\n"
                      "    www 198.51.100.7 clones 30 registered\n"
                      "    six 2001:db8::7 clones 0\n"
                      "replica: 12 clones, 6 taken, busy 25.0 %\n"
                      "    dropped: clone_busy 3\n"
                      "    dropped: clone_no_listener 3\n"
                      "    www busy\n"
                      "    six takes races\n");
    const auto json = nlohmann::json::parse(test::wlbctl(state, "-j status").out);
    CHECK(json["server_gateway"]["answers_per_syn"] == 1.75);
    CHECK(json["replica"]["busy_share"] == 0.25);
    CHECK(json["client_gateway"]["origins"][0]["races"] == 4);
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
