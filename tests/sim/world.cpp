// SPDX-License-Identifier: GPL-2.0-only
#include "world.h"

#include <algorithm>

#include "wccp/mask_list.h"
#include "wccp_quota.h"

namespace sim {
namespace {

constexpr Duration fault_time{90000};
const Address group_address = at("224.1.1.1");

Address numbered(const char *network, std::size_t number)
{
    return at(network + std::to_string(number + 1));
}

// Whose each bucket or value is.
std::vector<Address> owners(const Assignment &told)
{
    std::vector<Address> result;
    for (const auto bucket : told.buckets) {
        if (told.method == Method::hash && bucket != WLB_WCCP_BUCKET_NONE)
            result.push_back(told.members[bucket & WLB_WCCP_BUCKET_INDEX].address);
    }
    for (const auto &set : told.sets) {
        std::map<std::uint32_t, Address> by_number; // whatever order they came in
        for (const auto &value : set.values)
            by_number[number_of(value.value, set.mask, 4).value_or(0)] =
                told.members[value.member].address;
        for (const auto &[number, owner] : by_number)
            result.push_back(owner);
    }
    return result;
}

std::vector<std::size_t> counts(const std::vector<Address> &owners, const Assignment &told)
{
    std::map<Address, std::size_t> shares;
    for (const auto &owner : owners)
        ++shares[owner];
    std::vector<std::size_t> result;
    for (const auto &member : told.members)
        result.push_back(shares[member.address]);
    return result;
}

} // namespace

World::World(std::uint64_t seed, Caches caches, Totals &totals)
    : random_(seed), caches_(caches), totals_(totals)
{
    setup();
}

void World::at(Time when, Kind kind, std::size_t index)
{
    events_.push({when, ++order_, kind, index, {}, {}, {}});
}

void World::check(bool holds, const std::string &what)
{
    if (!holds && failure_.empty())
        failure_ = what + " at " + std::to_string((now_ - Time{1000000}).count()) + " ms";
}

void World::check(bool holds, const Address &who, const char *what)
{
    if (!holds)
        check(false, who.text() + ": " + what);
}

void World::setup()
{
    const auto routers = 1 + std::min({pick(8), pick(8), pick(8)});
    const auto caches = 1 + std::min({pick(32), pick(32), pick(32)});
    const bool by_multicast = chance(15);
    const auto method = chance(20) ? Method::mask : Method::hash;
    const Duration transmit = chance(20) ? Duration{2000} : Timers{}.transmit;
    config_.group_list = {*Prefix::parse("10.2.0.0/16")};
    config_.variable_timers = transmit != Timers{}.transmit;
    if (chance(60))
        config_.password = "geheim";
    if (by_multicast)
        config_.group_address = group_address;
    if (chance(15))
        config_.assignment_fallback = transmit * 4;
    config_.reassign_kick = chance(30);
    loss_ = static_cast<unsigned>(pick(40));
    duplication_ = static_cast<unsigned>(pick(20));
    faults_end_ = now_ + fault_time;

    for (std::size_t i = 0; i < routers; ++i) {
        routers_.emplace_back().id = numbered("10.1.0.", i);
        at(now_ + Duration(pick(5000)), Kind::router_up, i);
    }
    for (std::size_t i = 0; i < caches; ++i) {
        auto &settings = hosts_.emplace_back().settings;
        settings.address = numbered("10.2.0.", i);
        for (const auto &router : routers_)
            settings.routers.push_back(router.id);
        if (by_multicast)
            settings.multicast = group_address;
        settings.method = method;
        settings.transmit = transmit;
        settings.weight = static_cast<std::uint16_t>(pick(3));
        settings.password = config_.password;
        // from numbers of their own, so that a seed's history is the same with simple ones
        settings.real =
            caches_ == Caches::shipped || (caches_ == Caches::mixed && (i * 7 + caches) % 3);
        settings.minor = i % 5 != 0;
        if (caches_ == Caches::shipped && routers % 3 == 0)
            settings.slow_start = transmit * 3;
        at(now_ + Duration(pick(5000)), Kind::cache_up, i);
    }
    for (auto when = now_ + Duration(pick(20000)); when < faults_end_;
         when += Duration(pick(20000)))
        at(when, Kind::fault, 0);
}

// One timer's length after the other, at the worst: silent ones are forgotten (3 T), all
// have joined (2 T, and one more each if answers wait for a multicast), have told each
// other's views (2 T), the designated one waits (1.5 T for the last change) and says it
// until it has arrived (3 T).
Duration World::allowed() const
{
    const auto &settings = hosts_[0].settings;
    // Before it knows of other timers the shipped one takes the usual ones.
    const auto unknown = caches_ == Caches::simple || settings.transmit >= Timers{}.transmit
                             ? Duration{0}
                             : Timers{}.transmit * 2;
    return settings.transmit * (config_.group_address ? 18 : 12) + unknown + settings.slow_start +
           (settings.slow_start.count() > 0 ? settings.transmit * 2 : Duration{0});
}

// Until nothing changes any more, which must not take longer than is allowed.
void World::calm_down(Time from)
{
    bool good = false;
    Time since{};
    const auto transmit = hosts_[0].settings.transmit;
    const auto end = from + allowed() + transmit * 2;
    while (failure_.empty() && !events_.empty() && events_.top().at <= end) {
        auto event = events_.top();
        events_.pop();
        now_ = std::max(now_, event.at);
        const bool matters = event.kind == Kind::arrival || event.kind == Kind::wake_router ||
                             event.kind == Kind::wake_cache;
        step(std::move(event));
        if (now_ <= from || !matters)
            continue;
        const bool now_good = unconverged().empty();
        if (now_good && !good)
            since = now_;
        good = now_good;
        // Long enough for everybody to have said once more that nothing has changed.
        if (good && now_ - since > transmit * 3 / 2 && astray().empty())
            break;
    }
    if (!failure_.empty())
        return;
    if (events_.empty()) { // nobody is left to say anything
        good = unconverged().empty();
        since = from;
    }
    if (!good || since > from + allowed()) {
        check(false, "not converged: " + unconverged());
        return;
    }
    check(astray().empty(), astray());
    const auto took = since - from;
    totals_.slowest = std::max(totals_.slowest, took);
    totals_.slowest_part =
        std::max(totals_.slowest_part,
                 static_cast<double>(took.count()) / static_cast<double>(allowed().count()));
}

std::string World::run()
{
    calm_down(faults_end_);
    // Then one thing at a time, after which no more may have moved than must.
    for (int i = 0; i < 3 && failure_.empty() && caches_ == Caches::shipped; ++i) {
        const auto *router = any_router();
        const auto before = owners(router->told);
        change_one();
        calm_down(now_);
        const auto &told = any_router()->told;
        const auto after = owners(told);
        if (!failure_.empty() || before.size() != after.size() || after.empty() ||
            hosts_[0].settings.slow_start.count() > 0)
            continue;
        std::size_t moved = 0;
        for (std::size_t slot = 0; slot < before.size(); ++slot)
            moved +=
                std::any_of(told.members.begin(), told.members.end(),
                            [&](const auto &member) { return member.address == before[slot]; }) &&
                before[slot] != after[slot];
        const auto least = least_moves(counts(before, told), weights(told), after.size());
        check(moved == least, std::to_string(moved) + " have moved, " + std::to_string(least) +
                                  " would have been enough");
        ++totals_.moves;
    }
    ++totals_.histories;
    return failure_;
}

const World::Router *World::any_router() const
{
    for (const auto &router : routers_) {
        if (!router.gone)
            return &router;
    }
    return nullptr;
}

std::vector<std::uint32_t> World::weights(const Assignment &told) const
{
    std::vector<std::uint32_t> result;
    for (const auto &member : told.members) {
        for (const auto &host : hosts_) {
            if (host.settings.address == member.address)
                result.push_back(host.settings.weight);
        }
    }
    return result;
}

std::string World::unfair(const Assignment &told) const
{
    std::vector<std::size_t> shares(told.members.size());
    std::size_t slots = 0;
    for (const auto bucket : told.buckets) {
        if (told.method == Method::hash && bucket != WLB_WCCP_BUCKET_NONE) {
            ++shares[bucket & WLB_WCCP_BUCKET_INDEX];
            ++slots;
        }
    }
    for (const auto &set : told.sets) {
        for (const auto &value : set.values)
            ++shares[value.member];
        slots += set.values.size();
    }
    return is_fair(shares, weights(told), slots) ? "" : "shares are not by weight";
}

// A shipped cache whose routers are not those that there are.
std::string World::astray() const
{
    for (const auto &host : hosts_) {
        const auto *group = host.cache ? host.cache->group() : nullptr;
        if (!group)
            continue;
        const auto report = group->report(now_);
        std::set<Address> known, up;
        for (const auto &router : report.routers)
            known.insert(router.id);
        for (const auto &router : routers_) {
            if (!router.gone && !host.leaving)
                up.insert(router.id);
        }
        if (known != up)
            return host.settings.address.text() + " knows " + std::to_string(known.size()) +
                   " of " + std::to_string(up.size()) + " routers";
        if (host.leaving != (report.phase == CachePhase::silent))
            return host.settings.address.text() + " is " + text(report.phase);
    }
    return {};
}

// Every router has every cache that is up and wants to be, the same full table, one key.
std::string World::unconverged() const
{
    std::vector<Address> expected;
    for (const auto &host : hosts_) {
        if (host.cache && !host.leaving)
            expected.push_back(host.settings.address);
    }
    std::sort(expected.begin(), expected.end());
    const Assignment *first = nullptr;
    for (const auto &router : routers_) {
        if (router.gone)
            continue;
        if (!router.group)
            return router.id.text() + " is down";
        const auto &told = router.told;
        std::vector<Address> members;
        for (const auto &member : told.members)
            members.push_back(member.address);
        if (members != expected)
            return router.id.text() + " has " + std::to_string(members.size()) + " of " +
                   std::to_string(expected.size()) + " caches";
        if (expected.empty())
            continue;
        if (told.method == Method::hash &&
            std::count(told.buckets.begin(), told.buckets.end(), WLB_WCCP_BUCKET_NONE) > 0)
            return router.id.text() + " has unassigned buckets";
        if (told.method == Method::mask && (told.sets.empty() || told.sets[0].values.empty()))
            return router.id.text() + " has no values";
        if (!first)
            first = &told;
        if (told.key != first->key || told.buckets != first->buckets || told.sets != first->sets)
            return router.id.text() + " has another table";
    }
    if (first && caches_ == Caches::shipped)
        return unfair(*first);
    return {};
}

void World::send(const Address &from, const Address &to, const Octets &octets)
{
    if (to != group_address) {
        deliver(from, to, octets);
        return;
    }
    for (const auto &router : routers_) {
        if (router.id != from)
            deliver(from, router.id, octets);
    }
    for (const auto &host : hosts_) {
        if (host.settings.address != from)
            deliver(from, host.settings.address, octets);
    }
}

// To one host; one that got it by multicast knows that by the group's configuration.
void World::deliver(const Address &from, const Address &to, const Octets &octets)
{
    const bool faulty = now_ < faults_end_;
    if (cut_.contains({from, to}) || (faulty && chance(loss_)))
        return;
    const auto copies = faulty && chance(duplication_) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
        const Duration delay(1 + pick(faulty && chance(5) ? 3000 : 30));
        events_.push({now_ + delay, ++order_, Kind::arrival, 0, from, to, octets});
    }
}

