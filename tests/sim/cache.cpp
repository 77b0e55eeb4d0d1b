// SPDX-License-Identifier: GPL-2.0-only
#include "cache.h"

#include <algorithm>

namespace sim {
namespace {

constexpr std::uint16_t usual_mask = 0x1741;

// Equal shares for all.
std::vector<MaskSet> mask_sets(std::size_t caches)
{
    MaskSet set{};
    set.mask.dst[2] = usual_mask >> 8;
    set.mask.dst[3] = usual_mask & 0xff;
    const auto values = std::uint32_t{1} << wlb_wccp_mask_bits(&set.mask, 4);
    for (std::uint32_t number = 0; number < values; ++number) {
        MaskValue value{{}, static_cast<std::uint8_t>(number % caches)};
        wlb_wccp_vsn_value(&set.mask, 4, number, &value.value);
        set.values.push_back(value);
    }
    return {set};
}

} // namespace

void Cache::forget_silent(Time now)
{
    std::erase_if(routers_,
                  [&](const auto &entry) { return now - entry.second.heard >= 3 * set_.transmit; });
}

std::vector<std::uint32_t> Cache::membership() const
{
    std::vector<std::uint32_t> result;
    for (const auto &[id, router] : routers_) {
        AddressList list(false);
        result.push_back(list.word(id));
        result.push_back(router.change_number);
    }
    return result;
}

std::set<Address> Cache::seen_by_all() const
{
    std::set<Address> all;
    bool first = true;
    for (const auto &[id, router] : routers_) {
        if (first)
            all = router.caches;
        else
            std::erase_if(all, [&](const auto &cache) { return !router.caches.contains(cache); });
        first = false;
    }
    return all;
}

// Eligible is who hears every router that any of them tells of (R1 3.9); of those seen by
// all the lowest address.
bool Cache::designated() const
{
    if (routers_.empty())
        return false;
    for (const auto &[id, router] : routers_) {
        if (std::any_of(router.routers.begin(), router.routers.end(),
                        [&](const auto &other) { return !routers_.contains(other); }))
            return false;
    }
    const auto all = seen_by_all();
    return !all.empty() && *all.begin() == set_.address;
}

Octets Cache::hello() const
{
    Hello hello;
    hello.cache = set_.address;
    hello.service = set_.service;
    hello.method = set_.method;
    hello.weight = set_.weight;
    hello.mask.dst[3] = 0x41;
    hello.password = set_.password;
    hello.shutdown = leaving_;
    hello.capabilities = Chosen{{1, 1}, {2, static_cast<std::uint32_t>(set_.method)}, {3, 1}};
    if (set_.transmit != Timers{}.transmit)
        hello.capabilities->emplace_back(Capabilities::transmit_t,
                                         static_cast<std::uint32_t>(set_.transmit.count()));
    std::set<Address> caches;
    for (const auto &[id, router] : routers_) {
        hello.routers.emplace_back(id, router.receive_id);
        caches.insert(router.caches.begin(), router.caches.end());
    }
    hello.caches.assign(caches.begin(), caches.end());
    return hello.octets();
}

Octets Cache::assignment() const
{
    Assign assign;
    assign.key = key_now_;
    assign.service = set_.service;
    assign.password = set_.password;
    for (const auto &[id, router] : routers_)
        assign.routers.push_back({id, router.receive_id, router.change_number});
    const auto all = seen_by_all();
    assign.caches.assign(all.begin(), all.end());
    if (set_.method == Method::mask)
        assign.sets = mask_sets(all.size());
    for (std::size_t i = 0; i < 256; ++i)
        assign.buckets[i] = static_cast<std::uint8_t>(i % all.size());
    return assign.octets();
}

void Cache::to_all(std::vector<Sent> &out, const Octets &octets) const
{
    if (set_.multicast) {
        out.push_back({*set_.multicast, octets});
        return;
    }
    for (const auto &router : set_.routers)
        out.push_back({router, octets});
}

std::vector<Sent> Cache::tick(Time now)
{
    std::vector<Sent> out;
    forget_silent(now);
    if (now >= hello_at_) {
        to_all(out, hello());
        said_at_ = now;
        hello_at_ = now + set_.transmit;
    }
    if (!assign_at_ || now < *assign_at_)
        return out;
    // Not while answers are under way, whose receive IDs an assignment would need.
    if (now - said_at_ < set_.transmit / 4) {
        assign_at_ = said_at_ + set_.transmit / 4;
        return out;
    }
    assign_at_.reset();
    if (!designated() || leaving_)
        return out;
    const auto all = seen_by_all();
    if (key_now_.number == 0 || all != assigned_)
        key_now_ = {set_.address, ++key_};
    assigned_ = all;
    const bool reflected = std::all_of(routers_.begin(), routers_.end(), [&](const auto &entry) {
        return entry.second.key == key_now_;
    });
    if (!reflected)
        to_all(out, assignment());
    assign_at_ = now + set_.transmit; // until every router reflects it
    return out;
}

void Cache::receive(Time now, const Address &, const Address &, const Octets &octets)
{
    const auto header = parse_header(octets);
    if (!header)
        return;
    if (header->type == MessageType::removal_query) {
        hello_at_ = now; // three of them, says the draft; the network may lose this one
        return;
    }
    if (header->type != MessageType::i_see_you ||
        authenticate(octets, set_.password, false).verdict != Verdict::authentic)
        return;
    const auto seen = Seen::of(octets);
    if (std::find(seen.received_from.begin(), seen.received_from.end(), set_.address) ==
        seen.received_from.end())
        return;
    auto &router = routers_[seen.router];
    router.receive_id = seen.receive_id;
    router.change_number = seen.change_number;
    router.key = seen.key;
    router.routers = {seen.routers.begin(), seen.routers.end()};
    router.caches = {seen.caches.begin(), seen.caches.end()};
    router.heard = now;
    const auto present = membership();
    if (present != settled_) {
        settled_ = present;
        key_now_ = {};
        assign_at_ = now + set_.transmit * 3 / 2;
    } else if (!assign_at_ && router.key != key_now_) {
        assign_at_ = now + set_.transmit;
    }
}

namespace {

class Shipped : public Station {
public:
    Shipped(const CacheSettings &settings, std::uint32_t seed) : group_(config_of(settings), seed)
    {
    }

