// SPDX-License-Identifier: GPL-2.0-only
// The cache's half of a group: how it joins, whom it believes, how it stays and leaves.
#include <catch2/catch.hpp>

#include "wccp_cache_bench.h"
#include "wccp_golden.h"

using namespace wccp_test;
using namespace std::chrono_literals;

TEST_CASE("wccp cache: the first message, the answer to the answer, membership")
{
    auto config = sample_cache();
    config.weight = 100;
    CacheBench bench(config);
    auto said = bench.last_said();
    CHECK((said.to == router_1 && said.cache == own && said.weight == 100));
    CHECK((said.minor == 0 && said.minimum_version));
    CHECK((said.routers.empty() && said.caches.empty() && !said.shutdown));
    CHECK(said.capabilities == Chosen{{1, 1}, {2, 1}, {3, 1}});
    CHECK(bench.group.report(bench.now).unheard == std::vector{router_1});
    CHECK(bench.group.report(bench.now).why_not == "no router is heard");

    auto answer = bench.answer(router_1, false);
    answer.minor = 1;
    bench.hear(answer);
    CHECK(bench.report(router_1).status == CacheStatus::negotiating_membership);
    CHECK(bench.paths.empty());
    bench.run(999ms);
    CHECK(bench.sent.empty());
    bench.run(1ms); // a tenth of the interval, so that other routers' answers may come first
    said = bench.last_said();
    CHECK((said.minor == 1 && !said.minimum_version));
    CHECK(said.routers == Routers{{router_1, answer.receive_id}});
    const auto change = said.change_number;

    bench.hear(bench.answer(router_1));
    CHECK(bench.saw(CacheEventKind::router_found));
    CHECK(bench.paths == std::vector{Path{router_1, router_1, Transport::gre, Transport::gre}});
    CHECK(bench.report(router_1).status == CacheStatus::negotiating_assignment);
    bench.run(10s);
    said = bench.last_said();
    CHECK(said.caches == std::vector{own});
    CHECK(said.change_number == change + 1);
    CHECK(said.minor == 1); // one answer in 2.00 is no other router
}

TEST_CASE("wccp cache: the shortest answer of a router")
{
    auto config = sample_cache();
    config.address = at("127.0.0.2");
    config.routers = {at("127.0.0.1")};
    CacheBench bench(config);
    bench.hear(golden::octets(golden::i_see_you), at("127.0.0.1"));
    CHECK(bench.report(at("127.0.0.1")).receive_id == 1);
}

TEST_CASE("wccp cache: every dialect, components in any order, strangers among them")
{
    const auto backwards = GENERATE(false, true);
    const auto strangers = GENERATE(false, true);
    const auto dialect = GENERATE(0, 1, 2, 3);
    const auto password = GENERATE("", "secret12");
    CAPTURE(backwards, strangers, dialect);
    const bool ipv6 = dialect == 3;
    auto config = sample_cache();
    config.password = password;
    if (ipv6) {
        config.address = at("fd00::11");
        config.routers = {at("fd00::1")};
    }
    if (dialect != 0)
        config.assignment = {Method::mask, Method::hash};
    const auto router = config.routers[0];
    CacheBench bench(config);
    CHECK(bench.last_said().minor == (ipv6 ? 1 : 0));
    auto answer = bench.answer(router, false);
    answer.backwards = backwards;
    answer.strangers = strangers;
    answer.minor = dialect >= 2 ? 1 : 0;
    bench.hear(answer);
    bench.run(1s);
    auto said = bench.last_said();
    CHECK(said.routers == Routers{{router, answer.receive_id}});
    CHECK(said.minor == answer.minor);
    CHECK((said.flags & CacheElement::type_mask) == (dialect == 0 ? 0 : 2));

    answer = bench.answer(router);
    answer.backwards = backwards;
    answer.strangers = strangers;
    answer.minor = dialect >= 2 ? 1 : 0;
    answer.key = {own, 5};
    if (ipv6)
        answer.key.address = config.address;
    answer.caches[0].assigned = true;
    if (dialect == 0) {
        answer.caches[0].buckets.fill(0xff);
    } else {
        answer.method = Method::mask;
        answer.alternate = dialect >= 2;
        answer.sets = {
            filled(usual_mask({}, ipv6 ? 16 : 4), ipv6 ? 16 : 4, std::vector<std::uint8_t>(64, 0))};
    }
    bench.hear(answer);
    const auto report = bench.report(router);
    CHECK(report.status == CacheStatus::ready);
    CHECK(report.share == (dialect == 0 ? 256 : 64));
    CHECK(report.key == answer.key);
    CHECK(bench.group.counters().i_see_you == 2);
}

