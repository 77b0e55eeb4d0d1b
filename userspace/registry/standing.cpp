// SPDX-License-Identifier: GPL-2.0-only
#include "registry/standing.h"

#include <algorithm>

namespace wlb::registry {

unsigned Standing::needed(Time now, unsigned rise) const
{
    if (!dead_)
        return 1;
    const auto recent = std::count_if(deaths_.begin(), deaths_.end(),
                                      [&](Time death) { return now - death < memory; });
    unsigned answers = rise;
    for (auto i = recent; i > 1 && answers < most_needed; --i)
        answers *= 2;
    return std::min(answers, most_needed);
}

void Standing::hear(Time now, OriginState state, bool punctual, unsigned rise, Time patience)
{
    if (state != OriginState::busy || state_ != OriginState::busy)
        busy_since_ = now;
    state_ = state;
    kept_ = false;
    switch (state) {
    case OriginState::ready:
        answers_ += punctual || !dead_ ? 1 : 0;
        if (!in_ && answers_ >= needed(now, rise)) {
            in_ = true;
            dead_ = false;
        }
        break;
    case OriginState::busy:
        if (in_ && now - busy_since_ >= patience)
            leave();
        break;
    case OriginState::draining:
        if (in_)
            leave();
        answers_ = 0;
        break;
    default:
        die(now);
        break;
    }
}

void Standing::die(Time now)
{
    if (in_) {
        dead_ = true;
        deaths_.push_back(now);
        while (deaths_.size() > most_needed)
            deaths_.pop_front();
    }
    leave();
}

} // namespace wlb::registry
