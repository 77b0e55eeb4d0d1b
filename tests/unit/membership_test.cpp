// SPDX-License-Identifier: GPL-2.0-only
#include <catch2/catch.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include "cached/membership.h"
#include "daemon/secret_file.h"
#include "sample.h"
#include "wlb/validate.h"

using namespace wlb;
using cached::member_config;
using test::address;
using test::prefix;

namespace {

// With this in it, until the test is over.
class File {
public:
    explicit File(const std::string &text)
    {
        const int fd = mkstemp(path_.data());
        REQUIRE(fd >= 0);
        close(fd);
        std::ofstream(path_.data()) << text;
    }
    ~File() { std::remove(path_.data()); }
    File(const File &) = delete;
    File &operator=(const File &) = delete;
    File(File &&) = delete;
    File &operator=(File &&) = delete;

    [[nodiscard]] std::string path() const { return path_.data(); }

private:
    std::array<char, 32> path_{"/tmp/wlb-password-XXXXXX"};
};

Membership least()
{
    Membership group;
    group.address = address("192.0.2.21");
    group.routers = {address("192.0.2.1")};
    return group;
}

bool allowed(const Membership &group)
{
    Config config;
    config.cache_host.groups = {group};
    return validate(config).empty();
}

} // namespace

TEST_CASE("a membership's defaults are the protocol's", "[wccp][cached]")
{
    const auto config = member_config(least());
    REQUIRE(config);
    const wccp::CacheConfig defaults;
    CHECK(config->enabled);
    CHECK(config->address == address("192.0.2.21"));
    CHECK(config->routers == std::vector{address("192.0.2.1")});
    CHECK_FALSE(config->group_address);
    CHECK(config->service == wccp::ServiceInfo{});
    CHECK(config->learn_routers == defaults.learn_routers);
    CHECK(config->strict_source == defaults.strict_source);
    CHECK(config->router_list.empty());
    CHECK(config->password.empty());
    CHECK(config->max_minor == defaults.max_minor);
    CHECK(config->forwarding == defaults.forwarding);
    CHECK(config->packet_return == defaults.packet_return);
    CHECK(config->assignment == defaults.assignment);
    CHECK(config->timers == defaults.timers);
    CHECK(config->weight == defaults.weight);
    CHECK_FALSE(config->mask);
    CHECK(config->bucket_format == defaults.bucket_format);
    CHECK(config->hot_buckets == defaults.hot_buckets);
    CHECK(config->slow_start == defaults.slow_start);
    CHECK(config->specifications.empty());
    CHECK(config->yield == defaults.yield);
}

TEST_CASE("a membership's settings become the protocol's", "[wccp][cached]")
{
    auto group = least();
    group.service = {{true, 80},
                     17,
                     {53, 5353},
                     true,
                     {HashField::source_ip, HashField::destination_port},
                     {HashField::destination_ip, HashField::source_port},
                     200};
    group.group_address = address("239.1.1.1");
    group.group_interface = "eth0";
    group.learn_routers = false;
    group.strict_source = false;
    group.router_list = {prefix("192.0.2.0/24")};
    group.version_2_01 = false;
    group.forwarding = {Forward::l2, Forward::gre};
    group.returning = {Forward::l2};
    group.assignment = {Allotment::mask, Allotment::hash};
    group.interval = milliseconds(2500);
    group.timeout_scale = 3;
    group.assignment_scale = 4;
    group.weight = 65535;
    group.mask = CacheMask{address("0.0.1.2"), address("0.0.0.4"), 8, 16};
    group.bucket_format = BucketFormat::draft;
    group.hot_buckets = {0, 9, 255};
    group.slow_start = seconds(120);
    group.yield = true;
    REQUIRE(allowed(group));
    const auto config = member_config(group);
    REQUIRE(config);
    CHECK(config->service ==
          wccp::ServiceInfo{wccp::ServiceInfo::dynamic,
                            80,
                            200,
                            17,
                            WLB_WCCP_SRC_IP | WLB_WCCP_DST_PORT | WLB_WCCP_PORTS |
                                WLB_WCCP_PORTS_SRC |
                                (WLB_WCCP_DST_IP | WLB_WCCP_SRC_PORT) << WLB_WCCP_ALT_SHIFT,
                            {53, 5353}});
    CHECK(config->group_address == address("239.1.1.1"));
    CHECK_FALSE(config->learn_routers);
    CHECK_FALSE(config->strict_source);
    CHECK(config->router_list == std::vector{prefix("192.0.2.0/24")});
    CHECK(config->max_minor == 0);
    CHECK(config->forwarding == std::vector{wccp::Transport::l2, wccp::Transport::gre});
    CHECK(config->packet_return == std::vector{wccp::Transport::l2});
    CHECK(config->assignment == std::vector{wccp::Method::mask, wccp::Method::hash});
    CHECK(config->timers == wccp::Timers{wccp::Duration(2500), 3, 4});
    CHECK(config->weight == 65535);
    REQUIRE(config->mask);
    CHECK(config->mask->src[2] == 1);
    CHECK(config->mask->src[3] == 2);
    CHECK(config->mask->dst[3] == 4);
    CHECK(config->mask->sport == 8);
    CHECK(config->mask->dport == 16);
    CHECK(wlb_wccp_mask_bits(&*config->mask, 4) == 5);
    CHECK(config->bucket_format == wccp::BucketFormat::draft);
    wccp::BucketVector hot{};
    hot[0] = 1;
    hot[1] = 2;
    hot[31] = 0x80;
    CHECK(config->hot_buckets == hot);
    CHECK(config->slow_start == seconds(120));
    CHECK(config->yield);
}

