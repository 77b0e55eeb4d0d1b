// SPDX-License-Identifier: GPL-2.0-only
// What is told of a registry, as JSON: the words of wlbctl-gateway.
#pragma once

#include <vector>

#include "gatewayd/realm.h"
#include "wlb/in_force.h"
#include "wlb/output.h"

namespace wlb::gatewayd {

// `kernel` is what there is of clones, if it could be read.
Json show(const registry::ReplicaReport &report, const std::vector<ReplicaInForce> *kernel);
Json show(const RealmId &id, const registry::Gateway &gateway);
Json show_event(const registry::GatewayEvent &event);

} // namespace wlb::gatewayd
