// SPDX-License-Identifier: GPL-2.0-only
// A router's half of WCCP for one service group: {address family, service type, service ID}.
// No I/O, no clock: datagrams and the time come in, datagrams and the table for the data
// path come out. A message that is not authentic or not well formed changes nothing but a
// counter (R1 3.7).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "wccp/assignment.h"
#include "wccp/config.h"
#include "wccp/datagram.h"
#include "wccp/negotiation.h"
#include "wccp/peer.h"
#include "wccp/report.h"
#include "wlb/result.h"

namespace wlb::wccp {

enum class EventKind : std::uint8_t {
    service_found,
    service_lost,
    cache_refused, // answers, but is not usable
    service_mismatch,
    view_changed,
    assigned,
    assignment_refused,
    key_moved, // assignments come from another cache than before
    flushed,
    fallback,
    kicked,
    removal_query,
    shutdown,
    confirmed, // a restored member was heard again
};
const char *text(EventKind kind);

struct Event {
    EventKind kind;
    Address cache;
    std::string reason;
};

struct Output {
    std::vector<Outgoing> datagrams;
    std::optional<Assignment> assignment; // the data path's new state, if it is another one
    std::vector<Event> events;
};

class RouterGroup {
public:
    // `seed` gives receive IDs and change numbers a start that an outsider cannot tell, and
    // multicast its jitter.
    RouterGroup(GroupConfig config, std::uint64_t seed);

    // Takes the state of one that has ended, before anything else is called: members count
    // as usable, as if heard right now, and the table as valid. Until each has been heard
    // again or is lost neither change number nor table changes for that.
    void restore(Time now, const Assignment &assignment);

    // Time that goes back counts as standing still. A tick that comes later than
    // next_deadline() by more than TRANSMIT_T takes no cache's silence meanwhile for its
    // end, because nobody has listened.
    Output receive(Time now, const Datagram &datagram);
    Output tick(Time now);
    // When tick() has something to do; none as long as nobody is heard of. It costs next to
    // nothing unless one of the others was called since: a router asks its groups after each
    // message of any.
    [[nodiscard]] std::optional<Time> next_deadline() const;

    // Service and family must be the same. Members stay unless the group list excludes them;
    // one that has agreed upon what is not offered any more is let go when it is heard.
    Result<Output> reconfigure(Time now, GroupConfig config);

    [[nodiscard]] Report report(Time now) const;
    [[nodiscard]] const Counters &counters() const { return counters_; }
    void clear_counters() { counters_ = {}; }
    [[nodiscard]] const GroupConfig &config() const { return config_; }
    // What the data path should have, whether or not it was told.
    [[nodiscard]] Assignment assignment() const;

private:
    enum class State : std::uint8_t { usable, queried, unusable, leaving };

    struct Cache {
        Peer peer;
        State state = State::unusable;
        CacheStatus status = CacheStatus::negotiating_membership;
        std::string why;
        Agreed agreed;
        WeightStatus weight;
        BucketVector initial{};                // in its own message
        std::optional<wlb_wccp_mask> own_mask; // likewise
        std::set<Address> routers;             // its view
        std::set<Address> caches;
        bool restored = false; // and not heard since
        Time since{};

        [[nodiscard]] bool usable() const
        {
            return state == State::usable || state == State::queried;
        }
    };

    // A HERE_I_AM, read as far as it concerns us.
    struct Hello {
        Peer peer; // as it would be known from now on
        Cache *cache = nullptr;
        std::uint32_t echoed = 0;
        bool lists_us = false;
        std::set<Address> routers;
        std::set<Address> caches;
        bool shutdown = false;
    };
    using Refused = std::optional<Refusal>;

