// SPDX-License-Identifier: GPL-2.0-only
#include <catch2/catch.hpp>

#include <array>
#include <cstring>
#include <random>

#include "wlb/redirect.h"

namespace {

constexpr std::array<u8, 4> src4{192, 168, 1, 10};
constexpr std::array<u8, 4> dst4{10, 0, 0, 1};

wlb_redirect_key key4()
{
    return {.src = src4.data(), .dst = dst4.data(), .addr_len = 4, .sport = 40000, .dport = 80};
}

wlb_wccp_mask random_mask(std::mt19937 &random, u8 addr_len, double density)
{
    std::bernoulli_distribution bit(density);
    wlb_wccp_mask mask{};
    for (unsigned i = 0; i < 16; ++i) {
        mask.sport = static_cast<u16>(mask.sport | unsigned{bit(random)} << i);
        mask.dport = static_cast<u16>(mask.dport | unsigned{bit(random)} << i);
    }
    for (unsigned i = 0; i < addr_len * 8U; ++i) {
        mask.src[i / 8] = static_cast<u8>(mask.src[i / 8] | unsigned{bit(random)} << i % 8);
        mask.dst[i / 8] = static_cast<u8>(mask.dst[i / 8] | unsigned{bit(random)} << i % 8);
    }
    return mask;
}

} // namespace

TEST_CASE("wccp buckets are the XOR of the fields' octets")
{
    auto key = key4();
    CHECK(wlb_wccp_bucket(&key, 0) == 0);
    CHECK(wlb_wccp_bucket(&key, WLB_WCCP_SRC_IP) == 99);
    CHECK(wlb_wccp_bucket(&key, WLB_WCCP_DST_IP) == 11);
    CHECK(wlb_wccp_bucket(&key, WLB_WCCP_SRC_IP | WLB_WCCP_DST_IP) == 104);
    CHECK(wlb_wccp_bucket(&key, WLB_WCCP_SRC_PORT) == 220);
    CHECK(wlb_wccp_bucket(&key, WLB_WCCP_DST_PORT) == 80);
    CHECK(wlb_wccp_bucket(&key, WLB_WCCP_HASH) == 228);
    const std::array<u8, 4> other{203, 0, 113, 77};
    key.dst = other.data();
    CHECK(wlb_wccp_bucket(&key, WLB_WCCP_DST_IP) == 247);
}

