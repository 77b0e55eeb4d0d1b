// SPDX-License-Identifier: GPL-2.0-only
#include <catch2/catch.hpp>

#include <algorithm>

#include "sample.h"
#include "wlb/diff.h"
#include "wlb/fields.h"

using namespace wlb;
using Lines = std::vector<std::string>;

namespace {

template <class Change> Lines changed(Change change)
{
    auto after = test::sample();
    change(after);
    return diff(test::sample(), after);
}

} // namespace

TEST_CASE("no difference to itself", "[diff]")
{
    CHECK(diff(test::sample(), test::sample()).empty());
    CHECK(diff(Config{}, Config{}).empty());
}

TEST_CASE("objects come and go", "[diff]")
{
    const auto on = diff(Config{}, test::sample());
    for (const auto *line :
         {"+ service web", "+ service rest", "+ origin www", "+ origin six", "+ replica www",
          "+ replica six", "~ client-gateway: max-flows 131072 -> 2048"}) {
        INFO(line);
        CHECK(std::count(on.begin(), on.end(), line) == 1);
    }
    CHECK(diff(test::sample(), Config{}) == Lines{"- service web", "- service rest", "- origin www",
                                                  "- origin six", "- replica www",
                                                  "- replica six"});
}

TEST_CASE("every field shows", "[diff]")
{
    CHECK(changed([](Config &c) { c.origins[0].race = Race::raw; }) ==
          Lines{"~ origin www: race equal -> raw"});
    CHECK(changed([](Config &c) { c.origins[0].max_hold = microseconds(0); }) ==
          Lines{"~ origin www: max-hold 123456us -> 0s"});
    CHECK(changed([](Config &c) { c.origins[0].source.reset(); }) ==
          Lines{"~ origin www: source 203.0.113.1 -> auto"});
    CHECK(changed([](Config &c) { c.origins[0].strip_tag = false; }) ==
          Lines{"~ origin www: strip-tag true -> false"});
    CHECK(changed([](Config &c) {
              c.origins[0].fan_out = 32;
              c.origins[0].pick = Pick::nearest;
              c.origins[0].clones_per_second = 0;
              c.origins[0].clones_per_prefix = 0;
              c.origins[0].cookie = seconds(3600);
          }) == Lines{"~ origin www: fan-out 1 -> 32", "~ origin www: pick random -> nearest",
                      "~ origin www: clones-per-second 4294967295 -> 0",
                      "~ origin www: clones-per-prefix 20 -> 0",
                      "~ origin www: cookie 7s -> 3600s"});
    CHECK(changed([](Config &c) { c.server_gateway.clones_per_second = 31; }) ==
          Lines{"~ server-gateway: clones-per-second 30 -> 31"});
    CHECK(changed([](Config &c) { c.origins[0].replicas[1].delay = microseconds(2); }) ==
          Lines{"~ origin www: replicas -198.51.100.8,via=gre,delay=1us "
                "+198.51.100.8,via=gre,delay=2us"});
    CHECK(changed([](Config &c) {
              c.client_gateway.services[0].ports = {443, 8080};
          }) == Lines{"~ service web: ports -80 +8080"});
    CHECK(changed([](Config &c) {
              c.client_gateway.services[0].ports = {443, 80};
          }) == Lines{"~ service web: ports in another order"});
    CHECK(changed([](Config &c) {
              c.client_gateway.services[0].replicas.clear();
              c.client_gateway.services[0].any_replica = true;
          }) == Lines{"~ service web: replicas -198.51.100.0/24 -2001:db8:7::/48 +any"});
    CHECK(changed([](Config &c) { c.client_gateway.services[0].never.pop_back(); }) ==
          Lines{"~ service web: never -10.1.9.0/24"});
    CHECK(changed([](Config &c) { c.client_gateway.inside.pop_back(); }).size() == 1);
    CHECK(changed([](Config &c) { c.client_gateway.client_quota = 8; }) ==
          Lines{"~ client-gateway: client-quota 7 -> 8"});
    CHECK(changed([](Config &c) {
              c.client_gateway.returns = {Return::nat, Return::spoof};
          }) == Lines{"~ client-gateway: returns -tunnel +spoof"});
    CHECK(changed([](Config &c) { c.client_gateway.conntrack = Conntrack::outside; }) ==
          Lines{"~ client-gateway: conntrack notrack -> outside"});
    CHECK(changed([](Config &c) { c.client_gateway.timeouts = Timeouts{}; }).size() == 8);
    CHECK(changed([](Config &c) { c.served[0].local = test::address("10.0.0.1"); }) ==
          Lines{"~ replica www: local 198.51.100.7 -> 10.0.0.1"});
    CHECK(changed([](Config &c) { c.served[0].via = Via::gre; }) ==
          Lines{"~ replica www: via ipip -> gre"});
    CHECK(changed([](Config &c) { c.served[0].trust_path = false; }) ==
          Lines{"~ replica www: trust-path true -> false"});
    CHECK(changed([](Config &c) { c.client_gateway.services[0].sticky = seconds(0); }) ==
          Lines{"~ service web: sticky 9s -> 0s"});
    CHECK(changed([](Config &c) {
              auto &web = c.client_gateway.services[0];
              web.race = ServiceRace::join;
              web.fan_out = 4;
              web.explore = seconds(0);
              web.fastpath = FastPath::on;
          }) == Lines{"~ service web: race direct -> race", "~ service web: fan-out 3 -> 4",
                      "~ service web: explore 11s -> 0s", "~ service web: fastpath off -> on"});
    CHECK(changed([](Config &c) { c.client_gateway.max_learned = 4096; }) ==
          Lines{"~ client-gateway: max-learned 17 -> 4096"});
    CHECK(changed([](Config &c) {
              c.served[0].return_mode = Return::nat;
              c.served[0].via.reset();
          }) == Lines{"~ replica www: return spoof -> nat", "~ replica www: via ipip -> none"});
    CHECK(changed([](Config &c) { c.served[0].from.pop_back(); }) ==
          Lines{"~ replica www: clones-from -203.0.113.0/24"});
    CHECK(changed([](Config &c) { c.served[0].servers = {test::address("10.0.0.2")}; }) ==
          Lines{"~ replica www: server -203.0.113.10 +10.0.0.2"});
}

