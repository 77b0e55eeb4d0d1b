// SPDX-License-Identifier: GPL-2.0-only
#include "registry/message.h"

#include <algorithm>

#include "wccp/wire.h"

namespace wlb::registry {

namespace {

using wccp::Reader;
using wccp::Writer;

constexpr std::array<std::uint8_t, 4> magic{'w', 'l', 'b', 'r'};
constexpr std::uint8_t version = 1;
constexpr std::size_t header_size = 28;
constexpr std::size_t element_header = 4;
constexpr std::size_t mac_size = element_header + std::tuple_size_v<Mac>;

enum class Type : std::uint8_t { hello = 1, ask, state };

enum Element : std::uint16_t {
    name_element = 1,
    address_element,
    challenge_element,
    interval_element,
    origin_element,
    lifetime_element,
    mac_element,
    // in an origin
    server_element = 16,
    ports_element,
    state_element,
    weight_element,
    vias_element,
    returns_element,
};

Type type_of(const Message &message)
{
    return static_cast<Type>(message.body.index() + 1);
}

Side side_of(Type type)
{
    return type == Type::ask ? Side::gateway : Side::replica;
}

void u64(Writer &out, std::uint64_t value)
{
    out.u32(value >> 32);
    out.u32(value & 0xffffffff);
}

template <class F> void element(Writer &out, Element type, F body)
{
    out.u16(type);
    out.sized(body);
}

void put_text(Writer &out, Element type, const std::string &text)
{
    element(out, type, [&] {
        for (const char c : text)
            out.u8(static_cast<std::uint8_t>(c));
    });
}

void put_address(Writer &out, Element type, const Address &address)
{
    element(out, type, [&] { out.octets({address.data(), address.size()}); });
}

template <class T> std::uint8_t bits(const std::set<T> &values)
{
    unsigned mask = 0;
    for (const auto value : values)
        mask |= 1U << static_cast<unsigned>(value);
    return static_cast<std::uint8_t>(mask);
}

void put(Writer &out, const ServedOrigin &origin)
{
    element(out, origin_element, [&] {
        for (const auto &server : origin.servers)
            put_address(out, server_element, server);
        element(out, ports_element, [&] {
            for (const auto port : origin.ports)
                out.u16(port);
        });
        element(out, state_element, [&] { out.u8(static_cast<std::uint8_t>(origin.state)); });
        element(out, weight_element, [&] { out.u32(origin.weight); });
        element(out, vias_element, [&] { out.u8(bits(origin.vias)); });
        element(out, returns_element, [&] { out.u8(bits(origin.returns)); });
    });
}

void put(Writer &out, const Hello &hello)
{
    put_text(out, name_element, hello.name);
    put_address(out, address_element, hello.address);
}

void put(Writer &out, const Ask &ask)
{
    element(out, challenge_element, [&] { out.octets(ask.challenge); });
    element(out, interval_element, [&] { out.u32(ask.interval); });
}

void put(Writer &out, const State &state)
{
    element(out, challenge_element, [&] { out.octets(state.challenge); });
    put_text(out, name_element, state.name);
    put_address(out, address_element, state.address);
    element(out, lifetime_element, [&] { out.u32(state.lifetime); });
    for (const auto &origin : state.origins)
        put(out, origin);
}

// Values of elements. Whatever is wrong is remembered, so that only the end looks for it.
class Taker {
public:
    [[nodiscard]] bool good() const { return good_; }
    void require(bool condition) { good_ = good_ && condition; }

    // Hands out each element; `once` of them only one time.
    template <class Visit> void each(View octets, Visit visit)
    {
        std::set<std::uint16_t> seen;
        Reader in(octets, "");
        while (in.left() > 0 && good_) {
            const auto type = in.u16("");
            const auto value = in.octets(in.u16(""), "");
            require(!in.failed());
            const bool repeats = type == origin_element || type == server_element;
            require(repeats || seen.insert(type).second);
            if (good_)
                visit(type, value);
        }
    }

    Address address(View value)
    {
        const auto address = Address::from_bytes(value.data(), value.size());
        require(address && address->is_host());
        return address.value_or(Address());
    }

    std::string name(View value)
    {
        std::string name(value.begin(), value.end());
        require(!name.empty() && name.size() < WLB_NAME_LEN &&
                std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f; }));
        return name;
    }

    Challenge challenge(View value)
    {
        Challenge challenge{};
        require(value.size() == challenge.size());
        if (good_)
            std::copy(value.begin(), value.end(), challenge.begin());
        return challenge;
    }

    std::uint32_t u32(View value)
    {
        require(value.size() == 4);
        return Reader(value, "").u32("");
    }

    std::uint8_t u8(View value, unsigned end)
    {
        require(value.size() == 1 && value[0] < end);
        return good_ ? value[0] : 0;
    }

    // Bits that a newer version has are none of ours.
    template <class T> std::set<T> values(View value, unsigned end)
    {
        const auto mask = u8(value, 256);
        std::set<T> set;
        for (unsigned bit = 0; bit < end; ++bit)
            if ((mask & 1U << bit) != 0)
                set.insert(static_cast<T>(bit));
        require(!set.empty());
        return set;
    }

    std::vector<std::uint16_t> ports(View value)
    {
        std::vector<std::uint16_t> ports;
        require(value.size() % 2 == 0 && value.size() / 2 <= WLB_MAX_PORTS);
        for (Reader in(value, ""); good_ && in.left() > 0;)
            ports.push_back(in.u16(""));
        require(std::find(ports.begin(), ports.end(), 0) == ports.end());
        return ports;
    }

private:
    bool good_ = true;
};

