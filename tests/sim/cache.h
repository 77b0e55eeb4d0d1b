// SPDX-License-Identifier: GPL-2.0-only
// Caches of a simulated group: one as the drafts want it, simple and with its own mind on
// nothing, and the one that is shipped.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "wccp/cache.h"
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
    bool real = false; // the one that is shipped
    std::uint8_t minor = 1;
    Duration slow_start{0};
};

class Station {
public:
    Station() = default;
    Station(const Station &) = delete;
    Station &operator=(const Station &) = delete;
    virtual ~Station() = default;

    // What falls due until `now`; to be called at next().
    virtual std::vector<Sent> tick(Time now) = 0;
    virtual void receive(Time now, const Address &from, const Address &to,
                         const Octets &octets) = 0;
    // None: not before something is heard or done.
    [[nodiscard]] virtual std::optional<Time> next() const = 0;
    virtual void start(Time now, Duration after) = 0;
    // Says SHUTDOWN from now on, or is there again.
    virtual void leave(Time now, bool leaving) = 0;
    virtual void set_weight(Time now, std::uint16_t weight) = 0;
    // Of the one that is shipped
    [[nodiscard]] virtual const CacheGroup *group() const { return nullptr; }
};

std::unique_ptr<Station> make_cache(const CacheSettings &settings, std::uint32_t seed);

class Cache : public Station {
public:
    Cache(CacheSettings settings, std::uint32_t seed) : set_(std::move(settings)), key_(seed) {}

    std::vector<Sent> tick(Time now) override;
    void receive(Time now, const Address &from, const Address &to, const Octets &octets) override;
    [[nodiscard]] std::optional<Time> next() const override
    {
        return std::min(hello_at_, assign_at_.value_or(hello_at_));
    }
    void start(Time now, Duration after) override { hello_at_ = now + after; }
    void leave(Time, bool leaving) override { leaving_ = leaving; }
    void set_weight(Time, std::uint16_t weight) override { set_.weight = weight; }

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
