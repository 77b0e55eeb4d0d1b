// SPDX-License-Identifier: GPL-2.0-only
// What is told of a group, as JSON: the words of wlbctl-wccp.
#pragma once

#include "routerd/group.h"
#include "wlb/group.h"
#include "wlb/output.h"

namespace wlb::routerd {

// `running` and `members` are the kernel's counters, if they could be read.
Json show(const GroupId &id, const CacheGroup &config, const wccp::Report &report,
          const RunningGroup *running, const RunningAssignment *members);

// Which cache has what, bucket by bucket or value by value.
Json show_assignment(const wccp::Assignment &assignment);

// The same for a picture: members, and of each bucket the place of its cache among them, or -1; of
// masks how many values each has.
Json show_map(const wccp::Assignment &assignment);

struct FlowQuestion {
    Address source;
    Address destination;
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    std::uint8_t protocol = 6;
};
// Where a packet would go, and why.
Json show_hash(const wccp::Assignment &assignment, const FlowQuestion &flow);

Json show_event(const GroupId &id, const wccp::Event &event);

} // namespace wlb::routerd
