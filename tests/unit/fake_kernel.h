// SPDX-License-Identifier: GPL-2.0-only
// A module made of memory, to run the commands against.
#pragma once

#include <linux/wlb.h>

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "wlb/kernel.h"

namespace wlb::test {

struct FakeState {
    Running running;
    int writes = 0;
    int stale_writes = 0; // so many writes meet somebody else's change first
    std::uint32_t written_roles = 0;
    std::optional<Error> refusal;
    std::vector<Flow> flows;
    bool torn = false;
    std::vector<RaceRecord> races;
    Stats stats;
    FlowFilter filter;
    std::vector<Flow> restored;
    std::function<std::optional<Error>(const Flow &)> refuse_flow;
    RunningGroups groups;
    std::vector<RunningAssignment> assignments;
    RunningDoors doors;
    std::vector<Bypass> bypasses;
    std::vector<RunningProcessRule> process;
    std::vector<Learned> learned;
    std::optional<Address> forgotten; // the server that forget_learned() was told
    std::vector<ReplicaInForce> replicas;
    int interrupt = 0; // a signal that comes while races are watched
    std::vector<std::string> busy_calls;
};

class FakeKernel final : public Kernel {
public:
    explicit FakeKernel(FakeState &state) : state_(state) {}

    Result<Running> read_config() override { return state_.running; }

    Status write_config(const Config &config, std::uint32_t roles,
                        std::uint32_t generation) override
    {
        ++state_.writes;
        if (state_.refusal)
            return *state_.refusal;
        if (state_.stale_writes > 0) {
            --state_.stale_writes;
            ++state_.running.generation;
            Service other;
            other.name = "other" + std::to_string(state_.running.generation);
            other.ports = {static_cast<std::uint16_t>(10000 + state_.running.generation)};
            other.any_replica = true;
            state_.running.config.client_gateway.services.push_back(other);
        }
        if (generation != state_.running.generation)
            return Error{"stale", ESTALE};
        ++state_.running.generation;
        state_.written_roles = roles;
        if ((roles & WLB_ROLE_CLIENT_GATEWAY) != 0)
            state_.running.config.client_gateway = config.client_gateway;
        if ((roles & WLB_ROLE_SERVER_GATEWAY) != 0) {
            state_.running.config.server_gateway = config.server_gateway;
            state_.running.config.origins = config.origins;
        }
        if ((roles & WLB_ROLE_REPLICA) != 0)
            state_.running.config.served = config.served;
        return Done{};
    }

    Status set_busy(bool busy, const std::optional<std::string> &name) override
    {
        if (name == "absent")
            return Error{"No such file or directory", ENOENT};
        state_.busy_calls.push_back((busy ? "on " : "off ") + name.value_or("all"));
        return Done{};
    }

    Status set_replicas(const std::string &origin, const std::vector<Replica> &replicas) override
    {
        (void)unset_replicas(origin);
        for (const auto &replica : replicas)
            state_.replicas.push_back({origin, replica, 0, false});
        return Done{};
    }

    Status unset_replicas(const std::string &origin) override
    {
        std::erase_if(state_.replicas,
                      [&](const auto &replica) { return replica.origin == origin; });
        return Done{};
    }

    Result<std::vector<ReplicaInForce>> read_replicas() override { return state_.replicas; }

    Result<Dump> read_flows(const std::function<void(const Flow &)> &take) override
    {
        for (const auto &flow : state_.flows)
            take(flow);
        if (state_.refusal)
            return *state_.refusal;
        return state_.torn ? Dump::torn : Dump::consistent;
    }

    Status restore_flow(const Flow &flow) override
    {
        if (state_.refuse_flow)
            if (const auto error = state_.refuse_flow(flow))
                return *error;
        state_.restored.push_back(flow);
        return Done{};
    }

    Result<std::uint32_t> flush_flows(const FlowFilter &filter) override
    {
        state_.filter = filter;
        return static_cast<std::uint32_t>(state_.flows.size());
    }

    Result<Stats> read_stats() override { return state_.stats; }
    Result<std::vector<RaceRecord>> read_races() override { return state_.races; }

