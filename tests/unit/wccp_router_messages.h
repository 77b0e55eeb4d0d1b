// SPDX-License-Identifier: GPL-2.0-only
// A router's messages, and what a cache's say: for the tests and the fuzzer of the cache.
#pragma once

#include <algorithm>

#include "wccp/datagram.h"
#include "wccp/mask_list.h"
#include "wccp_messages.h"

namespace wccp_test {

struct Shown { // a cache in a view
    Address cache;
    std::uint16_t weight = 0;
    BucketVector buckets{};
    bool assigned = false;
};

struct ISeeYou {
    Address router;
    std::uint32_t receive_id = 0;
    Address sent_to;
    std::vector<Address> received_from;
    ServiceInfo service;
    std::uint32_t change_number = 1;
    Key key;
    std::vector<Address> routers;
    std::vector<Shown> caches;
    Method method = Method::hash; // of what is shown of caches
    std::vector<MaskSet> sets;    // with indices into caches
    bool alternate = false;       // as 2.01 has it
    std::optional<Chosen> capabilities = Chosen{{1, 3}, {2, 3}, {3, 3}};
    std::optional<Address> shut_down;
    std::uint8_t minor = 0;
    bool backwards = false; // components in an order that no draft forbids
    bool strangers = false; // with components that nobody knows
    std::string password;

    [[nodiscard]] Octets octets() const
    {
        AddressList list(router.is_ipv6());
        Message message;
        message.header = {MessageType::i_see_you, minor};
        RouterIdentity identity{{list.word(router), receive_id}, list.word(sent_to), {}};
        for (const auto &cache : received_from)
            identity.received_from.push_back(list.word(cache));
        const auto key_address = key.number ? key.address : unspecified(router.is_ipv6());
        RouterView view{change_number, {list.word(key_address), key.number}, {}, {}};
        for (const auto &one : routers)
            view.routers.push_back(list.word(one));
        std::vector<Address> addresses;
        for (const auto &shown : caches) {
            addresses.push_back(shown.cache);
            CacheElement element;
            element.address = list.word(shown.cache);
            element.flags = shown.assigned ? 0 : CacheElement::unassigned;
            if (method == Method::hash) {
                element.data = HashData{shown.buckets, {shown.weight, 0}};
            } else {
                element.flags |= 2;
                element.data = MaskData{{}, {shown.weight, 0}};
            }
            view.caches.push_back(std::move(element));
        }
        message.components = {wccp_test::security(password), service, identity, view};
        if (!sets.empty() && alternate)
            message.components.emplace_back(
                AlternateMap{2, *compact(sets, addresses, router.is_ipv6(), list)});
        else if (!sets.empty())
            message.components.emplace_back(AssignmentMap{spelled_out(sets, addresses, list)});
        if (capabilities) {
            Capabilities offer;
            for (const auto &[type, value] : *capabilities) {
                Writer out;
                out.u32(value);
                offer.elements.push_back({type, out.take()});
            }
            message.components.emplace_back(std::move(offer));
        }
        if (shut_down)
            message.components.emplace_back(
                Commands{{command_for(Commands::shutdown_response, *shut_down, list)}});
        list.finish(message);
        if (strangers) {
            message.components.emplace_back(Unknown{99, {1, 2, 3, 4}});
            message.components.emplace_back(Unknown{4, {}}); // a second view: the first one counts
        }
        if (backwards) // security stays: the digest is where it is
            std::reverse(message.components.begin() + 1,
                         message.components.end() - (strangers ? 2 : 0));
        auto result = serialise(message);
        if (result && !password.empty())
            sign(*result, password, DigestForm::draft);
        return result ? *result : Octets{};
    }
};

struct Query {
    Address router;
    std::uint32_t receive_id = 0;
    Address sent_to;
    Address target;
    ServiceInfo service;
    std::uint8_t minor = 0;
    std::string password;

    [[nodiscard]] Octets octets() const
    {
        AddressList list(router.is_ipv6());
        Message message;
        message.header = {MessageType::removal_query, minor};
        message.components = {
            wccp_test::security(password), service,
            RouterQuery{{list.word(router), receive_id}, list.word(sent_to), list.word(target)}};
        return wccp_test::sealed(std::move(message), list, password);
    }
};

// What a HERE_I_AM tells, in addresses.
struct Said {
    Address to;
    std::uint8_t minor = 0;
    bool minimum_version = false;
    Address cache;
    std::uint16_t flags = 0;
    std::uint16_t weight = 0;
    BucketVector buckets{};
    std::uint32_t change_number = 0;
    Routers routers;
    std::vector<Address> caches;
    Chosen capabilities;
    bool shutdown = false;
    Message message;

    static Said of(const Outgoing &sent)
    {
        Said said;
        said.to = sent.to;
        said.message = *parse(sent.octets);
        said.minor = said.message.header.minor;
        const auto addresses = *Addresses::of(said.message);
        const auto &element = said.message.find<CacheIdentity>()->cache;
        said.cache = *addresses.address(element.address);
        said.flags = element.flags;
        said.minimum_version = element.flags & CacheElement::minimum_version;
        if (const auto *hash = std::get_if<HashData>(&element.data)) {
            said.buckets = hash->buckets;
            said.weight = hash->weight.weight;
        } else if (const auto *mask = std::get_if<MaskData>(&element.data)) {
            said.weight = mask->weight.weight;
        }
        const auto &view = *said.message.find<CacheView>();
        said.change_number = view.change_number;
        for (const auto &router : view.routers)
            said.routers.emplace_back(*addresses.address(router.address), router.receive_id);
        for (const auto word : view.caches)
            said.caches.push_back(*addresses.address(word));
        for (const auto &capability : said.message.find<Capabilities>()->elements) {
            Reader in(capability.value, "");
            said.capabilities.emplace_back(capability.type, in.u32(""));
        }
        said.shutdown = has_command(said.message, Commands::shutdown, addresses, said.cache);
        return said;
    }
};

// What a REDIRECT_ASSIGN does.
struct Assigned {
    Address to;
    std::uint8_t minor = 0;
    Proposal proposal;
    Message message;

    static Assigned of(const Outgoing &sent)
    {
        Assigned assigned;
        assigned.to = sent.to;
        assigned.message = *parse(sent.octets);
        assigned.minor = assigned.message.header.minor;
        assigned.proposal =
            *read_proposal(assigned.message, *Addresses::of(assigned.message), BucketFormat::cisco);
        return assigned;
    }
    [[nodiscard]] std::size_t share(const Address &cache) const
    {
        return proposal.table.share(cache);
    }
};

} // namespace wccp_test
