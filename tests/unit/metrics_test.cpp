// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/metrics.h"

#include <catch2/catch.hpp>

#include <linux/wlb.h>

#include <set>

#include "fake_kernel.h"
#include "sample.h"
#include "wlb/counter_families.h"
#include "wlb/kernel_metrics.h"
#include "wlb/race_tally.h"
#include "wlbctl_runner.h"

using namespace wlb;
using test::address;

namespace {

bool has(const std::string &text, const std::string &line)
{
    return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

RaceRecord race(std::uint64_t id, std::vector<Answer> answers, const char *server = "203.0.113.10")
{
    RaceRecord record;
    record.id = id;
    record.time_ns = id * 1000;
    record.tuple.server = address(server);
    record.tuple.server_port = 80;
    record.answers = std::move(answers);
    return record;
}

const auto r1 = address("198.51.100.2");
const auto r2 = address("198.51.100.18");

constexpr const char *known[] = {
#define X(name, meaning) #name,
    WLB_STATS(X)
#undef X
};

} // namespace

TEST_CASE("the text of metrics", "[metrics]")
{
    Metrics metrics;
    metrics.counter("apples", "Apples eaten", {{"kind", "a \"b\"\\\n\xff"}}, 7);
    metrics.gauge("pear_seconds", "Age of the pear", {}, 0.25);
    metrics.counter("apples", "Apples eaten", {{"kind", "red"}}, 1);
    CHECK(metrics.text() == "# HELP wlb_apples_total Apples eaten\n"
                            "# TYPE wlb_apples_total counter\n"
                            "wlb_apples_total{kind=\"a \\\"b\\\"\\\\\\n\xef\xbf\xbd\"} 7\n"
                            "wlb_apples_total{kind=\"red\"} 1\n"
                            "# HELP wlb_pear_seconds Age of the pear\n"
                            "# TYPE wlb_pear_seconds gauge\n"
                            "wlb_pear_seconds 0.25\n");
}

TEST_CASE("durations are a histogram", "[metrics]")
{
    Durations durations;
    for (const double seconds : {0.0005, 0.001, 0.003, 7.0})
        durations.note(seconds);
    Metrics metrics;
    metrics.durations("rtt_seconds", "RTT", {{"to", "r1"}}, durations);
    const auto text = metrics.text();
    INFO(text);
    CHECK(has(text, "# TYPE wlb_rtt_seconds histogram"));
    CHECK(has(text, "wlb_rtt_seconds_bucket{to=\"r1\",le=\"0.001\"} 2"));
    CHECK(has(text, "wlb_rtt_seconds_bucket{to=\"r1\",le=\"0.002\"} 2"));
    CHECK(has(text, "wlb_rtt_seconds_bucket{to=\"r1\",le=\"0.005\"} 3"));
    CHECK(has(text, "wlb_rtt_seconds_bucket{to=\"r1\",le=\"5\"} 3"));
    CHECK(has(text, "wlb_rtt_seconds_bucket{to=\"r1\",le=\"+Inf\"} 4"));
    CHECK(has(text, "wlb_rtt_seconds_count{to=\"r1\"} 4"));
}

TEST_CASE("every counter of the kernel has a place, and no two the same", "[metrics]")
{
    std::set<std::string> places;
    for (const auto *name : known) {
        INFO(name);
        const auto place = place_of(name);
        CHECK(std::string(place.help).find("Unknown") == std::string::npos);
        CHECK((place.label == nullptr) == place.value.empty());
        CHECK(places.insert(place.family + " " + place.value).second);
    }
    CHECK(place_of("clone_busy").family == "replica_clones");
    CHECK(place_of("clone_busy").value == "busy");
    CHECK(place_of("syn_direct").value == "direct");
    CHECK(place_of("redirect_icmp").value == "icmp");
    CHECK(place_of("translated_in").value == "translated_in");
    CHECK(place_of("counter-999").family == "counter_999");
}

TEST_CASE("races are counted once, and when losers have answered", "[metrics]")
{
    RaceTally tally;
    const auto text = [&] {
        Metrics metrics;
        tally.measure(metrics);
        return metrics.text();
    };
    const std::string pair = "{server=\"203.0.113.10:80\",answerer=\"198.51.100.2\"} ";
    tally.take({race(1, {{r1, 12000, true}}), race(2, {{r1, 12000, true}})}, 1500);
    CHECK(has(text(), "wlb_race_wins_total" + pair + "1"));
    tally.take({race(1, {{r1, 12000, true}}), race(2, {{r1, 12000, true}, {r2, 42000, false}}),
                race(3, {})},
               9000);
    CHECK(has(text(), "wlb_race_wins_total" + pair + "2"));
    CHECK(has(text(), "wlb_race_answer_seconds_count"
                      "{server=\"203.0.113.10:80\",answerer=\"198.51.100.18\"} 1"));
    CHECK(has(text(), "wlb_races_missed_total 0"));
    tally.take({race(7, {{r1, 12000, true}})}, 9000);
    CHECK(has(text(), "wlb_races_missed_total 3"));
    // the module was loaded anew
    tally.take({race(1, {{r1, 12000, true}})}, 9000);
    CHECK(has(text(), "wlb_race_wins_total" + pair + "4"));
}

TEST_CASE("clients cannot make more and more metrics", "[metrics]")
{
    RaceTally tally;
    std::vector<RaceRecord> races;
    for (std::uint64_t i = 1; i <= 1024; ++i) {
        const auto server = "10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256);
        races.push_back(race(i, {{r1, 1000, true}}, server.c_str()));
    }
    tally.take(races, UINT64_MAX);
    Metrics metrics;
    tally.measure(metrics);
    measure(races, metrics);
    const auto text = metrics.text();
    CHECK(has(text, "wlb_race_wins_total{server=\"other\",answerer=\"other\"} " +
                        std::to_string(1024 - RaceTally::most_pairs)));
    CHECK(std::count(text.begin(), text.end(), '\n') < 6000);
}

TEST_CASE("wlbctl metrics", "[metrics]")
{
    test::FakeState state;
    state.running.roles = WLB_ROLE_ALL;
    for (const auto *name : known)
        state.stats.counters.push_back({name, 1, ""});
    state.stats.flows = 3;
    state.races = {race(1, {{r1, 12000, true}, {r2, 42000, false}})};
    state.learned = {{address("203.0.113.10"), 80, {{r1, 0, 12000, true, 5, 9, 4, 2, 1, 700}}}};
    state.replicas = {{"www", {r1, Via::gre, microseconds(1)}, 30, false}};
    RedirectAssignment assignment;
    assignment.group = "web-cache";
    assignment.members = {{r1}, {r2}};
    assignment.buckets.emplace();
    assignment.buckets->fill(1 | WLB_BUCKET_ALT);
    assignment.buckets->at(0) = WLB_BUCKET_NONE;
    assignment.buckets->at(1) = 0;
    state.assignments = {{assignment, {{1, 2, 3}, {4, 5, 6}}}};
    RedirectGroup group;
    group.name = "web-cache";
    state.groups.groups = {{group, {{"gre", 12, ""}}}};
    state.process = {{}, {}};
    state.process[1].packets = 8;

    const auto outcome = test::wlbctl(state, "metrics");
    INFO(outcome.out);
    CHECK(outcome.status == 0);
    for (const auto *line : {
             "# TYPE wlb_replica_clones_total counter",
             "wlb_replica_clones_total{outcome=\"busy\"} 1",
             "wlb_races_total{outcome=\"won_replica\"} 1",
             "wlb_flows 3",
             "wlb_role{role=\"replica\"} 1",
             "wlb_role{role=\"cache\"} 0",
             "wlb_role{role=\"cache-router\"} 1",
             "wlb_latest_race_wins{server=\"203.0.113.10:80\",answerer=\"198.51.100.2\"} 1",
             "wlb_answerer_wins_total{server=\"203.0.113.10:80\",answerer=\"198.51.100.2\"} 4",
             "wlb_answerer_silent{server=\"203.0.113.10:80\",answerer=\"198.51.100.2\"} 1",
             "wlb_replica_clones_sent_total{origin=\"www\",replica=\"198.51.100.2\"} 30",
             "wlb_group_packets_total{group=\"web-cache\",outcome=\"gre\"} 12",
             "wlb_cache_buckets{group=\"web-cache\",family=\"IPv4\",cache=\"198.51.100.18\"} 254",
             "wlb_unassigned_buckets{group=\"web-cache\",family=\"IPv4\"} 1",
             "wlb_member_bytes_total{group=\"web-cache\",family=\"IPv4\",cache=\"198.51.100.2\"} 2",
             "wlb_process_rule_packets_total{rule=\"2\"} 8",
         }) {
        INFO(line);
        CHECK(has(outcome.out, line));
    }
    CHECK(test::wlbctl(state, "metrics x").status == 2);
}
