// SPDX-License-Identifier: GPL-2.0-only
#include <catch2/catch.hpp>

#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "wlb/tag.h"

namespace {

using Bytes = std::vector<u8>;

constexpr u16 exid = 0x574c;

Bytes operator+(Bytes a, const Bytes &b)
{
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

std::string hex(const Bytes &bytes)
{
    std::string out;
    for (const u8 byte : bytes) {
        char digits[4];
        std::snprintf(digits, sizeof(digits), "%02x ", byte);
        out += digits;
    }
    return out;
}

// A copy that is exactly as large as its contents, so that the address sanitizer sees every byte
// that is read or written past them.
class Exact {
public:
    explicit Exact(const Bytes &bytes) : size_(bytes.size()), data_(new u8[bytes.size()])
    {
        std::copy(bytes.begin(), bytes.end(), data_.get());
    }

    wlb_opts scan() const
    {
        wlb_opts opts;
        wlb_opts_scan(data_.get(), static_cast<unsigned>(size_), exid, &opts);
        return opts;
    }

    void rewrite(const wlb_tag *tag)
    {
        wlb_opts_rewrite(data_.get(), static_cast<unsigned>(size_), exid, tag);
    }

    Bytes bytes() const { return {data_.get(), data_.get() + size_}; }

private:
    size_t size_;
    std::unique_ptr<u8[]> data_;
};

wlb_opts scan(const Bytes &bytes)
{
    return Exact(bytes).scan();
}

Bytes rewritten(const Bytes &bytes, const wlb_tag *tag)
{
    Exact exact(bytes);
    exact.rewrite(tag);
    return exact.bytes();
}

// Start packets of real systems; Windows and macOS as wide-area.md 2.2 gives their lengths.
const Bytes mss{2, 4, 0x05, 0xb4}, sack_permitted{4, 2}, window_scale{3, 3, 7}, nop{1}, eol{0};
const Bytes timestamp{8, 10, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0};
const Bytes of_linux = mss + sack_permitted + timestamp + nop + window_scale;
const Bytes of_windows = mss + nop + window_scale + nop + nop + sack_permitted;
const Bytes of_macos =
    mss + nop + window_scale + nop + nop + timestamp + sack_permitted + eol + eol;

const Bytes permitted{0xfd, 0x08, 0x57, 0x4c, 0x11, 0x07, 0x9a, 0x3c};
const Bytes forbidden{0xfd, 0x08, 0x57, 0x4c, 0x10, 0x00, 0x00, 0x00};
const Bytes answer{0xfd, 0x08, 0x57, 0x4c, 0x12, 0x01, 0x9a, 0x3c};
const Bytes permitted_long{0xfd, 0x10, 0x57, 0x4c, 0x11, 0x07, 0x9a, 0x3c,
                           0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8};
const Bytes eight_nops(8, 1);

Bytes with(Bytes bytes, size_t offset, u8 value)
{
    bytes.at(offset) = value;
    return bytes;
}

Bytes written(const wlb_tag &tag, u16 id = exid)
{
    Bytes bytes(WLB_TAG_LEN_LONG, 0xee);
    wlb_tag_write(bytes.data(), id, &tag);
    bytes.resize(wlb_tag_len(&tag));
    return bytes;
}

} // namespace

TEST_CASE("a tag is written as the wire format says", "[tag]")
{
    const u8 nat_spoof_tunnel = WLB_OFFER_NAT | WLB_OFFER_SPOOF | WLB_OFFER_TUNNEL;
    CHECK(written({.state = WLB_TAG_PERMITTED,
                   .offers = nat_spoof_tunnel,
                   .nonce = 0x9a3c,
                   .cookie = 0}) == permitted);
    CHECK(written({.state = WLB_TAG_NOT_PERMITTED, .offers = 0, .nonce = 0, .cookie = 0}) ==
          forbidden);
    CHECK(
        written({.state = WLB_TAG_ANSWER, .offers = WLB_OFFER_NAT, .nonce = 0x9a3c, .cookie = 0}) ==
        answer);
    CHECK(
        written(
            {.state = WLB_TAG_PERMITTED, .offers = 1, .nonce = 2, .cookie = 0x1122334455667788}) ==
        Bytes{0xfd, 0x10, 0x57, 0x4c, 0x11, 1, 0, 2, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
              0x88});
    CHECK(written({.state = WLB_TAG_NOT_PERMITTED, .offers = 0, .nonce = 0, .cookie = 0}, 0xbeef) ==
          Bytes{0xfd, 0x08, 0xbe, 0xef, 0x10, 0, 0, 0});
    // the bits of the offers, by number
    CHECK(WLB_OFFER_NAT == 1);
    CHECK(WLB_OFFER_SPOOF == 2);
    CHECK(WLB_OFFER_TUNNEL == 4);
    CHECK(WLB_OFFER_GRE == 8);
    CHECK(WLB_OFFER_UDP == 16);
    CHECK(WLB_OFFER_CLONED == 32);
}

TEST_CASE("what is written is read", "[tag]")
{
    for (unsigned state = 0; state <= WLB_TAG_ANSWER; state++) {
        for (unsigned offers = 0; offers < 256; offers++) {
            for (const unsigned nonce : {0x0000, 0x0001, 0x0100, 0x9a3c, 0xffff}) {
                const u64 cookie = offers % 3 ? 0x0123456789abcdef << offers % 3 : 0;
                const wlb_tag tag{static_cast<u8>(state), static_cast<u8>(offers),
                                  static_cast<u16>(nonce), cookie};
                const wlb_opts opts = scan(written(tag) + of_linux);
                if (opts.tags != 1 || opts.tag.state != state || opts.tag.offers != offers ||
                    opts.tag.nonce != nonce || opts.tag.cookie != cookie ||
                    opts.tag_len != (cookie != 0 ? 16 : 8)) {
                    CAPTURE(state, offers, nonce);
                    FAIL("read back something else");
                }
            }
        }
    }
}

TEST_CASE("start packets of real systems have no tag and nothing wrong", "[tag]")
{
    CHECK(of_linux.size() == 20);
    CHECK(of_windows.size() == 12);
    CHECK(of_macos.size() == 24);
    for (const Bytes &bytes : {Bytes{}, of_linux, of_windows, of_macos}) {
        INFO(hex(bytes));
        const wlb_opts opts = scan(bytes);
        CHECK(opts.tags == 0);
        CHECK_FALSE(opts.malformed);
        CHECK_FALSE(opts.bad_tag);
        CHECK_FALSE(opts.is_signed);
        CHECK_FALSE(opts.fast_open);
        // and a tag in front of them is found
        const wlb_opts tagged = scan(permitted + bytes);
        CHECK(tagged.tags == 1);
        CHECK(tagged.tag_off == 0);
        CHECK(tagged.tag_len == 8);
        CHECK(tagged.tag.state == WLB_TAG_PERMITTED);
        CHECK(tagged.tag.offers == 7);
        CHECK(tagged.tag.nonce == 0x9a3c);
        CHECK_FALSE(tagged.malformed);
    }
}

TEST_CASE("a tag is found wherever it stands, but not behind the end of the list", "[tag]")
{
    const wlb_opts last = scan(of_linux + permitted);
    CHECK(last.tags == 1);
    CHECK(last.tag_off == 20);
    const wlb_opts odd = scan(nop + permitted + nop + nop + nop);
    CHECK(odd.tags == 1);
    CHECK(odd.tag_off == 1);
    // a receiver stops reading at EOL (macOS pads with it)
    CHECK(scan(of_macos + permitted).tags == 0);
    CHECK_FALSE(scan(of_macos + permitted).malformed);
    // what follows EOL is padding, not options, however broken
    CHECK_FALSE(scan(mss + eol + Bytes{2, 0, 0xff}).malformed);
}

TEST_CASE("every kind of broken list is malformed", "[tag]")
{
    const std::pair<const char *, Bytes> bad[] = {
        {"length 0", mss + Bytes{5, 0, 0, 0}},
        {"length 1", mss + Bytes{5, 1, 0, 0}},
        {"one past the end", mss + Bytes{8, 5, 0, 0}},
        {"far past the end", mss + Bytes{8, 255, 0, 0}},
        {"a kind byte alone at the end", mss + nop + nop + nop + Bytes{3}},
        {"nothing but a kind byte", Bytes{3}},
        {"a tag cut off", Bytes{0xfd, 8, 0x57, 0x4c}},
        {"a tag cut off by one", Bytes(permitted.begin(), permitted.end() - 1)},
        {"kind 253 alone", Bytes{0xfd}},
        {"kind 253 with length 0", Bytes{0xfd, 0, 0x57, 0x4c}},
        {"behind a good tag", permitted + Bytes{5, 1}},
        {"in front of a good tag", Bytes{5, 1} + permitted},
    };
    for (const auto &[why, bytes] : bad) {
        INFO(why);
        CHECK(scan(bytes).malformed);
    }
    CHECK(scan(permitted + Bytes{5, 1}).tags == 1);
    CHECK(scan(Bytes{5, 1} + permitted).tags == 0);
    // the shortest option and one that just fits are fine
    CHECK_FALSE(scan(Bytes{4, 2}).malformed);
    CHECK_FALSE(scan(Bytes{5, 4, 0, 0}).malformed);
    CHECK_FALSE(scan(Bytes{1}).malformed);
    CHECK_FALSE(scan(Bytes{0}).malformed);
}

TEST_CASE("of several tags the most restrictive state counts", "[tag]")
{
    const Bytes odd_state = with(permitted, 4, 0x13);
    const struct {
        Bytes bytes;
        int state;
    } cases[] = {
        {permitted + permitted, WLB_TAG_PERMITTED},
        {permitted + forbidden, WLB_TAG_NOT_PERMITTED},
        {forbidden + permitted, WLB_TAG_NOT_PERMITTED},
        {permitted + odd_state, WLB_TAG_NOT_PERMITTED},
        {answer + permitted, WLB_TAG_PERMITTED},
        {permitted + answer, WLB_TAG_PERMITTED},
        {answer + answer, WLB_TAG_ANSWER},
        {permitted + permitted + forbidden, WLB_TAG_NOT_PERMITTED},
    };
    for (const auto &[bytes, state] : cases) {
        INFO(hex(bytes));
        const wlb_opts opts = scan(bytes);
        CHECK(opts.tags == bytes.size() / 8);
        CHECK(opts.tag.state == state);
    }
    // offers, nonce and place are the first one's
    const wlb_opts opts = scan(mss + with(permitted, 7, 0x55) + with(forbidden, 5, 0x3f));
    CHECK(opts.tag.offers == 7);
    CHECK(opts.tag.nonce == 0x9a55);
    CHECK(opts.tag_off == 4);
    CHECK(opts.tags == 2);
}

TEST_CASE("unknown states forbid, unknown versions are no tags", "[tag]")
{
    for (u8 state = 3; state < 16; state++) {
        const wlb_opts opts = scan(with(permitted, 4, 0x10 | state));
        CHECK(opts.tags == 1);
        CHECK(opts.tag.state == WLB_TAG_NOT_PERMITTED);
    }
    for (u8 version = 0; version < 16; version++) {
        if (version == 1)
            continue;
        const wlb_opts opts = scan(with(forbidden, 4, version << 4) + permitted);
        CHECK(opts.tags == 1);
        CHECK(opts.tag.state == WLB_TAG_PERMITTED);
        CHECK(opts.tag_off == 8);
        CHECK_FALSE(opts.bad_tag);
        CHECK_FALSE(opts.malformed);
        // the long form likewise: absent, not bad
        const wlb_opts longer = scan(with(permitted_long, 4, version << 4) + permitted);
        CHECK(longer.tags == 1);
        CHECK_FALSE(longer.bad_tag);
    }
}

TEST_CASE("only our identifier and only kind 253 make a tag", "[tag]")
{
    for (const Bytes &bytes : {with(permitted, 2, 0x58), with(permitted, 3, 0x4d),
                               with(permitted, 0, 0xfe), with(permitted, 0, 0xfc)}) {
        INFO(hex(bytes));
        const wlb_opts opts = scan(bytes);
        CHECK(opts.tags == 0);
        CHECK_FALSE(opts.bad_tag);
        CHECK_FALSE(opts.malformed);
    }
}

TEST_CASE("the long form is a tag, other lengths are bad ones", "[tag]")
{
    const wlb_opts opts = scan(permitted_long + of_linux);
    CHECK(opts.tags == 1);
    CHECK(opts.tag_len == 16);
    CHECK(opts.tag.nonce == 0x9a3c);
    CHECK_FALSE(opts.bad_tag);

    for (u8 len = 4; len <= 40; len++) {
        if (len == 8 || len == 16)
            continue;
        Bytes bytes(len, 0x11);
        bytes[0] = 0xfd;
        bytes[1] = len;
        bytes[2] = 0x57;
        bytes[3] = 0x4c;
        CAPTURE(len);
        CHECK(scan(bytes).bad_tag);
        CHECK(scan(bytes).tags == 0);
        CHECK_FALSE(scan(bytes).malformed);
    }
    // too short for an identifier: nobody's
    for (const Bytes &bytes : {Bytes{0xfd, 2, 0x57, 0x4c}, Bytes{0xfd, 3, 0x57, 1}})
        CHECK_FALSE(scan(bytes).bad_tag);
    // a bad one does not hide a good one
    const wlb_opts both = scan(Bytes{0xfd, 4, 0x57, 0x4c} + permitted);
    CHECK(both.bad_tag);
    CHECK(both.tags == 1);
}

TEST_CASE("signed and Fast Open start packets are recognised", "[tag]")
{
    const Bytes md5 = Bytes{19, 18} + Bytes(16, 0xab), ao = Bytes{29, 16} + Bytes(14, 0xcd);
    CHECK(scan(of_windows + md5).is_signed);
    CHECK(scan(of_windows + ao).is_signed);
    CHECK_FALSE(scan(of_windows + md5).fast_open);

    const Bytes cookie{34, 10, 1, 2, 3, 4, 5, 6, 7, 8}, request{34, 2};
    const Bytes old_cookie{254, 12, 0xf9, 0x89, 1, 2, 3, 4, 5, 6, 7, 8},
        old_request{254, 4, 0xf9, 0x89};
    for (const Bytes &tfo : {cookie, request, old_cookie, old_request}) {
        INFO(hex(tfo));
        CHECK(scan(of_windows + tfo).fast_open);
        CHECK(scan(permitted + tfo).fast_open);
        CHECK_FALSE(scan(tfo).is_signed);
    }
    // SMC shares kind 254; kind 253 was never Fast Open's
    CHECK_FALSE(scan(Bytes{254, 6, 0xe2, 0xd4, 0xc3, 0xd9}).fast_open);
    CHECK_FALSE(scan(Bytes{253, 4, 0xf9, 0x89}).fast_open);
    // an identifier that the length does not cover is the next option
    CHECK_FALSE(scan(Bytes{254, 2, 0xf9, 2}).fast_open);
    CHECK_FALSE(scan(Bytes{254, 3, 0xf9, 1}).fast_open);
}

TEST_CASE("a tag is rewritten in its place", "[tag]")
{
    const wlb_tag tag{.state = WLB_TAG_PERMITTED, .offers = 0x29, .nonce = 0x1234, .cookie = 0};
    const Bytes fresh{0xfd, 0x08, 0x57, 0x4c, 0x11, 0x29, 0x12, 0x34};

    CHECK(rewritten(permitted + of_linux, &tag) == fresh + of_linux);
    CHECK(rewritten(of_linux + permitted, &tag) == of_linux + fresh);
    CHECK(rewritten(nop + permitted_long + of_linux, &tag) == nop + fresh + eight_nops + of_linux);
    CHECK(rewritten(permitted + mss + forbidden + mss + answer, &tag) ==
          fresh + mss + eight_nops + mss + eight_nops);
    CHECK(rewritten(permitted + of_linux, nullptr) == eight_nops + of_linux);
    // with a cookie, where there is room for one
    wlb_tag shown = tag;
    shown.cookie = 0xc00c1e0000000001;
    CHECK(rewritten(permitted + of_linux, &shown) == fresh + of_linux);
    CHECK(
        rewritten(nop + permitted_long + of_linux, &shown) ==
        nop +
            Bytes{0xfd, 0x10, 0x57, 0x4c, 0x11, 0x29, 0x12, 0x34, 0xc0, 0x0c, 0x1e, 0, 0, 0, 0, 1} +
            of_linux);
    CHECK(rewritten(permitted_long, nullptr) == eight_nops + eight_nops);
    CHECK(rewritten(mss + permitted + forbidden, nullptr) == mss + eight_nops + eight_nops);

    // no tag: nothing is put in, whatever looks like one
    const Bytes other_version = with(permitted, 4, 0x21), other_id = with(permitted, 3, 0);
    for (const Bytes &bytes : {Bytes{}, of_linux, of_macos, of_macos + permitted, other_version,
                               other_id, Bytes{0xfd, 4, 0x57, 0x4c}}) {
        INFO(hex(bytes));
        CHECK(rewritten(bytes, &tag) == bytes);
        CHECK(rewritten(bytes, nullptr) == bytes);
    }
    // another identifier's list is left alone
    Bytes bytes = permitted;
    wlb_opts_rewrite(bytes.data(), 8, exid + 1, nullptr);
    CHECK(bytes == permitted);
}

// Lists are put together from options whose effect is known, so that the expected outcome does
// not come from another walk.
TEST_CASE("random well-formed lists", "[tag]")
{
    std::mt19937 engine(6);
    const auto below = [&](unsigned n) {
        return std::uniform_int_distribution<unsigned>(0, n - 1)(engine);
    };
    unsigned with_tags = 0;

    for (int round = 0; round < 60000; round++) {
        const wlb_tag tag{.state = static_cast<u8>(below(3)),
                          .offers = static_cast<u8>(below(256)),
                          .nonce = static_cast<u16>(below(0x10000)),
                          .cookie = u64{below(2)} << below(64)};
        Bytes list, retagged, stripped;
        wlb_opts want{};
        bool ended = false;
        while (!ended) {
            Bytes option;
            bool is_tag = false;
            switch (below(9)) {
            case 0:
                option = nop;
                break;
            case 1:
            case 2: {
                // a tag of any state, short or long
                option = below(2) ? permitted : permitted_long;
                option[4] = static_cast<u8>(0x10 | below(16));
                option[5] = static_cast<u8>(below(256));
                option[6] = static_cast<u8>(below(256));
                is_tag = true;
                break;
            }
            case 3:
                option = Bytes{static_cast<u8>(below(2) ? 19 : 29), 5, 1, 2, 3};
                break;
            case 4:
                option = below(2) ? Bytes{34, 2} : Bytes{254, 4, 0xf9, 0x89};
                break;
            case 5:
                option = Bytes{0xfd, 7, 0x57, 0x4c, 0x11, 1, 2};
                break;
            case 6:
                option = with(permitted, 4, static_cast<u8>((2 + below(14)) << 4 | 1));
                break;
            case 7:
                option = Bytes(2 + below(8), static_cast<u8>(below(256)));
                option[0] = 5;
                option[1] = static_cast<u8>(option.size());
                break;
            default:
                option = eol + Bytes(below(6), static_cast<u8>(below(256)));
                ended = true;
            }
            if (list.size() + option.size() > 40)
                break;
            const u8 state = option.size() > 4 && (option[4] & 15) <= WLB_TAG_ANSWER
                                 ? option[4] & 15
                                 : WLB_TAG_NOT_PERMITTED;
            if (is_tag) {
                const Bytes nops(option.size(), 1);
                if (want.tags) {
                    want.tag.state = std::min(want.tag.state, state);
                    retagged = retagged + nops;
                } else {
                    want.tag = {state, option[5], static_cast<u16>(option[6] << 8 | option[7]), 0};
                    for (std::size_t i = 8; i < option.size(); i++)
                        want.tag.cookie = want.tag.cookie << 8 | option[i];
                    want.tag_off = static_cast<u8>(list.size());
                    want.tag_len = static_cast<u8>(option.size());
                    wlb_tag fit = tag;
                    if (option.size() < 16)
                        fit.cookie = 0;
                    const Bytes fresh = written(fit);
                    retagged = retagged + fresh + Bytes(option.size() - fresh.size(), 1);
                }
                stripped = stripped + nops;
                want.tags++;
            } else {
                want.is_signed |= option[0] == 19 || option[0] == 29;
                want.fast_open |= option[0] == 34 || option[0] == 254;
                want.bad_tag |= option[0] == 0xfd && option[1] == 7;
                retagged = retagged + option;
                stripped = stripped + option;
            }
            list = list + option;
        }

        const wlb_opts got = scan(list);
        const bool same =
            got.tags == want.tags && !got.malformed && got.bad_tag == want.bad_tag &&
            got.is_signed == want.is_signed && got.fast_open == want.fast_open &&
            (!want.tags || (got.tag.state == want.tag.state && got.tag.offers == want.tag.offers &&
                            got.tag.nonce == want.tag.nonce && got.tag.cookie == want.tag.cookie &&
                            got.tag_off == want.tag_off && got.tag_len == want.tag_len));
        if (!same || rewritten(list, &tag) != retagged || rewritten(list, nullptr) != stripped) {
            INFO("round " << round << ": " << hex(list));
            CHECK(same);
            CHECK(hex(rewritten(list, &tag)) == hex(retagged));
            CHECK(hex(rewritten(list, nullptr)) == hex(stripped));
            FAIL("a list is read or rewritten wrong");
        }
        with_tags += want.tags > 0;
    }
    CHECK(with_tags > 15000);
}

TEST_CASE("random bytes are read and rewritten within their bounds", "[tag]")
{
    // bytes that open options, so that walks get far
    const u8 likely[] = {0, 1, 1, 1, 2, 3, 4, 8, 8, 16, 19, 34, 0x57, 0x4c, 0x11, 253, 253, 254};
    std::mt19937 engine(7);
    const auto below = [&](unsigned n) {
        return std::uniform_int_distribution<unsigned>(0, n - 1)(engine);
    };
    unsigned malformed = 0, tagged = 0;

    for (int round = 0; round < 100000; round++) {
        Bytes bytes(below(41));
        for (u8 &byte : bytes)
            byte = static_cast<u8>(below(4) ? likely[below(sizeof(likely))] : below(256));
        if (bytes.size() >= 8 && !below(3))
            std::copy(permitted.begin(), permitted.end(),
                      bytes.begin() + below(static_cast<unsigned>(bytes.size()) - 7));

        const wlb_opts opts = scan(bytes);
        const wlb_tag tag{.state = WLB_TAG_PERMITTED, .offers = 9, .nonce = 0x4321, .cookie = 0};
        const Bytes retagged = rewritten(bytes, &tag), stripped = rewritten(bytes, nullptr);
        const wlb_opts again = scan(retagged), bare = scan(stripped);
        bool good = bare.tags == 0 && bare.malformed == opts.malformed &&
                    again.malformed == opts.malformed && again.bad_tag == opts.bad_tag &&
                    bare.is_signed == opts.is_signed && bare.fast_open == opts.fast_open;
        if (opts.tags)
            good = good && again.tags == 1 && again.tag.nonce == 0x4321 && again.tag.offers == 9 &&
                   again.tag.state == WLB_TAG_PERMITTED && again.tag_off == opts.tag_off &&
                   opts.tag_off + opts.tag_len <= bytes.size() && bytes[opts.tag_off] == 0xfd &&
                   bytes[opts.tag_off + 1] == opts.tag_len;
        else
            good = good && retagged == bytes && stripped == bytes;
        if (!good) {
            INFO("round " << round << ": " << hex(bytes));
            FAIL("a list is read or rewritten wrong");
        }
        malformed += opts.malformed;
        tagged += opts.tags > 0;
    }
    CHECK(malformed > 5000);
    CHECK(tagged > 3000);
}
