// SPDX-License-Identifier: GPL-2.0-only
// What the latest races of a client gateway add up to: who answers for an origin, how late, and
// who wins.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "wlb/output.h"
#include "wlb/records.h"

namespace wlb {

struct Standing {
    Address address;
    std::uint64_t wins = 0;
    std::vector<std::uint32_t> delays_us; // of all its answers, since the SYN; ascending
};

struct Standings {
    Address server;
    std::uint16_t port = 0;
    std::uint64_t races = 0;         // with an answer
    std::vector<Standing> answerers; // most wins first
};

// By server and port.
std::vector<Standings> standings(const std::vector<RaceRecord> &races);

// The least value that a `share` of them, 0..1, do not exceed; `ascending` is not empty.
std::uint32_t quantile(const std::vector<std::uint32_t> &ascending, double share);

// How many are below each power of two and not below the one before; empty ones are left out.
std::map<std::uint32_t, std::uint64_t> histogram(const std::vector<std::uint32_t> &values);

std::string to_text(const Standings &standings);
Json to_json(const Standings &standings);

} // namespace wlb
