// SPDX-License-Identifier: GPL-2.0-only
// The router's membership: who is answered, who is usable, who is lost.
#include <catch2/catch.hpp>

#include "wccp_bench.h"
#include "wccp_golden.h"

using namespace wccp_test;
using namespace std::chrono_literals;

TEST_CASE("wccp router: Squid's first message gets the short answer, its second one membership")
{
    auto config = sample_config();
    config.router_id = at("127.0.0.1");
    config.group_list = {*Prefix::parse("127.0.0.0/8")};
    Bench bench(config);
    const auto squid = at("127.0.0.2");

    auto wire = golden::octets(golden::here_i_am_hash);
    auto out = bench.send(wire, squid);
    CHECK_FALSE(out.assignment);
    CHECK(out.datagrams[0].octets.size() == 120); // no more than came in
    CHECK(out.datagrams[0].from == at("127.0.0.1"));
    CHECK(out.datagrams[0].to_port == 2048);
    auto seen = answer_of(out);
    CHECK(seen.minor == 0);
    CHECK(seen.receive_id != 0);
    CHECK(seen.change_number != 0);
    CHECK((seen.routers.empty() && seen.caches.empty()));
    CHECK(seen.received_from == std::vector{squid});
    CHECK(seen.capabilities == Chosen{{1, 3}, {2, 3}, {3, 3}});
    CHECK(bench.members().empty());

    // the golden answer differs in receive ID, change number and offer only
    auto expected = *parse(golden::octets(golden::i_see_you));
    for (auto &component : expected.components) {
        if (auto *identity = std::get_if<RouterIdentity>(&component))
            identity->router.receive_id = seen.receive_id;
        if (auto *view = std::get_if<RouterView>(&component)) {
            view->change_number = seen.change_number;
            view->routers.clear();
        }
        if (auto *offer = std::get_if<Capabilities>(&component)) {
            for (auto &element : offer->elements)
                element.value[3] = 3;
        }
    }
    CHECK(seen.message == expected);

    const auto id = seen.receive_id;
    for (std::size_t i = 0; i < 4; ++i) // the echo, before no caches and the capabilities
        wire[wire.size() - 28 - 8 + i] = static_cast<std::uint8_t>(id >> (24 - 8 * i));
    out = bench.send(wire, squid);
    CHECK(has(out, EventKind::service_found));
    REQUIRE(out.assignment);
    CHECK(out.assignment->members ==
          std::vector{Member{squid, Transport::gre, Transport::gre, 10000}});
    CHECK(out.assignment->buckets[0] == WLB_WCCP_BUCKET_NONE);
    seen = answer_of(out);
    CHECK(seen.receive_id == id + 1);
    CHECK(seen.routers == std::vector{at("127.0.0.1")});
    CHECK(seen.caches == std::vector{squid});
    CHECK(seen.capabilities == Chosen{{1, 1}, {2, 1}, {3, 1}});
    const auto &data = std::get<HashData>(seen.elements[0].data);
    CHECK(data.weight.weight == 10000); // copied
    CHECK(seen.elements[0].flags == CacheElement::unassigned);
}

TEST_CASE("wccp router: the golden messages of a dynamic service, with mask and with MD5")
{
    auto config = sample_config();
    config.router_id = at("127.0.0.1");
    config.group_list = {*Prefix::parse("127.0.0.0/8")};
    SECTION("dynamic")
    {
        config.service_type = ServiceInfo::dynamic;
        config.service_id = 80;
        Bench bench(config);
        const auto out = bench.send(golden::octets(golden::here_i_am_dynamic), at("127.0.0.2"));
        CHECK(*answer_of(out).message.find<ServiceInfo>() ==
              ServiceInfo{1, 80, 240, 6, 0x211, {80, 8080}});
    }
    SECTION("mask")
    {
        Bench bench(config);
        CHECK(
            bench.send(golden::octets(golden::here_i_am_mask), at("127.0.0.2")).datagrams.size() ==
            1);
    }
    SECTION("MD5")
    {
        config.password = "secret12";
        Bench bench(config);
        const auto out = bench.send(golden::octets(golden::here_i_am_md5), at("127.0.0.2"));
        REQUIRE(out.datagrams.size() == 1);
        CHECK(out.datagrams[0].octets.size() == 136);
        CHECK(authenticate(out.datagrams[0].octets, "secret12", false).verdict ==
              Verdict::authentic);
    }
}

