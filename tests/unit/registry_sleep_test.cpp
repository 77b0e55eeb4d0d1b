// SPDX-License-Identifier: GPL-2.0-only
#include "registry_bench.h"

using namespace registry_test;

TEST_CASE("registry: a gateway that was kept from running takes none for dead but the dead")
{
    const std::string first = "198.51.100.7";
    const std::string second = "198.51.100.8";
    Bench bench;
    bench.start();
    bench.add(first);
    bench.add(second);
    bench.run(5s);
    REQUIRE(bench.in() == std::set{first, second});
    for (const auto asleep : {1500ms, 4000ms, 6000ms, 60000ms}) {
        INFO(asleep.count());
        bench.now += asleep;
        bench.run(2s);
        CHECK(bench.in() == std::set{first, second});
        CHECK(bench.report(first).deaths == 0);
        CHECK(bench.report(first).unanswered == 0);
    }
    bench.replicas.at(at(second)).off = true;
    bench.now += 60s;
    bench.run(5s);
    CHECK(bench.in() == std::set{first});
    CHECK(bench.report(second).deaths == 1);
}
