// SPDX-License-Identifier: GPL-2.0-only
// The registry of a gateway and its replicas in virtual time.
#include "registry_bench.h"

using namespace registry_test;

namespace {

const std::string r1 = "198.51.100.2";
const std::string r2 = "198.51.100.18";
using Names = std::set<std::string>;

} // namespace

TEST_CASE("registry: the median of the last samples")
{
    Median<int> median;
    CHECK_FALSE(median.value());
    for (const int sample : {5, 1, 9})
        median.add(sample);
    CHECK(median.value() == 5);
    median.add(7);
    CHECK(median.value() == 5); // the lower one of the two
    for (int i = 0; i < 15; ++i)
        median.add(100 + i);
    CHECK(median.count() == 15);
    CHECK(median.value() == 107); // those before are forgotten
}

TEST_CASE("registry: a replica registers by its own word, and is measured")
{
    Bench bench;
    bench.start();
    CHECK(bench.in().empty());
    bench.add(r1, 5ms);
    bench.add(r2, 20ms);
    bench.run(100ms); // a HELLO, an ASK, a STATE
    CHECK(bench.in() == Names{r1, r2});
    for (const auto &replica : bench.kernel.at("www"))
        CHECK(replica.delay == (replica.address == at(r1) ? 5000us : 20000us));
    bench.run(20s);
    CHECK(bench.report(r1).samples == 15);
    CHECK(bench.report(r1).round_trip == 10ms);
    CHECK(bench.told == 3); // an empty table at first, then one for each
    const auto &counters = bench.gateway.counters();
    CHECK(counters.hello == 2);
    CHECK(counters.state == counters.ask);
    CHECK(counters.refused == decltype(counters.refused){});
}

TEST_CASE("registry: a delay moves when it has moved, and not more often than once a second")
{
    Bench bench;
    bench.start();
    bench.add(r1, 10ms);
    bench.run(30s);
    const auto told = bench.told;
    bench.replicas.at(at(r1)).one_way = 10150us; // less than 2 %
    bench.run(30s);
    CHECK(bench.told == told);
    bench.replicas.at(at(r1)).one_way = 30ms;
    bench.run(30s);
    CHECK(bench.kernel.at("www")[0].delay == 30ms);
    CHECK(bench.told == told + 1); // half of the samples say so: all at once
    bench.replicas.at(at(r1)).one_way = 90us;
    bench.run(30s);
    CHECK(bench.kernel.at("www")[0].delay == 90us);
    const auto before = bench.told;
    bench.replicas.at(at(r1)).one_way = 170us; // less than 0.1 ms
    bench.run(30s);
    CHECK(bench.told == before);
    // one late packet in five does not move it
    int count = 0;
    bench.run(10s);
    bench.lost = [&](const auto &) {
        bench.replicas.at(at(r1)).one_way = ++count % 5 == 0 ? Time(40ms) : Time(170us);
        return false;
    };
    bench.run(60s);
    CHECK(bench.told == before);
}

TEST_CASE("registry: a first answer that was late is forgotten, be it by less than 2 %")
{
    Bench bench;
    bench.start();
    bench.add(r1, 55500us);
    bench.run(200ms);
    REQUIRE(bench.kernel.at("www")[0].delay == 55500us);
    bench.replicas.at(at(r1)).one_way = 55ms;
    bench.run(15s);
    CHECK(bench.kernel.at("www")[0].delay == 55ms);
    bench.replicas.at(at(r1)).one_way = 55500us; // later it must be more
    bench.run(30s);
    CHECK(bench.kernel.at("www")[0].delay == 55ms);
}

TEST_CASE("registry: one that does not answer is gone within three intervals and a quarter")
{
    for (const auto phase : {0ms, 250ms, 500ms, 990ms}) {
        Bench bench;
        bench.start();
        bench.add(r1);
        bench.add(r2);
        bench.run(10s + phase);
        bench.replicas.at(at(r1)).off = true;
        bench.run(2s);
        CHECK(bench.in() == Names{r1, r2}); // two losses are no death
        bench.run(1260ms);
        CHECK(bench.in() == Names{r2});
        CHECK(bench.kernel.at("www").size() == 1);
        CHECK(bench.events.back().reason == "does not answer");
        bench.run(20min); // and is forgotten
        CHECK(bench.gateway.report(bench.now).size() == 1);
    }
}

