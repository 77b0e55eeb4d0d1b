// SPDX-License-Identifier: GPL-2.0-only
#include <catch2/catch.hpp>

#include <algorithm>
#include <regex>

#include "refusals.h"
#include "sample.h"
#include "wlb/toml_reader.h"
#include "wlb/toml_writer.h"
#include "wlb/validate.h"

using namespace wlb;
using test::address;
using test::check;
using test::errors;
using test::prefix;

namespace {

// Valid objects to put a fault into: `extra` comes first, so it is on line 2.
std::string service(const std::string &extra,
                    const std::string &rest = "name = 'web'\nports = [80]\nreplicas = 'any'\n")
{
    return "[[client-gateway.service]]\n" + extra + "\n" + rest;
}

std::string
origin(const std::string &extra,
       const std::string &rest = "name = 'www'\nserver = '203.0.113.10'\nports = [80]\n")
{
    return "[[server-gateway.origin]]\n" + extra + "\n" + rest;
}

std::string served(const std::string &extra, const std::string &rest = "server = '203.0.113.10'\n"
                                                                       "ports = [80]\n"
                                                                       "local = '198.51.100.7'\n"
                                                                       "clones-from = ['::/0']\n")
{
    return "[[replica.origin]]\n" + extra + "\n" + rest;
}

std::string gateway(const std::string &extra)
{
    return "[client-gateway]\n" + extra + "\n" + service("");
}

std::string repeat(const std::string &item, int n)
{
    std::string text;
    for (int i = 0; i < n; ++i)
        text += std::regex_replace(item, std::regex("#"), std::to_string(i + 1)) + ", ";
    return "[" + text + "]";
}

} // namespace

TEST_CASE("the bases of the refusals below are valid", "[config]")
{
    CHECK(errors(service("")).empty());
    CHECK(errors(origin("")).empty());
    CHECK(errors(served("")).empty());
    CHECK(errors(gateway("")).empty());
    CHECK(errors("").empty());
}

TEST_CASE("syntax errors have a place", "[config]")
{
    check({
        {"[client-gateway\n", "1:16: "},
        {"\n\nx = \n", "3:5: "},
        {service("") + "name = 'twice'\n", "6:.*(redefine|redefinition)"},
    });
}

TEST_CASE("unknown keys are refused everywhere", "[config]")
{
    check({
        {"[client-gatewy]\n", "1:2: top level: unknown key \"client-gatewy\"; did you mean "
                              "\"client-gateway\"\\?"},
        {"zzz = 1\n",
         "1:1: .*unknown key \"zzz\"; known are client-gateway, server-gateway, replica"},
        {gateway("max-flow = 1024"), "2:1: client-gateway: .*did you mean \"max-flows\"\\?"},
        {gateway("timeouts = { race = '1s' }"), "2:14: client-gateway.timeouts: .*\"race\""},
        {service("port = [80]"), "2:1: .*unknown key \"port\"; did you mean \"ports\"\\?"},
        {origin("replica = []"), "2:1: .*did you mean \"replicas\"\\?"},
        {origin("replicas = [{ address = '198.51.100.7', weight = 1 }]"), "2:41: .*\"weight\""},
        {served("from = ['::/0']"), "2:1: .*unknown key \"from\""},
        {"[server-gateway]\nserver = 1\n", "2:1: server-gateway: unknown key \"server\""},
        {"[replica]\nbusy = 1\n", "2:1: replica: unknown key \"busy\""},
    });
}

