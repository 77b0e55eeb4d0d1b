// SPDX-License-Identifier: GPL-2.0-only
// Who gets which bucket: against a formula where there is one, against trying everything
// where there is little to try.
#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <random>

#include "wccp/allocate.h"
#include "wccp_quota.h"

using namespace wlb::wccp;

namespace {

using Owners = std::vector<std::uint8_t>;
using Weights = std::vector<std::uint32_t>;

std::vector<Slot> slots_of(const Owners &owners)
{
    std::vector<Slot> slots(owners.size());
    for (std::size_t i = 0; i < owners.size(); ++i) {
        if (owners[i] != nobody)
            slots[i].owner = owners[i];
    }
    return slots;
}

std::vector<std::size_t> counts(const Owners &owners, std::size_t members)
{
    std::vector<std::size_t> result(members);
    for (const auto owner : owners) {
        if (owner != nobody)
            ++result[owner];
    }
    return result;
}

std::size_t moved(const Owners &before, const Owners &after)
{
    std::size_t result = 0;
    for (std::size_t i = 0; i < before.size(); ++i)
        result += before[i] != nobody && before[i] != after[i];
    return result;
}

// What a result costs, in the order in which it counts.
struct Price {
    std::int64_t unplaced = 0;
    std::int64_t squares = 0; // times the sum of weights, twice
    std::int64_t moves = 0;
    std::int64_t strangers = 0;
    auto operator<=>(const Price &) const = default;
};

Price price(const std::vector<Slot> &slots, Weights weights, const Owners &result)
{
    Price price;
    auto sum = std::accumulate(weights.begin(), weights.end(), std::int64_t{0});
    if (sum == 0) {
        std::fill(weights.begin(), weights.end(), 1);
        sum = static_cast<std::int64_t>(weights.size());
    }
    std::int64_t placeable = 0;
    for (std::size_t s = 0; s < slots.size(); ++s) {
        bool any = false;
        for (std::size_t i = 0; i < weights.size(); ++i)
            any = any || (weights[i] && slots[s].accepts >> i & 1);
        placeable += any;
        price.unplaced += any && result[s] == nobody;
        if (result[s] == nobody)
            continue;
        // a member that gets nothing by weight has nothing to keep
        const auto owner = slots[s].owner;
        const bool counts =
            owner && *owner < weights.size() && weights[*owner] && (slots[s].accepts >> *owner & 1);
        price.moves += counts && *owner != result[s];
        price.strangers += !(counts && *owner == result[s]) && !(slots[s].former >> result[s] & 1);
    }
    const auto have = counts(result, weights.size());
    for (std::size_t i = 0; i < weights.size(); ++i) {
        const auto off = static_cast<std::int64_t>(have[i]) * sum - placeable * weights[i];
        price.squares += off * off;
    }
    return price;
}

void check_allowed(const std::vector<Slot> &slots, const Weights &weights, const Owners &result)
{
    const bool all_zero = std::all_of(weights.begin(), weights.end(), [](auto w) { return !w; });
    for (std::size_t s = 0; s < slots.size(); ++s) {
        if (result[s] == nobody)
            continue;
        REQUIRE(result[s] < weights.size());
        REQUIRE((slots[s].accepts >> result[s] & 1));
        REQUIRE((all_zero || weights[result[s]] > 0));
    }
}

} // namespace

TEST_CASE("wccp allocate: shares by weight, and only what must move moves")
{
    std::vector<Slot> slots(256);
    auto result = allocate(slots, {1, 1, 1});
    CHECK(counts(result, 3) == std::vector<std::size_t>{86, 85, 85});
    CHECK((result[0] == 0 && result[1] == 1 && result[2] == 2 && result[3] == 0));
    CHECK(allocate(slots_of(result), {1, 1, 1}) == result);

    auto orphaned = result;
    std::replace(orphaned.begin(), orphaned.end(), std::uint8_t{2}, nobody);
    const auto two = allocate(slots_of(orphaned), {1, 1});
    CHECK(counts(two, 2) == std::vector<std::size_t>{128, 128});
    CHECK(moved(orphaned, two) == 0);

    CHECK(counts(allocate(slots, {0, 3}), 2) == std::vector<std::size_t>{0, 256});
    CHECK(counts(allocate(slots, {0, 0}), 2) == std::vector<std::size_t>{128, 128});
    CHECK(counts(allocate(slots, {10000, 30000}), 2) == std::vector<std::size_t>{64, 192});
    CHECK(allocate(slots, {}) == Owners(256, nobody));
    CHECK(allocate({}, {1}).empty());
}

TEST_CASE("wccp allocate: of equal remainders the one is rounded up that has more")
{
    // Three of the same weight, of which the last one has the odd bucket.
    Owners owners(256);
    for (std::size_t i = 0; i < owners.size(); ++i)
        owners[i] = static_cast<std::uint8_t>(2 - i % 3);
    CHECK(allocate(slots_of(owners), {1, 1, 1}) == owners);
}