TEST_CASE("registry: two losses in a row are nothing")
{
    Bench bench;
    bench.start();
    bench.add(r1);
    bench.run(5s);
    int asked = 0;
    bench.lost = [&](const wccp::Outgoing &datagram) {
        return datagram.to == at(r1) && ++asked % 3 != 0;
    };
    for (int i = 0; i < 60; ++i) {
        bench.run(1s);
        REQUIRE(bench.in() == Names{r1});
    }
}

TEST_CASE("registry: who was dead comes back slowly, and slower each time")
{
    Bench bench;
    bench.start();
    bench.add(r1);
    bench.run(10s);
    for (const unsigned needed : {3U, 6U, 12U, 24U, 32U, 32U}) {
        bench.replicas.at(at(r1)).off = true;
        bench.run(5s);
        REQUIRE(bench.in().empty());
        REQUIRE(bench.report(r1).needed == needed);
        bench.replicas.at(at(r1)).off = false;
        const auto answered = bench.gateway.counters().state;
        while (bench.in().empty())
            bench.run(100ms);
        // and the one that its call has caused, which does not count
        CHECK(bench.gateway.counters().state - answered == needed + 1);
    }
    bench.run(11min); // the deaths are long ago
    bench.replicas.at(at(r1)).off = true;
    bench.run(5s);
    CHECK(bench.report(r1).needed == 3);
}

TEST_CASE("registry: what a path gives back all at once is one sign of life, not three")
{
    Bench bench;
    bench.start();
    bench.add(r1);
    bench.run(10s);
    std::vector<wccp::Outgoing> queued;
    bench.lost = [&](const wccp::Outgoing &datagram) {
        if (datagram.to == at(r1))
            queued.push_back(datagram);
        return datagram.to == at(r1);
    };
    bench.run(3300ms);
    REQUIRE(bench.in().empty());
    REQUIRE(queued.size() >= 3);
    bench.lost = [](const auto &) { return false; };
    for (const auto &datagram : queued)
        bench.from_replica(
            at(r1), bench.replicas.at(at(r1)).registrant->receive(
                        bench.now, {gateway_address, default_port, at(r1), datagram.octets}));
    bench.run(100ms);
    CHECK(bench.in().empty());
    bench.run(4s);
    CHECK(bench.in() == Names{r1});
}

TEST_CASE("registry: states")
{
    Bench bench;
    bench.start();
    bench.add(r1);
    bench.run(1s);
    SECTION("down: out at once, back after three answers")
    {
        bench.say(r1, OriginState::down);
        bench.run(50ms);
        CHECK(bench.in().empty());
        bench.say(r1, OriginState::ready);
        bench.run(50ms);
        CHECK(bench.in().empty());
        bench.run(3s);
        CHECK(bench.in() == Names{r1});
    }
    SECTION("draining: out at once, back at once")
    {
        bench.say(r1, OriginState::draining);
        bench.run(50ms);
        CHECK(bench.in().empty());
        CHECK(bench.events.back().reason == "draining");
        bench.run(50ms);
        bench.say(r1, OriginState::ready);
        bench.run(50ms);
        CHECK(bench.in() == Names{r1});
    }
    SECTION("busy: stays, as its kernel is silent, but not for ever; back at once")
    {
        bench.say(r1, OriginState::busy);
        bench.run(9s);
        CHECK(bench.in() == Names{r1});
        CHECK(bench.report(r1).state == OriginState::busy);
        bench.run(2s);
        CHECK(bench.in().empty());
        bench.say(r1, OriginState::ready);
        bench.run(50ms);
        CHECK(bench.in() == Names{r1});
    }
    SECTION("serves it no more")
    {
        bench.announce(r1, {});
        bench.run(50ms);
        CHECK(bench.in().empty());
        CHECK(bench.events.back().reason == "not served any more");
    }
    SECTION("a new one that is not ready never was in")
    {
        bench.add(r2, 1ms, OriginState::down);
        bench.run(2s);
        CHECK(bench.in() == Names{r1});
        bench.say(r2, OriginState::ready);
        bench.run(50ms);
        CHECK(bench.in() == Names{r1, r2});
    }
}

TEST_CASE("registry: nothing that was recorded changes anything")
{
    Bench bench;
    bench.start();
    bench.add(r1);
    bench.run(5s);
    const auto recorded = bench.said;
    bench.say(r1, OriginState::draining);
    bench.run(3s);
    REQUIRE(bench.in().empty());
    bench.lost = [](const auto &) { return true; }; // whoever records can cut the line, too
    const auto state = bench.gateway.counters().state;
    for (const auto &datagram : recorded)
        bench.inject(datagram.from, datagram.octets);
    CHECK(bench.in().empty());
    CHECK(bench.gateway.counters().state == state);
    CHECK(bench.refused(Refusal::replayed) == recorded.size() - 1); // the other was the HELLO
}

