// SPDX-License-Identifier: GPL-2.0-only
// The router's tables: assignments, what is done if none comes, takeover and reload.
#include <catch2/catch.hpp>

#include "wccp_bench.h"

using namespace wccp_test;
using namespace std::chrono_literals;

namespace {

std::size_t moved(const Buckets &a, const Buckets &b)
{
    std::size_t n = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        n += a[i] != b[i];
    return n;
}

} // namespace

TEST_CASE("wccp assignment: only a valid one is taken")
{
    Bench bench;
    bench.join(cache_a);
    bench.join(cache_b);
    const auto good = bench.assign(cache_a, {cache_a, cache_b});
    const auto refuse = [&](Assign assign, Refusal why) {
        CAPTURE(text(why));
        const auto before = bench.refused(why);
        CHECK_FALSE(bench.send(assign.octets(), cache_a).assignment);
        CHECK(bench.refused(why) == before + 1);
    };
    auto bad = good;
    bad.routers[0].receive_id += 5;
    refuse(bad, Refusal::assignment_receive_id);
    CHECK(bench.group.report(bench.now).assignment_refusal ==
          "with a receive ID that is not the last one sent");
    CHECK(bench.report(cache_a).status == CacheStatus::negotiating_assignment);
    bad = good;
    --bad.routers[0].change_number;
    refuse(bad, Refusal::assignment_change_number);
    bad = good;
    bad.routers[0].router = at("10.0.0.2");
    refuse(bad, Refusal::assignment_unlisted);
    bad = good;
    bad.caches = {cache_a, cache_b};
    bad.sets = {MaskSet{{}, {MaskValue{{}, 0}}}};
    refuse(bad, Refusal::assignment_method);
    bad = good;
    bad.password = "x";
    refuse(bad, Refusal::authentication);
    CHECK(bench.send(good.octets(), at("10.0.0.50")).assignment); // the key names a member
    bad = good;
    bad.key.address = at("10.0.0.50");
    CHECK(bench.send(bad.octets(), at("10.0.0.50")).datagrams.empty());
    CHECK(bench.refused(Refusal::assignment_sender) == 1);

    const auto assignment = bench.group.assignment();
    CHECK((assignment.buckets[0] == 0 && assignment.buckets[1] == 1));
    CHECK(assignment.key == good.key);
    CHECK(bench.report(cache_a).status == CacheStatus::ready);
    CHECK(answer_of(bench.say(cache_a)).key == good.key);
    CHECK_FALSE(bench.say(bench.assign(cache_a, {})).assignment->buckets[0] !=
                WLB_WCCP_BUCKET_NONE); // of nobody is valid too
}

TEST_CASE("wccp assignment: what of one says nothing is nobody's")
{
    auto config = sample_config();
    SECTION("as everybody writes it")
    {
        Bench bench(config);
        bench.join(cache_a);
        auto assign = bench.assign(cache_a, {cache_a, at("10.0.0.99")});
        assign.alternate = true;
        assign.buckets[0] = 0x80; // the alternative one's
        assign.buckets[2] = 0x1f; // no such cache
        const auto table = bench.say(assign).assignment->buckets;
        CHECK((table[0] == 0x80 && table[1] == 0xff && table[2] == 0xff && table[4] == 0));
        CHECK(bench.group.counters().unknown_caches == 1);
        CHECK(bench.group.counters().bad_buckets == 1);
    }
    SECTION("as the drafts draw it")
    {
        config.bucket_format = BucketFormat::draft;
        Bench bench(config);
        bench.join(cache_a);
        bench.join(cache_b);
        auto assign = bench.assign(cache_a, {cache_a, cache_b});
        assign.buckets.fill(0xff);
        assign.buckets[0] = 0x03;
        assign.buckets[1] = 0x02;
        const auto table = bench.say(assign).assignment->buckets;
        CHECK((table[0] == 0x81 && table[1] == 0x01 && table[2] == 0xff));
    }
}

