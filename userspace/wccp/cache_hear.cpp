// SPDX-License-Identifier: GPL-2.0-only
// I_SEE_YOU and REMOVAL_QUERY: which routers there are, and what they see (D01 4.1, 4.6).
#include "wccp/cache.h"
#include "wccp/codec.h"
#include "wccp/security.h"

namespace wlb::wccp {
namespace {

constexpr unsigned query_answers = 3; // D01 "Querying Cache Time-Out"
// A receive ID that is so little behind the last one is that of a message that was overtaken
// or is played again; a router that starts anew begins somewhere else.
constexpr std::uint32_t recent = 1024;

bool is_old(std::uint32_t id, std::uint32_t last, bool same_is_old)
{
    const std::uint32_t behind = last - id;
    return behind == 0 ? same_is_old : behind < recent;
}

WeightStatus weight_in(const CacheElement &element)
{
    const auto of = []<class T>(const T &data) -> WeightStatus {
        if constexpr (std::is_same_v<T, HashData> || std::is_same_v<T, MaskData> ||
                      std::is_same_v<T, AltMaskData>)
            return data.weight;
        else if constexpr (std::is_same_v<T, WeightStatus>)
            return data;
        else
            return {};
    };
    if (const auto *extended = std::get_if<ExtendedData>(&element.data))
        return std::visit(of, extended->data);
    return std::visit(of, element.data);
}

const HashData *hash_in(const CacheElement &element)
{
    if (const auto *extended = std::get_if<ExtendedData>(&element.data))
        return std::get_if<HashData>(&extended->data);
    return std::get_if<HashData>(&element.data);
}

} // namespace

CacheGroup::Refused CacheGroup::take(const Datagram &datagram, CacheOutput &out)
{
    if (phase_ == CachePhase::silent)
        return CacheRefusal::silent;
    const auto header = parse_header(datagram.octets);
    if (!header)
        return CacheRefusal::header;
    if (header->type != MessageType::i_see_you && header->type != MessageType::removal_query)
        return CacheRefusal::not_for_cache;
    const auto service = peek_service(datagram.octets);
    if (!service)
        return CacheRefusal::malformed;
    if (service->type != config_.service.type || service->id != config_.service.id)
        return CacheRefusal::other_service;
    if (datagram.from.is_ipv6() != config_.is_ipv6() || !datagram.from.is_host())
        return CacheRefusal::family;
    if (datagram.to != config_.address && datagram.to != config_.group_address)
        return CacheRefusal::destination;
    if (!config_.router_list.empty() && !contains(config_.router_list, datagram.from))
        return CacheRefusal::router_list;

    switch (authenticate(message_of(datagram.octets), config_.password, false).verdict) {
    case Verdict::malformed:
        return CacheRefusal::malformed;
    case Verdict::unwanted:
    case Verdict::forged:
        return CacheRefusal::authentication;
    case Verdict::authentic:
        break;
    }
    const auto message = parse(datagram.octets);
    if (!message)
        return CacheRefusal::malformed;
    const auto addresses = Addresses::of(*message);
    if (!addresses)
        return CacheRefusal::malformed;
    if (addresses->is_ipv6() != config_.is_ipv6())
        return CacheRefusal::family;
    if (header->type == MessageType::i_see_you)
        return i_see_you(datagram, *message, *addresses, out);
    return removal_query(datagram, *message, *addresses, out);
}

CacheGroup::Refused CacheGroup::i_see_you(const Datagram &datagram, const Message &message,
                                          const Addresses &addresses, CacheOutput &out)
{
    const auto *identity = message.find<RouterIdentity>();
    if (!identity || !message.find<RouterView>())
        return CacheRefusal::component_missing;
    const auto id = addresses.address(identity->router.address);
    const auto sent_to = addresses.address(identity->sent_to);
    if (!id || !sent_to)
        return CacheRefusal::malformed;
    if (!id->is_host() || identity->router.receive_id == 0)
        return CacheRefusal::identity;
    bool for_us = false;
    for (const auto word : identity->received_from) {
        const auto cache = addresses.address(word);
        if (!cache)
            return CacheRefusal::malformed;
        for_us = for_us || *cache == config_.address;
    }
    if (!for_us)
        return CacheRefusal::not_addressed;
    const auto target = targets_.find(*sent_to);
    if (target == targets_.end())
        return CacheRefusal::sent_to;
    const bool multicast = *sent_to == config_.group_address;
    if (config_.strict_source && !multicast && datagram.from != *sent_to)
        return CacheRefusal::source;
    if (!same_service(config_.service, *message.find<ServiceInfo>()))
        return CacheRefusal::service_mismatch;

    const auto known = routers_.find(*id);
    const bool is_new = known == routers_.end();
    if (!is_new && is_old(identity->router.receive_id, known->second.receive_id, true))
        return CacheRefusal::receive_id;
    Router router;
    if (!is_new)
        router = known->second;
    if (const auto refused = read_view(message, addresses, router))
        return refused;
    if (is_new && !multicast) { // one with another ID than before is not also the former one
        const auto former = std::find_if(routers_.begin(), routers_.end(), [&](const auto &entry) {
            return entry.second.sent_to == *sent_to;
        });
        if (former != routers_.end())
            drop(Address(former->first), "is " + id->text() + " now", out);
    }
    if (is_new && routers_.size() >= max_routers)
        return CacheRefusal::too_many_routers;

    const bool was_listed = router.listed;
    router.source = datagram.from;
    router.sent_to = *sent_to;
    router.multicast = multicast;
    router.minor = std::max(router.minor, message.header.minor);
    router.receive_id = identity->router.receive_id;
    router.heard = now_;
    if (is_new)
        router.since = now_;
    router.listed = router.caches.contains(config_.address);
    const auto offer = read_offer(message.find<Capabilities>());
    router.offer = router.listed && !is_new ? remembered(router.offer, offer, agreed_) : offer;
    if (phase_ == CachePhase::leaving)
        router.released = router.released || has_command(message, Commands::shutdown_response,
                                                         addresses, config_.address);
    if (router.listed != was_listed)
        out.events.push_back(
            {router.listed ? CacheEventKind::router_found : CacheEventKind::router_lost, *id,
             router.listed ? "" : "does not count this cache any more"});
    if (const auto own = router.caches.find(config_.address);
        own != router.caches.end() && own->second.buckets != BucketVector{}) {
        had_ = own->second.buckets;
        has_ = own->second.assigned;
    }
    const auto &stored = routers_.insert_or_assign(*id, std::move(router)).first->second;
    ++counters_.i_see_you;
    answered(target->second, stored, was_listed, is_new);
    if (phase_ == CachePhase::present)
        learn(*id, stored, out);
    settle(out);
    return {};
}

CacheGroup::Refused CacheGroup::read_view(const Message &message, const Addresses &addresses,
                                          Router &to)
{
    const auto &view = *message.find<RouterView>();
    const auto key = addresses.address(view.key.address);
    if (!key)
        return CacheRefusal::malformed;
    to.change_number = view.change_number;
    to.key = {*key, view.key.number};
    to.routers.clear();
    to.caches.clear();
    for (const auto word : view.routers) {
        const auto router = addresses.address(word);
        if (!router)
            return CacheRefusal::malformed;
        to.routers.insert(*router);
    }
    for (const auto &element : view.caches) {
        const auto cache = addresses.address(element.address);
        if (!cache)
            return CacheRefusal::malformed;
        Seen seen;
        seen.weight = weight_in(element).weight;
        seen.assigned =
            !(element.flags & (CacheElement::unassigned | CacheElement::unassigned_ats));
        if (const auto *hash = hash_in(element)) {
            seen.buckets = hash->buckets;
            seen.assigned = seen.assigned && hash->buckets != BucketVector{};
        }
        to.caches.emplace(*cache, seen);
    }
    auto map = read_map(message, addresses);
    if (!map)
        return CacheRefusal::malformed;
    to.map = std::move(*map);
    return {};
}

// Routers that a view tells of and that are not spoken to yet; one that is heard by
// multicast gets what is said to the group.
void CacheGroup::learn(const Address &id, const Router &router, CacheOutput &out)
{
    if (!config_.learn_routers || config_.group_address)
        return;
    for (const auto &other : router.routers) {
        if (!other.is_host() || other.is_ipv6() != config_.is_ipv6() || other == config_.address ||
            routers_.contains(other) || targets_.contains(other) ||
            targets_.size() >= max_routers ||
            (!config_.router_list.empty() && !contains(config_.router_list, other)) ||
            (config_.is_own && config_.is_own(other)))
            continue;
        Target target;
        target.learned = true;
        target.hello_at = now_;
        targets_.emplace(other, target);
        out.events.push_back({CacheEventKind::learned, other, "from " + id.text()});
    }
}

// A new router waits for a message with its receive ID; one that counts us for the first
// time may have brought another interval.
void CacheGroup::answered(Target &target, const Router &router, bool was_listed, bool is_new)
{
    target.unanswered = 0;
    if (phase_ != CachePhase::present)
        return;
    const auto every = interval(router.sent_to);
    if (target.early)
        target.hello_at = target.said_at + every;
    target.early = false;
    if (is_new)
        hasten(target, every / 10);
    else if (router.listed && !was_listed)
        hasten(target, every);
}

CacheGroup::Refused CacheGroup::removal_query(const Datagram &datagram, const Message &message,
                                              const Addresses &addresses, CacheOutput &out)
{
    const auto *query = message.find<RouterQuery>();
    if (!query)
        return CacheRefusal::component_missing;
    const auto id = addresses.address(query->router.address);
    const auto cache = addresses.address(query->target);
    if (!id || !cache)
        return CacheRefusal::malformed;
    if (*cache != config_.address)
        return CacheRefusal::not_addressed;
    if (!same_service(config_.service, *message.find<ServiceInfo>()))
        return CacheRefusal::service_mismatch;
    const auto known = routers_.find(*id);
    auto target = targets_.find(known == routers_.end() ? datagram.from : known->second.sent_to);
    if (target == targets_.end())
        return CacheRefusal::unknown_router;
    if (known != routers_.end()) {
        auto &router = known->second;
        if (config_.strict_source && datagram.from != router.source &&
            datagram.from != router.sent_to)
            return CacheRefusal::source;
        // What the router expects: some count it up for a query, too.
        if (query->router.receive_id != 0) {
            if (is_old(query->router.receive_id, router.receive_id, false))
                return CacheRefusal::receive_id;
            router.receive_id = query->router.receive_id;
        }
    }
    ++counters_.removal_query;
    out.events.push_back({CacheEventKind::queried, *id, {}});
    if (target->second.burst == 0) {
        target->second.burst = query_answers - 1;
        target->second.hello_at = now_;
    }
    return {};
}

} // namespace wlb::wccp
