// SPDX-License-Identifier: GPL-2.0-only
#include <catch2/catch.hpp>

#include "refusals.h"
#include "sample.h"
#include "wlb/cache_host.h"
#include "wlb/toml_writer.h"
#include "wlb/validate.h"

using namespace wlb;
using test::address;
using test::check;
using test::errors;
using test::prefix;

namespace {

// A valid group to put a fault into: `extra` is on line 2.
std::string group(const std::string &extra, const std::string &rest = "service = 'web-cache'\n"
                                                                      "address = '192.0.2.21'\n"
                                                                      "routers = ['192.0.2.1']\n")
{
    return "[[cache.group]]\n" + extra + "\n" + rest;
}

// The same for a setting of the role itself.
std::string role(const std::string &extra, const std::string &group_extra = "")
{
    return "[cache]\n" + extra + "\n" + group(group_extra);
}

// A dynamic service: `entries` begin at 2:13.
std::string service(const std::string &entries)
{
    return group("service = { " + entries + " }",
                 "address = '192.0.2.21'\nrouters = ['192.0.2.1']\n");
}

// `entries` begin at 2:11.
std::string probe(const std::string &entries)
{
    return group("probe = { " + entries + " }");
}

// `entries` begin at 2:13.
std::string member(const std::string &entries)
{
    return group("member = [{ " + entries + " }]");
}

std::string six(const std::string &extra)
{
    return group(extra,
                 "service = 'web-cache'\naddress = '2001:db8::21'\nrouters = ['2001:db8::1']\n");
}

std::string repeat(const std::string &item, int n)
{
    std::string text;
    for (int i = 0; i < n; ++i)
        text += std::regex_replace(item, std::regex("#"), std::to_string(i + 1)) + ", ";
    return "[" + text + "]";
}

Membership read(const std::string &toml)
{
    INFO(toml);
    const auto found = errors(toml);
    CAPTURE(found);
    REQUIRE(found.empty());
    return parse_config(toml).config.cache_host.groups.front();
}

RedirectRule rule(const char *text)
{
    return *parse_redirect_rule(text);
}

// Every key with a value that is not its default.
Config full()
{
    Config config;
    auto &host = config.cache_host;
    host.mark = 4294967295;
    host.bypass = {rule("!10.1.0.0/16"), rule("10.0.0.0/8 -> 192.0.2.0/24")};
    host.overload = {10000, 8.25, milliseconds(500)};
    Membership group;
    group.service = {{true, 80},
                     17,
                     {80, 8080},
                     true,
                     {HashField::source_ip},
                     {HashField::destination_ip, HashField::destination_port},
                     200};
    group.address = address("2001:db8::21");
    group.routers = {address("2001:db8::1"), address("2001:db8::2")};
    group.group_address = address("ff05::1");
    group.group_interface = "eth0";
    group.learn_routers = false;
    group.strict_source = false;
    group.router_list = {prefix("2001:db8::/64")};
    group.password_file = "/etc/wlb/\"key\"";
    group.forwarding = {Forward::l2, Forward::gre};
    group.returning = {Forward::l2};
    group.assignment = {Allotment::mask, Allotment::hash};
    group.interval = milliseconds(500);
    group.timeout_scale = 2;
    group.assignment_scale = 5;
    group.weight = 65535;
    group.mask = CacheMask{address("::7"), address("::1"), 1, 0x8000};
    group.bucket_format = BucketFormat::draft;
    group.hot_buckets = {0, 17, 255};
    group.slow_start = seconds(120);
    group.yield = true;
    group.deliver = Deliver{DeliverBy::tproxy, 3129};
    group.probe = Probe{HttpProbe{address("::1"), 3128, "/health?a=b", {200, 204}},
                        milliseconds(1500), milliseconds(250), 1, 100};
    group.members = {{address("2001:db8::22"), {{0, 63}, {128, 128}}, {}},
                     {address("2001:db8::21"),
                      {},
                      {{prefix("2001:db8:1::/48"), prefix("::/0"), 1, 65535}, {{}, {}, {}, 81}}}};
    Membership web;
    web.address = address("192.0.2.21");
    web.group_address = address("239.1.1.1");
    web.group_interface = "eth1";
    web.version_2_01 = false;
    web.deliver = Deliver{DeliverBy::redirect, 3128};
    web.probe = Probe{TcpProbe{address("127.0.0.1"), 3128}};
    Membership other = group;
    other.service = {{true, 81}, 0, {}, false, {}, {}, 0};
    other.probe = Probe{CommandProbe{{"/usr/lib/x", "\\ \"arg\"", ""}}};
    host.groups = {group, web, other};
    return config;
}

} // namespace

