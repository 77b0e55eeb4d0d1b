// SPDX-License-Identifier: GPL-2.0-only
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "cached/show.h"
#include "sample.h"
#include "wlbctl/cache_doctor.h"
#include "wlbctl/cache_setup.h"
#include "wlbctl/command.h"

using namespace wlb;
using test::address;

namespace {

struct Outcome {
    int status = 0;
    std::string out;
    std::string err;
    Json request;
    std::vector<cli::Words> ran;
};

using Programs = std::function<Result<std::string>(const cli::Words &)>;

Outcome wlbctl(const std::string &line, const Json &answer, const Programs &programs = {})
{
    Outcome outcome;
    std::ostringstream out;
    std::ostringstream err;
    cli::Context context{out, err,
                         [](const std::string &) -> Result<std::unique_ptr<Kernel>> {
                             return Error{"nobody asks the kernel"};
                         },
                         false, ""};
    context.ask = [&](const std::string &daemon, const std::string &,
                      const Json &asked) -> Result<Json> {
        CHECK(daemon == "wlb-cached");
        outcome.request = asked;
        if (answer.is_null())
            return Error{"wlb-cached does not run in this network namespace"};
        return answer;
    };
    context.run_program = [&](const cli::Words &words) -> Result<std::string> {
        outcome.ran.push_back(words);
        return programs ? programs(words) : std::string();
    };
    outcome.status = cli::run(context, split(line, ' '));
    outcome.out = out.str();
    outcome.err = err.str();
    return outcome;
}

bool has(const std::string &text, const std::string &part)
{
    return text.find(part) != text.npos;
}

Membership membership(const char *own = "10.2.0.11", Deliver deliver = {DeliverBy::tproxy, 3129})
{
    Membership group;
    group.address = address(own);
    group.routers = {address(group.is_ipv6() ? "2001:db8::1" : "10.2.0.1")};
    group.deliver = deliver;
    return group;
}

Json shown()
{
    wccp::CacheGroupReport report;
    report.address = address("10.2.0.11");
    report.phase = wccp::CachePhase::present;
    report.designated = address("10.2.0.11");
    report.key = {address("10.2.0.11"), 7};
    report.caches = {{address("10.2.0.11"), 100, 8, 256}};
    wccp::RouterReport router;
    router.id = address("192.0.2.1");
    router.source = router.sent_to = address("10.2.0.1");
    router.status = wccp::CacheStatus::ready;
    router.share = 256;
    router.known = wccp::Duration(3723000);
    report.routers = {router};
    report.unheard = {address("10.2.0.2")};
    RunningDoors running;
    Door door;
    door.address = address("10.2.0.1");
    running.cache.doors = {door};
    running.counters = {{12, 3456}};
    boost::asio::io_context io;
    const daemon::Prober prober(io, std::nullopt, [](bool) {});
    CacheHost host;
    return {{"groups", Json::array({cached::show({{}, false}, membership(), report, prober, false,
                                                 &running)})},
            {"host", cached::show(host, {}, 250)},
            {"unwanted", 0}};
}

class File {
public:
    explicit File(const std::string &text)
        : path_(std::filesystem::temp_directory_path() /
                ("wlb-cache-cli-" + std::to_string(getpid())))
    {
        std::ofstream(path_) << text;
    }
    File(const File &) = delete;
    File &operator=(const File &) = delete;
    ~File() { std::filesystem::remove(path_); }
    [[nodiscard]] std::string path() const { return path_.string(); }

private:
    std::filesystem::path path_;
};

constexpr const char *config = R"([[cache.group]]
service = "web-cache"
address = "10.2.0.11"
routers = ["10.2.0.1"]
deliver = { tproxy = 3129 }
)";

// A host where all is as it should be.
const std::map<std::string, std::string> good_programs{
    {"nft list table inet wlb_cache", "table inet wlb_cache {}"},
    {"ip -j -4 rule show", R"([{"priority":1,"fwmark":"0x1","table":"2048"}])"},
    {"ip -j -4 route show table 2048", R"([{"type":"local","dst":"default","dev":"lo"}])"},
    {"ss -HltnO --inet-sockopt sport = 3129", "LISTEN 0 128 *:3129 *:* transparent:1"},
    {"ip -j route get 10.2.0.1", R"([{"dst":"10.2.0.1","dev":"lan0"}])"}};

