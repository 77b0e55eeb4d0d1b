// SPDX-License-Identifier: GPL-2.0-only
// What wlb-routerd tells of a service group, for people.
#pragma once

#include <ostream>
#include <string_view>

#include "wlb/output.h"
#include "wlb/result.h"

namespace wlb::cli {

void write_summary(std::ostream &out, const Json &group);
void write_detail(std::ostream &out, const Json &group);
void write_view(std::ostream &out, const Json &group);
void write_service(std::ostream &out, const Json &group);
void write_counters(std::ostream &out, const Json &group);
void write_interfaces(std::ostream &out, const Json &group);
void write_clients(std::ostream &out, const Json &group);
void write_assignment(std::ostream &out, const Json &group);
void write_hash(std::ostream &out, const Json &group);
void write_event(std::ostream &out, const Json &event);

Result<std::uint8_t> parse_protocol(std::string_view text);

} // namespace wlb::cli
