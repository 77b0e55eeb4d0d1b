// SPDX-License-Identifier: GPL-2.0-only
#include <catch2/catch.hpp>

#include <nlohmann/json.hpp>

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "fake_kernel.h"
#include "sample.h"
#include "wlb/toml_reader.h"
#include "wlb/toml_writer.h"
#include "wlb/validate.h"
#include "wlbctl_runner.h"

using namespace wlb;
using test::address;

namespace {

using test::wlbctl;

test::Outcome wlbctl(const std::string &line)
{
    test::FakeState state;
    auto outcome = wlbctl(state, line);
    CHECK(state.writes == 0);
    return outcome;
}

// A file that is gone with the test.
class TemporaryFile {
public:
    explicit TemporaryFile(const std::string &text)
    {
        const int fd = mkstemp(path_.data());
        REQUIRE(fd >= 0);
        REQUIRE(write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
        close(fd);
    }
    TemporaryFile(const TemporaryFile &) = delete;
    TemporaryFile &operator=(const TemporaryFile &) = delete;
    ~TemporaryFile() { unlink(path_.c_str()); }
    [[nodiscard]] const std::string &path() const { return path_; }
    [[nodiscard]] std::string text() const
    {
        std::ifstream file(path_);
        std::ostringstream all;
        all << file.rdbuf();
        return all.str();
    }

private:
    std::string path_ = "/tmp/wlb-unit-XXXXXX";
};

const char *const add_web = "service add web --ports 80,443 --replicas 198.51.100.0/24";
const char *const add_www = "origin add www --server 203.0.113.10 --ports 80";
const char *const add_served =
    "replica add www --server 203.0.113.10 --ports 80 --local 198.51.100.7 --from 203.0.113.1";

} // namespace

TEST_CASE("help and version", "[cli]")
{
    CHECK(wlbctl("--version").out == "wlbctl " WLB_VERSION "\n");
    CHECK(wlbctl("--version").status == 0);
    for (const auto *line :
         {"--help", "-h", "service --help", "service add --help", "-j flow list -h", "stats --help",
          "metrics --help", "replica busy --help", "check --help", "flow save --help",
          "flow restore --help", "bypass add --help", "bypass --help"}) {
        INFO(line);
        const auto outcome = wlbctl(line);
        CHECK(outcome.status == 0);
        CHECK(outcome.err.empty());
        CHECK(outcome.out.find("example") != std::string::npos);
    }
}

TEST_CASE("bad usage is status 2 and points to the help", "[cli]")
{
    const std::pair<const char *, const char *> lines[] = {
        {"", "see wlbctl --help"},
        {"bogus", "see wlbctl --help"},
        {"--bogus", "see wlbctl --help"},
        {"-n", "see wlbctl --help"},
        {"service", "see wlbctl service --help"},
        {"service bogus", "see wlbctl service --help"},
        {"service add", "see wlbctl service --help"},
        {"service add web", "--ports is missing"},
        {"service add web --ports 80", "--replicas is missing"},
        {"service add web --ports 0 --replicas any", "--ports: port 0 is outside 1..65535"},
        {"service add web --ports 80, --replicas any", "--ports: \"\" is not a port"},
        {"service add web --ports 80 --replicas 10.0.0.0/40", "--replicas: "},
        {"service add web x --ports 80 --replicas any", "too many arguments"},
        {"service add web --ports 80 --ports 81 --replicas any", "more than once"},
        {"service add web --port 80 --replicas any", "unrecognised option '--port'"},
        {"service del", "NAME is missing"},
        {"service list x", "too many arguments"},
        {"origin add www --server 10.0.0.1 --ports 80 --race fair", "\"raw\" or \"equal\""},
        {"origin add www --server 10.0.0.1 --ports 80 --replica 10.0.0.2,via=x",
         "--replica: via: "},
        {"origin add www --server 10.0.0.1 --ports 80 --replica 10.0.0.2,delay=x", "delay: "},
        {"origin add www --server 10.0.0.1 --ports 80 --replica 10.0.0.2,foo=1",
         "\"foo=1\" must be"},
        {"origin add www --server 10.0.0.1 --ports 80 --max-hold 5y", "--max-hold: "},
        {"replica add www --server 10.0.0.1 --ports 80 --from ::/0", "--local is missing"},
        {"replica add www --server 10.0.0.1 --ports 80 --local 10.0.0.2 --from ::/0 --return x",
         "--return: \"x\" must be \"nat\", \"spoof\" or \"tunnel\""},
        {"replica add www --server 10.0.0.1 --ports 80 --local 10.0.0.2 --from ::/0 --via x",
         "--via: \"x\" must be \"gre\" or \"ipip\""},
        {"replica busy", "on|off is missing"},
        {"replica busy maybe", "must be on or off"},
        {"flow flush --client x", "--client: \"x\" is not an IPv4 or IPv6 address"},
        {"service add web --ports 80 --replicas any --race equal", "\"race\" or \"direct\""},
        {"service add web --ports 80 --replicas any --fan-out x", "must be a whole number"},
        {"service add web --ports 80 --replicas any --explore x", "--explore: "},
        {"service add web --ports 80 --replicas any --fastpath yes", "--fastpath: "},
        {"race", "see wlbctl race --help"},
        {"race learned x", "\"x\" is not an IPv4 or IPv6 address"},
        {"race forget x", "\"x\" is not an IPv4 or IPv6 address"},
        {"race forget 10.0.0.1 10.0.0.2", "too many arguments"},
        {"monitor --count 0", "--count: "},
        {"monitor --count -1", "--count"},
        {"stats x", "too many arguments"},
        {"config", "see wlbctl config --help"},
        {"bypass", "see wlbctl bypass --help"},
        {"bypass add", "DESTINATION is missing"},
        {"bypass add x", "\"x\" is not an IPv4 or IPv6 address"},
        {"bypass add 10.0.0.1 --source x", "--source: \"x\" is not an IPv4 or IPv6 address"},
        {"bypass add 10.0.0.1 --lifetime 0", "--lifetime: 0s must be 1s..604800s"},
        {"bypass add 10.0.0.1 --lifetime 169h", "--lifetime: 608400s must be 1s..604800s"},
        {"bypass add 10.0.0.1 --lifetime x", "--lifetime: \"x\" is not a duration"},
        {"bypass del", "DESTINATION is missing"},
        {"bypass del 10.0.0.1 --lifetime 1h", "unrecognised option '--lifetime'"},
        {"bypass flush 10.0.0.1", "too many arguments"},
    };
    for (const auto &[line, message] : lines) {
        INFO(line);
        const auto outcome = wlbctl(line);
        CHECK(outcome.status == 2);
        CHECK(outcome.out.empty());
        CHECK(outcome.err.substr(0, 8) == "wlbctl: ");
        CHECK(outcome.err.find(message) != std::string::npos);
        CHECK(outcome.err.find("\nsee wlbctl ") != std::string::npos);
    }
}

TEST_CASE("global options stand before or behind", "[cli]")
{
    for (const auto *line : {"-j -n gw service list", "-jn gw service list", "-ngw -j service list",
                             "--netns=gw --json service list", "--netns gw service list -j",
                             "service list -j -n gw"}) {
        INFO(line);
        const auto outcome = wlbctl(line);
        CHECK(outcome.status == 0);
        CHECK(outcome.netns == "gw");
        CHECK(outcome.out == "[]\n");
    }
}

TEST_CASE("a word that is not whole yet becomes what could stand there", "[cli]")
{
    test::FakeState state;
    REQUIRE(wlbctl(state, add_web).status == 0);
    REQUIRE(wlbctl(state, add_www).status == 0);
    REQUIRE(wlbctl(state, add_served).status == 0);
    state.running.config.client_gateway.services.front().name = "a-b";
    const auto other = state.running.config.client_gateway.services.front();
    state.running.config.client_gateway.services.push_back(other);
    // Only the kernel takes such a name; a shell would run it.
    state.running.config.client_gateway.services.back().name = "a$(reboot)";
    state.bypasses.push_back({std::nullopt, address("2001:db8::1"), seconds{1}});
    const int writes = state.writes;

    const cli::Ask ask = [](const std::string &daemon, const std::string &,
                            const Json &request) -> Result<Json> {
        CHECK(request == Json{{"command", "show"}});
        return Json{{"groups", {{{"group", daemon}}, {{"group", "51"}}, {{"group", "51"}}}}};
    };
    const std::pair<const char *, const char *> lines[] = {
        {"serv", "service\n"},
        {"-", "--json\n--netns\n--help\n--version\n"},
        {"-j origin ", "add\ndel\nlist\n"},
        {"service d", "del\n"},
        {"service del ", "a-b\n"},
        {"service del a-b ", "--json\n--netns\n--help\n"},
        {"service add a", ""},
        {"service add new --race ", "race\ndirect\n"},
        {"service add new --race=d", "--race=direct\n"},
        {"service add new --ports 80 --replicas a", "any\n"},
        {"service add new --fa", "--fan-out\n--fastpath\n"},
        {"origin del ", "www\n"},
        {"gateway show ", "www\n"},
        {"replica busy o", "on\noff\n"},
        {"replica busy on ", "www\n"},
        {"replica add new --tr", "--trust-path\n"},
        {"replica add new --trust-path ", "--json\n--netns\n--help\n--server\n--ports\n--local\n"
                                          "--return\n--via\n--trust-path\n--from\n"},
        {"wccp show w", "wlb-routerd\n"},
        {"wccp show 5", "51\n"},
        {"wccp show 51 v", "view\n"},
        {"wccp show ass", "assignment\n"},
        {"wccp hash 51 ", ""},
        {"cache drain w", "wlb-cached\n"},
        {"bypass del ", "2001:db8::1\n"},
        {"bypass add ", ""},
        {"apply ", ":files\n"},
        {"apply --d", "--dry-run\n"},
        {"config ", "defaults\n"},
        {"bogus ", ""},
        {"service bogus ", ""},
        {"service del --bogus ", "a-b\n"},
        {"-x service ", ""},
    };
    for (const auto &[line, offered] : lines) {
        INFO(line);
        const auto outcome = wlbctl(state, std::string("--complete ") + line, ask);
        CHECK(outcome.status == 0);
        CHECK(outcome.err.empty());
        CHECK(outcome.out == offered);
    }
    CHECK(state.writes == writes);
    CHECK(wlbctl(state, "--complete -n gw service del ").netns == "gw");
    CHECK(wlbctl(state, "--complete service del -n gw ").netns == "gw");
    CHECK(wlbctl(state, "--complete").status == 2);
}

TEST_CASE("no connection, no success", "[cli]")
{
    for (const auto *line : {"service list",
                             "origin list",
                             "replica list",
                             "flow list",
                             "flow flush",
                             "flow save",
                             "race list",
                             "race learned",
                             "race forget",
                             "stats",
                             "monitor",
                             "save",
                             add_web,
                             add_www,
                             add_served,
                             "service del x",
                             "origin del x",
                             "replica del x",
                             "replica busy on",
                             "bypass add 10.0.0.1",
                             "bypass del 10.0.0.1",
                             "bypass flush",
                             "bypass list"}) {
        INFO(line);
        std::ostringstream out;
        std::ostringstream err;
        cli::Context context{out, err,
                             [](const std::string &) -> Result<std::unique_ptr<Kernel>> {
                                 return Error{"wlb module is not loaded (modprobe wlb)", ENOENT};
                             },
                             false, ""};
        CHECK(cli::run(context, split(line, ' ')) == 1);
        CHECK(out.str().empty());
        CHECK(err.str() == "wlbctl: wlb module is not loaded (modprobe wlb)\n");
    }
}

TEST_CASE("services are added, listed and deleted", "[cli]")
{
    test::FakeState state;
    state.running.config.client_gateway.max_flows = 2048;
    auto outcome = wlbctl(state, std::string(add_web) + " --never 10.1.9.9,10.0.0.0/24");
    CHECK(outcome.status == 0);
    CHECK(outcome.out.empty());
    CHECK(state.written_roles == WLB_ROLE_CLIENT_GATEWAY);
    CHECK(state.running.config.client_gateway.max_flows == 2048);
    CHECK(wlbctl(state, "service add rest --ports all --replicas any --race direct "
                        "--fan-out 2 --explore 1m")
              .status == 0);
    CHECK(wlbctl(state, "service list").out ==
          "service web ports 80,443 replicas 198.51.100.0/24 never 10.1.9.9,10.0.0.0/24 "
          "sticky 0s race race fan-out 4 explore 10s fastpath auto\n"
          "service rest ports all replicas any sticky 0s race direct fan-out 2 explore 60s "
          "fastpath auto\n");
    CHECK(wlbctl(state, "-j service list").out ==
          R"([{"name":"web","ports":[80,443],"replicas":["198.51.100.0/24"],)"
          R"("never":["10.1.9.9","10.0.0.0/24"],"sticky_s":0,"race":"race","fan_out":4,)"
          R"("explore_s":10,"fastpath":"auto"},)"
          R"({"name":"rest","ports":"all","replicas":"any","never":[],"sticky_s":0,)"
          R"("race":"direct","fan_out":2,"explore_s":60,"fastpath":"auto"}])"
          "\n");
    CHECK(wlbctl(state, "service del web").status == 0);
    CHECK(wlbctl(state, "service list").out == "service rest ports all replicas any sticky 0s race "
                                               "direct fan-out 2 explore 60s fastpath auto\n");
    outcome = wlbctl(state, "service del web");
    CHECK(outcome.status == 1);
    CHECK(outcome.err == "wlbctl: service \"web\" does not exist\n");
}

TEST_CASE("origins are added, listed and deleted", "[cli]")
{
    test::FakeState state;
    CHECK(wlbctl(state, std::string(add_www) +
                            " --race equal --max-hold 100 --replica 198.51.100.7,delay=55ms "
                            "--replica 198.51.100.8,via=ipip --source 203.0.113.1 --strip-tag")
              .status == 0);
    CHECK(state.written_roles == WLB_ROLE_SERVER_GATEWAY);
    CHECK(wlbctl(state, "-j origin list").out ==
          R"([{"name":"www","server":["203.0.113.10"],"ports":[80],"race":"equal",)"
          R"("max_hold_us":100000,"replicas":[)"
          R"({"address":"198.51.100.7","via":"gre","delay_us":55000},)"
          R"({"address":"198.51.100.8","via":"ipip","delay_us":0}],)"
          R"("source":"203.0.113.1","strip_tag":true,"fan_out":32,"pick":"nearest",)"
          R"("clones_per_second":0,"clones_per_prefix":0,"cookie_s":0}])"
          "\n");
    CHECK(wlbctl(state, "origin list").out.substr(0, 11) == "origin www ");
    CHECK(wlbctl(state, "origin del www").status == 0);
    CHECK(state.running.config.origins.empty());
    CHECK(wlbctl(state, "origin del www").status == 1);
}

TEST_CASE("served origins are added, listed and deleted", "[cli]")
{
    test::FakeState state;
    CHECK(wlbctl(state, add_served).status == 0);
    CHECK(state.written_roles == WLB_ROLE_REPLICA);
    CHECK(wlbctl(state, "replica list").out ==
          "replica www server 203.0.113.10 ports 80 local 198.51.100.7 return nat via none "
          "trust-path false clones-from 203.0.113.1 busy off\n");
    state.running.busy.insert("www");
    CHECK(
        wlbctl(state, "-j replica list").out ==
        R"([{"name":"www","server":["203.0.113.10"],"ports":[80],"local":"198.51.100.7",)"
        R"("return":"nat","via":null,"trust_path":false,"clones_from":["203.0.113.1"],"busy":true}])"
        "\n");
    CHECK(wlbctl(state, "replica del www").status == 0);
    CHECK(state.running.config.served.empty());
    CHECK(wlbctl(state, "replica del www").status == 1);

    CHECK(wlbctl(state, std::string(add_served) + " --trust-path").status != 0);
    CHECK(wlbctl(state, std::string(add_served) + " --return spoof --trust-path").status == 0);
    CHECK(state.running.config.served.front().via == Via::gre);
    CHECK(state.running.config.served.front().trust_path);
    CHECK(wlbctl(state, "replica del www").status == 0);
    CHECK(wlbctl(state, std::string(add_served) + " --via ipip --return tunnel").status == 0);
    CHECK(wlbctl(state, "replica list").out.find(" return tunnel via ipip trust-path ") !=
          std::string::npos);
    CHECK(wlbctl(state, "-j replica list").out.find(R"("return":"tunnel","via":"ipip",)") !=
          std::string::npos);
}

TEST_CASE("what exists is not added again", "[cli]")
{
    for (const auto *line : {add_web, add_www, add_served}) {
        test::FakeState state;
        REQUIRE(wlbctl(state, line).status == 0);
        const auto outcome = wlbctl(state, line);
        CHECK(outcome.status == 1);
        CHECK(outcome.err.find("exists already") != std::string::npos);
        CHECK(state.writes == 1);
    }
}

TEST_CASE("what is not valid is not added", "[cli]")
{
    test::FakeState state;
    REQUIRE(wlbctl(state, add_web).status == 0);
    const std::pair<const char *, const char *> lines[] = {
        {"service add b --ports 80 --replicas any", "port 80 is in service \"web\" already"},
        {"service add b! --ports 81 --replicas any", "name must be"},
        {"service add b --ports 81 --replicas 10.0.0.1/8", "bits set past its length"},
        {"service add b --ports 81 --replicas any --fan-out 9", "fan-out is 9, must be 1..8"},
        {"origin add w --server 10.0.0.1,::1 --ports 80", "must be IPv4"},
        {"origin add w --server 10.0.0.1 --ports 80 --fan-out 33", "fan-out is 33, must be 1..32"},
        {"origin add w --server 10.0.0.1 --ports 80 --clones-per-prefix -1",
         "clones-per-prefix is -1, must be 0..4294967295"},
        {"origin add w --server 10.0.0.1 --ports 80 --replica 10.0.0.1", "is a server"},
        {"origin add w --server 10.0.0.1 --ports 80 --max-hold 2s", "max-hold is 2s"},
        {"replica add w --server 10.0.0.1 --ports 80 --local ::1 --from ::/0", "must be IPv4"},
        {"replica add w --server 10.0.0.1 --ports 80 --local 10.0.0.2 --from ::/0 --via gre",
         "via: only with return = spoof or tunnel"},
        {"replica add w --server 10.0.0.1,10.0.0.3 --ports 80 --local 10.0.0.2 --from ::/0 "
         "--return spoof",
         "only one with return = spoof"},
    };
    for (const auto &[line, message] : lines) {
        INFO(line);
        const auto outcome = wlbctl(state, line);
        CHECK(outcome.status == 1);
        CHECK(outcome.err.find(message) != std::string::npos);
    }
    CHECK(state.writes == 1);
    const auto two = wlbctl(state, "service add b --ports 80,443 --replicas any");
    CHECK(std::count(two.err.begin(), two.err.end(), '\n') == 2);
}

TEST_CASE("a change of somebody else is not overwritten", "[cli]")
{
    test::FakeState state;
    state.stale_writes = 2;
    CHECK(wlbctl(state, add_web).status == 0);
    CHECK(state.writes == 3);
    CHECK(state.running.config.client_gateway.services.size() == 3);
    state.stale_writes = 1000;
    const auto outcome = wlbctl(state, "service del web");
    CHECK(outcome.status == 1);
    CHECK(outcome.err.find("somebody else") != std::string::npos);
    CHECK(state.writes == 8);
}

TEST_CASE("busy", "[cli]")
{
    test::FakeState state;
    CHECK(wlbctl(state, "replica busy on").status == 0);
    CHECK(wlbctl(state, "replica busy off www").status == 0);
    CHECK(state.busy_calls == std::vector<std::string>{"on all", "off www"});
    const auto outcome = wlbctl(state, "replica busy on absent");
    CHECK(outcome.status == 1);
    CHECK(outcome.err == "wlbctl: replica \"absent\" does not exist\n");
}

TEST_CASE("flows are listed and flushed", "[cli]")
{
    test::FakeState state;
    CHECK(wlbctl(state, "-j flow list").out == "[]\n");
    CHECK(wlbctl(state, "flow list").out.empty());
    state.flows.resize(3);
    const auto json = nlohmann::json::parse(wlbctl(state, "-j flow list").out);
    REQUIRE(json.size() == 3);
    CHECK(json[2]["state"] == "racing");
    const auto text = wlbctl(state, "flow list").out;
    CHECK(std::count(text.begin(), text.end(), '\n') == 3);
    CHECK(wlbctl(state, "-j flow flush").out == "{\"flushed\":3}\n");
    CHECK_FALSE(state.filter.client);
    CHECK(wlbctl(state, "flow flush --client ::1 --server 10.0.0.1 --winner 10.0.0.2").out ==
          "flushed 3\n");
    CHECK(state.filter.client == address("::1"));
    CHECK(state.filter.server == address("10.0.0.1"));
    CHECK(state.filter.winner == address("10.0.0.2"));
}

TEST_CASE("a torn or failed list of flows says so", "[cli]")
{
    test::FakeState state;
    state.flows.resize(1);
    state.torn = true;
    auto outcome = wlbctl(state, "-j flow list");
    CHECK(outcome.status == 0);
    CHECK(outcome.err.find("changed meanwhile") != std::string::npos);
    CHECK(nlohmann::json::parse(outcome.out).size() == 1);
    state.refusal = Error{"out of memory", ENOMEM};
    outcome = wlbctl(state, "-j flow list");
    CHECK(outcome.status == 1);
    CHECK(outcome.err == "wlbctl: out of memory\n");
    CHECK_FALSE(nlohmann::json::accept(outcome.out));
}

TEST_CASE("races are listed and watched", "[cli]")
{
    test::FakeState state;
    CHECK(wlbctl(state, "-j race list").out == "[]\n");
    state.races.resize(3);
    state.races[1].id = 1;
    CHECK(nlohmann::json::parse(wlbctl(state, "-j race list").out)[1]["id"] == 1);
    const auto lines = [](const std::string &text) {
        return std::count(text.begin(), text.end(), '\n');
    };
    CHECK(lines(wlbctl(state, "race list").out) == 3);
    auto outcome = wlbctl(state, "-j monitor --count 2");
    CHECK(outcome.status == 0);
    CHECK(lines(outcome.out) == 2);
    CHECK(nlohmann::json::parse(split(outcome.out, '\n')[1])["id"] == 1);
    CHECK(outcome.err == "wlbctl: monitor: some races were missed\n");
    CHECK(lines(wlbctl(state, "monitor").out) == 3);
}

TEST_CASE("what races have taught is listed and forgotten", "[cli]")
{
    test::FakeState state;
    CHECK(wlbctl(state, "-j race learned").out == "[]\n");
    CHECK(wlbctl(state, "race learned").out.empty());
    Answerer seven;
    seven.address = address("10.0.0.7");
    state.learned = {{address("10.0.0.1"), 80, {seven, seven}},
                     {address("10.0.0.2"), 80, {seven}},
                     {address("10.0.0.2"), 443, {}}};
    const auto lines = [](const std::string &text) {
        return std::count(text.begin(), text.end(), '\n');
    };
    CHECK(lines(wlbctl(state, "race learned").out) == 3);
    CHECK(lines(wlbctl(state, "race learned 10.0.0.1").out) == 2);
    CHECK(nlohmann::json::parse(wlbctl(state, "-j race learned 10.0.0.2").out).size() == 2);
    CHECK(wlbctl(state, "-j race forget 10.0.0.2").out == "{\"forgotten\":2}\n");
    CHECK(state.forgotten == address("10.0.0.2"));
    CHECK(wlbctl(state, "race forget").out == "forgot 1\n");
    CHECK_FALSE(state.forgotten);
    state.refusal = Error{"needs CAP_NET_ADMIN (run as root)", EPERM};
    CHECK(wlbctl(state, "race forget").status == 1);
}

TEST_CASE("an interrupted monitor is done", "[cli]")
{
    for (const int number : {SIGINT, SIGTERM}) {
        test::FakeState state;
        state.interrupt = number;
        const auto outcome = wlbctl(state, "monitor");
        CHECK(outcome.status == 0);
        CHECK(outcome.err.empty());
    }
}

TEST_CASE("what is learned is added, listed and deleted", "[cli]")
{
    test::FakeState state;
    CHECK(wlbctl(state, "bypass list").out.empty());
    CHECK(wlbctl(state, "-j bypass list").out == "[]\n");
    state.doors.cache.doors.resize(1);
    const auto added = wlbctl(state, "bypass add 203.0.113.10");
    CHECK(added.status == 0);
    CHECK(added.out.empty());
    CHECK(wlbctl(state, "bypass add 2001:db8:a::10 --source 2001:db8::2 --lifetime 10m").status ==
          0);
    CHECK(wlbctl(state, "bypass list").out ==
          "bypass 203.0.113.10 source any lifetime 3600s\n"
          "bypass 2001:db8:a::10 source 2001:db8::2 lifetime 600s\n");
    CHECK(wlbctl(state, "-j bypass list").out ==
          R"([{"destination":"203.0.113.10","source":null,"lifetime_s":3600},)"
          R"({"destination":"2001:db8:a::10","source":"2001:db8::2","lifetime_s":600}])"
          "\n");

    CHECK(wlbctl(state, "bypass add 203.0.113.10 --lifetime 604800").status == 0);
    CHECK(wlbctl(state, "bypass del 2001:db8:a::10 --source 2001:db8::2").status == 0);
    CHECK(state.bypasses ==
          std::vector{Bypass{std::nullopt, address("203.0.113.10"), seconds(604800)}});
    const auto again = wlbctl(state, "bypass del 203.0.113.10 --source 10.1.1.2");
    CHECK(again.status == 1);
    CHECK(again.err == "wlbctl: bypass: not known\n");
    CHECK(wlbctl(state, "bypass flush").status == 0);
    CHECK(state.bypasses.empty());
}

TEST_CASE("nothing is learned where no cache is", "[cli]")
{
    for (const auto *line :
         {"bypass add 203.0.113.10", "bypass del 203.0.113.10", "bypass flush"}) {
        INFO(line);
        test::FakeState state;
        const auto outcome = wlbctl(state, line);
        CHECK(outcome.status == 1);
        CHECK(outcome.err == "wlbctl: cache: the role is off\n");
    }
}

TEST_CASE("counters", "[cli]")
{
    test::FakeState state;
    state.stats.counters = {{"syn_tagged", 12, "races"}, {"syn_retagged", 0, "again"}};
    state.stats.flows = 1234;
    CHECK(wlbctl(state, "stats").out == "syn_tagged    12  races\n"
                                        "flows       1234  now: entries in the translation table\n"
                                        "racing         0  now: of which without a winner yet\n"
                                        "held           0  now: packets held for `equal`\n");
    CHECK(wlbctl(state, "stats -a").out.find("syn_retagged     0  again\n") != std::string::npos);
    CHECK(wlbctl(state, "-j stats").out ==
          R"({"counters":{"syn_tagged":12,"syn_retagged":0},"flows":1234,"racing":0,"held":0})"
          "\n");
}

TEST_CASE("a file is checked", "[cli]")
{
    const TemporaryFile good(to_toml(test::sample()));
    const TemporaryFile bad("[[replica.origin]]\nserver = 1\nprots = [80]\n");
    CHECK(wlbctl("check " + good.path()).status == 0);
    CHECK(wlbctl("check " + good.path()).out.empty());
    CHECK(wlbctl("-j check " + good.path()).out == "{\"errors\":[]}\n");
    auto outcome = wlbctl("check " + bad.path());
    CHECK(outcome.status == 1);
    CHECK(outcome.err.find(bad.path() + ":2:10: ") != std::string::npos);
    CHECK(outcome.err.find(bad.path() + ":3:1: ") != std::string::npos);
    outcome = wlbctl("-j check " + bad.path());
    CHECK(outcome.status == 1);
    CHECK(nlohmann::json::parse(outcome.out)["errors"].size() == 5);
    outcome = wlbctl("check /nonexistent/wlb.toml");
    CHECK(outcome.status == 1);
    CHECK(outcome.err == "wlbctl: /nonexistent/wlb.toml: No such file or directory\n");
    CHECK(wlbctl("check /").status == 1);
}

TEST_CASE("a file is applied", "[cli]")
{
    test::FakeState state;
    const TemporaryFile file(to_toml(test::sample()));
    auto outcome = wlbctl(state, "apply --dry-run " + file.path());
    CHECK(outcome.status == 0);
    CHECK(outcome.out.find("+ service web\n") != std::string::npos);
    CHECK(state.writes == 0);
    CHECK(wlbctl(state, "apply " + file.path()).out == outcome.out);
    CHECK(state.writes == 1);
    CHECK(state.written_roles == WLB_ROLE_ALL);
    CHECK(state.running.config == test::sample());
    CHECK(wlbctl(state, "apply " + file.path()).out == "no change\n");
    CHECK(wlbctl(state, "-j apply " + file.path()).out == "{\"changes\":[]}\n");
    CHECK(state.writes == 1);

    auto changed = test::sample();
    changed.origins[0].race = Race::raw;
    const TemporaryFile raw(to_toml(changed));
    CHECK(wlbctl(state, "-j apply " + raw.path()).out ==
          "{\"changes\":[\"~ origin www: race equal -> raw\"]}\n");
    // The file is the whole truth: what it leaves out goes off.
    const TemporaryFile empty("");
    CHECK(wlbctl(state, "apply " + empty.path()).status == 0);
    CHECK(state.running.config == Config{});
}

TEST_CASE("a file with an error applies nothing", "[cli]")
{
    test::FakeState state;
    const TemporaryFile bad(to_toml(test::sample()) + "\nname = 'x'\n");
    const auto outcome = wlbctl(state, "apply " + bad.path());
    CHECK(outcome.status == 1);
    CHECK(outcome.out.empty());
    CHECK(state.writes == 0);
}

TEST_CASE("a file that the module refuses changes nothing and shows why", "[cli]")
{
    test::FakeState state;
    state.refusal = Error{"origin \"www\": race: no (Invalid argument)", EINVAL};
    const TemporaryFile file(to_toml(test::sample()));
    const auto outcome = wlbctl(state, "apply " + file.path());
    CHECK(outcome.status == 1);
    CHECK(outcome.out.empty());
    CHECK(outcome.err == "wlbctl: origin \"www\": race: no (Invalid argument)\n");
}

TEST_CASE("what runs is saved", "[cli]")
{
    test::FakeState state;
    state.running.config = test::sample();
    const TemporaryFile file("old");
    CHECK(wlbctl(state, "save " + file.path()).status == 0);
    CHECK(parse_config(file.text()).config == test::sample());
    CHECK(wlbctl(state, "save").out == file.text());
    CHECK(wlbctl(state, "apply " + file.path()).out == "no change\n");
    CHECK(wlbctl(state, "save /nonexistent/wlb.toml").status == 1);
}

TEST_CASE("output that cannot be written is an error", "[cli]")
{
    test::FakeState state;
    std::ostringstream out;
    std::ostringstream err;
    out.setstate(std::ios::badbit);
    cli::Context context{out, err,
                         [&](const std::string &) -> Result<std::unique_ptr<Kernel>> {
                             return std::unique_ptr<Kernel>(
                                 std::make_unique<test::FakeKernel>(state));
                         },
                         false, ""};
    CHECK(cli::run(context, {"config", "defaults"}) == 1);
    CHECK(err.str() == "wlbctl: cannot write the output\n");
}
