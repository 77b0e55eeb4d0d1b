// SPDX-License-Identifier: GPL-2.0-only
#include <catch2/catch.hpp>

#include "routerd/kernel_form.h"
#include "routerd/show.h"
#include "sample.h"

using namespace wlb;
using routerd::from_kernel;
using routerd::to_kernel;
using test::address;
using test::prefix;

namespace {

const ServiceId web;

wccp::Assignment hashed()
{
    wccp::Assignment assignment;
    assignment.members = {{address("10.0.0.1"), wccp::Transport::gre, wccp::Transport::l2, 7},
                          {address("10.0.0.2"), wccp::Transport::l2, wccp::Transport::gre, 9}};
    for (std::size_t i = 0; i < assignment.buckets.size(); ++i)
        assignment.buckets[i] = static_cast<std::uint8_t>(i % 2);
    assignment.buckets[3] = WLB_WCCP_BUCKET_NONE;
    assignment.buckets[5] = 1 | WLB_WCCP_BUCKET_ALT;
    assignment.key = {address("10.0.0.1"), 12};
    assignment.change_number = 34;
    assignment.timers = {wccp::Duration(500), 2, 3};
    assignment.routers = {address("10.0.0.254"), address("10.0.0.253")};
    return assignment;
}

wccp::Assignment masked(const Address &cache)
{
    auto assignment = hashed();
    assignment.service = {wccp::ServiceInfo::dynamic, 80, 200, 6, WLB_WCCP_SRC_IP, {}};
    assignment.members = {{cache, wccp::Transport::gre, wccp::Transport::gre, 1}};
    assignment.routers.clear();
    assignment.key.address = cache;
    assignment.method = wccp::Method::mask;
    assignment.buckets.fill(WLB_WCCP_BUCKET_NONE);
    wccp::MaskSet set{};
    set.mask.src[3] = 0x05;
    set.mask.dport = 0x0100;
    for (std::uint32_t vsn = 0; vsn < 8; ++vsn) {
        wccp::MaskValue value{};
        wlb_wccp_vsn_value(&set.mask, cache.size(), vsn, &value.value);
        set.values.push_back(value);
    }
    assignment.sets = {set};
    return assignment;
}

} // namespace

TEST_CASE("what the kernel is told is enough for the next daemon", "[wccp][routerd]")
{
    const auto hash = hashed();
    const auto form = to_kernel(web, false, hash);
    REQUIRE(form);
    CHECK(form->group == "web-cache");
    CHECK(form->priority == 240);
    CHECK(form->protocol == 6);
    CHECK(form->ports[0] == 80);
    CHECK(form->buckets == hash.buckets);
    CHECK(form->members[1].forward == Forward::l2);
    CHECK(form->members[0].return_method == Forward::l2);
    CHECK(form->state.size() < WLB_MAX_STATE);
    CHECK(from_kernel(*form) == hash);

    for (const auto *cache : {"10.0.0.1", "2001:db8::1"}) {
        const auto mask = masked(address(cache));
        const auto mask_form = to_kernel({true, 80}, address(cache).is_ipv6(), mask);
        REQUIRE(mask_form);
        CHECK_FALSE(mask_form->buckets);
        CHECK(from_kernel(*mask_form) == mask);
    }
}

TEST_CASE("of values of one number the first counts", "[wccp][routerd]")
{
    auto mask = masked(address("10.0.0.1"));
    mask.members.push_back({address("10.0.0.2"), {}, {}, 0});
    auto &values = mask.sets.front().values;
    values.push_back(values.front());
    values.back().member = 1;
    // Past the mask: never matches.
    values.push_back(values.front());
    values.back().value.src[0] = 1;
    const auto form = to_kernel({true, 80}, false, mask);
    REQUIRE(form);
    REQUIRE(form->masks.front().values.size() == 8);
    CHECK(form->masks.front().values.front().member == 0);
}

TEST_CASE("there is nothing to tell of a group without caches", "[wccp][routerd]")
{
    auto assignment = hashed();
    assignment.members.clear();
    CHECK_FALSE(to_kernel(web, false, assignment));
}