    std::vector<Sent> tick(Time now) override
    {
        if (start_at_ && now >= *start_at_) {
            start_at_.reset();
            keep(group_.start(now));
        }
        keep(group_.tick(now));
        return std::move(sent_);
    }
    void receive(Time now, const Address &from, const Address &to, const Octets &octets) override
    {
        keep(group_.receive(now, {from, port, to, octets}));
    }
    [[nodiscard]] std::optional<Time> next() const override
    {
        if (!sent_.empty())
            return Time{0};
        return start_at_ ? start_at_ : group_.next_deadline();
    }
    void start(Time now, Duration after) override
    {
        if (!leaving_)
            start_at_ = now + after;
    }
    void leave(Time now, bool leaving) override
    {
        leaving_ = leaving;
        start_at_.reset();
        keep(leaving ? group_.leave(now) : group_.start(now));
    }
    void set_weight(Time now, std::uint16_t weight) override
    {
        keep(group_.set_weight(now, weight));
    }
    [[nodiscard]] const CacheGroup *group() const override { return &group_; }

private:
    static CacheConfig config_of(const CacheSettings &settings)
    {
        CacheConfig config;
        config.address = settings.address;
        config.service = settings.service;
        if (settings.multicast)
            config.group_address = settings.multicast;
        else
            config.routers = settings.routers;
        config.assignment = {settings.method};
        config.weight = settings.weight;
        config.timers.transmit = settings.transmit;
        config.password = settings.password;
        config.max_minor = settings.minor;
        config.slow_start = settings.slow_start;
        return config;
    }
    void keep(CacheOutput out)
    {
        for (auto &datagram : out.datagrams)
            sent_.push_back({datagram.to, std::move(datagram.octets)});
    }

    CacheGroup group_;
    std::vector<Sent> sent_; // by what is no tick
    std::optional<Time> start_at_;
    bool leaving_ = false;
};

} // namespace

std::unique_ptr<Station> make_cache(const CacheSettings &settings, std::uint32_t seed)
{
    if (settings.real)
        return std::make_unique<Shipped>(settings, seed);
    return std::make_unique<Cache>(settings, seed);
}

} // namespace sim