TEST_CASE("wccp cache: what is refused, and why")
{
    auto config = sample_cache();
    config.group_address = to_group;
    config.router_list = {*Prefix::parse("10.0.0.0/24")};
    CacheBench bench(config);
    bench.join(router_1);
    const auto before = bench.report(router_1);
    const auto refuse = [&](const Octets &octets, CacheRefusal why, const Address &from = router_1,
                            const Address &to = own) {
        CAPTURE(text(why));
        const auto count = bench.group.counters().of(why);
        const auto out = bench.hear(octets, from, to);
        CHECK((out.datagrams.empty() && out.events.empty() && !out.paths));
        CHECK(bench.group.counters().of(why) == count + 1);
        CHECK(bench.report(router_1).receive_id == before.receive_id);
    };
    auto good = bench.answer(router_1);
    refuse({1, 2, 3}, CacheRefusal::header);
    refuse(golden::octets(golden::here_i_am_hash), CacheRefusal::not_for_cache);
    refuse(good.octets(), CacheRefusal::router_list, at("10.0.1.1"));
    refuse(good.octets(), CacheRefusal::destination, router_1, at("10.0.0.77"));
    refuse(good.octets(), CacheRefusal::source, at("10.0.0.3"));
    refuse(good.octets(), CacheRefusal::family, at("fd00::1"));
    auto bad = good;
    bad.service.id = 5;
    refuse(bad.octets(), CacheRefusal::other_service);
    bad = good;
    bad.password = "x";
    refuse(bad.octets(), CacheRefusal::authentication);
    bad = good;
    bad.received_from = {other_cache};
    refuse(bad.octets(), CacheRefusal::not_addressed);
    bad = good;
    bad.sent_to = router_2;
    refuse(bad.octets(), CacheRefusal::sent_to);
    bad = good;
    bad.receive_id = 0;
    refuse(bad.octets(), CacheRefusal::identity);
    bad = good;
    bad.router = to_group;
    refuse(bad.octets(), CacheRefusal::identity);
    auto message = *parse(good.octets());
    std::erase_if(message.components,
                  [](const auto &c) { return std::holds_alternative<RouterView>(c); });
    refuse(*serialise(message), CacheRefusal::component_missing);
    auto cut = good.octets();
    cut[4 + 8 + 4] = 0; // service info's length
    cut[header_size + 8 + 3] = 20;
    refuse(cut, CacheRefusal::malformed);
    Query query{router_1, 0, router_1, other_cache, {}, 0, ""};
    refuse(query.octets(), CacheRefusal::not_addressed);
    query = {at("10.0.0.9"), 0, router_1, own, {}, 0, ""};
    refuse(query.octets(), CacheRefusal::unknown_router, at("10.0.0.9"));
    query = {router_1, 0, router_1, own, {}, 0, ""};
    refuse(query.octets(), CacheRefusal::source, at("10.0.0.9"));

    bench.hear(good); // and is good
    CHECK(bench.report(router_1).receive_id == good.receive_id);
    (void)bench.group.leave(bench.now);
    bench.run(60s);
    const auto count = bench.group.counters().of(CacheRefusal::silent);
    bench.hear(good);
    CHECK(bench.group.counters().of(CacheRefusal::silent) == count + 1);
    for (std::size_t i = 0; i < cache_refusals; ++i)
        CHECK(std::string(text(static_cast<CacheRefusal>(i))) != "?");
}

TEST_CASE("wccp cache: a service described in another way is another one")
{
    auto config = sample_cache();
    config.service = {ServiceInfo::dynamic, 80, 10, 6, WLB_WCCP_DST_IP | WLB_WCCP_PORTS, {80}};
    CacheBench bench(config);
    auto answer = bench.answer(router_1);
    answer.service.ports = {81};
    bench.hear(answer);
    CHECK(bench.group.counters().of(CacheRefusal::service_mismatch) == 1);
    bench.hear(bench.answer(router_1));
    CHECK(bench.knows(router_1));
}

TEST_CASE("wccp cache: a password, and what has none or another")
{
    auto config = sample_cache();
    config.password = "secret12";
    CacheBench bench(config);
    CHECK(authenticate(bench.sent.at(0).octets, "secret12", false).verdict == Verdict::authentic);
    auto octets = bench.answer(router_1).octets();
    for (std::size_t i = 0; i < octets.size(); ++i) {
        auto forged = octets;
        forged[i] ^= 1;
        bench.hear(forged, router_1);
        REQUIRE_FALSE(bench.knows(router_1));
    }
    octets.push_back(0); // behind the message: not part of it
    bench.hear(octets, router_1);
    CHECK(bench.knows(router_1));
    auto plain = bench.answer(router_1);
    plain.password.clear();
    bench.hear(plain);
    CHECK(bench.group.counters().of(CacheRefusal::authentication) > 0);
}

TEST_CASE("wccp cache: messages that were overtaken or played again do nothing")
{
    CacheBench bench;
    bench.ids[router_1] = 5000;
    bench.join(router_1);
    const auto last = bench.answer(router_1);
    bench.hear(last);
    const auto old = [&] { return bench.group.counters().of(CacheRefusal::receive_id); };
    bench.hear(last);
    CHECK(old() == 1);
    bench.ids[router_1] = 4990;
    bench.hear(bench.answer(router_1));
    CHECK(old() == 2);
    CHECK(bench.report(router_1).receive_id == last.receive_id);
    bench.ids[router_1] = 77; // it has started again
    bench.hear(bench.answer(router_1, false));
    CHECK(bench.report(router_1).receive_id == 78);
    CHECK(bench.paths.empty());
}

