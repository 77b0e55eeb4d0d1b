// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/explain.h"

#include <catch2/catch.hpp>

#include "sample.h"
#include "wlbctl/flow_end.h"
#include "wlbctl_runner.h"

using namespace wlb;
using namespace wlb::cli;
using test::address;
using test::prefix;

namespace {

const auto client = address("10.1.1.2");
const auto server = address("203.0.113.10");
const auto r1 = address("198.51.100.2");
const auto r2 = address("198.51.100.18");
const auto r3 = address("198.51.100.34");
const auto k1 = address("10.2.0.11");
const auto k2 = address("10.2.0.12");

Packet a_packet(Packet::Kind kind = Packet::syn)
{
    Packet packet;
    packet.kind = kind;
    packet.protocol = 6;
    packet.source = client;
    packet.destination = server;
    packet.sport = 40000;
    packet.dport = 80;
    packet.in = "lan0";
    packet.out = "wan0";
    return packet;
}

// A host whose routes all go out by wan0, but for its own addresses.
Result<std::string> a_host(const Words &words)
{
    const auto line = join(words, " ");
    if (line.find("route get 10.1.1.2") != line.npos)
        return std::string(R"([{"dst":"10.1.1.2","dev":"lan0"}])");
    if (line.find("route get 10.3.") != line.npos)
        return std::string(R"([{"dst":"10.3.0.1","gateway":"10.2.0.254","dev":"wan0"}])");
    if (line.find("route get 10.9.9.9") != line.npos)
        return std::string(R"([{"type":"local","dst":"10.9.9.9","dev":"lo"}])");
    if (line.find("route get 10.8.8.8") != line.npos)
        return Error{"ip: RTNETLINK answers: Network is unreachable"};
    if (words.front() == "ss")
        return std::string(line.find("= 99") == line.npos ? "LISTEN" : "");
    if (line.find("neigh") != line.npos)
        return line.find("10.2.0.12") == line.npos
                   ? std::string(R"([{"dst":"10.2.0.11","state":["REACHABLE"]}])")
                   : std::string(R"([{"dst":"10.2.0.12","state":["FAILED"]}])");
    if (line.find("link show dev nodev") != line.npos)
        return Error{"ip: Device \"nodev\" does not exist."};
    return std::string(R"([{"dst":"203.0.113.10","dev":"wan0"}])");
}

std::string says(const Part &part, const std::string &rule)
{
    std::string all;
    for (const auto &[name, text] : part.steps)
        if (name == rule)
            all += (all.empty() ? "" : "; ") + text;
    return all;
}

InForce a_client_gateway(ServiceRace race = ServiceRace::join)
{
    InForce force;
    force.running.roles = WLB_ROLE_CLIENT_GATEWAY;
    auto &gateway = force.running.config.client_gateway;
    gateway.inside = {"lan0"};
    Service web;
    web.name = "web";
    web.ports = {80};
    web.replicas = {prefix("198.51.100.0/24")};
    web.never = {prefix("203.0.113.99")};
    web.race = race;
    web.fan_out = 1;
    gateway.services = {web};
    return force;
}

Flow a_flow(std::uint8_t state)
{
    Flow flow;
    flow.tuple = {client, 40000, server, 80};
    flow.state = state;
    flow.isn = 1000;
    if (state == WLB_FLOW_WON || state == WLB_FLOW_CLOSING) {
        flow.winner = r1;
        flow.return_mode = WLB_RETURN_NAT;
        flow.track = Track{2000, 9000, 9000, 2000, 0, 0};
    } else if (state == WLB_FLOW_TOMBSTONE) {
        flow.winner = server;
    }
    return flow;
}

InForce a_server_gateway(Race race = Race::raw)
{
    InForce force;
    force.running.roles = WLB_ROLE_SERVER_GATEWAY;
    Origin www;
    www.name = "www";
    www.servers = {server};
    www.ports = {80};
    www.race = race;
    for (const auto &[replica, ms] : {std::pair{r3, 35}, {r1, 5}, {r2, 20}}) {
        www.replicas.push_back({replica, Via::gre, milliseconds(ms)});
        force.replicas.push_back({"www", www.replicas.back(), 0, true});
    }
    force.running.config.origins = {www};
    return force;
}

RedirectAssignment everything(const char *group, std::vector<RedirectMember> members)
{
    RedirectAssignment assignment;
    assignment.group = group;
    assignment.protocol = 6;
    assignment.flags = WLB_WCCP_HTTP_FLAGS;
    assignment.ports = {80};
    assignment.priority = 240;
    assignment.members = std::move(members);
    assignment.buckets.emplace();
    assignment.buckets->fill(0);
    return assignment;
}

InForce a_cache_router()
{
    InForce force;
    RedirectGroup web;
    web.name = "web-cache";
    web.in = {"lan0"};
    force.groups.groups = {{web, {}}};
    force.assignments = {{everything("web-cache", {{k1, Forward::gre, Forward::gre}}), {}}};
    return force;
}

Part cache_router(const InForce &force, const Packet &packet = a_packet())
{
    return explain_cache_router(packet, force, &a_host);
}

} // namespace

