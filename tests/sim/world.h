// SPDX-License-Identifier: GPL-2.0-only
// One history: routers, caches and a bad network in virtual time.
#pragma once

#include <cstdint>
#include <memory>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "cache.h"
#include "wccp/router.h"

namespace sim {

struct Totals {
    std::uint64_t histories = 0;
    std::uint64_t messages = 0; // delivered
    std::uint64_t forged = 0;
    std::uint64_t restarts = 0;
    std::uint64_t assignments = 0; // taken by routers
    std::uint64_t moves = 0;       // changes whose moves were compared with the least
    Duration slowest{0};           // convergence, as a part of what is allowed
    double slowest_part = 0;
};

enum class Caches : std::uint8_t { simple, shipped, mixed };

class World {
public:
    World(std::uint64_t seed, Caches caches, Totals &totals);
    // What does not hold, if anything.
    std::string run();

private:
    struct Router {
        Address id;
        std::unique_ptr<RouterGroup> group; // none: down
        Assignment told;                    // what the data path knows
        std::uint32_t receive_id = 0;       // the last one sent; 0: none since its start
        Duration clock{0};                  // is ahead by so much
        bool restores = false;              // when it comes up
        bool gone = false;                  // for ever
    };
    struct Host {
        CacheSettings settings;
        std::unique_ptr<Station> cache; // none: down
        bool leaving = false;
    };
    enum class Kind : std::uint8_t { arrival, wake_router, wake_cache, fault, router_up, cache_up };
    struct Event {
        Time at;
        std::uint64_t order;
        Kind kind;
        std::size_t index;
        Address from, to;
        Octets octets;
        bool operator>(const Event &other) const
        {
            return std::pair(at, order) > std::pair(other.at, other.order);
        }
    };

    std::uint64_t pick(std::uint64_t below) { return random_() % below; }
    bool chance(unsigned percent) { return pick(100) < percent; }
    void at(Time when, Kind kind, std::size_t index);
    void setup();
    void step(Event event);
    void fault();
    void send(const Address &from, const Address &to, const Octets &octets);
    void deliver(const Address &from, const Address &to, const Octets &octets);
    void arrive(const Event &event);
    void start_router(std::size_t index);
    void start_cache(std::size_t index);
    void wake_cache(std::size_t index);
    void router_spoke(std::size_t index, const Assignment &before, const Output &out);
    void forge(std::size_t index, const Octets &octets, const Address &from);
    void check(bool holds, const std::string &what);
    void check(bool holds, const Address &who, const char *what);
    [[nodiscard]] Time clock(const Router &router) const { return now_ + router.clock; }
    void calm_down(Time from);
    void change_one();
    void leave(Host &host, bool leaving);
    void wake(std::size_t host);
    [[nodiscard]] std::string unconverged() const;
    [[nodiscard]] std::string unfair(const Assignment &told) const;
    [[nodiscard]] std::string astray() const;
    [[nodiscard]] const Router *any_router() const;
    [[nodiscard]] std::vector<std::uint32_t> weights(const Assignment &told) const;
    [[nodiscard]] Duration allowed() const;

    std::mt19937_64 random_;
    Caches caches_;
    Totals &totals_;
    std::uint64_t order_ = 0;
    std::string failure_;
    Time now_{1000000};
    Time faults_end_{};
    std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
    std::vector<Router> routers_;
    std::vector<Host> hosts_;
    std::set<std::pair<Address, Address>> cut_; // from, to
    GroupConfig config_;
    unsigned loss_ = 0, duplication_ = 0; // percent
};

} // namespace sim