ServedOrigin take_origin(Taker &taker, View octets)
{
    ServedOrigin origin;
    origin.vias.clear();
    origin.returns.clear();
    bool has_state = false;
    taker.each(octets, [&](std::uint16_t type, View value) {
        switch (type) {
        case server_element:
            origin.servers.push_back(taker.address(value));
            taker.require(origin.servers.size() <= WLB_MAX_SERVERS &&
                          origin.servers.back().size() == origin.servers.front().size());
            break;
        case ports_element:
            origin.ports = taker.ports(value);
            break;
        case state_element:
            origin.state = static_cast<OriginState>(taker.u8(value, 4));
            has_state = true;
            break;
        case weight_element:
            origin.weight = taker.u32(value);
            break;
        case vias_element:
            origin.vias = taker.values<Via>(value, __WLB_VIA_MAX);
            break;
        case returns_element:
            origin.returns = taker.values<Return>(value, __WLB_RETURN_MAX);
            break;
        default:
            break;
        }
    });
    taker.require(!origin.servers.empty() && !origin.ports.empty() && has_state &&
                  !origin.vias.empty() && !origin.returns.empty());
    return origin;
}

// All elements that any message has; each type needs its own.
struct Elements {
    std::optional<std::string> name;
    std::optional<Address> address;
    std::optional<Challenge> challenge;
    std::optional<std::uint32_t> interval;
    std::optional<std::uint32_t> lifetime;
    std::vector<ServedOrigin> origins;
};

Elements take_elements(Taker &taker, View octets)
{
    Elements found;
    taker.each(octets, [&](std::uint16_t type, View value) {
        switch (type) {
        case name_element:
            found.name = taker.name(value);
            break;
        case address_element:
            found.address = taker.address(value);
            break;
        case challenge_element:
            found.challenge = taker.challenge(value);
            break;
        case interval_element:
            found.interval = taker.u32(value);
            taker.require(*found.interval > 0);
            break;
        case lifetime_element:
            found.lifetime = taker.u32(value);
            taker.require(*found.lifetime > 0);
            break;
        case origin_element:
            found.origins.push_back(take_origin(taker, value));
            taker.require(found.origins.size() <= max_origins);
            break;
        default:
            break;
        }
    });
    return found;
}

} // namespace

const char *text(OriginState state)
{
    switch (state) {
    case OriginState::ready:
        return "ready";
    case OriginState::busy:
        return "busy";
    case OriginState::draining:
        return "draining";
    default:
        return "down";
    }
}

const char *text(Refusal refusal)
{
    static constexpr std::array<const char *, refusals> words{
        "malformed", "unknown-key",    "forged",        "stranger",  "other-address", "replayed",
        "stale",     "unknown-origin", "not-permitted", "too-often", "full"};
    return words[static_cast<std::size_t>(refusal)];
}

Octets seal(const Message &message, const Key &key)
{
    const auto type = type_of(message);
    Writer out;
    out.octets(magic);
    out.u8(version);
    out.u8(static_cast<std::uint8_t>(type));
    out.u16(0);
    out.u32(key.id);
    u64(out, message.boot);
    u64(out, message.sequence);
    std::visit([&](const auto &body) { put(out, body); }, message.body);
    const bool too_long = out.too_long();
    auto octets = out.take();
    if (too_long || octets.size() + mac_size > max_message)
        return {};
    const auto mac = mac_of(octets, static_cast<std::uint8_t>(side_of(type)), key);
    Writer end;
    element(end, mac_element, [&] { end.octets(mac); });
    const auto signature = end.take();
    octets.insert(octets.end(), signature.begin(), signature.end());
    return octets;
}

std::variant<Message, Refusal> open(View octets, const Keys &keys, Side side)
{
    if (octets.size() < header_size + mac_size || octets.size() > max_message ||
        !std::equal(magic.begin(), magic.end(), octets.begin()))
        return Refusal::malformed;
    const auto content = octets.first(octets.size() - mac_size);
    Reader in(content.subspan(magic.size()), "");
    const auto octet = in.u8("");
    const auto type = static_cast<Type>(in.u8(""));
    Message message;
    in.u16("");
    message.key = in.u32("");
    const auto u64_of = [&] {
        const std::uint64_t high = in.u32("");
        return high << 32 | in.u32("");
    };
    message.boot = u64_of();
    message.sequence = u64_of();
    const auto elements = in.rest();
    Reader last(octets.last(mac_size), "");
    if (octet != version || type < Type::hello || type > Type::state ||
        last.u16("") != mac_element || last.u16("") != std::tuple_size_v<Mac>)
        return Refusal::malformed;
    const auto *key = keys.find(message.key);
    if (key == nullptr)
        return Refusal::unknown_key;
    // A gateway's message that is sent back to it is signed for the other direction.
    if (!same(mac_of(content, static_cast<std::uint8_t>(side), *key), last.rest()))
        return Refusal::forged;
    if (side_of(type) != side)
        return Refusal::malformed;
    Taker taker;
    auto found = take_elements(taker, elements);
    switch (type) {
    case Type::hello:
        taker.require(found.name && found.address);
        if (taker.good())
            message.body = Hello{*found.name, *found.address};
        break;
    case Type::ask:
        taker.require(found.challenge && found.interval);
        if (taker.good())
            message.body = Ask{*found.challenge, *found.interval};
        break;
    default:
        taker.require(found.challenge && found.name && found.address && found.lifetime);
        if (taker.good())
            message.body = State{*found.challenge, *found.name, *found.address, *found.lifetime,
                                 std::move(found.origins)};
    }
    if (!taker.good())
        return Refusal::malformed;
    return message;
}

} // namespace wlb::registry
