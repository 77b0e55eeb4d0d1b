// SPDX-License-Identifier: GPL-2.0-only
// The designated cache: who it is, and what it assigns when (R1 3.8 to 3.10).
#include "wccp/cache.h"
#include "wccp/mask_list.h"

namespace wlb::wccp {
namespace {

constexpr unsigned longest_wait = 3; // waits for changes that do not end

} // namespace

std::set<Address> CacheGroup::seen_by_all() const
{
    std::set<Address> all;
    bool first = true;
    for (const auto &[id, router] : routers_) {
        if (!router.refused.empty())
            continue;
        const auto &caches = router.caches;
        if (first) {
            for (const auto &[cache, seen] : caches)
                all.insert(cache);
        }
        std::erase_if(all, [&](const auto &cache) { return !caches.contains(cache); });
        first = false;
    }
    return all;
}

// Why this cache cannot be the designated one, whoever else may: it must be heard by all
// routers and hear all that any of them tells of.
std::string CacheGroup::ineligible() const
{
    if (phase_ != CachePhase::present)
        return "it is not in the group";
    bool any = false;
    for (const auto &[id, router] : routers_) {
        if (!router.refused.empty())
            continue;
        any = true;
        if (!router.listed)
            return id.text() + " does not count it";
        for (const auto &other : router.routers) {
            const auto known = routers_.find(other);
            if (known == routers_.end() || !known->second.refused.empty())
                return "it does not hear " + other.text() + ", which " + id.text() + " tells of";
        }
    }
    return any ? "" : "no router is heard";
}

bool CacheGroup::is_designated() const
{
    const auto all = seen_by_all();
    return !all.empty() && *all.begin() == config_.address && ineligible().empty() && !yields();
}

// Another member has assigned everything, and everybody has something.
bool CacheGroup::yields() const
{
    if (!config_.yield || routers_.empty())
        return false;
    const auto all = seen_by_all();
    const auto &key = routers_.begin()->second.key;
    if (key.number == 0 || key.address == config_.address || !all.contains(key.address))
        return false;
    return std::all_of(routers_.begin(), routers_.end(), [&](const auto &entry) {
        const auto &router = entry.second;
        std::size_t needed = WLB_WCCP_BUCKETS;
        if (router.map && !router.map->sets().empty())
            needed = std::size_t{1} << wlb_wccp_mask_bits(&router.map->sets().front().mask,
                                                          addr_len_of(config_.is_ipv6()));
        for (const auto &cache : all) {
            const auto share = share_of(router, cache);
            needed -= std::min(needed, share);
            if (share == 0)
                return false;
        }
        return router.key == key && needed == 0;
    });
}

bool CacheGroup::reflected() const
{
    return key_.number != 0 &&
           std::all_of(routers_.begin(), routers_.end(), [&](const auto &entry) {
               return !entry.second.refused.empty() || entry.second.key == key_;
           });
}

std::map<Address, CacheGroup::Membership> CacheGroup::membership() const
{
    std::map<Address, Membership> result;
    for (const auto &[id, router] : routers_) {
        if (!router.refused.empty())
            continue;
        auto &to = result[id];
        to.change_number = router.change_number;
        to.routers = router.routers;
        for (const auto &[cache, seen] : router.caches)
            to.caches[cache] = seen.weight;
    }
    return result;
}

// Since when each cache is there. One that has buckets already was there before this cache
// looked; and where nobody has any, all begin at once.
void CacheGroup::watch_members()
{
    const auto all = seen_by_all();
    std::erase_if(joined_, [&](const auto &entry) { return !all.contains(entry.first); });
    const auto assigned = [&](const auto &is_meant) {
        return std::any_of(routers_.begin(), routers_.end(), [&](const auto &entry) {
            const auto &caches = entry.second.caches;
            return std::any_of(caches.begin(), caches.end(), [&](const auto &cache) {
                return is_meant(cache.first) && cache.second.assigned;
            });
        });
    };
    const bool forming = !assigned([](const Address &) { return true; });
    for (const auto &cache : all) {
        if (joined_.contains(cache))
            continue;
        const bool is_old = forming || assigned([&](const Address &a) { return a == cache; });
        joined_[cache] = is_old ? std::nullopt : std::optional(now_);
    }
}

// Another membership than before: an assignment is due when it has been the same for long
// enough, or has not stopped changing for too long.
void CacheGroup::note_change()
{
    if (phase_ != CachePhase::present)
        return;
    auto present = membership();
    if (present != members_) {
        members_ = std::move(present);
        assign_anew();
    } else if (!assign_at_ && !reflected() && is_designated()) {
        assign_at_ = now_ + agreed_.timers.transmit;
    }
}

void CacheGroup::assign_anew()
{
    const auto wait = agreed_.timers.transmit * agreed_.timers.assign_scale * 3 / 2;
    if (!changed_)
        changing_since_ = now_;
    changed_ = true;
    assign_at_ = std::min(now_ + wait, std::max(changing_since_ + wait * longest_wait, now_));
}

// Not while answers are under way, whose receive IDs an assignment would need.
bool CacheGroup::answers_under_way(Duration within)
{
    for (const auto &[to, target] : targets_) {
        if (target.unanswered > 0 && now_ - target.said_at < within && !routers_at(to).empty()) {
            assign_at_ = target.said_at + within;
            return true;
        }
    }
    return false;
}

void CacheGroup::assign(CacheOutput &out)
{
    if (grow_at_ && now_ >= *grow_at_) {
        grow_at_.reset();
        changed_ = true;
        assign_at_ = std::min(assign_at_.value_or(now_), now_);
    }
    if (!assign_at_ || now_ < *assign_at_ || answers_under_way(agreed_.timers.transmit / 4))
        return;
    assign_at_.reset();
    if (!is_designated()) {
        changed_ = false;
        return;
    }
    if (changed_) {
        if (key_.number == 0 || std::none_of(routers_.begin(), routers_.end(), [&](const auto &r) {
                return r.second.key.address == config_.address;
            }))
            out.events.push_back({CacheEventKind::designated, {}, {}});
        allocate_all();
        key_number_ = next_number(key_number_);
        key_ = {config_.address, key_number_};
        ++counters_.assignments;
        changed_ = false;
        out.events.push_back(
            {CacheEventKind::assigned, {}, "number " + std::to_string(key_number_)});
    } else if (reflected()) {
        return;
    }
    const auto octets = redirect_assign();
    for (const auto &[to, target] : targets_) {
        const auto routers = routers_at(to);
        if (std::any_of(routers.begin(), routers.end(),
                        [](const Router *router) { return router->refused.empty(); }))
            send(to, octets, out);
    }
    ++counters_.redirect_assign;
    assign_at_ = now_ + agreed_.timers.transmit; // until every router reflects it
}

} // namespace wlb::wccp
