// SPDX-License-Identifier: GPL-2.0-only
// Whom a router has answered, and how much it answers.
#pragma once

#include <algorithm>
#include <list>
#include <map>
#include <utility>

#include "wccp/assignment.h"
#include "wccp/security.h"

namespace wlb::wccp {

// So many a second, and as many at once.
class Rate {
public:
    bool take(Time now, unsigned per_second)
    {
        const std::int64_t full = std::int64_t{per_second} * 1000;
        const auto since = std::clamp<std::int64_t>((now - last_).count(), 0, 1000);
        left_ = started_ ? std::min(full, left_ + since * per_second) : full;
        started_ = true;
        last_ = now;
        if (left_ < 1000)
            return false;
        left_ -= 1000;
        return true;
    }

private:
    bool started_ = false;
    Time last_{};
    std::int64_t left_ = 0; // thousandths
};

// One that speaks as a cache: where it is and how it wants to be spoken to.
struct Peer {
    Address source;   // where I_SEE_YOU goes
    Address identity; // where traffic goes
    Address sent_to;  // where its last HERE_I_AM went
    std::uint16_t port = wccp::port;
    bool multicast = false;
    std::uint8_t minor = 0;       // of its last message
    bool minimum_version = false; // V: it can do more than that
    DigestForm form = DigestForm::draft;
    ServiceInfo service;          // as it described it
    std::uint32_t receive_id = 0; // the last one sent to it; 0: none
    // The last one that answered a valid message. It stays good when invalid ones are
    // answered meanwhile, or whoever can forge a source address could make a member's
    // messages invalid just before they come.
    std::uint32_t vouched_id = 0;
    bool vouched = false; // a valid message is to be answered
    bool filler = false;
    bool lists_others = false; // its last view had routers, but not us
    bool stale_id = false;     // its last view had us with another receive ID
    unsigned echoed_none = 0;  // answers in a row that it seems not to have understood
    unsigned answers = 0;
    Time heard{};

    [[nodiscard]] bool knows(std::uint32_t id) const
    {
        return id != 0 && (id == receive_id || id == vouched_id);
    }
    void sent(std::uint32_t id)
    {
        receive_id = id;
        if (vouched)
            vouched_id = id;
        vouched = false;
    }

    Rate rate;        // of answers to what shows no receipt
    Rate member_rate; // and to what does
};

// Those that were answered but have not shown that they get the answers. As many as there
// may be spoofed addresses, so bounded: the one heard longest ago goes first.
class Contacts {
public:
    static constexpr std::size_t max = 4096; // of 100 answers a second, those of 40 s

    Peer *find(const Address &source, const Address &identity)
    {
        const auto found = index_.find({source, identity});
        return found == index_.end() ? nullptr : &*found->second;
    }
    // The newest now; true if another one had to go.
    bool put(Peer peer)
    {
        erase(peer.source, peer.identity);
        const bool full = peers_.size() >= max;
        if (full)
            erase(peers_.back().source, peers_.back().identity);
        peers_.push_front(std::move(peer));
        index_[{peers_.front().source, peers_.front().identity}] = peers_.begin();
        return full;
    }
    void erase(const Address &source, const Address &identity)
    {
        const auto found = index_.find({source, identity});
        if (found == index_.end())
            return;
        const auto at = found->second;
        index_.erase(found);
        peers_.erase(at);
    }
    [[nodiscard]] const std::list<Peer> &newest_first() const { return peers_; }
    [[nodiscard]] std::size_t size() const { return peers_.size(); }

private:
    std::list<Peer> peers_;
    std::map<std::pair<Address, Address>, std::list<Peer>::iterator> index_;
};

} // namespace wlb::wccp
