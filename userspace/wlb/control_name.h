// SPDX-License-Identifier: GPL-2.0-only
// Where wlbctl finds wlb-routerd: an abstract Unix socket, of which each network namespace
// has its own.
#pragma once

#include <string_view>

namespace wlb {

using namespace std::string_view_literals;

inline constexpr std::string_view routerd_socket = "\0wlb-routerd"sv;

} // namespace wlb