    Result<std::vector<Learned>> read_learned() override { return state_.learned; }

    Result<std::uint32_t> forget_learned(const std::optional<Address> &server) override
    {
        if (state_.refusal)
            return *state_.refusal;
        state_.forgotten = server;
        return static_cast<std::uint32_t>(std::erase_if(
            state_.learned, [&](const auto &known) { return !server || known.server == *server; }));
    }

    Status set_groups(const RedirectGroups &groups) override
    {
        if (state_.refusal)
            return *state_.refusal;
        state_.groups = {groups.check_all, groups.lease, {}};
        for (const auto &group : groups.groups)
            state_.groups.groups.push_back({group, {}});
        std::erase_if(state_.assignments,
                      [&](const auto &running) { return !has_group(running.assignment.group); });
        return Done{};
    }

    Result<RunningGroups> read_groups() override { return state_.groups; }
    Status renew_lease() override { return Done{}; }

    Status set_assignment(const RedirectAssignment &assignment) override
    {
        if (const auto status = clear_assignment(assignment.group, assignment.ipv6); !status)
            return status;
        state_.assignments.push_back(
            {assignment, std::vector<MemberCounters>(assignment.members.size())});
        return Done{};
    }

    Status clear_assignment(const std::string &group, bool ipv6) override
    {
        if (state_.refusal)
            return *state_.refusal;
        if (!has_group(group))
            return Error{"No such file or directory", ENOENT};
        std::erase_if(state_.assignments, [&](const auto &running) {
            return running.assignment.group == group && running.assignment.ipv6 == ipv6;
        });
        return Done{};
    }

    Result<std::vector<RunningAssignment>> read_assignments() override
    {
        return state_.assignments;
    }

    Status set_cache(const CacheDoors &cache) override
    {
        if (state_.refusal)
            return *state_.refusal;
        state_.doors = {cache, std::vector<DoorCounters>(cache.doors.size())};
        if (cache.doors.empty())
            state_.bypasses.clear();
        return Done{};
    }

    Result<RunningDoors> read_cache() override { return state_.doors; }

    Status add_bypass(const Bypass &bypass) override
    {
        if (state_.refusal)
            return *state_.refusal;
        if (state_.doors.cache.doors.empty())
            return Error{"cache: the role is off", ENOENT};
        forget(bypass);
        state_.bypasses.push_back(bypass);
        return Done{};
    }

    Status remove_bypass(const std::optional<Bypass> &bypass) override
    {
        if (state_.doors.cache.doors.empty())
            return Error{"cache: the role is off", ENOENT};
        if (!bypass)
            state_.bypasses.clear();
        else if (forget(*bypass) == 0)
            return Error{"bypass: not known", ENOENT};
        return Done{};
    }

    Result<std::vector<Bypass>> read_bypasses() override { return state_.bypasses; }

    Status set_process(const std::vector<RunningProcessRule> &rules) override
    {
        state_.process = rules;
        return Done{};
    }

    Result<std::vector<RunningProcessRule>> read_process() override { return state_.process; }

    Status watch_races(int stop_fd, const std::function<bool(const RaceRecord &)> &take,
                       const std::function<void()> &lost) override
    {
        if (state_.interrupt != 0) {
            kill(getpid(), state_.interrupt);
            pollfd stop{stop_fd, POLLIN, 0};
            if (poll(&stop, 1, 0) == 1)
                return Done{};
        }
        lost();
        for (const auto &race : state_.races)
            if (!take(race))
                break;
        return Done{};
    }

private:
    std::size_t forget(const Bypass &bypass)
    {
        return std::erase_if(state_.bypasses, [&](const auto &known) {
            return known.source == bypass.source && known.destination == bypass.destination;
        });
    }

    [[nodiscard]] bool has_group(const std::string &name) const
    {
        return std::any_of(state_.groups.groups.begin(), state_.groups.groups.end(),
                           [&](const auto &running) { return running.group.name == name; });
    }

    FakeState &state_;
};

} // namespace wlb::test
