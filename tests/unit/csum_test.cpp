// SPDX-License-Identifier: GPL-2.0-only
// Checksums by difference against sums over the whole, which are written here once more and
// byte by byte (RFC 1071), so that both cannot have the same mistake.
#include <catch2/catch.hpp>

#include <algorithm>
#include <arpa/inet.h>
#include <memory>
#include <random>
#include <vector>

#include "wlb/csum.h"
#include "wlb/tag.h"

namespace {

using Bytes = std::vector<u8>;

constexpr u16 exid = 0x574c;
constexpr size_t tcp_check = 16; // offset in the TCP header
constexpr size_t tcp_doff = 12;

// Sum of big-endian words, an odd last byte padded with zero.
u32 sum_of(const Bytes &bytes)
{
    u32 sum = 0;
    for (size_t i = 0; i < bytes.size(); i++)
        sum += i % 2 ? bytes[i] : bytes[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

// The sum as the 16 bits that stand in the packet.
u16 in_memory(u32 sum)
{
    return htons(static_cast<u16>(sum));
}

u16 checksum_of(const Bytes &bytes)
{
    return in_memory(~sum_of(bytes) & 0xffff);
}

u16 word_at(const Bytes &bytes, size_t offset)
{
    u16 word;
    memcpy(&word, &bytes[offset], sizeof(word));
    return word;
}

void put_word(Bytes &bytes, size_t offset, u16 word)
{
    memcpy(&bytes[offset], &word, sizeof(word));
}

class Random {
public:
    explicit Random(unsigned seed) : engine_(seed) {}

    unsigned below(unsigned n)
    {
        return std::uniform_int_distribution<unsigned>(0, n - 1)(engine_);
    }

    // Words of all zeros and all ones are where one's complement has its corners.
    u16 word()
    {
        switch (below(4)) {
        case 0:
            return 0x0000;
        case 1:
            return 0xffff;
        default:
            return static_cast<u16>(below(0x10000));
        }
    }

    Bytes bytes(size_t size)
    {
        Bytes out(size);
        for (size_t i = 0; i + 1 < size; i += 2)
            put_word(out, i, word());
        if (size % 2)
            out.back() = static_cast<u8>(below(256));
        return out;
    }

private:
    std::mt19937 engine_;
};

struct Packet {
    Bytes addresses; // source and destination, the part of the pseudo-header that does not move
    Bytes tcp;

    Bytes pseudo() const
    {
        Bytes out = addresses;
        const auto length = static_cast<u32>(tcp.size());
        if (addresses.size() == 8)
            out.insert(out.end(), {0, 6});
        else
            out.insert(out.end(), {u8(length >> 24), u8(length >> 16)});
        out.insert(out.end(), {u8(length >> 8), u8(length)});
        if (addresses.size() != 8)
            out.insert(out.end(), {0, 0, 0, 6});
        return out;
    }

    u16 right_check() const
    {
        Bytes all = pseudo();
        all.insert(all.end(), tcp.begin(), tcp.end());
        all[pseudo().size() + tcp_check] = all[pseudo().size() + tcp_check + 1] = 0;
        return checksum_of(all);
    }

    u16 check() const { return word_at(tcp, tcp_check); }
};

Packet random_packet(Random &random, bool v6)
{
    Packet packet;
    const size_t options = random.below(7) * 4; // with a long tag no more than 40
    packet.addresses = random.bytes(v6 ? 32 : 8);
    packet.tcp = random.bytes(WLB_TCP_HDR_LEN + options + random.below(64));
    packet.tcp[tcp_doff] = static_cast<u8>((WLB_TCP_HDR_LEN + options) / 4 << 4);
    put_word(packet.tcp, tcp_check, packet.right_check());
    return packet;
}

wlb_tag random_tag(Random &random)
{
    return {.state = WLB_TAG_PERMITTED,
            .offers = static_cast<u8>(random.below(256)),
            .nonce = random.word(),
            .cookie = u64{random.below(2)} << random.below(64)};
}

struct Deltas {
    u16 pseudo, body;
};

// What inserting (or, the other way round, taking out) a tag does to the sums: the length in the
// pseudo-header, the data offset, the option itself.
Deltas put_tag(Packet &packet, const wlb_tag &tag)
{
    const u16 length = htons(static_cast<u16>(packet.tcp.size()));
    const u16 doff = word_at(packet.tcp, tcp_doff);
    const unsigned len = wlb_tag_len(&tag);
    u8 option[WLB_TAG_LEN_LONG];

    wlb_tag_write(option, exid, &tag);
    packet.tcp.insert(packet.tcp.begin() + WLB_TCP_HDR_LEN, option, option + len);
    packet.tcp[tcp_doff] += len / 4 << 4;
    return {wlb_csum_delta16(length, htons(static_cast<u16>(packet.tcp.size()))),
            wlb_csum_fold(u64{wlb_csum_delta16(doff, word_at(packet.tcp, tcp_doff))} +
                          wlb_csum_bytes(option, len))};
}

Deltas take_tag(Packet &packet)
{
    const u16 length = htons(static_cast<u16>(packet.tcp.size()));
    const u16 doff = word_at(packet.tcp, tcp_doff);
    const auto begin = packet.tcp.begin() + WLB_TCP_HDR_LEN;
    const unsigned len = begin[1];
    const Bytes option(begin, begin + len), nothing(len);

    packet.tcp.erase(begin, begin + len);
    packet.tcp[tcp_doff] -= len / 4 << 4;
    return {wlb_csum_delta16(length, htons(static_cast<u16>(packet.tcp.size()))),
            wlb_csum_delta_add(wlb_csum_delta16(doff, word_at(packet.tcp, tcp_doff)),
                               wlb_csum_delta(option.data(), nothing.data(), len))};
}

} // namespace

TEST_CASE("the examples of the RFCs", "[csum]")
{
    // RFC 1071 3: the sum of these bytes is ddf2
    const Bytes bytes{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    CHECK(wlb_csum_fold(wlb_csum_bytes(bytes.data(), 8)) == htons(0xddf2));
    CHECK(sum_of(bytes) == 0xddf2);
    // RFC 1624 4: its equation 2 gives ffff here, which is wrong
    CHECK(wlb_csum_fix(0xdd2f, wlb_csum_delta16(0x5555, 0x3285)) == 0x0000);
}

TEST_CASE("a sum folds to 16 bits whatever carries it has", "[csum]")
{
    CHECK(wlb_csum_fold(0) == 0);
    CHECK(wlb_csum_fold(0xffff) == 0xffff);
    CHECK(wlb_csum_fold(0x10000) == 1);
    CHECK(wlb_csum_fold(0x1fffe) == 0xffff);
    CHECK(wlb_csum_fold(0xffffffff) == 0xffff);
    CHECK(wlb_csum_fold(0x100000000) == 1);
    CHECK(wlb_csum_fold(0xffffffffffffffff) == 0xffff);
    CHECK(wlb_csum_fold(0x1ffff0001) == 0x0002);
    // carries in every one of the folds
    CHECK(wlb_csum_fold(0x00010000ffffffff) == 0x0001);
}

TEST_CASE("bytes are summed at any alignment, and no further than asked", "[csum]")
{
    Random random(1);
    for (size_t shift = 0; shift < 8; shift++) {
        for (unsigned len = 0; len <= 60; len += 2) {
            // exactly as large as it may read, for the address sanitizer
            std::unique_ptr<u8[]> room(new u8[shift + len]);
            const Bytes bytes = random.bytes(len);
            std::copy(bytes.begin(), bytes.end(), room.get() + shift);
            CHECK(wlb_csum_fold(wlb_csum_bytes(room.get() + shift, len)) ==
                  in_memory(sum_of(bytes)));
        }
    }
}

TEST_CASE("a changed header gets the checksum of a new one", "[csum]")
{
    Random random(2);
    for (int round = 0; round < 50000; round++) {
        // never all zeros: the sum of no header is 0, and only then would 0 and ffff differ
        Bytes header = random.bytes(20 + random.below(11) * 4);
        const size_t check = random.below(2) ? 10 : tcp_check;
        header[0] |= 0x40;
        put_word(header, check, 0);
        put_word(header, check, checksum_of(header));

        // a range of whole words that does not touch the checksum
        size_t from = random.below(header.size() / 2) * 2;
        size_t to = from + 2 + random.below((header.size() - from) / 2) * 2;
        if (from <= check && check < to) {
            from = check + 2;
            to = std::max(to, from);
        }
        const Bytes old = header;
        const Bytes fresh = random.bytes(to - from);
        std::copy(fresh.begin(), fresh.end(), header.begin() + from);
        header[0] |= 0x40;

        const auto len = static_cast<unsigned>(to - from);
        const u16 delta = wlb_csum_delta(&old[from], &header[from], len);
        const u16 fixed = wlb_csum_fix(word_at(old, check), delta);
        // all of it at once, as the replacement of options does
        const u16 whole =
            wlb_csum_fix(word_at(old, check), wlb_csum_delta(old.data(), header.data(),
                                                             static_cast<unsigned>(old.size())));
        // and word by word
        u16 sum = 0;
        for (size_t i = from; i < to; i += 2)
            sum = wlb_csum_delta_add(sum, wlb_csum_delta16(word_at(old, i), word_at(header, i)));

        put_word(header, check, 0);
        const u16 right = checksum_of(header);
        if (fixed != right || whole != right || wlb_csum_fix(word_at(old, check), sum) != right) {
            CAPTURE(round, from, to, check);
            CHECK(fixed == right);
            CHECK(whole == right);
            CHECK(wlb_csum_fix(word_at(old, check), sum) == right);
            FAIL("checksums differ");
        }
    }
}

TEST_CASE("every single word, from and to the corners", "[csum]")
{
    const u16 corners[] = {0x0000, 0x0001, 0x00ff, 0x0100, 0x7fff, 0x8000, 0xff00, 0xfffe, 0xffff};
    for (const u16 from : corners) {
        for (const u16 to : corners) {
            for (const u16 other : corners) {
                Bytes header{0x45, 0x00, 0, 0, 0, 0, 0, 0};
                put_word(header, 4, other);
                put_word(header, 6, from);
                const u16 before = checksum_of(header);
                put_word(header, 6, to);
                CAPTURE(from, to, other);
                CHECK(wlb_csum_fix(before, wlb_csum_delta16(from, to)) == checksum_of(header));
                CHECK(wlb_csum_fix(before, wlb_csum_delta(&from, &to, 2)) == checksum_of(header));
            }
        }
    }
}

TEST_CASE("an inserted tag leaves the checksum right, and taken out again the old one", "[csum]")
{
    Random random(3);
    for (const bool v6 : {false, true}) {
        for (int round = 0; round < 20000; round++) {
            Packet packet = random_packet(random, v6);
            const Packet before = packet;

            const Deltas in = put_tag(packet, random_tag(random));
            put_word(packet.tcp, tcp_check,
                     wlb_csum_fix(packet.check(), wlb_csum_delta_add(in.pseudo, in.body)));
            if (packet.check() != packet.right_check()) {
                CAPTURE(v6, round);
                REQUIRE(packet.check() == packet.right_check());
            }

            const Deltas out = take_tag(packet);
            put_word(packet.tcp, tcp_check,
                     wlb_csum_fix(packet.check(), wlb_csum_delta_add(out.pseudo, out.body)));
            if (packet.tcp != before.tcp) {
                CAPTURE(v6, round);
                REQUIRE(packet.tcp == before.tcp);
            }
        }
    }
}

TEST_CASE("an unfinished checksum is finished right by whoever does it later", "[csum]")
{
    Random random(4);
    for (const bool v6 : {false, true}) {
        for (int round = 0; round < 20000; round++) {
            Packet packet = random_packet(random, v6);
            // as the sender's TCP leaves it to the device
            put_word(packet.tcp, tcp_check, in_memory(sum_of(packet.pseudo())));

            // the length changes with a tag, an address with the translation
            const Deltas in = put_tag(packet, random_tag(random));
            const Bytes old = packet.addresses;
            const Bytes fresh = random.bytes(old.size() / 2);
            std::copy(fresh.begin(), fresh.end(), packet.addresses.begin());
            const u16 address = wlb_csum_delta(old.data(), packet.addresses.data(),
                                               static_cast<unsigned>(fresh.size()));
            put_word(packet.tcp, tcp_check, wlb_csum_fix_partial(packet.check(), in.pseudo));
            put_word(packet.tcp, tcp_check, wlb_csum_fix_partial(packet.check(), address));

            // the device: sums the segment with the field in it
            const u16 finished = checksum_of(packet.tcp);
            if (finished != packet.right_check()) {
                CAPTURE(v6, round);
                REQUIRE(finished == packet.right_check());
            }
        }
    }
}

TEST_CASE("translating there and back is the identity", "[csum]")
{
    Random random(5);
    for (const bool v6 : {false, true}) {
        for (int round = 0; round < 20000; round++) {
            Packet packet = random_packet(random, v6);
            const Bytes server = packet.addresses, replica = random.bytes(server.size());
            const auto len = static_cast<unsigned>(server.size());
            const u16 there = wlb_csum_delta(server.data(), replica.data(), len);
            const u16 back = wlb_csum_delta(replica.data(), server.data(), len);
            const u16 before = packet.check();
            const u16 translated = wlb_csum_fix(before, there);

            packet.addresses = replica;
            if (translated != packet.right_check() || wlb_csum_fix(translated, back) != before) {
                CAPTURE(v6, round);
                CHECK(translated == packet.right_check());
                CHECK(wlb_csum_fix(translated, back) == before);
                FAIL("checksums differ");
            }
        }
    }
}
