// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/doctor.h"

#include <catch2/catch.hpp>

#include "sample.h"

using namespace wlb;
using test::address;

namespace {

bool has(const std::string &text, const std::string &part)
{
    return text.find(part) != std::string::npos;
}

using Texts = std::map<std::string, std::string>;

// Programs and files of a host where all is as it should be.
const Texts good_programs{
    {"ip -j link show dev lan0", R"([{"ifname":"lan0","flags":["BROADCAST","UP"]}])"},
    {"ip -j -6 route show default", "[]"},
    {"ip -j route get 203.0.113.10", R"([{"type":"local","dst":"203.0.113.10","dev":"lo"}])"},
    {"ip -j route get 198.51.100.18", R"([{"type":"local","dst":"198.51.100.18","dev":"lo"}])"},
    {"ip -j route get 198.51.100.2", R"([{"dst":"198.51.100.2","dev":"wan0"}])"},
    {"ss -HltnO sport = 80", "LISTEN 0 128 *:80 *:*"},
    {"nft -j list flowtables", R"({"nftables":[{"metainfo":{}}]})"},
    {"nft -j list ruleset", R"({"nftables":[{"metainfo":{}}]})"}};
const Texts good_files{{"/proc/sys/net/ipv4/ip_forward", "1\n"},
                       {"/proc/sys/net/netfilter/nf_conntrack_max", "100\n"},
                       {"/proc/sys/net/netfilter/nf_conntrack_count", "50\n"}};

cli::Roles roles()
{
    cli::Roles roles;
    roles.running.roles = WLB_ROLE_ALL;
    auto &config = roles.running.config;
    config.client_gateway.inside = {"lan0"};
    config.client_gateway.max_flows = 1000;
    Service service;
    service.name = "web";
    service.ports = {80};
    service.any_replica = true;
    config.client_gateway.services = {service};
    Origin origin;
    origin.name = "www";
    origin.servers = {address("203.0.113.10")};
    origin.ports = {80};
    origin.replicas = {{address("198.51.100.2")}};
    config.origins = {origin};
    Served served;
    served.name = "www";
    served.servers = origin.servers;
    served.ports = {80};
    served.local = address("198.51.100.18");
    served.return_mode = Return::spoof;
    config.served = {served};
    RunningGroup group;
    group.group.name = "web-cache";
    group.group.in = {"lan0"};
    group.group.hook = GroupHook::forward;
    roles.groups.groups = {group};
    RunningAssignment assignment;
    assignment.assignment.group = "web-cache";
    roles.assignments = {assignment};
    return roles;
}

// What is not good.
std::vector<cli::Finding> ill(const cli::Roles &roles, const Texts &programs = good_programs,
                              const Texts &files = good_files)
{
    const auto look = [](const Texts &texts, const std::string &key) -> Result<std::string> {
        const auto found = texts.find(key);
        return found == texts.end() ? Result<std::string>(Error{"no"}) : found->second;
    };
    const cli::Patient patient{
        [&](const cli::Words &words) { return look(programs, join(words, " ")); },
        [&](const std::string &path) { return look(files, path); }};
    auto findings = cli::examine_roles(roles, patient);
    std::erase_if(findings, [](const auto &one) { return one.grade == cli::Finding::good; });
    return findings;
}

void check_one(const std::vector<cli::Finding> &findings, cli::Finding::Grade grade,
               const std::string &what)
{
    INFO(what);
    REQUIRE(findings.size() == 1);
    CHECK(findings[0].grade == grade);
    CHECK(has(findings[0].what, what));
    CHECK_FALSE(findings[0].consequence.empty());
    CHECK_FALSE(findings[0].mend.empty());
}

} // namespace

TEST_CASE("doctor: a healthy host has no finding", "[cli][doctor]")
{
    CHECK(ill(roles()).empty());
    check_one(ill({}), cli::Finding::warning, "no role of wlb is on");
}

