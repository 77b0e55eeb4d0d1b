// SPDX-License-Identifier: GPL-2.0-only
// What gateways and replicas say to one another, octet by octet, and what is not taken.
#include "registry_bench.h"

using namespace registry_test;

namespace {

const Key &key()
{
    static const auto all = keys();
    return all.first();
}

Message state_message()
{
    State state;
    state.challenge.fill(9);
    state.name = "r1";
    state.address = at("198.51.100.2");
    state.lifetime = 5000;
    state.origins = {served(), served(OriginState::draining)};
    state.origins[1].servers = {at("2001:db8::1"), at("2001:db8::2")};
    state.origins[1].ports = {80, 8080};
    state.origins[1].weight = 0x01020304;
    state.origins[1].vias = {Via::ipip};
    state.origins[1].returns = {Return::spoof, Return::tunnel};
    return {1, 0x1122334455667788, 42, state};
}

Refusal refusal(const Octets &octets, Side side = Side::replica, const Keys &by = keys())
{
    const auto opened = open(octets, by, side);
    REQUIRE(std::holds_alternative<Refusal>(opened));
    return std::get<Refusal>(opened);
}

// A message whose content was changed by somebody who has the key.
Octets signed_anew(Octets octets, const std::function<void(Octets &content)> &change,
                   std::uint8_t direction = 0)
{
    octets.resize(octets.size() - 36);
    change(octets);
    const auto mac = mac_of(octets, direction, key());
    octets.insert(octets.end(), {0, 7, 0, 32});
    octets.insert(octets.end(), mac.begin(), mac.end());
    return octets;
}

Octets with_element(std::uint16_t type, const Octets &value)
{
    return signed_anew(seal(state_message(), key()), [&](Octets &content) {
        content.push_back(static_cast<std::uint8_t>(type >> 8));
        content.push_back(static_cast<std::uint8_t>(type));
        content.push_back(static_cast<std::uint8_t>(value.size() >> 8));
        content.push_back(static_cast<std::uint8_t>(value.size()));
        content.insert(content.end(), value.begin(), value.end());
    });
}

} // namespace

TEST_CASE("registry: what is sealed is opened as it was")
{
    Hello hello{"www-1", at("2001:db8::7")};
    Ask ask;
    ask.challenge.fill(3);
    ask.interval = 1000;
    for (const auto &message :
         {Message{1, 5, 6, hello}, Message{1, 0xffffffffffffffff, 0, ask}, state_message()}) {
        const auto side = std::holds_alternative<Ask>(message.body) ? Side::gateway : Side::replica;
        const auto octets = seal(message, key());
        const auto opened = open(octets, keys(), side);
        REQUIRE(std::holds_alternative<Message>(opened));
        CHECK(std::get<Message>(opened) == message);
    }
}

TEST_CASE("registry: the octets of an ASK")
{
    Ask ask;
    ask.challenge.fill(0xcc);
    ask.interval = 1000;
    const auto octets = seal({1, 0x0102030405060708, 9, ask}, key());
    const Octets head{'w', 'l', 'b', 'r', 1, 2, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4,
                      5,   6,   7,   8,   0, 0, 0, 0, 0, 0, 0, 9, 0, 3, 0, 16};
    REQUIRE(octets.size() == 28 + 20 + 8 + 36);
    CHECK(std::equal(head.begin(), head.end(), octets.begin()));
    const Octets interval{0, 4, 0, 4, 0, 0, 3, 0xe8, 0, 7, 0, 32};
    CHECK(std::equal(interval.begin(), interval.end(), octets.begin() + 48));
}

TEST_CASE("registry: HMAC-SHA256, RFC 4231 case 2, but for the direction")
{
    // key "Jefe" and data "what do ya want for nothing?", whose last octet is the direction
    const std::string data = "what do ya want for nothing";
    const Octets octets(data.begin(), data.end());
    const auto mac = mac_of(octets, '?', {1, {'J', 'e', 'f', 'e'}});
    const Mac wanted{0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24,
                     0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27,
                     0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};
    CHECK(mac == wanted);
    CHECK(same(mac, wanted));
    CHECK_FALSE(same(Mac{}, Mac{})); // no memory is nobody's signature
}

TEST_CASE("registry: every changed octet is noticed")
{
    const auto good = seal(state_message(), key());
    for (std::size_t i = 0; i < good.size(); ++i)
        for (const unsigned bit : {0U, 7U}) {
            auto octets = good;
            octets[i] = static_cast<std::uint8_t>(octets[i] ^ 1U << bit);
            INFO("octet " << i << " bit " << bit);
            REQUIRE(std::holds_alternative<Refusal>(open(octets, keys(), Side::replica)));
        }
    for (std::size_t size = 0; size < good.size(); ++size)
        REQUIRE(
            std::holds_alternative<Refusal>(open(View(good).first(size), keys(), Side::replica)));
}