TEST_CASE("an end of a flow", "[explain]")
{
    const auto end = parse_flow_end("[2001:db8::1]:443");
    REQUIRE(end);
    CHECK(end->address == address("2001:db8::1"));
    CHECK(end->port == 443);
    CHECK(!parse_flow_end("2001:db8::1")->port);
    CHECK(parse_flow_end("10.1.1.2:1")->port == 1);
    CHECK(!parse_flow_end("10.1.1.2")->port);
    for (const auto *bad : {"", ":80", "10.1.1.2:", "10.1.1.2:0", "10.1.1.2:65536", "10.1.1.2:http",
                            "[2001:db8::1", "[2001:db8::1]x", "lan0", "10.1.1:80"})
        CHECK(!parse_flow_end(bad));
}

TEST_CASE("what explain is asked wrongly", "[explain]")
{
    test::FakeState state;
    const std::string ends = "10.1.1.2:40000 203.0.113.10:80";
    for (const auto &[line, complaint] : std::vector<std::pair<std::string, std::string>>{
             {"tcp 10.1.1.2:40000", "SERVER is missing"},
             {"sctp " + ends, "PROTOCOL: \"sctp\" must be tcp, udp or a number of 1..255"},
             {"0 10.1.1.2 203.0.113.10", "PROTOCOL: \"0\" must be"},
             {"256 10.1.1.2 203.0.113.10", "PROTOCOL: \"256\" must be"},
             {"1 " + ends, "CLIENT: protocol 1 has no ports"},
             {"tcp x " + ends, "too many arguments"},
             {"tcp x 203.0.113.10:80", "CLIENT: \"x\""},
             {"tcp 10.1.1.2:0 203.0.113.10:80", "CLIENT: port 0 is outside"},
             {"tcp 10.1.1.2 203.0.113.10", "SERVER: the port is missing: 203.0.113.10:80"},
             {"tcp 10.1.1.2:1 [2001:db8::1]:80", "must be of one address family"},
             {"udp " + ends + " --segment", "--segment is of tcp only"},
             {"udp " + ends + " --tagged", "--tagged is of tcp only"},
             {"tcp " + ends + " --tagged --segment", "--tagged is a SYN"},
             {"tcp " + ends + " --from x", "--from: \"x\""},
             {"tcp " + ends + " --from 2001:db8::1", "--from must be of the family"}}) {
        INFO(line);
        const auto outcome = test::wlbctl(state, "explain " + line, {}, &a_host);
        CHECK(outcome.status == misused);
        CHECK(outcome.out.empty());
        CHECK(outcome.err.find(complaint) != std::string::npos);
        CHECK(outcome.err.find("see wlbctl explain --help") != std::string::npos);
    }
    const auto nodev = test::wlbctl(state, "explain tcp " + ends + " --in nodev", {}, &a_host);
    CHECK(nodev.status == refused);
    CHECK(nodev.err.find("--in: ip: Device \"nodev\"") != std::string::npos);
}

