// SPDX-License-Identifier: GPL-2.0-only
// Programs of the system that wlbctl works with: ip, nft, ss, sysctl.
#pragma once

#include <string>
#include <vector>

#include "wlb/result.h"

namespace wlb::cli {

using Words = std::vector<std::string>;

// What the program has written. An error has what it said about its failure.
Result<std::string> run_program(const Words &words);

// As a shell would take it.
std::string shell_text(const Words &words);

} // namespace wlb::cli