TEST_CASE("wccp buckets of IPv6 take all 16 octets")
{
    const std::array<u8, 16> src{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    const std::array<u8, 16> dst{0xff};
    const wlb_redirect_key key{
        .src = src.data(), .dst = dst.data(), .addr_len = 16, .sport = 0, .dport = 0};
    CHECK(wlb_wccp_bucket(&key, WLB_WCCP_SRC_IP) == (0x20 ^ 0x01 ^ 0x0d ^ 0xb8 ^ 1));
    CHECK(wlb_wccp_bucket(&key, WLB_WCCP_HASH) == (0x20 ^ 0x01 ^ 0x0d ^ 0xb8 ^ 1 ^ 0xff));
}

TEST_CASE("wccp takes the alternative bucket where the first one asks for it")
{
    const auto key = key4();
    std::array<u8, WLB_WCCP_BUCKETS> table{};
    table.fill(WLB_WCCP_BUCKET_NONE);
    const u32 flags = WLB_WCCP_DST_IP | WLB_WCCP_SRC_IP << WLB_WCCP_ALT_SHIFT;
    wlb_wccp_choice choice{};

    wlb_wccp_choose(&key, flags, table.data(), &choice);
    CHECK((choice.cache == WLB_WCCP_BUCKET_NONE && choice.primary == 11 && !choice.alt_used));

    table[11] = 3;
    wlb_wccp_choose(&key, flags, table.data(), &choice);
    CHECK((choice.cache == 3 && choice.primary == 11 && choice.alt == 0 && !choice.alt_used));

    table[11] = WLB_WCCP_BUCKET_ALT | 3;
    wlb_wccp_choose(&key, flags, table.data(), &choice);
    CHECK((choice.cache == WLB_WCCP_BUCKET_NONE && choice.alt == 99 && choice.alt_used));

    table[99] = WLB_WCCP_BUCKET_ALT | 5; // its own flag is ignored
    wlb_wccp_choose(&key, flags, table.data(), &choice);
    CHECK((choice.cache == 5 && choice.alt == 99 && choice.alt_used));

    // no alternative fields: what the bucket names itself, not bucket 0
    table[0] = 9;
    wlb_wccp_choose(&key, WLB_WCCP_DST_IP, table.data(), &choice);
    CHECK((choice.cache == 3 && !choice.alt_used));
}

TEST_CASE("wccp masks")
{
    const auto key = key4();
    wlb_wccp_mask mask{};
    wlb_wccp_mask value{};
    CHECK(wlb_wccp_match(&key, &mask, &value)); // one all-zero mask and value takes everything

    mask.src[2] = 0x17;
    mask.src[3] = 0x41;
    value.src[2] = 0x01;
    CHECK(wlb_wccp_match(&key, &mask, &value));
    value.src[3] = 0x0a; // bits past the mask: never
    CHECK_FALSE(wlb_wccp_match(&key, &mask, &value));
    value.src[3] = 0;
    mask.dport = 0x0010;
    CHECK_FALSE(wlb_wccp_match(&key, &mask, &value));
    value.dport = 0x0010;
    CHECK(wlb_wccp_match(&key, &mask, &value));
}

TEST_CASE("wccp value sequence numbers: the draft's example")
{
    wlb_wccp_mask mask{};
    mask.src[2] = 0x01; // 0x00000100
    mask.dst[3] = 0x03;
    mask.dport = 0x0001;
    CHECK(wlb_wccp_mask_bits(&mask, 4) == 4);
    wlb_wccp_mask value{};
    wlb_wccp_vsn_value(&mask, 4, 11, &value);
    CHECK((value.src[2] == 1 && value.dst[3] == 1 && value.dport == 1 && value.sport == 0));
}

TEST_CASE("wccp value sequence numbers are the values that match")
{
    std::mt19937 random(20);
    for (int round = 0; round < 2000; ++round) {
        const u8 addr_len = round % 2 ? 16 : 4;
        const auto mask = random_mask(random, addr_len, addr_len == 4 ? 0.2 : 0.08);
        if (wlb_wccp_mask_bits(&mask, addr_len) > WLB_WCCP_VSN_BITS)
            continue;
        const auto packet = random_mask(random, addr_len, 0.5);
        const wlb_redirect_key key{.src = packet.src,
                                   .dst = packet.dst,
                                   .addr_len = addr_len,
                                   .sport = packet.sport,
                                   .dport = packet.dport};
        const u32 vsn = wlb_wccp_vsn(&key, &mask);
        wlb_wccp_mask value{};
        wlb_wccp_vsn_value(&mask, addr_len, vsn, &value);
        REQUIRE(wlb_wccp_match(&key, &mask, &value));
        if (wlb_wccp_mask_bits(&mask, addr_len) > 0) {
            wlb_wccp_vsn_value(&mask, addr_len, vsn ^ 1U, &value);
            REQUIRE_FALSE(wlb_wccp_match(&key, &mask, &value));
        }
    }
}

TEST_CASE("wccp redirect header")
{
    std::array<u8, WLB_REDIRECT_LEN> octets{};
    const wlb_redirect_hdr header{
        .flags = WLB_REDIRECT_DYNAMIC | WLB_REDIRECT_ALT, .service = 80, .alt = 99, .primary = 11};
    wlb_redirect_write(octets.data(), &header);
    CHECK(octets == std::array<u8, 4>{0x03, 80, 99, 11});
    wlb_redirect_hdr back{};
    REQUIRE(wlb_redirect_read(octets.data(), &back));
    CHECK(std::memcmp(&back, &header, sizeof(back)) == 0);

    const std::array<u8, 4> null{0x04, 1, 2, 3}; // what is with U is not told
    REQUIRE(wlb_redirect_read(null.data(), &back));
    CHECK((back.flags == WLB_REDIRECT_NULL && back.service == 0 && back.primary == 0));

    const std::array<u8, 4> version1{0x45, 0, 0, 60};
    CHECK_FALSE(wlb_redirect_read(version1.data(), &back));
}