TEST_CASE("wrong types are refused", "[config]")
{
    check({
        {"client-gateway = 1\n", "1:18: client-gateway: this is a whole number, must be a table"},
        {"[client-gateway.service]\n", "1:1: .*must be a list of tables"},
        {"[client-gateway]\nservice = [1]\n", "2:.*must be a list of tables"},
        {gateway("inside = 'lan0'"), "2:10: .*inside: this is a string, must be a list"},
        {gateway("inside = [1]"), "2:11: .*must be a string"},
        {gateway("max-flows = '1024'"), "2:13: .*must be a whole number"},
        {gateway("max-flows = 1024.5"), "2:13: .*number with a fraction, must be a whole number"},
        {gateway("returns = 'nat'"), "2:11: .*this is a string, must be a list of return modes"},
        {gateway("returns = ['nat', 1]"), "2:19: .*must be a string"},
        {served("return = 1"), "2:10: .*must be a string"},
        {served("return = 'spoof'\nvia = 4"), "3:7: .*must be a string"},
        {gateway("timeouts = 5"), "2:12: .*must be a table"},
        {gateway("timeouts = { racing = true }"), "2:23: .*whole number of seconds"},
        {origin("max-hold = 1.5"), "2:12: .*whole number of milliseconds"},
        {origin("strip-tag = 1"), "2:13: .*must be true or false"},
        {origin("fan-out = 0"), "2:11: .*fan-out is 0, must be 1..32"},
        {origin("pick = 'farthest'"), "2:8: .*must be \"nearest\" or \"random\""},
        {origin("clones-per-second = -1"), "2:21: .*clones-per-second is -1, must be 0.."},
        {origin("clones-per-prefix = 4294967296"), "2:21: .*clones-per-prefix is 4294967296"},
        {origin("cookie = '25d'"), "2:10: "},
        {origin("race = 1"), "2:8: .*must be a string"},
        {origin("replicas = '198.51.100.7'"), "2:12: .*must be a list of tables"},
        {origin("replicas = ['198.51.100.7']"), "2:13: .*must be a table as in"},
        {service("never = '10.0.0.0/8'"), "2:9: .*must be a list of prefixes"},
        {service("name = 1", "ports = [80]\nreplicas = 'any'\n"), "2:8: .*must be a string"},
        {service("ports = 80", "name = 'web'\nreplicas = 'any'\n"),
         "2:9: .*must be a list of ports, or \"all\""},
        {service("ports = ['80']", "name = 'web'\nreplicas = 'any'\n"), "2:10: .*must be a port"},
        {service("replicas = 1", "name = 'web'\nports = [80]\n"), "2:12: .*or \"any\""},
        {origin("server = 1", "name = 'www'\nports = [80]\n"), "2:10: .*must be a string"},
        {origin("ports = 'all'", "name = 'www'\nserver = '10.0.0.1'\n"), "2:9: .*list of ports"},
    });
}

TEST_CASE("missing keys are refused", "[config]")
{
    check({
        {service("", "ports = [80]\nreplicas = 'any'\n"), "1:1: service #1: name is missing"},
        {service("", "name = 'web'\nreplicas = 'any'\n"), "1:1: .*ports is missing"},
        {service("ports = []", "name = 'web'\nreplicas = 'any'\n"), "2:9: .*ports is missing"},
        {service("", "name = 'web'\nports = [80]\n"), "1:1: .*replicas is missing.*say \"any\""},
        {service("replicas = []", "name = 'web'\nports = [80]\n"), "2:12: .*replicas is missing"},
        {origin("", "server = '10.0.0.1'\nports = [80]\n"), "1:1: origin #1: name is missing"},
        {origin("", "name = 'www'\nports = [80]\n"), "1:1: .*server is missing"},
        {origin("", "name = 'www'\nserver = '10.0.0.1'\n"), "1:1: .*ports is missing"},
        {origin("replicas = [{ via = 'gre' }]"), "2:13: .*address is missing"},
        {served("", "ports = [80]\nlocal = '10.0.0.2'\nclones-from = ['::/0']\n"),
         "1:1: .*server is missing"},
        {served("", "server = '10.0.0.1'\nlocal = '10.0.0.2'\nclones-from = ['::/0']\n"),
         "1:1: .*ports is missing"},
        {served("", "server = '10.0.0.1'\nports = [80]\nclones-from = ['::/0']\n"),
         "1:1: .*local is missing"},
        {served("", "server = '10.0.0.1'\nports = [80]\nlocal = '10.0.0.2'\n"),
         "1:1: .*clones-from is missing"},
        {served("", "server = '2001:db8:1111:2222:3333:4444:5555:6666'\nports = [80]\n"
                    "local = '2001:db8::1'\nclones-from = ['::/0']\n"),
         "1:1: .*name must be 1..31 characters"},
        {"[client-gateway]\nmax-flows = 2048\n", "1:1: .*settings without a service"},
        {"[server-gateway]\nclones-per-second = 1\n", "1:1: .*settings without an origin"},
    });
}

