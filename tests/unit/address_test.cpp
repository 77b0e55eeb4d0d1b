// SPDX-License-Identifier: GPL-2.0-only
#include <catch2/catch.hpp>

#include "sample.h"
#include "wlb/address.h"

using namespace wlb;
using test::address;
using test::prefix;

TEST_CASE("addresses are read and written", "[address]")
{
    CHECK(address("203.0.113.10").text() == "203.0.113.10");
    CHECK(address("2001:DB8:0:0::1").text() == "2001:db8::1");
    CHECK(address("1.2.3.4").size() == 4);
    CHECK(address("::1").size() == 16);
    for (const auto *bad : {"", "1.2.3", "1.2.3.256", "::g", "1.2.3.4/8", "host", " 1.2.3.4"})
        CHECK_FALSE(Address::parse(bad));
}

TEST_CASE("an address does not end at a NUL", "[address]")
{
    CHECK_FALSE(Address::parse(std::string_view("10.0.0.1\0x", 10)));
    CHECK_FALSE(Address::parse(std::string_view("2001:db8::1\0", 12)));
    CHECK_FALSE(Prefix::parse(std::string_view("10.0.0.0\0x/8", 12)));
}

TEST_CASE("addresses come from 4 or 16 bytes only", "[address]")
{
    const std::uint8_t bytes[16] = {10, 0, 0, 1};
    CHECK(Address::from_bytes(bytes, 4)->text() == "10.0.0.1");
    CHECK(Address::from_bytes(bytes, 16)->text() == "a00:1::");
    CHECK_FALSE(Address::from_bytes(bytes, 0));
    CHECK_FALSE(Address::from_bytes(bytes, 8));
}

TEST_CASE("addresses of one host", "[address]")
{
    for (const auto *good : {"1.0.0.0", "10.0.0.255", "223.255.255.255", "240.0.0.1", "fe80::1"})
        CHECK(address(good).is_host());
    for (const auto *bad : {"0.0.0.0", "0.1.2.3", "224.0.0.1", "239.1.1.1", "255.255.255.255",
                            "::", "ff02::1", "::ffff:10.0.0.1"})
        CHECK_FALSE(address(bad).is_host());
}

TEST_CASE("prefixes are read and written", "[prefix]")
{
    CHECK(prefix("10.0.0.0/8").text() == "10.0.0.0/8");
    CHECK(prefix("10.0.0.1").length == 32);
    CHECK(prefix("10.0.0.1/32").text() == "10.0.0.1");
    CHECK(prefix("::/0").text() == "::/0");
    CHECK(prefix("2001:db8::/128").text() == "2001:db8::");
    for (const auto *bad :
         {"", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/8x", "10/8"})
        CHECK_FALSE(Prefix::parse(bad));
}

TEST_CASE("host bits of a prefix", "[prefix]")
{
    CHECK_FALSE(prefix("10.0.0.0/8").has_host_bits());
    CHECK(prefix("10.0.0.1/31").has_host_bits());
    CHECK_FALSE(prefix("10.0.0.2/31").has_host_bits());
    CHECK(prefix("2001:db8:8000::/33").has_host_bits() == false);
    CHECK(prefix("2001:db8:c000::/33").has_host_bits());
    CHECK(prefix("128.0.0.0/0").has_host_bits());
    CHECK(address("10.255.255.255").network(9).text() == "10.128.0.0");
}

TEST_CASE("ports", "[port]")
{
    CHECK(*parse_port("1") == 1);
    CHECK(*parse_port("65535") == 65535);
    for (const auto *bad : {"", "0", "65536", "-1", "80x", "x", " 80", "99999999999999999999"})
        CHECK_FALSE(parse_port(bad));
    CHECK(endpoint(address("10.0.0.1"), 80) == "10.0.0.1:80");
    CHECK(endpoint(address("::1"), 80) == "[::1]:80");
}

TEST_CASE("lists", "[port]")
{
    CHECK(split("a,b,,c") == std::vector<std::string>{"a", "b", "", "c"});
    CHECK(split("") == std::vector<std::string>{""});
    CHECK(join({"a", "b"}) == "a,b");
    CHECK(join({}).empty());
}
