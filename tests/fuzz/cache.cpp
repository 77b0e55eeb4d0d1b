// SPDX-License-Identifier: GPL-2.0-only
// userspace/wccp's cache: messages of a few routers, true, stale, forged and broken, with
// time going on between them. Input: first the cache's settings, then one step after
// another, each of a few octets.
#include <cstdint>
#include <map>

#include "check.h"
#include "input.h"
#include "wccp/cache.h"
#include "wccp_router_messages.h"

using namespace wccp_test;

namespace {

constexpr int max_steps = 60; // longer inputs are slow and tell no more
const Address own = at("10.0.0.20");
const Address group_address = at("224.1.1.1");

Address numbered(unsigned last)
{
    return at("10.0.0." + std::to_string(last));
}

class Player {
public:
    Player(Input &input, const CacheConfig &config) : input_(input), group_(config, 1)
    {
        take(group_.start(now_));
    }

    void step()
    {
        const auto what = input_.octet();
        const auto router = numbered(1 + (what >> 4) % 6);
        switch (what & 15) {
        case 0:
            now_ += Duration(input_.octet() * 100);
            [[fallthrough]];
        case 1:
            take(group_.tick(now_));
            break;
        case 2: // on to what is due, some times
            for (int i = input_.octet() % 16; i >= 0 && group_.next_deadline(); --i) {
                now_ = std::max(now_, *group_.next_deadline());
                take(group_.tick(now_));
            }
            break;
        case 3:
        case 4:
        case 5:
            say(router, answer(router));
            break;
        case 6:
            say(router, query(router));
            break;
        case 7:
            forged(router, answer(router));
            break;
        case 8:
            mutated(router, answer(router));
            break;
        case 9:
            mutated(router, query(router));
            break;
        case 10:
            usable_ = !usable_;
            take(group_.set_usable(now_, usable_));
            break;
        case 11:
            take(group_.set_weight(now_, input_.octet()));
            break;
        case 12: {
            auto config = group_.config();
            config.routers = {numbered(1 + input_.octet() % 6)};
            config.learn_routers = what & 16;
            if (auto out = group_.reconfigure(now_, config))
                take(*out);
            break;
        }
        default:
            started_ = !started_;
            take(started_ ? group_.start(now_) : group_.leave(now_));
        }
    }

private:
    Octets answer(const Address &router)
    {
        const auto how = input_.octet();
        const auto more = input_.octet();
        ISeeYou message;
        message.router = router;
        message.receive_id = ids_[router] += more % 3;
        message.sent_to = multicast_ =
            how & 1 && group_.config().group_address ? group_address : router;
        message.received_from = {own};
        message.service = group_.config().service;
        message.password = group_.config().password;
        message.change_number = more >> 4;
        message.minor = how >> 1 & 1;
        message.method = group_.config().assignment.front();
        message.backwards = how & 4;
        for (unsigned i = 0; i < (more >> 2 & 3U); ++i)
            message.routers.push_back(numbered(1 + i));
        for (unsigned i = 0; i < (how >> 3 & 7U); ++i) {
            Shown shown{
                numbered(18 + i), static_cast<std::uint16_t>(more * i), {}, (how & 64) != 0};
            shown.buckets[more % 32] = how;
            message.caches.push_back(shown);
        }
        if (how & 128)
            message.key = last_key_;
        if (message.method == Method::mask && how & 64 && !message.caches.empty()) {
            message.alternate = message.minor > 0;
            message.sets = {
                filled(usual_mask(message.service, 4), 4, std::vector<std::uint8_t>(more % 65, 0))};
        }
        const auto offer = more & 3U;
        message.capabilities = Chosen{{1, 1 + offer}, {2, offer ? offer : 3}, {3, 3}};
        if (more & 128)
            message.capabilities->emplace_back(Capabilities::transmit_t,
                                               static_cast<std::uint32_t>(how) << 20 | more << 4);
        if (more == 77)
            message.shut_down = own;
        return message.octets();
    }

    Octets query(const Address &router)
    {
        multicast_ = router;
        return Query{
            router, ids_[router] + input_.octet() % 2, router, own, group_.config().service,
            0,      group_.config().password}
            .octets();
    }

