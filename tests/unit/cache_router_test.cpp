// SPDX-License-Identifier: GPL-2.0-only
#include <catch2/catch.hpp>

#include "refusals.h"
#include "sample.h"
#include "wlb/toml_writer.h"
#include "wlb/validate.h"

using namespace wlb;
using test::address;
using test::check;
using test::errors;
using test::prefix;

namespace {

// A valid group to put a fault into: `extra` is on line 2.
std::string group(const std::string &extra,
                  const std::string &rest = "service = 'web-cache'\ngroup-list = 'any'\n")
{
    return "[[cache-router.group]]\n" + extra + "\n" + rest;
}

RedirectRule rule(const std::string &text)
{
    const auto result = parse_redirect_rule(text);
    INFO(text);
    REQUIRE(result);
    return *result;
}

// Every key with a value that is not its default.
Config full()
{
    Config config;
    config.cache_router.check_services_all = true;
    config.cache_router.lease = seconds(45);
    CacheGroup group;
    group.service = {true, 80};
    group.redirect_in = {"lan0", "lan1"};
    group.redirect_out = {"wan0"};
    group.exclude_in = {"cache0"};
    group.redirect_list = {rule("!10.0.0.0/8"), rule("any -> 203.0.113.0/24"), rule("any")};
    group.group_list = {prefix("192.0.2.0/24"), prefix("2001:db8::/64")};
    group.source = {address("192.0.2.1"), address("2001:db8::1")};
    group.group_address = address("224.1.1.1");
    group.group_listen = {"cache0"};
    group.password_file = "/etc/wlb/\"key\"";
    group.closed = true;
    group.hook = GroupHook::forward;
    group.drain = seconds(60);
    group.forwarding = {Forward::l2};
    group.returning = {Forward::gre};
    group.assignment = {Allotment::mask};
    group.version_2_01 = false;
    group.variable_timers = false;
    group.strict_source = false;
    group.reassign_kick = true;
    group.assignment_fallback = seconds(15);
    group.squid_filler = SquidFiller::off;
    group.bucket_format = BucketFormat::draft;
    group.md5_compat = Md5Compat::squid;
    CacheGroup web;
    web.any_cache = true;
    config.cache_router.groups = {group, web};
    return config;
}

} // namespace

TEST_CASE("a cache router's configuration is read back as it is written", "[config][wccp]")
{
    const auto text = to_toml(full());
    INFO(text);
    CHECK(validate(full()).empty());
    CHECK(errors(text).empty());
    CHECK(parse_config(text).config == full());
}

TEST_CASE("a group that says only what it must has the defaults", "[config][wccp]")
{
    const auto parsed = parse_config(group("group-list = ['192.0.2.0/24']", "service = 0\n"));
    REQUIRE(parsed.errors.empty());
    CacheGroup wanted;
    wanted.service = {true, 0};
    wanted.group_list = {prefix("192.0.2.0/24")};
    CHECK(parsed.config.cache_router.groups == std::vector{wanted});
}

