// SPDX-License-Identifier: GPL-2.0-only
// userspace/registry: a gateway that is told true, recorded, forged and broken things, with time
// going on between them. Input: one step after another, each of a few octets; or, if the first
// octet is 0xff, a message of somebody who has the key, but no mercy.
#include <cstdint>
#include <map>
#include <vector>

#include "check.h"
#include "input.h"
#include "registry/gateway.h"
#include "registry/replica.h"

using namespace wlb;
using namespace wlb::registry;

namespace {

constexpr int max_steps = 100;

Address at(const std::string &text)
{
    return *Address::parse(text);
}

const Keys &keys()
{
    static const auto parsed = Keys::parse("1 sixteen-octets-or-more");
    return *parsed;
}

// Whatever is in it, somebody has signed it.
void content(View octets)
{
    Octets message(octets.begin(), octets.end());
    for (const auto side : {Side::replica, Side::gateway}) {
        auto whole = message;
        const auto mac = mac_of(whole, static_cast<std::uint8_t>(side), keys().first());
        whole.insert(whole.end(), {0, 7, 0, 32});
        whole.insert(whole.end(), mac.begin(), mac.end());
        const auto opened = open(whole, keys(), side);
        if (const auto *good = std::get_if<Message>(&opened)) {
            const auto again = open(seal(*good, keys().first()), keys(), side);
            CHECK(std::get<Message>(again) == *good);
        }
        CHECK(std::holds_alternative<Refusal>(open(message, keys(), side)) ||
              message.size() > whole.size());
    }
}

class Player {
public:
    explicit Player(Input &input)
        : input_(input), gateway_(config(), 1, [this](std::uint8_t *to, std::size_t size) {
              ++challenge_;
              for (std::size_t i = 0; i < size; ++i)
                  to[i] = static_cast<std::uint8_t>(challenge_ >> 8 * (i % 4));
          })
    {
        for (std::uint8_t i = 0; i < 4; ++i)
            replicas_.try_emplace(address(i), "r", address(i), keys(), i);
        take(gateway_.start(now_));
    }

    void step()
    {
        const auto what = input_.octet();
        const auto own = address(what >> 6);
        auto &replica = replicas_.at(own);
        const auto before = gateway_.tables();
        switch (what & 7) {
        case 0:
            now_ += std::chrono::milliseconds(input_.octet() * 20);
            [[fallthrough]];
        case 1:
            take(gateway_.tick(now_));
            break;
        case 2: {
            ServedOrigin origin;
            origin.servers = {at("203.0.113.10")};
            origin.ports = {80};
            origin.state = static_cast<OriginState>(what >> 3 & 3);
            origin.weight = what;
            said(replica.announce(now_, {{{{gateway_address_, default_port}}, origin}}));
            break;
        }
        case 3: // all that was said arrives, in some order
            while (!wire_.empty()) {
                const auto i = input_.octet() % wire_.size();
                const auto datagram = wire_[i];
                wire_.erase(wire_.begin() + static_cast<std::ptrdiff_t>(i));
                arrive(datagram);
            }
            break;
        case 4: // what was said long ago
            if (recorded_.empty())
                break;
            arrive(recorded_[input_.octet() % recorded_.size()], true);
            break;
        case 5: { // nobody's
            if (recorded_.empty())
                break;
            auto datagram = recorded_[input_.octet() % recorded_.size()];
            datagram.octets[input_.octet() % datagram.octets.size()] ^=
                static_cast<std::uint8_t>(input_.octet() | 1U);
            take(gateway_.receive(
                now_, {datagram.from, default_port, gateway_address_, datagram.octets}));
            CHECK(gateway_.tables() == before);
            break;
        }
        case 6:
            wire_.clear();
            break;
        default: { // another process
            Gateway next(gateway_.config(), what + 2U, [this](std::uint8_t *to, std::size_t size) {
                ++challenge_;
                for (std::size_t i = 0; i < size; ++i)
                    to[i] = static_cast<std::uint8_t>(challenge_ >> 8 * (i % 4));
            });
            next.take_over(now_, before);
            for (const auto &[name, table] : next.tables())
                CHECK(table.size() <= WLB_MAX_REPLICAS);
            told_ = before;
            gateway_ = std::move(next);
            take(gateway_.start(now_));
        }
        }
    }

private:
    static GatewayConfig config()
    {
        GatewayConfig config;
        config.keys = keys();
        GatewayOrigin origin;
        origin.name = "www";
        origin.servers = {at("203.0.113.10")};
        origin.ports = {80};
        origin.permitted = {*Prefix::parse("198.51.100.0/30")};
        origin.max = 2;
        origin.configured = {{address(1), Via::ipip, microseconds(5)},
                             {at("192.0.2.1"), Via::gre, microseconds(7)}};
        config.origins = {origin};
        return config;
    }

    static Address address(unsigned i) { return at("198.51.100." + std::to_string(i + 1)); }

    void said(const std::vector<wccp::Outgoing> &datagrams)
    {
        for (const auto &datagram : datagrams) {
            CHECK(!datagram.octets.empty() && datagram.octets.size() <= max_message);
            wire_.push_back(datagram);
            recorded_.push_back(datagram);
        }
    }

    void arrive(const wccp::Outgoing &datagram, bool again = false)
    {
        if (datagram.to != gateway_address_) {
            if (const auto found = replicas_.find(datagram.to); found != replicas_.end())
                said(found->second.receive(
                    now_, {gateway_address_, default_port, datagram.to, datagram.octets}));
            return;
        }
        const auto states = gateway_.counters().state;
        take(gateway_.receive(now_,
                              {datagram.from, default_port, gateway_address_, datagram.octets}));
        // The first time it may have been lost; but twice nothing counts.
        if (gateway_.counters().state != states)
            CHECK(++counted_[datagram.octets] == 1);
        (void)again;
    }

    void take(const GatewayOutput &out)
    {
        for (const auto &[name, table] : out.tables)
            told_[name] = table;
        CHECK(told_ == gateway_.tables());
        for (const auto &[name, table] : told_)
            CHECK(table.size() <= 2 + config().origins[0].configured.size());
        said(out.datagrams);
        while (recorded_.size() > 256)
            recorded_.erase(recorded_.begin());
        while (wire_.size() > 256)
            wire_.erase(wire_.begin());
        CHECK(gateway_.report(now_).size() <= 5 + 1);
    }

    Input &input_;
    const Address gateway_address_ = at("203.0.113.1");
    std::uint32_t challenge_ = 0;
    Time now_ = std::chrono::seconds(100);
    Gateway gateway_;
    std::map<Address, Registrant> replicas_;
    std::vector<wccp::Outgoing> wire_;
    std::vector<wccp::Outgoing> recorded_;
    std::map<Octets, int> counted_;
    Tables told_;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const auto opened = open({data, size}, keys(), Side::replica);
    CHECK(std::holds_alternative<Refusal>(opened));
    if (size > 0 && data[0] == 0xff) {
        content({data + 1, size - 1});
        return 0;
    }
    Input input(data, size);
    Player player(input);
    for (int steps = 0; steps < max_steps && !input.done(); ++steps)
        player.step();
    return 0;
}
