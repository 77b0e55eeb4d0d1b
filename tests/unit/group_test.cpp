// SPDX-License-Identifier: GPL-2.0-only
#include <catch2/catch.hpp>

#include <linux/netlink.h>
#include <linux/wlb.h>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>
#include <sys/socket.h>

#include <cerrno>

#include "fake_kernel.h"
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

RedirectGroup web()
{
    RedirectGroup group;
    group.name = "web";
    group.in = {"lan0", "lan1"};
    group.out = {"wan0"};
    group.exclude = {"dmz0"};
    group.rules = {{true, test::prefix("10.1.0.0/16"), std::nullopt},
                   {false, std::nullopt, test::prefix("203.0.113.0/24")},
                   {false, test::prefix("2001:db8::/32"), test::prefix("2001:db8:a::/48")},
                   {true, std::nullopt, std::nullopt},
                   {false, std::nullopt, std::nullopt}};
    group.closed = true;
    group.hook = GroupHook::forward;
    group.source4 = address("192.0.2.1");
    group.source6 = address("2001:db8::1");
    group.drain = seconds(120);
    return group;
}

RedirectGroup dns()
{
    RedirectGroup group;
    group.name = "dns";
    group.type = GroupType::dynamic;
    group.id = 53;
    return group;
}

RedirectAssignment hashed()
{
    RedirectAssignment assignment;
    assignment.group = "web";
    assignment.priority = 240;
    assignment.protocol = 6;
    assignment.flags = 0x12;
    assignment.ports = {80};
    assignment.members = {{address("10.2.0.11"), Forward::gre, Forward::gre},
                          {address("10.2.0.12"), Forward::l2, Forward::gre}};
    auto &buckets = assignment.buckets.emplace();
    for (std::size_t i = 0; i < buckets.size(); ++i)
        buckets[i] = i % 3 == 2 ? WLB_BUCKET_NONE : i % 2;
    assignment.key_address = address("10.2.0.11");
    assignment.key_number = 7;
    assignment.change_number = 8;
    assignment.state = {1, 2, 0, 3};
    return assignment;
}

RedirectAssignment masked(std::uint32_t values)
{
    auto assignment = hashed();
    assignment.ipv6 = true;
    assignment.buckets.reset();
    assignment.members = {{address("2001:db8:2::11"), Forward::gre, Forward::l2}};
    assignment.masks.resize(2);
    assignment.masks[0].mask.src[15] = 0x41;
    assignment.masks[0].mask.dport = 1;
    assignment.masks[1].mask.dst.fill(0x11);
    assignment.masks[0].values = {{2, 0}, {5, 0}};
    for (std::uint32_t i = 0; i < values; ++i)
        assignment.masks[1].values.push_back({i * 3, 0});
    return assignment;
}

} // namespace

TEST_CASE("groups survive the wire", "[group]")
{
    const RedirectGroups sent{true, milliseconds(1500), {web(), dns()}};
    const auto message = encode_groups(family, sent);
    REQUIRE(message);
    CHECK(genlmsg_hdr(const_cast<nlmsghdr *>(header(*message)))->cmd == WLB_CMD_GROUP_SET);
    RunningGroups got;
    REQUIRE(decode_groups(header(*message), got));
    CHECK(got.check_all);
    CHECK(got.lease == milliseconds(1500));
    REQUIRE(got.groups.size() == 2);
    CHECK(got.groups[0].group == web());
    CHECK(got.groups[1].group == dns());
    CHECK(got.groups[1].counters.size() == __WLB_GROUP_STAT_MAX);
}

TEST_CASE("assignments survive the wire", "[group]")
{
    // More values than one attribute holds, which is then one of several.
    for (const auto &sent : {hashed(), masked(3), masked(0), masked(WLB_MAX_VALUES - 2)}) {
        const auto message = encode_assignment(family, sent);
        REQUIRE(message);
        std::vector<RunningAssignment> got;
        REQUIRE(decode_assignments(header(*message), got));
        REQUIRE(got.size() == 1);
        CHECK(got[0].assignment == sent);
        CHECK(got[0].counters.size() == sent.members.size());
    }
}