    // router.cpp
    Refused take(const Datagram &datagram, Output &out);
    void advance(Time now);
    [[nodiscard]] Time gone_at(const Cache &cache) const;
    [[nodiscard]] std::optional<Time> earliest() const;
    void finish(Output &out);
    void bump();
    void await_assignment();
    void remove(Cache &cache, State state, const std::string &reason, Output &out);
    void clear_group();
    bool update_routers();
    bool settled();
    [[nodiscard]] std::size_t usable_caches() const;
    void set_table(Table table, Key key);
    void flush();
    void remember(const Table &table);
    Refused refuse_assignment(Refusal refusal, const Address &sender, const std::string &reason,
                              Output &out);

    // hello.cpp
    Refused here_i_am(const Datagram &datagram, const Message &message, const Addresses &addresses,
                      DigestForm form, Output &out);
    Refused read_hello(const Datagram &datagram, const Message &message, const Addresses &addresses,
                       Hello &to);
    Refused not_valid(Hello &hello, Output &out);
    Refused valid(Hello &hello, const Message &message, const Addresses &addresses, Output &out);
    // same_view: it was usable and lists the same routers as before.
    void join(Cache &cache, const Agreed &agreed, bool same_view, Output &out);
    void let_go(Cache &cache, CacheStatus status, const std::string &why, Output &out);
    void read_identity(const Message &message, const Addresses &addresses, Cache &cache);
    // False if neither an answer was sent nor one is due by multicast.
    bool answer(Peer &peer, const Cache *cache, Output &out);

    // assign.cpp
    Refused redirect_assign(const Datagram &datagram, const Message &message,
                            const Addresses &addresses, Output &out);
    void assign_fallback(Output &out);

    // speak.cpp
    struct Speech {
        Address to, sent_to;
        std::uint8_t minor = 0;
        DigestForm form = DigestForm::draft;
        ServiceInfo service;
        std::vector<Address> received_from;
        bool full = false; // or nothing of the group
        bool filler = false;
        std::optional<Agreed> agreed;   // or the offer
        std::vector<Address> shut_down; // whose SHUTDOWN this answers
    };
    [[nodiscard]] Octets i_see_you(const Speech &speech, std::uint32_t receive_id);
    [[nodiscard]] Octets removal_query(const Cache &cache) const;
    void add_map(Message &message, AddressList &list) const;
    [[nodiscard]] CacheElement element_of(const Cache &cache, AddressList &list) const;
    void multicast(Output &out);
    void ask(Cache &cache, Output &out);
    std::uint32_t next_receive_id();

    // report.cpp
    [[nodiscard]] CacheReport report_of(const Cache &cache) const;
    [[nodiscard]] CacheReport report_of(const Peer &peer) const;

    [[nodiscard]] Timers timers() const { return fixed_ ? fixed_->timers : Timers{}; }
    Duration multicast_interval();

    GroupConfig config_;
    std::mt19937_64 random_;
    Counters counters_;
    Time now_{};
    mutable std::optional<Time> deadline_;
    mutable bool deadline_known_ = false;
    bool changed_ = false; // what the data path should know

    std::uint32_t receive_id_;
    std::uint32_t change_number_;
    std::optional<ServiceInfo> service_; // as the first member described it
    std::optional<Fixed> fixed_;         // by the first member
    std::map<Address, Cache> caches_;    // by identity: those that get our answers
    Contacts contacts_;                  // and those that may not
    std::set<Address> routers_;          // in the view
    bool settling_ = false;              // restored members are still to be heard
    Time settle_until_{};                // and none of them is lost before
    std::set<Address> restored_routers_; // in the view before that, if it was known

    Table table_;
    Key key_;
    std::string assignment_refusal_;             // of the last one that was not taken
    std::map<Address, BucketVector> historical_; // of those that have no buckets any more

    std::optional<Time> flush_at_; // no assignment since the last change
    std::optional<Time> fallback_at_;
    Time kick_after_{};
    std::optional<Time> multicast_at_;
    std::set<std::pair<Address, Address>> pending_; // source, identity: heard by multicast
    Rate total_rate_;
    Rate event_rate_;
};

} // namespace wlb::wccp
