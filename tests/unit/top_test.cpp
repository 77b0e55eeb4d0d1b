// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/top_screen.h"

#include <catch2/catch.hpp>

#include <algorithm>

#include "fake_kernel.h"
#include "sample.h"
#include "wlbctl_runner.h"

using namespace wlb;
using namespace wlb::cli;
using test::address;

namespace {

RaceRecord race(std::uint64_t id, const char *server, const char *winner)
{
    RaceRecord record;
    record.id = id;
    record.tuple = {address("10.1.1.2"), 40000, address(server), 80};
    record.answers = {{address(winner), 12000, true}, {address("198.51.100.99"), 50000, false}};
    return record;
}

Learned learned(std::uint32_t asked)
{
    Answerer one;
    one.address = address("198.51.100.2");
    one.asked = asked;
    return {address("203.0.113.10"), 80, {one}};
}

// Everything at zero: 2 races, 1 group of 2 caches.
Look nothing()
{
    Look look;
    for (const auto *name :
         {"syn_tagged", "race_won_replica", "race_won_server", "race_unanswered", "translated_out",
          "translated_in", "fast", "clone_sent", "clone_busy", "clone_cracked", "redirect_gre",
          "redirect_denied", "cache_received", "syn_no_room"})
        look.stats.counters.push_back({name, 0, std::string("what ") + name + " means"});
    look.races = {race(1, "203.0.113.10", "198.51.100.2"), race(2, "203.0.113.10", "203.0.113.10")};
    look.learned = {learned(5)};
    look.replicas = {{"www", {address("198.51.100.7"), Via::gre, {}}, 0, true}};
    RedirectGroup group;
    group.name = "web-cache";
    look.groups.groups = {{group, {{"gre", 0, ""}, {"l2", 0, ""}, {"returned", 0, ""}}}};
    RedirectAssignment assignment;
    assignment.group = "web-cache";
    assignment.members = {{address("10.2.0.11"), {}, {}}, {address("10.2.0.12"), {}, {}}};
    look.assignments = {{assignment, {{}, {}}}};
    return look;
}

void set(Look &look, const char *name, std::uint64_t value)
{
    for (auto &counter : look.stats.counters)
        if (counter.name == name)
            counter.value = value;
}

// Two seconds later.
Look something()
{
    auto look = nothing();
    look.time += seconds{2};
    look.stats.flows = 9;
    look.stats.racing = 1;
    for (const auto &[name, value] : {std::pair("syn_tagged", 20),
                                      {"race_won_replica", 12},
                                      {"race_won_server", 4},
                                      {"translated_out", 300},
                                      {"translated_in", 100},
                                      {"fast", 300},
                                      {"clone_sent", 60},
                                      {"clone_busy", 3},
                                      {"redirect_gre", 600},
                                      {"redirect_denied", 8}})
        set(look, name, static_cast<std::uint64_t>(value));
    for (std::uint64_t id = 3; id <= 18; ++id)
        look.races.push_back(
            race(id, "203.0.113.10", id % 4 == 0 ? "203.0.113.10" : "198.51.100.2"));
    look.learned = {learned(25)};
    look.replicas.front().clones = 60;
    look.replicas.push_back({"www", {address("198.51.100.8"), Via::gre, {}}, 4, false});
    look.groups.groups.front().counters = {{"gre", 600, ""}, {"l2", 0, ""}, {"returned", 2, ""}};
    look.assignments.front().counters = {{150, 15000, 2}, {450, 45000, 0}};
    return look;
}

bool has(const std::string &text, const std::string &part)
{
    return text.find(part) != std::string::npos;
}

std::size_t lines_in(const std::string &text)
{
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

// Without the sequences that a terminal takes for colours.
std::string bare(std::string text)
{
    for (auto begin = text.find('\x1b'); begin != std::string::npos; begin = text.find('\x1b'))
        text.erase(begin, text.find('m', begin) - begin + 1);
    return text;
}

} // namespace

TEST_CASE("rates between two looks", "[top]")
{
    const auto before = nothing();
    auto rates = rates_between(&before, something());
    sort_rates(rates, TopOrder::rate);
    CHECK(rates.seconds == 2);
    CHECK(rates.flows == 9);
    CHECK(rates.raced == 10);
    CHECK(rates.won_by_replicas == 6);
    CHECK(rates.won_by_servers == 2);
    CHECK(rates.unanswered == 0);
    CHECK(rates.carried == 200);
    CHECK(rates.fast_share == 0.75);
    CHECK(rates.cloned == 30);
    CHECK(rates.redirected == 300);
    CHECK(rates.missed == 0);
    REQUIRE(rates.wins.size() == 2);
    CHECK(rates.wins[0].server == "203.0.113.10:80");
    CHECK(rates.wins[0].answerer == "198.51.100.2");
    CHECK(rates.wins[0].wins == 6);
    CHECK(rates.wins[0].share == 0.75);
    CHECK(rates.wins[1].wins == 2);
    REQUIRE(rates.clones.size() == 3);
    CHECK(rates.clones[0].replica == "198.51.100.7");
    CHECK(rates.clones[0].clones == 30);
    CHECK(rates.clones[1].origin == "203.0.113.10:80");
    CHECK(rates.clones[1].clones == 10);
    CHECK(rates.clones[2].clones == 2); // it is new, and has counted from 0
    REQUIRE(rates.groups.size() == 1);
    CHECK(rates.groups[0].packets == 300);
    CHECK(rates.groups[0].bytes == 30000);
    CHECK(rates.groups[0].returned == 1);
    REQUIRE(rates.groups[0].caches.size() == 2);
    CHECK(rates.groups[0].caches[0].cache == "10.2.0.12");
    CHECK(rates.groups[0].caches[0].packets == 225);
    CHECK(rates.groups[0].caches[0].bytes == 22500);
    CHECK(rates.groups[0].caches[0].share == 0.75);
    REQUIRE(rates.refusals.size() == 2);
    CHECK(rates.refusals[0].counter == "redirect_denied");
    CHECK(rates.refusals[0].rate == 4);
    CHECK(rates.refusals[1].counter == "clone_busy");

    sort_rates(rates, TopOrder::name);
    CHECK(rates.clones[0].origin == "203.0.113.10:80");
    CHECK(rates.groups[0].caches[0].cache == "10.2.0.11");
    CHECK(rates.refusals[0].counter == "redirect_denied");

    const auto json = to_json(rates);
    CHECK(json["raced_per_s"] == 10.0);
    CHECK(json["groups"][0]["caches"][1]["bytes_per_s"] == 22500.0);
    CHECK(json["refusals"][1].dump() == R"({"counter":"clone_busy","per_s":1.5})");
}

TEST_CASE("more races than the kernel keeps", "[top]")
{
    const auto before = nothing();
    auto now = something();
    now.races.erase(now.races.begin(), now.races.begin() + 10); // 11 .. 18 are left
    auto rates = rates_between(&before, now);
    sort_rates(rates, TopOrder::rate);
    CHECK(rates.missed == 8);
    REQUIRE(rates.wins.size() == 2);
    CHECK(rates.wins[0].share == 0.75);
    CHECK(rates.wins[0].wins == 6); // as 16 races would have been won
    CHECK(has(page_of(rates, "", std::nullopt), "8 more races, taken to be as these\n"));
}

TEST_CASE("what cannot be compared is not shown", "[top]")
{
    const auto silent = [](const Rates &rates) {
        CHECK(rates.flows == 9);
        CHECK(!rates.raced);
        CHECK(!rates.carried);
        CHECK(!rates.fast_share);
        CHECK(rates.wins.empty());
        CHECK(rates.refusals.empty());
        CHECK(!rates.groups.at(0).packets);
        CHECK(!rates.groups.at(0).caches.at(0).packets);
        CHECK(to_json(rates)["raced_per_s"].is_null());
    };
    silent(rates_between(nullptr, something()));
    // The module was loaded anew: one counter is enough to show it.
    auto before = nothing();
    set(before, "syn_no_room", 1);
    silent(rates_between(&before, something()));
    // At the same moment, by a clock that stands still.
    before = something();
    CHECK(!rates_between(&before, something()).raced);

    // A cache that left and came again has counted from 0, and nobody knows since when.
    before = nothing();
    before.assignments.front().counters = {{151, 15100, 0}, {0, 0, 0}};
    const auto rates = rates_between(&before, something());
    CHECK(!rates.groups[0].caches[0].packets);
    CHECK(rates.groups[0].caches[1].share == 1);
    CHECK(rates.groups[0].packets == 300);

    // Groups, caches and replicas that are gone are no rows.
    before = something();
    auto now = before;
    now.time += seconds{1};
    now.groups = {};
    now.assignments.clear();
    now.replicas.clear();
    CHECK(rates_between(&before, now).groups.empty());
    CHECK(rates_between(&before, now).clones.empty());
}

TEST_CASE("ordinary counters are counters", "[top]")
{
    const std::vector<std::string> all{
#define NAME(name, text) #name,
        WLB_STATS(NAME)
#undef NAME
    };
    for (const auto *name : ordinary_counters()) {
        INFO(name);
        CHECK(std::count(all.begin(), all.end(), name) == 1);
    }
}

TEST_CASE("a page of rates", "[top]")
{
    const auto before = nothing();
    auto rates = rates_between(&before, something());
    sort_rates(rates, TopOrder::rate);
    const auto page = page_of(rates, "top", std::nullopt);
    INFO(page);
    CHECK(page ==
          "top\n"
          "flows 9   racing 1   held 0   SYNs raced 10.0/s   unanswered 0.0/s\n"
          "won by replicas 6.0/s   by servers 2.0/s   carried packets 200.0/s   fast path 75.0 %\n"
          "clones 30.0/s   taken 0.0/s   redirected packets 300.0/s   received 0.0/s\n"
          "\n"
          "WINNER        SERVER           WINS/S   SHARE\n"
          "198.51.100.2  203.0.113.10:80     6.0  75.0 %  |||||||||||||||\n"
          "203.0.113.10  203.0.113.10:80     2.0  25.0 %  |||||\n"
          "\n"
          "REPLICA       ORIGIN           CLONES/S\n"
          "198.51.100.7  www                  30.0\n"
          "198.51.100.2  203.0.113.10:80      10.0\n"
          "198.51.100.8  www                   2.0\n"
          "\n"
          "GROUP      CACHE      PACKETS/S  BYTES/S   SHARE\n"
          "web-cache  all            300.0    30.0k          returned 1.0/s\n"
          "           10.2.0.12      225.0    22.5k  75.0 %  |||||||||||||||\n"
          "           10.2.0.11       75.0     7.5k  25.0 %  |||||\n"
          "\n"
          "REFUSED OR LEFT ALONE  PER S\n"
          "redirect_denied          4.0  what redirect_denied means\n"
          "clone_busy               1.5  what clone_busy means\n");

    // With room for it the same, in colours; without, it fits all the same.
    const auto whole = page_of(rates, "top", Window{100, 40});
    CHECK(has(whole, "\x1b["));
    CHECK(has(bare(whole), "198.51.100.2  203.0.113.10:80     6.0  75.0 %  |||||||||||||||"));
    for (const std::size_t columns : {1, 20, 79, 200})
        for (const std::size_t rows : {1, 2, 5, 12, 18, 19, 23}) {
            const auto small = bare(page_of(rates, "top", Window{columns, rows}));
            INFO(columns << "x" << rows << "\n" << small);
            CHECK(lines_in(small) <= rows);
            for (const auto &line : split(small, '\n'))
                CHECK(line.size() <= columns);
        }
    CHECK(has(bare(page_of(rates, "top", Window{80, 40})),
              "carried packets 200.0/s\nfast path 75.0 %\nclones 30.0/s"));
    const auto short_page = bare(page_of(rates, "top", Window{100, 19}));
    CHECK(has(short_page, "... 2 more"));
    CHECK(has(short_page, "clone_busy"));

    // No name has a say in what the terminal does.
    rates.clones[0].origin = "\x1b[2J\x07n\xc3\xa4me";
    CHECK(has(page_of(rates, "", std::nullopt), "?[2J?n??me"));
    CHECK(has(page_of(rates_between(nullptr, nothing()), "", std::nullopt), "SYNs raced -/s"));
}

TEST_CASE("samples for scripts", "[top]")
{
    test::FakeState state;
    state.stats.counters = {{"syn_tagged", 5, ""}};
    const auto two = test::wlbctl(state, "top --count 2 --interval 100ms");
    CHECK(two.status == 0);
    CHECK(has(two.out, "SYNs raced 0.0/s"));
    CHECK(std::count(two.out.begin(), two.out.end(), 'w') > 1);
    CHECK(lines_in(two.out) == 10); // a title, three lines and an empty one each
    const auto lines = split(test::wlbctl(state, "-j top --count 2 --interval 100ms").out, '\n');
    REQUIRE(lines.size() >= 2);
    for (std::size_t i = 0; i < 2; ++i) {
        const auto json = Json::parse(lines[i]);
        CHECK(json["raced_per_s"] == 0.0);
        CHECK(json["seconds"].get<double>() >= 0.09);
    }
    for (const auto &[line, message] :
         {std::pair("top --count 0", "must be a whole number of 1 or more"),
          {"top --interval 10ms", "must be 100ms to 1h"},
          {"top --interval 2h", "must be 100ms to 1h"},
          {"top --interval soon", "is not a duration"},
          {"top --sort size", "must be \"rate\" or \"name\""},
          {"top more", "too many arguments"}}) {
        const auto refused = test::wlbctl(state, line);
        CHECK(refused.status == 2);
        CHECK(refused.out.empty());
        INFO(refused.err);
        CHECK(has(refused.err, message));
    }
}
