// SPDX-License-Identifier: GPL-2.0-only
// What daemons answer, as lines for people.
#pragma once

#include <ostream>
#include <string>

#include "wlb/output.h"

namespace wlb::cli {

std::string text(const Json &value); // null, "" and []: "none"

// "Label:   value", the values below each other.
void line(std::ostream &out, int indent, const std::string &label, const std::string &value);
void line(std::ostream &out, int indent, const std::string &label, const Json &object,
          const char *key);

std::string clock_text(double seconds); // 01:02:03
std::string fixed(double number, int digits);
// "0" if there is none.
std::string number(const Json &object, const char *key);
// "returned passing tcp port 80 from 10.0.0.0/8 to any: dscp 46, copy watch"
std::string rule_text(const Json &rule);
// "web-cache IPv4"
std::string title(const Json &group);

} // namespace wlb::cli
