// SPDX-License-Identifier: GPL-2.0-only
// usage: wccp-sim [--seed N] [--histories N] [--caches simple|shipped|mixed] [--json FILE]
// Without --caches a third of the histories each. Runs so many random histories, each from a seed
// of its own, the first one's being N. Status 1 and the seed if one has failed: --seed that
// --histories 1 runs it again.
#include <chrono>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

#include "world.h"

namespace {

int usage()
{
    std::fputs("usage: wccp-sim [--seed N] [--histories N] [--caches simple|shipped|mixed] "
               "[--json FILE]\n",
               stderr);
    return 2;
}

} // namespace

int main(int argc, char **argv)
{
    std::uint64_t seed = 1;
    std::uint64_t histories = 1000;
    std::optional<sim::Caches> caches;
    std::string json;
    for (int i = 1; i < argc; i += 2) {
        const std::string_view option = argv[i];
        if (i + 1 == argc)
            return usage();
        if (option == "--seed")
            seed = std::strtoull(argv[i + 1], nullptr, 10);
        else if (option == "--histories")
            histories = std::strtoull(argv[i + 1], nullptr, 10);
        else if (option == "--caches" && std::string_view(argv[i + 1]) == "simple")
            caches = sim::Caches::simple;
        else if (option == "--caches" && std::string_view(argv[i + 1]) == "shipped")
            caches = sim::Caches::shipped;
        else if (option == "--caches" && std::string_view(argv[i + 1]) == "mixed")
            caches = sim::Caches::mixed;
        else if (option == "--json")
            json = argv[i + 1];
        else
            return usage();
    }
    const auto start = std::chrono::steady_clock::now();
    sim::Totals totals;
    std::string failure;
    for (std::uint64_t i = 0; i < histories && failure.empty(); ++i) {
        failure =
            sim::World(seed + i,
                       caches.value_or(sim::Caches{static_cast<std::uint8_t>((seed + i) % 3)}),
                       totals)
                .run();
        if (!failure.empty())
            std::printf("wccp-sim: seed %llu: %s\n", static_cast<unsigned long long>(seed + i),
                        failure.c_str());
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    const auto number = [](std::uint64_t n) { return static_cast<unsigned long long>(n); };
    std::printf("wccp-sim: %llu histories, %llu messages, %llu forged, %llu starts, %llu "
                "assignments, %llu changes with the least moves, slowest convergence %.1f s (%.0f "
                "%% of what is allowed), %.1f s\n",
                number(totals.histories), number(totals.messages), number(totals.forged),
                number(totals.restarts), number(totals.assignments), number(totals.moves),
                static_cast<double>(totals.slowest.count()) / 1000, totals.slowest_part * 100,
                took.count());
    if (!json.empty()) {
        std::ofstream out(json);
        out << "{\"passed\": " << (failure.empty() ? "true" : "false") << ", \"seed\": " << seed
            << ", \"histories\": " << totals.histories << ", \"messages\": " << totals.messages
            << ", \"forged\": " << totals.forged << ", \"assignments\": " << totals.assignments
            << ", \"moves\": " << totals.moves << ", \"slowest_ms\": " << totals.slowest.count()
            << "}\n";
        if (!out.flush())
            return 2;
    }
    return failure.empty() ? 0 : 1;
}
