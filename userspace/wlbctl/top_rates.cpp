// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/top_rates.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "wlb/standings.h"
#include "wlbctl/taking.h"

namespace wlb::cli {

namespace {

double ratio(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

// The module was loaded anew, or the namespace is another one: nothing can be compared.
bool began_anew(const Look &before, const Look &now)
{
    return std::any_of(
        before.stats.counters.begin(), before.stats.counters.end(),
        [&](const auto &counter) { return now.stats.counter(counter.name) < counter.value; });
}

class Comparison {
public:
    Comparison(const Look *before, const Look &now)
        : before_(before != nullptr && began_anew(*before, now) ? nullptr : before), now_(now)
    {
        if (before_ != nullptr)
            rates_.seconds = std::chrono::duration<double>(now.time - before_->time).count();
    }

    Rates run()
    {
        rates_.flows = now_.stats.flows;
        rates_.racing = now_.stats.racing;
        rates_.held = now_.stats.held;
        rates_.raced = counters({"syn_tagged"});
        rates_.won_by_replicas = counters({"race_won_replica"});
        rates_.won_by_servers = counters({"race_won_server"});
        rates_.unanswered = counters({"race_unanswered"});
        rates_.carried = counters(
            {"translated_out", "translated_in", "passed_in", "tunnelled_out", "tunnelled_in"});
        if (rates_.carried.value_or(0) > 0)
            rates_.fast_share = ratio(counters({"fast"}).value_or(0), *rates_.carried);
        rates_.cloned = counters({"clone_sent", "direct_clones"});
        rates_.taken = counters({"clone_cracked"});
        rates_.redirected = counters({"redirect_gre", "redirect_l2"});
        rates_.received = counters({"cache_received"});
        wins();
        clones();
        for (const auto &group : now_.groups.groups)
            rates_.groups.push_back(group_rates(group));
        refusals();
        return std::move(rates_);
    }

private:
    [[nodiscard]] Rate rate(std::uint64_t before, std::uint64_t now) const
    {
        if (before_ == nullptr || now < before || rates_.seconds <= 0)
            return std::nullopt;
        return static_cast<double>(now - before) / rates_.seconds;
    }

    [[nodiscard]] Rate counters(std::initializer_list<const char *> names) const
    {
        std::uint64_t before = 0;
        std::uint64_t now = 0;
        for (const auto *name : names) {
            before += before_ == nullptr ? 0 : before_->stats.counter(name);
            now += now_.stats.counter(name);
        }
        return rate(before, now);
    }

    // Ids have no gaps, and the kernel keeps the latest races.
    void wins()
    {
        if (before_ == nullptr)
            return;
        const auto last = before_->races.empty() ? 0 : before_->races.back().id;
        std::vector<RaceRecord> fresh;
        std::copy_if(now_.races.begin(), now_.races.end(), std::back_inserter(fresh),
                     [&](const auto &race) { return race.id > last; });
        if (fresh.empty())
            return;
        const auto all = fresh.back().id - last;
        rates_.missed = all - fresh.size();
        // Those that were missed will have been won as the others.
        const auto scale = static_cast<double>(all) / static_cast<double>(fresh.size());
        for (const auto &origin : standings(fresh))
            for (const auto &one : origin.answerers)
                if (one.wins != 0)
                    rates_.wins.push_back(
                        {endpoint(origin.server, origin.port), one.address.text(),
                         *rate(0, one.wins) * scale,
                         ratio(static_cast<double>(one.wins), static_cast<double>(origin.races))});
    }

    using Counts = std::map<std::pair<std::string, std::string>, std::uint64_t>;

    static Counts by_server_gateway(const Look &look)
    {
        Counts counts;
        for (const auto &one : look.replicas)
            counts[{one.origin, one.replica.address.text()}] = one.clones;
        return counts;
    }

    static Counts by_client_gateway(const Look &look)
    {
        Counts counts;
        for (const auto &origin : look.learned)
            for (const auto &one : origin.answerers)
                counts[{endpoint(origin.server, origin.server_port), one.address.text()}] =
                    one.asked;
        return counts;
    }

    // Of `configured` ones there are few: they are shown without clones, too.
    void add_clones(const Counts &before, const Counts &now, bool configured)
    {
        for (const auto &[names, count] : now) {
            const auto found = before.find(names);
            // A new one counts from 0.
            const auto clones = rate(found == before.end() ? 0 : found->second, count);
            if (configured || clones.value_or(0) > 0)
                rates_.clones.push_back({names.first, names.second, clones});
        }
    }

    void clones()
    {
        const Look none;
        const auto &before = before_ == nullptr ? none : *before_;
        add_clones(by_server_gateway(before), by_server_gateway(now_), true);
        add_clones(by_client_gateway(before), by_client_gateway(now_), false);
    }

    [[nodiscard]] const RunningGroup *group_before(const RunningGroup &running) const
    {
        if (before_ == nullptr)
            return nullptr;
        const auto &groups = before_->groups.groups;
        const auto found = std::find_if(groups.begin(), groups.end(), [&](const auto &one) {
            return one.group.type == running.group.type && one.group.id == running.group.id;
        });
        return found == groups.end() ? nullptr : &*found;
    }

    [[nodiscard]] Rate group_counters(const RunningGroup *before, const RunningGroup &now,
                                      std::initializer_list<const char *> names) const
    {
        const auto sum = [&](const RunningGroup &group) {
            std::uint64_t total = 0;
            for (const auto &counter : group.counters)
                for (const auto *name : names)
                    total += counter.name == name ? counter.value : 0;
            return total;
        };
        return rate(before == nullptr ? 0 : sum(*before), sum(now));
    }

    [[nodiscard]] MemberCounters member_before(const std::string &group,
                                               const Address &address) const
    {
        if (before_ == nullptr)
            return {};
        for (const auto &[assignment, counters] : before_->assignments)
            for (std::size_t i = 0; assignment.group == group && i < counters.size(); ++i)
                if (assignment.members[i].address == address)
                    return counters[i];
        return {};
    }

    GroupRates group_rates(const RunningGroup &running)
    {
        const auto *before = group_before(running);
        // Assignments name the group as it was called then.
        const auto &name_before = before == nullptr ? running.group.name : before->group.name;
        GroupRates rates{running.group.name,
                         group_counters(before, running, {"gre", "l2"}),
                         std::nullopt,
                         group_counters(before, running, {"returned"}),
                         {}};
        for (const auto &[assignment, counters] : now_.assignments) {
            if (assignment.group != running.group.name)
                continue;
            const auto first = rates.caches.size();
            double all = 0;
            for (std::size_t i = 0; i < counters.size(); ++i) {
                const auto &address = assignment.members[i].address;
                const auto then = member_before(name_before, address);
                const auto packets = rate(then.packets, counters[i].packets);
                const auto bytes = rate(then.bytes, counters[i].bytes);
                rates.caches.push_back(
                    {assignment.ipv6 ? "IPv6" : "IPv4", address.text(), packets, bytes, 0});
                all += packets.value_or(0);
                if (bytes)
                    rates.bytes = rates.bytes.value_or(0) + *bytes;
            }
            for (auto i = first; i < rates.caches.size(); ++i)
                rates.caches[i].share = ratio(rates.caches[i].packets.value_or(0), all);
        }
        return rates;
    }

    void refusals()
    {
        if (before_ == nullptr)
            return;
        const auto &ordinary = ordinary_counters();
        for (const auto &counter : now_.stats.counters) {
            const auto now = rate(before_->stats.counter(counter.name), counter.value);
            if (now.value_or(0) > 0 &&
                std::find(ordinary.begin(), ordinary.end(), counter.name) == ordinary.end())
                rates_.refusals.push_back({counter.name, counter.meaning, now});
        }
    }

    const Look *before_;
    const Look &now_;
    Rates rates_;
};

template <class Row, class Key> void sort_rows(std::vector<Row> &rows, const Key &key)
{
    std::stable_sort(rows.begin(), rows.end(),
                     [&](const Row &a, const Row &b) { return key(a) < key(b); });
}

Json per_second(const Rate &rate)
{
    return rate ? Json(*rate) : Json();
}

} // namespace

const std::vector<const char *> &ordinary_counters()
{
    static const std::vector<const char *> names{
        // client gateway
        "syn_tagged", "syn_retagged", "syn_to_winner", "race_won_replica", "race_won_server",
        "race_replaced", "race_flushed", "answer_repeated", "answer_lost", "answer_not_preferred",
        "answer_mirrored", "cookie_kept", "reset_sent", "translated_out", "translated_in",
        "passed_in", "tunnelled_out", "tunnelled_in", "fast", "winner_asked", "probe_echoed",
        "icmp_in", "icmp_out", "icmp_tunnel", "flow_restored", "syn_direct", "direct_explored",
        "direct_unknown", "direct_repeated", "direct_clones", "learned_new", "learned_expired",
        "learned_flushed",
        // server gateway
        "syn_cloned", "cookie_given", "clone_sent", "icmp_relayed",
        // replica
        "clone_cracked", "client_cracked", "client_translated", "answer_encapsulated",
        "reply_encapsulated", "probe_sent", "probe_passed",
        // cache router, cache, processing
        "redirect_gre", "redirect_l2", "redirect_returned", "redirect_kept", "redirect_icmp",
        "cache_received", "process_rewritten", "process_marked", "process_tagged",
        "process_untagged", "process_copied", "process_diverted"};
    return names;
}

Result<Look> look(Kernel &kernel)
{
    Look look;
    const auto running = kernel.read_config();
    if (!running)
        return running.error();
    std::vector<Status> taken;
    if ((running->roles & WLB_ROLE_CLIENT_GATEWAY) != 0)
        taken = {take(kernel.read_races(), look.races), take(kernel.read_learned(), look.learned)};
    taken.push_back(take(kernel.read_replicas(), look.replicas));
    taken.push_back(take(kernel.read_groups(), look.groups));
    taken.push_back(take(kernel.read_assignments(), look.assignments));
    // Last, so that the time is theirs.
    taken.push_back(take(kernel.read_stats(), look.stats));
    look.time = std::chrono::steady_clock::now();
    if (const auto all = all_of(taken); !all)
        return all.error();
    return look;
}

Rates rates_between(const Look *before, const Look &now)
{
    return Comparison(before, now).run();
}

void sort_rates(Rates &rates, TopOrder order)
{
    const bool busiest = order == TopOrder::rate;
    const auto place = [&](const Rate &rate) { return busiest ? -rate.value_or(0) : 0; };
    sort_rows(rates.wins, [&](const auto &row) {
        return std::tuple(place(row.wins), row.server, row.answerer);
    });
    sort_rows(rates.clones, [&](const auto &row) {
        return std::tuple(place(row.clones), row.origin, row.replica);
    });
    sort_rows(rates.groups,
              [&](const auto &row) { return std::tuple(place(row.packets), row.group); });
    for (auto &group : rates.groups)
        sort_rows(group.caches, [&](const auto &row) {
            return std::tuple(place(row.packets), row.family, row.cache);
        });
    sort_rows(rates.refusals, [](const auto &row) { return -row.rate.value_or(0); });
}

Json to_json(const Rates &rates)
{
    auto wins = Json::array();
    for (const auto &row : rates.wins)
        wins.push_back({{"server", row.server},
                        {"answerer", row.answerer},
                        {"per_s", per_second(row.wins)},
                        {"share", row.share}});
    auto clones = Json::array();
    for (const auto &row : rates.clones)
        clones.push_back(
            {{"origin", row.origin}, {"replica", row.replica}, {"per_s", per_second(row.clones)}});
    auto groups = Json::array();
    for (const auto &group : rates.groups) {
        auto caches = Json::array();
        for (const auto &row : group.caches)
            caches.push_back({{"family", row.family},
                              {"cache", row.cache},
                              {"packets_per_s", per_second(row.packets)},
                              {"bytes_per_s", per_second(row.bytes)},
                              {"share", row.share}});
        groups.push_back({{"group", group.group},
                          {"packets_per_s", per_second(group.packets)},
                          {"bytes_per_s", per_second(group.bytes)},
                          {"returned_per_s", per_second(group.returned)},
                          {"caches", caches}});
    }
    auto refusals = Json::array();
    for (const auto &row : rates.refusals)
        refusals.push_back({{"counter", row.counter}, {"per_s", per_second(row.rate)}});
    return {{"seconds", rates.seconds},
            {"flows", rates.flows},
            {"racing", rates.racing},
            {"held", rates.held},
            {"raced_per_s", per_second(rates.raced)},
            {"won_by_replicas_per_s", per_second(rates.won_by_replicas)},
            {"won_by_servers_per_s", per_second(rates.won_by_servers)},
            {"unanswered_per_s", per_second(rates.unanswered)},
            {"carried_per_s", per_second(rates.carried)},
            {"fast_share", per_second(rates.fast_share)},
            {"cloned_per_s", per_second(rates.cloned)},
            {"taken_per_s", per_second(rates.taken)},
            {"redirected_per_s", per_second(rates.redirected)},
            {"received_per_s", per_second(rates.received)},
            {"races_missed", rates.missed},
            {"wins", wins},
            {"clones", clones},
            {"groups", groups},
            {"refusals", refusals}};
}

} // namespace wlb::cli
