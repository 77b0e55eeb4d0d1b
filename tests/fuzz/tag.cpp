// SPDX-License-Identifier: GPL-2.0-only
// include/wlb/tag.h: the walk over TCP options, and what it rewrites.
// Input: 4 bytes of a tag, then up to 40 bytes of options.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "check.h"
#include "model.h"
#include "wlb/tag.h"

namespace {

using Bytes = std::vector<std::uint8_t>; // of exactly its size, for the address sanitizer

wlb_opts scan(const Bytes &list)
{
    wlb_opts opts;
    wlb_opts_scan(list.data(), static_cast<unsigned>(list.size()), MODEL_EXID, &opts);
    return opts;
}

// What a list holds, from its options one by one.
wlb_opts expected(const Bytes &list, const model_options &cut)
{
    wlb_opts want{};
    want.malformed = cut.malformed;
    for (unsigned i = 0; i < cut.n; i++) {
        const std::uint8_t *const option = &list[cut.at[i]];
        const unsigned len = cut.len[i];
        const bool ours = option[0] == 253 && len >= 4 && model_be16(option + 2) == MODEL_EXID;
        if (model_is_tag(option, len)) {
            const unsigned state = option[4] % 16 > 2 ? 0 : option[4] % 16;
            if (want.tags++ == 0) {
                want.tag = {static_cast<u8>(state), option[5],
                            static_cast<u16>(model_be16(option + 6)), 0};
                for (unsigned j = 8; j < len; j++)
                    want.tag.cookie = want.tag.cookie << 8 | option[j];
                want.tag_off = static_cast<u8>(cut.at[i]);
                want.tag_len = static_cast<u8>(len);
            }
            want.tag.state = std::min(want.tag.state, static_cast<u8>(state));
        }
        want.bad_tag |= ours && len != 8 && len != 16;
        want.is_signed |= option[0] == 19 || option[0] == 29;
        want.fast_open |=
            option[0] == 34 || (option[0] == 254 && len >= 4 && model_be16(option + 2) == 0xf989);
    }
    return want;
}

bool same(const wlb_opts &a, const wlb_opts &b)
{
    return a.tags == b.tags && a.tag_off == b.tag_off && a.tag_len == b.tag_len &&
           a.malformed == b.malformed && a.bad_tag == b.bad_tag && a.is_signed == b.is_signed &&
           a.fast_open == b.fast_open && a.tag.state == b.tag.state &&
           a.tag.offers == b.tag.offers && a.tag.nonce == b.tag.nonce &&
           a.tag.cookie == b.tag.cookie;
}

void check_rewrite(const Bytes &list, const wlb_tag *tag)
{
    Bytes got = list, want = list;
    std::uint8_t bytes[16];
    if (tag != nullptr)
        model_tag(bytes, tag->state, tag->offers, tag->nonce, tag->cookie);
    const auto len = static_cast<unsigned>(list.size());
    wlb_opts_rewrite(got.data(), len, MODEL_EXID, tag);
    model_rewrite(want.data(), len, tag != nullptr ? bytes : nullptr);
    CHECK(got == want);

    // what has been written is what is read
    const wlb_opts before = scan(list), after = scan(got);
    CHECK(after.malformed == before.malformed && after.bad_tag == before.bad_tag);
    CHECK(after.is_signed == before.is_signed && after.fast_open == before.fast_open);
    CHECK(after.tags == (tag != nullptr && before.tags ? 1 : 0));
    if (after.tags) {
        CHECK(after.tag_off == before.tag_off &&
              after.tag_len == (after.tag.cookie != 0 ? WLB_TAG_LEN_LONG : WLB_TAG_LEN));
        CHECK(after.tag.state == (tag->state <= WLB_TAG_ANSWER ? tag->state : 0));
        CHECK(after.tag.offers == tag->offers && after.tag.nonce == tag->nonce);
        CHECK(after.tag.cookie == (before.tag_len == WLB_TAG_LEN ? 0 : tag->cookie));
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    if (size < 4 || size > 44)
        return 0;
    const wlb_tag tag{static_cast<u8>(data[0] % 16), data[1],
                      static_cast<u16>(model_be16(data + 2)), static_cast<u8>(data[0] / 16)};
    const Bytes list(data + 4, data + size);
    model_options cut;
    model_cut(list.data(), static_cast<unsigned>(list.size()), &cut);
    CHECK(same(scan(list), expected(list, cut)));
    check_rewrite(list, &tag);
    check_rewrite(list, nullptr);
    return 0;
}