TEST_CASE("a cache host's configuration is read back as it is written", "[config][wccp][cached]")
{
    const auto text = to_toml(full());
    INFO(text);
    CHECK(validate(full()).empty());
    CHECK(errors(text).empty());
    CHECK(parse_config(text).config == full());
}

TEST_CASE("a membership that says only what it must has the defaults", "[config][wccp][cached]")
{
    Membership wanted;
    wanted.address = address("192.0.2.21");
    wanted.routers = {address("192.0.2.1")};
    CHECK(read(group("")) == wanted);
    wanted.service.id = {true, 0};
    CHECK(read(service("id = 0")) == wanted);
    wanted.probe = Probe{HttpProbe{address("127.0.0.1"), 80, "/", {}}};
    CHECK(wanted.probe->interval == seconds(2));
    CHECK(wanted.probe->timeout == seconds(1));
    wanted.service = {};
    CHECK(read(probe("http = 'http://127.0.0.1'")) == wanted);
    wanted.probe->interval = milliseconds(400);
    wanted.probe->timeout = milliseconds(400); // no longer than the interval
    CHECK(read(probe("http = 'http://127.0.0.1:80/', interval = '400ms'")) == wanted);
}

TEST_CASE("a cache host's settings are refused where they are", "[config][wccp][cached]")
{
    check({
        {"cache = 1\n", "1:9: cache: this is a whole number, must be a table"},
        {"[cache]\nmak = 1\n" + group(""), "2:1: cache: .*did you mean \"mark\""},
        {"[cache]\nmark = 2\n", "1:1: cache: settings without a group"},
        {"[cache]\ngroup = 1\n", "2:9: .*must be a list of tables"},
        {role("mark = 0"), "2:8: cache: mark is 0, must be 1..4294967295"},
        {role("mark = 4294967296"), "2:8: .*must be 1..4294967295"},
        {role("mark = 'x'"), "2:8: .*must be a whole number"},
        {role("bypass = '10.0.0.0/8'"), "2:10: .*must be a list of rules"},
        {role("bypass = ['10.0.0.1/8']"), "2:11: .*10.0.0.1/8 has bits set past its length"},
        {role("bypass = ['any', '10.0.0.0/8 -> ::/0']"), "2:18: .*addresses of one family"},
        {role("bypass = ['!']"), "2:11: .*is not an address or prefix"},
        {role("bypass = " + repeat("'any'", 513)), "2:.*bypass has more than 512"},
        {role("overload = 5"), "2:12: .*must be a table as in . connections = 10000 ."},
        {role("overload = { conn = 5 }"), "2:14: cache.overload: unknown key \"conn\""},
        {role("overload = { connections = 0 }"),
         "2:28: .*overload.connections is 0, must be 1..100000000"},
        {role("overload = { connections = 100000001 }"), "2:28: .*must be 1..100000000"},
        {role("overload = { connections = 1.5 }"), "2:28: .*must be a whole number"},
        {role("overload = { load = 0 }"), "2:21: .*overload.load must be 0.01..1000000"},
        {role("overload = { load = nan }"), "2:21: .*overload.load must be 0.01..1000000"},
        {role("overload = { load = inf }"), "2:21: .*overload.load must be 0.01..1000000"},
        {role("overload = { load = 9007199254740993 }"), "2:21: .*must be 0.01..1000000"},
        {role("overload = { load = '8' }"), "2:21: .*this is a string, must be a number"},
        {role("overload = { answer-time = 0 }", "probe = { tcp = '127.0.0.1:1' }"),
         "2:28: .*overload.answer-time is 0s, must be 1ms..60s"},
        {role("overload = { answer-time = '61s' }", "probe = { tcp = '127.0.0.1:1' }"),
         "2:28: .*must be 1ms..60s"},
        {role("overload = { answer-time = '1500us' }", "probe = { tcp = '127.0.0.1:1' }"),
         "2:28: .*1500us is not a whole number of milliseconds"},
        {role("overload = { answer-time = '1s' }"), "2:28: .*only with a probe in one of"},
        // That the probe is wrong is enough.
        {role("overload = { answer-time = '1s' }", "probe = true"), "4:9: .*must be a table"},
    });
}

