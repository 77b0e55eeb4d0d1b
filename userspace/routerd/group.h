// SPDX-License-Identifier: GPL-2.0-only
// One service group of one address family as the daemon runs it.
#pragma once

#include <optional>
#include <string>

#include "wccp/router.h"
#include "wlb/cache_router.h"
#include "wlb/result.h"

namespace wlb::routerd {

struct GroupId {
    ServiceId service;
    bool ipv6 = false;

    [[nodiscard]] std::string text() const;
    auto operator<=>(const GroupId &) const = default;
};

// What the protocol needs of a group's configuration. None for a family that has no address
// to be the router ID; an error if the password cannot be read.
Result<std::optional<wccp::GroupConfig>> protocol_config(const CacheGroup &group, bool ipv6);

} // namespace wlb::routerd
