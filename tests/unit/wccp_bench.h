// SPDX-License-Identifier: GPL-2.0-only
// One router group and caches that a test speaks for.
#pragma once

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>

#include "wccp/router.h"
#include "wccp_messages.h"

namespace wccp_test {

inline const Address router_address = at("10.0.0.1");
inline const Address cache_a = at("10.0.0.11");
inline const Address cache_b = at("10.0.0.12");
inline const Address multicast_address = at("224.1.1.1");

inline GroupConfig sample_config()
{
    GroupConfig config;
    config.router_id = router_address;
    config.group_list = {*Prefix::parse("10.0.0.0/24")};
    config.on_link = [](const Address &address) { return address == cache_a; };
    return config;
}

class Bench {
public:
    explicit Bench(GroupConfig config = sample_config()) : group(std::move(config), 1) {}

    Output send(const Octets &octets, const Address &from,
                const std::optional<Address> &to = std::nullopt)
    {
        auto out = group.receive(now, {from, port, to.value_or(group.config().router_id), octets});
        note(out);
        return out;
    }
    Output wait(Duration time)
    {
        now += time;
        auto out = group.tick(now);
        note(out);
        return out;
    }
    // Ticks at every deadline on the way.
    std::vector<Output> run(Duration time)
    {
        std::vector<Output> outs;
        const auto end = now + time;
        while (group.next_deadline() && *group.next_deadline() <= end) {
            now = std::max(now, *group.next_deadline());
            outs.push_back(group.tick(now));
            note(outs.back());
        }
        now = end;
        return outs;
    }

    // As the cache would say it now.
    Hello hello(const Address &cache)
    {
        Hello hello;
        hello.cache = cache;
        hello.password = group.config().password;
        if (ids.contains(cache))
            hello.routers = {{group.config().router_id, ids[cache]}};
        return hello;
    }
    Output say(const Hello &hello, const std::optional<Address> &to = std::nullopt)
    {
        return send(hello.octets(), hello.cache, to);
    }
    Output say(const Address &cache) { return say(hello(cache)); }
    Output join(Hello wanted)
    {
        say(wanted);
        wanted.routers = hello(wanted.cache).routers;
        return say(wanted);
    }
    Output join(const Address &cache) { return join(hello(cache)); }

    Assign assign(const Address &from, std::vector<Address> caches)
    {
        Assign assign;
        assign.key = {from, ++key_number};
        assign.routers = {{group.config().router_id, ids[from], change()}};
        assign.caches = std::move(caches);
        for (std::size_t i = 0; i < 256 && !assign.caches.empty(); ++i)
            assign.buckets[i] = static_cast<std::uint8_t>(i % assign.caches.size());
        assign.password = group.config().password;
        return assign;
    }
    Output say(const Assign &assign) { return send(assign.octets(), assign.key.address); }

    [[nodiscard]] std::uint32_t change() const { return group.assignment().change_number; }
    [[nodiscard]] std::vector<Address> members() const
    {
        std::vector<Address> result;
        for (const auto &member : group.assignment().members)
            result.push_back(member.address);
        return result;
    }
    [[nodiscard]] std::size_t assigned(const Address &cache) const
    {
        for (const auto &report : group.report(now).caches) {
            if (report.address == cache)
                return report.share;
        }
        return 0;
    }
    [[nodiscard]] std::uint64_t refused(Refusal refusal) const
    {
        return group.counters().of(refusal);
    }
    [[nodiscard]] CacheReport report(const Address &cache) const
    {
        for (const auto &report : group.report(now).caches) {
            if (report.address == cache)
                return report;
        }
        FAIL("not reported: " << cache.text());
        return {};
    }

    RouterGroup group;
    Time now{1000000};
    std::map<Address, std::uint32_t> ids; // the last receive ID that each cache got
    std::uint32_t key_number = 0;

private:
    void note(const Output &out)
    {
        for (const auto &datagram : out.datagrams) {
            const auto type = parse_header(datagram.octets)->type;
            REQUIRE(parse(datagram.octets));
            if (type != MessageType::i_see_you)
                continue;
            const auto seen = Seen::of(datagram.octets);
            for (const auto &cache : seen.received_from)
                ids[cache] = seen.receive_id;
        }
    }
};

inline Seen answer_of(const Output &out)
{
    REQUIRE(out.datagrams.size() == 1);
    REQUIRE(parse_header(out.datagrams[0].octets)->type == MessageType::i_see_you);
    return Seen::of(out.datagrams[0].octets);
}

inline bool has(const Output &out, EventKind kind)
{
    return std::any_of(out.events.begin(), out.events.end(),
                       [&](const Event &event) { return event.kind == kind; });
}

} // namespace wccp_test