TEST_CASE("no assignment is a request without one", "[group]")
{
    const auto message = encode_no_assignment(family, "web", true);
    REQUIRE(message);
    std::vector<RunningAssignment> got;
    REQUIRE(decode_assignments(header(*message), got));
    CHECK(got.empty());
}

TEST_CASE("values come in messages of their own", "[group]")
{
    const auto values = [](const char *group, std::uint8_t mask) {
        Message message(nlmsg_alloc_size(4096));
        genlmsg_put(message.get(), 1, 1, family, 0, 0, WLB_CMD_ASSIGN_GET, WLB_GENL_VERSION);
        nla_put_string(message.get(), WLB_A_NAME, group);
        nla_put_u8(message.get(), WLB_A_FAMILY, AF_INET6);
        const wlb_value value{77, mask, 0, 0};
        nla_put(message.get(), WLB_A_VALUES, sizeof(value), &value);
        return message;
    };
    const auto first = encode_assignment(family, masked(0));
    std::vector<RunningAssignment> got;
    REQUIRE(decode_assignments(header(*first), got));
    REQUIRE(decode_assignments(header(values("web", 1)), got));
    CHECK(got[0].assignment.masks[1].values == std::vector<RedirectValue>{{77, 0}});
    // Of a mask, and of an assignment, that was not told of.
    CHECK_FALSE(decode_assignments(header(values("web", 2)), got));
    CHECK_FALSE(decode_assignments(header(values("dns", 1)), got));
}

TEST_CASE("a refused group is named", "[group]")
{
    const auto request = encode_groups(family, {false, {}, {web()}});
    auto *const genl = genlmsg_hdr(const_cast<nlmsghdr *>(header(*request)));
    auto *const group = nla_find(genlmsg_attrdata(genl, 0), genlmsg_attrlen(genl, 0), WLB_A_GROUP);
    auto *const drain =
        nla_find(static_cast<nlattr *>(nla_data(group)), nla_len(group), WLB_GROUP_A_DRAIN);
    Message message(nlmsg_alloc_size(4096));
    auto *const error = nlmsg_put(message.get(), 0, 1, NLMSG_ERROR, 0, 0);
    error->nlmsg_flags |= NLM_F_CAPPED | NLM_F_ACK_TLVS;
    const nlmsgerr body{-ERANGE, *header(*request)};
    nlmsg_append(message.get(), const_cast<nlmsgerr *>(&body), sizeof(body), 0);
    nla_put_string(message.get(), NLMSGERR_ATTR_MSG, "integer out of range");
    nla_put_u32(message.get(), NLMSGERR_ATTR_OFFS,
                static_cast<std::uint32_t>(reinterpret_cast<const char *>(drain) -
                                           reinterpret_cast<const char *>(header(*request))));
    const auto refusal = decode_refusal(header(message), header(*request));
    CHECK(refusal.code == ERANGE);
    CHECK(refusal.message.find("group \"web\": drain") == 0);
}

TEST_CASE("a fake kernel keeps assignments of groups that stay", "[group]")
{
    test::FakeState state;
    test::FakeKernel kernel(state);
    CHECK(kernel.set_assignment(hashed()).error().code == ENOENT);
    REQUIRE(kernel.set_groups({false, {}, {web(), dns()}}));
    REQUIRE(kernel.set_assignment(hashed()));
    REQUIRE(kernel.set_assignment(masked(1)));
    CHECK(kernel.read_assignments()->size() == 2);
    REQUIRE(kernel.clear_assignment("web", true));
    REQUIRE(kernel.read_assignments()->size() == 1);
    CHECK(kernel.read_assignments()->front().assignment == hashed());
    REQUIRE(kernel.set_groups({false, {}, {dns()}}));
    CHECK(kernel.read_assignments()->empty());
    CHECK(kernel.read_groups()->groups.size() == 1);
}
