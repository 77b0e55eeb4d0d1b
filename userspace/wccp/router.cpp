// SPDX-License-Identifier: GPL-2.0-only
// Members, timers and tables; hello.cpp, assign.cpp and speak.cpp have the messages.
#include "wccp/router.h"

#include <algorithm>

#include "wccp/codec.h"

namespace wlb::wccp {
namespace {

constexpr Duration kick_interval{60000};
constexpr Duration settle_time{5000};
constexpr std::size_t max_historical = 64;

} // namespace

bool GroupConfig::allows(const Address &source) const
{
    return allow_any || contains(group_list, source);
}

RouterGroup::RouterGroup(GroupConfig config, std::uint64_t seed)
    : config_(std::move(config)), random_(seed),
      receive_id_(static_cast<std::uint32_t>(random_()) | 1U),
      change_number_(static_cast<std::uint32_t>(random_()) | 1U)
{
    key_.address = unspecified(config_.is_ipv6());
}

void RouterGroup::restore(Time now, const Assignment &assignment)
{
    now_ = now;
    deadline_known_ = false;
    change_number_ = assignment.change_number ? assignment.change_number : change_number_;
    if (assignment.members.empty())
        return;
    service_ = assignment.service;
    fixed_ = Fixed{assignment.method, assignment.timers};
    std::vector<Address> addresses;
    for (const auto &member : assignment.members) {
        addresses.push_back(member.address);
        Cache cache;
        cache.peer.source = cache.peer.identity = member.address;
        cache.peer.sent_to = unspecified(config_.is_ipv6());
        cache.peer.service = assignment.service;
        cache.peer.heard = cache.since = now;
        cache.state = State::usable;
        cache.agreed = {member.forwarding, member.packet_return, assignment.method,
                        assignment.timers};
        cache.weight.weight = member.weight;
        cache.restored = true;
        caches_.emplace(member.address, std::move(cache));
    }
    table_ = assignment.method == Method::hash ? Table::of_buckets(addresses, assignment.buckets)
                                               : Table::of_sets(addresses, assignment.sets);
    key_ = assignment.key;
    restored_routers_.insert(assignment.routers.begin(), assignment.routers.end());
    routers_ = restored_routers_;
    settling_ = true;
    settle_until_ = now + settle_time;
    if (table_.empty())
        await_assignment();
}

void RouterGroup::advance(Time now)
{
    now_ = std::max(now_, now);
    deadline_known_ = false;
}

Output RouterGroup::receive(Time now, const Datagram &datagram)
{
    advance(now);
    Output out;
    if (const auto refused = take(datagram, out))
        ++counters_.refused[static_cast<std::size_t>(*refused)];
    finish(out);
    return out;
}

RouterGroup::Refused RouterGroup::take(const Datagram &datagram, Output &out)
{
    const auto header = parse_header(datagram.octets);
    if (!header)
        return Refusal::header;
    if (header->type != MessageType::here_i_am && header->type != MessageType::redirect_assign)
        return Refusal::not_for_router;
    const auto service = peek_service(datagram.octets);
    if (!service)
        return Refusal::malformed;
    if (service->type != config_.service_type || service->id != config_.service_id)
        return Refusal::other_service;
    if (datagram.from.is_ipv6() != config_.is_ipv6() || !datagram.from.is_host())
        return Refusal::family;
    if (!datagram.to.is_host() && datagram.to != config_.group_address)
        return Refusal::destination;
    if (!config_.allows(datagram.from))
        return Refusal::group_list;

    const auto authentication =
        authenticate(message_of(datagram.octets), config_.password, config_.md5_squid);
    if (authentication.verdict == Verdict::malformed)
        return Refusal::malformed;
    if (authentication.verdict != Verdict::authentic)
        return Refusal::authentication;
    const auto message = parse(datagram.octets);
    if (!message)
        return Refusal::malformed;
    const auto addresses = Addresses::of(*message);
    if (!addresses)
        return Refusal::malformed;
    if (addresses->is_ipv6() != config_.is_ipv6())
        return Refusal::family;
    if (header->type == MessageType::here_i_am)
        return here_i_am(datagram, *message, *addresses, authentication.form, out);
    return redirect_assign(datagram, *message, *addresses, out);
}

// The table for the data path, once for all that has happened.
void RouterGroup::finish(Output &out)
{
    if (changed_)
        out.assignment = assignment();
    changed_ = false;
}

Assignment RouterGroup::assignment() const
{
    Assignment result;
    result.service.type = config_.service_type;
    result.service.id = config_.service_id;
    result.buckets.fill(WLB_WCCP_BUCKET_NONE);
    result.key = key_;
    result.change_number = change_number_;
    result.timers = timers();
    result.routers.assign(routers_.begin(), routers_.end());
    if (service_)
        result.service = *service_;
    if (fixed_)
        result.method = fixed_->method;
    for (const auto &[address, cache] : caches_) {
        if (cache.usable())
            result.members.push_back({address, cache.agreed.forwarding, cache.agreed.packet_return,
                                      cache.weight.weight});
    }
    table_.write(result);
    return result;
}

// The membership has changed: a new number, and time for a cache to assign anew.
void RouterGroup::bump()
{
    change_number_ = next_number(change_number_);
    changed_ = true;
    await_assignment();
}

void RouterGroup::await_assignment()
{
    flush_at_ = now_ + timers().flush();
    if (config_.assignment_fallback.count() > 0)
        fallback_at_ = now_ + config_.assignment_fallback;
}

std::uint32_t RouterGroup::next_receive_id()
{
    receive_id_ = next_number(receive_id_);
    return receive_id_;
}

std::size_t RouterGroup::usable_caches() const
{
    return static_cast<std::size_t>(std::count_if(
        caches_.begin(), caches_.end(), [](const auto &entry) { return entry.second.usable(); }));
}

void RouterGroup::remember(const Table &table)
{
    if (table.method() != Method::hash)
        return;
    for (const auto &cache : table.caches()) {
        const auto vector = table.vector_of(cache);
        if (vector == BucketVector{})
            continue;
        if (historical_.size() >= max_historical && !historical_.contains(cache))
            historical_.erase(historical_.begin());
        historical_[cache] = vector;
    }
}

void RouterGroup::set_table(Table table, Key key)
{
    changed_ = changed_ || table != table_ || key != key_;
    remember(table_);
    table_ = std::move(table);
    key_ = key;
    flush_at_.reset();
    fallback_at_.reset();
}

void RouterGroup::flush()
{
    set_table({}, {unspecified(config_.is_ipv6()), 0});
    ++counters_.flushed;
}

// A usable cache goes; its part of the table is nobody's from now on.
void RouterGroup::remove(Cache &cache, State state, const std::string &reason, Output &out)
{
    cache.state = state;
    cache.restored = false;
    remember(table_);
    table_.purge(cache.peer.identity);
    out.events.push_back({EventKind::service_lost, cache.peer.identity, reason});
    changed_ = true;
    if (usable_caches() == 0) {
        clear_group();
        return;
    }
    settled();
    update_routers();
    bump();
}

// Without members there is nothing that a new one must agree with (R1 3.2, 3.5).
void RouterGroup::clear_group()
{
    change_number_ = next_number(change_number_);
    service_.reset();
    fixed_.reset();
    table_ = {};
    key_ = {unspecified(config_.is_ipv6()), 0};
    routers_.clear();
    restored_routers_.clear();
    settling_ = false;
    flush_at_.reset();
    fallback_at_.reset();
    assignment_refusal_.clear();
}

// The view's routers are those that usable caches hear (R1 5.3.2). True if they have changed.
bool RouterGroup::update_routers()
{
    std::set<Address> routers;
    for (const auto &[address, cache] : caches_) {
        if (cache.usable())
            routers.insert(cache.routers.begin(), cache.routers.end());
    }
    if (settling_) // what those that are still to be heard have told before
        routers.insert(routers_.begin(), routers_.end());
    while (routers.size() > max_routers)
        routers.erase(std::prev(routers.end()));
    if (routers == routers_)
        return false;
    routers_ = std::move(routers);
    changed_ = true;
    return true;
}

// Whether the routers are known: after a takeover not until every member was heard or lost.
bool RouterGroup::settled()
{
    settling_ = settling_ && std::any_of(caches_.begin(), caches_.end(),
                                         [](const auto &entry) { return entry.second.restored; });
    return !settling_;
}

// When it is lost, unless it is heard before. With the shortest timers 3 T are over before a router
// that took the group over has answered twice.
Time RouterGroup::gone_at(const Cache &cache) const
{
    const auto silent = cache.peer.heard + timers().remove();
    return cache.restored ? std::max(silent, settle_until_) : silent;
}

std::optional<Time> RouterGroup::next_deadline() const
{
    if (!deadline_known_)
        deadline_ = earliest();
    deadline_known_ = true;
    return deadline_;
}

std::optional<Time> RouterGroup::earliest() const
{
    std::optional<Time> first;
    const auto consider = [&](Time time) { first = first ? std::min(*first, time) : time; };
    for (const auto &[address, cache] : caches_) {
        const bool asked = cache.state != State::usable;
        consider(asked ? gone_at(cache) : cache.peer.heard + timers().query());
    }
    for (const auto &time : {flush_at_, fallback_at_, multicast_at_}) {
        if (time)
            consider(*time);
    }
    return first;
}

Output RouterGroup::tick(Time now)
{
    advance(now);
    Output out;
    const auto due = earliest();
    if (due && now_ - *due > timers().transmit) {
        for (auto &[address, cache] : caches_)
            cache.peer.heard = std::min(now_, cache.peer.heard + (now_ - *due));
    }
    // One by one, because the last usable one's end changes the timers for the others.
    std::vector<Address> addresses;
    for (const auto &[address, cache] : caches_)
        addresses.push_back(address);
    for (const auto &address : addresses) {
        auto &cache = caches_.at(address);
        const auto silent = now_ - cache.peer.heard;
        if (now_ >= gone_at(cache)) {
            if (cache.usable())
                remove(cache, State::unusable,
                       "silent for " + std::to_string(silent.count()) + " ms", out);
            // A late answer to the last message still counts.
            counters_.evicted += contacts_.put(cache.peer);
            caches_.erase(address);
        } else if (cache.state == State::usable && silent >= timers().query()) {
            ask(cache, out);
        }
    }
    if (flush_at_ && now_ >= *flush_at_) {
        if (!table_.empty() || key_.number != 0) {
            flush();
            out.events.push_back({EventKind::flushed, key_.address, "no assignment in time"});
        }
        flush_at_.reset();
        if (config_.reassign_kick && usable_caches() > 0) {
            if (now_ >= kick_after_) {
                bump();
                kick_after_ = now_ + kick_interval;
                ++counters_.kicked;
                out.events.push_back({EventKind::kicked, {}, "no assignment in time"});
            } else {
                flush_at_ = kick_after_;
            }
        }
    }
    if (fallback_at_ && now_ >= *fallback_at_)
        assign_fallback(out);
    if (multicast_at_ && now_ >= *multicast_at_)
        multicast(out);
    finish(out);
    return out;
}

Result<Output> RouterGroup::reconfigure(Time now, GroupConfig config)
{
    if (config.service_type != config_.service_type || config.service_id != config_.service_id ||
        config.is_ipv6() != config_.is_ipv6())
        return Error{"another service or address family is another group"};
    advance(now);
    Output out;
    const auto old_id = config_.router_id;
    config_ = std::move(config);
    if (old_id != config_.router_id) {
        // Members list us as we were; they will learn who we are from the next answer.
        for (auto &[address, cache] : caches_) {
            if (cache.routers.erase(old_id) > 0)
                cache.routers.insert(config_.router_id);
        }
        if (routers_.erase(old_id) > 0) {
            routers_.insert(config_.router_id);
            update_routers();
            bump();
        }
    }
    std::vector<Address> excluded;
    for (const auto &[address, cache] : caches_) {
        if (!config_.allows(cache.peer.source))
            excluded.push_back(address);
    }
    for (const auto &address : excluded) {
        auto &cache = caches_.at(address);
        if (cache.usable())
            remove(cache, State::unusable, "not in the group list any more", out);
        caches_.erase(address);
    }
    if (!config_.group_address)
        multicast_at_.reset();
    if (config_.assignment_fallback.count() == 0)
        fallback_at_.reset();
    else if (flush_at_ && !fallback_at_)
        fallback_at_ = now_ + config_.assignment_fallback;
    finish(out);
    return out;
}

} // namespace wlb::wccp
