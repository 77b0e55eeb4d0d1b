// SPDX-License-Identifier: GPL-2.0-only
// Lines of tracefs as a kernel 6.1 has written them.
#include <catch2/catch.hpp>

#include "wlbctl/trace_line.h"

using wlb::cli::parse_lost;
using wlb::cli::parse_traced;
using wlb::cli::to_json;
using wlb::cli::to_text;

namespace {

constexpr const char *answer =
    "          <idle>-0       [000] ..s2.   123.000456: wlb_answer: netns=4026532301 "
    "client=[::ffff:10.1.1.2]:40000 server=[::ffff:203.0.113.10]:80 peer=::ffff:198.51.100.7 "
    "reason=race_won_replica";
constexpr const char *redirect =
    "  curl: wlb_x-712   [001] b.s2.   99.500000: wlb_redirect: netns=1 protocol=6 "
    "source=[2001:db8:1::2]:25000 destination=[2001:db8:a::10]:80 group=80 cache=:: bucket=7 "
    "reason=unassigned";

} // namespace

TEST_CASE("trace: an event of a race")
{
    const auto traced = parse_traced(answer);
    REQUIRE(traced);
    CHECK(traced->event == "answer");
    CHECK(traced->us == 123'000'456);
    CHECK(traced->is_about("198.51.100.7"));
    CHECK(traced->is_about("10.1.1.2"));
    CHECK_FALSE(traced->is_about("10.1.1.20"));
    CHECK(to_text(*traced, 1'000'042)
              .ends_with(".000042 answer 10.1.1.2:40000 > 203.0.113.10:80 from 198.51.100.7 "
                         "race_won_replica"));
    CHECK(to_json(*traced, 1'500'000) == wlb::Json{{"time", 1.5},
                                                   {"event", "answer"},
                                                   {"netns", 4026532301},
                                                   {"client", "10.1.1.2"},
                                                   {"client_port", 40000},
                                                   {"server", "203.0.113.10"},
                                                   {"server_port", 80},
                                                   {"peer", "198.51.100.7"},
                                                   {"reason", "race_won_replica"}});
}

TEST_CASE("trace: a packet of a group that has a number for a name")
{
    const auto traced = parse_traced(redirect);
    REQUIRE(traced);
    CHECK(traced->us == 99'500'000);
    CHECK(to_text(*traced, 0)
              .ends_with(
                  " redirect tcp [2001:db8:1::2]:25000 > [2001:db8:a::10]:80 group 80 unassigned"));
    const auto json = to_json(*traced, 0);
    CHECK(json.at("group") == "80");
    CHECK(json.at("bucket") == 7);
    CHECK(json.at("cache").is_null());
}

TEST_CASE("trace: what is none of ours, and what was lost")
{
    for (const auto *line :
         {"", "CPU:1 [LOST 12 EVENTS]", ": wlb_syn", "x: wlb_syn: netns=1", " 1.x: wlb_syn: a=b",
          "  curl-1 [000] b.s2. 1.000001: sched_switch: prev_comm=wlb_syn"})
        CHECK_FALSE(parse_traced(line));
    CHECK(parse_lost("CPU:1 [LOST 12 EVENTS]") == 12);
    CHECK(parse_lost("CPU:1 [LOST EVENTS]") == 0);
    CHECK(parse_lost(answer) == 0);
}
