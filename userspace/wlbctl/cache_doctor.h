// SPDX-License-Identifier: GPL-2.0-only
// Why a proxy's host does not get, or does not answer, what routers redirect.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "wlb/cache_host.h"
#include "wlb/output.h"
#include "wlbctl/run.h"

namespace wlb::cli {

struct Finding {
    enum Grade { good, warning, fault };
    Grade grade = good;
    std::string what;
    std::string consequence; // empty if good
    std::string mend;        // a command, or what to do
};

// What the doctor looks at, so that it can be tested without a host.
struct Patient {
    std::function<Result<std::string>(const Words &words)> run;
    std::function<Result<std::string>(const std::string &path)> read; // of /proc
    Result<Json> daemon = Json();                                     // wlb-cached's "show"
};

std::vector<Finding> examine(const CacheHost &host, const Patient &patient);

// Interfaces by which routers are reached and whose reverse path filter is strict.
std::vector<std::string> strict_interfaces(const CacheHost &host, const Patient &patient);

} // namespace wlb::cli
