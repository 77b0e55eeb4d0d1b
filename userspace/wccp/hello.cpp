// SPDX-License-Identifier: GPL-2.0-only
// HERE_I_AM: who is there, who gets our answers, who is usable (R1 3.1 to 3.5).
#include <algorithm>

#include "wccp/router.h"

namespace wlb::wccp {
namespace {

constexpr std::size_t max_answering = std::size_t{2} * max_caches; // usable or not
constexpr std::size_t max_pending = 256;
constexpr unsigned tries = 2;           // answers that may get lost before something else is tried
constexpr unsigned mismatch_events = 1; // a second

std::optional<wlb_wccp_mask> first_mask(const MaskList &sets, const Addresses &addresses)
{
    if (sets.empty())
        return {};
    const auto mask = addresses.mask(sets.front().mask);
    return mask ? std::optional(*mask) : std::nullopt;
}

} // namespace

RouterGroup::Refused RouterGroup::here_i_am(const Datagram &datagram, const Message &message,
                                            const Addresses &addresses, DigestForm form,
                                            Output &out)
{
    Hello hello;
    hello.peer.form = form;
    if (const auto refused = read_hello(datagram, message, addresses, hello))
        return refused;
    if (service_ && !same_service(*service_, hello.peer.service)) {
        if (event_rate_.take(now_, mismatch_events))
            out.events.push_back({EventKind::service_mismatch, hello.peer.identity,
                                  "describes the service in another way than its members"});
        return Refusal::service_mismatch;
    }
    if (!hello.lists_us || !hello.peer.knows(hello.echoed))
        return not_valid(hello, out);
    return valid(hello, message, addresses, out);
}

RouterGroup::Refused RouterGroup::read_hello(const Datagram &datagram, const Message &message,
                                             const Addresses &addresses, Hello &to)
{
    const auto *identity = message.find<CacheIdentity>();
    const auto *view = message.find<CacheView>();
    if (!identity || !view)
        return Refusal::component_missing;
    const auto address = addresses.address(identity->cache.address);
    if (!address)
        return Refusal::malformed;
    if (!address->is_host())
        return Refusal::identity;
    if (config_.strict_source && *address != datagram.from)
        return Refusal::strict_source;

    const auto form = to.peer.form;
    if (const auto known = caches_.find(*address); known != caches_.end()) {
        auto &cache = known->second;
        if (cache.peer.source == datagram.from || cache.restored)
            to.cache = &cache;
        else if (cache.usable())
            return Refusal::identity_taken;
    }
    if (to.cache)
        to.peer = to.cache->peer;
    else if (const auto *contact = contacts_.find(datagram.from, *address))
        to.peer = *contact;
    to.peer.source = datagram.from;
    to.peer.identity = *address;
    to.peer.sent_to = datagram.to;
    to.peer.port = config_.answer_source_port ? datagram.from_port : port;
    to.peer.multicast = config_.group_address == datagram.to;
    to.peer.minor = message.header.minor;
    to.peer.minimum_version = identity->cache.flags & CacheElement::minimum_version;
    to.peer.form = form;
    to.peer.service = *message.find<ServiceInfo>();

    bool echoes_none = false;
    for (const auto &element : view->routers) {
        const auto router = addresses.address(element.address);
        if (!router)
            return Refusal::malformed;
        if (*router == config_.router_id && !to.lists_us) {
            to.lists_us = true;
            to.echoed = element.receive_id;
        }
        if (element.receive_id != 0)
            to.routers.insert(*router);
        // Squid lists the address that it knows us by until it knows our ID.
        else if (*router == config_.router_id || *router == datagram.to)
            echoes_none = true;
    }
    for (const auto word : view->caches) {
        const auto cache = addresses.address(word);
        if (!cache)
            return Refusal::malformed;
        to.caches.insert(*cache);
    }
    to.shutdown = has_command(message, Commands::shutdown, addresses, *address);

    to.peer.lists_others = !to.lists_us && !to.routers.empty();
    to.peer.stale_id = to.lists_us && to.echoed != 0 && !to.peer.knows(to.echoed);
    to.peer.echoed_none = echoes_none && to.peer.answers > 0 ? to.peer.echoed_none + 1 : 0;
    if (config_.squid_filler == SquidFiller::automatic && to.peer.echoed_none >= tries) {
        to.peer.filler = !to.peer.filler;
        to.peer.echoed_none = 0;
    }
    return {};
}

// One that does not show that it got our last answer. It gets another one, and that is all:
// a member stays one, and its time runs on.
RouterGroup::Refused RouterGroup::not_valid(Hello &hello, Output &out)
{
    const bool answered = answer(hello.peer, hello.cache, out);
    if (hello.cache) {
        auto &peer = hello.cache->peer;
        if (hello.cache->restored) { // whereabouts that were not known
            hello.peer.heard = peer.heard;
            peer = hello.peer;
        }
        peer.receive_id = hello.peer.receive_id;
        peer.rate = hello.peer.rate;
        peer.answers = hello.peer.answers;
        peer.filler = hello.peer.filler;
        peer.echoed_none = hello.peer.echoed_none;
        peer.lists_others = hello.peer.lists_others;
        peer.stale_id = hello.peer.stale_id;
    } else if (answered) {
        hello.peer.heard = now_;
        counters_.evicted += contacts_.put(hello.peer);
    }
    return answered ? Refusal::receive_id : Refusal::rate;
}

RouterGroup::Refused RouterGroup::valid(Hello &hello, const Message &message,
                                        const Addresses &addresses, Output &out)
{
    ++counters_.here_i_am;
    const auto identity = hello.peer.identity;
    const bool was_usable = hello.cache && hello.cache->usable();
    hello.peer.heard = now_;
    hello.peer.vouched = true;
    hello.peer.echoed_none = 0;
    if (!hello.cache && !caches_.contains(identity) && caches_.size() >= max_answering) {
        if (answer(hello.peer, nullptr, out))
            contacts_.put(hello.peer);
        return Refusal::group_full;
    }
    contacts_.erase(hello.peer.source, identity);
    if (!hello.cache)
        caches_.insert_or_assign(identity, Cache{});
    auto &cache = caches_.at(identity);
    const bool same_view = was_usable && cache.routers == hello.routers;
    cache.peer = hello.peer;
    cache.routers = std::move(hello.routers);
    cache.caches = std::move(hello.caches);
    read_identity(message, addresses, cache);

    Refused refused;
    const auto choice = choose(message.find<Capabilities>(), offer_of(config_, fixed_));
    if (hello.shutdown) {
        let_go(cache, CacheStatus::shutting_down, "has said SHUTDOWN", out);
    } else if (!choice.agreed) {
        let_go(cache,
               choice.method_differs ? CacheStatus::assignment_mismatch
                                     : CacheStatus::capability_mismatch,
               choice.why, out);
        refused = Refusal::capabilities;
    } else if (choice.agreed->forwarding == Transport::l2 &&
               !(config_.on_link && config_.on_link(identity))) {
        let_go(cache, CacheStatus::not_on_link, "wants L2 and is not on one of our links", out);
        refused = Refusal::capabilities;
    } else if (!was_usable && usable_caches() >= max_caches) {
        let_go(cache, CacheStatus::group_full, std::to_string(max_caches) + " others are usable",
               out);
        refused = Refusal::group_full;
    } else {
        join(cache, *choice.agreed, same_view, out);
    }
    answer(cache.peer, &cache, out);
    return refused;
}

void RouterGroup::join(Cache &cache, const Agreed &agreed, bool same_view, Output &out)
{
    const bool was_usable = cache.usable();
    const bool was_restored = cache.restored;
    changed_ = changed_ || !was_usable || cache.agreed.forwarding != agreed.forwarding ||
               cache.agreed.packet_return != agreed.packet_return;
    if (!was_usable && !fixed_) {
        service_ = cache.peer.service;
        fixed_ = Fixed{agreed.method, agreed.timers};
    }
    cache.state = State::usable;
    cache.agreed = agreed;
    cache.restored = false;
    const auto &address = cache.peer.identity;
    if (was_restored)
        out.events.push_back({EventKind::confirmed, address, {}});

    const bool was_settling = settling_;
    // Usually nothing has changed, and all members' views are much to look through each time.
    const bool routers_changed = (!same_view || was_settling) && update_routers();
    if (was_settling && settled()) {
        update_routers();
        const bool same = restored_routers_.empty() || restored_routers_ == routers_;
        restored_routers_.clear();
        if (!same)
            bump();
    }
    if (!was_usable) {
        cache.since = now_;
        cache.why.clear();
        bump();
        out.events.push_back({EventKind::service_found, address, {}});
    } else if (routers_changed && !was_settling) {
        bump();
        out.events.push_back(
            {EventKind::view_changed, address, std::to_string(routers_.size()) + " routers"});
    }
}

void RouterGroup::let_go(Cache &cache, CacheStatus status, const std::string &why, Output &out)
{
    const bool is_new = cache.status != status || cache.why != why;
    const auto state = status == CacheStatus::shutting_down ? State::leaving : State::unusable;
    cache.status = status;
    cache.why = why;
    if (cache.usable())
        remove(cache, state, why, out);
    cache.state = state;
    if (is_new)
        out.events.push_back(
            {state == State::leaving ? EventKind::shutdown : EventKind::cache_refused,
             cache.peer.identity, why});
}

// Weight, status and what else a cache says of itself, in whatever form.
void RouterGroup::read_identity(const Message &message, const Addresses &addresses, Cache &cache)
{
    const auto weight = cache.weight;
    const auto from_hash = [&](const HashData &data) {
        cache.initial = data.buckets;
        cache.weight = data.weight;
    };
    const auto from_mask = [&](const MaskData &data) {
        cache.own_mask = first_mask(data.sets, addresses);
        cache.weight = data.weight;
    };
    const auto &data = message.find<CacheIdentity>()->cache.data;
    if (const auto *hash = std::get_if<HashData>(&data)) {
        from_hash(*hash);
    } else if (const auto *mask = std::get_if<MaskData>(&data)) {
        from_mask(*mask);
    } else if (const auto *extended = std::get_if<ExtendedData>(&data)) {
        if (const auto *inner = std::get_if<HashData>(&extended->data))
            from_hash(*inner);
        else if (const auto *values = std::get_if<MaskData>(&extended->data))
            from_mask(*values);
        else if (const auto *alternate = std::get_if<AltMaskData>(&extended->data))
            cache.weight = alternate->weight;
        else if (const auto *only = std::get_if<WeightStatus>(&extended->data))
            cache.weight = *only;
    }
    changed_ = changed_ || (cache.usable() && cache.weight.weight != weight.weight);
}

bool RouterGroup::answer(Peer &peer, const Cache *cache, Output &out)
{
    const bool proven = cache && cache->peer.heard == now_ && !cache->restored;
    const bool known = cache || contacts_.find(peer.source, peer.identity);
    if (proven ? !peer.member_rate.take(now_, config_.member_rate)
               : !peer.rate.take(now_, config_.source_rate))
        return false;
    // Only those that nobody vouches for share the total; or they could keep members out.
    if (!(cache && cache->usable()) && !proven && !total_rate_.take(now_, config_.total_rate))
        return false;
    ++peer.answers;
    if (peer.multicast) {
        if (pending_.size() >= max_pending && !known)
            return false;
        pending_.emplace(peer.source, peer.identity);
        if (!multicast_at_)
            multicast_at_ = now_ + multicast_interval();
        return true;
    }
    Speech speech;
    speech.to = peer.source;
    speech.sent_to = peer.sent_to;
    speech.minor = answer_minor(config_.max_minor, peer.minor, peer.minimum_version);
    speech.form = peer.form;
    speech.service = service_.value_or(peer.service);
    speech.received_from = {peer.identity};
    speech.full = cache && (cache->usable() || proven);
    speech.filler = config_.squid_filler == SquidFiller::on || peer.filler;
    if (cache && cache->usable())
        speech.agreed = cache->agreed;
    if (cache && cache->state == State::leaving)
        speech.shut_down = {peer.identity};
    peer.sent(next_receive_id());
    out.datagrams.push_back(
        {peer.sent_to, peer.source, peer.port, false, i_see_you(speech, peer.receive_id)});
    ++counters_.i_see_you;
    return true;
}

} // namespace wlb::wccp
