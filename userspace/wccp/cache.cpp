// SPDX-License-Identifier: GPL-2.0-only
// When a cache says what, and to whom. cache_hear.cpp and cache_say.cpp have the messages,
// designated.cpp has the assignments.
#include "wccp/cache.h"

#include "wccp/mask_list.h"

namespace wlb::wccp {
namespace {

constexpr unsigned patient = 3;          // intervals until a silent router is lost, or leaving ends
constexpr unsigned bursts = 3;           // HERE_I_AMs that answer a query (D01 4.13)
constexpr unsigned tries = 6;            // at half the interval (R1 3.15)
constexpr Duration refused_again{60000}; // for a router whose offer does not do

} // namespace

CacheGroup::CacheGroup(CacheConfig config, std::uint64_t seed)
    : config_(std::move(config)), key_number_(static_cast<std::uint32_t>(seed ^ seed >> 32))
{
    key_.address = unspecified(config_.is_ipv6());
    agreed_ = common({}, config_, {}).agreed;
}

CacheOutput CacheGroup::start(Time now)
{
    advance(now);
    CacheOutput out;
    started_ = true;
    want(out);
    return out;
}

CacheOutput CacheGroup::leave(Time now)
{
    advance(now);
    CacheOutput out;
    started_ = false;
    want(out);
    return out;
}

CacheOutput CacheGroup::set_usable(Time now, bool usable)
{
    advance(now);
    CacheOutput out;
    usable_ = usable;
    want(out);
    return out;
}

CacheOutput CacheGroup::set_weight(Time now, std::uint16_t weight)
{
    advance(now);
    CacheOutput out;
    if (weight != config_.weight) {
        config_.weight = weight;
        for (auto &[to, target] : targets_)
            hasten(target, interval(to) / 10);
        note_change();
    }
    return out;
}

// To be in the group or not, as everything together says.
void CacheGroup::want(CacheOutput &out)
{
    const bool wanted = started_ && usable_ && config_.enabled;
    if (wanted && phase_ != CachePhase::present) {
        phase_ = CachePhase::present;
        make_targets();
        for (auto &[to, target] : targets_) {
            target.hello_at = now_;
            target.burst = 0;
        }
        for (auto &[id, router] : routers_)
            router.released = false;
        settle(out);
    } else if (!wanted && phase_ == CachePhase::present) {
        phase_ = CachePhase::leaving;
        leave_until_ = now_ + agreed_.timers.transmit * patient;
        assign_at_.reset();
        grow_at_.reset();
        for (auto &[to, target] : targets_) {
            target.hello_at = now_;
            target.burst = bursts;
        }
    }
    run(out);
}

void CacheGroup::make_targets()
{
    std::erase_if(targets_, [&](const auto &entry) {
        const auto &routers = config_.routers;
        return entry.first != config_.group_address &&
               std::find(routers.begin(), routers.end(), entry.first) == routers.end() &&
               !(entry.second.learned && config_.learn_routers && !config_.group_address);
    });
    const auto add = [&](const Address &to) {
        const auto [at, is_new] = targets_.try_emplace(to);
        at->second.learned = false;
        if (is_new)
            at->second.hello_at = now_;
    };
    for (const auto &router : config_.routers)
        add(router);
    if (config_.group_address)
        add(*config_.group_address);
}

void CacheGroup::go_silent(CacheOutput &out)
{
    const bool in_time = released();
    phase_ = CachePhase::silent;
    routers_.clear();
    targets_.clear();
    settle(out);
    agreed_ = common({}, config_, {}).agreed;
    members_.clear();
    joined_.clear();
    assign_at_.reset();
    grow_at_.reset();
    changed_ = false;
    has_ = false;
    out.events.push_back({CacheEventKind::left,
                          {},
                          in_time ? "every router knows" : "not every router has answered"});
}

// Whether nobody is left who may send us anything.
bool CacheGroup::released() const
{
    return std::all_of(routers_.begin(), routers_.end(), [](const auto &entry) {
        return entry.second.released || !entry.second.refused.empty();
    });
}

void CacheGroup::drop(const Address &id, const std::string &reason, CacheOutput &out)
{
    routers_.erase(id);
    ++counters_.routers_lost;
    out.events.push_back({CacheEventKind::router_lost, id, reason});
}

std::vector<const CacheGroup::Router *> CacheGroup::routers_at(const Address &to) const
{
    std::vector<const Router *> result;
    for (const auto &[id, router] : routers_) {
        if (router.sent_to == to)
            result.push_back(&router);
    }
    return result;
}

// Timers other than the default ones are for routers that have offered them; longer ones
// for those that count us already (R1 3.5.4).
Timers CacheGroup::timers_for(bool listed) const
{
    const Timers defaults;
    return listed || agreed_.timers.remove() < defaults.remove() ? agreed_.timers : defaults;
}

Duration CacheGroup::interval(const Address &to) const
{
    const auto routers = routers_at(to);
    if (routers.empty())
        return Timers{}.transmit;
    return timers_for(std::any_of(routers.begin(), routers.end(),
                                  [](const Router *router) { return router->listed; }))
        .transmit;
}

Duration CacheGroup::patience(const Router &router) const
{
    return timers_for(router.listed).remove();
}

bool CacheGroup::asks_again(const Address &to) const
{
    const auto routers = routers_at(to);
    return routers.size() == 1 && !routers[0]->multicast && common_minor(routers) > 0;
}

void CacheGroup::hasten(Target &target, Duration after) const
{
    target.hello_at = std::min(target.hello_at, std::max(now_, target.said_at + after));
}

// What follows from another set of routers, or from what they say.
void CacheGroup::settle(CacheOutput &out)
{
    if (phase_ == CachePhase::present)
        agree(out);
    // Learned routers that nobody tells of any more, or that are known by another address
    std::set<Address> told;
    for (const auto &[id, router] : routers_) {
        told.insert(router.routers.begin(), router.routers.end());
        if (router.sent_to == id)
            told.insert(id);
    }
    std::erase_if(targets_, [&](const auto &entry) {
        const auto known = routers_.find(entry.first);
        return entry.second.learned &&
               (!told.contains(entry.first) ||
                (known != routers_.end() && known->second.sent_to != entry.first));
    });

    std::set<Address> routers, caches;
    for (const auto &[id, router] : routers_) {
        if (!router.refused.empty())
            continue;
        routers.insert(id);
        for (const auto &[cache, seen] : router.caches)
            caches.insert(cache);
    }
    while (caches.size() > max_caches)
        caches.erase(std::prev(caches.end()));
    if (routers != view_routers_ || caches != view_caches_) {
        view_routers_ = std::move(routers);
        view_caches_ = std::move(caches);
        change_number_ = next_number(change_number_);
    }
    if (phase_ == CachePhase::present) {
        watch_members();
        note_change();
    }
}

void CacheGroup::agree(CacheOutput &out)
{
    std::vector<Offered> offers;
    bool joined = false;
    for (const bool listed : {true, false}) { // members first: what is agreed upon shall last
        for (const auto &[id, router] : routers_) {
            if (router.listed == listed)
                offers.push_back({id, router.offer});
        }
        joined = joined || (listed && !offers.empty());
    }
    const auto result = common(offers, config_, joined ? std::optional(agreed_) : std::nullopt);
    const bool other = result.agreed != agreed_;
    agreed_ = result.agreed;
    for (auto &[id, router] : routers_) {
        const auto refused = result.refused.find(id);
        const auto why = refused == result.refused.end() ? std::string{} : refused->second;
        const auto target = targets_.find(router.sent_to);
        if (!why.empty() && router.refused.empty()) {
            out.events.push_back({CacheEventKind::router_refused, id, why});
            if (target != targets_.end() && !router.multicast)
                target->second.hello_at = now_ + refused_again;
        } else if (target != targets_.end() &&
                   (other || (why.empty() && !router.refused.empty()))) {
            hasten(target->second, interval(router.sent_to) / 10);
        }
        router.refused = why;
    }
}

std::vector<Path> CacheGroup::paths() const
{
    std::vector<Path> result;
    for (const auto &[id, router] : routers_) {
        if (router.listed && router.refused.empty())
            result.push_back({id, router.source, agreed_.forwarding, agreed_.packet_return});
    }
    return result;
}

void CacheGroup::finish(CacheOutput &out)
{
    auto present = paths();
    if (present == told_)
        return;
    told_ = present;
    out.paths = std::move(present);
}

CacheOutput CacheGroup::receive(Time now, const Datagram &datagram)
{
    advance(now);
    CacheOutput out;
    if (const auto refused = take(datagram, out))
        ++counters_.refused[static_cast<std::size_t>(*refused)];
    finish(out);
    return out;
}

std::optional<Time> CacheGroup::next_deadline() const
{
    if (phase_ == CachePhase::silent)
        return {};
    std::optional<Time> first;
    const auto consider = [&](Time time) { first = first ? std::min(*first, time) : time; };
    for (const auto &[to, target] : targets_)
        consider(target.hello_at);
    for (const auto &[id, router] : routers_)
        consider(router.heard + patience(router));
    for (const auto &time : {assign_at_, grow_at_}) {
        if (time)
            consider(*time);
    }
    if (phase_ == CachePhase::leaving)
        consider(leave_until_);
    return first;
}

CacheOutput CacheGroup::tick(Time now)
{
    advance(now);
    CacheOutput out;
    const auto due = next_deadline();
    if (due && now_ - *due > agreed_.timers.transmit) {
        for (auto &[id, router] : routers_)
            router.heard = std::min(now_, router.heard + (now_ - *due));
    }
    run(out);
    return out;
}

void CacheGroup::run(CacheOutput &out)
{
    if (phase_ != CachePhase::silent) {
        std::vector<Address> lost;
        for (const auto &[id, router] : routers_) {
            if (now_ - router.heard >= patience(router))
                lost.push_back(id);
        }
        for (const auto &id : lost)
            drop(id, "silent for " + std::to_string((now_ - routers_.at(id).heard).count()) + " ms",
                 out);
        if (!lost.empty())
            settle(out);
        if (phase_ == CachePhase::leaving && (released() || now_ >= leave_until_))
            go_silent(out);
        for (auto &[to, target] : targets_) {
            if (now_ >= target.hello_at)
                say(to, target, out);
        }
        assign(out);
    }
    finish(out);
}

// One more HERE_I_AM, and when the next one follows.
void CacheGroup::say(const Address &to, Target &target, CacheOutput &out)
{
    const auto routers = routers_at(to);
    const bool none_left = std::all_of(routers.begin(), routers.end(), [](const Router *r) {
        return r->released || !r->refused.empty();
    });
    const bool refused = !routers.empty() && none_left && phase_ == CachePhase::present &&
                         to != config_.group_address;
    const auto every = interval(to);
    if (phase_ == CachePhase::present || !none_left) {
        send(to, here_i_am(to), out);
        ++counters_.here_i_am;
        ++target.unanswered;
    }
    target.said_at = now_;
    target.early = false;
    target.hello_at = now_ + every;
    if (target.burst > 0) {
        --target.burst;
        target.hello_at = now_ + every / 10;
    } else if (refused) {
        target.hello_at = now_ + refused_again;
    } else if (phase_ == CachePhase::present && target.unanswered < tries && asks_again(to)) {
        target.early = true;
        target.hello_at = now_ + every / 2;
    }
}

Result<CacheOutput> CacheGroup::reconfigure(Time now, CacheConfig config)
{
    if (config.address != config_.address)
        return Error{"another address is another cache"};
    if (config.service.type != config_.service.type || config.service.id != config_.service.id)
        return Error{"another service is another group"};
    if (auto status = validate(config); !status)
        return status.error();
    advance(now);
    CacheOutput out;
    const auto old_mask = mask();
    const bool other_shares = config.hot_buckets != config_.hot_buckets ||
                              config.specifications != config_.specifications ||
                              config.slow_start != config_.slow_start;
    config_ = std::move(config);
    if (phase_ == CachePhase::present && config_.enabled) {
        if (other_shares || !same_mask(old_mask, mask()))
            assign_anew();
        const auto before = targets_;
        make_targets();
        phase_ = CachePhase::leaving; // for those that are none any more
        for (const auto &[to, target] : before) {
            if (!targets_.contains(to) && !routers_at(to).empty())
                send(to, here_i_am(to), out);
        }
        phase_ = CachePhase::present;
        std::erase_if(routers_,
                      [&](const auto &entry) { return !targets_.contains(entry.second.sent_to); });
        for (auto &[to, target] : targets_)
            hasten(target, interval(to) / 10);
        settle(out);
    }
    want(out);
    return out;
}

} // namespace wlb::wccp