TEST_CASE("wccp router: what is refused without an answer, and why")
{
    auto config = sample_config();
    config.group_address = multicast_address;
    Bench bench(config);
    const auto good = bench.hello(cache_a).octets();
    const auto refuse = [&](const Octets &octets, Refusal why, const Address &from = cache_a,
                            const Address &to = router_address) {
        CAPTURE(text(why));
        const auto before = bench.refused(why);
        const auto out = bench.send(octets, from, to);
        CHECK(out.datagrams.empty());
        CHECK_FALSE(out.assignment);
        CHECK(bench.refused(why) == before + 1);
    };
    refuse({1, 2, 3}, Refusal::header);
    refuse(golden::octets(golden::i_see_you), Refusal::not_for_router);
    refuse(good, Refusal::group_list, at("10.0.1.1"));
    refuse(good, Refusal::destination, cache_a, at("224.1.1.2"));
    refuse(good, Refusal::family, at("2001:db8::1"));
    refuse(good, Refusal::strict_source, cache_b);
    auto hello = bench.hello(cache_a);
    hello.service.id = 1;
    refuse(hello.octets(), Refusal::other_service);
    hello = bench.hello(cache_a);
    hello.password = "x";
    refuse(hello.octets(), Refusal::authentication);
    hello = bench.hello(at("0.0.0.0"));
    refuse(hello.octets(), Refusal::identity);
    auto message = *parse(good);
    message.components.erase(message.components.begin() + 3); // the view
    refuse(*serialise(message), Refusal::component_missing);
    message = *parse(good);
    message.components.erase(message.components.begin() + 1); // the service
    refuse(*serialise(message), Refusal::malformed);
    message = *parse(good);
    message.components.erase(message.components.begin()); // the security
    refuse(*serialise(message), Refusal::malformed);
    CHECK(bench.group.report(bench.now).contacts == 0);

    for (std::size_t i = 0; i < refusals; ++i)
        CHECK(std::string(text(static_cast<Refusal>(i))) != "?");
}

TEST_CASE("wccp router: nobody is let in without a group list, unless anybody is")
{
    auto config = sample_config();
    config.group_list.clear();
    Bench closed(config);
    CHECK(closed.say(cache_a).datagrams.empty());
    config.allow_any = true;
    Bench open(config);
    CHECK(open.say(cache_a).datagrams.size() == 1);
}

TEST_CASE("wccp router: a member's message without the last receive ID changes nothing")
{
    Bench bench;
    bench.join(cache_a);
    const auto change = bench.change();
    const auto id = bench.ids[cache_a];
    bench.run(20s);
    auto stale = bench.hello(cache_a);
    stale.routers[0].second = id + 7;
    const auto out = bench.say(stale);
    CHECK_FALSE(out.assignment);
    const auto seen = answer_of(out);
    CHECK(seen.receive_id == id + 1);           // the right one, for the next try
    CHECK(seen.caches == std::vector{cache_a}); // a member gets the whole view
    CHECK(bench.change() == change);
    // its time has run on
    bench.run(9999ms);
    CHECK(bench.members().size() == 1);
    bench.run(1ms);
    CHECK(bench.members().empty());
}

TEST_CASE("wccp router: a cache that starts again keeps what it has")
{
    Bench bench;
    bench.join(cache_a);
    bench.say(bench.assign(cache_a, {cache_a}));
    const auto change = bench.change();
    auto first = bench.hello(cache_a);
    first.routers = {{router_address, 0}};
    bench.say(first);
    bench.say(cache_a);
    CHECK(bench.change() == change);
    CHECK(bench.assigned(cache_a) == 256);
}