TEST_CASE("wccp cache: silence, and a clock that nobody has looked at")
{
    CacheBench bench;
    bench.join(router_1);
    bench.run(29999ms);
    CHECK(bench.knows(router_1));
    bench.run(1ms);
    CHECK_FALSE(bench.knows(router_1));
    CHECK(bench.saw(CacheEventKind::router_lost));
    CHECK(bench.paths.empty());
    bench.run(10s);
    CHECK(bench.last_said().minimum_version); // from the beginning again
    bench.join(router_1);
    bench.now += 300s;
    (void)bench.group.tick(bench.now);
    CHECK(bench.knows(router_1));
    bench.run(30s);
    CHECK_FALSE(bench.knows(router_1));
}

TEST_CASE("wccp cache: no answer of a router of 2.01 is asked for twice as often, six times")
{
    CacheBench bench;
    auto answer = bench.answer(router_1, false);
    answer.minor = 1;
    bench.hear(answer);
    bench.run(1s);
    bench.hear(bench.answer(router_1));
    bench.run(9999ms);
    bench.said();
    bench.run(1ms);
    CHECK(bench.said().size() == 1);
    for (int i = 0; i < 3; ++i) {
        bench.run(4999ms);
        CHECK(bench.said().empty());
        bench.run(1ms);
        CHECK(bench.said().size() == 1);
    }
    bench.run(5s);
    CHECK_FALSE(bench.knows(router_1));
    // an answer brings the usual interval back
    CacheBench again;
    auto first = again.answer(router_1, false);
    first.minor = 1;
    again.hear(first);
    again.run(1s);
    again.hear(again.answer(router_1));
    again.said();
    for (int i = 0; i < 4; ++i) {
        again.run(10s);
        CHECK(again.said().size() == 1);
        again.hear(again.answer(router_1));
    }
}

TEST_CASE("wccp cache: three messages answer a query, at tenths of the interval")
{
    CacheBench bench;
    bench.join(router_1);
    bench.run(3s);
    bench.said();
    const auto id = bench.report(router_1).receive_id;
    // one that counts up for that, too
    bench.hear(Query{router_1, id + 1, router_1, own, {}, 0, ""}.octets(), router_1);
    CHECK(bench.saw(CacheEventKind::queried));
    bench.run(0ms);
    CHECK(bench.last_said().routers == Routers{{router_1, id + 1}});
    bench.hear(Query{router_1, id + 1, router_1, own, {}, 0, ""}.octets(), router_1);
    for (int i = 0; i < 2; ++i) {
        bench.run(999ms);
        CHECK(bench.said().empty());
        bench.run(1ms);
        CHECK(bench.said().size() == 1);
    }
    bench.run(9s);
    CHECK(bench.said().empty());
    bench.hear(Query{router_1, id - 5, router_1, own, {}, 0, ""}.octets(), router_1);
    CHECK(bench.group.counters().of(CacheRefusal::receive_id) == 1);
    CHECK(bench.group.counters().removal_query == 2);
}

TEST_CASE("wccp cache: the first preference that every router offers")
{
    auto config = sample_cache();
    config.routers = {router_1, router_2};
    config.forwarding = {Transport::l2, Transport::gre};
    config.assignment = {Method::mask, Method::hash};
    CacheBench bench(config);
    CHECK(bench.last_said().capabilities == Chosen{{1, 2}, {2, 2}, {3, 1}});
    bench.hear(bench.answer(router_1, false));
    auto poor = bench.answer(router_2, false);
    SECTION("one without capabilities offers the defaults")
    {
        poor.capabilities.reset();
        bench.hear(poor);
        bench.run(1s);
        CHECK(bench.last_said().capabilities == Chosen{{1, 1}, {2, 1}, {3, 1}});
    }
    SECTION("one that comes later does not change what is agreed upon, if it need not")
    {
        bench.run(1s);
        auto agreed = bench.answer(router_1);
        agreed.capabilities = Chosen{{1, 2}, {2, 2}, {3, 1}};
        bench.hear(agreed);
        poor.capabilities = Chosen{{1, 1}, {2, 3}, {3, 3}};
        bench.hear(poor);
        bench.run(1s);
        // router 1 shows what is agreed upon, but has offered GRE as well
        CHECK(bench.last_said().capabilities == Chosen{{1, 1}, {2, 2}, {3, 1}});
        CHECK(bench.report(router_2).status == CacheStatus::negotiating_membership);
    }
    SECTION("one that has nothing in common is no member's router")
    {
        bench.run(1s);
        auto agreed = bench.answer(router_1);
        agreed.capabilities = Chosen{{1, 2}, {2, 2}, {3, 1}};
        bench.hear(agreed);
        poor.capabilities = Chosen{{1, 3}, {2, 1}, {3, 3}};
        bench.said();
        bench.hear(poor);
        CHECK(bench.saw(CacheEventKind::router_refused));
        CHECK(bench.report(router_2).status == CacheStatus::capability_mismatch);
        for (int i = 0; i < 5; ++i) {
            bench.run(10s);
            const auto said = bench.last_said();
            CHECK(said.to == router_1);
            CHECK(said.routers == Routers{{router_1, bench.ids[router_1]}});
            agreed.receive_id = ++bench.ids[router_1];
            bench.hear(agreed);
        }
        bench.run(10s); // and asked again, for the case that it offers more now
        CHECK(std::any_of(bench.sent.begin(), bench.sent.end(),
                          [](const auto &sent) { return sent.to == router_2; }));
    }
}

