// SPDX-License-Identifier: GPL-2.0-only
// include/uapi/linux/wlb.h on the wire: requests built, replies read. No I/O.
#pragma once

#include <netlink/msg.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "wlb/config.h"
#include "wlb/doors.h"
#include "wlb/group.h"
#include "wlb/in_force.h"
#include "wlb/processing.h"
#include "wlb/records.h"

namespace wlb {

struct MessageDeleter {
    void operator()(nl_msg *message) const { nlmsg_free(message); }
};
using Message = std::unique_ptr<nl_msg, MessageDeleter>;

// A configuration as it runs.
struct Running {
    std::uint32_t generation = 0;
    std::uint32_t roles = 0;
    Config config;
    std::set<std::string> busy; // names of served origins
};

// A request without attributes; `flags` are NLM_F_DUMP or 0.
Result<Message> make_request(int family, std::uint8_t command, int flags = 0);

// `config` must have passed validate(). Only the objects of `roles` go in.
Result<Message> encode_config(int family, const Config &config, std::uint32_t roles,
                              std::optional<std::uint32_t> generation);
Result<Message> encode_busy(int family, bool busy, const std::optional<std::string> &name);
Result<Message> encode_flow(int family, const Flow &flow); // to put it back
Result<Message> encode_flush(int family, const FlowFilter &filter);
// What was learned of one server; none: everything.
Result<Message> encode_forget(int family, const std::optional<Address> &server);

Result<Message> encode_groups(int family, const RedirectGroups &groups);
Result<Message> encode_renewal(int family);
Result<Message> encode_assignment(int family, const RedirectAssignment &assignment);
// None for that group and family.
Result<Message> encode_no_assignment(int family, const std::string &group, bool ipv6);

// Without a door the role goes off.
Result<Message> encode_cache(int family, const CacheDoors &cache);
Result<Message> encode_bypass(int family, const Bypass &bypass); // to add it
// The one of these addresses; none: all of them.
Result<Message> encode_no_bypass(int family, const std::optional<Bypass> &bypass);

// Without a rule the role goes off.
Result<Message> encode_process(int family, const std::vector<RunningProcessRule> &rules);

// To clone to exactly these; to those of the configuration.
Result<Message> encode_replicas(int family, const std::string &origin,
                                const std::vector<Replica> &replicas);
Result<Message> encode_configured_replicas(int family, const std::string &origin);

// Adds what one message of a configuration dump carries.
Status decode_config(const nlmsghdr *message, Running &running);
Result<Flow> decode_flow(const nlmsghdr *message);
Result<RaceRecord> decode_race(const nlmsghdr *message);
Result<Learned> decode_learned(const nlmsghdr *message);
Result<Stats> decode_stats(const nlmsghdr *message);
Result<std::uint32_t> decode_count(const nlmsghdr *message);
// Add what one message of these dumps carries.
Status decode_groups(const nlmsghdr *message, RunningGroups &groups);
Status decode_assignments(const nlmsghdr *message, std::vector<RunningAssignment> &assignments);
Status decode_cache(const nlmsghdr *message, RunningDoors &running);
Result<Bypass> decode_bypass(const nlmsghdr *message);
Result<RunningProcessRule> decode_process(const nlmsghdr *message);
Result<ReplicaInForce> decode_replica(const nlmsghdr *message);

// What a NLMSG_ERROR says: the errno's text and, if the kernel gave them, the
// sentence and the attribute of the extended ack, named after `request`.
Error decode_refusal(const nlmsghdr *error, const nlmsghdr *request);
// The same for the end of a dump that failed halfway; code 0 if it did not.
Error decode_dump_end(const nlmsghdr *done);

} // namespace wlb
