// SPDX-License-Identifier: GPL-2.0-only
// Whether a replica takes part in the races of one origin, by what it says of itself and by
// whether it says anything. Pure.
#pragma once

#include <deque>

#include "registry/message.h"
#include "registry/time.h"

namespace wlb::registry {

class Standing {
public:
    static constexpr unsigned most_needed = 32;
    static constexpr Time memory = std::chrono::minutes(10); // of deaths

    // A replica that was never here needs one answer; one that has died `rise` of them in a
    // row, and twice as many with each death that is remembered: whoever flaps comes back
    // slowly. Only punctual ones count then: what a path that was cut gives back all at once
    // does not. Draining is no death, nor is being busy.
    // One that is busy stays in, as its kernel is silent: it is back at once. One that is busy
    // for longer than `patience` goes: in race mode `equal` everybody waits for the farthest.
    void hear(Time now, OriginState state, bool punctual, unsigned rise, Time patience);
    // It does not answer.
    void die(Time now);
    // It was in when another process looked after it, and has not been heard since.
    void keep()
    {
        in_ = true;
        kept_ = true;
    }

    [[nodiscard]] bool in() const { return in_; }
    [[nodiscard]] bool kept() const { return kept_; }
    [[nodiscard]] OriginState state() const { return state_; }
    [[nodiscard]] unsigned answers() const { return answers_; } // in a row, while it is out
    [[nodiscard]] unsigned needed(Time now, unsigned rise) const;
    [[nodiscard]] std::size_t deaths() const { return deaths_.size(); }

private:
    void leave()
    {
        in_ = false;
        kept_ = false;
        answers_ = 0;
    }

    bool in_ = false;
    bool kept_ = false;
    bool dead_ = false; // went so
    OriginState state_ = OriginState::ready;
    unsigned answers_ = 0;
    std::deque<Time> deaths_;
    Time busy_since_{0};
};

} // namespace wlb::registry