TEST_CASE("doctor: each fault is one finding", "[cli][doctor]")
{
    for (const auto &[program, output, what] :
         {std::tuple{"ip -j link show dev lan0", R"([{"ifname":"lan0","flags":["BROADCAST"]}])",
                     "lan0 (inside of [client-gateway]) is down"},
          {"ip -j link show dev lan0", "", "lan0 (inside of [client-gateway]) is not there"},
          {"ip -j route get 203.0.113.10", R"([{"dst":"203.0.113.10","dev":"wan0"}])",
           "203.0.113.10 is no address of this host"},
          {"ip -j route get 198.51.100.18", R"([{"dst":"198.51.100.18","dev":"wan0"}])",
           "198.51.100.18 is no address of this host"},
          {"ip -j route get 198.51.100.2", R"([{"type":"unreachable"}])",
           "no route to 198.51.100.2, replica of origin www"},
          {"ip -j route get 198.51.100.2", "RTNETLINK answers: Network is unreachable",
           "no route to 198.51.100.2"},
          {"ss -HltnO sport = 80", "", "nobody listens at TCP port 80"}}) {
        auto programs = good_programs;
        programs[program] = output;
        auto findings = ill(roles(), programs);
        // the group has the interface too
        std::erase_if(findings, [](const auto &one) { return has(one.what, "(group "); });
        check_one(findings, cli::Finding::fault, what);
    }
    auto files = good_files;
    files["/proc/sys/net/ipv4/ip_forward"] = "0\n";
    const auto findings = ill(roles(), good_programs, files);
    check_one(findings, cli::Finding::fault, "net.ipv4.ip_forward is off");
    CHECK(findings[0].mend == "sysctl -w net.ipv4.ip_forward=1");
    auto programs = good_programs;
    programs["ip -j -6 route show default"] = R"([{"dst":"default"}])";
    check_one(ill(roles(), programs), cli::Finding::fault, "net.ipv6.conf.all.forwarding is off");
}

TEST_CASE("doctor: what may become a fault is a warning", "[cli][doctor]")
{
    auto full = roles();
    full.stats.flows = 950;
    check_one(ill(full), cli::Finding::warning, "950 of 1000 flows");
    auto files = good_files;
    files["/proc/sys/net/netfilter/nf_conntrack_count"] = "95\n";
    check_one(ill(roles(), good_programs, files), cli::Finding::warning, "95 of 100 connections");
    auto idle = roles();
    idle.assignments.clear();
    check_one(ill(idle), cli::Finding::warning, "group web-cache: no cache has any");
    auto refused = roles();
    refused.stats.counters = {{"syn_table_full", 3, ""}, {"syn_tagged", 5, ""}};
    check_one(ill(refused), cli::Finding::warning, "syn_table_full 3");
}

TEST_CASE("doctor: rules that flows of ours pass by", "[cli][doctor]")
{
    auto programs = good_programs;
    programs["nft -j list flowtables"] = R"({"nftables":[{"flowtable":{"name":"f"}}]})";
    check_one(ill(roles(), programs), cli::Finding::warning, "flowtable f");
    programs = good_programs;
    auto &rules = programs["nft -j list ruleset"];
    const std::string chain =
        R"({"nftables":[{"chain":{"family":"inet","table":"t","name":"c","hook":"forward"}},)"
        R"({"rule":{"family":"inet","table":"t","chain":"c","expr":[)";
    rules = chain + R"({"drop":null}]}}]})";
    CHECK(ill(roles(), programs).empty());
    auto before = roles();
    before.groups.groups[0].group.hook = GroupHook::prerouting;
    check_one(ill(before, programs), cli::Finding::warning, "what group web-cache redirects");
    rules = chain + R"({"limit":{"rate":9}}]}}]})";
    check_one(ill(roles(), programs), cli::Finding::warning, "flow of service web");
    auto slow = roles();
    slow.running.config.client_gateway.services[0].fastpath = FastPath::off;
    CHECK(ill(slow, programs).empty());
}

