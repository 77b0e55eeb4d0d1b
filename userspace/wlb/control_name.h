// SPDX-License-Identifier: GPL-2.0-only
// Where wlbctl finds wlb-routerd: an abstract Unix socket, of which each network namespace
// has its own.
#pragma once

#include <string_view>

namespace wlb {

// A NUL in front is what makes it abstract.
inline constexpr char routerd_socket_name[] = "\0wlb-routerd";
inline constexpr std::string_view routerd_socket{routerd_socket_name,
                                                 sizeof(routerd_socket_name) - 1};

} // namespace wlb