TEST_CASE("values outside their ranges are refused", "[config]")
{
    check({
        {service("ports = [443, 0]", "name = 'web'\nreplicas = 'any'\n"),
         "2:15: .*port 0 is outside 1..65535"},
        {service("ports = [65536]", "name = 'web'\nreplicas = 'any'\n"), "2:10: .*outside"},
        {service("ports = [-1]", "name = 'web'\nreplicas = 'any'\n"), "2:10: .*outside"},
        {service("ports = [80, 443, 80]", "name = 'web'\nreplicas = 'any'\n"),
         "2:19: .*port 80 is given twice"},
        {service("ports = 'some'", "name = 'web'\nreplicas = 'any'\n"), "2:9: .*or \"all\""},
        {service("ports = " + repeat("#", 17), "name = 'web'\nreplicas = 'any'\n"),
         "2:65: .*ports has more than 16"},
        {service("name = 'a b'", "ports = [80]\nreplicas = 'any'\n"), "2:8: .*name must be 1..31"},
        {service("name = '" + std::string(32, 'a') + "'", "ports = [80]\nreplicas = 'any'\n"),
         "2:8: .*name must be 1..31"},
        {service("name = ''", "ports = [80]\nreplicas = 'any'\n"), "2:8: .*name is missing"},
        {service("replicas = 'all'", "name = 'web'\nports = [80]\n"), "2:12: .*or \"any\""},
        {service("replicas = ['10.0.0.1/8']", "name = 'web'\nports = [80]\n"),
         "2:13: .*bits set past its length; did you mean 10.0.0.0/8 or 10.0.0.1\\?"},
        {service("replicas = ['10.0.0.0/33']", "name = 'web'\nports = [80]\n"),
         "2:13: .*prefix length must be 0..32"},
        {service("never = ['10.0.0.0/8', 'x']"), "2:24: .*\"x\" is not an address or prefix"},
        {service("never = ['10.0.0.1/31']"), "2:10: .*never: .*bits set"},
        {service("sticky = '577h'"), "2:10: .*sticky is 2077200, must be 0..2073600"},
        {service("sticky = '5ms'"), "2:10: .*not a whole number of seconds"},
        {service("race = 'equal'"), "2:8: .*\"equal\" must be \"race\" or \"direct\""},
        {service("fan-out = 0"), "2:11: .*fan-out is 0, must be 1..8"},
        {service("fan-out = 9"), "2:11: .*fan-out is 9, must be 1..8"},
        {service("fan-out = 256"), "2:11: .*fan-out is 256, must be 1..8"},
        {service("explore = '577h'"), "2:11: .*explore is 2077200, must be 0..2073600"},
        {service("fastpath = 'yes'"), "2:12: .*\"yes\" must be \"auto\", \"on\" or \"off\""},
        {gateway("max-learned = 15"), "2:15: .*max-learned is 15, must be 16..65536"},
        {gateway("max-learned = 65537"), "2:15: .*max-learned is 65537"},
        {gateway("timeouts = { learned = 0 }"), "2:24: .*timeouts.learned is 0, must be 1"},
        {served("trust-path = true"), "2:14: .*trust-path: only with return = spoof"},
        {served("trust-path = 1"), "2:14: .*trust-path"},
        {service("never = " + repeat("'10.0.0.#'", 65)), "2:.*never has more than 64"},
        {gateway("max-flows = 1023"), "2:13: .*max-flows is 1023, must be 1024..16777216"},
        {gateway("max-flows = 16777217"), "2:13: .*must be 1024..16777216"},
        {gateway("client-quota = 0"), "2:16: .*must be 1..4294967295"},
        {gateway("client-quota = 4294967296"), "2:16: .*must be 1..4294967295"},
        {gateway("conntrack = 'inside'"),
         "2:13: client-gateway.conntrack: \"inside\" must be \"outside\" or \"notrack\""},
        {gateway("conntrack = true"), "2:13: .*must be a string"},
        {gateway("contrack = 'notrack'"), "2:1: .*did you mean \"conntrack\"\\?"},
        {gateway("returns = []"), "2:11: client-gateway: returns must have at least one"},
        {gateway("returns = ['spoof', 'direct']"),
         "2:21: client-gateway.returns.1.: \"direct\" must be \"nat\", \"spoof\" or \"tunnel\""},
        {gateway("returns = ['nat', 'tunnel', 'nat']"),
         "2:29: client-gateway.returns.2.: \"nat\" is given twice"},
        {gateway("timeouts = { racing = 0 }"), "2:23: .*timeouts.racing is 0, must be 1..2073600"},
        {gateway("timeouts = { reset = '577h' }"), "2:22: .*timeouts.reset is 2077200"},
        {gateway("timeouts = { closing = '1500ms' }"), "2:24: .*not a whole number of seconds"},
        {gateway("timeouts = { closing = '5 s' }"), "2:24: .*is not a duration"},
        {gateway("timeouts = { closing = -5 }"), "2:24: .*must not be negative"},
        {gateway("timeouts = { untagged = '577h' }"), "2:25: .*timeouts.untagged is 2077200"},
        {gateway("timeouts = { dead = 7 }"), "2:21: .*timeouts.dead is 7, must be 8..2073600"},
        {gateway("inside = ['lan0', 'lan0']"), "2:19: .*\"lan0\" is given twice"},
        {gateway("inside = ['a/b']"), "2:11: .*is not an interface name"},
        {gateway("inside = ['abcdefghijklmnop']"), "2:11: .*is not an interface name"},
        {gateway("inside = " + repeat("'lan#'", 17)), "2:.*inside has more than 16"},
        {origin("max-hold = '1001ms'"), "2:12: .*max-hold is 1001ms, must be 0s..1s"},
        {origin("max-hold = 1001"), "2:12: .*max-hold is 1001ms"},
        {origin("race = 'fair'"), "2:8: .*must be \"raw\" or \"equal\""},
        {origin("replicas = [{ address = '198.51.100.7', via = 'vxlan' }]"),
         "2:47: .*must be \"gre\" or \"ipip\""},
        {origin("replicas = [{ address = '198.51.100.7', delay = '2s' }]"),
         "2:49: .*delay of 198.51.100.7 is 2s, must be 0s..1s"},
        {origin("replicas = [{ address = '198.51.100' }]"),
         "2:25: .*is not an IPv4 or IPv6 address"},
        {origin("replicas = " + repeat("{ address = '198.51.100.#' }", 33)),
         "2:.*replicas has more than 32"},
        {origin("server = " + repeat("'203.0.113.#'", 17), "name = 'www'\nports = [80]\n"),
         "2:.*server has more than 16"},
        {origin("source = '203.0.113.1/32'"), "2:10: .*is not an IPv4 or IPv6 address"},
        {served("clones-from = " + repeat("'10.0.0.#'", 65),
                "server = '203.0.113.10'\nports = [80]\nlocal = '198.51.100.7'\n"),
         "2:.*clones-from has more than 64"},
    });
}