namespace {

const std::string wall =
    R"({"chain":{"family":"inet","table":"t","name":"c","hook":"forward","policy":"drop"}})";
const std::string by_state =
    R"({"rule":{"family":"inet","table":"t","chain":"c","expr":[{"match":{"op":"in","left":)"
    R"({"ct":{"key":"state"}},"right":["established","related"]}},{"accept":null}]}})";

Texts with_rules(const std::string &entries)
{
    auto programs = good_programs;
    programs["nft -j list ruleset"] = R"({"nftables":[)" + entries + "]}";
    return programs;
}

} // namespace

TEST_CASE("doctor: what is not tracked and rules that go by state", "[cli][doctor]")
{
    auto with = roles();
    with.running.config.client_gateway.conntrack = Conntrack::notrack;
    CHECK(ill(with).empty());
    const auto programs = with_rules(wall + "," + by_state);
    const auto findings = ill(with, programs);
    check_one(findings, cli::Finding::fault, "untracked: chain inet t c");
    CHECK(findings[0].mend == "nft insert rule inet t c ct state untracked accept");
    CHECK(ill(roles(), programs).empty());
    // a single state is no list; it may be asked for in another chain of the table
    const std::string untracked =
        R"({"rule":{"family":"inet","table":"t","chain":"d","expr":[{"match":{"op":"in","left":)"
        R"({"ct":{"key":"state"}},"right":"untracked"}},{"accept":null}]}})";
    CHECK(ill(with, with_rules(wall + "," + by_state + "," + untracked)).empty());
    const std::string open =
        R"({"chain":{"family":"inet","table":"t","name":"c","hook":"forward","policy":"accept"}})";
    CHECK(ill(with, with_rules(open + "," + by_state)).empty());
    const std::string last =
        R"({"rule":{"family":"inet","table":"t","chain":"c","expr":[{"reject":null}]}})";
    check_one(ill(with, with_rules(open + "," + by_state + "," + last)), cli::Finding::fault,
              "untracked: chain inet t c");
    const std::string hide =
        R"({"rule":{"family":"ip","table":"n","chain":"p","expr":[{"masquerade":null}]}})";
    check_one(ill(with, with_rules(hide)), cli::Finding::warning, "nftables hides sources");

    auto before = roles();
    before.groups.groups[0].group.hook = GroupHook::prerouting;
    const auto answers = ill(before, programs);
    check_one(answers, cli::Finding::warning, "what group web-cache redirects");
    CHECK(has(answers[0].consequence, "its answers"));
}

TEST_CASE("doctor: the reverse path filter where packets of others come in", "[cli][doctor]")
{
    const auto local = test::prefix("198.51.100.0/24");
    auto programs = good_programs;
    programs["ip -j route show default"] = R"([{"dst":"default","dev":"wan0"}])";
    programs["ip -j route get 198.51.100.0"] = R"([{"dst":"198.51.100.0","dev":"more0"}])";
    auto files = good_files;
    files["/proc/sys/net/ipv4/conf/all/rp_filter"] = "1\n";
    CHECK(ill(roles(), programs, files).empty());
    auto gateway = roles();
    gateway.running.config.client_gateway.services[0].any_replica = false;
    gateway.running.config.client_gateway.services[0].replicas = {local};
    auto replica = roles();
    replica.running.config.served[0].from = {local};
    for (const auto &[patient, consequence] :
         {std::pair{&gateway, "answers of replicas"}, std::pair{&replica, "clones"}}) {
        INFO(consequence);
        const auto findings = ill(*patient, programs, files);
        check_one(findings, cli::Finding::warning, "more0.rp_filter is strict");
        CHECK(has(findings[0].consequence, consequence));
        CHECK(findings[0].mend == "sysctl -w net.ipv4.conf.more0.rp_filter=2");
        auto loose = files;
        loose["/proc/sys/net/ipv4/conf/more0/rp_filter"] = "2\n";
        CHECK(ill(*patient, programs, loose).empty());
        // clients and servers have the same way
        auto same = programs;
        same["ip -j route get 198.51.100.0"] = R"([{"dst":"198.51.100.0","dev":"wan0"}])";
        CHECK(ill(*patient, same, files).empty());
    }
    auto router = roles();
    router.assignments[0].assignment.members = {{address("198.51.100.2"), Forward::l2}};
    check_one(ill(router, good_programs, files), cli::Finding::warning, "wan0.rp_filter");
    router.groups.groups[0].group.in = {"wan0"};
    auto there = good_programs;
    there["ip -j link show dev wan0"] = R"([{"ifname":"wan0","flags":["UP"]}])";
    CHECK(ill(router, there, files).empty());
}

