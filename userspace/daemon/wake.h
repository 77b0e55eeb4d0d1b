// SPDX-License-Identifier: GPL-2.0-only
// The next of many deadlines.
#pragma once

#include <utility> // which Boost 1.74 forgets

#include <boost/asio.hpp>

#include <chrono>

namespace wlb::daemon {

// `then` at the earliest deadline that `deadline_of` tells of an entry, in steady_clock's time, if
// any has one and the timer is not set anew before.
template <class Entries, class DeadlineOf, class Then>
void wake(boost::asio::steady_timer &timer, const Entries &entries, DeadlineOf deadline_of,
          Then then)
{
    decltype(deadline_of(*entries.begin())) next;
    for (const auto &entry : entries) {
        const auto deadline = deadline_of(entry);
        if (deadline && (!next || *deadline < *next))
            next = deadline;
    }
    if (!next) {
        timer.cancel();
        return;
    }
    timer.expires_at(std::chrono::steady_clock::time_point(*next));
    timer.async_wait([then](auto error) {
        if (!error)
            then();
    });
}

} // namespace wlb::daemon
