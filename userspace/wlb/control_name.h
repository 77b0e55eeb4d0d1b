// SPDX-License-Identifier: GPL-2.0-only
// Where wlbctl finds a daemon: an abstract Unix socket of the daemon's name, of which each
// network namespace has its own.
#pragma once

#include <string>

namespace wlb {

inline constexpr const char *routerd_name = "wlb-routerd";
inline constexpr const char *cached_name = "wlb-cached";
inline constexpr const char *processd_name = "wlb-processd";
inline constexpr const char *gatewayd_name = "wlb-gatewayd";
inline constexpr const char *replicad_name = "wlb-replicad";

// A NUL in front is what makes it abstract.
inline std::string control_name(const std::string &daemon)
{
    return std::string(1, '\0') + daemon;
}

} // namespace wlb