TEST_CASE("wccp router: 25 s of silence are asked about, 30 s are the end")
{
    Bench bench;
    bench.join(cache_a);
    bench.join(cache_b);
    bench.say(bench.assign(cache_a, {cache_a, cache_b}));
    const auto change = bench.change();
    bench.run(20s);
    bench.say(cache_a);
    auto outs = bench.run(5s);
    REQUIRE(outs.size() == 1);
    REQUIRE(outs[0].datagrams.size() == 1);
    const auto query = *parse(outs[0].datagrams[0].octets);
    CHECK(query.header.type == MessageType::removal_query);
    CHECK(*query.find<RouterQuery>() ==
          RouterQuery{{0x0a000001, bench.ids[cache_b]}, 0x0a000001, 0x0a00000c});
    CHECK(outs[0].datagrams[0].to == cache_b);
    CHECK(bench.report(cache_b).queried);
    CHECK(bench.members().size() == 2);

    SECTION("which an answer avoids")
    {
        bench.say(cache_b);
        CHECK_FALSE(bench.report(cache_b).queried);
        bench.run(20s);
        CHECK(bench.change() == change + (bench.members().size() == 1));
    }
    SECTION("and the buckets are nobody's at once")
    {
        outs = bench.run(5s);
        REQUIRE(outs.size() == 1);
        CHECK(has(outs[0], EventKind::service_lost));
        REQUIRE(outs[0].assignment);
        CHECK(outs[0].assignment->members.size() == 1);
        CHECK(outs[0].assignment->buckets[0] == 0);
        CHECK(outs[0].assignment->buckets[1] == WLB_WCCP_BUCKET_NONE);
        CHECK(bench.change() == change + 1);
        // what it had is told as historical when it is back, with its last receive ID
        const auto seen = answer_of(bench.say(cache_b));
        CHECK(bench.members().size() == 2);
        CHECK(seen.elements[1].flags == CacheElement::unassigned);
        CHECK(std::get<HashData>(seen.elements[1].data).buckets[0] == 0xaa);
        CHECK(seen.elements[0].flags == 0);
        CHECK(std::get<HashData>(seen.elements[0].data).buckets[0] == 0x55);
    }
}

TEST_CASE("wccp router: a router that was late to listen loses nobody for that")
{
    Bench bench;
    bench.join(cache_a);
    bench.wait(300s);
    CHECK(bench.members().size() == 1);
    bench.run(5s);
    CHECK(bench.members().empty());
}

TEST_CASE("wccp router: time does not go back")
{
    Bench bench;
    bench.join(cache_a);
    bench.now -= 500s;
    bench.say(cache_a);
    bench.wait(0s);
    CHECK(bench.members().size() == 1);
}

TEST_CASE("wccp router: without members a group forgets its service, method and timers")
{
    auto config = sample_config();
    config.service_type = ServiceInfo::dynamic;
    config.service_id = 80;
    config.variable_timers = true;
    Bench bench(config);
    auto tcp = bench.hello(cache_a);
    tcp.service = {ServiceInfo::dynamic, 80, 1, 6, WLB_WCCP_PORTS, {80}};
    tcp.method = Method::mask;
    tcp.capabilities = Chosen{{1, 1}, {2, 2}, {3, 1}, {4, 2000}, {5, 0x00020003}};
    CHECK(bench.join(tcp).assignment->method == Method::mask);
    CHECK(bench.group.report(bench.now).timers == Timers{2s, 2, 3});

    auto other = bench.hello(cache_b);
    other.service = tcp.service;
    other.service.ports[0] = 8080;
    const auto out = bench.say(other);
    CHECK(out.datagrams.empty());
    CHECK(has(out, EventKind::service_mismatch));
    CHECK(bench.refused(Refusal::service_mismatch) == 1);
    other.service.ports = {80, 0, 99}; // nothing after the first 0 is meant
    CHECK(answer_of(bench.say(other)).message.find<ServiceInfo>()->ports[2] == 0);

    bench.run(12s); // 3 * 2 * 2 s
    CHECK(bench.members().empty());
    CHECK_FALSE(bench.group.report(bench.now).service);
    auto anew = bench.hello(cache_b);
    anew.service = {ServiceInfo::dynamic, 80, 9, 17, 0, {}};
    bench.join(anew);
    CHECK(bench.group.assignment().method == Method::hash);
}