TEST_CASE("wccp assignment: masks, and how the view shows them")
{
    auto config = sample_config();
    Bench bench(config);
    auto squid = bench.hello(cache_a);
    squid.method = Method::mask;
    squid.capabilities = Chosen{{2, 2}};
    squid.mask.dst[2] = 0x17;
    squid.mask.dst[3] = 0x41;
    squid.weight = 7;
    auto seen = answer_of(bench.join(squid));
    CHECK(seen.elements[0].flags == 0x0003); // before: its own mask, 32 octets
    CHECK(std::get<MaskData>(seen.elements[0].data) == MaskData{{{{0, 0x1741, 0, 0}, {}}}, {7, 0}});
    CHECK(seen.message.find<AssignmentMap>() == nullptr);

    auto assign = bench.assign(cache_a, {cache_a});
    MaskSet everything{{}, {MaskValue{{}, 0}}}; // Traffic Server's
    assign.sets = {everything};
    CHECK(bench.say(assign).assignment->sets == assign.sets);
    squid.routers = bench.hello(cache_a).routers;
    seen = answer_of(bench.say(squid));
    CHECK(seen.elements[0].flags == 0x0002); // after: 16 octets, and the map
    CHECK(std::get<MaskData>(seen.elements[0].data).sets.empty());
    REQUIRE(seen.message.find<AssignmentMap>());
    CHECK(seen.message.find<AssignmentMap>()->sets ==
          MaskList{{{0, 0, 0, 0}, {{{0, 0, 0, 0}, 0x0a00000b}}}});

    squid.minor = 1; // 2.01 has it shorter
    squid.routers = bench.hello(cache_a).routers;
    seen = answer_of(bench.say(squid));
    REQUIRE(seen.message.find<AlternateMap>());
    CHECK(std::get<AltMaskList>(seen.message.find<AlternateMap>()->body) ==
          AltMaskList{{{0, 0, 0, 0}, {{0x0a00000b, {0}}}}});

    assign = bench.assign(cache_a, {cache_a});
    everything.values[0].value.sport = 1; // past the mask: never, but kept
    assign.sets = {everything};
    CHECK(bench.say(assign).assignment->sets == assign.sets);
    CHECK(bench.group.counters().never_matching == 1);
}

TEST_CASE("wccp assignment: without one for 5 T the table goes")
{
    auto config = sample_config();
    config.reassign_kick = GENERATE(false, true);
    Bench bench(config);
    bench.join(cache_a);
    bench.say(bench.assign(cache_a, {cache_a}));
    const auto stay = [&](int rounds, const std::vector<Address> &caches) {
        for (; rounds > 0; --rounds) {
            for (const auto &cache : caches)
                bench.say(cache);
            bench.run(10s);
        }
    };
    stay(10, {cache_a}); // no change, no need of another one
    CHECK(bench.assigned(cache_a) == 256);

    bench.join(cache_b);
    stay(4, {cache_a, cache_b});
    bench.run(9999ms);
    CHECK(bench.assigned(cache_a) == 256);
    const auto change = bench.change();
    bench.run(1ms);
    CHECK(bench.assigned(cache_a) == 0);
    CHECK(bench.group.assignment().key == Key{at("0.0.0.0"), 0});
    CHECK(bench.group.counters().flushed == 1);
    CHECK(bench.members().size() == 2);
    stay(13, {cache_a, cache_b}); // at once, after 60 s, after 120 s; or never
    CHECK(bench.group.counters().kicked == (config.reassign_kick ? 3 : 0));
    CHECK(bench.change() == change + (config.reassign_kick ? 3 : 0));
}

TEST_CASE("wccp assignment: one that does not list this router takes its table")
{
    auto config = sample_config();
    config.flush_if_unlisted = GENERATE(true, false);
    Bench bench(config);
    bench.join(cache_a);
    bench.say(bench.assign(cache_a, {cache_a}));
    auto elsewhere = bench.assign(cache_a, {cache_a});
    elsewhere.routers[0].router = at("10.0.0.2");
    bench.say(elsewhere);
    CHECK(bench.assigned(cache_a) == (config.flush_if_unlisted ? 0 : 256));
}

TEST_CASE("wccp assignment: the router's own, if no cache assigns")
{
    auto config = sample_config();
    config.assignment_fallback = 20s;
    const auto method = GENERATE(Method::hash, Method::mask);
    Bench bench(config);
    const auto join = [&](const Address &cache) {
        auto hello = bench.hello(cache);
        hello.method = method;
        hello.capabilities = Chosen{{2, static_cast<std::uint32_t>(method)}};
        hello.weight = 100;
        bench.join(hello);
        return hello;
    };
    join(cache_a);
    const auto all = method == Method::hash ? 256U : 64U;
    bench.run(20s);
    CHECK(bench.assigned(cache_a) == all);
    CHECK(bench.group.assignment().key.address == router_address);
    const auto before = bench.group.assignment();
    join(cache_a);
    join(cache_b);
    CHECK(bench.assigned(cache_a) == all); // until it is time
    bench.run(20s);
    CHECK(bench.assigned(cache_a) == all / 2);
    CHECK(bench.assigned(cache_b) == all / 2);
    if (method == Method::hash)
        CHECK(moved(before.buckets, bench.group.assignment().buckets) == 128);
    CHECK(bench.group.counters().fallback == 2);
}

