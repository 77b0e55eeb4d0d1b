// SPDX-License-Identifier: GPL-2.0-only
// The registry of a server gateway: asks replicas whether they live, how far they are and what
// they serve, and says whom clones go to. Pure: messages and a clock in, messages, tables of
// replicas and events out.
//
// Nothing that was not asked for changes anything: a HELLO only has its sender asked, and a
// STATE counts if it answers an open question. So neither a recorded nor a forged message adds
// a replica, or brings back what one has said before.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "registry/peer.h"
#include "wccp/datagram.h"

namespace wlb::registry {

inline constexpr std::uint16_t default_port = 2061;

using Random = std::function<void(std::uint8_t *to, std::size_t size)>;

// An origin at which replicas may register.
struct GatewayOrigin {
    std::string name;
    std::vector<Address> servers;
    std::vector<std::uint16_t> ports;
    std::vector<Prefix> permitted;   // that replicas must be of
    bool any = false;                // everybody who has the key
    std::size_t max = 32;            // that register, the heaviest first
    std::vector<Replica> configured; // cloned to anyway, unless they register

    bool operator==(const GatewayOrigin &) const = default;
};

struct GatewayConfig {
    Keys keys;
    Time interval = std::chrono::seconds(1); // between two asks
    std::uint16_t port = default_port;       // where replicas are found that say nothing
    unsigned rise = 3;
    std::vector<GatewayOrigin> origins;
};

// By name of the origin: who gets clones.
using Tables = std::map<std::string, std::vector<Replica>>;

struct GatewayEvent {
    enum Kind : std::uint8_t { registered, removed } kind = registered;
    std::string origin;
    Address replica;
    std::string reason; // of a removal
};

struct GatewayOutput {
    std::vector<wccp::Outgoing> datagrams;
    Tables tables; // those that have changed, whole
    std::vector<GatewayEvent> events;
};

struct ReplicaReport {
    std::string origin;
    Address address;
    std::string name;
    bool configured = false;
    bool registered = false; // has been heard, or was in when an earlier process ended
    bool in = false;         // gets clones
    OriginState state = OriginState::ready;
    std::optional<Time> round_trip; // median
    std::size_t samples = 0;
    microseconds delay{0}; // as the kernel has it
    Via via = Via::gre;
    std::set<Return> returns;
    std::uint32_t weight = 1;
    std::optional<Time> silent; // since its last answer
    unsigned unanswered = 0;
    unsigned answers = 0; // in a row, of `needed` until it is in
    unsigned needed = 0;
    std::size_t deaths = 0;
};

struct GatewayCounters {
    std::uint64_t hello = 0; // taken
    std::uint64_t state = 0;
    std::uint64_t ask = 0;    // sent
    std::uint64_t tables = 0; // that the kernel was to take
    std::array<std::uint64_t, refusals> refused{};
};

class Gateway {
public:
    static constexpr std::size_t most_peers = 1024;
    static constexpr Time hurry = std::chrono::milliseconds(100); // between asks due to HELLOs
    static constexpr unsigned busy_patience = 10;                 // intervals

    Gateway(GatewayConfig config, std::uint64_t boot, Random random);

    // What the kernel still has of an earlier process: kept until it is found dead.
    void take_over(Time now, const Tables &set);
    GatewayOutput start(Time now);
    GatewayOutput reconfigure(Time now, GatewayConfig config);
    GatewayOutput receive(Time now, const wccp::Datagram &datagram);
    // The same of one that has been opened.
    GatewayOutput receive(Time now, const wccp::Datagram &datagram, const Message &message);
    void count(Refusal refusal) { ++counters_.refused[static_cast<std::size_t>(refusal)]; }
    GatewayOutput tick(Time now);
    [[nodiscard]] std::optional<Time> next_deadline() const;

    [[nodiscard]] Tables tables() const;
    [[nodiscard]] const GatewayConfig &config() const { return config_; }
    [[nodiscard]] std::vector<ReplicaReport> report(Time now) const;
    [[nodiscard]] const GatewayCounters &counters() const { return counters_; }

private:
    using Peers = std::map<Address, Peer>;

    void hear(Time now, const wccp::Datagram &datagram, const Hello &hello, GatewayOutput &out);
    void hear(Time now, const wccp::Datagram &datagram, const Message &message, const State &state,
              GatewayOutput &out);
    void take_origins(Time now, const Address &address, Peer &peer, const State &state,
                      bool punctual, GatewayOutput &out);
    void ask(Time now, const Address &address, Peer &peer, bool in_turn, GatewayOutput &out);
    void lose(Time now, const Address &address, Peer &peer, GatewayOutput &out);
    void meet_configured(Time now);
    [[nodiscard]] bool may_speak(const Address &address) const;
    [[nodiscard]] bool is_configured(const Address &address) const;
    [[nodiscard]] std::vector<Replica> table(const GatewayOrigin &origin) const;
    GatewayOutput finish(GatewayOutput out);

    GatewayConfig config_;
    std::uint64_t boot_;
    std::uint64_t sequence_ = 0;
    Random random_;
    Peers peers_;
    Tables told_;
    GatewayCounters counters_;
};

const char *text(GatewayEvent::Kind kind);

} // namespace wlb::registry