TEST_CASE("registry: a recorded state of an earlier process answers no question")
{
    Bench bench;
    bench.start();
    bench.add(r1);
    bench.run(5s);
    const auto recorded = bench.said;
    bench.add(r1, 1ms, OriginState::down); // started anew
    bench.run(2s);
    REQUIRE(bench.in().empty());
    for (const auto &datagram : recorded)
        bench.inject(datagram.from, datagram.octets);
    CHECK(bench.in().empty());
    CHECK(bench.refused(Refusal::stale) > 0);
    bench.run(30s);
    CHECK(bench.in().empty());
}

TEST_CASE("registry: an answer counts once, and not after three intervals")
{
    Bench bench;
    bench.start();
    bench.add(r1);
    bench.run(5s);
    const auto last = bench.said.back();
    bench.inject(last.from, last.octets);
    CHECK(bench.refused(Refusal::replayed) == 1);
    // an old answer under a new number, by whoever has the key
    auto opened = open(last.octets, keys(), Side::replica);
    auto &message = std::get<Message>(opened);
    message.sequence += 1000;
    bench.inject(last.from, seal(message, keys().first()));
    CHECK(bench.refused(Refusal::stale) == 1);
    // held back for long
    std::vector<wccp::Outgoing> held;
    bench.lost = [&](const wccp::Outgoing &datagram) {
        if (datagram.to == gateway_address)
            held.push_back(datagram);
        return datagram.to == gateway_address;
    };
    bench.run(1s);
    REQUIRE(held.size() == 1);
    bench.run(3s);
    CHECK(bench.in().empty());
    bench.inject(held[0].from, held[0].octets);
    CHECK(bench.refused(Refusal::stale) == 2);
    bench.inject(held[1].from, held[1].octets); // this one is not too late
    CHECK(bench.refused(Refusal::stale) == 2);
    CHECK(bench.report(r1).unanswered == 0);
}

TEST_CASE("registry: answers that overtake one another")
{
    Bench bench;
    bench.start();
    bench.add(r1);
    bench.run(5s);
    std::vector<wccp::Outgoing> held;
    bench.lost = [&](const wccp::Outgoing &datagram) {
        if (datagram.to == gateway_address)
            held.push_back(datagram);
        return datagram.to == gateway_address;
    };
    bench.run(1s);
    bench.say(r1, OriginState::draining);
    bench.run(1s);
    REQUIRE(held.size() >= 2);
    bench.inject(held.back().from, held.back().octets);
    CHECK(bench.in().empty());
    bench.inject(held.front().from, held.front().octets); // says ready
    CHECK(bench.in().empty());
    CHECK(bench.refused(Refusal::replayed) == 1);
}

TEST_CASE("registry: a HELLO only has its sender asked")
{
    Bench bench;
    bench.start();
    const auto hello = seal({1, 1, 1, Hello{"r", at(r1)}}, keys().first());
    auto out = bench.inject(at(r1), hello, 5000);
    REQUIRE(out.datagrams.size() == 1);
    CHECK(out.datagrams[0].to == at(r1));
    CHECK(out.datagrams[0].to_port == 5000);
    CHECK(out.datagrams[0].from == gateway_address);
    CHECK(bench.in().empty());
    for (int i = 0; i < 10; ++i)
        CHECK(bench.inject(at(r1), hello).datagrams.empty());
    CHECK(bench.refused(Refusal::too_often) == 10);
    bench.run(100ms);
    CHECK(bench.inject(at(r1), hello).datagrams.size() == 1);
    // of others
    CHECK(bench.inject(at(r2), hello).datagrams.empty());
    CHECK(bench.refused(Refusal::other_address) == 1);
    CHECK(bench.inject(at("192.0.2.1"), hello).datagrams.empty());
    CHECK(bench.inject(server, hello).datagrams.empty());
    CHECK(bench.refused(Refusal::stranger) == 2);
    bench.run(10s); // it never answered
    CHECK_FALSE(bench.gateway.next_deadline());
}

TEST_CASE("registry: HELLOs that somebody repeats neither kill a replica nor move it")
{
    Bench bench;
    bench.start();
    bench.add(r1);
    bench.run(5s);
    const auto hello = seal({1, 1, 1, Hello{"r", at(r1)}}, keys().first());
    bench.lost = [&](const auto &) { return true; };
    for (int i = 0; i < 15; ++i) {
        bench.inject(at(r1), hello, 6666);
        bench.run(100ms);
    }
    CHECK(bench.in() == Names{r1}); // one or two questions in turn are open, no more
    bench.lost = [](const auto &) { return false; };
    bench.run(5s);
    CHECK(bench.in() == Names{r1});
}

