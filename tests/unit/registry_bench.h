// SPDX-License-Identifier: GPL-2.0-only
// A gateway's registry and its replicas on a network in virtual time, which loses, delays,
// repeats and forges as it is told.
#pragma once

#include <catch2/catch.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "registry/gateway.h"
#include "registry/replica.h"

namespace registry_test {

using namespace wlb;
using namespace wlb::registry;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

inline Address at(const std::string &text)
{
    return *Address::parse(text);
}

inline Keys keys(const std::string &text = "1 sixteen-octets-or-more\n")
{
    auto parsed = Keys::parse(text);
    REQUIRE(parsed);
    return *parsed;
}

inline const Address gateway_address = at("203.0.113.1");
inline const Address server = at("203.0.113.10");

inline GatewayOrigin www()
{
    GatewayOrigin origin;
    origin.name = "www";
    origin.servers = {server};
    origin.ports = {80, 443};
    origin.permitted = {*Prefix::parse("198.51.100.0/24")};
    return origin;
}

inline GatewayConfig config(std::vector<GatewayOrigin> origins = {www()})
{
    GatewayConfig config;
    config.keys = keys();
    config.origins = std::move(origins);
    return config;
}

inline ServedOrigin served(OriginState state = OriginState::ready)
{
    ServedOrigin origin;
    origin.servers = {server};
    origin.ports = {80};
    origin.state = state;
    return origin;
}

// Challenges that are easily told apart.
inline Random counting()
{
    return [n = std::uint64_t{0}](std::uint8_t *to, std::size_t size) mutable {
        ++n;
        for (std::size_t i = 0; i < size; ++i)
            to[i] = i < 8 ? static_cast<std::uint8_t>(n >> 8 * i) : 0x5a;
    };
}

class Bench {
public:
    explicit Bench(GatewayConfig gateway_config = config())
        : gateway(std::move(gateway_config), 7, counting())
    {
    }

    Registrant &add(const std::string &address, Time one_way = 1ms, OriginState state = {},
                    Keys own = keys())
    {
        auto &there = replicas[at(address)];
        there.one_way = one_way;
        there.registrant = std::make_unique<Registrant>("r", at(address), std::move(own), ++boots);
        say(address, state);
        return *there.registrant;
    }

    void say(const std::string &address, OriginState state)
    {
        auto one = served(state);
        one.weight = weight;
        announce(address, {{{{gateway_address, default_port}}, one}});
    }

    void announce(const std::string &address, std::vector<Announced> origins)
    {
        from_replica(at(address),
                     replicas.at(at(address)).registrant->announce(now, std::move(origins)));
    }

    void start() { from_gateway(gateway.start(now)); }

    // What is due in so much time happens.
    void run(Time duration)
    {
        const auto end = now + duration;
        for (;;) {
            auto next = gateway.next_deadline().value_or(Time::max());
            for (const auto &[address, there] : replicas)
                if (there.registrant && !there.off)
                    next = std::min(next, there.registrant->next_deadline().value_or(Time::max()));
            const bool arrival = !wire.empty() && wire.begin()->first <= next;
            if (arrival)
                next = wire.begin()->first;
            if (next > end)
                break;
            now = std::max(now, next);
            if (arrival) {
                const auto deliver = wire.begin()->second;
                wire.erase(wire.begin());
                deliver();
                continue;
            }
            from_gateway(gateway.tick(now));
            for (auto &[address, there] : replicas)
                if (there.registrant && !there.off)
                    from_replica(address, there.registrant->tick(now));
        }
        now = end;
    }

    // What arrives at the gateway from somebody.
    GatewayOutput inject(const Address &from, const Octets &octets,
                         std::uint16_t port = default_port)
    {
        auto out = gateway.receive(now, {from, port, gateway_address, octets});
        from_gateway(out);
        return out;
    }

    [[nodiscard]] std::set<std::string> in(const std::string &origin = "www") const
    {
        std::set<std::string> names;
        const auto tables = gateway.tables();
        for (const auto &replica : tables.at(origin))
            names.insert(replica.address.text());
        return names;
    }

    [[nodiscard]] ReplicaReport report(const std::string &address) const
    {
        for (const auto &report : gateway.report(now))
            if (report.address == at(address))
                return report;
        FAIL("there is no " << address);
        return {};
    }

    [[nodiscard]] std::uint64_t refused(Refusal refusal) const
    {
        return gateway.counters().refused[static_cast<std::size_t>(refusal)];
    }

    struct There {
        std::unique_ptr<Registrant> registrant;
        Time one_way{0};
        bool off = false; // the host
        std::uint16_t port = default_port;
    };

    Gateway gateway;
    Time now = 100s;
    std::map<Address, There> replicas;
    std::multimap<Time, std::function<void()>> wire;
    std::function<bool(const wccp::Outgoing &)> lost = [](const auto &) { return false; };
    std::vector<wccp::Outgoing> said; // to the gateway
    Tables kernel;
    std::size_t told = 0; // how often
    std::vector<GatewayEvent> events;
    std::uint64_t boots = 1000;
    std::uint32_t weight = 1;

    void from_gateway(const GatewayOutput &out)
    {
        for (const auto &[name, table] : out.tables) {
            kernel[name] = table;
            ++told;
        }
        events.insert(events.end(), out.events.begin(), out.events.end());
        for (const auto &datagram : out.datagrams) {
            const auto found = replicas.find(datagram.to);
            if (found == replicas.end() || found->second.off || lost(datagram) ||
                datagram.to_port != found->second.port)
                continue;
            wire.emplace(now + found->second.one_way, [this, datagram] {
                auto &there = replicas.at(datagram.to);
                if (!there.off && there.registrant)
                    from_replica(datagram.to,
                                 there.registrant->receive(now, {gateway_address, default_port,
                                                                 datagram.to, datagram.octets}));
            });
        }
    }

    void from_replica(const Address &address, const std::vector<wccp::Outgoing> &datagrams)
    {
        const auto &there = replicas.at(address);
        for (const auto &datagram : datagrams) {
            said.push_back(datagram);
            if (there.off || lost(datagram))
                continue;
            wire.emplace(now + there.one_way, [this, datagram, port = there.port] {
                inject(datagram.from, datagram.octets, port);
            });
        }
    }
};

} // namespace registry_test