TEST_CASE("wccp cache: timers that every router offers")
{
    auto config = sample_cache();
    config.timers = {2s, 2, 1};
    CacheBench bench(config);
    auto answer = bench.answer(router_1, false);
    answer.minor = 1;
    answer.capabilities = Chosen{{1, 3}, {2, 3}, {3, 3}, {4, 60000U << 16 | 500}, {5, 0x05010501}};
    bench.hear(answer);
    bench.run(1s);
    CHECK(bench.last_said().capabilities ==
          Chosen{{1, 1}, {2, 1}, {3, 1}, {4, 2000}, {5, 0x00020001}});
    answer = bench.answer(router_1);
    answer.capabilities = Chosen{{1, 1}, {2, 1}, {3, 1}, {4, 2000}, {5, 0x00020001}};
    bench.hear(answer);
    bench.run(1999ms);
    CHECK(bench.said().size() == 1);
    bench.run(10s);
    CHECK(bench.knows(router_1));
    bench.run(1s); // 3 * 2 * 2 s
    CHECK_FALSE(bench.knows(router_1));

    // what is not sane is not taken
    CacheBench strict(config);
    answer = strict.answer(router_1, false);
    answer.capabilities = Chosen{{4, 5}, {5, 0}};
    strict.hear(answer);
    CHECK(strict.report(router_1).status == CacheStatus::capability_mismatch);
    answer = strict.answer(router_1, false);
    answer.capabilities = Chosen{{5, 0x00090001}};
    strict.hear(answer);
    CHECK(strict.report(router_1).status == CacheStatus::capability_mismatch);
}

TEST_CASE("wccp cache: the router of its own host is not learned")
{
    auto config = sample_cache();
    config.is_own = [](const Address &address) { return address == router_2; };
    CacheBench bench(config);
    bench.join(router_1);
    auto answer = bench.answer(router_1);
    answer.routers = {router_1, router_2};
    bench.hear(answer);
    CHECK_FALSE(bench.saw(CacheEventKind::learned));
    bench.said();
    bench.run(0ms);
    CHECK_FALSE(bench.knows(router_2));
}

TEST_CASE("wccp cache: routers that others tell of")
{
    CacheBench bench;
    bench.join(router_1);
    auto answer = bench.answer(router_1);
    answer.routers = {router_1, router_2};
    bench.hear(answer);
    CHECK(bench.saw(CacheEventKind::learned));
    CHECK(bench.group.report(bench.now).why_not ==
          "it does not hear 10.0.0.2, which 10.0.0.1 tells of");
    bench.said();
    bench.run(0ms);
    CHECK(bench.last_said().to == router_2);
    bench.join(router_2);
    CHECK(bench.report(router_2).learned);
    CHECK(bench.group.report(bench.now).why_not.empty());

    bench.hear(bench.answer(router_1)); // router 1 does not hear of it any more
    bench.run(9s);
    bench.hear(bench.answer(router_1));
    CHECK(bench.knows(router_2)); // but is heard itself
    bench.run(22s);
    bench.said();
    bench.run(60s);
    for (const auto &said : bench.said())
        CHECK(said.to == router_1);

    auto config = sample_cache();
    config.learn_routers = false;
    CacheBench strict(config);
    strict.join(router_1);
    strict.hear(answer);
    CHECK_FALSE(strict.saw(CacheEventKind::learned));
}

TEST_CASE("wccp cache: a router with another ID is not also the former one")
{
    CacheBench bench;
    bench.join(router_1);
    auto answer = bench.answer(router_1, false);
    answer.router = at("192.0.2.1");
    bench.hear(answer.octets(), router_1);
    CHECK_FALSE(bench.knows(router_1));
    bench.run(1s);
    CHECK(bench.last_said().routers == Routers{{at("192.0.2.1"), answer.receive_id}});
}

TEST_CASE("wccp cache: multicast, and a router by unicast beside it")
{
    auto config = sample_cache();
    config.group_address = to_group;
    const auto far_router = at("10.9.0.1");
    config.routers = {far_router};
    CacheBench bench(config);
    auto said = bench.said();
    REQUIRE(said.size() == 2);
    CHECK((said[0].to == far_router || said[1].to == far_router));
    CHECK((said[0].to == to_group || said[1].to == to_group));
    for (const auto &router : {router_1, router_2}) {
        auto answer = bench.answer(router, false);
        answer.sent_to = to_group;
        answer.received_from = {other_cache, own};
        answer.minor = router == router_1;
        bench.hear(answer);
    }
    bench.run(1s);
    said = bench.said();
    REQUIRE(said.size() == 1); // one message for all
    CHECK(said[0].to == to_group);
    CHECK(said[0].minor == 0); // what all of them speak
    CHECK(said[0].routers == Routers{{router_1, 1}, {router_2, 1}});
    bench.join(far_router);
    bench.run(10s);
    for (const auto &one : bench.said())
        CHECK(one.routers.size() == 3);
}

