// SPDX-License-Identifier: GPL-2.0-only
#include <catch2/catch.hpp>

#include "cached/doors.h"
#include "cached/pressure.h"
#include "sample.h"

using namespace wlb;
using namespace std::chrono_literals;
using test::address;

namespace {

Membership web(const char *own = "10.2.0.11")
{
    Membership group;
    group.address = address(own);
    group.routers = {address("10.2.0.1")};
    return group;
}

} // namespace

TEST_CASE("pressure: nothing is returned up to 80 %, all at the limit", "[cached]")
{
    Overload limits;
    cached::Pressure pressure;
    pressure.connections = 1000000;
    pressure.load = 1000;
    CHECK(share_returned(limits, pressure) == 0);

    limits.connections = 1000;
    const auto at = [&](std::int64_t connections) {
        pressure.connections = connections;
        return share_returned(limits, pressure);
    };
    CHECK(at(0) == 0);
    CHECK(at(800) == 0);
    CHECK(at(900) == 500);
    CHECK(at(903) == 520); // in steps
    CHECK(at(1000) == 1000);
    CHECK(at(5000) == 1000);
    std::uint32_t last = 0;
    for (std::int64_t i = 800; i <= 1000; ++i) {
        CHECK(at(i) >= last);
        last = at(i);
    }

    // The nearest limit counts.
    at(0);
    limits.load = 4;
    pressure.load = 3.6;
    CHECK(share_returned(limits, pressure) == 500);
    limits.answer_time = 100ms;
    CHECK(share_returned(limits, pressure) == 500);
    pressure.answer_time = 95ms;
    CHECK(share_returned(limits, pressure) == 750);
}

TEST_CASE("pressure: what this host says of itself", "[cached]")
{
    const auto pressure = cached::read_pressure();
    REQUIRE(pressure);
    CHECK(pressure->connections >= 0);
    CHECK(pressure->load >= 0);
}

TEST_CASE("doors: a router is let in by its ID and by its messages' source", "[cached]")
{
    auto group = web();
    const std::vector<wccp::Path> paths{
        {address("192.0.2.1"), address("10.2.0.1"), wccp::Transport::gre, wccp::Transport::l2},
        {address("10.2.0.2"), address("10.2.0.2"), wccp::Transport::gre, wccp::Transport::gre},
        {address("192.0.2.3"), address("10.2.0.3"), wccp::Transport::l2, wccp::Transport::gre}};
    const auto doors = cached::doors_of(group, paths);
    REQUIRE(doors.size() == 4);
    CHECK(doors[0].address == address("10.2.0.1"));
    CHECK(doors[0].forward == Forward::gre);
    CHECK(doors[0].return_method == Forward::l2);
    CHECK(doors[0].type == GroupType::standard);
    CHECK(doors[0].source == address("10.2.0.11"));
    CHECK(doors[1].address == address("192.0.2.1"));
    CHECK(doors[2].address == address("10.2.0.2"));
    CHECK(doors[3].address == address("10.2.0.3")); // a neighbour has no ID
    CHECK(doors[3].forward == Forward::l2);
}

TEST_CASE("doors: what an earlier daemon has left goes to its group", "[cached]")
{
    auto standard = web();
    auto dynamic = web();
    dynamic.service.id = {true, 0};
    auto six = web("2001:db8::11");
    CacheDoors kernel;
    const auto add = [&](const Membership &group, const char *router) {
        for (const auto &door :
             cached::doors_of(group, {{address(router), address(router), {}, {}}}))
            kernel.doors.push_back(door);
    };
    add(standard, "10.2.0.1");
    add(dynamic, "10.2.0.2");
    add(six, "2001:db8::1");
    for (const auto &[group, router] :
         {std::pair{standard, "10.2.0.1"}, {dynamic, "10.2.0.2"}, {six, "2001:db8::1"}}) {
        const auto left = cached::doors_left(kernel, group);
        REQUIRE(left.size() == 1);
        CHECK(left[0].address == address(router));
    }
}

TEST_CASE("doors: how packets get to the proxies decides who is asked for connections", "[cached]")
{
    CacheHost host;
    host.mark = 0xffffffff;
    host.bypass = {RedirectRule{}};
    auto group = web();
    group.deliver = Deliver{DeliverBy::tproxy, 3129};
    host.groups = {group, group};
    auto frame = cached::frame_of(host, 70);
    CHECK_FALSE(frame.nat);
    CHECK(frame.mark == 0xffffffff);
    CHECK(frame.ports == std::vector<std::uint16_t>{3129});
    CHECK(frame.share == 70);
    CHECK(frame.rules == host.bypass);
    host.groups[1].deliver = Deliver{DeliverBy::redirect, 3130};
    frame = cached::frame_of(host, 0);
    CHECK(frame.nat);
    CHECK(frame.ports == std::vector<std::uint16_t>{3129, 3130});
    host.groups[1].deliver.reset();
    CHECK(cached::frame_of(host, 0).nat);
}
