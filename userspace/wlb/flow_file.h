// SPDX-License-Identifier: GPL-2.0-only
// Flows as a file: what `wlbctl flow save` writes and `flow restore` reads.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "wlb/records.h"
#include "wlb/result.h"

namespace wlb {

// A JSON object of a version and a list of flows, one flow a line. Flows that race
// are left out: their answers will find no flow, and the clients repeat their SYNs.
class FlowFile {
public:
    void add(const Flow &flow);
    [[nodiscard]] std::string text() &&;

private:
    std::string lines_;
};

// All that are in it, or what is wrong with the first that cannot be read.
Result<std::vector<Flow>> parse_flows(std::string_view text);

} // namespace wlb
