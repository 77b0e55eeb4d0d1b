// SPDX-License-Identifier: GPL-2.0-only
// Replicas that get clones, as the kernel has them.
#pragma once

#include <cstdint>
#include <string>

#include "wlb/config.h"

namespace wlb {

struct ReplicaInForce {
    std::string origin;
    Replica replica;
    std::uint64_t clones = 0; // made for it
    bool configured = false;  // else a daemon has set it
};

} // namespace wlb
