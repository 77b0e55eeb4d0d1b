// SPDX-License-Identifier: GPL-2.0-only
// What may happen in a world, and what must not come of it.
#ifndef WLB_EXPLORE_STEP_H
#define WLB_EXPLORE_STEP_H

#include <string>
#include <vector>

#include "world.h"

enum class What : u8 {
    connect,
    deliver,
    twice,
    lose,
    client_again,
    client_give_up,
    client_crash,
    client_later,
    client_earlier,
    client_data,
    client_fin,
    client_abort,
    host_again,
    host_forget, // a half-open connection, after the last repetition
    host_data,
    host_fin,
    host_abort,
    host_die,
    host_reboot,
    host_refuse,
    host_stop,
    expire,
    forge,
};

struct Event {
    What what;
    u8 arg;
};

// All that may happen next; @events is cleared first.
void enabled(const World &world, const Scenario &scenario, std::vector<Event> &events);

// Makes it happen. Returns the name of the check that fails, or null; tells @story if there is one.
const char *apply(World &world, const Scenario &scenario, Event event, std::string *story);

// What must come to pass if nothing is in flight, from now on nothing is lost, and everybody
// repeats himself.
const char *settle(const World &world, const Scenario &scenario, std::string *story);

#endif
