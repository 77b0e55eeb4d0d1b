// SPDX-License-Identifier: GPL-2.0-only
// A cache's messages, for the tests, the simulation and the fuzzers of the router.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "wccp/addresses.h"
#include "wccp/assignment.h"
#include "wccp/codec.h"
#include "wccp/security.h"

namespace wccp_test {

using namespace wlb;
using namespace wlb::wccp;

using Routers = std::vector<std::pair<Address, std::uint32_t>>; // receive IDs
using Chosen = std::vector<std::pair<std::uint16_t, std::uint32_t>>;

inline Address at(const std::string &text)
{
    return *Address::parse(text);
}

inline Octets sealed(Message message, AddressList &list, const std::string &password,
                     DigestForm form = DigestForm::draft)
{
    list.finish(message);
    auto octets = serialise(message);
    if (!octets)
        return {};
    if (!password.empty())
        sign(*octets, password, form);
    return *octets;
}

inline SecurityInfo security(const std::string &password)
{
    SecurityInfo info;
    info.option = password.empty() ? SecurityInfo::none : SecurityInfo::md5;
    return info;
}

struct Hello {
    Address cache;
    Routers routers;
    std::vector<Address> caches;
    ServiceInfo service;
    Method method = Method::hash;
    std::optional<Chosen> capabilities = Chosen{{1, 1}, {2, 1}, {3, 1}};
    std::uint16_t weight = 0;
    BucketVector buckets{};
    wlb_wccp_mask mask{};
    std::uint8_t minor = 0;
    bool minimum_version = false;
    bool shutdown = false;
    std::uint32_t change_number = 1;
    std::string password;
    DigestForm form = DigestForm::draft;

    [[nodiscard]] Octets octets() const
    {
        AddressList list(cache.is_ipv6());
        Message message;
        message.header = {MessageType::here_i_am, minor};
        CacheElement element;
        element.address = list.word(cache);
        if (minimum_version)
            element.flags |= CacheElement::minimum_version;
        if (method == Method::hash) {
            element.data = HashData{buckets, {weight, 0}};
        } else {
            element.flags |= 2;
            element.data = MaskData{{{list.mask(mask), {}}}, {weight, 0}};
        }
        CacheView view{change_number, {}, {}};
        for (const auto &[router, receive_id] : routers)
            view.routers.push_back({list.word(router), receive_id});
        for (const auto &other : caches)
            view.caches.push_back(list.word(other));
        message.components = {wccp_test::security(password), service, CacheIdentity{element}, view};
        if (capabilities) {
            Capabilities chosen;
            for (const auto &[type, value] : *capabilities) {
                Writer out;
                out.u32(value);
                chosen.elements.push_back({type, out.take()});
            }
            message.components.emplace_back(std::move(chosen));
        }
        if (shutdown) {
            Writer out;
            out.u32(list.word(cache));
            message.components.emplace_back(Commands{{{Commands::shutdown, out.take()}}});
        }
        return sealed(std::move(message), list, password, form);
    }
};

struct Assign {
    Key key;
    std::vector<RouterEntry> routers;
    ServiceInfo service;
    std::vector<Address> caches;
    std::array<std::uint8_t, 256> buckets{}; // of hash assignment, if there are no sets
    std::vector<MaskSet> sets;
    bool alternate = false; // hash in an Alternate Assignment
    std::uint8_t minor = 0;
    std::string password;

    [[nodiscard]] Octets octets() const
    {
        AddressList list(key.address.is_ipv6());
        Message message;
        message.header = {MessageType::redirect_assign, minor};
        message.components = {wccp_test::security(password), service};
        const KeyElement key_element{list.word(key.address), key.number};
        std::vector<RouterAssignment> elements;
        for (const auto &router : routers)
            elements.push_back(
                {{list.word(router.router), router.receive_id}, router.change_number});
        BucketsElement table{{}, buckets};
        for (const auto &cache : caches)
            table.caches.push_back(list.word(cache));
        if (!sets.empty()) {
            MaskList masks;
            for (const auto &set : sets) {
                MaskSetElement element{list.mask(set.mask), {}};
                for (const auto &value : set.values)
                    element.values.push_back(
                        {list.mask(value.value), list.word(caches[value.member])});
                masks.push_back(std::move(element));
            }
            message.components.emplace_back(AlternateAssignment{1, key_element, elements, masks});
        } else if (alternate) {
            message.components.emplace_back(AlternateAssignment{0, key_element, elements, table});
        } else {
            message.components.emplace_back(AssignmentInfo{key_element, elements, table});
        }
        return sealed(std::move(message), list, password);
    }
};

// What an I_SEE_YOU tells, in addresses.
struct Seen {
    std::uint8_t minor = 0;
    Address router;
    std::uint32_t receive_id = 0;
    Address sent_to;
    std::vector<Address> received_from;
    std::uint32_t change_number = 0;
    Key key;
    std::vector<Address> routers;
    std::vector<Address> caches;
    std::vector<CacheElement> elements;
    Chosen capabilities;
    std::vector<Address> shut_down;
    Message message;

    static Seen of(const Octets &octets)
    {
        Seen seen;
        seen.message = *parse(octets);
        seen.minor = seen.message.header.minor;
        const auto addresses = *Addresses::of(seen.message);
        const auto list = [&](const std::vector<Word> &words) {
            std::vector<Address> result;
            for (const auto word : words)
                result.push_back(*addresses.address(word));
            return result;
        };
        const auto &identity = *seen.message.find<RouterIdentity>();
        const auto &view = *seen.message.find<RouterView>();
        seen.router = *addresses.address(identity.router.address);
        seen.receive_id = identity.router.receive_id;
        seen.sent_to = *addresses.address(identity.sent_to);
        seen.received_from = list(identity.received_from);
        seen.change_number = view.change_number;
        seen.key = {*addresses.address(view.key.address), view.key.number};
        seen.routers = list(view.routers);
        seen.elements = view.caches;
        for (const auto &cache : view.caches)
            seen.caches.push_back(*addresses.address(cache.address));
        for (const auto &element : seen.message.find<Capabilities>()->elements) {
            Reader in(element.value, "");
            if (!element.value.empty())
                seen.capabilities.emplace_back(element.type, in.u32(""));
        }
        if (const auto *commands = seen.message.find<Commands>()) {
            for (const auto &command : commands->elements) {
                Reader in(command.value, "");
                seen.shut_down.push_back(*addresses.address(in.u32("")));
            }
        }
        return seen;
    }
};

} // namespace wccp_test