TEST_CASE("wccp router: change numbers follow members and routers, not assignments")
{
    Bench bench;
    bench.join(cache_a);
    auto change = bench.change();
    CHECK(change != 0);
    auto two = bench.hello(cache_a);
    two.routers.emplace_back(at("10.0.0.2"), 0); // silent: does not count
    bench.say(two);
    CHECK(bench.change() == change);
    two.routers = bench.hello(cache_a).routers;
    two.routers.emplace_back(at("10.0.0.2"), 77);
    auto out = bench.say(two);
    CHECK(bench.change() == change + 1);
    CHECK(answer_of(out).routers == std::vector{router_address, at("10.0.0.2")});
    bench.say(bench.assign(cache_a, {cache_a}));
    CHECK(bench.change() == change + 1);
    bench.say(cache_a);
    CHECK(bench.change() == change + 2);
}

TEST_CASE("wccp router: receive IDs count up for each answer of the group")
{
    Bench bench;
    const auto first = answer_of(bench.say(cache_a)).receive_id;
    CHECK(answer_of(bench.say(cache_b)).receive_id == first + 1);
    CHECK(answer_of(bench.say(cache_a)).receive_id == first + 2);
    CHECK(bench.members() == std::vector{cache_a});
    CHECK(answer_of(bench.say(cache_b)).receive_id == first + 3);
    CHECK(bench.members().size() == 2);
}

TEST_CASE("wccp router: capabilities")
{
    Bench bench;
    const auto check = [&](Chosen chosen, CacheStatus status, const std::string &why) {
        auto hello = bench.hello(cache_b);
        hello.capabilities = std::move(chosen);
        bench.say(hello);
        hello.routers = bench.hello(cache_b).routers;
        const auto seen = answer_of(bench.say(hello));
        CHECK(seen.capabilities == Chosen{{1, 3}, {2, 3}, {3, 3}}); // the offer again
        CHECK(seen.caches.empty());
        CHECK(bench.members().empty());
        CHECK(bench.report(cache_b).status == status);
        CHECK(bench.report(cache_b).why == why);
        bench.now += 2s;
    };
    check({{1, 3}, {2, 1}, {3, 1}}, CacheStatus::capability_mismatch,
          "forwarding method 3, must be one bit of 3");
    check({{1, 4}}, CacheStatus::capability_mismatch, "forwarding method 4, must be one bit of 3");
    check({{3, 0}}, CacheStatus::capability_mismatch, "return method 0, must be one bit of 3");
    check({{2, 4}}, CacheStatus::assignment_mismatch, "assignment method 4, must be one bit of 3");
    check({{4, 2000}}, CacheStatus::capability_mismatch, "TRANSMIT_T 2000, must be 10000");
    check({{5, 0x00020001}}, CacheStatus::capability_mismatch, "TIMEOUT_SCALE 2, must be 1");
    check({{5, 0x00010002}}, CacheStatus::capability_mismatch, "RA_TIMER_SCALE 2, must be 1");
    check({{1, 2}}, CacheStatus::not_on_link, "wants L2 and is not on one of our links");

    auto l2 = bench.hello(cache_a); // is on link; unknown capabilities do not matter
    l2.capabilities = Chosen{{1, 2}, {77, 5}, {4, 10000}};
    CHECK(bench.join(l2).assignment->members[0].forwarding == Transport::l2);
    auto mask = bench.hello(cache_b);
    mask.capabilities = Chosen{{2, 2}};
    bench.now += 2s;
    bench.join(mask);
    CHECK(bench.report(cache_b).why == "assignment method 2, must be one bit of 1");
    auto defaults = bench.hello(cache_b);
    defaults.capabilities.reset();
    bench.now += 2s;
    bench.join(defaults);
    CHECK(bench.members().size() == 2);

    auto changed = bench.hello(cache_a); // that does not fit any more
    changed.capabilities = Chosen{{2, 2}};
    CHECK(has(bench.say(changed), EventKind::service_lost));
    CHECK(bench.members() == std::vector{cache_b});
}

