// SPDX-License-Identifier: GPL-2.0-only
// Why a host does not do what its roles in the kernel are to do.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "wlb/kernel.h"
#include "wlbctl/finding.h"

namespace wlb::cli {

// What the kernel has, and the file that it should have it from.
struct Roles {
    Running running;
    Stats stats;
    RunningGroups groups;
    std::vector<RunningAssignment> assignments;
    std::optional<Config> file;
    std::map<std::string, bool> daemons; // by name: it answers
};

// Those that the file has something to do for; wlb-cached, which has a doctor of its own, is none
// of them.
std::vector<const char *> daemons_of(const Config &file);

std::vector<Finding> examine_roles(const Roles &roles, const Patient &patient);

} // namespace wlb::cli
