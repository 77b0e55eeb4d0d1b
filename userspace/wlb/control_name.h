// SPDX-License-Identifier: GPL-2.0-only
// Where wlbctl finds a daemon: an abstract Unix socket of the daemon's name, of which each
// network namespace has its own.
#pragma once

#include <cstdint>
#include <string>

namespace wlb {

inline constexpr const char *routerd_name = "wlb-routerd";
inline constexpr const char *cached_name = "wlb-cached";
inline constexpr const char *processd_name = "wlb-processd";
inline constexpr const char *gatewayd_name = "wlb-gatewayd";
inline constexpr const char *replicad_name = "wlb-replicad";

// Where it serves HTTP, unless it is told otherwise: at a port of the loopback interface, beside
// the registry's.
inline constexpr std::uint16_t routerd_http_port = 2062;
inline constexpr std::uint16_t cached_http_port = 2063;
inline constexpr std::uint16_t gatewayd_http_port = 2064;
inline constexpr std::uint16_t replicad_http_port = 2065;
inline constexpr std::uint16_t processd_http_port = 2066;

// A NUL in front is what makes it abstract.
inline std::string control_name(const std::string &daemon)
{
    return std::string(1, '\0') + daemon;
}

} // namespace wlb
