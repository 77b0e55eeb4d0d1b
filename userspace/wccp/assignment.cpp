// SPDX-License-Identifier: GPL-2.0-only
#include "wccp/assignment.h"

#include <algorithm>
#include <set>

#include "wccp/mask_list.h"

namespace wlb::wccp {
namespace {

constexpr std::uint8_t tcp = 6;
constexpr std::uint8_t udp = 17;

bool within(const wlb_wccp_mask &value, const wlb_wccp_mask &mask)
{
    bool inside = (value.sport & ~mask.sport) == 0 && (value.dport & ~mask.dport) == 0;
    for (std::size_t i = 0; i < sizeof(mask.src); ++i) {
        inside = inside && (value.src[i] & ~mask.src[i]) == 0;
        inside = inside && (value.dst[i] & ~mask.dst[i]) == 0;
    }
    return inside;
}

// The caches of mask sets, each once, and the index of each address.
class CacheIndex {
public:
    // None if there are more than a group can have.
    std::optional<std::uint8_t> of(const Address &cache)
    {
        const auto found = std::find(caches_.begin(), caches_.end(), cache);
        if (found == caches_.end() && caches_.size() == max_caches)
            return {};
        const auto index = static_cast<std::uint8_t>(found - caches_.begin());
        if (found == caches_.end())
            caches_.push_back(cache);
        return index;
    }
    std::vector<Address> take() { return std::move(caches_); }

private:
    std::vector<Address> caches_;
};

Error too_many()
{
    return Error{"assignment: more than " + std::to_string(max_caches) + " caches"};
}

// What each kind of body says, into `to`.
Status read_body(const BucketsElement &body, const Addresses &addresses, BucketFormat format,
                 Proposal &to)
{
    std::vector<Address> caches;
    for (const auto word : body.caches) {
        const auto cache = addresses.address(word);
        if (!cache)
            return cache.error();
        caches.push_back(*cache);
    }
    Buckets buckets;
    for (std::size_t i = 0; i < buckets.size(); ++i) {
        const auto octet = body.buckets[i];
        const bool cisco = format == BucketFormat::cisco;
        const bool alt = octet & (cisco ? 0x80 : 0x01);
        const auto index = static_cast<std::uint8_t>(cisco ? octet & 0x7f : octet >> 1);
        buckets[i] = WLB_WCCP_BUCKET_NONE;
        if (octet == WLB_WCCP_BUCKET_NONE)
            continue;
        if (index < caches.size())
            buckets[i] = static_cast<std::uint8_t>(index | (alt ? WLB_WCCP_BUCKET_ALT : 0U));
        else
            ++to.bad_buckets;
    }
    to.table = Table::of_buckets(std::move(caches), buckets);
    return Done{};
}

Status read_body(const MaskList &body, const Addresses &addresses, BucketFormat, Proposal &to)
{
    CacheIndex caches;
    std::vector<MaskSet> sets;
    for (const auto &element : body) {
        const auto mask = addresses.mask(element.mask);
        if (!mask)
            return mask.error();
        MaskSet set{*mask, {}};
        for (const auto &item : element.values) {
            const auto value = addresses.mask(item.value);
            const auto cache = addresses.address(item.cache);
            if (!value || !cache)
                return value ? cache.error() : value.error();
            const auto member = caches.of(*cache);
            if (!member)
                return too_many();
            to.never_matching += !within(*value, *mask);
            set.values.push_back({*value, *member});
        }
        sets.push_back(std::move(set));
    }
    to.table = Table::of_sets(caches.take(), std::move(sets));
    return Done{};
}

Status read_body(const AltMaskList &body, const Addresses &addresses, BucketFormat, Proposal &to)
{
    CacheIndex caches;
    std::vector<MaskSet> sets;
    const std::uint8_t addr_len = addresses.is_ipv6() ? 16 : 4;
    for (const auto &element : body) {
        const auto mask = addresses.mask(element.mask);
        if (!mask)
            return mask.error();
        const auto bits = wlb_wccp_mask_bits(&*mask, addr_len);
        if (bits > WLB_WCCP_VSN_BITS)
            return Error{"alternate mask: " + std::to_string(bits) + " bits, at most 32"};
        MaskSet set{*mask, {}};
        std::set<std::uint32_t> seen;
        for (const auto &item : element.caches) {
            const auto cache = addresses.address(item.cache);
            if (!cache)
                return cache.error();
            const auto member = caches.of(*cache);
            if (!member)
                return too_many();
            for (const auto number : item.numbers) {
                if ((bits < 32 && number >> bits != 0) || !seen.insert(number).second) {
                    ++to.bad_sequence_numbers;
                    continue;
                }
                MaskValue value{{}, *member};
                wlb_wccp_vsn_value(&*mask, addr_len, number, &value.value);
                set.values.push_back(value);
            }
        }
        sets.push_back(std::move(set));
    }
    to.table = Table::of_sets(caches.take(), std::move(sets));
    return Done{};
}

Status read_body(const Octets &, const Addresses &, BucketFormat, Proposal &)
{
    return Error{"Alternate Assignment: assignment type: must be 0 to 2"};
}

Status read_head(const KeyElement &key, const std::vector<RouterAssignment> &routers,
                 const Addresses &addresses, Proposal &to)
{
    const auto address = addresses.address(key.address);
    if (!address)
        return address.error();
    to.key = {*address, key.number};
    for (const auto &element : routers) {
        const auto router = addresses.address(element.router.address);
        if (!router)
            return router.error();
        to.routers.push_back({*router, element.router.receive_id, element.change_number});
    }
    return Done{};
}

} // namespace

bool MaskValue::operator==(const MaskValue &other) const
{
    return same_mask(value, other.value) && member == other.member;
}

bool MaskSet::operator==(const MaskSet &other) const
{
    return same_mask(mask, other.mask) && values == other.values;
}

std::optional<ServiceInfo> effective(const ServiceInfo &service)
{
    if (service.type != ServiceInfo::standard)
        return service;
    if (service.id != 0)
        return {};
    ServiceInfo http;
    http.priority = WLB_WCCP_HTTP_PRIORITY;
    http.protocol = tcp;
    http.flags = WLB_WCCP_HTTP_FLAGS;
    http.ports[0] = WLB_WCCP_HTTP_PORT;
    return http;
}

bool same_service(const ServiceInfo &a, const ServiceInfo &b)
{
    if (a.type != b.type || a.id != b.id)
        return false;
    if (a.type == ServiceInfo::standard)
        return true;
    if (a.priority != b.priority || a.protocol != b.protocol || a.flags != b.flags)
        return false;
    if (!(a.flags & WLB_WCCP_PORTS) || (a.protocol != tcp && a.protocol != udp))
        return true;
    for (std::size_t i = 0; i < a.ports.size(); ++i) {
        if (a.ports[i] != b.ports[i])
            return false;
        if (a.ports[i] == 0)
            break;
    }
    return true;
}

Table Table::of_buckets(std::vector<Address> caches, const Buckets &buckets)
{
    Table table;
    table.caches_ = std::move(caches);
    table.buckets_ = buckets;
    return table;
}

Table Table::of_sets(std::vector<Address> caches, std::vector<MaskSet> sets)
{
    Table table;
    table.method_ = Method::mask;
    table.caches_ = std::move(caches);
    table.sets_ = std::move(sets);
    return table;
}

bool Table::empty() const
{
    return std::all_of(buckets_.begin(), buckets_.end(),
                       [](auto b) { return b == WLB_WCCP_BUCKET_NONE; }) &&
           std::all_of(sets_.begin(), sets_.end(),
                       [](const auto &set) { return set.values.empty(); });
}

std::array<bool, WLB_WCCP_BUCKET_NONE + 1> Table::indices_of(const Address &cache) const
{
    std::array<bool, WLB_WCCP_BUCKET_NONE + 1> result{};
    for (std::size_t i = 0; i < caches_.size(); ++i) {
        result[i] = caches_[i] == cache;
        result[i | WLB_WCCP_BUCKET_ALT] = result[i];
    }
    result[WLB_WCCP_BUCKET_NONE] = false;
    return result;
}

std::size_t Table::share(const Address &cache) const
{
    std::size_t share = 0;
    const auto is = indices_of(cache);
    for (const auto bucket : buckets_)
        share += is[bucket];
    for (const auto &set : sets_) {
        for (const auto &value : set.values)
            share += is[value.member];
    }
    return share;
}

BucketVector Table::vector_of(const Address &cache) const
{
    BucketVector vector{};
    const auto is = indices_of(cache);
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        if (is[buckets_[i]])
            vector[i / 8] = static_cast<std::uint8_t>(vector[i / 8] | 1U << i % 8);
    }
    return vector;
}

