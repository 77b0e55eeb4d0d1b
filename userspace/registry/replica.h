// SPDX-License-Identifier: GPL-2.0-only
// A replica that registers: answers its gateways' questions at once, and says when there is
// news. Pure: messages and a clock in, messages out.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "registry/message.h"
#include "registry/time.h"
#include "wccp/datagram.h"

namespace wlb::registry {

using GatewayAddress = std::pair<Address, std::uint16_t>; // and its port

// An origin, and whom that concerns.
struct Announced {
    std::vector<GatewayAddress> gateways;
    ServedOrigin origin;

    bool operator==(const Announced &) const = default;
};

struct GatewayView { // a gateway, seen from the replica
    GatewayAddress address;
    std::optional<Time> silent;   // since it last asked
    std::optional<Time> interval; // between two questions, as it says
    std::uint64_t asked = 0;
};

struct ReplicaCounters {
    std::uint64_t hello = 0; // sent
    std::uint64_t state = 0; // sent
    std::array<std::uint64_t, refusals> refused{};
};

class Registrant {
public:
    static constexpr unsigned most_answers = 20;                    // per gateway and second
    static constexpr Time usual_interval = std::chrono::seconds(1); // before it is known

    Registrant(std::string name, Address local, Keys keys, std::uint64_t boot);

    // From now on this is so; gateways whose news it is are told to ask.
    std::vector<wccp::Outgoing> announce(Time now, std::vector<Announced> origins);
    void set_keys(Keys keys) { keys_ = std::move(keys); }
    std::vector<wccp::Outgoing> receive(Time now, const wccp::Datagram &datagram);
    std::vector<wccp::Outgoing> receive(Time now, const wccp::Datagram &datagram,
                                        const Message &message);
    void count(Refusal refusal) { ++counters_.refused[static_cast<std::size_t>(refusal)]; }
    std::vector<wccp::Outgoing> tick(Time now);
    [[nodiscard]] std::optional<Time> next_deadline() const;

    [[nodiscard]] const Keys &keys() const { return keys_; }
    [[nodiscard]] std::vector<GatewayView> gateways(Time now) const;
    [[nodiscard]] const ReplicaCounters &counters() const { return counters_; }

private:
    struct Gateway {
        std::optional<std::uint64_t> boot;
        std::uint64_t sequence = 0;
        std::optional<Time> heard;
        Time interval = usual_interval;
        Time next_hello{0};
        std::uint64_t asked = 0;
        Time window{0}; // a second of answers
        unsigned answers = 0;
    };

    void hello(Time now, const GatewayAddress &address, std::vector<wccp::Outgoing> &out);
    [[nodiscard]] std::vector<ServedOrigin> origins_for(const GatewayAddress &gateway) const;
    [[nodiscard]] wccp::Outgoing to(const GatewayAddress &gateway, Octets octets) const;

    std::string name_;
    Address local_;
    Keys keys_;
    std::uint64_t boot_;
    std::uint64_t sequence_ = 0;
    std::vector<Announced> origins_;
    std::map<GatewayAddress, Gateway> gateways_;
    ReplicaCounters counters_;
};

} // namespace wlb::registry