TEST_CASE("return modes that do not go together with the rest are refused", "[config]")
{
    const std::string two = "ports = [80]\nlocal = '198.51.100.7'\nclones-from = ['::/0']\n";
    const std::string servers = "server = ['203.0.113.10', '203.0.113.11']\n";
    check({
        {served("return = 'direct'"),
         "2:10: replica.origin.0..return: \"direct\" must be \"nat\", \"spoof\" or \"tunnel\"$"},
        {served("return = 'tunnel'\nvia = 'vxlan'"),
         "3:7: replica.origin.0..via: \"vxlan\" must be \"gre\" or \"ipip\"$"},
        {served("via = 'ipip'"),
         "2:7: replica \"203.0.113.10\": via: only with return = spoof or tunnel$"},
        // The default of `via` is one that was given all the same.
        {served("via = 'gre'\nreturn = 'nat'"), "2:7: .*via: only with return"},
        // Not known whether `via` goes with it: that one error is enough.
        {served("via = 'gre'\nreturn = 'direct'"), "3:10: .*\"direct\" must be"},
        {served("return = 'spoof'\n" + servers, two),
         "3:27: replica \"203.0.113.10\": server: only one with return = spoof"},
    });
    CHECK(errors(served("return = 'nat'\n" + servers, two)).empty());
    CHECK(errors(served("return = 'tunnel'\n" + servers, two)).empty());
}