TEST_CASE("the order of objects means nothing", "[diff]")
{
    CHECK(changed([](Config &c) { std::swap(c.origins[0], c.origins[1]); }).empty());
}

TEST_CASE("settings of a role that goes off do not show", "[diff]")
{
    CHECK(changed([](Config &c) { c.client_gateway = ClientGateway{}; }) ==
          Lines{"- service web", "- service rest"});
}

TEST_CASE("objects as one line", "[diff]")
{
    const auto config = test::sample();
    CHECK(describe("service", "web", fields_of(config.client_gateway.services[0])) ==
          "service web ports 80,443 replicas 198.51.100.0/24,2001:db8:7::/48 never "
          "203.0.113.99,10.1.9.0/24 sticky 9s race direct fan-out 3 explore 11s fastpath off");
    CHECK(describe("origin", "www", fields_of(config.origins[0])) ==
          "origin www server 203.0.113.10,203.0.113.11 ports 80,65535 race equal max-hold 123456us "
          "replicas 198.51.100.7,via=ipip,delay=55ms 198.51.100.8,via=gre,delay=1us source "
          "203.0.113.1 strip-tag true fan-out 1 pick random clones-per-second 4294967295 "
          "clones-per-prefix 20 cookie 7s");
    CHECK(
        describe("replica", "six", fields_of(config.served[1])) ==
        "replica six server 2001:db8::10,2001:db8::11 ports 443 local 2001:db8:7::1 return tunnel "
        "via gre trust-path false clones-from ::/0");
}
