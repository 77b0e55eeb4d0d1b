// SPDX-License-Identifier: GPL-2.0-only
// What is told of this host's replicas, as JSON: the words of wlbctl-replica.
#pragma once

#include "registry/replica.h"
#include "replicad/instance.h"
#include "wlb/output.h"

namespace wlb::replicad {

// `connections`: of the origin, if they could be counted.
Json show(const Instance &instance, const std::optional<std::size_t> &connections);
Json show(const registry::GatewayView &gateway);
Json show(const registry::ReplicaCounters &counters);

} // namespace wlb::replicad
