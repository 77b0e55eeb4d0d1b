// SPDX-License-Identifier: GPL-2.0-only
#include "registry/peer.h"

#include <openssl/crypto.h>

#include <algorithm>

namespace wlb::registry {

namespace {

constexpr std::size_t most_open = 64;

} // namespace

void Peer::asked(Time now, const Challenge &challenge, bool in_turn)
{
    open_.push_back({challenge, now, in_turn, false});
    if (open_.size() > most_open)
        open_.pop_front();
}

std::optional<Peer::Answer> Peer::answered(Time now, const Challenge &challenge, Time interval)
{
    while (!open_.empty() && now - open_.front().at >= patience * interval)
        open_.pop_front();
    const auto found = std::find_if(open_.begin(), open_.end(), [&](const Question &question) {
        return CRYPTO_memcmp(question.challenge.data(), challenge.data(), challenge.size()) == 0;
    });
    if (found == open_.end())
        return std::nullopt;
    const auto took = now - found->at;
    const Answer answer{took, found->in_turn && !found->late && deadline(*found, interval) > now};
    open_.erase(found);
    unanswered_ = 0;
    // What was asked earlier is of no consequence any more, but may still be answered.
    for (auto &question : open_)
        question.in_turn = question.in_turn && question.at >= now - took;
    return answer;
}

bool Peer::advance(std::uint64_t boot, std::uint64_t sequence)
{
    if (boot_ == boot && sequence <= sequence_)
        return false;
    boot_ = boot;
    sequence_ = sequence;
    return true;
}

// Four times what it usually takes; not so short that a busy host is taken for a dead one.
Time Peer::deadline(const Question &question, Time interval) const
{
    const auto usual = samples_.value();
    return question.at + (usual ? std::clamp(4 * *usual, interval / 4, interval) : interval);
}

bool Peer::look(Time now, Time interval)
{
    bool dead = false;
    for (auto &question : open_) {
        if (!question.in_turn || question.late || deadline(question, interval) > now)
            continue;
        question.late = true;
        dead = ++unanswered_ == patience || dead;
    }
    return dead;
}

void Peer::wait_longer(Time now, Time asleep)
{
    for (auto &question : open_)
        question.at = std::min(now, question.at + asleep);
    if (heard)
        heard = std::min(now, *heard + asleep);
}

std::optional<Time> Peer::next_look(Time interval) const
{
    std::optional<Time> next;
    for (const auto &question : open_)
        if (question.in_turn && !question.late)
            next = std::min(next.value_or(Time::max()), deadline(question, interval));
    return next;
}

void Peer::measured(Time now, Time round_trip, bool at_once)
{
    samples_.add(round_trip);
    const auto delay = std::min(std::chrono::duration_cast<microseconds>(*samples_.value() / 2),
                                microseconds(WLB_MAX_DELAY_US));
    const auto moved = delay > delay_ ? delay - delay_ : delay_ - delay;
    const bool due = !told_ || now - *told_ >= settle;
    // The first answers are late by chance: until there are enough of them a small step counts.
    const bool young = heard_ < Median<Time>::most;
    heard_ += young ? 1 : 0;
    if (!at_once && (!due || moved <= (young ? least : std::max(least, delay_ / 50))))
        return;
    delay_ = delay;
    told_ = now;
}

} // namespace wlb::registry
