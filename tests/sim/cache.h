// SPDX-License-Identifier: GPL-2.0-only
// A cache as the drafts want it: a simple one, with its own mind on nothing.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "wccp_messages.h"

namespace sim {

using namespace wccp_test;

struct Sent {
    Address to;
    Octets octets;
};

struct CacheSettings {
    Address address;
    std::vector<Address> routers;     // configured
    std::optional<Address> multicast; // instead of each router's own
    ServiceInfo service;
    Method method = Method::hash;
    std::uint16_t weight = 1;
    Duration transmit{10000};
    std::string password;
};

class Cache {
public:
    Cache(CacheSettings settings, std::uint32_t seed) : set_(std::move(settings)), key_(seed) {}

    // What falls due until `now`; to be called at next().
    std::vector<Sent> tick(Time now);
    void receive(Time now, const Octets &octets);
    [[nodiscard]] Time next() const { return std::min(hello_at_, assign_at_.value_or(hello_at_)); }
    void start(Time now, Duration after) { hello_at_ = now + after; }

    // Says SHUTDOWN from now on, or not any more.
    void leave(bool leaving) { leaving_ = leaving; }
    [[nodiscard]] const CacheSettings &settings() const { return set_; }

private:
    struct Router {
        std::uint32_t receive_id = 0;
        std::uint32_t change_number = 0;
        Key key;
        std::set<Address> routers;
        std::set<Address> caches;
        Time heard{};
    };

    void forget_silent(Time now);
    // What an assignment would depend on: every router and what each sees.
    [[nodiscard]] std::vector<std::uint32_t> membership() const;
    [[nodiscard]] std::set<Address> seen_by_all() const;
    [[nodiscard]] bool designated() const;
    [[nodiscard]] Octets hello() const;
    [[nodiscard]] Octets assignment() const;
    void to_all(std::vector<Sent> &out, const Octets &octets) const;

    CacheSettings set_;
    std::map<Address, Router> routers_;  // heard, by ID
    std::vector<std::uint32_t> settled_; // membership as of the last change
    std::set<Address> assigned_;         // caches of the last assignment
    Key key_now_;                        // of the assignment that should be everywhere
    std::uint32_t key_;
    bool leaving_ = false;
    Time hello_at_{};
    Time said_at_{};
    std::optional<Time> assign_at_;
};

} // namespace sim