void World::arrive(const Event &event)
{
    ++totals_.messages;
    for (auto &host : hosts_) {
        if (host.settings.address == event.to && host.cache) {
            const bool multicast =
                config_.group_address && parse_header(event.octets)->type == MessageType::i_see_you;
            host.cache->receive(now_, event.from, multicast ? group_address : event.to,
                                event.octets);
            wake(static_cast<std::size_t>(&host - hosts_.data()));
        }
    }
    for (std::size_t i = 0; i < routers_.size(); ++i) {
        auto &router = routers_[i];
        if (router.id != event.to || !router.group)
            continue;
        if (chance(3))
            forge(i, event.octets, event.from);
        const auto before = router.group->assignment();
        const auto type = parse_header(event.octets)->type;
        const bool multicast = config_.group_address && (type == MessageType::here_i_am ||
                                                         type == MessageType::redirect_assign);
        const auto out = router.group->receive(
            clock(router), {event.from, port, multicast ? group_address : event.to, event.octets});
        router_spoke(i, before, out);
    }
}

// A message that somebody else has made of one that was heard.
void World::forge(std::size_t index, const Octets &octets, const Address &from)
{
    auto &router = routers_[index];
    auto forged = octets;
    const auto before = router.group->assignment();
    if (config_.password.empty()) {
        // Without a password all that an outsider lacks is the receive ID.
        Hello hello;
        hello.cache = from;
        hello.method = hosts_[0].settings.method;
        hello.shutdown = chance(50);
        hello.routers = {{router.id, static_cast<std::uint32_t>(random_())}};
        forged = hello.octets();
    } else {
        const auto changes = 1 + pick(4);
        for (std::uint64_t i = 0; i < changes; ++i)
            forged[pick(forged.size())] ^= static_cast<std::uint8_t>(1 + pick(255));
    }
    ++totals_.forged;
    const auto out = router.group->receive(clock(router), {from, port, router.id, forged});
    check(router.group->assignment() == before && !out.assignment,
          "a forged message has changed " + router.id.text());
    if (!config_.password.empty())
        check(out.datagrams.empty(), "a forged message was answered");
    router_spoke(index, before, out);
}

