// SPDX-License-Identifier: GPL-2.0-only
// The cache's host and what it has learned: on the wire.
#include <catch2/catch.hpp>

#include <linux/netlink.h>
#include <linux/wlb.h>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>

#include <cerrno>
#include <functional>

#include "sample.h"
#include "wlb/message.h"

using namespace wlb;
using test::address;

namespace {

constexpr int family = 42;

const nlmsghdr *header(const Message &message)
{
    return nlmsg_hdr(message.get());
}

std::uint8_t command(const Message &message)
{
    return genlmsg_hdr(nlmsg_hdr(message.get()))->cmd;
}

Door door4()
{
    return {address("192.0.2.1"), Forward::l2, Forward::gre,
            GroupType::dynamic,   80,          address("192.0.2.21")};
}

CacheDoors cache()
{
    Door six;
    six.address = address("2001:db8::1");
    CacheDoors cache;
    cache.doors = {door4(), six};
    cache.rules = {{true, test::prefix("10.1.0.0/16"), std::nullopt},
                   {false, std::nullopt, test::prefix("2001:db8:a::/48")},
                   {false, std::nullopt, std::nullopt}};
    cache.share = 250;
    cache.mark = 0;
    cache.nat = true;
    cache.ports = {3129, 443};
    return cache;
}

Message dumped(std::uint8_t number, const std::function<void(nl_msg *)> &fill)
{
    Message message(nlmsg_alloc_size(4096));
    genlmsg_put(message.get(), 1, 1, family, 0, 0, number, WLB_GENL_VERSION);
    fill(message.get());
    return message;
}

// A door as a dump has it, or with a way that there is not.
Message dumped_door(std::uint64_t packets, std::uint8_t forward = WLB_FORWARD_GRE)
{
    return dumped(WLB_CMD_CACHE_GET, [&](nl_msg *m) {
        auto *const nest = nla_nest_start(m, WLB_A_CACHE);
        auto *const door = nla_nest_start(m, WLB_CACHE_A_DOOR);
        const auto router = address("192.0.2.9");
        nla_put(m, WLB_DOOR_A_ADDRESS, router.size(), router.data());
        nla_put_u8(m, WLB_DOOR_A_FORWARD, forward);
        nla_put_u64(m, WLB_DOOR_A_PACKETS, packets);
        nla_put_u64(m, WLB_DOOR_A_BYTES, packets * 100);
        nla_nest_end(m, door);
        nla_nest_end(m, nest);
    });
}

const nlattr *inner(const nlattr *nest, int type)
{
    return nla_find(static_cast<nlattr *>(nla_data(nest)), nla_len(nest), type);
}

const nlattr *top(const nlmsghdr *request, int type)
{
    auto *const genl = genlmsg_hdr(const_cast<nlmsghdr *>(request));
    return nla_find(genlmsg_attrdata(genl, 0), genlmsg_attrlen(genl, 0), type);
}

// What is said of a request whose attribute `at` is refused.
std::string refusal(const nlmsghdr *request, const nlattr *at, const char *text)
{
    const Message message(nlmsg_alloc_size(4096));
    auto *const error = nlmsg_put(message.get(), 0, 1, NLMSG_ERROR, 0, 0);
    error->nlmsg_flags |= NLM_F_CAPPED | NLM_F_ACK_TLVS;
    nlmsgerr body{-EINVAL, *request};
    nlmsg_append(message.get(), &body, sizeof(body), 0);
    nla_put_string(message.get(), NLMSGERR_ATTR_MSG, text);
    nla_put_u32(message.get(), NLMSGERR_ATTR_OFFS,
                static_cast<std::uint32_t>(reinterpret_cast<const char *>(at) -
                                           reinterpret_cast<const char *>(request)));
    return decode_refusal(error, request).message;
}

} // namespace

TEST_CASE("doors survive the wire", "[doors]")
{
    CacheDoors least;
    least.doors = {Door{}};
    for (const auto &sent : {cache(), least}) {
        const auto message = encode_cache(family, sent);
        REQUIRE(message);
        CHECK(command(*message) == WLB_CMD_CACHE_SET);
        RunningDoors got;
        REQUIRE(decode_cache(header(*message), got));
        CHECK(got.cache == sent);
        CHECK(got.counters.size() == sent.doors.size());
    }
}

