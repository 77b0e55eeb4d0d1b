// SPDX-License-Identifier: GPL-2.0-only
// What a designated cache gives to whom.
#include "wccp/cache.h"
#include "wccp/mask_list.h"

namespace wlb::wccp {
namespace {

constexpr unsigned full_grown = 8; // eighths of a weight
constexpr std::size_t max_former = 64;

bool has_bucket(const BucketVector &buckets, std::size_t bucket)
{
    return (buckets[bucket / 8] >> bucket % 8 & 1U) != 0;
}

// Whether a value of `mask` and the traffic have packets in common.
bool meets(const wlb_wccp_mask &value, const wlb_wccp_mask &mask, const Traffic &traffic)
{
    const auto differ = [](unsigned a, unsigned b, unsigned ours, unsigned theirs) {
        return ((a ^ b) & ours & theirs) != 0;
    };
    const auto &[theirs, wanted] = traffic;
    for (std::size_t i = 0; i < sizeof(mask.src); ++i) {
        if (differ(value.src[i], wanted.src[i], mask.src[i], theirs.src[i]) ||
            differ(value.dst[i], wanted.dst[i], mask.dst[i], theirs.dst[i]))
            return false;
    }
    return !differ(value.sport, wanted.sport, mask.sport, theirs.sport) &&
           !differ(value.dport, wanted.dport, mask.dport, theirs.dport);
}

} // namespace

wlb_wccp_mask CacheGroup::mask() const
{
    return config_.mask.value_or(usual_mask(config_.service, addr_len_of(config_.is_ipv6())));
}

std::size_t CacheGroup::share_of(const Router &router, const Address &cache) const
{
    if (router.map)
        return router.map->share(cache);
    const auto seen = router.caches.find(cache);
    std::size_t share = 0;
    for (std::size_t i = 0; i < WLB_WCCP_BUCKETS && seen != router.caches.end(); ++i)
        share += seen->second.assigned && has_bucket(seen->second.buckets, i);
    return share;
}

std::uint16_t CacheGroup::weight_of(const Address &cache) const
{
    if (cache == config_.address)
        return config_.weight;
    for (const auto &[id, router] : routers_) {
        const auto seen = router.caches.find(cache);
        if (router.refused.empty() && seen != router.caches.end())
            return seen->second.weight;
    }
    return 0;
}

unsigned CacheGroup::grown(const Address &cache) const
{
    const auto joined = joined_.find(cache);
    if (joined == joined_.end() || !joined->second || config_.slow_start == Duration{0})
        return full_grown;
    const auto eighths = (now_ - *joined->second) * full_grown / config_.slow_start;
    return static_cast<unsigned>(std::min<std::int64_t>(full_grown, eighths + 1));
}

std::optional<Time> CacheGroup::next_growth() const
{
    std::optional<Time> first;
    for (const auto &[cache, since] : joined_) {
        if (const auto part = grown(cache); part < full_grown) {
            // the first millisecond in which it is one more
            const auto at =
                *since + (config_.slow_start * part + Duration{full_grown - 1}) / full_grown;
            first = first ? std::min(*first, at) : at;
        }
    }
    return first;
}

std::vector<std::uint32_t> CacheGroup::weights(const std::vector<Address> &members) const
{
    std::vector<std::uint32_t> result;
    result.reserve(members.size());
    for (const auto &cache : members)
        result.push_back(weight_of(cache));
    const bool all_zero = std::all_of(result.begin(), result.end(), [](auto w) { return w == 0; });
    for (std::size_t i = 0; i < members.size(); ++i)
        result[i] = (all_zero ? 1 : result[i]) * grown(members[i]);
    return result;
}

// Whose slots of a table of the method and mask in use.
void CacheGroup::add_owners(const Table &table, const std::vector<Address> &members,
                            std::vector<Slot> &to) const
{
    const auto add = [&](std::size_t slot, const Address &cache) {
        const auto found = std::lower_bound(members.begin(), members.end(), cache);
        if (found != members.end() && *found == cache && !to[slot].owner)
            to[slot].owner = static_cast<std::uint8_t>(found - members.begin());
    };
    for (std::size_t i = 0; i < WLB_WCCP_BUCKETS && agreed_.method == Method::hash; ++i) {
        const auto bucket = table.buckets()[i];
        if (bucket != WLB_WCCP_BUCKET_NONE)
            add(i, table.caches()[bucket & WLB_WCCP_BUCKET_INDEX]);
    }
    const auto wanted = mask();
    for (const auto &set : table.sets()) {
        for (const auto &value : set.values) {
            const auto number = number_of(value.value, wanted, addr_len_of(config_.is_ipv6()));
            if (agreed_.method == Method::mask && same_mask(set.mask, wanted) && number)
                add(*number, table.caches()[value.member]);
        }
    }
}

// The assignment in force: this cache's own as long as a router has it, or what the routers
// show.
std::vector<Slot> CacheGroup::slots(const std::vector<Address> &members) const
{
    const bool hash = agreed_.method == Method::hash;
    const auto wanted = mask();
    const auto addr_len = addr_len_of(config_.is_ipv6());
    std::vector<Slot> result(hash ? WLB_WCCP_BUCKETS
                                  : std::size_t{1} << wlb_wccp_mask_bits(&wanted, addr_len));
    const bool ours = key_.number != 0 && table_.method() == agreed_.method &&
                      std::any_of(routers_.begin(), routers_.end(),
                                  [&](const auto &entry) { return entry.second.key == key_; });
    if (ours)
        add_owners(table_, members, result);
    for (const auto &[id, router] : routers_) {
        if (!ours && router.map)
            add_owners(*router.map, members, result);
    }
    for (std::size_t i = 0; i < members.size(); ++i) {
        const auto bit = 1U << i;
        const auto former = former_.find(members[i]);
        for (const auto slot :
             former == former_.end() ? std::set<std::uint32_t>{} : former->second) {
            if (slot < result.size())
                result[slot].former |= bit;
        }
        for (const auto &[id, router] : routers_) {
            const auto seen = router.caches.find(members[i]);
            if (!hash || seen == router.caches.end())
                continue;
            for (std::size_t slot = 0; slot < result.size(); ++slot) {
                if (!has_bucket(seen->second.buckets, slot))
                    continue;
                if (!seen->second.assigned)
                    result[slot].former |= bit;
                else if (!ours && !result[slot].owner)
                    result[slot].owner = static_cast<std::uint8_t>(i);
            }
        }
        const auto own = config_.specifications.find(members[i]);
        if (own == config_.specifications.end())
            continue;
        const auto &[buckets, traffic] = own->second;
        for (std::uint32_t slot = 0; slot < result.size(); ++slot) {
            wlb_wccp_mask value{};
            if (!hash)
                wlb_wccp_vsn_value(&wanted, addr_len, slot, &value);
            const bool takes =
                hash ? !buckets || has_bucket(*buckets, slot)
                     : traffic.empty() ||
                           std::any_of(traffic.begin(), traffic.end(), [&](const Traffic &one) {
                               return meets(value, wanted, one);
                           });
            if (!takes)
                result[slot].accepts &= ~bit;
        }
    }
    return result;
}

void CacheGroup::allocate_all()
{
    const auto all = seen_by_all();
    const std::vector<Address> members(all.begin(), all.end());
    auto wanted = slots(members);
    const auto given = allocate(std::move(wanted), weights(members));
    Table table;
    if (agreed_.method == Method::hash) {
        Buckets buckets;
        for (std::size_t i = 0; i < buckets.size(); ++i) {
            const bool hot = given[i] != nobody && has_bucket(config_.hot_buckets, i);
            buckets[i] = static_cast<std::uint8_t>(given[i] | (hot ? WLB_WCCP_BUCKET_ALT : 0U));
        }
        table = Table::of_buckets(members, buckets);
    } else {
        table = Table::of_sets(members, {filled(mask(), addr_len_of(config_.is_ipv6()), given)});
    }
    // What those had who are gone, for when they come back; of another method or mask it
    // would say nothing.
    if (table_.method() != agreed_.method ||
        (!table_.sets().empty() && !same_mask(table_.sets().front().mask, mask())))
        former_.clear();
    std::vector<Slot> before(given.size());
    const auto &old = table_.caches();
    std::vector<Address> sorted(old);
    std::sort(sorted.begin(), sorted.end());
    add_owners(table_, sorted, before);
    for (const auto &cache : sorted) {
        if (!all.contains(cache))
            former_[cache].clear();
    }
    for (std::uint32_t slot = 0; slot < before.size(); ++slot) {
        if (before[slot].owner && !all.contains(sorted[*before[slot].owner]))
            former_[sorted[*before[slot].owner]].insert(slot);
    }
    for (const auto &cache : all)
        former_.erase(cache);
    while (former_.size() > max_former)
        former_.erase(former_.begin());
    table_ = std::move(table);
    grow_at_ = next_growth();
}

} // namespace wlb::wccp