TEST_CASE("return modes are read", "[config]")
{
    const auto read = [](const std::string &extra) {
        const auto parsed = parse_config(served(extra));
        REQUIRE(parsed.errors.empty());
        const auto &served = parsed.config.served.front();
        return std::pair(served.return_mode, served.via);
    };
    CHECK(read("") == std::pair(Return::nat, std::optional<Via>()));
    CHECK(read("return = 'nat'") == std::pair(Return::nat, std::optional<Via>()));
    CHECK(read("return = 'spoof'") == std::pair(Return::spoof, std::optional(Via::gre)));
    CHECK(read("return = 'spoof'\nvia = 'gre'") ==
          std::pair(Return::spoof, std::optional(Via::gre)));
    CHECK(read("via = 'ipip'\nreturn = 'tunnel'") ==
          std::pair(Return::tunnel, std::optional(Via::ipip)));

    const auto offered = [](const std::string &extra) {
        return parse_config(gateway(extra)).config.client_gateway.returns;
    };
    const std::set<Return> all{Return::nat, Return::spoof, Return::tunnel};
    CHECK(offered("") == all);
    CHECK(offered("returns = ['tunnel', 'nat', 'spoof']") == all);
    CHECK(offered("returns = ['tunnel']") == std::set<Return>{Return::tunnel});
}

TEST_CASE("the ends of the ranges are accepted", "[config]")
{
    for (const auto &toml : {
             gateway("max-flows = 1024"),
             gateway("max-flows = 16777216"),
             gateway("client-quota = 1"),
             gateway("max-learned = 16"),
             gateway("max-learned = 65536"),
             service("race = 'direct'\nfan-out = 1\nexplore = 0"),
             service("race = 'race'\nfan-out = 8\nexplore = '576h'"),
             gateway("client-quota = 4294967295"),
             gateway("timeouts = { racing = 1, established = 2073600 }"),
             gateway("inside = ['abcdefghijklmno']"),
             gateway("inside = " + repeat("'lan#'", 16)),
             service("ports = [1, 65535]", "name = 'web'\nreplicas = 'any'\n"),
             service("ports = " + repeat("#", 16), "name = 'web'\nreplicas = 'any'\n"),
             service("name = '" + std::string(31, 'a') + "'", "ports = [80]\nreplicas = 'any'\n"),
             service("name = 'aZ09_.-'", "ports = [80]\nreplicas = 'any'\n"),
             service("never = " + repeat("'10.0.0.#'", 64)),
             origin("max-hold = 0"),
             origin("max-hold = '1s'"),
             origin("replicas = [{ address = '198.51.100.7', delay = '1s' }]"),
             origin("replicas = " + repeat("{ address = '198.51.100.#' }", 32)),
             origin("server = " + repeat("'203.0.113.#'", 16), "name = 'www'\nports = [80]\n"),
         }) {
        INFO(toml);
        const auto found = errors(toml);
        CAPTURE(found);
        CHECK(found.empty());
    }
}

