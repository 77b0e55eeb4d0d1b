// SPDX-License-Identifier: GPL-2.0-only
// A cache's half of WCCP for one service group: {address family, service type, service ID}.
// No I/O, no clock: datagrams and the time come in, datagrams and what the data path must
// know come out. A message that is not authentic or not well formed changes nothing but a
// counter.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "wccp/allocate.h"
#include "wccp/cache_config.h"
#include "wccp/cache_report.h"
#include "wccp/common.h"
#include "wccp/datagram.h"
#include "wlb/result.h"

namespace wlb::wccp {

enum class CacheEventKind : std::uint8_t {
    router_found,   // we are in its view
    router_lost,    // it is silent, or we are not in its view any more
    router_refused, // offers nothing that we can agree upon
    learned,        // from another one's view
    designated,     // this cache is, now
    assigned,
    queried, // a router asks whether we are there
    left,    // every router has said that it knows, or time is up
};
const char *text(CacheEventKind kind);

struct CacheEvent {
    CacheEventKind kind;
    Address router;
    std::string reason;
};

// From where redirected packets come, and how others go back.
struct Path {
    Address router; // ID
    Address source; // of its messages, and of its tunnel unless it says otherwise
    Transport forwarding = Transport::gre;
    Transport packet_return = Transport::gre;
    bool operator==(const Path &) const = default;
};

struct CacheOutput {
    std::vector<Outgoing> datagrams;
    std::optional<std::vector<Path>> paths; // of routers that count us, if they have changed
    std::vector<CacheEvent> events;
};

class CacheGroup {
public:
    // `config` must be valid. `seed` makes keys begin where nobody has used them before.
    CacheGroup(CacheConfig config, std::uint64_t seed);

    // Becomes a member as long as it is enabled and usable.
    CacheOutput start(Time now);
    // Tells the routers to send nothing any more, until they have said so or time is up.
    CacheOutput leave(Time now);
    // The proxy behind it works, or not: as leave() and start().
    CacheOutput set_usable(Time now, bool usable);
    CacheOutput set_weight(Time now, std::uint16_t weight);

    // Time that goes back counts as standing still. A tick that comes later than
    // next_deadline() by more than TRANSMIT_T takes no router's silence meanwhile for its
    // end, because nobody has listened.
    CacheOutput receive(Time now, const Datagram &datagram);
    CacheOutput tick(Time now);
    // When tick() has something to do; none while it is silent.
    [[nodiscard]] std::optional<Time> next_deadline() const;

    // Address, service type and ID must be the same. Routers that are not configured any more
    // are told SHUTDOWN once.
    Result<CacheOutput> reconfigure(Time now, CacheConfig config);

    [[nodiscard]] CacheGroupReport report(Time now) const;
    [[nodiscard]] const CacheCounters &counters() const { return counters_; }
    void clear_counters() { counters_ = {}; }
    [[nodiscard]] const CacheConfig &config() const { return config_; }
    [[nodiscard]] std::vector<Path> paths() const;
    [[nodiscard]] CachePhase phase() const { return phase_; }

private:
    // An address that HERE_I_AM goes to.
    struct Target {
        bool learned = false;
        Time hello_at{};
        Time said_at{};
        unsigned unanswered = 0; // since the last answer
        bool early = false;      // the next one is because of that
        unsigned burst = 0;      // more of them to follow at a tenth of the interval
    };
    struct Seen { // a cache in a router's view
        std::uint16_t weight = 0;
        bool assigned = false;
        BucketVector buckets{}; // that it has, or had before
        bool operator==(const Seen &) const = default;
    };
    struct Router {
        Address source;
        Address sent_to; // the target
        bool multicast = false;
        std::uint8_t minor = 0;
        std::uint32_t receive_id = 0;
        std::uint32_t change_number = 0;
        Key key;
        std::set<Address> routers;
        std::map<Address, Seen> caches;
        std::optional<Table> map; // of mask assignment
        Offer offer;
        std::string refused; // why we do not want to be its member
        bool listed = false;
        bool released = false; // has answered SHUTDOWN
        Time heard{};
        Time since{};
    };
    // What an assignment depends on.
    struct Membership {
        std::uint32_t change_number = 0;
        std::set<Address> routers;
        std::map<Address, std::uint16_t> caches;
        bool operator==(const Membership &) const = default;
    };
    using Refused = std::optional<CacheRefusal>;