void Table::purge(const Address &cache)
{
    const auto is = indices_of(cache);
    for (auto &bucket : buckets_) {
        if (is[bucket])
            bucket = WLB_WCCP_BUCKET_NONE;
    }
    for (auto &set : sets_)
        std::erase_if(set.values, [&](const auto &v) { return is[v.member]; });
}

void Table::write(Assignment &assignment) const
{
    std::vector<std::uint8_t> index(caches_.size());
    for (std::size_t i = 0; i < caches_.size(); ++i) {
        const auto found = std::find_if(assignment.members.begin(), assignment.members.end(),
                                        [&](const auto &m) { return m.address == caches_[i]; });
        index[i] = static_cast<std::uint8_t>(found - assignment.members.begin());
    }
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        const auto bucket = buckets_[i];
        assignment.buckets[i] = bucket;
        if (bucket != WLB_WCCP_BUCKET_NONE)
            assignment.buckets[i] = static_cast<std::uint8_t>(
                index[bucket & WLB_WCCP_BUCKET_INDEX] | (bucket & WLB_WCCP_BUCKET_ALT));
    }
    assignment.sets = sets_;
    for (auto &set : assignment.sets) {
        for (auto &value : set.values)
            value.member = index[value.member];
    }
}

Result<Proposal> read_proposal(const Message &message, const Addresses &addresses,
                               BucketFormat format)
{
    Proposal proposal;
    Status status = Done{};
    const auto read = [&](const auto &component, auto body) {
        status = read_head(component.key, component.routers, addresses, proposal);
        if (status)
            status = body();
    };
    if (const auto *info = message.find<AssignmentInfo>()) {
        read(*info, [&] { return read_body(info->buckets, addresses, format, proposal); });
    } else if (const auto *alternate = message.find<AlternateAssignment>()) {
        read(*alternate, [&] {
            return std::visit(
                [&](const auto &body) { return read_body(body, addresses, format, proposal); },
                alternate->body);
        });
    } else {
        status = Error{"neither Assignment Info nor Alternate Assignment"};
    }
    if (!status)
        return status.error();
    return proposal;
}

Result<std::optional<Table>> read_map(const Message &message, const Addresses &addresses)
{
    Proposal proposal;
    Status status = Done{};
    if (const auto *map = message.find<AssignmentMap>())
        status = read_body(map->sets, addresses, BucketFormat::cisco, proposal);
    else if (const auto *alternate = message.find<AlternateMap>())
        status = std::visit(
            [&](const auto &body) {
                return read_body(body, addresses, BucketFormat::cisco, proposal);
            },
            alternate->body);
    else
        return std::optional<Table>{};
    if (!status)
        return status.error();
    return std::optional(std::move(proposal.table));
}

} // namespace wlb::wccp