TEST_CASE("addresses that do not go together are refused", "[config]")
{
    check({
        {origin("server = ['203.0.113.10', '2001:db8::1']", "name = 'www'\nports = [80]\n"),
         "2:27: .*2001:db8::1 must be IPv4 as the server 203.0.113.10"},
        {origin("server = ['203.0.113.10', '203.0.113.10']", "name = 'www'\nports = [80]\n"),
         "2:27: .*203.0.113.10 is given twice"},
        {origin("server = '224.0.0.1'", "name = 'www'\nports = [80]\n"), "2:10: .*one host"},
        {origin("replicas = [{ address = '2001:db8::7' }]"), "2:25: .*must be IPv4"},
        {origin("replicas = [{ address = '203.0.113.10' }]"), "2:25: .*is a server of this origin"},
        {origin("replicas = [{ address = '198.51.100.7' }, { address = '198.51.100.7' }]"),
         "2:55: .*198.51.100.7 is given twice"},
        {origin("replicas = [{ address = '0.0.0.0' }]"), "2:25: .*one host"},
        {origin("source = '2001:db8::1'"), "2:10: .*source: 2001:db8::1 must be IPv4"},
        {origin("source = '255.255.255.255'"), "2:10: .*one host"},
        {served("local = '2001:db8::1'",
                "server = '203.0.113.10'\nports = [80]\nclones-from = ['::/0']\n"),
         "2:9: .*local: 2001:db8::1 must be IPv4"},
        {served("local = '203.0.113.10'",
                "server = '203.0.113.10'\nports = [80]\nclones-from = ['::/0']\n"),
         "2:9: .*is a server of this origin"},
        {served("server = ['2001:db8::1', '203.0.113.10']",
                "ports = [80]\nlocal = '2001:db8::2'\nclones-from = ['::/0']\n"),
         "2:26: .*203.0.113.10 must be IPv6"},
    });
}

TEST_CASE("objects that collide are refused", "[config]")
{
    const std::string any = "replicas = 'any'\n";
    check({
        {service("") + service("name = 'web'", "ports = [81]\n" + any),
         "7:8: service \"web\": there is another service of this name"},
        {service("") + service("name = 'b'", "ports = [81, 80]\n" + any),
         "8:14: .*port 80 is in service \"web\" already"},
        {service("name = 'a'", "ports = 'all'\n" + any) +
             service("name = 'b'", "ports = 'all'\n" + any),
         "7:9: .*service \"a\" has \"all\" already"},
        {origin("") + origin("name = 'www'", "server = '203.0.113.11'\nports = [80]\n"),
         "7:8: .*another origin of this name"},
        {origin("") +
             origin("name = 'b'", "server = ['203.0.113.9', '203.0.113.10']\nports = [80]\n"),
         "8:26: .*203.0.113.10:80 is in origin \"www\" already"},
        {served("") + served("name = 'b'"),
         "9:10: .*203.0.113.10:80 is in replica \"203.0.113.10\""},
        {served("") + served("ports = [81]", "server = '203.0.113.10'\nlocal = '198.51.100.7'\n"
                                             "clones-from = ['::/0']\n"),
         "7:1: .*another replica of this name"},
    });
    // The same server and port in two roles is two hosts' business.
    CHECK(errors(origin("") + served("")).empty());
    CHECK(errors(origin("") + origin("name = 'b'", "server = '203.0.113.10'\nports = [81]\n"))
              .empty());
}

