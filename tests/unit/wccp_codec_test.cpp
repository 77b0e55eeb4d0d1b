// SPDX-License-Identifier: GPL-2.0-only
#include <catch2/catch.hpp>

#include <random>

#include "wccp/addresses.h"
#include "wccp/codec.h"
#include "wccp/security.h"
#include "wccp_golden.h"

using namespace wlb;
using namespace wlb::wccp;

namespace {

Octets octets(std::string_view hex)
{
    return golden::octets(hex);
}

void check_error(const Octets &message, const std::string &error)
{
    const auto parsed = parse(message);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().message == error);
}

// A HERE_I_AM of these components, the length right.
Octets message(const std::string &components)
{
    auto out = octets("0000000a02000000" + components);
    const auto length = out.size() - header_size;
    out[6] = static_cast<std::uint8_t>(length >> 8);
    out[7] = static_cast<std::uint8_t>(length);
    return out;
}

Message everything()
{
    const RouterAssignment router{{0x0a000001, 7}, 9};
    const MaskSetElement set{{0, 0x1741, 0, 1}, {{{0, 1, 0, 0}, 0x0a000002}, {{0, 2, 0, 1}, 3}}};
    const AltMaskSetElement alt{{0, 3, 0, 0}, {{0x0a000002, {0, 1}}, {0x0a000003, {}}}};
    const HashData hash{{1, 2, 3}, {10000, 5}};
    BucketsElement buckets{{0x0a000002, 0x0a000003}, {}};
    buckets.buckets.fill(0x81);
    const auto element = [](std::uint16_t type, auto data) {
        return CacheElement{0x0a000002, 0, type, data};
    };
    Message m;
    m.header = {MessageType::i_see_you, 1};
    m.components = {
        SecurityInfo{SecurityInfo::md5, {1, 2, 3}},
        ServiceInfo{1, 80, 240, 6, 0x11, {80, 8080}},
        RouterIdentity{{0x0a000001, 7}, 0x0a000001, {0x0a000002}},
        CacheIdentity{element(4, NoData{})},
        RouterView{9,
                   {0x0a000002, 1},
                   {0x0a000001},
                   {element(0, hash), element(3, MaskData{{set}, {1, 2}}), element(4, NoData{}),
                    element(6, ExtendedData{0, hash}),
                    element(6, ExtendedData{1, MaskData{{set}, {1, 2}}}),
                    element(6, ExtendedData{2, AltMaskData{{alt}, {1, 2}}}),
                    element(6, ExtendedData{3, WeightStatus{1, 2}}),
                    element(6, ExtendedData{9, Octets{1, 2, 3, 4}})}},
        CacheView{3, {{0x0a000001, 7}}, {0x0a000002, 0x0a000003}},
        AssignmentInfo{{0x0a000002, 1}, {router}, buckets},
        RouterQuery{{0x0a000001, 7}, 0x0a000001, 0x0a000002},
        Capabilities{{{1, {0, 0, 0, 1}}, {0xfffe, {}}, {4, {0, 0, 0x27, 0x10}}}},
        AlternateAssignment{2, {0x0a000002, 1}, {router}, AltMaskList{alt}},
        AssignmentMap{{set, set}},
        Commands{{{1, {10, 0, 0, 2}}}},
        AlternateMap{0, buckets},
        AddressTable{2, 20, Octets(60, 7)},
        Unknown{0xfffe, {}},
        Unknown{1, {1, 2, 3, 4}}, // once more, and of another length than it has
    };
    m.rest = {0, 3, 0xff, 0xfc, 1, 2};
    return m;
}

} // namespace

TEST_CASE("wccp golden messages parse and are written as they were")
{
    for (const auto &hex : {golden::here_i_am_hash, golden::here_i_am_mask,
                            golden::here_i_am_dynamic, golden::here_i_am_md5, golden::i_see_you}) {
        const auto wire = octets(hex);
        CAPTURE(hex);
        const auto parsed = parse(wire);
        REQUIRE(parsed);
        CHECK(parsed->rest.empty());
        const auto written = serialise(*parsed);
        REQUIRE(written);
        CHECK(*written == wire);
    }
}

