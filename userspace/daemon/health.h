// SPDX-License-Identifier: GPL-2.0-only
// Whether something that is probed works, with hysteresis. Pure.
#pragma once

#include <string>

namespace wlb::daemon {

class Health {
public:
    // So many answers in a row bring it up, so many failures take it down. The first answer
    // of all decides alone: a daemon that was started anew is not to keep what works away.
    Health(unsigned rise, unsigned fall) : rise_(rise), fall_(fall) {}

    // true if it is up now and was not, or the other way round.
    bool note(bool good)
    {
        const unsigned needed = !known_ ? 1 : up_ ? fall_ : rise_;
        against_ = good == up_ ? 0 : against_ + 1;
        if (against_ < needed) {
            known_ = true;
            return false;
        }
        known_ = true;
        up_ = good;
        against_ = 0;
        return true;
    }

    [[nodiscard]] bool up() const { return up_; }
    [[nodiscard]] bool known() const { return known_; }

    // Its state and what is noted stay.
    void configure(unsigned rise, unsigned fall)
    {
        rise_ = rise;
        fall_ = fall;
    }

private:
    unsigned rise_;
    unsigned fall_;
    unsigned against_ = 0; // in a row, that its state is another one
    bool up_ = false;
    bool known_ = false;
};

} // namespace wlb::daemon