TEST_CASE("every error is shown, in the order of the file", "[config]")
{
    const auto found = errors("[client-gateway]\nmax-flows = 1\n[[client-gateway.service]]\n"
                              "nam = 'web'\nports = [80, 0, 80]\n");
    REQUIRE(found.size() == 6);
    CHECK(found[0].substr(0, 5) == "2:13:");
    CHECK(found[1].substr(0, 4) == "3:1:");
    CHECK(found[2].substr(0, 4) == "3:1:");
    CHECK(found[3].substr(0, 4) == "4:1:");
    CHECK(found[4].substr(0, 5) == "5:14:");
    // An item that could not be read must not shift the places of those behind it.
    CHECK(found[5].substr(0, 5) == "5:17:");
    CHECK(std::is_sorted(found.begin(), found.end()));
}

TEST_CASE("more objects than the module takes are refused", "[config]")
{
    std::string text;
    for (int i = 0; i < 1025; ++i)
        text += "[[client-gateway.service]]\nname = 's" + std::to_string(i) + "'\nports = [" +
                std::to_string(i + 1) + "]\nreplicas = 'any'\n";
    check({{text, "4097:1: client-gateway.service: more than 1024"}});
}

TEST_CASE("a file is read", "[config]")
{
    const auto parsed = parse_config(test::source_file("packaging/wlb.toml.example"));
    REQUIRE(parsed.errors.empty());
    const auto &config = parsed.config;
    CHECK(config.client_gateway.inside == std::vector<std::string>{"lan0"});
    REQUIRE(config.client_gateway.services.size() == 1);
    const auto &web = config.client_gateway.services.front();
    CHECK(web.name == "web");
    CHECK(web.ports == std::vector<std::uint16_t>{80, 443});
    CHECK(web.replicas ==
          std::vector<Prefix>{prefix("198.51.100.0/24"), prefix("2001:db8:7::/48")});
    CHECK(web.never == std::vector<Prefix>{prefix("203.0.113.99"), prefix("10.1.9.0/24")});
    REQUIRE(config.origins.size() == 1);
    const auto &www = config.origins.front();
    CHECK(www.race == Race::equal);
    CHECK(www.max_hold == microseconds(200000));
    CHECK(www.replicas ==
          std::vector<Replica>{{address("198.51.100.7"), Via::gre, microseconds(55000)}});
    CHECK(www.source == address("203.0.113.1"));
    REQUIRE(config.served.size() == 1);
    CHECK(config.served.front().local == address("198.51.100.7"));
    CHECK(config.served.front().from == std::vector<Prefix>{prefix("203.0.113.1")});
}

TEST_CASE("absent keys take the defaults", "[config]")
{
    const auto config = parse_config(service("") + origin("") + served("")).config;
    const auto &gateway = config.client_gateway;
    CHECK(gateway.inside.empty());
    CHECK(gateway.max_flows == 131072);
    CHECK(gateway.client_quota == 4096);
    CHECK(gateway.timeouts ==
          Timeouts{seconds(70), seconds(70), seconds(7440), seconds(60), seconds(10)});
    CHECK(gateway.timeouts.learned == seconds(600));
    CHECK(gateway.max_learned == 4096);
    CHECK(gateway.services.front().race == ServiceRace::join);
    CHECK(gateway.services.front().fan_out == 4);
    CHECK(gateway.services.front().explore == seconds(10));
    CHECK(gateway.services.front().fastpath == FastPath::automatic);
    CHECK(config.origins.front().race == Race::raw);
    CHECK(config.origins.front().max_hold == microseconds(200000));
    CHECK(config.origins.front().replicas.empty());
    CHECK_FALSE(config.origins.front().source);
    CHECK_FALSE(config.origins.front().strip_tag);
    CHECK(config.served.front().name == "203.0.113.10");
    const auto six = parse_config(served("", "server = '2001:db8::1'\nports = [80]\n"
                                             "local = '2001:db8::2'\nclones-from = ['::/0']\n"));
    REQUIRE(six.errors.empty());
    CHECK(six.config.served.front().name == "2001-db8--1");
}

