// SPDX-License-Identifier: GPL-2.0-only
// What is told of this host's memberships, as JSON: the words of wlbctl-cache.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cached/pressure.h"
#include "daemon/prober.h"
#include "wccp/cache.h"
#include "wlb/cache_host.h"
#include "wlb/doors.h"
#include "wlb/output.h"

namespace wlb::cached {

struct GroupId {
    ServiceId service;
    bool ipv6 = false;

    [[nodiscard]] std::string text() const { return service.text() + (ipv6 ? " (IPv6)" : ""); }
    auto operator<=>(const GroupId &) const = default;
};

// `running` is the kernel's, if it could be read.
Json show(const GroupId &id, const Membership &config, const wccp::CacheGroupReport &report,
          const daemon::Prober &prober, bool drained, const RunningDoors *running);
Json show(const CacheHost &host, const Pressure &pressure, std::uint32_t share);
Json show_event(const GroupId &id, const wccp::CacheEvent &event);

} // namespace wlb::cached
