// SPDX-License-Identifier: GPL-2.0-only
// Origins whose replicas register at one place with one file of keys: a state machine each.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "registry/gateway.h"
#include "wlb/config.h"

namespace wlb::gatewayd {

using RealmId = std::pair<Endpoint, std::string>; // where it listens, its file of keys

// Those of a configuration; an error if a file of keys cannot be read.
Result<std::map<RealmId, registry::GatewayConfig>> realms_of(const Config &config);

} // namespace wlb::gatewayd