std::vector<cli::Finding> examined(const std::map<std::string, std::string> &programs,
                                   const std::map<std::string, std::string> &files,
                                   Result<Json> daemon)
{
    CacheHost host;
    host.groups = {membership()};
    cli::Patient patient;
    patient.run = [&](const cli::Words &words) -> Result<std::string> {
        const auto found = programs.find(join(words, " "));
        return found == programs.end() ? Result<std::string>(Error{"no"}) : found->second;
    };
    patient.read = [&](const std::string &path) -> Result<std::string> {
        const auto found = files.find(path);
        return found == files.end() ? Result<std::string>(std::string("0\n")) : found->second;
    };
    patient.daemon = std::move(daemon);
    auto findings = cli::examine(host, patient);
    std::erase_if(findings, [](const auto &f) { return f.grade == cli::Finding::good; });
    return findings;
}

Json healthy()
{
    auto answer = shown();
    answer["groups"][0]["unheard"] = Json::array();
    return answer;
}

} // namespace

TEST_CASE("what a cache is in its groups is shown", "[cli][cache]")
{
    const auto summary = wlbctl("cache show", shown());
    INFO(summary.out);
    CHECK(summary.request == Json{{"command", "show"}});
    CHECK(has(summary.out, "web-cache IPv4: 10.2.0.11, present, proxy not probed; hash, gre, "
                           "return gre, designated: 10.2.0.11\n"));
    CHECK(has(summary.out, "  192.0.2.1  ready, share 256, returned 12\n"));
    CHECK(has(summary.out, "  10.2.0.2  does not answer\n"));
    CHECK(has(summary.out, "New connections returned: 25.0 %\n"));
    const auto detail = wlbctl("cache show web-cache detail", shown());
    INFO(detail.out);
    CHECK(detail.request == Json{{"command", "show"}, {"group", "web-cache"}});
    CHECK(has(detail.out, "Connect time:           01:02:03"));
    CHECK(has(detail.out, "Packets returned:       12 (3456 bytes)"));
    CHECK(has(detail.out, "Assigned last:            10.2.0.11 7, not at every router yet"));
    CHECK(has(detail.out, "Cache 10.2.0.11:          weight 100, grown 8/8, share 256"));
    CHECK(has(wlbctl("cache show counters", shown()).out, "Messages here-i-am:"));
    CHECK(wlbctl("-j cache show", shown()).out == shown().dump() + "\n");
    CHECK(wlbctl("cache show web-cache everything", shown()).status == 2);
    CHECK(wlbctl("cache show 256", shown()).status == 2);
    const auto nobody = wlbctl("cache show", nullptr);
    CHECK(nobody.status == 1);
    CHECK(has(nobody.err, "wlb-cached does not run"));
    for (const auto *verb : {"drain", "resume", "clear"})
        CHECK(wlbctl(std::string("cache ") + verb + " 80", {{"done", true}}).request ==
              Json{{"command", verb}, {"group", "80"}});
}

TEST_CASE("setup: the commands for TPROXY", "[cli][cache]")
{
    const File file(config);
    const auto dry = wlbctl("cache setup --dry-run " + file.path(), nullptr);
    INFO(dry.out << dry.err);
    CHECK(dry.status == 0);
    CHECK(
        has(dry.out,
            "ip -4 route replace local default dev lo table 2048\n"
            "ip -4 rule add priority 2048 fwmark 1 lookup 2048\nnft 'add table inet wlb_cache\n"));
    CHECK(has(dry.out, "meta mark 1 meta nfproto ipv4 meta l4proto tcp th dport { 80 } "
                       "tproxy ip to :3129 accept"));
    CHECK(dry.ran.size() == 1); // asks by which interface the router is reached
    const auto again = wlbctl("cache setup " + file.path(), nullptr, [](const cli::Words &words) {
        return words.size() > 2 && words[2] == "rule"
                   ? Result<std::string>(Error{"ip: RTNETLINK answers: File exists"})
                   : std::string();
    });
    CHECK(again.status == 0);
    CHECK(again.ran.size() == 4);
    const auto fails = wlbctl("cache setup " + file.path(), nullptr, [](const cli::Words &words) {
        return words[0] == "nft" ? Result<std::string>(Error{"nft: syntax"}) : std::string();
    });
    CHECK(fails.status == 1);
    CHECK(has(fails.err, "nft: syntax"));
    const auto removed = wlbctl("cache setup --remove --dry-run " + file.path(), nullptr);
    CHECK(removed.out ==
          "nft delete table inet wlb_cache\n"
          "ip -4 rule del priority 2048 fwmark 1 lookup 2048\nip -4 route flush table 2048\n");
}