TEST_CASE("doctor: room on the way to replicas and caches", "[cli][doctor]")
{
    auto gateway = roles();
    auto &service = gateway.running.config.client_gateway.services[0];
    service.any_replica = false;
    service.replicas = {test::prefix("198.51.100.0/24")};
    auto programs = good_programs;
    auto &way = programs["ip -j route get 198.51.100.0"];
    const auto mtus = [&](int inside, int outside, const std::string &route = "") {
        programs["ip -j link show dev lan0"] =
            R"([{"ifname":"lan0","flags":["UP"],"mtu":)" + std::to_string(inside) + "}]";
        programs["ip -j link show dev wan0"] =
            R"([{"ifname":"wan0","flags":["UP"],"mtu":)" + std::to_string(outside) + "}]";
        way = R"([{"dst":"198.51.100.0","dev":"wan0")" + route + "}]";
        return ill(gateway, programs);
    };
    CHECK(mtus(1500, 1500).empty());
    CHECK(mtus(9000, 1500).empty());
    CHECK(mtus(1400, 1424).empty());
    check_one(mtus(1400, 1423), cli::Finding::warning, "takes 1423 bytes, 1399 of them");
    auto findings = mtus(1500, 1492);
    check_one(findings, cli::Finding::warning,
              "replicas in 198.51.100.0/24 takes 1492 bytes, 1468 of them a client's, which may "
              "send 1476");
    CHECK(has(findings[0].mend, "iifname wan0 meta nfproto ipv4 tcp flags syn tcp option maxseg "
                                "size set 1428'"));
    check_one(mtus(1500, 1500, R"(,"metrics":[{"mtu":1400}])"), cli::Finding::warning,
              "takes 1400 bytes");
    // only what is told of in the way that replicas know
    gateway.running.config.client_gateway.returns = {Return::nat};
    check_one(mtus(1500, 1492), cli::Finding::warning, "1492 of them a client's");
    CHECK(mtus(1492, 1492).empty());
    // a rule that mends it
    for (const auto &[mss, cures] : {std::pair{1452, true}, std::pair{1453, false}}) {
        programs["nft -j list ruleset"] =
            R"({"nftables":[{"rule":{"family":"inet","table":"t","chain":"c","expr":[{"mangle":)"
            R"({"key":{"tcp option":{"name":"maxseg","field":"size"}},"value":)" +
            std::to_string(mss) + "}}]}}]}";
        CHECK(mtus(1500, 1492).empty() == cures);
    }

    auto router = roles();
    auto &members = router.assignments[0].assignment.members;
    members = {{address("198.51.100.2"), Forward::gre}};
    programs = good_programs;
    programs["ip -j link show dev wan0"] = R"([{"ifname":"wan0","flags":["UP"],"mtu":1500}])";
    check_one(ill(router, programs), cli::Finding::warning,
              "cache 198.51.100.2 takes 1500 bytes, 1472 of them");
    programs["ip -j link show dev wan0"] = R"([{"ifname":"wan0","flags":["UP"],"mtu":1528}])";
    CHECK(ill(router, programs).empty());
    programs["ip -j link show dev wan0"] = R"([{"ifname":"wan0","flags":["UP"],"mtu":1400}])";
    members[0].forward = Forward::l2;
    CHECK(ill(router, programs).empty());
}