void World::router_spoke(std::size_t index, const Assignment &before, const Output &out)
{
    auto &router = routers_[index];
    const auto present = router.group->assignment();
    if (out.assignment)
        router.told = *out.assignment;
    check(present == router.told, router.id, "the data path was not told");
    for (const auto bucket : present.buckets)
        check(bucket == WLB_WCCP_BUCKET_NONE ||
                  (bucket & WLB_WCCP_BUCKET_INDEX) < present.members.size(),
              router.id, "a bucket of nobody");
    for (const auto &set : present.sets) {
        for (const auto &value : set.values)
            check(value.member < present.members.size(), router.id, "a value of nobody");
    }
    check(present.change_number != 0, "change number 0");
    bool kicked = false; // or what was learned since a takeover is told at its end
    for (const auto &event : out.events) {
        kicked = kicked || event.kind == EventKind::kicked || event.kind == EventKind::confirmed;
        totals_.assignments += event.kind == EventKind::assigned;
    }
    const auto same_members = [&] {
        return std::equal(before.members.begin(), before.members.end(), present.members.begin(),
                          present.members.end(),
                          [](const auto &a, const auto &b) { return a.address == b.address; });
    };
    if (present.change_number == before.change_number)
        check(same_members(), router.id, "members without a change number");
    else
        check(kicked || !same_members() || before.routers != present.routers, router.id,
              "a change number for nothing");
    for (const auto &datagram : out.datagrams) {
        if (parse_header(datagram.octets)->type == MessageType::i_see_you) {
            const auto id = Seen::of(datagram.octets).receive_id;
            check(id != 0 && (router.receive_id == 0 || id > router.receive_id ||
                              router.receive_id == UINT32_MAX),
                  router.id, "receive ID");
            router.receive_id = id;
        }
        send(router.id, datagram.to, datagram.octets);
    }
    if (const auto due = router.group->next_deadline())
        at(std::max(now_ + Duration{1}, *due - router.clock), Kind::wake_router, index);
}

