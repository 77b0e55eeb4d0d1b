// SPDX-License-Identifier: GPL-2.0-only
// Explores every interleaving of what may happen to one flow, breadth first, so that the first
// failure found is a shortest one. The state machine is the module's own, include/wlb/fsm.h; the
// gateway around it (step.cpp) is kmod/client_gateway.c's, less tags, quotas and memory.
//
// explore [--depth N] [--scenario NAME] [--json FILE] [--list]
//
// Bounds: one port of one client, and per scenario (scenarios.h) the hosts, how often what may
// happen, and how much the network holds. Assumed, where the state machine has no clock:
//   - a packet lives shorter than any timer of the table; the timers of races and tombstones
//   outlast
//     repeated SYNs and answers, a closed flow's outlasts repeated data and FINs, an open one's the
//     silence of a connection that both ends have;
//   - a port is not used again while a SYN of its last use is on its way to the gateway.
// Not modelled: loss of more than the budgets, windows larger than a few bytes, answer tags of
// honest replicas, several servers or clients, eviction, SYNs with a payload.
#include <getopt.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "scenarios.h"
#include "step.h"

namespace {

struct Totals {
    u64 states = 0, transitions = 0;
    unsigned depth = 0;
    bool complete = true;
};

// The states seen, by a 64-bit digest: that two of 10^7 share one has a chance of 10^-5.
class Seen {
public:
    Seen() : table_(1 << 16) {}

    // False if it was there.
    bool add(u64 hash, u32 parent)
    {
        if (nodes_.size() * 2 >= table_.size())
            grow();
        u32 &slot = find(hash);
        if (slot)
            return false;
        nodes_.push_back({hash, parent});
        slot = static_cast<u32>(nodes_.size());
        return true;
    }
    u32 size() const { return static_cast<u32>(nodes_.size()); }
    // The digests from the first state to this one.
    std::vector<u64> path(u32 index) const
    {
        std::vector<u64> path;
        for (;; index = nodes_[index].parent) {
            path.insert(path.begin(), nodes_[index].hash);
            if (!index)
                return path;
        }
    }

private:
    struct __attribute__((packed)) Node {
        u64 hash;
        u32 parent;
    };

    u32 &find(u64 hash)
    {
        for (u64 i = hash;; i++) {
            u32 &slot = table_[i & (table_.size() - 1)];
            if (!slot || nodes_[slot - 1].hash == hash)
                return slot;
        }
    }
    void grow()
    {
        table_.assign(table_.size() * 2, 0);
        for (u32 i = 0; i < nodes_.size(); i++)
            find(nodes_[i].hash) = i + 1;
    }

    std::vector<Node> nodes_;
    std::vector<u32> table_;
};

class Search {
public:
    Search(const Scenario &scenario, unsigned max_depth)
        : scenario_(scenario), max_depth_(max_depth)
    {
    }

    bool run(Totals &totals)
    {
        std::vector<World> level{World(scenario_)}, next;
        level[0].canonical(scenario_);
        seen_.add(level[0].hash(), 0);
        bool good = true;
        u32 first = 0; // index of the level's first state
        unsigned depth = 0;
        for (; good && !level.empty() && depth < max_depth_; depth++) {
            next.clear();
            const u32 begin = seen_.size();
            for (u32 i = 0; good && i < level.size(); i++)
                good = expand(level[i], first + i, next);
            first = begin;
            level.swap(next);
        }
        const bool complete = good && level.empty();
        if (complete)
            depth--;
        std::printf("%-10s %9u states %10llu transitions, depth %u, %s\n", scenario_.name,
                    seen_.size(), static_cast<unsigned long long>(transitions_), depth,
                    complete ? "exhausted"
                    : good   ? "cut"
                             : "FAILED");
        std::fflush(stdout);
        totals.states += seen_.size();
        totals.transitions += transitions_;
        totals.depth = std::max(totals.depth, depth);
        totals.complete &= complete;
        return good;
    }

private:
    bool expand(const World &world, u32 index, std::vector<World> &next)
    {
        if (!world.packets && world.begun) {
            if (const char *failed = settle(world, scenario_, nullptr)) {
                tell(index, nullptr, failed);
                return false;
            }
        }
        enabled(world, scenario_, events_);
        for (const Event event : events_) {
            World after = world;
            transitions_++;
            if (const char *failed = apply(after, scenario_, event, nullptr)) {
                tell(index, &event, failed);
                return false;
            }
            after.canonical(scenario_);
            if (seen_.add(after.hash(), index))
                next.push_back(after);
        }
        return true;
    }

