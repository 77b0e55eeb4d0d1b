// SPDX-License-Identifier: GPL-2.0-only
// One end of a flow as it stands on a command line.
#pragma once

#include <optional>
#include <string>

#include "wlb/address.h"

namespace wlb::cli {

struct FlowEnd {
    Address address;
    std::optional<std::uint16_t> port;
};

// "10.0.0.1:80", "[2001:db8::1]:80", or an address alone.
Result<FlowEnd> parse_flow_end(const std::string &text);

} // namespace wlb::cli