TEST_CASE("what members take becomes the protocol's", "[wccp][cached]")
{
    auto group = least();
    group.members = {
        {address("192.0.2.22"), {{0, 8}, {255, 255}}, {}},
        {address("192.0.2.21"), {}, {{prefix("10.128.0.0/9"), {}, 5, {}}, {{}, {}, {}, 81}}},
        {address("192.0.2.23"), {}, {}}};
    REQUIRE(allowed(group));
    const auto config = member_config(group);
    REQUIRE(config);
    REQUIRE(config->specifications.size() == 3);
    const auto &buckets = config->specifications.at(address("192.0.2.22"));
    wccp::BucketVector wanted{};
    wanted[0] = 0xff;
    wanted[1] = 1;
    wanted[31] = 0x80;
    CHECK(buckets.buckets == wanted);
    CHECK(buckets.traffic.empty());
    const auto &traffic = config->specifications.at(address("192.0.2.21"));
    CHECK_FALSE(traffic.buckets);
    wccp::Traffic ten;
    ten.mask.src[0] = 0xff;
    ten.mask.src[1] = 0x80;
    ten.mask.sport = 0xffff;
    ten.value.src[0] = 10;
    ten.value.src[1] = 128;
    ten.value.sport = 5;
    wccp::Traffic port;
    port.mask.dport = 0xffff;
    port.value.dport = 81;
    CHECK(traffic.traffic == std::vector{ten, port});
    CHECK(config->specifications.at(address("192.0.2.23")) == wccp::Specification{});
}

TEST_CASE("the protocol takes what the configuration may say", "[wccp][cached]")
{
    std::vector<Membership> groups(8, least());
    groups[0].interval = milliseconds(500);
    groups[0].timeout_scale = groups[0].assignment_scale = 5;
    groups[1].interval = seconds(60);
    groups[1].mask = CacheMask{address("0.0.3.255"), {}, 0, 0};
    groups[2].mask = CacheMask{{}, {}, 0, 1};
    groups[3].slow_start = std::chrono::hours(1);
    groups[3].service.id = {true, 255};
    groups[3].service.ports = {1, 2, 3, 4, 5, 6, 7, 8};
    groups[4].routers.clear();
    for (int i = 1; i <= 32; ++i)
        groups[4].routers.push_back(*Address::parse("192.0.3." + std::to_string(i)));
    groups[5].address = address("2001:db8::21");
    groups[5].routers = {address("2001:db8::1")};
    groups[5].mask = CacheMask{address("::3ff"), address("::"), 0, 0};
    groups[6].routers.clear();
    groups[6].group_address = address("224.0.0.1");
    groups[6].group_interface = "eth0";
    groups[7].version_2_01 = false;
    for (std::size_t i = 0; i < groups.size(); ++i) {
        INFO(i);
        CHECK(allowed(groups[i]));
        CHECK(member_config(groups[i]));
    }
}

TEST_CASE("what the configuration may not say is no protocol's either", "[wccp][cached]")
{
    auto group = least();
    group.routers.clear();
    CHECK_FALSE(allowed(group));
    const auto config = member_config(group);
    REQUIRE_FALSE(config);
    CHECK(config.error().message == "group web-cache: routers: none, and no group address");
}

TEST_CASE("a password is a file's first line, and nobody else's", "[wccp][cached][routerd]")
{
    const File open("secret12\n");
    for (const auto mode : {0644, 0660, 0602}) {
        REQUIRE(chmod(open.path().c_str(), static_cast<mode_t>(mode)) == 0);
        const auto password = daemon::read_password(open.path());
        REQUIRE_FALSE(password);
        CHECK(password.error().message.find("must be 0600 or 0640") != std::string::npos);
        CHECK(password.error().message.find("secret12") == std::string::npos);
    }
    const File good("secret12 \r\nmore\n");
    CHECK(*daemon::read_password(good.path()) == "secret12");
    const File unfinished("x");
    CHECK(*daemon::read_password(unfinished.path()) == "x");
    auto group = least();
    group.password_file = good.path();
    const auto config = member_config(group);
    REQUIRE(config);
    CHECK(config->password == "secret12");

    for (const auto *text : {"\nsecret\n", "ninechars\n", " \r\n"}) {
        const File bad(text);
        const auto password = daemon::read_password(bad.path());
        REQUIRE_FALSE(password);
        CHECK(password.error().message.find("the first line, 1..8 characters") !=
              std::string::npos);
    }
    const File empty("");
    const auto nothing = daemon::read_password(empty.path());
    REQUIRE_FALSE(nothing);
    CHECK(nothing.error().message == empty.path() + ": cannot be read: there is nothing in it");

    group.password_file = "/nonexistent/wccp.key";
    const auto missing = member_config(group);
    REQUIRE_FALSE(missing);
    CHECK(missing.error().message ==
          "group web-cache: /nonexistent/wccp.key: cannot be read: No such file or directory");
}
