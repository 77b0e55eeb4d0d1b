// SPDX-License-Identifier: GPL-2.0-only
// One cache and routers that a test speaks for, and whole groups of both real sides.
#pragma once

#include <catch2/catch.hpp>

#include <algorithm>
#include <deque>
#include <map>

#include "wccp/cache.h"
#include "wccp/router.h"
#include "wccp_router_messages.h"

namespace wccp_test {

inline const Address own = at("10.0.0.11");
inline const Address other_cache = at("10.0.0.12");
inline const Address router_1 = at("10.0.0.1");
inline const Address router_2 = at("10.0.0.2");
inline const Address to_group = at("224.1.1.1");

inline CacheConfig sample_cache()
{
    CacheConfig config;
    config.address = own;
    config.routers = {router_1};
    return config;
}

class CacheBench {
public:
    explicit CacheBench(CacheConfig config = sample_cache()) : group(std::move(config), 1)
    {
        note(group.start(now));
    }

    CacheOutput hear(const Octets &octets, const Address &from,
                     const std::optional<Address> &to = std::nullopt)
    {
        auto out = group.receive(now, {from, port, to.value_or(group.config().address), octets});
        note(out);
        return out;
    }
    CacheOutput hear(const ISeeYou &message)
    {
        return hear(message.octets(), message.router,
                    message.sent_to.is_multicast() ? std::optional(message.sent_to) : std::nullopt);
    }
    // Ticks at every deadline on the way.
    void run(Duration time)
    {
        const auto end = now + time;
        while (group.next_deadline() && *group.next_deadline() <= end) {
            now = std::max(now, *group.next_deadline());
            note(group.tick(now));
        }
        now = end;
    }

    // What a router says that has got our last message, the next time.
    ISeeYou answer(const Address &router, bool listed = true)
    {
        ISeeYou message;
        message.router = router;
        message.receive_id = ++ids[router];
        message.sent_to = router;
        message.received_from = {group.config().address};
        message.service = group.config().service;
        message.password = group.config().password;
        message.change_number = 7;
        if (listed) {
            message.routers = {router};
            message.caches = {{group.config().address, group.config().weight}};
        }
        return message;
    }
    // Until the router counts us.
    void join(const Address &router)
    {
        hear(answer(router, false));
        run(Duration{1000});
        hear(answer(router));
    }

    std::vector<Said> said()
    {
        std::vector<Said> result;
        for (const auto &sent : std::exchange(sent, {})) {
            if (parse_header(sent.octets)->type == MessageType::here_i_am)
                result.push_back(Said::of(sent));
        }
        return result;
    }
    Said last_said()
    {
        const auto all = said();
        REQUIRE_FALSE(all.empty());
        return all.back();
    }
    std::vector<Assigned> assigned()
    {
        std::vector<Assigned> result;
        for (const auto &sent : std::exchange(sent, {})) {
            if (parse_header(sent.octets)->type == MessageType::redirect_assign)
                result.push_back(Assigned::of(sent));
        }
        return result;
    }
    bool saw(CacheEventKind kind)
    {
        const bool found = std::any_of(events.begin(), events.end(),
                                       [&](const auto &event) { return event.kind == kind; });
        events.clear();
        return found;
    }
    [[nodiscard]] RouterReport report(const Address &router) const
    {
        for (const auto &report : group.report(now).routers) {
            if (report.id == router)
                return report;
        }
        FAIL("not reported: " << router.text());
        return {};
    }
    [[nodiscard]] bool knows(const Address &router) const
    {
        const auto routers = group.report(now).routers;
        return std::any_of(routers.begin(), routers.end(),
                           [&](const auto &report) { return report.id == router; });
    }

    CacheGroup group;
    Time now{1000000};
    std::vector<Outgoing> sent;
    std::vector<CacheEvent> events;
    std::vector<Path> paths;
    std::map<Address, std::uint32_t> ids;

private:
    void note(const CacheOutput &out)
    {
        sent.insert(sent.end(), out.datagrams.begin(), out.datagrams.end());
        events.insert(events.end(), out.events.begin(), out.events.end());
        if (out.paths)
            paths = *out.paths;
        CHECK(paths == group.paths());
    }
};

// Both real sides on one network, each message a millisecond under way.
class Network {
public:
    RouterGroup &add(const GroupConfig &config)
    {
        return *routers.emplace_back(
            std::make_unique<RouterGroup>(config, std::uint64_t{100} + routers.size()));
    }
    CacheGroup &add(const CacheConfig &config)
    {
        auto &cache = *caches.emplace_back(
            std::make_unique<CacheGroup>(config, std::uint64_t{200} + caches.size()));
        say(cache.start(now));
        return cache;
    }
    void say(const CacheOutput &out)
    {
        for (const auto &datagram : out.datagrams)
            flying.push_back({now + Duration{1}, datagram});
    }
    void run(Duration time)
    {
        for (const auto end = now + time; now < end; now += Duration{1}) {
            while (!flying.empty() && flying.front().at <= now) {
                const auto datagram = flying.front().datagram;
                flying.pop_front();
                deliver(datagram);
            }
            for (auto &router : routers) {
                if (router->next_deadline() && *router->next_deadline() <= now)
                    say(router->tick(now));
            }
            for (auto &cache : caches) {
                if (cache->next_deadline() && *cache->next_deadline() <= now)
                    say(cache->tick(now));
            }
        }
    }

    std::vector<std::unique_ptr<RouterGroup>> routers;
    std::vector<std::unique_ptr<CacheGroup>> caches;
    Time now{1000000};

private:
    struct Flying {
        Time at;
        Outgoing datagram;
    };

    void say(const Output &out)
    {
        for (const auto &datagram : out.datagrams)
            flying.push_back({now + Duration{1}, datagram});
    }
    void deliver(const Outgoing &datagram)
    {
        const Datagram received{datagram.from, port, datagram.to, datagram.octets};
        for (auto &router : routers) {
            if (datagram.to == router->config().router_id ||
                (datagram.multicast && datagram.from != router->config().router_id))
                say(router->receive(now, received));
        }
        for (auto &cache : caches) {
            if (datagram.to == cache->config().address ||
                (datagram.multicast && datagram.from != cache->config().address))
                say(cache->receive(now, received));
        }
    }

    std::deque<Flying> flying;
};

} // namespace wccp_test