void World::start_router(std::size_t index)
{
    auto &router = routers_[index];
    if (router.group || router.gone)
        return;
    auto config = config_;
    config.router_id = router.id;
    router.group = std::make_unique<RouterGroup>(config, random_());
    router.receive_id = 0;
    ++totals_.restarts;
    if (router.restores)
        router.group->restore(clock(router), router.told);
    router.told = router.group->assignment();
    router_spoke(index, router.told, {});
}

void World::start_cache(std::size_t index)
{
    auto &host = hosts_[index];
    if (host.cache)
        return;
    host.cache = make_cache(host.settings, static_cast<std::uint32_t>(random_()));
    if (host.leaving)
        host.cache->leave(now_, true);
    host.cache->start(now_, Duration(pick(2000)));
    ++totals_.restarts;
    wake(index);
}

void World::wake(std::size_t host)
{
    if (const auto next = hosts_[host].cache->next())
        at(std::max(now_, *next), Kind::wake_cache, host);
}

void World::leave(Host &host, bool leaving)
{
    host.leaving = leaving;
    if (!host.cache)
        return;
    host.cache->leave(now_, leaving);
    wake(static_cast<std::size_t>(&host - hosts_.data()));
}

void World::wake_cache(std::size_t index)
{
    auto &host = hosts_[index];
    if (!host.cache || !host.cache->next() || *host.cache->next() > now_)
        return;
    for (const auto &sent : host.cache->tick(now_))
        send(host.settings.address, sent.to, sent.octets);
    wake(index);
}

