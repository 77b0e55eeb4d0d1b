// SPDX-License-Identifier: GPL-2.0-only
// What wlb-cached tells of a service group, for people.
#pragma once

#include <ostream>

#include "wlb/output.h"

namespace wlb::cli {

void write_cache_summary(std::ostream &out, const Json &group);
void write_cache_detail(std::ostream &out, const Json &group);
void write_cache_counters(std::ostream &out, const Json &group);
void write_cache_host(std::ostream &out, const Json &host);
void write_cache_event(std::ostream &out, const Json &event);

} // namespace wlb::cli