TEST_CASE("setup: NAT, IPv6, services of other kinds", "[cli][cache]")
{
    CacheHost host;
    host.mark = 9;
    auto dynamic = membership("2001:db8::11", {DeliverBy::redirect, 3128});
    dynamic.service.id = {true, 53};
    dynamic.service.protocol = 17;
    dynamic.service.ports = {53, 5353};
    dynamic.service.source_ports = true;
    host.groups = {dynamic};
    auto rules = cli::delivery_rules(host);
    REQUIRE(rules);
    CHECK(has(*rules, "type nat hook prerouting priority dstnat"));
    CHECK(has(*rules, "meta mark 9 meta nfproto ipv6 meta l4proto udp th sport { 53, 5353 } "
                      "redirect to :3128"));
    CHECK_FALSE(has(*rules, "tproxy"));
    CHECK(cli::setup_steps(host, {"lan0"})->back().command.back() ==
          "net.ipv4.conf.lan0.rp_filter=2");
    CHECK(cli::setup_steps(host, {})->size() == 1); // no routes
    host.groups[0].service.ports.clear();
    host.groups[0].service.protocol = 0;
    CHECK(has(*cli::delivery_rules(host), "meta l4proto { tcp, udp } redirect"));
    host.groups[0].service.protocol = 47;
    rules = cli::delivery_rules(host);
    REQUIRE_FALSE(rules);
    CHECK(has(rules.error().message, "IP protocol 47"));
}

TEST_CASE("doctor: a healthy host has no finding, each fault one", "[cli][cache]")
{
    CHECK(examined(good_programs, {}, healthy()).empty());
    CHECK(examined(good_programs, {}, Error{"wlb-cached does not run"}).size() == 1);
    for (const auto &[program, found] :
         {std::pair{"nft list table inet wlb_cache", "no table"},
          {"ip -j -4 rule show", "no routing rule for mark 1"},
          {"ip -j -4 route show table 2048", "no local default"},
          {"ss -HltnO --inet-sockopt sport = 3129", "nobody listens at TCP port 3129"}}) {
        auto programs = good_programs;
        programs.erase(program);
        const auto findings = examined(programs, {}, healthy());
        REQUIRE(findings.size() == 1);
        CHECK(findings[0].grade == cli::Finding::fault);
        CHECK(has(findings[0].what, found));
        CHECK_FALSE(findings[0].mend.empty());
    }
    auto programs = good_programs;
    programs["ss -HltnO --inet-sockopt sport = 3129"] = "LISTEN 0 128 *:3129 *:*";
    auto findings = examined(programs, {}, healthy());
    REQUIRE(findings.size() == 1);
    CHECK(has(findings[0].what, "is not transparent"));
    // Either setting makes it strict, but 2 anywhere is loose.
    const std::string where = "/proc/sys/net/ipv4/conf/";
    CHECK(examined(good_programs, {{where + "all/rp_filter", "1\n"}}, healthy()).size() == 1);
    CHECK(examined(good_programs, {{where + "lan0/rp_filter", "1\n"}}, healthy()).size() == 1);
    CHECK(examined(good_programs,
                   {{where + "all/rp_filter", "1\n"}, {where + "lan0/rp_filter", "2\n"}}, healthy())
              .empty());
    CHECK(examined(good_programs, {{where + "all/src_valid_mark", "1\n"}}, healthy()).size() == 1);
    programs = good_programs;
    programs["ethtool -k lan0"] = "Features for lan0:\nlarge-receive-offload: off [fixed]\n";
    CHECK(examined(programs, {}, healthy()).empty());
    programs["ethtool -k lan0"] = "Features for lan0:\nlarge-receive-offload: on\n";
    findings = examined(programs, {}, healthy());
    REQUIRE(findings.size() == 1);
    CHECK(findings[0].mend == "ethtool -K lan0 lro off");
    auto ill = healthy();
    ill["groups"][0]["unheard"] = {"10.2.0.2"};
    ill["groups"][0]["drained"] = true;
    ill["groups"][0]["proxy"] = {{"state", "does not work"}, {"why", "status 503"}};
    ill["groups"][0]["routers"][0]["state"] = "capability mismatch";
    findings = examined(good_programs, {}, ill);
    CHECK(findings.size() == 4);
    CHECK(has(findings[0].what, "the proxy does not work: status 503"));
}

TEST_CASE("words as a shell takes them", "[cli]")
{
    CHECK(cli::shell_text({"ip", "-4", "a b", "it's", ""}) == "ip -4 'a b' 'it'\\''s' ''");
    CHECK(*cli::run_program({"echo", "a", "b"}) == "a b");
    CHECK(has(cli::run_program({"sh", "-c", "echo why >&2; exit 3"}).error().message, "why"));
    CHECK(has(cli::run_program({"/nonexistent"}).error().message, "No such file"));
}