TEST_CASE("wccp router: timers are offered as ranges and fixed by the first member")
{
    auto config = sample_config();
    config.variable_timers = true;
    Bench bench(config);
    CHECK(answer_of(bench.say(cache_a)).capabilities ==
          Chosen{{1, 3}, {2, 3}, {3, 3}, {4, 60000U << 16 | 500}, {5, 0x05010501}});
    auto fast = bench.hello(cache_a);
    fast.capabilities->emplace_back(4, 500U << 16 | 500); // the same twice is one value
    CHECK(answer_of(bench.say(fast)).capabilities ==
          Chosen{{1, 1}, {2, 1}, {3, 1}, {4, 500}, {5, 0x00010001}});
    auto slow = bench.hello(cache_b);
    bench.join(slow);
    CHECK(bench.members().size() == 1);
    bench.run(1499ms);
    CHECK(bench.members().size() == 1);
    bench.run(1ms);
    CHECK(bench.members().empty());
}

TEST_CASE("wccp router: versions")
{
    Bench bench;
    auto hello = bench.hello(cache_a);
    CHECK(answer_of(bench.say(hello)).minor == 0);
    hello.minimum_version = true;
    CHECK(answer_of(bench.say(hello)).minor == 1);
    hello.minimum_version = false;
    hello.minor = 7;
    bench.now += 2s;
    CHECK(answer_of(bench.say(hello)).minor == 1);

    auto config = sample_config();
    config.max_minor = 0;
    Bench fixed(config);
    hello.minimum_version = true;
    CHECK(answer_of(fixed.say(hello)).minor == 0);
}

TEST_CASE("wccp router: SHUTDOWN takes the buckets at once, for as long as it is said")
{
    Bench bench;
    bench.join(cache_a);
    bench.join(cache_b);
    bench.say(bench.assign(cache_a, {cache_a, cache_b}));
    auto shutdown = bench.hello(cache_b);
    shutdown.shutdown = true;
    auto out = bench.say(shutdown);
    CHECK(answer_of(out).shut_down == std::vector{cache_b});
    CHECK(has(out, EventKind::shutdown));
    CHECK(bench.members() == std::vector{cache_a});
    CHECK(bench.report(cache_b).status == CacheStatus::shutting_down);
    shutdown.routers = bench.hello(cache_b).routers;
    out = bench.say(shutdown);
    CHECK(answer_of(out).shut_down == std::vector{cache_b});
    CHECK_FALSE(has(out, EventKind::shutdown));
    CHECK(answer_of(bench.say(cache_b)).shut_down.empty());
    CHECK(bench.members().size() == 2);
}

TEST_CASE("wccp router: multicast is answered by the next scheduled message")
{
    auto config = sample_config();
    config.group_address = multicast_address;
    Bench bench(config);
    CHECK(bench.say(bench.hello(cache_a), multicast_address).datagrams.empty());
    auto b = bench.hello(cache_b);
    b.minimum_version = true;
    CHECK(bench.say(b, multicast_address).datagrams.empty());
    auto outs = bench.run(9900ms);
    REQUIRE(outs.size() == 1);
    auto seen = answer_of(outs[0]);
    CHECK(outs[0].datagrams[0].multicast);
    CHECK(outs[0].datagrams[0].to == multicast_address);
    CHECK(outs[0].datagrams[0].from == router_address);
    CHECK(seen.received_from == std::vector{cache_a, cache_b});
    CHECK(seen.sent_to == multicast_address);
    CHECK(seen.minor == 0); // not all of them have said V
    CHECK(bench.ids[cache_a] == bench.ids[cache_b]);
    const auto last = bench.now;
    for (int round = 0; round < 5; ++round) {
        CHECK(bench.say(bench.hello(cache_a), multicast_address).datagrams.empty());
        CHECK(bench.say(bench.hello(cache_b), multicast_address).datagrams.empty());
        outs = bench.run(10s);
        CHECK(bench.members().size() == 2);
        CHECK((outs.size() == 1 || outs.size() == 2));
    }
    CHECK(bench.now > last);
    auto leaving = bench.hello(cache_b);
    leaving.shutdown = true;
    bench.say(leaving, multicast_address);
    outs = bench.run(10s);
    CHECK(Seen::of(outs.front().datagrams[0].octets).shut_down == std::vector{cache_b});
    // and a query goes to the one it is for
    outs = bench.run(16s);
    const auto asks = [](const Output &out) {
        return !out.datagrams.empty() && out.datagrams[0].to == cache_a &&
               parse_header(out.datagrams[0].octets)->type == MessageType::removal_query;
    };
    CHECK(std::any_of(outs.begin(), outs.end(), asks));
}