// One more change, without any loss.
void World::change_one()
{
    const auto h = pick(hosts_.size());
    auto &host = hosts_[h];
    const auto routers = std::count_if(routers_.begin(), routers_.end(),
                                       [](const auto &router) { return !router.gone; });
    switch (pick(4)) {
    case 0:
        if (!host.cache) {
            start_cache(h);
            break;
        }
        host.cache.reset();
        break;
    case 1:
        if (!host.cache)
            start_cache(h);
        leave(host, !host.leaving);
        break;
    case 2:
        if (routers > 1) {
            auto &router = *std::find_if(routers_.begin(), routers_.end(),
                                         [](const auto &r) { return !r.gone; });
            router.gone = true;
            router.group.reset();
            break;
        }
        [[fallthrough]];
    default:
        host.settings.weight = static_cast<std::uint16_t>(pick(5));
        if (host.cache) {
            host.cache->set_weight(now_, host.settings.weight);
            wake(h);
        }
        break;
    }
}

void World::fault()
{
    const auto r = pick(routers_.size());
    const auto h = pick(hosts_.size());
    const auto back = std::min(now_ + Duration(pick(45000)), faults_end_);
    switch (pick(8)) {
    case 0: // the router's machine, or the process alone, which leaves the data path
    case 1:
        routers_[r].group.reset();
        routers_[r].restores = chance(60);
        at(back, Kind::router_up, r);
        break;
    case 2:
    case 3:
        hosts_[h].cache.reset();
        if (chance(80))
            at(back, Kind::cache_up, h);
        break;
    case 4: // both ways or one
        for (std::size_t i = 0; i < hosts_.size(); ++i) {
            if (!chance(50))
                continue;
            cut_.emplace(routers_[r].id, hosts_[i].settings.address);
            if (chance(70))
                cut_.emplace(hosts_[i].settings.address, routers_[r].id);
        }
        break;
    case 5:
        cut_.clear();
        break;
    case 6:
        routers_[r].clock += Duration(pick(60000));
        if (chance(20))
            routers_[r].clock -= Duration(pick(1000));
        if (routers_[r].group)
            at(now_ + Duration{1}, Kind::wake_router, r);
        break;
    default:
        leave(hosts_[h], !hosts_[h].leaving);
        break;
    }
}

void World::step(Event event)
{
    if (now_ >= faults_end_)
        cut_.clear();
    switch (event.kind) {
    case Kind::arrival:
        arrive(event);
        break;
    case Kind::wake_router: {
        auto &router = routers_[event.index];
        const auto due = router.group ? router.group->next_deadline() : std::nullopt;
        if (!due || *due > clock(router))
            break;
        const auto before = router.group->assignment();
        router_spoke(event.index, before, router.group->tick(clock(router)));
        break;
    }
    case Kind::wake_cache:
        wake_cache(event.index);
        break;
    case Kind::fault:
        fault();
        break;
    case Kind::router_up:
        start_router(event.index);
        break;
    case Kind::cache_up:
        start_cache(event.index);
        break;
    }
}

} // namespace sim
