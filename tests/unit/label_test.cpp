// SPDX-License-Identifier: GPL-2.0-only
#include <catch2/catch.hpp>

#include <random>
#include <vector>

#include "wlb/label.h"

namespace {

using Bytes = std::vector<u8>;

Bytes operator+(Bytes a, const Bytes &b)
{
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

unsigned size(const Bytes &bytes)
{
    return static_cast<unsigned>(bytes.size());
}

Bytes written(const Bytes &data)
{
    Bytes bytes(wlb_label_room(size(data)), 0xee);
    wlb_label_write(bytes.data(), data.data(), size(data));
    return bytes;
}

Bytes rewritten(Bytes bytes, const Bytes &data, bool says)
{
    CHECK(wlb_labels_rewrite(bytes.data(), size(bytes), data.empty() ? nullptr : data.data(),
                             size(data)) == says);
    return bytes;
}

unsigned labels(const Bytes &bytes)
{
    return wlb_labels(bytes.data(), size(bytes));
}

const Bytes mss{2, 4, 0x05, 0xb4}, nop{1}, zurich{'Z', 'H'}, berne{'B', 'E'},
    long_one{'G', 'E', '1'};
const Bytes of_zurich{254, 6, 0x57, 0x4d, 'Z', 'H'}, of_berne{254, 6, 0x57, 0x4d, 'B', 'E'};

} // namespace

TEST_CASE("a label is an option of the other experimental kind, padded to words", "[label]")
{
    CHECK(written(zurich) == of_zurich + nop + nop);
    CHECK(written({1, 2, 3, 4}) == Bytes{254, 8, 0x57, 0x4d, 1, 2, 3, 4});
    for (unsigned len = 1; len <= WLB_LABEL_DATA_MAX; len++) {
        const Bytes bytes = written(Bytes(len, 7));
        CHECK(bytes.size() % 4 == 0);
        CHECK(bytes.size() <= WLB_LABEL_LEN_MAX);
        CHECK(labels(bytes) == 1);
    }
}

TEST_CASE("labels are told from other options of their kind", "[label]")
{
    CHECK(labels(mss) == 0);
    CHECK(labels({254, 4, 0x57, 0x4c}) == 0); // another experiment
    CHECK(labels({253, 4, 0x57, 0x4d}) == 0); // another kind
    CHECK(labels({254, 4, 0x57, 0x4d}) == 1); // says nothing
    CHECK(labels({254, 3, 0x57, 0x4d}) == 0); // too short for one
    CHECK(labels({254, 8, 0x57, 0x4d}) == 0); // not whole
    CHECK(labels(mss + of_zurich + of_berne) == 2);
    CHECK(labels(Bytes{0} + of_zurich) == 0); // behind the list's end
}

TEST_CASE("one label says what it shall, the others nothing", "[label]")
{
    const Bytes six_nops(6, 1);
    CHECK(rewritten(mss + of_zurich + nop, berne, true) == mss + of_berne + nop);
    CHECK(rewritten(of_zurich + mss + of_zurich, berne, true) == of_berne + mss + six_nops);
    CHECK(rewritten(mss + of_zurich, long_one, false) == mss + six_nops);
    CHECK(rewritten(mss + of_zurich, {}, false) == mss + six_nops);
    CHECK(rewritten(mss + nop, berne, false) == mss + nop);
}

TEST_CASE("whatever the list, it keeps its length and no other label stays", "[label]")
{
    const Bytes likely{0, 1, 1, 2, 4, 4, 6, 6, 8, 0x57, 0x4d, 253, 254, 254};
    std::mt19937 engine(7);
    const auto below = [&](unsigned n) {
        return std::uniform_int_distribution<unsigned>(0, n - 1)(engine);
    };
    unsigned labelled = 0;

    for (int round = 0; round < 100000; round++) {
        Bytes bytes(below(41));
        for (u8 &byte : bytes)
            byte = below(4) != 0 ? likely[below(size(likely))] : static_cast<u8>(below(256));
        if (bytes.size() >= of_zurich.size() && below(2) != 0)
            std::copy(of_zurich.begin(), of_zurich.end(),
                      bytes.begin() + below(size(bytes) - size(of_zurich) + 1));
        const unsigned before = labels(bytes);
        Bytes said = bytes, bare = bytes;
        const bool says = wlb_labels_rewrite(said.data(), size(said), berne.data(), size(berne));
        wlb_labels_rewrite(bare.data(), size(bare), nullptr, 0);
        const bool good = labels(said) == (says ? 1U : 0U) && labels(bare) == 0 &&
                          (before != 0 || (said == bytes && bare == bytes));
        if (!good)
            FAIL("a list is rewritten wrong in round " << round);
        labelled += before != 0 ? 1 : 0;
    }
    CHECK(labelled > 3000);
}
