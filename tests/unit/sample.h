// SPDX-License-Identifier: GPL-2.0-only
// A configuration in which no field has its default.
#pragma once

#include <string>

#include "wlb/config.h"

namespace wlb::test {

inline Address address(const char *text)
{
    return *Address::parse(text);
}

inline Prefix prefix(const char *text)
{
    return *Prefix::parse(text);
}

// What a file of this repository holds.
std::string source_file(const std::string &path);

inline Config sample()
{
    Config config;
    auto &gateway = config.client_gateway;
    gateway.inside = {"lan0", "lan\"1\\"};
    gateway.max_flows = 2048;
    gateway.client_quota = 7;
    gateway.max_learned = 17;
    gateway.returns = {Return::nat, Return::tunnel};
    gateway.conntrack = Conntrack::notrack;
    gateway.timeouts = {seconds(1), seconds(2), seconds(3), seconds(4),
                        seconds(5), seconds(6), seconds(8), seconds(10)};
    gateway.services = {
        {"web",
         {80, 443},
         false,
         {prefix("198.51.100.0/24"), prefix("2001:db8:7::/48")},
         false,
         {prefix("203.0.113.99"), prefix("10.1.9.0/24")},
         seconds(9),
         ServiceRace::direct,
         3,
         seconds(11),
         FastPath::off},
        {"rest",
         {},
         true,
         {},
         true,
         {},
         seconds(0),
         ServiceRace::join,
         4,
         seconds(10),
         FastPath::automatic},
    };
    Origin www;
    www.name = "www";
    www.servers = {address("203.0.113.10"), address("203.0.113.11")};
    www.ports = {80, 65535};
    www.race = Race::equal;
    www.max_hold = microseconds(123456);
    www.replicas = {{address("198.51.100.7"), Via::ipip, microseconds(55000)},
                    {address("198.51.100.8"), Via::gre, microseconds(1)}};
    www.source = address("203.0.113.1");
    www.strip_tag = true;
    www.fan_out = 1;
    www.pick = Pick::random;
    www.clones_per_second = 4294967295;
    www.clones_per_prefix = 20;
    www.cookie = seconds(7);
    Origin six;
    six.name = "six";
    six.servers = {address("2001:db8::10")};
    six.ports = {80};
    config.server_gateway.clones_per_second = 30;
    config.origins = {www, six};
    config.served = {{"www",
                      {address("203.0.113.10")},
                      {80},
                      address("198.51.100.7"),
                      Return::spoof,
                      Via::ipip,
                      true,
                      {prefix("203.0.113.1"), prefix("203.0.113.0/24")}},
                     {"six",
                      {address("2001:db8::10"), address("2001:db8::11")},
                      {443},
                      address("2001:db8:7::1"),
                      Return::tunnel,
                      Via::gre,
                      false,
                      {prefix("::/0")}}};
    return config;
}

} // namespace wlb::test