TEST_CASE("wccp takeover: nothing changes until a member is heard or lost")
{
    Bench old;
    old.join(cache_a);
    old.join(cache_b);
    old.say(old.assign(cache_a, {cache_a, cache_b}));
    const auto before = old.group.assignment();

    Bench bench;
    bench.now = 5s;
    bench.group.restore(bench.now, before);
    CHECK(bench.group.assignment() == before);
    bench.ids = {{cache_a, 12345}, {cache_b, 23456}}; // of the one that was killed
    auto out = bench.say(cache_a);
    CHECK_FALSE(out.assignment);
    CHECK(answer_of(out).caches.size() == 2); // a member's answer
    CHECK(answer_of(out).change_number == before.change_number);
    CHECK(bench.group.assignment() == before);
    out = bench.say(cache_a);
    CHECK(has(out, EventKind::confirmed));
    CHECK(bench.group.assignment() == before);
    bench.say(cache_b);
    bench.say(cache_b);
    CHECK(bench.group.assignment() == before);
    bench.key_number = 7;
    CHECK(bench.say(bench.assign(cache_a, {cache_a, cache_b})).assignment);

    // and one that is not heard is asked, then lost
    Bench silent;
    silent.group.restore(silent.now, before);
    auto outs = silent.run(25s);
    REQUIRE(outs.back().datagrams.size() == 2);
    CHECK(outs.back().datagrams[0].from == router_address);
    silent.run(5s);
    CHECK(silent.members().empty());
}

TEST_CASE("wccp takeover: members of the shortest timers have 5 s to be heard")
{
    auto config = sample_config();
    config.variable_timers = true;
    const auto fast = [](Bench &bench, const Address &cache) {
        auto hello = bench.hello(cache);
        hello.capabilities = Chosen{{1, 1}, {2, 1}, {3, 1}, {4, 500}, {5, 0x00010001}};
        return hello;
    };
    Bench old(config);
    for (const auto &cache : {cache_a, cache_b}) {
        old.say(cache);
        old.say(fast(old, cache));
    }
    old.say(old.assign(cache_a, {cache_a, cache_b}));
    const auto before = old.group.assignment();
    REQUIRE(before.timers.transmit == 500ms);
    REQUIRE(before.members.size() == 2);

    Bench bench(config);
    bench.group.restore(bench.now, before);
    bench.run(4s); // it began slowly, or their first messages were lost
    CHECK(bench.members().size() == 2);
    bench.ids = {{cache_a, 12345}}; // of the one that was killed
    bench.say(cache_a);
    bench.say(fast(bench, cache_a));
    bench.run(999ms);
    CHECK(bench.members().size() == 2);
    bench.run(1ms); // b has had its time; a, which was heard, has 1.5 s as ever
    CHECK(bench.members() == std::vector{cache_a});
    bench.run(499ms);
    CHECK(bench.members() == std::vector{cache_a});
    bench.run(1ms);
    CHECK(bench.members().empty());
}

TEST_CASE("wccp takeover: without the view's routers no change number is spent on them")
{
    Bench old;
    old.join(cache_a);
    old.say(old.assign(cache_a, {cache_a}));
    auto before = old.group.assignment();
    before.routers.clear();
    Bench bench;
    bench.group.restore(bench.now, before);
    bench.join(cache_a);
    CHECK(bench.change() == before.change_number);
    CHECK(bench.group.report(bench.now).routers == std::vector{router_address});
}

TEST_CASE("wccp reload keeps members, but for those that are not let in any more")
{
    Bench bench;
    bench.join(cache_a);
    bench.join(cache_b);
    bench.say(bench.assign(cache_a, {cache_a, cache_b}));
    auto config = bench.group.config();
    config.router_id = at("10.0.0.2");
    auto out = bench.group.reconfigure(bench.now, config);
    REQUIRE(out);
    CHECK(bench.members().size() == 2);
    CHECK(bench.group.assignment().routers == std::vector{at("10.0.0.2")});
    bench.say(cache_a);
    bench.say(cache_a);
    CHECK(bench.assigned(cache_a) == 128);

    config.group_list = {*Prefix::parse("10.0.0.11")};
    out = bench.group.reconfigure(bench.now, config);
    REQUIRE(out);
    REQUIRE(out->assignment);
    CHECK(bench.members() == std::vector{cache_a});
    config.service_id = 1;
    CHECK_FALSE(bench.group.reconfigure(bench.now, config));
}

TEST_CASE("wccp router: forged messages without the receive ID do not spoil the next true one")
{
    Bench bench;
    bench.join(cache_a);
    const auto good = bench.hello(cache_a);
    bench.run(10s);
    auto forged = good;
    forged.routers[0].second += 99;
    bench.say(forged);
    bench.run(16s);
    bench.say(good);
    CHECK_FALSE(bench.report(cache_a).queried);
    CHECK(bench.report(cache_a).silent == 0ms);
}