TEST_CASE("the way of a packet", "[explain]")
{
    test::FakeState state;
    const auto packet = [&](const std::string &line) {
        const auto outcome = test::wlbctl(state, "-j explain " + line, {}, &a_host);
        REQUIRE(outcome.status == done);
        return Json::parse(outcome.out).at("packet");
    };
    const auto forwarded = packet("tcp 10.1.1.2:40000 203.0.113.10:80");
    CHECK(forwarded.dump() ==
          R"({"kind":"SYN","protocol":6,"client":"10.1.1.2","client_port":40000,)"
          R"("server":"203.0.113.10","server_port":80,"from":null,"in":"lan0","out":"wan0",)"
          R"("local":false})");
    CHECK(packet("tcp 10.1.1.2 203.0.113.10:80 --in lan7").at("in") == "lan7");
    CHECK(packet("udp 10.9.9.9:1 203.0.113.10:53").at("in").is_null()); // this host's own
    CHECK(packet("tcp 10.1.1.2:1 10.9.9.9:80 --segment").at("local") == true);
    CHECK(packet("1 10.1.1.2 203.0.113.10").at("client_port").is_null());
    const auto lost = test::wlbctl(state, "explain tcp 10.1.1.2:1 10.8.8.8:80", {}, &a_host);
    CHECK(lost.out == "SYN, tcp 10.1.1.2:1 -> 10.8.8.8:80, in by lan0, goes nowhere: "
                      "ip: RTNETLINK answers: Network is unreachable\n"
                      "no role of wlb is on here: it passes as without it\n");
}

TEST_CASE("client gateway: which SYNs are raced", "[explain]")
{
    auto force = a_client_gateway();
    auto packet = a_packet();
    const auto verdict = [&] { return explain_client_gateway(packet, force).verdict; };
    CHECK(verdict() == "raced");
    packet.dport = 81;
    CHECK(verdict() == "passed");
    force.running.config.client_gateway.services[0].all_ports = true;
    CHECK(verdict() == "raced");
    packet = a_packet();
    packet.in = "lan1";
    CHECK(explain_client_gateway(packet, force).text == "passes: lan1 is not inside: lan0 are");
    packet.in = "";
    CHECK(verdict() == "passed");
    force.running.config.client_gateway.inside = {"lo"};
    CHECK(verdict() == "raced");
    force.running.config.client_gateway.inside = {"lan0", "wan0"};
    packet.in = "lan0";
    CHECK(verdict() == "passed"); // from inside to inside
    force.running.config.client_gateway.inside = {};
    CHECK(verdict() == "raced");
    packet.out = "";
    packet.local = true;
    CHECK(verdict() == "passed");
    packet = a_packet();
    packet.destination = address("203.0.113.99");
    CHECK(verdict() == "not-permitted");
    packet = a_packet();
    packet.protocol = 17;
    CHECK(verdict() == "passed");
}

TEST_CASE("client gateway: a flow that is there", "[explain]")
{
    auto force = a_client_gateway();
    const auto of = [&](std::uint8_t state, Packet::Kind kind) {
        force.flows = {a_flow(state)};
        return explain_client_gateway(a_packet(kind), force);
    };
    CHECK(of(WLB_FLOW_RACING, Packet::syn).verdict == "raced");
    CHECK(of(WLB_FLOW_RACING, Packet::segment).verdict == "passed");
    CHECK(of(WLB_FLOW_TOMBSTONE, Packet::syn).verdict == "raced");
    CHECK(says(of(WLB_FLOW_TOMBSTONE, Packet::syn), "state") ==
          "the same SYN, repeated: to the server; a new connection's: a race of its own");
    CHECK(of(WLB_FLOW_TOMBSTONE, Packet::segment).verdict == "passed");
    CHECK(of(WLB_FLOW_WON, Packet::syn).verdict == "carried"); // the winner's stack decides
    CHECK(of(WLB_FLOW_WON, Packet::segment).facts.at("winner") == r1.text());
    CHECK(of(WLB_FLOW_CLOSING, Packet::syn).verdict == "raced");
    CHECK(of(WLB_FLOW_CLOSING, Packet::segment).verdict == "carried");

    const auto won = of(WLB_FLOW_WON, Packet::segment);
    CHECK(won.facts.at("fastpath") == true);
    force.running.config.client_gateway.services[0].fastpath = FastPath::off;
    CHECK(says(of(WLB_FLOW_WON, Packet::segment), "fast path") == "off in the service");
    force.running.config.client_gateway.services[0].fastpath = FastPath::on;
    force.groups.groups.emplace_back();
    CHECK(of(WLB_FLOW_WON, Packet::segment).facts.at("fastpath") == false);

    auto back = a_packet(Packet::segment);
    std::swap(back.source, back.destination);
    std::swap(back.sport, back.dport);
    const auto from = [&](const Address &source, std::uint8_t mode) {
        force.flows.front().return_mode = mode;
        back.source = source;
        return explain_client_gateway(back, force).verdict;
    };
    CHECK(from(r1, WLB_RETURN_NAT) == "carried");
    CHECK(from(server, WLB_RETURN_NAT) == "dropped");
    CHECK(from(server, WLB_RETURN_SPOOF) == "carried");
    CHECK(from(r2, WLB_RETURN_NAT) == "passed");
}

