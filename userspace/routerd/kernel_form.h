// SPDX-License-Identifier: GPL-2.0-only
// A group's configuration and its assignment as the kernel takes them, and back.
#pragma once

#include <optional>

#include "wccp/assignment.h"
#include "wlb/cache_router.h"
#include "wlb/group.h"

namespace wlb::routerd {

RedirectGroups to_kernel(const CacheRouter &router);

// `service` names the kernel's group. Without members, or before the service is known, there
// is nothing to redirect and no form for it.
// `leaving`: caches that get nothing new, but keep the connections that drain.
std::optional<RedirectAssignment> to_kernel(const ServiceId &service, bool ipv6,
                                            const wccp::Assignment &assignment,
                                            const std::vector<RedirectMember> &leaving = {});

// What an earlier process has left, without who was leaving. None if its state is not of
// this version.
std::optional<wccp::Assignment> from_kernel(const RedirectAssignment &assignment);

} // namespace wlb::routerd
