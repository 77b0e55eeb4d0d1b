// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/kernel_metrics.h"

#include <algorithm>
#include <map>

#include "wlb/counter_families.h"
#include "wlb/standings.h"

namespace wlb {

namespace {

// Clients decide how many servers there are: of the busiest so many, and the rest together.
constexpr std::size_t most_origins = 128;

double number(std::uint64_t value)
{
    return static_cast<double>(value);
}

double seconds_of_us(std::uint32_t us)
{
    return us / 1e6;
}

std::string family_of(bool ipv6)
{
    return ipv6 ? "IPv6" : "IPv4";
}

std::uint64_t activity(const Learned &learned)
{
    std::uint64_t sum = 0;
    for (const auto &one : learned.answerers)
        sum += std::uint64_t{one.answers} + one.asked;
    return sum;
}

} // namespace

Shares shares_of(const RedirectAssignment &assignment)
{
    Shares shares;
    shares.members.resize(assignment.members.size());
    const auto count = [&](std::size_t member) {
        ++(member < shares.members.size() ? shares.members[member] : shares.nobody);
    };
    if (assignment.buckets)
        for (const auto bucket : *assignment.buckets)
            count(bucket == WLB_BUCKET_NONE ? shares.members.size()
                                            : bucket & ~std::uint8_t{WLB_BUCKET_ALT});
    for (const auto &set : assignment.masks)
        for (const auto &value : set.values)
            count(value.member);
    return shares;
}

void measure(const Stats &stats, Metrics &metrics)
{
    for (const auto &counter : stats.counters) {
        const auto place = place_of(counter.name);
        metrics.counter(place.family, place.help,
                        place.label == nullptr ? Labels{} : Labels{{place.label, place.value}},
                        number(counter.value));
    }
    metrics.gauge("flows", "Entries in the translation table", {}, stats.flows);
    metrics.gauge("flows_racing", "Entries in the translation table without a winner yet", {},
                  stats.racing);
    metrics.gauge("held_packets", "Packets held for race mode equal", {}, stats.held);
}

void measure(const std::vector<RaceRecord> &races, Metrics &metrics)
{
    auto all = standings(races);
    if (all.size() > most_origins) {
        std::stable_sort(all.begin(), all.end(),
                         [](const auto &a, const auto &b) { return a.races > b.races; });
        all.resize(most_origins);
    }
    for (const auto &origin : all) {
        const auto server = endpoint(origin.server, origin.port);
        metrics.gauge("latest_races", "Races with an answer among the latest that are kept",
                      {{"server", server}}, number(origin.races));
        for (const auto &one : origin.answerers) {
            const Labels labels{{"server", server}, {"answerer", one.address.text()}};
            metrics.gauge("latest_race_answers", "Answers in the latest races", labels,
                          number(one.delays_us.size()));
            metrics.gauge("latest_race_wins", "Of the latest races, those won", labels,
                          number(one.wins));
            metrics.gauge("latest_race_answer_median_seconds",
                          "How long after the SYN half of the answers have come", labels,
                          seconds_of_us(quantile(one.delays_us, 0.5)));
            metrics.gauge("latest_race_answer_p99_seconds",
                          "How long after the SYN 99 % of the answers have come", labels,
                          seconds_of_us(quantile(one.delays_us, 0.99)));
        }
    }
}

void measure(const std::vector<Learned> &learned, Metrics &metrics)
{
    std::vector<const Learned *> busiest;
    busiest.reserve(learned.size());
    for (const auto &one : learned)
        busiest.push_back(&one);
    std::stable_sort(busiest.begin(), busiest.end(),
                     [](const auto *a, const auto *b) { return activity(*a) > activity(*b); });
    if (busiest.size() > most_origins)
        busiest.resize(most_origins);
    for (const auto *origin : busiest)
        for (const auto &one : origin->answerers) {
            const Labels labels{{"server", endpoint(origin->server, origin->server_port)},
                                {"answerer", one.address.text()}};
            metrics.counter("answerer_answers", "SYNs answered, since the answerer is known",
                            labels, one.answers);
            metrics.counter("answerer_wins", "Of these, those answered first", labels, one.wins);
            metrics.counter("answerer_clones", "SYNs cloned straight to the answerer", labels,
                            one.asked);
            metrics.gauge("answerer_rtt_seconds",
                          "Smoothed time until its answer; before it was asked, the least in races",
                          labels, seconds_of_us(one.rtt_us));
            metrics.gauge("answerer_silent", "1: it has missed too many SYNs and is not asked",
                          labels, one.silent_ms ? 1 : 0);
        }
    metrics.gauge("learned_origins", "Origins of which some answerer is known", {},
                  number(learned.size()));
}

void measure(const std::vector<ReplicaInForce> &replicas, Metrics &metrics)
{
    for (const auto &one : replicas)
        metrics.counter("replica_clones_sent", "Clones made for a replica of an origin",
                        {{"origin", one.origin}, {"replica", one.replica.address.text()}},
                        number(one.clones));
}

void measure(const RunningGroups &groups, Metrics &metrics)
{
    for (const auto &[group, counters] : groups.groups)
        for (const auto &counter : counters)
            metrics.counter("group_packets",
                            "Packets of a service group, both families, by what became of them",
                            {{"group", group.name}, {"outcome", counter.name}},
                            number(counter.value));
}

void measure(const std::vector<RunningAssignment> &assignments, Metrics &metrics)
{
    for (const auto &[assignment, counters] : assignments) {
        const Labels group{{"group", assignment.group}, {"family", family_of(assignment.ipv6)}};
        const auto shares = shares_of(assignment);
        for (std::size_t i = 0; i < assignment.members.size(); ++i) {
            auto labels = group;
            labels.push_back({"cache", assignment.members[i].address.text()});
            metrics.gauge("cache_buckets", "Buckets, or values of masks, that the cache has",
                          labels, number(shares.members[i]));
            if (i >= counters.size())
                continue;
            metrics.counter("member_packets", "Packets redirected to the cache", labels,
                            number(counters[i].packets));
            metrics.counter("member_bytes", "Octets redirected to the cache", labels,
                            number(counters[i].bytes));
            metrics.counter("member_returned_packets", "Packets that the cache has returned",
                            labels, number(counters[i].returned));
        }
        metrics.gauge("unassigned_buckets", "Buckets that no cache has", group,
                      number(shares.nobody));
    }
}

void measure(const RunningDoors &running, Metrics &metrics)
{
    // Doors of one router that differ in how packets go are one to who looks.
    std::map<std::pair<std::string, std::string>, DoorCounters> sums;
    for (std::size_t i = 0; i < running.cache.doors.size() && i < running.counters.size(); ++i) {
        const auto &door = running.cache.doors[i];
        auto &sum =
            sums[{ServiceId{door.type == GroupType::dynamic, door.id}.text(), door.address.text()}];
        sum.packets += running.counters[i].packets;
        sum.bytes += running.counters[i].bytes;
    }
    for (const auto &[names, sum] : sums) {
        const Labels labels{{"group", names.first}, {"router", names.second}};
        metrics.counter("door_returned_packets", "Packets returned to the router", labels,
                        number(sum.packets));
        metrics.counter("door_returned_bytes", "Octets returned to the router", labels,
                        number(sum.bytes));
    }
}

void measure(const std::vector<RunningProcessRule> &rules, Metrics &metrics)
{
    for (std::size_t i = 0; i < rules.size(); ++i)
        metrics.counter("process_rule_packets",
                        "Packets that a rule for processing has decided, by its place, from 1",
                        {{"rule", std::to_string(i + 1)}}, number(rules[i].packets));
}

Status measure(Kernel &kernel, Metrics &metrics)
{
    const auto stats = kernel.read_stats();
    if (!stats)
        return stats.error();
    measure(*stats, metrics);
    const auto running = kernel.read_config();
    const auto groups = kernel.read_groups();
    const auto doors = kernel.read_cache();
    const auto rules = kernel.read_process();
    const auto role = [&](const char *name, bool on) {
        metrics.gauge("role", "1: the role is on in this network namespace", {{"role", name}},
                      on ? 1 : 0);
    };
    const auto has = [&](std::uint32_t bit) { return running && (running->roles & bit) != 0; };
    role("client-gateway", has(WLB_ROLE_CLIENT_GATEWAY));
    role("server-gateway", has(WLB_ROLE_SERVER_GATEWAY));
    role("replica", has(WLB_ROLE_REPLICA));
    role("cache-router", groups && !groups->groups.empty());
    role("cache", doors && !doors->cache.doors.empty());
    role("processing", rules && !rules->empty());
    const auto of = [&](const auto &read) {
        if (read)
            measure(*read, metrics);
    };
    if (has(WLB_ROLE_CLIENT_GATEWAY)) {
        of(kernel.read_races());
        of(kernel.read_learned());
    }
    if (has(WLB_ROLE_SERVER_GATEWAY))
        of(kernel.read_replicas());
    of(groups);
    of(kernel.read_assignments());
    of(doors);
    of(rules);
    return Done{};
}

} // namespace wlb