TEST_CASE("a membership's faults are refused where they are", "[config][wccp][cached]")
{
    const std::string rest = "address = '192.0.2.21'\nrouters = ['192.0.2.1']\n";
    const std::string unrouted = "service = 'web-cache'\naddress = '192.0.2.21'\n";
    const std::string unnamed = "service = 'web-cache'\nrouters = ['192.0.2.1']\n";
    check({
        {group("adress = '192.0.2.21'"), "2:1: cache.group.0.: .*did you mean \"address\""},
        {group("", rest), "1:1: .*service is missing: \"web-cache\", or a table as in . id = 80"},
        {group("service = 80", rest), "2:11: .*must be \"web-cache\", or a table as in . id = 80"},
        {group("service = '80'", rest), "2:11: .*\"80\" must be \"web-cache\", or a table"},
        {group("service = {}", rest), "2:11: .*id is missing: the number of a dynamic service"},
        {service("id = 256"), "2:18: .*id is 256, must be 0..255"},
        {service("id = 'web'"), "2:18: .*must be a whole number"},
        {service("id = 1, prio = 3"), "2:21: .*unknown key \"prio\""},
        {service("id = 1, protocol = 'sctp'"),
         "2:32: .*\"sctp\" must be \"tcp\", \"udp\" or a number of 0..255"},
        {service("id = 1, protocol = 256"), "2:32: .*service.protocol is 256, must be 0..255"},
        {service("id = 1, protocol = true"), "2:32: .*must be \"tcp\", \"udp\" or a number"},
        {service("id = 1, ports = 80"), "2:29: .*must be a list of ports"},
        {service("id = 1, ports = [0]"), "2:30: .*port 0 is outside 1..65535"},
        {service("id = 1, ports = [80, 80]"), "2:34: .*port 80 is given twice"},
        {service("id = 1, ports = " + repeat("#", 9)), "2:54: .*ports has more than 8"},
        {service("id = 1, protocol = 0, ports = [80]"), "2:43: .*only with protocol = \"tcp\" or"},
        {service("id = 1, ports = [80], ports-are = 'both'"),
         "2:47: .*\"both\" must be \"destination\" or \"source\""},
        {service("id = 1, ports-are = 'source'"), "2:33: .*ports-are: only with ports"},
        {service("id = 1, hash = ['ip']"),
         "2:29: .*\"ip\" must be \"source-ip\", \"destination-ip\""},
        {service("id = 1, alternative-hash = ['source-ip', 'source-ip']"),
         "2:54: .*\"source-ip\" is given twice"},
        {service("id = 1, priority = 256"), "2:32: .*service.priority is 256, must be 0..255"},
        {group("", unnamed), "1:1: .*address is missing"},
        {group("address = '192.0.2.21/24'", unnamed), "2:11: .*is not an IPv4 or IPv6 address"},
        {group("address = '239.1.1.1'", unnamed), "2:11: .*address: 239.1.1.1 must be the address"},
        {group("", unrouted), "1:1: group web-cache: routers is missing: .*group-address"},
        {group("routers = '192.0.2.1'", unrouted), "2:11: .*must be a list of addresses"},
        {group("routers = ['192.0.2.1', 'r1']", unrouted), "2:25: .*\"r1\" is not an IPv4"},
        {group("routers = ['192.0.2.1', '2001:db8::1']", unrouted),
         "2:25: .*2001:db8::1 must be IPv4 as the address 192.0.2.21"},
        {group("routers = ['192.0.2.1', '192.0.2.1']", unrouted), "2:25: .*is given twice"},
        {group("routers = ['192.0.2.21']", unrouted), "2:12: .*is this cache's own address"},
        {group("routers = ['0.0.0.0']", unrouted), "2:12: .*must be the address of one host"},
        {group("routers = " + repeat("'192.0.3.#'", 33), unrouted), "2:.*routers has more than 32"},
        {group("group-address = '192.0.2.9'\ngroup-interface = 'eth0'"), "2:17: .*multicast"},
        {group("group-address = 'ff05::1'\ngroup-interface = 'eth0'"), "2:17: .*must be IPv4"},
        {group("group-address = '239.1.1.1'"), "1:1: .*group-interface is missing"},
        {group("group-interface = 'eth0'"), "2:19: .*only with group-address"},
        {group("group-interface = 'eth/0'\ngroup-address = '239.1.1.1'"),
         "2:19: .*\"eth/0\" is not an interface name"},
        {group("learn-routers = 1"), "2:17: .*must be true or false"},
        {group("strict-source = 'no'"), "2:17: .*must be true or false"},
        {group("router-list = []"), "2:15: .*at least one item; without the key everybody's"},
        {group("router-list = ['192.0.2.1/24']"), "2:16: .*bits set past its length"},
        {group("router-list = " + repeat("'10.0.0.#'", 65)), "2:.*router-list has more than 64"},
        {group("password-file = 'key'"), "2:17: .*must begin with a slash"},
        {group("version = '2'"), "2:11: .*must be \"2.00\" or \"2.01\""},
        {six("version = '2.00'"), "2:11: group web-cache .IPv6.: .*\"2.00\" has no IPv6"},
        {group("forwarding = []"), "2:14: .*at least one method"},
        {group("forwarding = ['ipip']"), "2:15: .*must be \"gre\" or \"l2\""},
        {group("return = ['gre', 'gre']"), "2:18: .*given twice"},
        {group("assignment = 'hash'"), "2:14: .*must be a list of assignment methods"},
        {group("assignment = ['bucket']"), "2:15: .*must be \"hash\" or \"mask\""},
        {group("interval = '499ms'"), "2:12: .*interval is 499ms, must be 500ms..60s"},
        {group("interval = 60001"), "2:12: .*interval is 60001ms, must be"},
        {group("interval = '500500us'"), "2:12: .*not a whole number of milliseconds"},
        {group("timeout-scale = 0"), "2:17: .*timeout-scale is 0, must be 1..5"},
        {group("assignment-scale = 6"), "2:20: .*assignment-scale is 6, must be 1..5"},
        {group("weight = 65536"), "2:10: .*weight is 65536, must be 0..65535"},
        {group("weight = -1"), "2:10: .*weight is -1, must be 0..65535"},
        {group("mask = '0.0.23.65'"), "2:8: .*must be a table as in"},
        {group("mask = {}"), "2:8: .*mask has 0 bits, must be 1..10"},
        {group("mask = { source = '0.0.7.255' }"), "2:8: .*mask has 11 bits, must be 1..10"},
        {group("mask = { source = '::1' }"), "2:19: .*mask.source: ::1 must be IPv4"},
        {six("mask = { destination = '0.0.0.1' }"), "2:24: .*mask.destination: .*must be IPv6"},
        {group("mask = { destination = 'x' }"), "2:24: .*is not an IPv4 or IPv6 address"},
        {group("mask = { source-port = 65536 }"), "2:24: .*source-port is 65536, must be 0..65535"},
        {group("mask = { destination-port = 65536 }"), "2:29: .*destination-port is 65536"},
        {group("mask = { source-port = 1, ports = 1 }"), "2:27: .*unknown key \"ports\""},
        {group("bucket-format = 'ios'"), "2:17: .*must be \"cisco\" or \"draft\""},
        {group("hot-buckets = 17"), "2:15: .*must be a list of numbers of 0..255"},
        {group("hot-buckets = [256]"), "2:16: .*256 is outside 0..255"},
        {group("hot-buckets = [-1]"), "2:16: .*-1 is outside 0..255"},
        {group("hot-buckets = ['1']"), "2:16: .*must be a number of 0..255"},
        {group("hot-buckets = [1, 2, 1]"), "2:22: .*1 is given twice"},
        {group("slow-start = '61m'"), "2:14: .*slow-start is 3660s, must be 0s..3600s"},
        {group("slow-start = '1500ms'"), "2:14: .*not a whole number of seconds"},
        {group("yield = 1"), "2:9: .*must be true or false"},
        {group("deliver = 3129"), "2:11: .*must be a table as in . tproxy = 3129 ."},
        {group("deliver = {}"), "2:11: .*must have one of tproxy and redirect"},
        {group("deliver = { tproxy = 1, redirect = 2 }"), "2:11: .*must have one of tproxy and"},
        {group("deliver = { tproxy = 0 }"), "2:22: .*port 0 is outside 1..65535"},
        {group("deliver = { redirect = '3128' }"), "2:24: .*must be a port of 1..65535"},
        {group("deliver = { tproxy = 1, dnat = 1 }"), "2:25: .*unknown key \"dnat\""},
    });
}