TEST_CASE("units of bare numbers", "[config]")
{
    const auto config = parse_config(gateway("timeouts = { racing = 5, reset = '2m' }") +
                                     origin("max-hold = 5\nreplicas = [{ address = '10.0.0.7', "
                                            "delay = 6 }]"))
                            .config;
    CHECK(config.client_gateway.timeouts.racing == seconds(5));
    CHECK(config.client_gateway.timeouts.reset == seconds(120));
    CHECK(config.origins.front().max_hold == microseconds(5000));
    CHECK(config.origins.front().replicas.front().delay == microseconds(6000));
}

TEST_CASE("what is written is read back", "[config]")
{
    REQUIRE(validate(test::sample()).empty());
    const auto parsed = parse_config(to_toml(test::sample()));
    INFO(to_toml(test::sample()));
    REQUIRE(parsed.errors.empty());
    CHECK(parsed.config == test::sample());
    CHECK(parse_config(to_toml(Config{})).errors.empty());
    CHECK(parse_config(to_toml(Config{})).config == Config{});
}

TEST_CASE("a large file takes no longer than it should", "[config]")
{
    // Quadratic work shows as minutes here.
    Config config;
    for (int i = 0; i < 1024; ++i) {
        auto origin = test::sample().origins.front();
        origin.name = "o" + std::to_string(i);
        origin.servers = {
            *Address::parse("10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1))};
        origin.replicas.clear();
        for (int j = 1; j <= 32; ++j)
            origin.replicas.push_back(
                {*Address::parse("198.51.100." + std::to_string(j)), Via::gre, microseconds(j)});
        config.origins.push_back(origin);
    }
    const auto start = std::chrono::steady_clock::now();
    CHECK(parse_config(to_toml(config)).config == config);
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(30));
}

TEST_CASE("the defaults that are printed are the defaults", "[config]")
{
    // What a user gets who uncomments every key.
    const auto text = std::regex_replace(defaults_toml(), std::regex("(^|\n)#([a-z\\[])"), "$1$2");
    const auto parsed = parse_config(text);
    INFO(text);
    REQUIRE(parsed.errors.empty());
    Config wanted;
    Service web;
    web.name = "web";
    web.ports = {80, 443};
    web.replicas = {prefix("198.51.100.0/24")};
    wanted.client_gateway.services = {web};
    Origin www;
    www.name = "www";
    www.servers = {address("203.0.113.10")};
    www.ports = {80, 443};
    wanted.origins = {www};
    wanted.served = {{"203.0.113.10",
                      {address("203.0.113.10")},
                      {80, 443},
                      address("198.51.100.7"),
                      Return::nat,
                      std::nullopt,
                      false,
                      {prefix("203.0.113.1")}}};
    CacheGroup group;
    group.group_list = {prefix("192.0.2.0/24")};
    wanted.cache_router.groups = {group};
    Membership member;
    member.address = address("192.0.2.21");
    member.routers = {address("192.0.2.1")};
    wanted.cache_host.groups = {member};
    ProcessCopy copy;
    copy.name = "watch";
    copy.file = "/var/lib/wlb/watch.pcapng";
    ProcessRule rule;
    rule.on = {ProcessOn::returned};
    wanted.processing.copies = {copy};
    wanted.processing.rules = {rule};
    CHECK(parsed.config == wanted);
    // Nothing but comments until then.
    CHECK(parse_config(defaults_toml()).config == Config{});
}

TEST_CASE("the manual has every key with its default", "[config][docs]")
{
    const auto manual = test::source_file("docs/wlb.toml.5");
    const auto text = defaults_toml();
    const std::regex key("\n#(?: )?([a-z-]+) = ([^\n]*)");
    int keys = 0;
    for (std::sregex_iterator i(text.begin(), text.end(), key), end; i != end; ++i, ++keys) {
        INFO((*i)[1]);
        CHECK(manual.find(".It Ic " + (*i)[1].str()) != std::string::npos);
    }
    CHECK(keys == 114);
    for (const auto *part :
         {"131072", "4096", "70s", "7440s", "60s", "10s", "600s", "30s", "200ms"}) {
        INFO(part);
        CHECK(manual.find(part) != std::string::npos);
    }
}