TEST_CASE("doctor: LRO where packets are sent on", "[cli][doctor]")
{
    auto programs = good_programs;
    auto &features = programs["ethtool -k lan0"];
    features = "Features for lan0:\nlarge-receive-offload: off [fixed]\n";
    CHECK(ill(roles(), programs).empty());
    features = "Features for lan0:\nlarge-receive-offload: on\n";
    const auto findings = ill(roles(), programs);
    check_one(findings, cli::Finding::fault, "LRO is on at lan0");
    CHECK(findings[0].mend == "ethtool -K lan0 lro off");
}

TEST_CASE("doctor: a tunnel between the hosts that clones go from and to", "[cli][doctor]")
{
    auto replica = roles();
    replica.running.config.served[0].from = {test::prefix("203.0.113.0/24")};
    auto programs = good_programs;
    auto &links = programs["ip -j -d link show"];
    const auto with = [&](const std::string &kind, const std::string &data,
                          const std::string &flags = R"("UP")") {
        links = R"([{"ifname":"own0","flags":[)" + flags + R"(],"linkinfo":{"info_kind":")" + kind +
                R"(","info_data":{)" + data + "}}}]";
        return ill(replica, programs);
    };
    const std::string ends = R"("remote":"203.0.113.1","local":"198.51.100.18")";
    const auto findings = with("gre", ends);
    check_one(findings, cli::Finding::warning, "tunnel own0 goes to 203.0.113.1");
    CHECK(has(findings[0].mend, "ip link change own0 type gre key 1"));
    check_one(with("ipip", ends), cli::Finding::warning, "tunnel own0");
    CHECK(with("gre", ends + R"(,"ikey":"0.0.0.1","okey":"0.0.0.1")").empty());
    CHECK(with("gre", ends, "").empty());
    CHECK(with("vxlan", ends).empty());
    CHECK(with("gre", R"("remote":"192.0.2.1","local":"198.51.100.18")").empty());
    CHECK(with("gre", R"("remote":"203.0.113.1","local":"198.51.100.19")").empty());
    CHECK(with("gre", R"("remote":"any","local":"any")").empty());
}

TEST_CASE("doctor: nothing is asked twice, however many objects there are", "[cli][doctor]")
{
    auto many = roles();
    auto &services = many.running.config.client_gateway.services;
    services.resize(9, services[0]);
    many.groups.groups.resize(9, many.groups.groups[0]);
    std::map<std::string, int> asked;
    const cli::Patient patient{
        [&](const cli::Words &words) -> Result<std::string> {
            const auto line = join(words, " ");
            ++asked[line];
            const auto found = good_programs.find(line);
            return found == good_programs.end() ? Result<std::string>(Error{"no"}) : found->second;
        },
        [](const std::string &) -> Result<std::string> { return std::string("1\n"); }};
    (void)cli::examine_roles(many, patient);
    CHECK(asked.at("nft -j list ruleset") == 1);
    for (const auto &[line, times] : asked) {
        INFO(line);
        CHECK(times == 1);
    }
}

TEST_CASE("doctor: the file and its daemons", "[cli][doctor]")
{
    auto other = roles();
    other.file = other.running.config;
    CHECK(ill(other).empty());
    other.daemons = {{"wlb-routerd", false}, {"wlb-gatewayd", true}};
    check_one(ill(other), cli::Finding::fault, "wlb-routerd, which does not run");
    other.daemons.clear();
    other.file->client_gateway.max_flows = 7;
    check_one(ill(other), cli::Finding::warning, "not what the file says");
}
