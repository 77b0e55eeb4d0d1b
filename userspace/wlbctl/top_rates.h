// SPDX-License-Identifier: GPL-2.0-only
// What the kernel has done between two looks at it.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "wlb/kernel.h"
#include "wlb/output.h"

namespace wlb::cli {

// All that it counts, at one moment.
struct Look {
    std::chrono::steady_clock::time_point time;
    Stats stats;
    std::vector<RaceRecord> races; // sorted by id
    std::vector<Learned> learned;
    std::vector<ReplicaInForce> replicas;
    RunningGroups groups;
    std::vector<RunningAssignment> assignments;
};

Result<Look> look(Kernel &kernel);

// Per second; absent if there is nothing to say: no earlier look, or a counter that went back.
using Rate = std::optional<double>;

struct WinRates {
    std::string server; // "203.0.113.10:80"
    std::string answerer;
    Rate wins;
    double share = 0; // of the server's races, 0..1
};

struct CloneRates {
    std::string origin; // its name; if the client's gateway clones, the server as in WinRates
    std::string replica;
    Rate clones;
};

struct CacheRates {
    std::string family;
    std::string cache;
    Rate packets;
    Rate bytes;
    double share = 0; // of the packets of its group and family, 0..1
};

struct GroupRates {
    std::string group;
    Rate packets; // redirected
    Rate bytes;
    Rate returned; // packets
    std::vector<CacheRates> caches;
};

// What was not done as it might have been, by the counter of the reason.
struct RefusalRates {
    std::string counter;
    std::string meaning;
    Rate rate;
};

struct Rates {
    double seconds = 0; // between the looks
    // Now, not rates.
    std::uint32_t flows = 0;
    std::uint32_t racing = 0;
    std::uint32_t held = 0;

    Rate raced;
    Rate won_by_replicas;
    Rate won_by_servers;
    Rate unanswered;
    Rate carried;                     // packets of flows that replicas have won, both ways
    std::optional<double> fast_share; // of these by the fast path, 0..1
    Rate cloned;                      // by gateways of either end
    Rate taken;                       // clones, by this replica
    Rate redirected;                  // packets, to caches
    Rate received;                    // redirected packets, by this cache's host
    std::uint64_t missed = 0; // races that were won and are not among `wins`: too many at once
    std::vector<WinRates> wins;
    std::vector<CloneRates> clones;
    std::vector<GroupRates> groups;
    std::vector<RefusalRates> refusals; // of what grew
};

// No `before`: there is none yet.
Rates rates_between(const Look *before, const Look &now);

enum class TopOrder : std::uint8_t { rate, name };

// Each list: the busiest first, or by name. Refusals have the busiest first anyhow.
void sort_rates(Rates &rates, TopOrder order);

// What is no refusal, of all counters.
const std::vector<const char *> &ordinary_counters();

Json to_json(const Rates &rates);

} // namespace wlb::cli
