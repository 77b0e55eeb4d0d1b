// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/standings.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <tuple>

namespace wlb {

namespace {

std::string ms(std::uint32_t us)
{
    char text[32];
    std::snprintf(text, sizeof(text), "%.1f", us / 1000.0);
    return text;
}

double share_of(const Standing &standing, const Standings &origin)
{
    return static_cast<double>(standing.wins) / static_cast<double>(origin.races);
}

} // namespace

std::vector<Standings> standings(const std::vector<RaceRecord> &races)
{
    std::map<std::tuple<Address, std::uint16_t>, std::map<Address, Standing>> answerers;
    std::map<std::tuple<Address, std::uint16_t>, std::uint64_t> counts;
    for (const auto &race : races) {
        if (race.answers.empty())
            continue;
        const std::tuple origin(race.tuple.server, race.tuple.server_port);
        ++counts[origin];
        for (const auto &answer : race.answers) {
            auto &standing = answerers[origin][answer.address];
            standing.address = answer.address;
            standing.wins += answer.won ? 1 : 0;
            standing.delays_us.push_back(answer.delay_us);
        }
    }
    std::vector<Standings> all;
    for (auto &[origin, by_address] : answerers) {
        auto &sum = all.emplace_back();
        std::tie(sum.server, sum.port) = origin;
        sum.races = counts[origin];
        for (auto &[address, standing] : by_address) {
            std::sort(standing.delays_us.begin(), standing.delays_us.end());
            sum.answerers.push_back(std::move(standing));
        }
        std::stable_sort(sum.answerers.begin(), sum.answerers.end(),
                         [](const auto &a, const auto &b) { return a.wins > b.wins; });
    }
    return all;
}

std::uint32_t quantile(const std::vector<std::uint32_t> &ascending, double share)
{
    const auto rank = std::ceil(share * static_cast<double>(ascending.size()));
    return ascending[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

std::map<std::uint32_t, std::uint64_t> histogram(const std::vector<std::uint32_t> &values)
{
    constexpr std::uint32_t greatest = std::uint32_t{1} << 31;
    std::map<std::uint32_t, std::uint64_t> counts;
    for (const auto value : values)
        ++counts[value >= greatest ? greatest : std::bit_ceil(value + 1)];
    return counts;
}

std::string to_text(const Standings &standings)
{
    auto text = endpoint(standings.server, standings.port) + " latest " +
                std::to_string(standings.races) + " races\n";
    for (const auto &one : standings.answerers) {
        char share[32];
        std::snprintf(share, sizeof(share), "%.1f", 100 * share_of(one, standings));
        text += "    " + one.address.text() + " won " + std::to_string(one.wins) + " (" + share +
                " %) answered " + std::to_string(one.delays_us.size()) + " after least " +
                ms(one.delays_us.front()) + " median " + ms(quantile(one.delays_us, 0.5)) +
                " p99 " + ms(quantile(one.delays_us, 0.99)) + " ms;";
        for (const auto &[below, count] : histogram(one.delays_us))
            text += " <" + ms(below) + ":" + std::to_string(count);
        text += "\n";
    }
    return text;
}

Json to_json(const Standings &standings)
{
    auto answerers = Json::array();
    for (const auto &one : standings.answerers) {
        auto bars = Json::array();
        for (const auto &[below, count] : histogram(one.delays_us))
            bars.push_back({{"below_us", below}, {"count", count}});
        answerers.push_back({{"address", one.address.text()},
                             {"wins", one.wins},
                             {"share", share_of(one, standings)},
                             {"answers", one.delays_us.size()},
                             {"least_us", one.delays_us.front()},
                             {"median_us", quantile(one.delays_us, 0.5)},
                             {"p99_us", quantile(one.delays_us, 0.99)},
                             {"histogram", bars}});
    }
    return {{"server", standings.server.text()},
            {"server_port", standings.port},
            {"races", standings.races},
            {"answerers", answerers}};
}

} // namespace wlb