TEST_CASE("wccp router: Squid's filler")
{
    auto config = sample_config();
    const auto filled = [](const Output &out) {
        const auto message = *parse(out.datagrams.at(0).octets);
        const auto &capabilities = message.find<Capabilities>()->elements;
        const bool in_message = std::any_of(
            message.components.begin(), message.components.end(), [](const auto &component) {
                const auto *unknown = std::get_if<Unknown>(&component);
                return unknown && unknown->type == 0xfffe && unknown->octets.empty();
            });
        CHECK(in_message == (capabilities.size() == 6));
        return in_message;
    };
    const auto say_nothing_heard = [&](Bench &bench) {
        auto hello = bench.hello(cache_a);
        hello.routers = {{router_address, 0}};
        bench.now += 10s;
        return filled(bench.say(hello));
    };
    SECTION("off")
    {
        Bench bench(config);
        for (int i = 0; i < 6; ++i)
            CHECK_FALSE(say_nothing_heard(bench));
    }
    SECTION("on")
    {
        config.squid_filler = SquidFiller::on;
        Bench bench(config);
        CHECK(say_nothing_heard(bench));
    }
    SECTION("automatic")
    {
        config.squid_filler = SquidFiller::automatic;
        Bench bench(config);
        CHECK_FALSE(say_nothing_heard(bench));
        CHECK_FALSE(say_nothing_heard(bench));
        CHECK(say_nothing_heard(bench)); // two answers were not understood
        CHECK(filled(bench.say(cache_a)));
        CHECK(bench.members().size() == 1);
        CHECK(filled(bench.say(cache_a))); // and so it stays
    }
}

TEST_CASE("wccp router: Squid's ways with a password, answered in kind")
{
    auto config = sample_config();
    config.password = "secret12";
    config.md5_squid = true;
    Bench bench(config);
    auto hello = bench.hello(cache_a);
    hello.form = DigestForm::seven_characters;
    const auto out = bench.say(hello);
    REQUIRE(out.datagrams.size() == 1);
    CHECK(authenticate(out.datagrams[0].octets, "secret12", true).form ==
          DigestForm::seven_characters);
}

TEST_CASE("wccp router: identities that are not the source")
{
    auto config = sample_config();
    config.strict_source = false;
    Bench bench(config);
    auto hello = bench.hello(cache_a);
    auto out = bench.send(hello.octets(), cache_b);
    CHECK(out.datagrams.at(0).to == cache_b);
    hello.routers = {{router_address, answer_of(out).receive_id}};
    out = bench.send(hello.octets(), cache_b);
    CHECK(bench.members() == std::vector{cache_a});
    // nobody else takes it over
    CHECK(bench.send(hello.octets(), cache_a).datagrams.empty());
    CHECK(bench.refused(Refusal::identity_taken) == 1);
}

TEST_CASE("wccp router: answers are limited, members are not kept out by others")
{
    auto config = sample_config();
    config.group_list = {*Prefix::parse("10.0.0.0/8")};
    Bench bench(config);
    bench.join(cache_a);
    bench.now += 5s;
    std::size_t answers = 0;
    for (int i = 0; i < 10; ++i)
        answers += bench
                       .say([&] {
                           auto hello = bench.hello(cache_b);
                           hello.routers.clear();
                           return hello;
                       }())
                       .datagrams.size();
    CHECK(answers == 2);
    CHECK(bench.refused(Refusal::rate) == 8);

    answers = 0;
    for (unsigned i = 0; i < 1000; ++i) {
        Hello hello;
        hello.cache = at("10.1." + std::to_string(i / 250) + "." + std::to_string(1 + i % 250));
        answers +=
            bench.group.receive(bench.now, {hello.cache, port, router_address, hello.octets()})
                .datagrams.size();
    }
    CHECK(answers == 98);
    for (int i = 0; i < 30; ++i)
        CHECK(bench.say(cache_a).datagrams.size() == 1);
    auto lost = bench.hello(cache_a);
    lost.routers.clear();
    bench.now += 500ms; // spoofers had all of it in this second
    CHECK(bench.say(lost).datagrams.size() == 1);
}