TEST_CASE("a probe's faults are refused where they are", "[config][wccp][cached]")
{
    check({
        {group("probe = 'http://127.0.0.1/'"), "2:9: .*must be a table as in"},
        {probe("rise = 1"), "2:9: .*must have one of http, tcp and command"},
        {probe("http = 'http://127.0.0.1/', tcp = '127.0.0.1:1'"), "2:9: .*must have one of"},
        {probe("http = 'http://127.0.0.1/', url = 1"), "2:39: .*unknown key \"url\""},
        {probe("http = 'https://127.0.0.1/'"), "2:18: .*must be a URL as in http://127.0.0.1:3128"},
        {probe("http = 'http://localhost/'"), "2:18: .*\"localhost\" must be an address and a"},
        {probe("http = 'http://127.0.0.1:0/'"), "2:18: .*port 0 is outside 1..65535"},
        {probe("http = 'http://127.0.0.1:/'"), "2:18: .*is not a port"},
        {probe("http = 'http://::1/'"), "2:18: .*\"::1\" must be an address and a port"},
        {probe("http = 'http://[::1/'"), "2:18: .*must be an address and a port"},
        {probe("http = 'http://[127.0.0.1]/'"), "2:18: .*must be an address and a port"},
        {probe("http = 'http://127.0.0.1/a b'"), "2:18: .*without space and #"},
        {probe("http = \"http://127.0.0.1/\\r\\nHost: x\""), "2:18: .*without space and #"},
        {probe("http = 'http://0.0.0.0/'"), "2:18: .*probe.http: 0.0.0.0 must be the address"},
        {probe("http = 1"), "2:18: .*must be a string"},
        {probe("http = 'http://127.0.0.1/', status = 200"), "2:48: .*numbers of 100..599"},
        {probe("http = 'http://127.0.0.1/', status = [600]"), "2:49: .*600 is outside 100..599"},
        {probe("http = 'http://127.0.0.1/', status = [200, 200]"), "2:54: .*200 is given twice"},
        {probe("http = 'http://127.0.0.1/', status = []"), "2:48: .*any below 500 is good"},
        {probe("tcp = '127.0.0.1:1', status = [200]"), "2:41: .*only with http"},
        {probe("tcp = '127.0.0.1'"), "2:17: .*must be an address and a port as in 127.0.0.1:3128"},
        {probe("tcp = '[::1]3128'"), "2:17: .*must be an address and a port"},
        {probe("tcp = '[::1]:65536'"), "2:17: .*port 65536 is outside 1..65535"},
        {probe("tcp = '255.255.255.255:1'"), "2:17: .*probe.tcp: .*must be the address of one"},
        {probe("tcp = ''"), "2:17: .*must be an address and a port"},
        {probe("command = '/bin/true'"), "2:21: .*must be a list of a program's path and"},
        {probe("command = []"), "2:21: .*must have at least one item"},
        {probe("command = ['true']"), "2:22: .*\"true\" must begin with a slash"},
        {probe("command = ['/bin/true', \"\\u0000\"]"), "2:35: .*no zero octets"},
        {probe("command = ['/bin/true', 1]"), "2:35: .*must be a string"},
        {probe("tcp = '127.0.0.1:1', interval = '99ms'"),
         "2:43: .*probe.interval is 99ms, must be 100ms..3600s"},
        {probe("tcp = '127.0.0.1:1', interval = 0"), "2:43: .*probe.interval is 0s"},
        {probe("tcp = '127.0.0.1:1', interval = '61m'"), "2:43: .*probe.interval is 3660s"},
        {probe("tcp = '127.0.0.1:1', timeout = '9ms'"),
         "2:42: .*probe.timeout is 9ms, must be 10ms..60s"},
        {probe("tcp = '127.0.0.1:1', timeout = '61s', interval = '2m'"), "2:42: .*timeout is 61s"},
        {probe("tcp = '127.0.0.1:1', timeout = '3s'"), "2:42: .*must be at most the interval, 2s"},
        {probe("tcp = '127.0.0.1:1', timeout = '10500us'"), "2:42: .*whole number of milliseconds"},
        {probe("tcp = '127.0.0.1:1', rise = 0"), "2:39: .*probe.rise is 0, must be 1..100"},
        {probe("tcp = '127.0.0.1:1', fall = 101"), "2:39: .*probe.fall is 101, must be 1..100"},
    });
}

