// SPDX-License-Identifier: GPL-2.0-only
// What the daemon asks of the host that it runs on.
#pragma once

#include <optional>

#include "wlb/address.h"
#include "wlb/result.h"

namespace wlb::daemon {

// The router ID if none is configured: as Cisco's, the highest address of the loopback
// interface that is not the host's own, else the highest of any interface that is up.
std::optional<Address> default_router_id(bool ipv6);

// Whether the routing table reaches the address without a router in between.
bool is_on_link(const Address &address);

// Whether the address is one of this host's own.
bool is_own(const Address &address);

// Gives up every capability but CAP_NET_ADMIN, for good.
Status drop_privileges();

} // namespace wlb::daemon
