// SPDX-License-Identifier: GPL-2.0-only
// What the kernel reports: flows, races, counters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wlb/address.h"

namespace wlb {

// The four-tuple that flows and races have in common.
struct Tuple {
    Address client;
    std::uint16_t client_port = 0;
    Address server;
    std::uint16_t server_port = 0;
};

// What the module knows of a flow that a replica has won, besides who and where.
struct Track {
    std::uint32_t client_end = 0; // next sequence number
    std::uint32_t client_ack = 0; // what it has acknowledged
    std::uint32_t server_end = 0;
    std::uint32_t server_ack = 0;
    std::uint8_t flags = 0; // WLB_FLOW_F_*
    std::uint16_t new_isn = 0;

    bool operator==(const Track &) const = default;
};

struct Flow {
    Tuple tuple;
    std::optional<Address> winner;
    std::optional<std::uint8_t> return_mode; // enum wlb_return; if a replica has won
    std::optional<std::uint8_t> via;         // enum wlb_via; if that encapsulates
    std::uint8_t state = 0;                  // enum wlb_flow_state
    std::uint32_t expires_ms = 0;
    std::uint32_t isn = 0;
    std::optional<Track> track; // if a replica has won
};

struct FlowFilter {
    std::optional<Address> client;
    std::optional<Address> server;
    std::optional<Address> winner;
};

struct Answer {
    Address address;
    std::uint32_t delay_us = 0;
    bool won = false;
};

struct RaceRecord {
    std::uint64_t id = 0;
    std::uint64_t time_ns = 0;
    Tuple tuple;
    std::vector<Answer> answers;

    [[nodiscard]] std::optional<Address> winner() const;
};

// Somebody who is known to answer for an origin.
struct Answerer {
    Address address;
    std::uint8_t via = 0; // enum wlb_via
    std::uint32_t rtt_us = 0;
    bool raced = false; // rtt_us is of races, at most so far
    std::uint32_t age_ms = 0;
    std::uint32_t answers = 0;
    std::uint32_t wins = 0;
    std::uint32_t asked = 0;
    std::uint32_t missed = 0;
    std::optional<std::uint32_t> silent_ms; // is not asked for so long yet
};

struct Learned {
    Address server;
    std::uint16_t server_port = 0;
    std::vector<Answerer> answerers; // nearest first, once read
};

struct Counter {
    std::string name;
    std::uint64_t value = 0;
    std::string meaning;
};

struct Stats {
    std::vector<Counter> counters; // in the order of WLB_STATS, then unknown ones
    std::uint32_t flows = 0;
    std::uint32_t racing = 0;
    std::uint32_t held = 0;

    // 0 if there is none of this name.
    [[nodiscard]] std::uint64_t counter(std::string_view name) const
    {
        for (const auto &one : counters)
            if (one.name == name)
                return one.value;
        return 0;
    }
};

} // namespace wlb