TEST_CASE("a member's faults are refused where they are", "[config][wccp][cached]")
{
    const std::string who = "address = '192.0.2.22', ";
    check({
        {group("member = '192.0.2.22'"), "2:10: .*must be a list of tables"},
        {group("member = ['192.0.2.22']"), "2:11: .*must be a table as in"},
        {member("buckets = ['1']"), "2:11: .*address is missing: the member's address"},
        {member(who + "weight = 1"), "2:37: .*unknown key \"weight\""},
        {member("address = 'x'"), "2:23: .*is not an IPv4 or IPv6 address"},
        {member("address = '::1'"), "2:23: .*::1 must be IPv4 as the address 192.0.2.21"},
        {member("address = '224.0.0.1'"), "2:23: .*must be the address of one host"},
        {group("member = [{ address = '192.0.2.22' }, { address = '192.0.2.22' }]"),
         "2:51: .*192.0.2.22 is given twice"},
        {group("member = " + repeat("{ address = '192.0.2.#' }", 33)),
         "2:.*member has more than 32"},
        {member(who + "buckets = '1'"), "2:47: .*must be a list of buckets as in"},
        {member(who + "buckets = []"), "2:47: .*without the key it takes every one"},
        {member(who + "buckets = ['0-256']"), "2:48: .*\"0-256\" must be a bucket of 0..255"},
        {member(who + "buckets = ['0', '9-8']"), "2:53: .*\"9-8\" must be a bucket"},
        {member(who + "buckets = ['-1']"), "2:48: .*\"-1\" must be a bucket"},
        {member(who + "buckets = ['1-']"), "2:48: .*\"1-\" must be a bucket"},
        {member(who + "buckets = [1]"), "2:48: .*must be a string"},
        {member(who + "traffic = {}"), "2:47: .*must be a list of tables as in"},
        {member(who + "traffic = [1]"), "2:48: .*must be a table as in"},
        {member(who + "traffic = []"), "2:47: .*without the key it takes all"},
        {member(who + "traffic = [{}]"), "2:48: .*must have one of source, destination,"},
        {member(who + "traffic = [{ port = 1 }]"), "2:50: .*unknown key \"port\""},
        {member(who + "traffic = [{ source = '10.0.0.1/8' }]"), "2:59: .*bits set past its length"},
        {member(who + "traffic = [{ destination = '::/0' }]"), "2:64: .*:: must be IPv4 as the"},
        {member(who + "traffic = [{ source = 'x' }]"), "2:59: .*is not an address or prefix"},
        {member(who + "traffic = [{ source-port = 0 }]"), "2:64: .*port 0 is outside"},
        {member(who + "traffic = [{ destination-port = '1' }]"), "2:69: .*must be a port of"},
    });
}