TEST_CASE("wccp cache: SHUTDOWN until every router knows, or time is up")
{
    auto config = sample_cache();
    config.routers = {router_1, router_2};
    CacheBench bench(config);
    bench.join(router_1);
    bench.join(router_2);
    bench.run(3s);
    bench.said();
    const auto answered = [&](const Address &router) {
        auto answer = bench.answer(router);
        answer.shut_down = own;
        return answer;
    };
    SECTION("all know")
    {
        const auto out = bench.group.leave(bench.now);
        CHECK(out.datagrams.size() == 2);
        CHECK(Said::of(out.datagrams[0]).shutdown);
        CHECK(bench.group.report(bench.now).phase == CachePhase::leaving);
        bench.hear(answered(router_1));
        bench.run(1s);
        CHECK(bench.last_said().to == router_2); // once more, the other one knows
        bench.hear(answered(router_2));
        bench.run(10s);
        CHECK(bench.group.report(bench.now).phase == CachePhase::silent);
        CHECK(bench.saw(CacheEventKind::left));
        CHECK(bench.paths.empty());
        CHECK_FALSE(bench.group.next_deadline());
    }
    SECTION("one does not")
    {
        (void)bench.group.leave(bench.now);
        bench.hear(answered(router_1));
        auto deaf = bench.answer(router_2);
        deaf.shut_down = other_cache;
        bench.hear(deaf);
        bench.run(29s);
        CHECK(bench.group.report(bench.now).phase == CachePhase::leaving);
        CHECK(bench.said().size() <= 7);
        bench.run(1s);
        CHECK(bench.group.report(bench.now).phase == CachePhase::silent);
    }
    SECTION("the proxy has died, and is there again")
    {
        auto out = bench.group.set_usable(bench.now, false);
        CHECK(Said::of(out.datagrams.at(0)).shutdown);
        bench.hear(answered(router_1));
        out = bench.group.set_usable(bench.now, true);
        REQUIRE(out.datagrams.size() == 2);
        CHECK_FALSE(Said::of(out.datagrams[0]).shutdown);
        CHECK(Said::of(out.datagrams[0]).routers.size() == 2);
    }
    SECTION("not enabled any more")
    {
        config.enabled = false;
        const auto out = bench.group.reconfigure(bench.now, config);
        REQUIRE(out);
        CHECK(Said::of(out->datagrams.at(0)).shutdown);
    }
    SECTION("nobody has ever answered")
    {
        CacheBench alone;
        (void)alone.group.leave(alone.now);
        CHECK(alone.group.report(alone.now).phase == CachePhase::silent);
    }
}

TEST_CASE("wccp cache: other settings while it runs")
{
    auto config = sample_cache();
    config.routers = {router_1, router_2};
    CacheBench bench(config);
    bench.join(router_1);
    bench.join(router_2);
    bench.run(1s);
    bench.said();
    config.routers = {router_1};
    config.learn_routers = false;
    config.weight = 9;
    auto out = bench.group.reconfigure(bench.now, config);
    REQUIRE(out);
    const auto bye = Said::of(out->datagrams.at(0));
    CHECK((bye.to == router_2 && bye.shutdown));
    CHECK_FALSE(bench.knows(router_2));
    CHECK(bench.knows(router_1));
    bench.paths = bench.group.paths();
    const auto now_heavier = Said::of(out->datagrams.at(1));
    CHECK((now_heavier.to == router_1 && !now_heavier.shutdown && now_heavier.weight == 9));

    auto bad = config;
    bad.address = other_cache;
    CHECK_FALSE(bench.group.reconfigure(bench.now, bad));
    bad = config;
    bad.service.id = 1;
    CHECK_FALSE(bench.group.reconfigure(bench.now, bad));
    const auto invalid = [&](auto change) {
        bad = config;
        change(bad);
        CHECK_FALSE(validate(bad));
        CHECK_FALSE(bench.group.reconfigure(bench.now, bad));
    };
    invalid([](auto &c) { c.routers.clear(); });
    invalid([](auto &c) { c.routers = {to_group}; });
    invalid([](auto &c) { c.routers = {own}; });
    invalid([](auto &c) { c.routers = {at("fd00::1")}; });
    invalid([](auto &c) { c.routers.assign(33, router_1); });
    invalid([](auto &c) { c.group_address = router_1; });
    invalid([](auto &c) { c.max_minor = 2; });
    invalid([](auto &c) { c.forwarding.clear(); });
    invalid([](auto &c) { c.timers.transmit = 100ms; });
    invalid([](auto &c) { c.timers.assign_scale = 6; });
    invalid([](auto &c) { c.mask = wlb_wccp_mask{}; });
    invalid([](auto &c) { c.slow_start = -1s; });
    invalid([](auto &c) { c.service.type = 2; });
    CHECK(validate(config));
    bad = config;
    bad.address = at("fd00::11");
    bad.routers = {at("fd00::1")};
    CHECK(validate(bad));
    bad.max_minor = 0;
    CHECK_FALSE(validate(bad));
}

