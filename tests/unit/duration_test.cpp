// SPDX-License-Identifier: GPL-2.0-only
#include <catch2/catch.hpp>

#include "wlb/duration.h"

using namespace wlb;

TEST_CASE("durations are read", "[duration]")
{
    const std::pair<const char *, std::int64_t> good[] = {
        {"0us", 0},        {"1us", 1},          {"55ms", 55000}, {"70s", 70000000},
        {"2m", 120000000}, {"3h", 10800000000}, {"7", 7000}};
    for (const auto &[text, count] : good) {
        INFO(text);
        const auto duration = parse_duration(text, std::chrono::milliseconds(1));
        REQUIRE(duration);
        CHECK(duration->count() == count);
    }
    CHECK(parse_duration("7", seconds(1))->count() == 7000000);
}

TEST_CASE("what is no duration is refused", "[duration]")
{
    for (const auto *bad : {"", "s", "1 s", "1.5s", "-1s", "1d", "1S", "0x1s", "1ss",
                            "9223372036854775808us", "9223372036854775807s"}) {
        INFO(bad);
        CHECK_FALSE(parse_duration(bad, seconds(1)));
    }
    CHECK_FALSE(to_duration(-1, seconds(1)));
}

TEST_CASE("durations are written without fractions", "[duration]")
{
    CHECK(format_duration(microseconds(0)) == "0s");
    CHECK(format_duration(microseconds(1)) == "1us");
    CHECK(format_duration(microseconds(200000)) == "200ms");
    CHECK(format_duration(microseconds(200001)) == "200001us");
    CHECK(format_duration(seconds(7440)) == "7440s");
}