TEST_CASE("memberships that collide are refused", "[config][wccp][cached]")
{
    check({
        {group("") + group(""), "8:11: group web-cache: service: cache.group.0. and cache.group.1. "
                                "are both of it; a service has one group of each family"},
        {service("id = 9") + service("id = 9, priority = 3"), "6:11: group 9: .*are both of it"},
    });
    CHECK(errors(group("") + six("") + service("id = 0") + service("id = 1")).empty());

    std::string many;
    for (int i = 0; i < 33; ++i)
        many += service("id = " + std::to_string(i));
    check({{many, "129:1: cache: group has more than 32"}});
    std::string ports;
    for (int i = 1; i <= 17; ++i)
        ports += service("id = " + std::to_string(i)) +
                 "deliver = { tproxy = " + std::to_string(i) + " }\n";
    check({{ports, "85:11: deliver: more than 16 ports in all groups together"}});
}

TEST_CASE("the ends of a cache host's ranges are accepted", "[config][wccp][cached]")
{
    for (const auto &toml : {
             role("mark = 4294967295\nbypass = " + repeat("'any'", 512)),
             role("overload = {}"),
             role("overload = { connections = 100000000, load = 0.01 }"),
             role("overload = { load = 1000000 }"),
             role("overload = { answer-time = 60000 }", "probe = { tcp = '[::1]:65535' }"),
             service("id = 255, protocol = 255, hash = [], priority = 255"),
             service("id = 1, protocol = 'udp', ports = " + repeat("#", 8)),
             group("interval = '60s'\ntimeout-scale = 5\nassignment-scale = 5"),
             group("interval = 500\nweight = 0\nslow-start = '1h'\nhot-buckets = [0, 255]"),
             group("mask = { source-port = 1, destination-port = 0xff80 }"),
             six("mask = { source = '::3ff' }\nversion = '2.01'"),
             group("", "service = 'web-cache'\naddress = '192.0.2.21'\nrouters = " +
                           repeat("'192.0.3.#'", 32)),
             group("router-list = " + repeat("'10.0.0.#'", 64)),
             group("deliver = { redirect = 65535 }"),
             probe("http = 'http://[::1]:65535/a?b=%20', status = [100, 599]"),
             probe("command = ['/bin/true'], interval = '1h', timeout = '60s', rise = 100"),
             probe("tcp = '127.0.0.1:1', interval = 100, timeout = 10, fall = 100"),
             group("member = " + repeat("{ address = '192.0.2.#' }", 32)),
             member("address = '192.0.2.21', buckets = ['0-255', '0', '255-255']"),
         }) {
        INFO(toml);
        const auto found = errors(toml);
        CAPTURE(found);
        CHECK(found.empty());
    }
}

TEST_CASE("words of a cache host's configuration", "[config][wccp][cached]")
{
    CHECK(protocol_text(6) == "tcp");
    CHECK(protocol_text(17) == "udp");
    CHECK(protocol_text(0) == "0");
    CHECK(to_text(*parse_bucket_range("7-7")) == "7");
    CHECK(to_text(*parse_bucket_range("0-255")) == "0-255");
    CHECK(parse_http_probe("http://[2001:db8::1]/x")->url() == "http://[2001:db8::1]:80/x");
    CHECK(*parse_tcp_probe("10.0.0.1:1") == TcpProbe{address("10.0.0.1"), 1});
    CHECK(read(six("")).name() == "web-cache (IPv6)");
    CHECK(read(service("id = 80")).name() == "80");
}