TEST_CASE("wccp golden HERE_I_AM's fields")
{
    const auto parsed = parse(octets(golden::here_i_am_dynamic));
    REQUIRE(parsed);
    CHECK(parsed->header == Header{MessageType::here_i_am, 0});
    CHECK(*parsed->find<ServiceInfo>() == ServiceInfo{1, 80, 240, 6, 0x211, {80, 8080}});
    const auto &cache = parsed->find<CacheIdentity>()->cache;
    CHECK(cache.address == 0x7f000002);
    CHECK(std::get<HashData>(cache.data).weight == WeightStatus{10000, 0});
    CHECK(*parsed->find<CacheView>() == CacheView{1, {{0x7f000001, 0}}, {}});
    CHECK(parsed->find<Capabilities>()->elements.size() == 3);
    CHECK(parsed->find<RouterView>() == nullptr);

    const auto mask = parse(octets(golden::here_i_am_mask));
    REQUIRE(mask);
    const auto &data = std::get<MaskData>(mask->find<CacheIdentity>()->cache.data);
    CHECK(data.sets == MaskList{{{0, 0x1741, 0, 0}, {}}});
}

TEST_CASE("wccp messages of every component and element come back")
{
    const auto message = everything();
    const auto wire = serialise(message);
    REQUIRE(wire);
    const auto parsed = parse(*wire);
    if (!parsed)
        FAIL(parsed.error().message);
    CHECK(*parsed == message);

    for (const std::uint16_t type : {0, 1, 2, 7}) {
        Message one;
        const AssignmentBody bodies[] = {BucketsElement{}, MaskList{}, AltMaskList{},
                                         Octets{1, 2, 3, 4}};
        const auto &body = bodies[std::min<std::size_t>(type, 3)];
        one.components = {AlternateAssignment{type, {}, {}, body}, AlternateMap{type, body}};
        const auto octets = serialise(one);
        REQUIRE(octets);
        CHECK(*parse(*octets) == one);
    }
}

TEST_CASE("wccp ignores what follows the message")
{
    auto wire = octets(golden::here_i_am_hash);
    const auto message = *parse(wire);
    wire.insert(wire.end(), {1, 2, 3});
    CHECK(*parse(wire) == message);
    CHECK(message_of(wire).size() == wire.size() - 3);
}

TEST_CASE("wccp headers that are refused")
{
    check_error({}, "header: 0 octets, needs 8");
    check_error(octets("0000000e02000000"), "header: type: 14, must be 10 to 13");
    check_error(octets("0000000700000004"), "header: type: 7, must be 10 to 13");
    check_error(octets("0000000a00000004"), "header: version: 0, must be 2");
    check_error(octets("0000000a02000001"), "header: length: 1, 0 octets follow");
    CHECK(parse_header(octets("0000000a02070000"))->minor == 7); // goes on (R1 4.1)
}

TEST_CASE("wccp components that are refused")
{
    check_error(message("000000050000000000"), "component 0: length: 5, must be a multiple of 4");
    check_error(message("0000000400000002"),
                "Security Info: option: 2, must be 0 (none) or 1 (MD5)");
    check_error(message("0000000400000001"),
                "Security Info: MD5 digest: needs 16 octets, 0 are left");
    check_error(message("000000080000000000000000"), "Security Info: length: 4 octets too many");
    check_error(message("0005000c000000010000002100000000"),
                "Web-Cache View Info: number of routers: 33, at most 32");
    check_error(message("0005000c000000010000000200000000"),
                "Web-Cache View Info: number of routers: 2 do not fit into the 4 octets left");
    check_error(message("000e000400000041"),
                "Assignment Map: number of mask/value sets: 65, at most 64");
    check_error(message("000e001400000001" + golden::zeros24.substr(0, 24) + "10000000"),
                "Assignment Map: number of values: 268435456, at most 65536");
    check_error(message("001000080000000800000000"),
                "Alternate Assignment Map: assignment length: 8, must be 4");
    check_error(message("001100080002000600000000"),
                "Address Table: address length: 6, must be a multiple of 4 and not 0");
    check_error(message("0011000800020010ffffffff"),
                "Address Table: number of addresses: 4294967295, at most 65535");
    check_error(message("000800080001000800000001"),
                "Capabilities Info: element's value: needs 8 octets, 4 are left");
}

TEST_CASE("wccp: the first of two components counts, one past the end does not")
{
    const auto twice = parse(message("0007001000000001000000020000000300000004"
                                     "00070004ffffffff"));
    REQUIRE(twice);
    CHECK(twice->find<RouterQuery>()->router.address == 1);
    CHECK(std::get<Unknown>(twice->components[1]) == Unknown{7, {255, 255, 255, 255}});

    const auto cut = parse(message("00070010000000010000000200000003"));
    REQUIRE(cut);
    CHECK(cut->find<RouterQuery>() == nullptr);
    CHECK(cut->rest.size() == 16);
}

