// SPDX-License-Identifier: GPL-2.0-only
// What this host's sockets say of a server: its queues, its connections.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "wlb/address.h"
#include "wlb/config.h"
#include "wlb/result.h"

namespace wlb::replicad {

// A TCP socket in a state that was asked for.
struct SocketState {
    Address local;
    std::uint16_t port = 0;
    std::uint8_t state = 0;   // of include/net/tcp_states.h
    std::uint32_t queued = 0; // of a listener: connections to be accepted
    std::uint32_t most = 0;   // and how many there may be
};

inline constexpr std::uint32_t established_states =
    1U << 1 | 1U << 4 | 1U << 5 | 1U << 8 | 1U << 9 | 1U << 11;   // until both have said goodbye
inline constexpr std::uint32_t queue_states = 1U << 10 | 1U << 3; // listeners and half-open

// Of this network namespace, by NETLINK_SOCK_DIAG. `states` is 1 << each state.
Result<std::vector<SocketState>> read_sockets(bool ipv6, std::uint32_t states);

struct Queues {
    std::optional<double> accept; // of the fullest listener; none: nobody listens
    std::optional<double> syn;
};

// Of the listeners that take an origin's connections.
Queues queues_of(const Served &served, const std::vector<SocketState> &sockets);
// How many connections of an origin there are.
std::size_t connections_of(const Served &served, const std::vector<SocketState> &sockets);

// Connections that this network namespace has accepted since it is there.
Result<std::uint64_t> read_accepted();

// How fast a counter grows.
class Rate {
public:
    using Clock = std::chrono::steady_clock;

    // Per second since the last time; none at the first.
    std::optional<double> note(std::uint64_t count, Clock::time_point now)
    {
        const auto before = std::exchange(last_, std::pair(count, now));
        if (!before || now <= before->second || count < before->first)
            return std::nullopt;
        return static_cast<double>(count - before->first) /
               std::chrono::duration<double>(now - before->second).count();
    }

private:
    std::optional<std::pair<std::uint64_t, Clock::time_point>> last_;
};

} // namespace wlb::replicad
