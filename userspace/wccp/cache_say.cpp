// SPDX-License-Identifier: GPL-2.0-only
// HERE_I_AM and REDIRECT_ASSIGN, components in the order that R1 4.2 and 4.4 give.
#include "wccp/cache.h"
#include "wccp/mask_list.h"
#include "wccp/security.h"

namespace wlb::wccp {
namespace {

constexpr std::uint16_t mask_flags = 0x0002;

std::uint8_t octet_of(std::uint8_t bucket, BucketFormat format)
{
    if (bucket == WLB_WCCP_BUCKET_NONE || format == BucketFormat::cisco)
        return bucket;
    const bool alternative = bucket & WLB_WCCP_BUCKET_ALT;
    return static_cast<std::uint8_t>((bucket & WLB_WCCP_BUCKET_INDEX) << 1 | (alternative ? 1 : 0));
}

} // namespace

void CacheGroup::send(const Address &to, Octets octets, CacheOutput &out) const
{
    out.datagrams.push_back(
        {config_.address, to, port, to == config_.group_address, std::move(octets)});
}

// What all of them understand; 2.00 has no address table and cannot do IPv6.
std::uint8_t CacheGroup::common_minor(const std::vector<const Router *> &routers) const
{
    if (config_.is_ipv6())
        return 1;
    std::uint8_t minor = routers.empty() ? 0 : config_.max_minor;
    for (const auto *router : routers)
        minor = std::min(minor, router->minor);
    return minor;
}

// How this cache shows itself. Buckets are those that it wants, if it has an opinion, or
// else those that it has or had.
CacheElement CacheGroup::identity(AddressList &list) const
{
    CacheElement element;
    element.address = list.word(config_.address);
    const WeightStatus weight{config_.weight, 0};
    if (agreed_.method == Method::mask) {
        element.flags = mask_flags;
        element.data = MaskData{{{list.mask(mask()), {}}}, weight};
        return element;
    }
    HashData data{had_, weight};
    const auto own = config_.specifications.find(config_.address);
    if (own != config_.specifications.end() && own->second.buckets)
        data.buckets = *own->second.buckets;
    else if (!has_ && had_ != BucketVector{})
        element.flags = CacheElement::unassigned;
    element.data = data;
    return element;
}

Octets CacheGroup::here_i_am(const Address &to) const
{
    const auto routers = routers_at(to);
    AddressList list(config_.is_ipv6());
    Message message;
    message.header = {MessageType::here_i_am, common_minor(routers)};
    auto element = identity(list);
    if (routers.empty() && config_.max_minor > message.header.minor)
        element.flags |= CacheElement::minimum_version;
    CacheView view{change_number_, {}, {}};
    for (const auto &[id, router] : routers_) {
        if (router.refused.empty())
            view.routers.push_back({list.word(id), router.receive_id});
    }
    for (const auto &cache : view_caches_)
        view.caches.push_back(list.word(cache));
    const bool timers =
        !routers.empty() && std::all_of(routers.begin(), routers.end(),
                                        [](const Router *r) { return r->offer.timers; });
    message.components = {security_info(config_.password), config_.service,
                          CacheIdentity{std::move(element)}, std::move(view),
                          capabilities_of(agreed_, timers)};
    if (phase_ == CachePhase::leaving)
        message.components.emplace_back(
            Commands{{command_for(Commands::shutdown, config_.address, list)}});
    list.finish(message);
    return sealed(message, config_.password, DigestForm::draft);
}

// The last assignment, with what each router said last (R1 5.4).
Octets CacheGroup::redirect_assign() const
{
    AddressList list(config_.is_ipv6());
    std::vector<const Router *> routers;
    std::vector<RouterAssignment> elements;
    for (const auto &[id, router] : routers_) {
        if (!router.refused.empty())
            continue;
        routers.push_back(&router);
        elements.push_back({{list.word(id), router.receive_id}, router.change_number});
    }
    Message message;
    message.header = {MessageType::redirect_assign, common_minor(routers)};
    message.components = {security_info(config_.password), config_.service};
    const KeyElement key{list.word(key_.address), key_.number};
    const auto &caches = table_.caches();
    if (table_.method() == Method::hash) {
        BucketsElement body;
        for (const auto &cache : caches)
            body.caches.push_back(list.word(cache));
        for (std::size_t i = 0; i < body.buckets.size(); ++i)
            body.buckets[i] = octet_of(table_.buckets()[i], config_.bucket_format);
        message.components.emplace_back(AssignmentInfo{key, std::move(elements), std::move(body)});
    } else {
        AlternateAssignment body{1, key, std::move(elements), {}};
        std::optional<AltMaskList> sets;
        if (message.header.minor > 0)
            sets = compact(table_.sets(), caches, config_.is_ipv6(), list);
        if (sets) {
            body.type = 2;
            body.body = std::move(*sets);
        } else {
            body.body = spelled_out(table_.sets(), caches, list);
        }
        message.components.emplace_back(std::move(body));
    }
    list.finish(message);
    return sealed(message, config_.password, DigestForm::draft);
}

} // namespace wlb::wccp
