// SPDX-License-Identifier: GPL-2.0-only
// I_SEE_YOU and REMOVAL_QUERY, components in the order that R1 4.3 and 4.5 give: some caches
// insist on it.
#include <algorithm>

#include "wccp/codec.h"
#include "wccp/mask_list.h"
#include "wccp/router.h"

namespace wlb::wccp {
namespace {

constexpr std::uint16_t filler_type = 0xfffe; // of a component or a capability: unknown
constexpr std::uint16_t mask_flags = 0x0002;

// One behind each component and each capability: see GroupConfig::squid_filler.
void fill(Message &message)
{
    std::vector<Component> filled;
    for (auto &component : message.components) {
        if (auto *capabilities = std::get_if<Capabilities>(&component)) {
            std::vector<Element> elements;
            for (auto &element : capabilities->elements) {
                elements.push_back(std::move(element));
                elements.push_back({filler_type, {}});
            }
            capabilities->elements = std::move(elements);
        }
        filled.push_back(std::move(component));
        filled.emplace_back(Unknown{filler_type, {}});
    }
    message.components = std::move(filled);
}

} // namespace

// A member as the view shows it. What is shown of one with mask assignment is what Squid can
// read: it tells 32 octets from 16 by the flags alone.
CacheElement RouterGroup::element_of(const Cache &cache, AddressList &list) const
{
    const auto &address = cache.peer.identity;
    const bool assigned = table_.share(address) > 0;
    CacheElement element;
    element.address = list.word(address);
    if (!assigned)
        element.flags = CacheElement::unassigned;
    if (cache.agreed.method == Method::hash) {
        HashData data{table_.vector_of(address), cache.weight};
        const auto before = historical_.find(address);
        if (!assigned && before != historical_.end())
            data.buckets = before->second;
        element.data = data;
    } else {
        element.flags |= mask_flags;
        MaskData data{{}, cache.weight};
        if (!assigned)
            data.sets.push_back({list.mask(cache.own_mask.value_or(wlb_wccp_mask{})), {}});
        element.data = std::move(data);
    }
    return element;
}

void RouterGroup::add_map(Message &message, AddressList &list) const
{
    if (table_.method() != Method::mask || table_.sets().empty())
        return;
    if (message.header.minor > 0) {
        if (auto sets = compact(table_.sets(), table_.caches(), config_.is_ipv6(), list))
            message.components.emplace_back(AlternateMap{2, std::move(*sets)});
        else
            message.components.emplace_back(
                AlternateMap{1, spelled_out(table_.sets(), table_.caches(), list)});
    } else {
        message.components.emplace_back(
            AssignmentMap{spelled_out(table_.sets(), table_.caches(), list)});
    }
}

Octets RouterGroup::i_see_you(const Speech &speech, std::uint32_t receive_id)
{
    for (const bool with_map : {true, false}) {
        AddressList list(config_.is_ipv6());
        Message message;
        message.header = {MessageType::i_see_you, speech.minor};
        if (config_.is_ipv6()) // there is no table in 2.00
            message.header.minor = std::max<std::uint8_t>(message.header.minor, 1);
        message.components = {security_info(config_.password), speech.service};
        RouterIdentity identity{
            {list.word(config_.router_id), receive_id}, list.word(speech.sent_to), {}};
        for (const auto &cache : speech.received_from)
            identity.received_from.push_back(list.word(cache));
        message.components.emplace_back(std::move(identity));

        RouterView view;
        view.change_number = change_number_;
        if (speech.full) {
            view.key = {list.word(key_.address), key_.number};
            for (const auto &router : routers_)
                view.routers.push_back(list.word(router));
            for (const auto &[address, cache] : caches_) {
                if (cache.usable())
                    view.caches.push_back(element_of(cache, list));
            }
        }
        message.components.emplace_back(std::move(view));
        if (speech.full && with_map)
            add_map(message, list);
        const auto offer = offer_of(config_, fixed_);
        message.components.emplace_back(
            speech.agreed ? capabilities_of(*speech.agreed, offer.timers) : capabilities_of(offer));
        if (!speech.shut_down.empty()) {
            Commands commands;
            for (const auto &cache : speech.shut_down)
                commands.elements.push_back(command_for(Commands::shutdown_response, cache, list));
            message.components.emplace_back(std::move(commands));
        }
        list.finish(message);
        if (speech.filler)
            fill(message);
        auto octets = sealed(message, config_.password, speech.form);
        if (!octets.empty())
            return octets;
        ++counters_.map_omitted;
    }
    return {}; // not reached: without a map 32 caches fit
}

Octets RouterGroup::removal_query(const Cache &cache) const
{
    AddressList list(config_.is_ipv6());
    Message message;
    message.header = {MessageType::removal_query,
                      answer_minor(config_.max_minor, cache.peer.minor, false)};
    if (config_.is_ipv6())
        message.header.minor = std::max<std::uint8_t>(message.header.minor, 1);
    message.components = {security_info(config_.password), service_.value_or(cache.peer.service),
                          RouterQuery{{list.word(config_.router_id), cache.peer.receive_id},
                                      list.word(cache.peer.sent_to),
                                      list.word(cache.peer.identity)}};
    list.finish(message);
    return sealed(message, config_.password, cache.peer.form);
}

// Asks a member that was silent for long whether it is there (R1 3.14).
void RouterGroup::ask(Cache &cache, Output &out)
{
    cache.state = State::queried;
    auto &peer = cache.peer;
    if (peer.receive_id == 0)
        peer.receive_id = next_receive_id();
    const bool unicast = !peer.multicast && peer.sent_to.is_host();
    out.datagrams.push_back({unicast ? peer.sent_to : config_.router_id, peer.source, peer.port,
                             false, removal_query(cache)});
    ++counters_.removal_query;
    out.events.push_back({EventKind::removal_query, peer.identity,
                          "silent for " + std::to_string((now_ - peer.heard).count()) + " ms"});
}

Duration RouterGroup::multicast_interval()
{
    // 0.9 T, 10 % more or less (R1 3.1)
    std::uniform_int_distribution<std::int64_t> jitter(81, 99);
    return timers().transmit * jitter(random_) / 100;
}

// One answer for all that were heard by multicast since the last one, members first.
void RouterGroup::multicast(Output &out)
{
    multicast_at_.reset();
    if (!config_.group_address)
        return;
    std::vector<Peer *> addressed;
    Speech speech;
    for (const auto &[source, identity] : pending_) {
        const auto found = caches_.find(identity);
        if (found != caches_.end() && found->second.peer.source == source) {
            addressed.push_back(&found->second.peer);
            if (found->second.state == State::leaving)
                speech.shut_down.push_back(identity);
        }
    }
    for (const auto &[source, identity] : pending_) {
        if (auto *peer = contacts_.find(source, identity))
            addressed.push_back(peer);
    }
    pending_.clear();
    for (std::size_t i = max_caches; i < addressed.size(); ++i)
        pending_.emplace(addressed[i]->source, addressed[i]->identity);
    addressed.resize(std::min<std::size_t>(addressed.size(), max_caches));
    const bool members = std::any_of(caches_.begin(), caches_.end(),
                                     [](const auto &entry) { return entry.second.peer.multicast; });
    if (members || !pending_.empty())
        multicast_at_ = now_ + multicast_interval();
    if (addressed.empty())
        return;

    const bool all_minimum = std::all_of(addressed.begin(), addressed.end(),
                                         [](const Peer *peer) { return peer->minimum_version; });
    speech.to = speech.sent_to = *config_.group_address;
    speech.minor = config_.max_minor;
    speech.full = true;
    speech.filler = config_.squid_filler == SquidFiller::on;
    speech.service = service_.value_or(addressed.front()->service);
    speech.form = addressed.front()->form;
    const auto receive_id = next_receive_id();
    for (auto *peer : addressed) {
        speech.received_from.push_back(peer->identity);
        if (!all_minimum)
            speech.minor = std::min(speech.minor, peer->minor);
        peer->sent(receive_id);
    }
    out.datagrams.push_back(
        {config_.router_id, speech.to, port, true, i_see_you(speech, receive_id)});
    ++counters_.i_see_you;
}

} // namespace wlb::wccp