namespace {

// Two routers that see two caches, as this one hears it.
class Election : public CacheBench {
public:
    explicit Election(CacheConfig config, std::vector<Shown> members)
        : CacheBench((config.weight = members[0].weight, config)), members_(std::move(members))
    {
        for (const auto &router : {router_1, router_2}) {
            auto first = answer(router, false);
            first.minor = minor;
            hear(first);
        }
        run(1s);
        hear_both();
    }
    ISeeYou view(const Address &router)
    {
        auto view = answer(router);
        view.routers = {router_1, router_2};
        view.caches = members_;
        view.change_number = change;
        view.key = key;
        view.method = group.config().assignment.front();
        return view;
    }
    void hear_both()
    {
        for (const auto &router : {router_1, router_2})
            hear(view(router));
    }
    // Answers as routers do, every interval.
    std::vector<Assigned> go_on(int intervals)
    {
        std::vector<Assigned> all;
        for (int i = 0; i < intervals; ++i) {
            run(10s);
            auto some = assigned();
            all.insert(all.end(), some.begin(), some.end());
            hear_both();
        }
        return all;
    }
    void take(const Assigned &assigned)
    {
        key = assigned.proposal.key;
        for (auto &member : members_) {
            member.buckets = assigned.proposal.table.vector_of(member.cache);
            member.assigned = true;
        }
    }

    std::vector<Shown> members_;
    std::uint32_t change = 7;
    std::uint8_t minor = 0;
    Key key;
};

CacheConfig two_routers()
{
    auto config = sample_cache();
    config.routers = {router_1, router_2};
    return config;
}

} // namespace

TEST_CASE("wccp cache: the designated one assigns when nothing has changed for long enough")
{
    auto config = two_routers();
    Election bench(config, {{own, 3}, {other_cache, 1}});
    CHECK(bench.group.report(bench.now).designated == own);
    bench.assigned();
    bench.run(9s);
    CHECK(bench.assigned().empty());
    bench.change = 8; // another change: the wait begins anew
    bench.hear_both();
    bench.run(10s);
    bench.hear_both();
    bench.run(4999ms);
    CHECK(bench.assigned().empty());
    bench.run(1ms);
    auto sent = bench.assigned();
    REQUIRE(sent.size() == 2);
    CHECK((sent[0].to == router_1 && sent[1].to == router_2));
    CHECK(sent[0].message == sent[1].message);
    CHECK((sent[0].share(own) == 192 && sent[0].share(other_cache) == 64));
    const auto first = sent[0].proposal;
    REQUIRE(first.routers.size() == 2);
    for (const auto &entry : first.routers) {
        CHECK(entry.change_number == 8);
        CHECK(entry.receive_id == bench.ids[entry.router]);
    }
    CHECK((first.key.address == own && first.key.number != 0));

    // Not reflected: once more each interval, with what the routers have said since
    sent = bench.go_on(3);
    CHECK((sent.size() >= 4 && sent.size() <= 6));
    CHECK(sent.back().proposal.key == first.key);
    CHECK(sent.back().proposal.table == first.table);
    CHECK(sent.back().proposal.routers[0].receive_id > first.routers[0].receive_id);
    bench.take(sent.back());
    bench.hear_both();
    CHECK(bench.go_on(5).empty());
    CHECK(bench.group.report(bench.now).reflected);

    // Somebody else's key, or none: ours again
    bench.key = {};
    bench.hear_both();
    CHECK_FALSE(bench.go_on(3).empty());
    bench.take(sent.back());
    CHECK(bench.go_on(2).size() <= 2);

    // A new membership has a new key, even if the table is the same
    bench.change = 9;
    bench.hear_both();
    sent = bench.go_on(3);
    REQUIRE_FALSE(sent.empty());
    CHECK(sent[0].proposal.key.number == first.key.number + 1);
    CHECK(sent[0].proposal.table == first.table);
    bench.take(sent[0]);
    bench.go_on(2);

    // The role goes to a lower one, and this one stops
    bench.members_.insert(bench.members_.begin(), Shown{at("10.0.0.5"), 1});
    bench.change = 10;
    bench.hear_both();
    CHECK(bench.go_on(5).empty());
    CHECK(bench.group.report(bench.now).designated == at("10.0.0.5"));
}

TEST_CASE("wccp cache: whoever does not hear all, or is not seen by all, does not assign")
{
    Election bench(two_routers(), {{own, 1}, {other_cache, 1}});
    bench.assigned();
    SECTION("a router that is not heard")
    {
        for (int i = 0; i < 4; ++i) {
            bench.run(10s);
            for (const auto &router : {router_1, router_2}) {
                auto view = bench.view(router);
                view.routers.push_back(at("10.0.0.3"));
                bench.hear(view);
            }
            CHECK(bench.assigned().empty());
        }
    }
    SECTION("a router that does not see us")
    {
        for (int i = 0; i < 4; ++i) {
            bench.run(10s);
            bench.hear(bench.view(router_1));
            auto view = bench.view(router_2);
            view.caches = {{other_cache, 1}};
            bench.hear(view);
            CHECK(bench.assigned().empty());
        }
    }
    SECTION("a cache that one router does not see gets nothing")
    {
        std::vector<Assigned> sent;
        for (int i = 0; i < 4; ++i) {
            bench.run(10s);
            const auto some = bench.assigned();
            sent.insert(sent.end(), some.begin(), some.end());
            bench.hear(bench.view(router_1));
            auto view = bench.view(router_2);
            view.caches = {{own, 1}};
            bench.hear(view);
        }
        REQUIRE_FALSE(sent.empty());
        CHECK(sent[0].share(own) == 256);
    }
}