TEST_CASE("another version's state is not taken over", "[wccp][routerd]")
{
    auto form = *to_kernel(web, false, hashed());
    form.state.clear();
    CHECK_FALSE(from_kernel(form));
    form = *to_kernel(web, false, hashed());
    form.members.pop_back();
    CHECK_FALSE(from_kernel(form));
    form.state = {0xff, 0x00, 0x12};
    CHECK_FALSE(from_kernel(form));
}

TEST_CASE("groups as the kernel takes them", "[wccp][routerd]")
{
    CacheRouter router;
    router.check_services_all = true;
    router.lease = seconds(45);
    CacheGroup group;
    group.service = {true, 9};
    group.redirect_in = {"lan0"};
    group.source = {address("2001:db8::1"), address("192.0.2.1")};
    group.closed = true;
    group.drain = seconds(5);
    router.groups = {group};
    const auto groups = to_kernel(router);
    REQUIRE(groups.groups.size() == 1);
    const auto &to = groups.groups.front();
    CHECK(groups.check_all);
    CHECK(groups.lease == seconds(45));
    CHECK(to.name == "9");
    CHECK(to.type == GroupType::dynamic);
    CHECK(to.id == 9);
    CHECK(to.source4 == address("192.0.2.1"));
    CHECK(to.source6 == address("2001:db8::1"));
    CHECK(to.closed);
    CHECK(to.drain == seconds(5));
}

TEST_CASE("where a flow goes, and why", "[wccp][routerd]")
{
    const auto hash = hashed();
    routerd::FlowQuestion flow{address("192.168.1.10"), address("10.0.0.1"), 40000, 80, 6};
    // 10 ^ 0 ^ 0 ^ 1
    auto json = routerd::show_hash(hash, flow);
    CHECK(json["bucket"] == 11);
    CHECK(json["cache"] == "10.0.0.2");
    flow.destination_port = 81;
    CHECK(routerd::show_hash(hash, flow)["why"] == "destination port 81 is none of the service's");
    flow.destination_port = 80;
    flow.protocol = 17;
    CHECK(routerd::show_hash(hash, flow)["why"] == "the service is of IP protocol 6");
    flow.protocol = 6;
    flow.destination = address("10.0.0.9"); // bucket 3
    CHECK(routerd::show_hash(hash, flow)["why"] == "the bucket is not assigned");
    flow.source = address("10.0.0.2");
    CHECK(routerd::show_hash(hash, flow)["why"] == "10.0.0.2 is a cache itself");

    const auto mask = masked(address("10.0.0.1"));
    flow = {address("192.168.1.4"), address("10.0.0.1"), 1, 0x0100, 6};
    json = routerd::show_hash(mask, flow);
    CHECK(json["cache"] == "10.0.0.1");
    CHECK(json["value"] == 5); // port bit 0, address bits 1 and 2
}

TEST_CASE("who leaves keeps its connections, but is no member for the next daemon",
          "[wccp][routerd]")
{
    const auto hash = hashed();
    const RedirectMember gone{address("10.0.0.9"), Forward::l2, Forward::gre};
    const auto form = to_kernel(web, false, hash, {gone});
    REQUIRE(form);
    REQUIRE(form->members.size() == 3);
    CHECK(form->members[2] == gone);
    CHECK(form->buckets == to_kernel(web, false, hash)->buckets);
    CHECK(from_kernel(*form) == hash);
    const auto mask = masked(address("10.0.0.1"));
    CHECK(from_kernel(*to_kernel({true, 80}, false, mask, {gone})) == mask);
    // Before anything is dealt all are members.
    auto fresh = hash;
    fresh.buckets.fill(WLB_WCCP_BUCKET_NONE);
    CHECK(from_kernel(*to_kernel(web, false, fresh)) == fresh);
    const std::vector<RedirectMember> many(40, gone);
    CHECK(to_kernel(web, false, hash, many)->members.size() == WLB_MAX_CACHES);
}
