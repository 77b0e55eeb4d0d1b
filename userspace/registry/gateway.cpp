// SPDX-License-Identifier: GPL-2.0-only
#include "registry/gateway.h"

#include <algorithm>

namespace wlb::registry {

namespace {

bool permits(const GatewayOrigin &origin, const Address &address)
{
    return std::find(origin.servers.begin(), origin.servers.end(), address) ==
               origin.servers.end() &&
           origin.servers.front().is_ipv6() == address.is_ipv6() &&
           (origin.any ||
            std::any_of(origin.permitted.begin(), origin.permitted.end(),
                        [&](const auto &prefix) { return prefix.contains(address); }));
}

const Replica *configured_in(const GatewayOrigin &origin, const Address &address)
{
    for (const auto &replica : origin.configured)
        if (replica.address == address)
            return &replica;
    return nullptr;
}

template <class T> bool overlap(const std::vector<T> &left, const std::vector<T> &right)
{
    return std::any_of(left.begin(), left.end(), [&](const T &item) {
        return std::find(right.begin(), right.end(), item) != right.end();
    });
}

Via first_via(const ServedOrigin &served)
{
    return *served.vias.begin();
}

std::string why_not(const ServedOrigin &served)
{
    return text(served.state);
}

} // namespace

const char *text(GatewayEvent::Kind kind)
{
    return kind == GatewayEvent::registered ? "registered" : "removed";
}

Gateway::Gateway(GatewayConfig config, std::uint64_t boot, Random random)
    : config_(std::move(config)), boot_(boot), random_(std::move(random))
{
}

bool Gateway::is_configured(const Address &address) const
{
    return std::any_of(config_.origins.begin(), config_.origins.end(), [&](const auto &origin) {
        return configured_in(origin, address) != nullptr;
    });
}

bool Gateway::may_speak(const Address &address) const
{
    return std::any_of(config_.origins.begin(), config_.origins.end(),
                       [&](const auto &origin) { return permits(origin, address); });
}

// Replicas of the configuration may register without saying so first.
void Gateway::meet_configured(Time now)
{
    for (const auto &origin : config_.origins)
        for (const auto &replica : origin.configured) {
            if (!permits(origin, replica.address) || peers_.contains(replica.address))
                continue;
            auto &peer = peers_[replica.address];
            peer.port = config_.port;
            peer.known = now;
            peer.next_ask = now;
        }
}

void Gateway::take_over(Time now, const Tables &set)
{
    meet_configured(now);
    for (const auto &origin : config_.origins) {
        const auto left = set.find(origin.name);
        if (left == set.end())
            continue;
        for (const auto &replica : left->second) {
            const auto *own = configured_in(origin, replica.address);
            if (!permits(origin, replica.address) || (own != nullptr && *own == replica))
                continue;
            auto &peer = peers_[replica.address];
            if (peer.port == 0) {
                peer.port = config_.port;
                peer.known = now;
                peer.next_ask = now;
            }
            peer.set_delay(replica.delay);
            auto &offer = peer.offers[origin.name];
            offer.via = replica.via;
            offer.standing.keep();
        }
        // One of the configuration that is not there had registered, and gone.
        for (const auto &own : origin.configured) {
            const auto there = [&](const auto &other) { return other.address == own.address; };
            const auto peer = peers_.find(own.address);
            if (peer != peers_.end() &&
                std::none_of(left->second.begin(), left->second.end(), there))
                peer->second.offers[origin.name].standing.die(now);
        }
        told_[origin.name] = left->second;
    }
}

GatewayOutput Gateway::start(Time now)
{
    meet_configured(now);
    return tick(now);
}

GatewayOutput Gateway::reconfigure(Time now, GatewayConfig config)
{
    const auto before = std::exchange(config_, std::move(config));
    for (auto i = peers_.begin(); i != peers_.end();) {
        auto &[address, peer] = *i;
        std::erase_if(peer.offers, [&, &at = address](const auto &entry) {
            const auto same = [&](const auto &origin) { return origin.name == entry.first; };
            const auto now_it = std::find_if(config_.origins.begin(), config_.origins.end(), same);
            return now_it == config_.origins.end() || !permits(*now_it, at);
        });
        // A shorter interval is one from now on.
        peer.next_ask = std::min(peer.next_ask, now + config_.interval);
        i = may_speak(address) ? std::next(i) : peers_.erase(i);
    }
    std::erase_if(told_, [&](const auto &entry) {
        return std::none_of(config_.origins.begin(), config_.origins.end(),
                            [&](const auto &origin) { return origin.name == entry.first; });
    });
    return start(now);
}

GatewayOutput Gateway::receive(Time now, const wccp::Datagram &datagram)
{
    const auto opened = open(datagram.octets, config_.keys, Side::replica);
    if (const auto *message = std::get_if<Message>(&opened))
        return receive(now, datagram, *message);
    count(std::get<Refusal>(opened));
    return {};
}

GatewayOutput Gateway::receive(Time now, const wccp::Datagram &datagram, const Message &message)
{
    GatewayOutput out;
    if (!may_speak(datagram.from)) {
        count(Refusal::stranger);
        return out;
    }
    if (const auto *hello = std::get_if<Hello>(&message.body))
        hear(now, datagram, *hello, out);
    else if (const auto *state = std::get_if<State>(&message.body))
        hear(now, datagram, message, *state, out);
    return finish(std::move(out));
}

void Gateway::hear(Time now, const wccp::Datagram &datagram, const Hello &hello, GatewayOutput &out)
{
    if (hello.address != datagram.from) {
        count(Refusal::other_address);
        return;
    }
    auto found = peers_.find(datagram.from);
    if (found == peers_.end()) {
        if (peers_.size() >= most_peers) {
            count(Refusal::full);
            return;
        }
        found = peers_.emplace(datagram.from, Peer()).first;
        found->second.known = now;
        found->second.next_ask = now + config_.interval;
    }
    auto &peer = found->second;
    if (peer.hurried && now - *peer.hurried < std::min(hurry, config_.interval / 4)) {
        count(Refusal::too_often);
        return;
    }
    peer.hurried = now;
    ++counters_.hello;
    // Where it is found is believed once it answers from there; until then so much at least
    // is sure that nobody else is asked there in its place.
    if (!peer.heard || peer.unanswered() > 0 || peer.port == datagram.from_port) {
        peer.port = datagram.from_port;
        peer.local = datagram.to;
    }
    ask(now, datagram.from, peer, false, out);
}

void Gateway::hear(Time now, const wccp::Datagram &datagram, const Message &message,
                   const State &state, GatewayOutput &out)
{
    if (state.address != datagram.from) {
        count(Refusal::other_address);
        return;
    }
    const auto found = peers_.find(datagram.from);
    if (found == peers_.end()) {
        count(Refusal::stale);
        return;
    }
    auto &[address, peer] = *found;
    auto next = peer;
    const bool newer = next.advance(message.boot, message.sequence);
    const auto answer = next.answered(now, state.challenge, config_.interval);
    if (!newer || !answer) {
        count(newer ? Refusal::stale : Refusal::replayed);
        return;
    }
    peer = std::move(next);
    ++counters_.state;
    const auto in = [](const auto &entry) { return entry.second.standing.in(); };
    const bool first = !peer.heard || std::none_of(peer.offers.begin(), peer.offers.end(), in);
    peer.measured(now, answer->took, first);
    peer.heard = now;
    peer.lifetime = std::chrono::milliseconds(state.lifetime);
    peer.name = state.name;
    peer.port = datagram.from_port;
    peer.local = datagram.to;
    take_origins(now, address, peer, state, answer->punctual, out);
}

void Gateway::take_origins(Time now, const Address &address, Peer &peer, const State &state,
                           bool punctual, GatewayOutput &out)
{
    std::map<std::string, const ServedOrigin *> served;
    for (const auto &one : state.origins) {
        bool known = false;
        bool permitted = false;
        for (const auto &origin : config_.origins) {
            if (!overlap(origin.servers, one.servers) || !overlap(origin.ports, one.ports))
                continue;
            known = true;
            if (!permits(origin, address))
                continue;
            permitted = true;
            served.emplace(origin.name, &one);
        }
        if (!permitted)
            count(known ? Refusal::not_permitted : Refusal::unknown_origin);
    }
    for (auto i = peer.offers.begin(); i != peer.offers.end();) {
        const bool gone = !served.contains(i->first);
        if (gone && i->second.standing.in())
            out.events.push_back({GatewayEvent::removed, i->first, address, "not served any more"});
        i = gone ? peer.offers.erase(i) : std::next(i);
    }
    for (const auto &[name, one] : served) {
        auto &offer = peer.offers[name];
        const bool was_in = offer.standing.in();
        offer.via = first_via(*one);
        offer.weight = one->weight;
        offer.returns = one->returns;
        offer.standing.hear(now, one->state, punctual, config_.rise,
                            busy_patience * config_.interval);
        if (offer.standing.in() != was_in)
            out.events.push_back({was_in ? GatewayEvent::removed : GatewayEvent::registered, name,
                                  address, was_in ? why_not(*one) : ""});
    }
}

void Gateway::ask(Time now, const Address &address, Peer &peer, bool in_turn, GatewayOutput &out)
{
    Ask ask;
    random_(ask.challenge.data(), ask.challenge.size());
    ask.interval = static_cast<std::uint32_t>(
        std::chrono::duration_cast<milliseconds>(config_.interval).count());
    const auto &key = config_.keys.first();
    wccp::Outgoing datagram;
    datagram.from = address.is_ipv6() == peer.local.is_ipv6()
                        ? peer.local
                        : *Address::from_bytes(std::array<std::uint8_t, 16>{}.data(), 16);
    datagram.to = address;
    datagram.to_port = peer.port;
    datagram.octets = seal({key.id, boot_, ++sequence_, ask}, key);
    peer.asked(now, ask.challenge, in_turn);
    ++counters_.ask;
    out.datagrams.push_back(std::move(datagram));
}

// It does not answer: nobody is cloned to who may be gone.
void Gateway::lose(Time now, const Address &address, Peer &peer, GatewayOutput &out)
{
    for (auto i = peer.offers.begin(); i != peer.offers.end();) {
        auto &standing = i->second.standing;
        const bool was_in = standing.in();
        // Of a replica of the configuration nobody knows whether it had ever registered.
        const bool forget = standing.kept() && is_configured(address) && !peer.heard;
        standing.die(now);
        if (was_in && !forget)
            out.events.push_back({GatewayEvent::removed, i->first, address, "does not answer"});
        i = forget ? peer.offers.erase(i) : std::next(i);
    }
}

GatewayOutput Gateway::tick(Time now)
{
    GatewayOutput out;
    // While it was asleep for longer it has not asked: that was nobody's silence.
    const auto due = next_deadline();
    if (due && now - *due > config_.interval)
        for (auto &[address, peer] : peers_)
            peer.wait_longer(now, now - *due);
    for (auto i = peers_.begin(); i != peers_.end();) {
        auto &[address, peer] = *i;
        const bool expired = peer.heard && now - *peer.heard >= peer.lifetime;
        if (peer.look(now, config_.interval) || expired)
            lose(now, address, peer, out);
        const bool silent = peer.unanswered() >= Peer::patience;
        if (silent && !is_configured(address) &&
            (!peer.heard || now - *peer.heard >= Standing::memory)) {
            i = peers_.erase(i);
            continue;
        }
        if (peer.next_ask <= now) {
            // Whoever was asleep for long does not catch up.
            peer.next_ask = std::max(peer.next_ask + config_.interval, now + config_.interval / 2);
            ask(now, address, peer, true, out);
        }
        ++i;
    }
    return finish(std::move(out));
}

std::optional<Time> Gateway::next_deadline() const
{
    std::optional<Time> next;
    const auto sooner = [&](Time time) { next = std::min(next.value_or(Time::max()), time); };
    for (const auto &[address, peer] : peers_) {
        sooner(peer.next_ask);
        if (const auto look = peer.next_look(config_.interval))
            sooner(*look);
    }
    return next;
}

std::vector<Replica> Gateway::table(const GatewayOrigin &origin) const
{
    std::vector<Replica> table;
    const auto offer_of = [&](const Peer &peer) -> const Offer * {
        const auto found = peer.offers.find(origin.name);
        return found == peer.offers.end() ? nullptr : &found->second;
    };
    for (const auto &replica : origin.configured) {
        const auto peer = peers_.find(replica.address);
        const auto *offer = peer == peers_.end() ? nullptr : offer_of(peer->second);
        if (offer == nullptr)
            table.push_back(replica);
        else if (offer->standing.in())
            table.push_back({replica.address, replica.via, peer->second.delay()});
    }
    std::vector<std::pair<const Offer *, Replica>> registered;
    for (const auto &[address, peer] : peers_)
        if (const auto *offer = offer_of(peer);
            offer != nullptr && offer->standing.in() && configured_in(origin, address) == nullptr)
            registered.emplace_back(offer, Replica{address, offer->via, peer.delay()});
    std::stable_sort(registered.begin(), registered.end(), [](const auto &a, const auto &b) {
        return a.first->weight > b.first->weight;
    });
    const auto room = std::min<std::size_t>(
        origin.max, WLB_MAX_REPLICAS - std::min<std::size_t>(table.size(), WLB_MAX_REPLICAS));
    registered.resize(std::min(registered.size(), room));
    // In an order that does not depend on weights that move.
    std::sort(registered.begin(), registered.end(),
              [](const auto &a, const auto &b) { return a.second.address < b.second.address; });
    for (const auto &[offer, replica] : registered)
        table.push_back(replica);
    return table;
}

Tables Gateway::tables() const
{
    Tables tables;
    for (const auto &origin : config_.origins)
        tables[origin.name] = table(origin);
    return tables;
}

GatewayOutput Gateway::finish(GatewayOutput out)
{
    for (auto &[name, wanted] : tables()) {
        const auto told = told_.find(name);
        if (told != told_.end() && told->second == wanted)
            continue;
        told_[name] = wanted;
        out.tables[name] = std::move(wanted);
        ++counters_.tables;
    }
    return out;
}

std::vector<ReplicaReport> Gateway::report(Time now) const
{
    std::vector<ReplicaReport> list;
    for (const auto &origin : config_.origins) {
        const auto in_force = table(origin);
        const auto is_in = [&](const Address &address) {
            return std::any_of(in_force.begin(), in_force.end(),
                               [&](const auto &replica) { return replica.address == address; });
        };
        for (const auto &replica : origin.configured)
            if (const auto peer = peers_.find(replica.address);
                peer == peers_.end() || !peer->second.offers.contains(origin.name)) {
                ReplicaReport report;
                report.origin = origin.name;
                report.address = replica.address;
                report.configured = true;
                report.in = is_in(replica.address);
                report.via = replica.via;
                report.delay = replica.delay;
                list.push_back(report);
            }
        for (const auto &[address, peer] : peers_) {
            const auto found = peer.offers.find(origin.name);
            if (found == peer.offers.end())
                continue;
            const auto &offer = found->second;
            ReplicaReport report;
            report.origin = origin.name;
            report.address = address;
            report.name = peer.name;
            report.configured = configured_in(origin, address) != nullptr;
            report.registered = true;
            report.in = is_in(address);
            report.state = offer.standing.state();
            report.round_trip = peer.round_trip();
            report.samples = peer.samples();
            report.delay = peer.delay();
            report.via = offer.via;
            report.returns = offer.returns;
            report.weight = offer.weight;
            if (peer.heard)
                report.silent = now - *peer.heard;
            report.unanswered = peer.unanswered();
            report.answers = offer.standing.answers();
            report.needed = offer.standing.needed(now, config_.rise);
            report.deaths = offer.standing.deaths();
            list.push_back(report);
        }
    }
    return list;
}

} // namespace wlb::registry