    // cache.cpp
    void advance(Time now) { now_ = std::max(now_, now); }
    void run(CacheOutput &out);
    void finish(CacheOutput &out);
    void want(CacheOutput &out);
    void go_silent(CacheOutput &out);
    void make_targets();
    void drop(const Address &id, const std::string &reason, CacheOutput &out);
    void settle(CacheOutput &out);
    void agree(CacheOutput &out);
    void hasten(Target &target, Duration after) const;
    [[nodiscard]] bool released() const;
    [[nodiscard]] Timers timers_for(bool listed) const;
    [[nodiscard]] Duration interval(const Address &to) const;
    [[nodiscard]] Duration patience(const Router &router) const;
    [[nodiscard]] bool asks_again(const Address &to) const;
    [[nodiscard]] std::vector<const Router *> routers_at(const Address &to) const;

    // cache_hear.cpp
    Refused take(const Datagram &datagram, CacheOutput &out);
    Refused i_see_you(const Datagram &datagram, const Message &message, const Addresses &addresses,
                      CacheOutput &out);
    Refused removal_query(const Datagram &datagram, const Message &message,
                          const Addresses &addresses, CacheOutput &out);
    static Refused read_view(const Message &message, const Addresses &addresses, Router &to);
    void learn(const Address &id, const Router &router, CacheOutput &out);
    void answered(Target &target, const Router &router, bool was_listed, bool is_new);

    // cache_say.cpp
    void say(const Address &to, Target &target, CacheOutput &out);
    [[nodiscard]] Octets here_i_am(const Address &to) const;
    [[nodiscard]] Octets redirect_assign() const;
    [[nodiscard]] CacheElement identity(AddressList &list) const;
    [[nodiscard]] std::uint8_t common_minor(const std::vector<const Router *> &routers) const;
    void send(const Address &to, Octets octets, CacheOutput &out) const;

    // designated.cpp
    [[nodiscard]] std::set<Address> seen_by_all() const;
    [[nodiscard]] std::string ineligible() const; // why, or nothing
    [[nodiscard]] bool is_designated() const;
    [[nodiscard]] bool yields() const;
    [[nodiscard]] bool reflected() const;
    [[nodiscard]] std::map<Address, Membership> membership() const;
    void watch_members();
    void note_change();
    void assign_anew();
    void assign(CacheOutput &out);
    [[nodiscard]] bool answers_under_way(Duration within);

    // shares.cpp
    void allocate_all();
    [[nodiscard]] std::vector<Slot> slots(const std::vector<Address> &members) const;
    void add_owners(const Table &table, const std::vector<Address> &members,
                    std::vector<Slot> &to) const;
    [[nodiscard]] std::vector<std::uint32_t> weights(const std::vector<Address> &members) const;
    [[nodiscard]] std::uint16_t weight_of(const Address &cache) const;
    [[nodiscard]] unsigned grown(const Address &cache) const;
    [[nodiscard]] std::optional<Time> next_growth() const;
    [[nodiscard]] wlb_wccp_mask mask() const;
    [[nodiscard]] std::size_t share_of(const Router &router, const Address &cache) const;

    // cache_report.cpp
    [[nodiscard]] RouterReport report_of(const Address &id, const Router &router) const;

    CacheConfig config_;
    std::uint32_t key_number_; // of the last assignment
    CacheCounters counters_;
    Time now_{};
    bool started_ = false;
    bool usable_ = true;
    CachePhase phase_ = CachePhase::silent;
    Time leave_until_{};

    std::map<Address, Target> targets_;
    std::map<Address, Router> routers_; // heard, by ID
    Agreed agreed_;
    std::uint32_t change_number_ = 1;
    std::set<Address> view_routers_, view_caches_; // as of that number
    std::vector<Path> told_;
    BucketVector had_{}; // our buckets, as views last told
    bool has_ = false;   // and still tell

    std::map<Address, Membership> members_;         // as of the last change
    std::map<Address, std::optional<Time>> joined_; // caches seen by all; none: long ago
    std::optional<Time> assign_at_;                 // or say it again
    std::optional<Time> grow_at_;
    Time changing_since_{};
    bool changed_ = false; // since the last assignment
    Table table_;          // that this cache has assigned last
    Key key_;
    std::map<Address, std::set<std::uint32_t>> former_; // slots of caches that went
};

} // namespace wlb::wccp
