// SPDX-License-Identifier: GPL-2.0-only
// What gateways and replicas say to one another: docs/registry.md has the octets.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "registry/keys.h"
#include "wlb/config.h"

namespace wlb::registry {

inline constexpr std::size_t max_message = 8192;
inline constexpr std::size_t max_origins = 64; // in one message

using Challenge = std::array<std::uint8_t, 16>;

// What a replica is for an origin. Only `ready` takes part in races.
enum class OriginState : std::uint8_t { ready, busy, draining, down };
const char *text(OriginState state);

struct ServedOrigin {
    std::vector<Address> servers; // 1..WLB_MAX_SERVERS
    std::vector<std::uint16_t> ports;
    OriginState state = OriginState::ready;
    std::uint32_t weight = 1;
    std::set<Via> vias{Via::gre, Via::ipip}; // that clones may come in; not empty
    std::set<Return> returns{Return::nat};

    bool operator==(const ServedOrigin &) const = default;
};

// Replica to gateway: I am here, or have news. It changes nothing but that it is asked.
struct Hello {
    std::string name; // of the instance, for people
    Address address;  // where clones may be sent

    bool operator==(const Hello &) const = default;
};

// Gateway to replica: who are you now?
struct Ask {
    Challenge challenge{};
    std::uint32_t interval = 0; // ms, until the next

    bool operator==(const Ask &) const = default;
};

// Replica to gateway, at once: the answer to the question with this challenge.
struct State {
    Challenge challenge{};
    std::string name;
    Address address;
    std::uint32_t lifetime = 0; // ms, that it is true without another one
    std::vector<ServedOrigin> origins;

    bool operator==(const State &) const = default;
};

struct Message {
    std::uint32_t key = 0;      // its number
    std::uint64_t boot = 0;     // random, of the sender's process
    std::uint64_t sequence = 0; // grows with each message of that process
    std::variant<Hello, Ask, State> body;

    bool operator==(const Message &) const = default;
};

// Why a message is not taken.
enum class Refusal : std::uint8_t {
    malformed,      // not of this protocol, cut, or against its rules
    unknown_key,    // signed with a key that is not in the file
    forged,         // the MAC is wrong
    stranger,       // of nobody who may speak
    other_address,  // names another address than it comes from
    replayed,       // not newer than the last
    stale,          // answers no question that is open
    unknown_origin, // an origin that this gateway does not have
    not_permitted,  // an origin that this replica may not register at
    too_often,      // more than needs an answer
    full,           // too many replicas
};
inline constexpr std::size_t refusals = 11;
const char *text(Refusal refusal); // a word

// Signed; empty if it is longer than max_message.
Octets seal(const Message &message, const Key &key);

// Whether it was said by a replica, or by a gateway.
enum class Side : std::uint8_t { replica, gateway };

// Of a message that comes from `side`.
std::variant<Message, Refusal> open(View octets, const Keys &keys, Side side);

} // namespace wlb::registry