TEST_CASE("registry: refusals")
{
    const auto good = seal(state_message(), key());
    CHECK(refusal({}) == Refusal::malformed);
    CHECK(refusal(Octets(max_message + 1)) == Refusal::malformed);
    CHECK(refusal(good, Side::replica, keys("2 sixteen-octets-or-more")) == Refusal::unknown_key);
    CHECK(refusal(good, Side::replica, keys("1 sixteen-octets-or-else")) == Refusal::forged);
    CHECK(refusal(good, Side::gateway) == Refusal::forged); // sent back
    // of the right direction, but not what that side says
    CHECK(refusal(signed_anew(
                      good, [](auto &) {}, 1),
                  Side::gateway) == Refusal::malformed);
    CHECK(refusal(signed_anew(good, [](auto &c) { c[0] = 'x'; })) == Refusal::malformed);
    CHECK(refusal(signed_anew(good, [](auto &c) { c[4] = 2; })) == Refusal::malformed);
    CHECK(refusal(signed_anew(good, [](auto &c) { c[5] = 4; })) == Refusal::malformed);
    CHECK(refusal(signed_anew(good, [](auto &c) { c.pop_back(); })) == Refusal::malformed);
    CHECK(refusal(with_element(1, {'x'})) == Refusal::malformed); // twice
    CHECK(refusal(with_element(4, {0, 0, 0, 0})) == Refusal::malformed);
    CHECK(refusal(with_element(4, {1})) == Refusal::malformed);
    CHECK(refusal(with_element(5, {})) == Refusal::malformed); // an origin without anything
    CHECK(refusal(with_element(5, {0, 16, 0, 4, 0, 0, 0, 0})) == Refusal::malformed);
    CHECK(refusal(with_element(5, {0, 16, 0, 9, 1})) == Refusal::malformed);
    CHECK(std::holds_alternative<Message>(
        open(with_element(99, {1, 2, 3}), keys(), Side::replica))); // a newer one's
}

TEST_CASE("registry: values that a message must not have")
{
    const auto wrong = [](const std::function<void(State &)> &change) {
        auto message = state_message();
        change(std::get<State>(message.body));
        return refusal(seal(message, key())) == Refusal::malformed;
    };
    CHECK(wrong([](State &s) { s.name = ""; }));
    CHECK(wrong([](State &s) { s.name = "a b"; }));
    CHECK(wrong([](State &s) { s.name = std::string(32, 'x'); }));
    CHECK(wrong([](State &s) { s.address = at("0.0.0.0"); }));
    CHECK(wrong([](State &s) { s.lifetime = 0; }));
    CHECK(wrong([](State &s) { s.origins[0].servers.clear(); }));
    CHECK(wrong([](State &s) { s.origins[0].servers = {server, at("2001:db8::1")}; }));
    CHECK(wrong([](State &s) { s.origins[0].servers.assign(17, server); }));
    CHECK(wrong([](State &s) { s.origins[0].ports.clear(); }));
    CHECK(wrong([](State &s) { s.origins[0].ports = {0}; }));
    CHECK(wrong([](State &s) { s.origins[0].ports.assign(17, 80); }));
    CHECK(wrong([](State &s) { s.origins[0].state = static_cast<OriginState>(4); }));
    CHECK(wrong([](State &s) { s.origins[0].vias.clear(); }));
    CHECK(wrong([](State &s) { s.origins[0].returns.clear(); }));
    CHECK(wrong([](State &s) { s.origins.assign(max_origins + 1, served()); }));
    CHECK_FALSE(
        std::holds_alternative<Refusal>(open(seal(state_message(), key()), keys(), Side::replica)));
}

TEST_CASE("registry: what does not fit is not sealed")
{
    auto message = state_message();
    auto &origins = std::get<State>(message.body).origins;
    origins.assign(200, origins[1]);
    CHECK(seal(message, key()).empty());
}

TEST_CASE("registry: a file of keys")
{
    const auto parsed = Keys::parse("# mine\n\n 7\tsixteen-octets-or-more \r\n"
                                    "4294967295 000102030405060708090a0b0c0d0e0F # no\n");
    CHECK_FALSE(parsed); // a comment is a line
    const auto good = Keys::parse("# mine\n\n 7\tsixteen-octets-or-more \r\n"
                                  "4294967295 000102030405060708090a0b0c0d0e0F");
    REQUIRE(good);
    CHECK(good->first().id == 7);
    REQUIRE(good->find(4294967295) != nullptr);
    CHECK(good->find(4294967295)->secret ==
          Octets{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
    CHECK(good->find(8) == nullptr);
    const auto says = [](const std::string &text, const std::string &words) {
        const auto keys = Keys::parse(text);
        INFO(text);
        REQUIRE_FALSE(keys);
        CHECK(keys.error().message.find(words) != std::string::npos);
        CHECK(keys.error().message.find("secret-") == std::string::npos);
    };
    says("", "no key");
    says("# nothing", "no key");
    says("x secret-secret-secret", "line 1: must begin");
    says("4294967296 secret-secret-secret", "line 1: must begin");
    says("1 secret-", "16..128 octets; this has 7");
    says("1 secret-secret-secret more", "more than");
    says("1 secret-secret-secret\n\n1 secret-secret-secret", "line 3: key 1 is there twice");
    says("1 " + std::string(129, 'x'), "16..128");
    std::string many;
    for (int i = 0; i < 17; ++i)
        many += std::to_string(i) + " secret-secret-secret\n";
    says(many, "line 17: at most 16");
}