TEST_CASE("wccp messages too long to be sent")
{
    Message message;
    message.components = {Unknown{100, Octets(0x10000)}};
    CHECK_FALSE(serialise(message));
    message.components = {Unknown{100, Octets(40000)}, Unknown{101, Octets(40000)}};
    CHECK_FALSE(serialise(message));
    message.components = {Unknown{100, Octets(max_message - 12)}};
    CHECK(serialise(message));
    message.components = {Unknown{100, Octets(max_message - 11)}};
    CHECK_FALSE(serialise(message));
}

TEST_CASE("wccp mutated messages parse to what writes them again, or not at all")
{
    std::mt19937 random(1);
    const auto base = *serialise(everything());
    for (int round = 0; round < 20000; ++round) {
        auto wire = base;
        for (unsigned n = 1 + random() % 4; n > 0; --n)
            wire[random() % wire.size()] = static_cast<std::uint8_t>(random());
        if (random() % 4 == 0)
            wire.resize(random() % wire.size());
        const auto parsed = parse(wire);
        if (!parsed)
            continue;
        const auto written = serialise(*parsed);
        REQUIRE(written);
        const auto message = message_of(wire);
        REQUIRE(std::equal(written->begin(), written->end(), message.begin(), message.end()));
    }
}

TEST_CASE("wccp address fields")
{
    Message message;
    message.header.minor = 1;
    AddressList list(true);
    const auto a = *Address::parse("2001:db8::1");
    const auto b = *Address::parse("2001:db8::2");
    CHECK(list.word(a) == 1);
    CHECK(list.word(b) == 2);
    CHECK(list.word(a) == 1);
    CHECK(list.word(*Address::parse("::")) == 0);
    wlb_wccp_mask mask{};
    mask.dst[15] = 0x41;
    const auto element = list.mask(mask);
    CHECK(element == MaskElement{0, 3, 0, 0});
    list.finish(message);

    const auto addresses = Addresses::of(message);
    REQUIRE(addresses);
    CHECK(addresses->is_ipv6());
    CHECK(*addresses->address(2) == b);
    CHECK(*addresses->address(0) == *Address::parse("::"));
    CHECK_FALSE(addresses->address(4));
    CHECK(addresses->mask(element)->dst[15] == 0x41);
    CHECK_FALSE(addresses->mask({9, 0, 0, 0}));

    message.header.minor = 0; // none in 2.00
    CHECK_FALSE(Addresses::of(message));
    message.header.minor = 1;
    message.components = {AddressTable{3, 16, {}}};
    CHECK_FALSE(Addresses::of(message));
    message.components = {AddressTable{2, 4, {}}};
    CHECK_FALSE(Addresses::of(message));

    const auto without = Addresses::of(Message{});
    CHECK(*without->address(0x0a000001) == *Address::parse("10.0.0.1"));
    CHECK(AddressList(false).word(*Address::parse("10.0.0.1")) == 0x0a000001);
}

TEST_CASE("wccp MD5: Squid's message, and its older ways")
{
    auto wire = octets(golden::here_i_am_md5);
    CHECK(authenticate(wire, "secret12", false).verdict == Verdict::authentic);
    CHECK(authenticate(wire, "secret12 and more", false).verdict == Verdict::authentic);
    CHECK(authenticate(wire, "secret1", false).verdict == Verdict::forged);
    CHECK(authenticate(wire, "", false).verdict == Verdict::unwanted);
    CHECK(authenticate(octets(golden::here_i_am_hash), "secret12", false).verdict ==
          Verdict::unwanted);
    CHECK(authenticate(octets(golden::here_i_am_hash), "", false).verdict == Verdict::authentic);

    auto again = wire;
    std::fill_n(again.begin() + digest_offset, 16, 0xaa);
    sign(again, "secret12", DigestForm::draft);
    CHECK(again == wire);

    for (const auto form : {DigestForm::nine_octets, DigestForm::seven_characters}) {
        sign(again, "secret12", form);
        CHECK(authenticate(again, "secret12", false).verdict == Verdict::forged);
        const auto compatible = authenticate(again, "secret12", true);
        CHECK(compatible.verdict == Verdict::authentic);
        CHECK(compatible.form == form);
    }
    for (std::size_t i = 0; i < wire.size(); ++i) { // every octet counts
        if (i == 6 || i == 7)
            continue;
        auto changed = wire;
        changed[i] ^= 1;
        CHECK(authenticate(changed, "secret12", true).verdict != Verdict::authentic);
    }
    CHECK(authenticate(message("00010000"), "", false).verdict == Verdict::malformed);
    CHECK(authenticate(message("000000080000000000000000"), "", false).verdict ==
          Verdict::malformed);
}