TEST_CASE("faults of a cache router are refused where they are", "[config][wccp]")
{
    check({
        {"[cache-router]\nchek-services-all = true\n",
         "2:1: .*did you mean \"check-services-all\""},
        {"[cache-router]\ncheck-services-all = true\n", "1:1: .*settings without a group"},
        {"[cache-router]\nlease = '20s'\n", "1:1: .*settings without a group"},
        {"[cache-router]\nlease = '2h'\n" + group("service = 1", "group-list = 'any'\n"),
         "2:9: lease: 0, or 1s..1h"},
        {"[cache-router]\nlease = '1500ms'\n" + group("service = 1", "group-list = 'any'\n"),
         "2:9: .*whole number of seconds"},
        {group("", "group-list = 'any'\n"), "1:1: .*service is missing"},
        {group("service = 256", "group-list = 'any'\n"), "2:11: .*service 256 must be.*0..255"},
        {group("service = -1", "group-list = 'any'\n"), "2:11: .*service -1 must be"},
        {group("service = 'ftp'", "group-list = 'any'\n"), "2:11: .*\"ftp\" must be \"web-cache\""},
        {group("service = true", "group-list = 'any'\n"),
         "2:11: .*must be \"web-cache\", or a number"},
        {group("", "service = 1\n"), "1:1: group 1: group-list is missing.*\"any\""},
        {group("group-list = 'all'", "service = 1\n"),
         "2:14: .*must be a list of prefixes, or \"any\""},
        {group("group-list = ['10.0.0.1/8']", "service = 1\n"), "2:15: .*bits set past its length"},
        {group("") + group(""), "7:11: .*another group of it"},
        {group("redirect-in = ['lan 0']"), "2:16: .*not an interface name"},
        {group("redirect-out = ['a', 'a']"), "2:22: .*given twice"},
        {group("exclude-in = [1]"), "2:15: .*must be a string"},
        {group("redirect-list = ['10.0.0.1/8']"), "2:18: .*10.0.0.1/8 has bits set past"},
        {group("redirect-list = ['any -> ']"), "2:18: .*"},
        {group("redirect-list = ['10.0.0.0/8 -> ::/0']"), "2:18: .*addresses of one family"},
        {group("redirect-list = " + std::string("[") +
               [] {
                   std::string rules;
                   for (int i = 0; i < 513; ++i)
                       rules += "'any',";
                   return rules;
               }() +
               "]"),
         "2:.*more than 512"},
        {group("source = ['10.0.0.1', '10.0.0.2']"), "2:23: .*at most one address of each family"},
        {group("source = '224.0.0.1'"), "2:10: .*address of one host"},
        {group("group-address = '10.0.0.1'\ngroup-listen = ['lan0']"), "2:17: .*multicast"},
        {group("group-address = '224.1.1.1'"), "1:1: .*group-listen is missing"},
        {group("group-listen = ['lan0']"), "2:16: .*only with group-address"},
        {group("password-file = 'key'"), "2:17: .*must begin with a slash"},
        {group("md5-compat = 'squid'"), "2:14: .*only with password-file"},
        {group("mode = 'shut'"), "2:8: .*must be \"open\" or \"closed\""},
        {group("hook = 'input'"), "2:8: .*must be \"prerouting\" or \"forward\""},
        {group("drain = '9h'"), "2:9: .*must be 0..28800"},
        {group("drain = '10ms'"), "2:9: .*whole number of seconds"},
        {group("assignment-fallback = -1"), "2:23: .*"},
        {group("forwarding = []"), "2:14: .*at least one method"},
        {group("forwarding = ['ipip']"), "2:15: .*must be \"gre\" or \"l2\""},
        {group("return = ['gre', 'gre']"), "2:18: .*given twice"},
        {group("assignment = ['bucket']"), "2:15: .*must be \"hash\" or \"mask\""},
        {group("version = '2'"), "2:11: .*must be \"2.00\" or \"2.01\""},
        {group("squid-filler = 'yes'"), "2:16: .*must be \"off\", \"on\" or \"auto\""},
        {group("bucket-format = 'ios'"), "2:17: .*must be \"cisco\" or \"draft\""},
    });
}

TEST_CASE("redirect rules", "[wccp]")
{
    for (const auto *text :
         {"any", "!any", "10.0.0.0/8", "!10.0.0.0/8 -> 192.0.2.1", "any -> 2001:db8::/32"})
        CHECK(to_text(rule(text)) == text);
    CHECK(rule("  ! any->10.0.0.0/8 ") == rule("!any -> 10.0.0.0/8"));
    for (const auto *text : {"", "!", "-> 10.0.0.0/8", "any -> any -> any", "10.0.0.0/33"})
        CHECK_FALSE(parse_redirect_rule(text));
}

TEST_CASE("service names", "[wccp]")
{
    CHECK(ServiceId::parse("web-cache")->text() == "web-cache");
    CHECK(ServiceId::parse("255")->text() == "255");
    for (const auto *text : {"", "256", "-1", "1a", "0000", "Web-Cache"})
        CHECK_FALSE(ServiceId::parse(text));
}