    // Goes the way again with the replicas under the names that they began with.
    void tell(u32 index, const Event *last, const char *failed)
    {
        std::string story;
        World world(scenario_), canonical = world;
        const std::vector<u64> path = seen_.path(index);
        std::vector<Event> events;
        unsigned step = 0;
        const auto go = [&](Event event, const World &from) {
            story += std::to_string(++step) + ".\n";
            world = from;
            return apply(world, scenario_, event, &story);
        };
        for (size_t i = 1; i < path.size(); i++) {
            enabled(world, scenario_, events);
            for (const Event event : events) {
                World after = world;
                apply(after, scenario_, event, nullptr);
                canonical = after;
                canonical.canonical(scenario_);
                if (canonical.hash() == path[i]) {
                    go(event, world);
                    break;
                }
            }
        }
        if (last) {
            enabled(world, scenario_, events);
            const World from = world;
            for (const Event event : events) {
                World after = from;
                const char *what = apply(after, scenario_, event, nullptr);
                if (what && std::string(what) == failed) {
                    go(event, from);
                    break;
                }
            }
        } else {
            story += "and then, with nothing lost and everything repeated:\n";
            settle(world, scenario_, &story);
        }
        std::printf("%sbroken: %s\n", story.c_str(), failed);
    }

    const Scenario &scenario_;
    const unsigned max_depth_;
    Seen seen_;
    u64 transitions_ = 0;
    std::vector<Event> events_;
};

} // namespace

int main(int argc, char **argv)
{
    static const option options[] = {{"depth", required_argument, nullptr, 'd'},
                                     {"scenario", required_argument, nullptr, 's'},
                                     {"json", required_argument, nullptr, 'j'},
                                     {"list", no_argument, nullptr, 'l'},
                                     {}};
    unsigned depth = 1000;
    std::string only, json;
    for (int c; (c = getopt_long(argc, argv, "", options, nullptr)) != -1;) {
        switch (c) {
        case 'd':
            depth = static_cast<unsigned>(std::strtoul(optarg, nullptr, 10));
            break;
        case 's':
            only = optarg;
            break;
        case 'j':
            json = optarg;
            break;
        case 'l':
            for (const Scenario &scenario : scenarios)
                std::puts(scenario.name);
            return 0;
        default:
            return 2;
        }
    }

    const auto begin = std::chrono::steady_clock::now();
    Totals totals;
    bool good = true, any = false;
    for (const Scenario &scenario : scenarios) {
        if (!only.empty() && only != scenario.name)
            continue;
        any = true;
        if (!(good = Search(scenario, depth).run(totals)))
            break;
    }
    if (!any) {
        std::fprintf(stderr, "explore: no scenario \"%s\"\n", only.c_str());
        return 2;
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::printf("%llu states, %llu transitions, depth %u, %s, %.0f s\n",
                static_cast<unsigned long long>(totals.states),
                static_cast<unsigned long long>(totals.transitions), totals.depth,
                !good             ? "FAILED"
                : totals.complete ? "exhausted within the bounds"
                                  : "cut at the depth given",
                took.count());
    if (!json.empty()) {
        std::ofstream out(json);
        out << "{\"states\":" << totals.states << ",\"transitions\":" << totals.transitions
            << ",\"depth\":" << totals.depth
            << ",\"complete\":" << (totals.complete ? "true" : "false") << "}\n";
        if (!out.flush()) {
            std::perror(json.c_str());
            return 2;
        }
    }
    return good ? 0 : 1;
}