TEST_CASE("registry: who may register where")
{
    auto any = www();
    any.name = "any";
    any.servers = {at("203.0.113.11")};
    any.any = true;
    Bench bench(config({www(), any}));
    bench.start();
    bench.add("192.0.2.7");
    auto other = served();
    other.servers = {at("203.0.113.11")};
    auto strange = served();
    strange.servers = {at("203.0.113.99")};
    auto port = served();
    port.ports = {8080};
    const std::vector<GatewayAddress> to{{gateway_address, default_port}};
    bench.announce("192.0.2.7", {{to, served()}, {to, other}, {to, strange}, {to, port}});
    bench.run(50ms);
    CHECK(bench.in("www").empty());
    CHECK(bench.in("any") == Names{"192.0.2.7"});
    CHECK(bench.refused(Refusal::not_permitted) > 0);
    CHECK(bench.refused(Refusal::unknown_origin) > bench.refused(Refusal::not_permitted));
    // another's address
    const auto forged =
        seal({1, 1, 1, State{{}, "r", at("192.0.2.8"), 1000, {other}}}, keys().first());
    bench.inject(at("192.0.2.7"), forged);
    CHECK(bench.refused(Refusal::other_address) == 1);
}

TEST_CASE("registry: no more than may, the heaviest first")
{
    auto few = www();
    few.max = 2;
    Bench bench(config({few}));
    bench.start();
    for (const std::uint32_t i : {1, 2, 3, 4}) {
        bench.weight = i == 2 ? 10 : i;
        bench.add("198.51.100." + std::to_string(i));
    }
    bench.run(2s);
    CHECK(bench.in() == Names{"198.51.100.2", "198.51.100.4"});
    CHECK_FALSE(bench.report("198.51.100.1").in);
    bench.replicas.at(at("198.51.100.2")).off = true;
    bench.run(5s);
    CHECK(bench.in() == Names{"198.51.100.3", "198.51.100.4"});
}

TEST_CASE("registry: replicas of the configuration")
{
    auto origin = www();
    origin.configured = {{at(r1), Via::ipip, 7ms}, {at("192.0.2.1"), Via::gre, 3ms}};
    Bench bench(config({origin}));
    bench.start();
    bench.run(10s); // nobody answers, and that changes nothing
    CHECK(bench.kernel.at("www") == origin.configured);
    bench.add(r1, 5ms); // is found where it must be
    bench.run(2s);
    CHECK(bench.kernel.at("www") ==
          std::vector<Replica>{{at(r1), Via::ipip, 5ms}, {at("192.0.2.1"), Via::gre, 3ms}});
    bench.replicas.at(at(r1)).off = true;
    bench.run(5s);
    CHECK(bench.in() == Names{"192.0.2.1"}); // now it is known that it is dead
    bench.run(20min);
    CHECK(bench.in() == Names{"192.0.2.1"});
    bench.replicas.at(at(r1)).off = false;
    bench.run(5s);
    CHECK(bench.in() == Names{r1, "192.0.2.1"});
}

TEST_CASE("registry: taken over from a process that was killed")
{
    auto origin = www();
    origin.configured = {{at("192.0.2.1"), Via::gre, 3ms}, {at("198.51.100.50"), Via::gre, 1ms}};
    Bench bench(config({origin}));
    const Tables left{
        {"www",
         {{at("192.0.2.1"), Via::gre, 3ms}, {at(r1), Via::ipip, 5ms}, {at(r2), Via::gre, 20ms}}},
        {"other", {{at(r1), Via::gre, 1ms}}}};
    bench.kernel = left;
    bench.gateway.take_over(bench.now, left);
    bench.start();
    CHECK(bench.told == 0); // nothing has changed
    bench.add(r1, 5ms);
    bench.run(2900ms);
    CHECK(bench.in() == Names{"192.0.2.1", r1, r2});
    bench.run(200ms);
    CHECK(bench.in() == Names{"192.0.2.1", r1});
    // one that is missing had gone; it has to come back
    CHECK(bench.report("198.51.100.50").registered);
    bench.add("198.51.100.50");
    bench.run(5s);
    CHECK(bench.in() == Names{"192.0.2.1", r1, "198.51.100.50"});
}