TEST_CASE("wccp cache: changes that do not end are not waited for for ever")
{
    Election bench(two_routers(), {{own, 1}, {other_cache, 1}});
    bench.assigned();
    std::size_t sent = 0;
    for (int i = 0; i < 10; ++i) {
        ++bench.change;
        sent += bench.go_on(1).size();
    }
    CHECK(sent >= 2);
    CHECK(sent <= 6);
}

TEST_CASE("wccp cache: Squid's order of addresses, if it may have its way")
{
    auto config = two_routers();
    config.yield = true;
    Election bench(config, {{own, 1}, {other_cache, 1}});
    auto sent = bench.go_on(3);
    REQUIRE_FALSE(sent.empty());
    bench.take(sent[0]);
    bench.key.address = other_cache;
    bench.hear_both();
    CHECK(bench.go_on(5).empty());
    CHECK(bench.group.report(bench.now).designated == other_cache);
    // until it leaves somebody out
    bench.members_.push_back({at("10.0.0.13"), 1});
    ++bench.change;
    bench.hear_both();
    CHECK_FALSE(bench.go_on(3).empty());
}

TEST_CASE("wccp cache: a takeover moves nothing, a rejoiner gets back what it had")
{
    Election bench(two_routers(), {{own, 1}, {other_cache, 1}});
    // What the one before has assigned: the upper half is ours.
    for (std::size_t i = 0; i < 16; ++i) {
        bench.members_[0].buckets[16 + i] = 0xff;
        bench.members_[1].buckets[i] = 0xff;
    }
    bench.members_[0].assigned = bench.members_[1].assigned = true;
    bench.key = {at("10.0.0.5"), 77};
    bench.hear_both();
    auto sent = bench.go_on(3);
    REQUIRE_FALSE(sent.empty());
    CHECK(sent[0].proposal.table.vector_of(own) == bench.members_[0].buckets);

    bench.take(sent[0]);
    bench.go_on(2);
    const auto before = bench.members_[1];
    bench.members_.pop_back();
    bench.members_[0].buckets.fill(0xff);
    ++bench.change;
    bench.hear_both();
    sent = bench.go_on(3);
    REQUIRE_FALSE(sent.empty());
    CHECK(sent[0].share(own) == 256);
    bench.take(sent[0]);
    bench.go_on(2);
    bench.members_.push_back({other_cache, 1}); // the router remembers nothing
    ++bench.change;
    bench.hear_both();
    sent = bench.go_on(3);
    REQUIRE_FALSE(sent.empty());
    CHECK(sent[0].proposal.table.vector_of(other_cache) == before.buckets);
}

TEST_CASE("wccp cache: a new cache's share grows")
{
    auto config = two_routers();
    config.slow_start = 160s;
    Election bench(config, {{own, 0}, {other_cache, 0}});
    auto sent = bench.go_on(3);
    REQUIRE_FALSE(sent.empty());
    CHECK(sent[0].share(own) == 128); // all began at once
    bench.take(sent[0]);
    bench.go_on(1);
    const auto third = at("10.0.0.13");
    bench.members_.push_back({third, 0});
    ++bench.change;
    bench.hear_both();
    std::vector<std::size_t> shares;
    for (int i = 0; i < 20; ++i) {
        sent = bench.go_on(1);
        if (sent.empty())
            continue;
        shares.push_back(sent[0].share(third));
        bench.take(sent[0]);
    }
    CHECK(std::is_sorted(shares.begin(), shares.end()));
    REQUIRE(shares.size() >= 7);
    CHECK(shares.front() <= 256 * 2 / 18 + 1);
    CHECK((shares.back() == 85 || shares.back() == 86));
    CHECK(bench.group.report(bench.now).caches.back().grown == 8);
    CHECK_FALSE(bench.go_on(3).size() > 2);
}

TEST_CASE("wccp cache: hot buckets, and what each cache takes")
{
    auto config = two_routers();
    config.hot_buckets[0] = 0x03;
    Specification low; // the lower half
    low.buckets.emplace();
    std::fill_n(low.buckets->begin(), 16, 0xff);
    config.specifications[own] = low;
    Election bench(config, {{own, 1}, {other_cache, 1}});
    CHECK(bench.last_said().buckets == *low.buckets);
    auto sent = bench.go_on(3);
    REQUIRE_FALSE(sent.empty());
    const auto &buckets = sent[0].proposal.table.buckets();
    CHECK((buckets[0] & WLB_WCCP_BUCKET_ALT && buckets[1] & WLB_WCCP_BUCKET_ALT));
    CHECK_FALSE(buckets[2] & WLB_WCCP_BUCKET_ALT);
    CHECK(sent[0].proposal.table.vector_of(own) == *low.buckets);
    CHECK(sent[0].share(other_cache) == 128);
    bench.take(sent[0]);
    bench.go_on(2);

    config = bench.group.config();
    config.hot_buckets[0] = 0x04;
    REQUIRE(bench.group.reconfigure(bench.now, config));
    sent = bench.go_on(3);
    REQUIRE_FALSE(sent.empty());
    CHECK(sent[0].proposal.table.buckets()[2] & WLB_WCCP_BUCKET_ALT);
    CHECK(sent[0].proposal.table.vector_of(own) == *low.buckets);
}