TEST_CASE("client gateway: whom a direct race asks", "[explain]")
{
    auto force = a_client_gateway(ServiceRace::direct);
    CHECK(explain_client_gateway(a_packet(), force).facts.at("asked").empty());
    Learned origin{server, 80, {}};
    const auto stranger = address("192.0.2.1");
    for (const auto &who : {stranger, r1, r2, r3})
        origin.answerers.emplace_back().address = who;
    for (auto &one : origin.answerers)
        one.rtt_us = 12000;
    origin.answerers[1].silent_ms = 2000;
    force.learned = {origin};
    const auto part = explain_client_gateway(a_packet(), force);
    CHECK(part.facts.at("asked") == Json{r2.text()});
    CHECK(says(part, "answerer") ==
          "192.0.2.1, 12.0 ms: not one of the service's replicas; "
          "198.51.100.2, 12.0 ms: silent, not asked for 2s yet; 198.51.100.18, 12.0 ms: asked; "
          "198.51.100.34, 12.0 ms: farther than the 1 of fan-out");
    force.learned[0].server_port = 443;
    CHECK(explain_client_gateway(a_packet(), force).facts.at("asked").empty());
}

TEST_CASE("server gateway: whom a SYN is cloned to", "[explain]")
{
    auto force = a_server_gateway();
    auto packet = a_packet(Packet::tagged_syn);
    auto &origin = force.running.config.origins[0];
    const auto part = [&] { return explain_server_gateway(packet, force); };
    CHECK(part().text == "cloned to 198.51.100.2, 198.51.100.18, 198.51.100.34; the server gets "
                         "its copy at once");
    origin.fan_out = 2;
    CHECK(part().facts.at("asked") == Json{r1.text(), r2.text()});
    origin.pick = Pick::random;
    CHECK(part().facts.at("asked").size() == 3);
    CHECK(part().facts.at("clones") == 2);
    origin.fan_out = 2;
    origin.pick = Pick::nearest;
    origin.race = Race::equal;
    CHECK(says(part(), "replica") == "198.51.100.2, 5ms away: by gre, held for 15ms; "
                                     "198.51.100.18, 20ms away: by gre, held for 0s; "
                                     "198.51.100.34, 35ms away: farther than the 2 of fan-out");
    force.replicas.pop_back();
    force.gatewayd = Json::parse(R"({"replicas":[{"origin":"www","address":"198.51.100.18",
        "registered":true,"state":"busy","answers":1,"needed":3}]})");
    CHECK(says(part(), "replica").find("198.51.100.18: registered, busy, 1 of 3 answers") !=
          std::string::npos);
    origin.cookie = seconds(3600);
    origin.clones_per_prefix = 5;
    CHECK(says(part(), "cookie").find("10.1.1.0/24") != std::string::npos);
    CHECK(says(part(), "clones-per-prefix").find("5 a second") == 0);
    packet.in = "";
    CHECK(part().verdict == "passed"); // LOCAL_OUT has no hook for SYNs
    packet = a_packet();
    CHECK(part().verdict == "passed"); // no tag
    packet = a_packet(Packet::tagged_syn);
    packet.dport = 81;
    CHECK(part().text == "passes: no origin has 203.0.113.10:81");
    packet = a_packet(Packet::tagged_syn);
    force.replicas.clear();
    CHECK(part().verdict == "passed");
}