TEST_CASE("wccp allocate: moves are the least of all valid roundings'")
{
    std::mt19937_64 random(1);
    const auto pick = [&](std::uint64_t below) { return random() % below; };
    std::uint64_t cases = 0;
    for (int round = 0; round < 20000; ++round) {
        const auto members = 1 + pick(pick(2) ? 32 : 5);
        const auto size = pick(3) ? std::size_t{256} : std::size_t{1} << pick(9);
        const std::uint64_t largest = std::array<std::uint64_t, 4>{2, 5, 100, 65536}[pick(4)];
        Weights weights(members);
        for (auto &weight : weights)
            weight = static_cast<std::uint32_t>(pick(largest));
        Owners owners(size, nobody);
        const auto density = pick(101);
        const auto bias = 1 + pick(members);
        for (auto &owner : owners) {
            if (pick(100) < density)
                owner = static_cast<std::uint8_t>(pick(pick(2) ? bias : members));
        }
        const auto result = allocate(slots_of(owners), weights);
        check_allowed(slots_of(owners), weights, result);
        const auto have = counts(result, members);
        REQUIRE(wccp_test::is_fair(have, weights, size));
        REQUIRE(moved(owners, result) ==
                wccp_test::least_moves(counts(owners, members), weights, size));
        REQUIRE(allocate(slots_of(result), weights) == result);
        ++cases;
    }
    CHECK(cases == 20000);
}

TEST_CASE("wccp allocate: nothing is better where everything can be tried")
{
    std::mt19937_64 random(2);
    const auto pick = [&](std::uint64_t below) { return random() % below; };
    for (int round = 0; round < 3000; ++round) {
        const auto members = 1 + pick(4);
        const auto size = 1 + pick(members < 4 ? 7 : 6);
        Weights weights(members);
        for (auto &weight : weights)
            weight = static_cast<std::uint32_t>(pick(4));
        std::vector<Slot> slots(size);
        const bool free = pick(4) == 0;
        for (auto &slot : slots) {
            if (pick(3))
                slot.owner = static_cast<std::uint8_t>(pick(members + 1));
            slot.former = static_cast<std::uint32_t>(pick(2) ? 0 : pick(1ULL << members));
            if (!free)
                slot.accepts = static_cast<std::uint32_t>(pick(1ULL << members));
        }
        const auto result = allocate(slots, weights);
        check_allowed(slots, weights, result);
        const bool all_zero =
            std::all_of(weights.begin(), weights.end(), [](auto w) { return !w; });
        auto best = price(slots, weights, result);
        const auto ours = best;
        Owners other(size);
        const auto combinations = static_cast<std::uint64_t>(std::pow(members + 1, size));
        for (std::uint64_t n = 0; n < combinations; ++n) {
            bool allowed = true;
            auto left = n;
            for (std::size_t s = 0; s < size; ++s, left /= members + 1) {
                const auto member = left % (members + 1);
                other[s] = member == members ? nobody : static_cast<std::uint8_t>(member);
                allowed = allowed && (other[s] == nobody || ((all_zero || weights[member]) &&
                                                             (slots[s].accepts >> member & 1)));
            }
            if (allowed)
                best = std::min(best, price(slots, weights, other));
        }
        REQUIRE(ours == best);
    }
}

TEST_CASE("wccp allocate: one that comes back gets what it had")
{
    auto before = allocate(std::vector<Slot>(256), {1, 1, 1});
    auto without = before;
    std::replace(without.begin(), without.end(), std::uint8_t{1}, nobody);
    const auto between = allocate(slots_of(without), {1, 0, 1});
    auto slots = slots_of(between);
    for (std::size_t i = 0; i < slots.size(); ++i)
        slots[i].former = before[i] == 1 ? 2 : 0;
    CHECK(allocate(slots, {1, 1, 1}) == before);
}

TEST_CASE("wccp allocate: a specification comes before weight")
{
    std::vector<Slot> slots(256);
    for (std::size_t i = 0; i < slots.size(); ++i)
        slots[i].accepts = i < 64 ? 1 : i < 192 ? 3 : i < 250 ? 2 : 0;
    auto result = allocate(slots, {1, 1});
    CHECK(counts(result, 2) == std::vector<std::size_t>{125, 125});
    CHECK(std::count(result.begin() + 250, result.end(), nobody) == 6);
    result = allocate(slots, {1, 9});
    CHECK(counts(result, 2) == std::vector<std::size_t>{64, 186});
    CHECK(allocate(slots_of(result), {1, 9}) != result); // free, it would be less
}

TEST_CASE("wccp allocate: the largest case is quick enough to be forgotten")
{
    std::mt19937_64 random(3);
    std::vector<Slot> slots(max_slots);
    for (auto &slot : slots) {
        slot.owner = static_cast<std::uint8_t>(random() % 3);
        slot.accepts = static_cast<std::uint32_t>(random());
        slot.former = static_cast<std::uint32_t>(random() & random() & random());
    }
    Weights weights(32);
    for (auto &weight : weights)
        weight = static_cast<std::uint32_t>(random() % (1 << 20));
    const auto result = allocate(slots, weights);
    check_allowed(slots, weights, result);
    CHECK(std::count(result.begin(), result.end(), nobody) == 0);
}
