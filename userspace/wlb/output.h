// SPDX-License-Identifier: GPL-2.0-only
// Objects and records as text lines and as JSON.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

#include "wlb/config.h"
#include "wlb/doors.h"
#include "wlb/processing.h"
#include "wlb/records.h"

namespace wlb {

using Json = nlohmann::ordered_json;

std::string to_text(const Tuple &tuple);
std::string to_text(const Flow &flow);
std::string to_text(const RaceRecord &race);
std::string to_text(const Learned &learned); // one line per answerer
std::string to_text(const Bypass &bypass);

Json to_json(const Flow &flow);
Json to_json(const RaceRecord &race);
Json to_json(const Learned &learned);
Json to_json(const Bypass &bypass);
Json to_json(const Stats &stats);
Json to_json(const ProcessRule &rule);
Json to_json(const Service &service);
Json to_json(const Origin &origin);
Json to_json(const Served &served, bool busy);

} // namespace wlb
