// SPDX-License-Identifier: GPL-2.0-only
// What wlbctl asks of the module, behind an interface so that the commands can
// be tested without one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wlb/config.h"
#include "wlb/doors.h"
#include "wlb/group.h"
#include "wlb/in_force.h"
#include "wlb/message.h"
#include "wlb/processing.h"
#include "wlb/records.h"

namespace wlb {

// A dump that was not read from one consistent state.
enum class Dump : std::uint8_t { consistent, torn };

class Kernel {
public:
    Kernel() = default;
    Kernel(const Kernel &) = delete;
    Kernel &operator=(const Kernel &) = delete;
    virtual ~Kernel() = default;

    virtual Result<Running> read_config() = 0;
    // Replaces `roles`; Error::code is ESTALE if `generation` does not run any more.
    virtual Status write_config(const Config &config, std::uint32_t roles,
                                std::uint32_t generation) = 0;
    virtual Status set_busy(bool busy, const std::optional<std::string> &name) = 0;
    // Whom an origin's SYNs are cloned to from now on, whatever the configuration says, and
    // for as long as it has that origin. Error::code is ENOENT if there is none.
    virtual Status set_replicas(const std::string &origin,
                                const std::vector<Replica> &replicas) = 0;
    virtual Status unset_replicas(const std::string &origin) = 0; // those of the configuration
    virtual Result<std::vector<ReplicaInForce>> read_replicas() = 0;
    // Hands out flows as they are read, so that a million of them need no memory.
    virtual Result<Dump> read_flows(const std::function<void(const Flow &)> &take) = 0;
    virtual Status restore_flow(const Flow &flow) = 0;
    virtual Result<std::uint32_t> flush_flows(const FlowFilter &filter) = 0;
    virtual Result<Stats> read_stats() = 0;
    virtual Result<std::vector<RaceRecord>> read_races() = 0; // sorted by id
    // What races have taught a client gateway; sorted by server and port.
    virtual Result<std::vector<Learned>> read_learned() = 0;
    // Of one server or all; the number of origins.
    virtual Result<std::uint32_t> forget_learned(const std::optional<Address> &server) = 0;
    // The cache router. Replaces all groups; those of the same type and id keep their
    // assignments and counters.
    virtual Status set_groups(const RedirectGroups &groups) = 0;
    virtual Result<RunningGroups> read_groups() = 0;
    // We are alive: RedirectGroups::lease begins anew, as with the other changes here.
    // Error::code is ESTALE if it has ended and groups are idle.
    virtual Status renew_lease() = 0;
    // Error::code is ENOENT if there is no such group.
    virtual Status set_assignment(const RedirectAssignment &assignment) = 0;
    virtual Status clear_assignment(const std::string &group, bool ipv6) = 0;
    virtual Result<std::vector<RunningAssignment>> read_assignments() = 0;
    // The cache's host. Replaces all but what was learned, which goes with the last door;
    // a router of the same address keeps its counters.
    virtual Status set_cache(const CacheDoors &cache) = 0;
    virtual Result<RunningDoors> read_cache() = 0;
    // Anew for its lifetime if it is known. Error::code is ENOENT if the role is off.
    virtual Status add_bypass(const Bypass &bypass) = 0;
    // The one of these addresses, ENOENT if there is none; or all.
    virtual Status remove_bypass(const std::optional<Bypass> &bypass) = 0;
    virtual Result<std::vector<Bypass>> read_bypasses() = 0; // sorted by destination
    // Replaces all rules for processing, and their counters. Error::code is EOPNOTSUPP if
    // copies are wanted of a kernel without NFLOG.
    virtual Status set_process(const std::vector<RunningProcessRule> &rules) = 0;
    virtual Result<std::vector<RunningProcessRule>> read_process() = 0; // in their order
    // Until `take` returns false or `stop_fd` can be read. `lost` is called
    // when races came faster than they were taken.
    virtual Status watch_races(int stop_fd, const std::function<bool(const RaceRecord &)> &take,
                               const std::function<void()> &lost) = 0;
};

// Enters the network namespace /run/netns/`netns` first, unless it is empty.
Result<std::unique_ptr<Kernel>> connect_kernel(const std::string &netns);

// Reads, changes, writes `roles`; tries anew if somebody else was faster.
// `change` may be called several times; false from it: nothing to write.
Status update_config(Kernel &kernel, std::uint32_t roles,
                     const std::function<Result<bool>(Config &)> &change);

} // namespace wlb