TEST_CASE("wccp cache: with masks, each value to one that takes it")
{
    const auto minor = GENERATE(0, 1);
    auto config = two_routers();
    config.assignment = {Method::mask};
    wlb_wccp_mask mask{};
    mask.dport = 0x0003;
    mask.src[3] = 0x03;
    config.mask = mask;
    wlb_wccp_mask port{};
    port.dport = 0xffff;
    wlb_wccp_mask only_81{}, only_80{};
    only_81.dport = 81;
    only_80.dport = 80;
    config.specifications[own] = {{}, {{port, only_81}}};
    config.specifications[other_cache] = {{}, {{port, only_80}}};
    Election bench(config, {{own, 1}, {other_cache, 1}});
    bench.minor = static_cast<std::uint8_t>(minor);
    std::vector<Assigned> sent;
    for (int i = 0; i < 3; ++i) {
        bench.run(10s);
        auto some = bench.assigned();
        sent.insert(sent.end(), some.begin(), some.end());
        for (const auto &router : {router_1, router_2}) {
            auto view = bench.view(router);
            view.minor = bench.minor;
            bench.hear(view);
        }
    }
    REQUIRE_FALSE(sent.empty());
    CHECK(sent[0].minor == minor);
    CHECK(sent[0].message.find<AlternateAssignment>()->type == 1 + minor);
    CHECK((sent[0].share(own) == 4 && sent[0].share(other_cache) == 4));
    for (const auto &value : sent[0].proposal.table.sets().at(0).values)
        CHECK((value.value.dport == 1) ==
              (sent[0].proposal.table.caches()[value.member] == own)); // 81 & 3
}

TEST_CASE("wccp cache: whole groups of both real sides")
{
    const auto method = GENERATE(Method::hash, Method::mask);
    const auto ipv6 = GENERATE(false, true);
    const auto multicast = GENERATE(false, true);
    CAPTURE(static_cast<int>(method), ipv6, multicast);
    const auto numbered = [&](int n) {
        return at((ipv6 ? "fd00::" : "10.0.0.") + std::to_string(n));
    };
    Network network;
    CacheConfig config;
    for (int i = 0; i < 3; ++i) {
        GroupConfig router;
        router.router_id = numbered(1 + i);
        router.group_list = {*Prefix::parse(ipv6 ? "fd00::/64" : "10.0.0.0/24")};
        router.password = "geheim";
        router.variable_timers = true;
        if (multicast)
            router.group_address = at(ipv6 ? "ff05::1" : "224.1.1.1");
        config.group_address = router.group_address;
        if (!multicast)
            config.routers.push_back(router.router_id);
        network.add(router);
    }
    config.password = "geheim";
    config.assignment = {method};
    config.timers.transmit = 2s;
    const auto slots = method == Method::hash ? 256 : 64;
    for (int i = 0; i < 4; ++i) {
        config.address = numbered(11 + i);
        config.weight = static_cast<std::uint16_t>(i == 0 ? 2 : 1);
        network.add(config);
        network.run(300ms);
    }
    const auto share = [&](int cache) {
        std::set<std::size_t> shares;
        for (const auto &router : network.routers) {
            std::size_t found = 0;
            for (const auto &report : router->report(network.now).caches) {
                if (report.address == numbered(11 + cache))
                    found = report.share;
            }
            shares.insert(found);
        }
        REQUIRE(shares.size() == 1); // all have the same
        return static_cast<int>(*shares.begin());
    };
    const auto near = [&](int cache, int fifths, int of) {
        CHECK(std::abs(share(cache) * of - slots * fifths) < of);
    };
    network.run(40s);
    near(0, 2, 5);
    near(1, 1, 5);
    near(2, 1, 5);
    near(3, 1, 5);
    for (const auto &cache : network.caches) {
        const auto report = cache->report(network.now);
        CHECK(report.agreed.timers.transmit == 2s);
        CHECK(report.designated == numbered(11));
        CHECK(report.reflected == (report.address == numbered(11)));
        CHECK(cache->paths().size() == 3);
        for (const auto &router : report.routers)
            CHECK(router.status == CacheStatus::ready);
    }
    const auto ours = network.routers[0]->assignment();

    network.say(network.caches[0]->leave(network.now)); // the designated one
    network.run(multicast ? 3s : 100ms);
    CHECK(share(0) == 0); // at once
    network.run(20s);
    CHECK(network.caches[0]->report(network.now).phase == CachePhase::silent);
    CHECK(network.caches[1]->report(network.now).designated == numbered(12));
    near(1, 1, 3);
    near(2, 1, 3);
    near(3, 1, 3);
    network.say(network.caches[0]->start(network.now));
    network.run(40s);
    near(0, 2, 5);
    CHECK(network.routers[0]->assignment().key.address == numbered(11));
    if (method == Method::hash) {
        const auto again = network.routers[0]->assignment();
        CHECK(std::count_if(again.buckets.begin(), again.buckets.end(),
                            [](auto b) { return b == 0; }) > 100);
        std::size_t same = 0;
        for (std::size_t i = 0; i < 256; ++i)
            same += ours.buckets[i] == 0 && again.buckets[i] == 0;
        CHECK(same >= 102); // what it had
    }
    for (const auto &router : network.routers) {
        for (const auto &[refusal, count] :
             {std::pair{Refusal::assignment_receive_id, 0U}, {Refusal::malformed, 0U}})
            CHECK(router->counters().of(refusal) == count);
    }
}