TEST_CASE("wccp router: a million spoofed messages leave members, and a bounded table")
{
    auto config = sample_config();
    config.allow_any = true;
    config.source_rate = config.total_rate = 2000000;
    Bench bench(config);
    bench.join(cache_a);
    bench.say(bench.assign(cache_a, {cache_a}));
    const auto before = bench.group.assignment();
    Hello spoofed;
    spoofed.cache = cache_a;
    auto octets = spoofed.octets();
    const auto identity_at = 8 + 8 + 28 + 4;
    for (std::uint32_t i = 0; i < 1000000; ++i) {
        const std::array<std::uint8_t, 4> address{20, static_cast<std::uint8_t>(i >> 16),
                                                  static_cast<std::uint8_t>(i >> 8),
                                                  static_cast<std::uint8_t>(i)};
        std::copy(address.begin(), address.end(), octets.begin() + identity_at);
        bench.group.receive(
            bench.now, {*Address::from_bytes(address.data(), 4), port, router_address, octets});
    }
    const auto report = bench.group.report(bench.now);
    CHECK(report.contacts == Contacts::max);
    CHECK(report.caches.size() == 1 + reported_contacts);
    CHECK(report.counters.evicted == 1000000 - Contacts::max);
    CHECK(bench.group.assignment() == before);
    bench.say(cache_a);
    CHECK(bench.members() == std::vector{cache_a});
}

TEST_CASE("wccp router: 32 members, and no more")
{
    Bench bench;
    for (unsigned i = 0; i < 33; ++i) {
        bench.now += 100ms;
        bench.join(at("10.0.0." + std::to_string(100 + i)));
    }
    CHECK(bench.members().size() == 32);
    CHECK(bench.report(at("10.0.0.132")).status == CacheStatus::group_full);
    CHECK(bench.refused(Refusal::group_full) == 1);
}

TEST_CASE("wccp router: IPv6")
{
    GroupConfig config;
    config.router_id = at("2001:db8::1");
    config.group_list = {*Prefix::parse("2001:db8::/64")};
    Bench bench(config);
    const auto cache = at("2001:db8::11");
    auto hello = bench.hello(cache);
    hello.minor = 1;
    auto seen = answer_of(bench.say(hello));
    CHECK(seen.router == config.router_id);
    CHECK(seen.received_from == std::vector{cache});
    hello.routers = bench.hello(cache).routers;
    seen = answer_of(bench.say(hello));
    CHECK(bench.members() == std::vector{cache});
    CHECK(seen.caches == std::vector{cache});
    auto assign = bench.assign(cache, {cache});
    assign.minor = 1;
    CHECK(bench.say(assign).assignment->buckets[255] == 0);
    Hello v4 = hello;
    v4.cache = cache_a;
    CHECK(bench.send(v4.octets(), cache).datagrams.empty());
}

TEST_CASE("wccp router: what an operator sees of caches that do not get in")
{
    Bench bench;
    auto others = bench.hello(cache_a);
    others.routers = {{at("10.0.0.2"), 5}};
    for (int i = 0; i < 4; ++i) {
        bench.now += 10s;
        bench.say(others);
    }
    CHECK(bench.report(cache_a).status == CacheStatus::bad_router_id);
    auto stale = bench.hello(cache_b);
    for (int i = 0; i < 4; ++i) {
        bench.now += 10s;
        stale.routers = {{router_address, 12345}};
        bench.say(stale);
    }
    CHECK(bench.report(cache_b).status == CacheStatus::bad_router_view);
    const auto third = at("10.0.0.13");
    bench.say(third);
    CHECK(bench.report(third).status == CacheStatus::negotiating_membership);
    auto third_hello = bench.hello(third);
    third_hello.caches = {at("10.0.0.99")};
    bench.say(third_hello);
    const auto report = bench.group.report(bench.now);
    CHECK(report.visible == std::vector{third});
    CHECK(report.not_visible == std::vector{at("10.0.0.99")});
    CHECK(report.routers == std::vector{router_address});
    CHECK(bench.report(third).status == CacheStatus::negotiating_assignment);
}
