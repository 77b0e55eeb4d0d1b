// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/race_tally.h"

namespace wlb {

RaceTally::Sum &RaceTally::of(const RaceRecord &race, const Answer &answer)
{
    const std::pair pair(endpoint(race.tuple.server, race.tuple.server_port),
                         answer.address.text());
    if (const auto found = sums_.find(pair); found != sums_.end())
        return found->second;
    return sums_[sums_.size() < most_pairs ? pair
                                           : std::pair<std::string, std::string>("other", "other")];
}

void RaceTally::take(const std::vector<RaceRecord> &races, std::uint64_t until_ns)
{
    // Ids begin anew with the module.
    if (!races.empty() && races.back().id < last_)
        last_ = 0;
    for (const auto &race : races) {
        if (race.id <= last_)
            continue;
        if (race.time_ns > until_ns)
            return;
        missed_ += last_ == 0 ? 0 : race.id - last_ - 1;
        last_ = race.id;
        if (race.time_ns < from_ns_)
            continue;
        for (const auto &answer : race.answers) {
            auto &sum = of(race, answer);
            sum.wins += answer.won ? 1 : 0;
            sum.answers.note(answer.delay_us / 1e6);
        }
    }
}

void RaceTally::measure(Metrics &metrics) const
{
    for (const auto &[pair, sum] : sums_)
        metrics.counter("race_wins", "Races won, since this daemon started",
                        {{"server", pair.first}, {"answerer", pair.second}},
                        static_cast<double>(sum.wins));
    for (const auto &[pair, sum] : sums_)
        metrics.durations("race_answer_seconds",
                          "How long after the SYN answers came, since this daemon started",
                          {{"server", pair.first}, {"answerer", pair.second}}, sum.answers);
    metrics.counter("races_missed", "Races that this daemon came too late to see", {},
                    static_cast<double>(missed_));
}

} // namespace wlb
