// SPDX-License-Identifier: GPL-2.0-only
// What is explored: each scenario is exhausted, so that budgets need not all be paid at once.
#ifndef WLB_EXPLORE_SCENARIOS_H
#define WLB_EXPLORE_SCENARIOS_H

#include "world.h"

inline constexpr Scenario scenarios[] = {
    {"race", 3, 8, false, {.lose = 1, .twice = 1, .syns = 1, .answers = 1}},
    {"four", 4, 8, false, {.twice = 1, .syns = 1}},
    {"lan", 3, 8, true, {.lose = 1, .twice = 1, .syns = 1}},
    {"refusal", 3, 8, false, {.lose = 1, .syns = 2, .refuse = 3}},
    {"refusal-reuse", 2, 6, false, {.syns = 1, .later = 1, .give_up = 1, .refuse = 1}},
    {"end", 2, 5, true, {.lose = 1, .again = 1, .data = 1, .fin = 2}},
    {"end-twice", 2, 5, true, {.twice = 1, .fin = 2}},
    {"abort", 2, 6, true, {.twice = 1, .give_up = 1, .data = 1, .abort = 1}},
    {"reuse", 3, 8, false, {.later = 1, .give_up = 1, .crash = 1}},
    {"reuse-twice", 2, 6, false, {.twice = 1, .later = 1, .give_up = 1, .crash = 1}},
    {"reuse-earlier", 2, 6, false, {.later = 1, .earlier = 1, .give_up = 1, .crash = 1}},
    {"reuse-lan", 2, 6, true, {.syns = 1, .later = 1, .crash = 1}},
    {"reuse-end", 2, 5, false, {.later = 1, .earlier = 1, .fin = 2}},
    {"dead", 2, 4, false, {.syns = 1, .later = 1, .crash = 1, .data = 1, .die = 1}},
    {"dead-lost", 2, 5, false, {.lose = 1, .later = 1, .give_up = 1, .crash = 1, .die = 1}},
    {"reboot", 2, 5, false, {.later = 1, .crash = 1, .data = 1, .reboot = 1}},
    {"stop", 2, 5, false, {.syns = 1, .later = 1, .crash = 1, .stop = 1}},
    {"forgery", 2, 4, false, {.data = 1, .fin = 1, .forge = 2}},
};

#endif