TEST_CASE("replica: which clones are answered", "[explain]")
{
    InForce force;
    force.running.roles = WLB_ROLE_REPLICA;
    Served served;
    served.name = "www";
    served.servers = {server};
    served.ports = {80, 99};
    served.local = address("10.9.9.9");
    served.from = {prefix("10.9.2.1")};
    force.running.config.served = {served};
    auto packet = a_packet();
    const auto part = [&] { return explain_replica(packet, force, &a_host); };
    CHECK(part().verdict == "passed"); // no clone
    packet.from = address("10.9.2.1");
    CHECK(part().verdict == "answered");
    packet.dport = 99;
    CHECK(part().text == "no answer: nobody listens at 10.9.9.9:99");
    packet.dport = 443;
    CHECK(part().text == "no answer: no origin served here has 203.0.113.10:443");
    packet.dport = 80;
    force.running.busy = {"www"};
    CHECK(part().text.find("no answer: busy") == 0);
    force.running.busy = {};
    force.running.config.served[0].return_mode = Return::tunnel;
    CHECK(part().text == "no answer: 203.0.113.10 is no address of this host");
    packet.from = r1;
    CHECK(part().text == "no answer: 198.51.100.2 is no gateway that clones are taken from");
}

TEST_CASE("cache router: which group has a packet", "[explain]")
{
    auto force = a_cache_router();
    auto packet = a_packet();
    auto &group = force.groups.groups[0].group;
    auto &assignment = force.assignments[0].assignment;
    const auto verdict = [&] { return cache_router(force, packet).verdict; };
    const auto part = cache_router(force);
    CHECK(part.verdict == "redirected");
    CHECK(part.ends);
    CHECK(part.facts.at("cache") == k1.text());
    CHECK(part.facts.at("bucket") == (203 ^ 0 ^ 113 ^ 10));

    packet.dport = 81;
    CHECK(verdict() == "passed");
    packet = a_packet();
    packet.protocol = 17;
    CHECK(verdict() == "passed");
    packet = a_packet();
    packet.in = "lan1";
    CHECK(verdict() == "passed");
    group.out = {"wan0"};
    CHECK(verdict() == "redirected");
    CHECK(!cache_router(force, packet).ends); // behind routing, other roles have seen it
    group.exclude = {"lan1"};
    CHECK(says(cache_router(force, packet), "group web-cache") ==
          "behind routing: lan1 is excluded");
    packet = a_packet();
    for (const auto &end : {k1, address("224.0.0.1"), address("169.254.1.1")}) {
        packet.destination = end;
        CHECK(verdict() == "passed");
    }
    packet = a_packet();
    packet.source = k1;
    CHECK(verdict() == "passed");
    group.out = {};
    packet = a_packet();
    packet.local = true;
    CHECK(verdict() == "passed");
    assignment.ipv6 = true;
    CHECK(says(cache_router(force), "group web-cache") == "no cache has any of its IPv4 packets");
}

TEST_CASE("cache router: lists, order and caches that cannot be reached", "[explain]")
{
    auto force = a_cache_router();
    force.groups.groups[0].group.rules = {{true, prefix("10.1.1.2"), {}}, {false, {}, {}}};
    CHECK(cache_router(force).text ==
          "passes: the redirect list of group web-cache denies it, and no other group is asked");
    RedirectGroup other;
    other.name = "80";
    other.type = GroupType::dynamic;
    other.id = 80;
    other.in = {"lan0"};
    force.groups.groups.push_back({other, {}});
    force.assignments.push_back({everything("80", {{k2, Forward::l2, Forward::gre}}), {}});
    CHECK(cache_router(force).verdict == "passed");
    force.groups.check_all = true;
    CHECK(cache_router(force).text ==
          "passes to the server: cache 10.2.0.12 does not answer on wan0");
    force.groups.groups[1].group.closed = true;
    CHECK(cache_router(force).verdict == "dropped");
    force.assignments[1].assignment.members[0] = {address("10.3.0.2"), Forward::l2, Forward::gre};
    CHECK(cache_router(force).text.find("is behind a router") != std::string::npos);
    force.assignments[1].assignment.members[0].forward = Forward::gre;
    CHECK(cache_router(force).verdict == "redirected");
    force.assignments[1].assignment.members[0].address = address("10.8.8.8");
    CHECK(cache_router(force).text.find("no route to cache 10.8.8.8") != std::string::npos);

    force.groups.groups[0].group.rules = {};
    CHECK(cache_router(force).facts.at("group") == "web-cache"); // standard ones first
    force.assignments[1].assignment.priority = 241;
    CHECK(cache_router(force).facts.at("group") == "80");
}

