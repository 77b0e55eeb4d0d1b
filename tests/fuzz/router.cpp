// SPDX-License-Identifier: GPL-2.0-only
// userspace/wccp's router: messages of a few caches, true, stale, forged and broken, with
// time going on between them. Input: first the group's settings, then one step after
// another, each of a few octets.
#include <cstdint>
#include <map>

#include "check.h"
#include "input.h"
#include "wccp/router.h"
#include "wccp_messages.h"

using namespace wccp_test;

namespace {

constexpr int max_steps = 100; // longer inputs are slow and tell no more
const Address router_address = at("10.0.0.1");
const Address group_address = at("224.1.1.1");

class Player {
public:
    Player(Input &input, const GroupConfig &config)
        : input_(input), group_(config, 1), told_(group_.assignment())
    {
    }

    void step()
    {
        const auto what = input_.octet();
        const auto cache = at("10.0.0." + std::to_string(10 + (what >> 4)));
        switch (what & 7) {
        case 0:
            now_ += Duration(input_.octet() * 100);
            [[fallthrough]];
        case 1:
            take(group_.tick(now_), group_.assignment());
            break;
        case 2:
            say(cache, hello(cache).octets());
            break;
        case 3:
            say(cache, assign(cache).octets());
            break;
        case 4:
            forged(cache, hello(cache).octets());
            break;
        case 5:
            mutated(cache, hello(cache).octets());
            break;
        case 6:
            mutated(cache, assign(cache).octets());
            break;
        default: { // a restart
            const auto before = group_.assignment();
            RouterGroup next(group_.config(), what);
            next.restore(now_, before);
            CHECK(next.assignment() == before);
            group_ = std::move(next);
        }
        }
    }

private:
    Hello hello(const Address &cache)
    {
        const auto how = input_.octet();
        Hello hello;
        hello.cache = cache;
        hello.password = group_.config().password;
        hello.minor = how & 1;
        hello.minimum_version = how & 2;
        hello.shutdown = (how & 12) == 12;
        if (how & 16)
            hello.method = Method::mask;
        hello.mask.dst[3] = 0x41;
        hello.capabilities = Chosen{{1, 1 + (how >> 5 & 1)},
                                    {2, static_cast<std::uint32_t>(hello.method)},
                                    {3, 1 + (how >> 6 & 1)}};
        hello.weight = how;
        hello.routers = {{router_address, ids_[cache] + (how == 255)}};
        return hello;
    }

    Assign assign(const Address &cache)
    {
        const auto how = input_.octet();
        Assign assign;
        assign.password = group_.config().password;
        assign.key = {cache, how};
        assign.routers = {{router_address, ids_[cache], group_.assignment().change_number}};
        for (const auto &member : group_.assignment().members)
            assign.caches.push_back(member.address);
        if (how & 1)
            assign.caches.push_back(at("10.0.0.200")); // not one of them
        if (assign.caches.size() > max_caches)
            assign.caches.resize(max_caches);
        for (std::size_t i = 0; i < 256; ++i)
            assign.buckets[i] = static_cast<std::uint8_t>(i % (how + 1U));
        if (how & 2 && !assign.caches.empty()) {
            MaskSet set{};
            set.mask.dst[3] = how;
            set.values.push_back({{}, 0});
            assign.sets = {set};
        }
        return assign;
    }

    void say(const Address &from, const Octets &octets)
    {
        const auto before = group_.assignment();
        const auto &to = input_.octet() & 1 ? group_address : router_address;
        take(group_.receive(now_, {from, port, to, octets}), before);
    }

    // Nobody who has not the password, or not the receive ID, changes anything.
    void forged(const Address &from, Octets octets)
    {
        const auto before = group_.assignment();
        if (group_.config().password.empty()) {
            Hello stranger = hello(from);
            stranger.routers = {{router_address, ids_[from] + 1}};
            octets = stranger.octets();
        } else {
            octets[input_.octet() % octets.size()] ^=
                static_cast<std::uint8_t>(input_.octet() | 1U);
        }
        const auto out = group_.receive(now_, {from, port, router_address, octets});
        CHECK(!out.assignment && group_.assignment() == before);
        take(out, before);
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

    void take(const Output &out, const Assignment &before)
    {
        const auto present = group_.assignment();
        if (out.assignment)
            told_ = *out.assignment;
        CHECK(present == told_);
        CHECK(present.change_number != 0 && present.members.size() <= max_caches);
        for (const auto bucket : present.buckets)
            CHECK(bucket == WLB_WCCP_BUCKET_NONE ||
                  (bucket & WLB_WCCP_BUCKET_INDEX) < present.members.size());
        for (const auto &set : present.sets) {
            for (const auto &value : set.values)
                CHECK(value.member < present.members.size());
        }
        if (before.members.size() != present.members.size())
            CHECK(before.change_number != present.change_number);
        for (const auto &datagram : out.datagrams) {
            CHECK(datagram.octets.size() <= max_message);
            const auto header = parse_header(datagram.octets);
            CHECK(header && parse(datagram.octets));
            CHECK(authenticate(datagram.octets, group_.config().password, true).verdict ==
                  Verdict::authentic);
            if (header->type != MessageType::i_see_you)
                continue;
            const auto seen = Seen::of(datagram.octets);
            CHECK(seen.receive_id != 0);
            for (const auto &cache : seen.received_from)
                ids_[cache] = seen.receive_id;
        }
        const auto report = group_.report(now_);
        CHECK(report.visible.size() == present.members.size());
        CHECK(report.contacts <= Contacts::max);
        CHECK(report.caches.size() <= 2 * max_caches + reported_contacts);
        if (const auto due = group_.next_deadline())
            CHECK(present.members.empty() || *due >= Duration{0});
    }

    Input &input_;
    RouterGroup group_;
    Assignment told_;
    Time now_{1000000};
    std::map<Address, std::uint32_t> ids_;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    Input input(data, size);
    const auto settings = input.octet();
    GroupConfig config;
    config.router_id = router_address;
    config.group_list = {*Prefix::parse("10.0.0.0/24")};
    config.on_link = [](const Address &address) { return address < at("10.0.0.15"); };
    if (settings & 1)
        config.password = "secret12";
    config.md5_squid = settings & 2;
    if (settings & 4)
        config.group_address = group_address;
    if (settings & 8)
        config.assignment_fallback = Duration{20000};
    config.reassign_kick = settings & 16;
    config.strict_source = !(settings & 32);
    config.squid_filler = settings & 64 ? SquidFiller::automatic : SquidFiller::off;
    config.variable_timers = settings & 128;
    Player player(input, config);
    for (int steps = 0; steps < max_steps && !input.done(); ++steps)
        player.step();
    return 0;
}