TEST_CASE("no door is a request without the role", "[doors]")
{
    auto closed = cache();
    closed.doors.clear();
    const auto message = encode_cache(family, closed);
    REQUIRE(message);
    CHECK(command(*message) == WLB_CMD_CACHE_SET);
    CHECK(top(header(*message), WLB_A_CACHE) == nullptr);
}

TEST_CASE("doors come in messages of their own, with counters", "[doors]")
{
    RunningDoors got;
    REQUIRE(decode_cache(header(*encode_cache(family, cache())), got));
    REQUIRE(decode_cache(header(dumped_door(7)), got));
    CHECK(got.cache.ports == cache().ports);
    REQUIRE(got.cache.doors.size() == 3);
    CHECK(got.cache.doors[2].address == address("192.0.2.9"));
    REQUIRE(got.counters.size() == 3);
    CHECK(got.counters[0].packets == 0);
    CHECK(got.counters[2].packets == 7);
    CHECK(got.counters[2].bytes == 700);
    CHECK_FALSE(decode_cache(header(dumped_door(7, __WLB_FORWARD_MAX)), got));
}

TEST_CASE("as many doors as the module takes fit", "[doors]")
{
    CacheDoors many;
    many.doors.assign(WLB_MAX_DOORS, door4());
    many.ports.assign(WLB_MAX_CACHE_PORTS, 80);
    const auto message = encode_cache(family, many);
    REQUIRE(message);
    RunningDoors got;
    REQUIRE(decode_cache(header(*message), got));
    CHECK(got.cache == many);

    // What all of them are in has 64 kB, which long addresses fill before.
    Door six;
    six.address = address("2001:db8::1");
    six.source = address("2001:db8::2");
    many.doors.assign(WLB_MAX_DOORS, six);
    CHECK(encode_cache(family, many).error().code == EMSGSIZE);
}

TEST_CASE("what was learned survives the wire", "[doors]")
{
    for (const auto &sent : {Bypass{address("10.1.1.2"), address("203.0.113.10"), seconds(604800)},
                             Bypass{std::nullopt, address("2001:db8:a::10"), seconds(1)}}) {
        const auto message = encode_bypass(family, sent);
        REQUIRE(message);
        CHECK(command(*message) == WLB_CMD_BYPASS_ADD);
        const auto got = decode_bypass(header(*message));
        REQUIRE(got);
        CHECK(*got == sent);

        // To forget it, only who it is matters.
        const auto forget = encode_no_bypass(family, sent);
        REQUIRE(forget);
        CHECK(command(*forget) == WLB_CMD_BYPASS_DEL);
        CHECK(inner(top(header(*forget), WLB_A_BYPASS), WLB_BYPASS_A_LIFETIME) == nullptr);
        CHECK(decode_bypass(header(*forget))->destination == sent.destination);
        CHECK(decode_bypass(header(*forget))->source == sent.source);
    }
    const auto all = encode_no_bypass(family, std::nullopt);
    REQUIRE(all);
    CHECK(command(*all) == WLB_CMD_BYPASS_DEL);
    CHECK(top(header(*all), WLB_A_BYPASS) == nullptr);
    CHECK_FALSE(decode_bypass(header(*all)));
}

TEST_CASE("a refused door or bypass is named", "[doors]")
{
    const auto request = encode_cache(family, cache());
    const auto *const r = header(*request);
    const auto *const nest = top(r, WLB_A_CACHE);
    CHECK(refusal(r, inner(inner(nest, WLB_CACHE_A_DOOR), WLB_DOOR_A_SOURCE),
                  "source: of the router's family") ==
          "cache: door: source: of the router's family (Invalid argument)");
    CHECK(refusal(r, inner(inner(nest, WLB_CACHE_A_RULE), WLB_RULE_A_SOURCE), "no") ==
          "cache: rule: source: no (Invalid argument)");
    CHECK(refusal(r, inner(nest, WLB_CACHE_A_PORT), "port: at most 16") ==
          "cache: port: at most 16 (Invalid argument)");

    const auto learned =
        encode_bypass(family, {address("10.1.1.2"), address("203.0.113.10"), seconds(0)});
    const auto *const l = header(*learned);
    CHECK(refusal(l, inner(top(l, WLB_A_BYPASS), WLB_BYPASS_A_LIFETIME), "lifetime: 1..604800 s") ==
          "bypass: lifetime: 1..604800 s (Invalid argument)");
}
