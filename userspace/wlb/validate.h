// SPDX-License-Identifier: GPL-2.0-only
// What a configuration may be. Pure: used by the file reader and the `add`
// commands alike. The kernel checks again; this says more, and all at once.
#pragma once

#include <string>
#include <vector>

#include "wlb/config.h"

namespace wlb {

struct Problem {
    std::string path; // in the file's words: "server-gateway.origin[0].replicas[1].delay"
    std::string message;
};

std::vector<Problem> validate(const Config &config);

} // namespace wlb
