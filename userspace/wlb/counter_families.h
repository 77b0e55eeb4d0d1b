// SPDX-License-Identifier: GPL-2.0-only
// The kernel's counters (WLB_STATS) as families of metrics: what is one of several things that
// may become of the same packet is a label.
#pragma once

#include <string>

namespace wlb {

struct CounterPlace {
    std::string family; // as Metrics::counter() wants it
    const char *help;
    const char *label; // nullptr: it is a family of its own
    std::string value; // of the label
};

// Of a counter that this program does not know: a family of its own, of its name.
CounterPlace place_of(const std::string &counter);

} // namespace wlb