    void say(const Address &from, const Octets &octets)
    {
        take(group_.receive(
            now_, {from, port, multicast_ == group_address ? group_address : own, octets}));
    }

    // Nobody who has not the password, or not the address, changes anything.
    void forged(const Address &from, Octets octets)
    {
        const auto paths = group_.paths();
        const auto due = group_.next_deadline();
        const auto taken = group_.counters().i_see_you;
        auto source = from;
        if (group_.config().password.empty())
            source = at("10.0.7.7");
        else
            octets[input_.octet() % octets.size()] ^=
                static_cast<std::uint8_t>(input_.octet() | 1U);
        if (group_.config().password.empty() && multicast_ == group_address)
            return;
        const auto out = group_.receive(now_, {source, port, own, octets});
        CHECK(out.datagrams.empty() && out.events.empty() && !out.paths);
        CHECK(group_.paths() == paths && group_.next_deadline() == due);
        CHECK(group_.counters().i_see_you == taken);
    }

    // Authentic, but not as it was meant.
    void mutated(const Address &from, Octets octets)
    {
        for (unsigned n = input_.octet() % 4; n > 0; --n) {
            const auto at = header_size +
                            (input_.octet() << 8 | input_.octet()) % (octets.size() - header_size);
            octets[at] = input_.octet();
        }
        if (!group_.config().password.empty() && octets[digest_offset - 1] == 1)
            sign(octets, group_.config().password, DigestForm::draft);
        say(from, octets);
    }

    void take(const CacheOutput &out)
    {
        if (out.paths)
            told_ = *out.paths;
        CHECK(told_ == group_.paths());
        const auto report = group_.report(now_);
        for (const auto &datagram : out.datagrams) {
            CHECK(datagram.octets.size() <= max_message);
            CHECK(authenticate(datagram.octets, group_.config().password, false).verdict ==
                  Verdict::authentic);
            if (parse_header(datagram.octets)->type == MessageType::here_i_am) {
                const auto said = Said::of(datagram);
                CHECK(said.cache == own && said.routers.size() <= max_routers);
                CHECK(said.shutdown || report.phase == CachePhase::present);
            } else {
                check(Assigned::of(datagram));
            }
        }
        CHECK(report.routers.size() <= max_routers);
        CHECK((report.phase == CachePhase::silent) == !group_.next_deadline().has_value());
        CHECK(report.phase != CachePhase::silent || group_.paths().empty());
        CHECK(report.phase != CachePhase::present || (started_ && usable_));
    }

    void check(const Assigned &assigned)
    {
        const auto &proposal = assigned.proposal;
        CHECK(proposal.key.address == own && proposal.key.number != 0);
        CHECK(proposal.bad_buckets == 0 && proposal.never_matching == 0 &&
              proposal.bad_sequence_numbers == 0);
        CHECK(!proposal.routers.empty() && !proposal.table.caches().empty());
        // The lowest; masks name none that has nothing.
        CHECK(proposal.table.method() == Method::mask || proposal.table.caches().front() == own);
        std::size_t given = 0;
        for (const auto &cache : proposal.table.caches())
            given += proposal.table.share(cache);
        CHECK(given == (proposal.table.method() == Method::hash ? 256 : 64));
        last_key_ = proposal.key;
    }

    Input &input_;
    CacheGroup group_;
    std::vector<Path> told_;
    Time now_{1000000};
    bool started_ = true, usable_ = true;
    Address multicast_;
    Key last_key_;
    std::map<Address, std::uint32_t> ids_;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    Input input(data, size);
    const auto settings = input.octet();
    CacheConfig config;
    config.address = own;
    config.routers = {numbered(1), numbered(2), numbered(3)};
    if (settings & 1)
        config.password = "secret12";
    if (settings & 2)
        config.group_address = group_address;
    if (settings & 4)
        config.assignment = {Method::mask, Method::hash};
    if (settings & 8)
        config.slow_start = Duration{40000};
    config.learn_routers = settings & 16;
    config.yield = settings & 32;
    config.max_minor = settings >> 6 & 1;
    if (settings & 128)
        config.timers.transmit = Duration{2000};
    Player player(input, config);
    for (int steps = 0; steps < max_steps && !input.done(); ++steps)
        player.step();
    return 0;
}
