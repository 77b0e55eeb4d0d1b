// SPDX-License-Identifier: GPL-2.0-only
// The registry of replicas as a user configures it: a server gateway's and a replica's part.
// The daemons', not the kernel's. Passive data; names are those of wlb.toml(5).
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wlb/address.h"
#include "wlb/cache_host.h"
#include "wlb/duration.h"

namespace wlb {

inline constexpr std::uint16_t registry_port = 2061; // UDP

struct Endpoint {
    Address address;
    std::uint16_t port = registry_port;

    [[nodiscard]] std::string text() const { return endpoint(address, port); }
    auto operator<=>(const Endpoint &) const = default;
};

// "203.0.113.1", "203.0.113.1:2061", "2001:db8::1", "[2001:db8::1]:2061"
Result<Endpoint> parse_endpoint(std::string_view text);

// Of an origin of a server gateway: where and by whom it lets replicas register.
struct Registry {
    std::string key_file;
    std::optional<Endpoint> listen; // required; absent only until validate() says so
    std::vector<Prefix> replicas;   // who may
    bool any_replica = false;       // everybody who has a key
    milliseconds interval{1000};    // between two questions
    std::int64_t max = 32;          // that register

    bool operator==(const Registry &) const = default;
};

// At any of them a replica is busy.
struct BusyLimits {
    std::optional<double> accept_queue; // share of the listeners' queues
    std::optional<double> syn_queue;
    std::optional<double> load;                         // average of one minute
    std::optional<std::int64_t> connections_per_second; // of the network namespace

    bool operator==(const BusyLimits &) const = default;
};

// Of an origin that a replica serves: what wlb-replicad does for it.
struct Registration {
    std::vector<Endpoint> gateways;
    std::string key_file;
    std::int64_t weight = 1;
    std::optional<Probe> probe;
    BusyLimits busy;

    // There is something to do.
    [[nodiscard]] bool wanted() const { return !gateways.empty() || probe || busy != BusyLimits(); }
    bool operator==(const Registration &) const = default;
};

} // namespace wlb