TEST_CASE("registry: a new configuration keeps who is still permitted")
{
    Bench bench;
    bench.start();
    bench.add(r1);
    bench.add(r2);
    bench.run(2s);
    auto narrow = www();
    narrow.permitted = {*Prefix::parse("198.51.100.0/28")};
    bench.from_gateway(bench.gateway.reconfigure(bench.now, config({narrow})));
    CHECK(bench.in() == Names{r1});
    bench.run(5s);
    CHECK(bench.in() == Names{r1});
    auto renamed = www();
    renamed.name = "new";
    bench.from_gateway(bench.gateway.reconfigure(bench.now, config({renamed})));
    bench.run(3s);
    CHECK(bench.in("new") == Names{r1, r2});
}

TEST_CASE("registry: keys are changed one host after another")
{
    const std::string old = "1 the-secret-of-yesterday\n";
    const std::string next = "2 the-secret-of-tomorrow\n";
    auto first = config();
    first.keys = keys(old);
    Bench bench(first);
    bench.start();
    auto &replica = bench.add(r1, 1ms, {}, keys(old));
    bench.run(3s);
    const auto alive = [&] {
        bench.run(5s);
        return bench.in() == Names{r1} && bench.report(r1).unanswered == 0;
    };
    CHECK(alive());
    const auto reconfigure = [&](const std::string &text) {
        auto again = config();
        again.keys = keys(text);
        bench.from_gateway(bench.gateway.reconfigure(bench.now, again));
    };
    reconfigure(old + next);
    CHECK(alive());
    replica.set_keys(keys(old + next));
    CHECK(alive());
    reconfigure(next + old);
    CHECK(alive());
    replica.set_keys(keys(next));
    CHECK(alive());
    reconfigure(next);
    CHECK(alive());
    CHECK(bench.refused(Refusal::forged) + bench.refused(Refusal::unknown_key) == 0);
    replica.set_keys(keys(old));
    bench.run(5s);
    CHECK(bench.in().empty());
    CHECK(replica.counters().refused[static_cast<std::size_t>(Refusal::unknown_key)] > 0);
    CHECK(bench.refused(Refusal::unknown_key) > 0); // its HELLOs
}

TEST_CASE("registry: what a replica does not answer")
{
    Bench bench;
    bench.start();
    auto &replica = bench.add(r1);
    bench.run(2s);
    const auto refused = [&](Refusal refusal) {
        return replica.counters().refused[static_cast<std::size_t>(refusal)];
    };
    const auto ask = [&](std::uint64_t boot, std::uint64_t sequence, const Address &from,
                         std::uint16_t port = default_port) {
        return replica.receive(
            bench.now,
            {from, port, at(r1), seal({1, boot, sequence, Ask{{}, 1000}}, keys().first())});
    };
    CHECK(ask(7, 1, gateway_address).empty()); // its gateway's own are further
    CHECK(refused(Refusal::replayed) == 1);
    CHECK(ask(8, 1, at("203.0.113.2")).empty());
    CHECK(ask(8, 1, gateway_address, 5000).empty());
    CHECK(refused(Refusal::stranger) == 2);
    CHECK(ask(8, 1, gateway_address).size() == 1); // a new process
    CHECK(ask(8, 1, gateway_address).empty());
    bench.run(1s);
    std::size_t answered = 0;
    for (std::uint64_t i = 2; i < 100; ++i)
        answered += ask(9, i, gateway_address).size();
    CHECK(answered <= Registrant::most_answers);
    CHECK(refused(Refusal::too_often) >= 98 - Registrant::most_answers);
    // its own words, sent back
    const auto own = bench.said.back();
    CHECK(replica.receive(bench.now, {gateway_address, default_port, at(r1), own.octets}).empty());
    CHECK(refused(Refusal::forged) == 1);
}

TEST_CASE("registry: a gateway that is silent is called until it asks")
{
    Bench bench;
    bench.start();
    auto &replica = bench.add(r1);
    bench.run(5s);
    CHECK(replica.counters().hello == 1);
    CHECK(replica.gateways(bench.now)[0].interval == 1s);
    bench.lost = [](const auto &) { return true; };
    bench.run(10s);
    CHECK(replica.counters().hello >= 7);
    CHECK(replica.counters().hello <= 9);
    bench.lost = [](const auto &) { return false; };
    bench.run(5s);
    const auto hello = replica.counters().hello;
    bench.run(10s);
    CHECK(replica.counters().hello == hello);
    CHECK(*replica.gateways(bench.now)[0].silent <= 1s);
}