TEST_CASE("cache router: buckets, masks and ports that are not said", "[explain]")
{
    auto force = a_cache_router();
    auto &assignment = force.assignments[0].assignment;
    assignment.members.push_back({k2, Forward::gre, Forward::gre});
    auto packet = a_packet();
    const auto part = [&] { return cache_router(force, packet); };
    assignment.flags |= WLB_WCCP_SRC_PORT << WLB_WCCP_ALT_SHIFT;
    assignment.buckets->fill(WLB_BUCKET_ALT);
    (*assignment.buckets)[(40000 >> 8 ^ 40000) & 255] = 1;
    CHECK(part().facts.at("alternative_bucket") == ((40000 >> 8 ^ 40000) & 255));
    CHECK(part().facts.at("cache") == k2.text());
    packet.sport = {};
    CHECK(part().verdict == "unknown");
    packet = a_packet();
    assignment.buckets->fill(WLB_BUCKET_NONE);
    CHECK(part().text == "passes to the server: no cache is assigned");

    assignment.buckets.reset();
    RedirectMaskSet set;
    set.mask.dst[3] = 3; // the address ends with 10
    set.values = {{0, 0}, {2, 1}};
    assignment.masks = {set};
    CHECK(part().facts.at("value") == 2);
    CHECK(part().facts.at("cache") == k2.text());
    packet.destination = address("203.0.113.9");
    CHECK(part().verdict == "passed");
    assignment.masks[0].mask.sport = 1;
    packet.sport = {};
    CHECK(part().verdict == "unknown");
}

TEST_CASE("a cache's host and processing", "[explain]")
{
    InForce force;
    force.doors.cache.doors = {{.address = address("10.2.0.1"), .source = k1}};
    force.doors.cache.mark = 7;
    auto packet = a_packet();
    const auto part = [&] { return explain_cache(packet, force, &a_host); };
    CHECK(part().verdict == "passed");
    packet.from = address("10.2.0.9");
    CHECK(part().verdict == "passed");
    packet.from = address("10.2.0.1");
    CHECK(part().text == "taken in, mark 7");
    force.bypasses = {{client, server, seconds(90)}};
    CHECK(part().text == "returned to 10.2.0.1: learned, for 90s yet: 203.0.113.10 from 10.1.1.2");
    force.doors.cache.rules = {{false, {}, prefix("203.0.113.0/24")}};
    CHECK(part().text == "returned to 10.2.0.1: rule 1, \"any -> 203.0.113.0/24\", of bypass");
    packet.kind = Packet::segment;
    CHECK(part().verdict == "taken-in"); // of a connection here
    force = {};
    force.doors.cache.doors = {{.address = address("10.2.0.1"), .source = k1}};
    packet.kind = Packet::syn;
    force.doors.cache.ports = {99};
    CHECK(part().text == "returned to 10.2.0.1: no proxy listens");
    force.doors.cache.share = 1000;
    CHECK(part().text == "returned to 10.2.0.1: overload");

    RunningProcessRule returned;
    returned.rule.on = {ProcessOn::returned};
    RunningProcessRule passing;
    passing.rule.on = {ProcessOn::passing};
    passing.rule.port = 80;
    passing.rule.dscp = 8;
    force.process = {returned, passing};
    CHECK(explain_process(a_packet(), force).text == "rule 2: DSCP 8");
    packet = a_packet();
    packet.dport = 81;
    CHECK(explain_process(packet, force).verdict == "passed");
}

TEST_CASE("roles in the order of the packet's way", "[explain]")
{
    auto force = a_client_gateway();
    force.running.roles |= WLB_ROLE_SERVER_GATEWAY;
    force.running.config.origins = a_server_gateway().running.config.origins;
    auto router = a_cache_router();
    force.groups = router.groups;
    force.assignments = router.assignments;
    const auto roles = [&] {
        std::string all;
        for (const auto &part : explain(a_packet(), force, &a_host))
            all += part.role + "=" + part.verdict + " ";
        return all;
    };
    CHECK(roles() == "cache-router=redirected ");
    force.assignments.clear();
    CHECK(roles() == "cache-router=passed server-gateway=passed client-gateway=raced ");
}
