// SPDX-License-Identifier: GPL-2.0-only
// What the kernel's tracepoints tell, one line of tracefs each: kmod/trace.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wlb/output.h"

namespace wlb::cli {

struct Traced {
    std::int64_t us = 0; // of the trace's clock
    std::string event;   // without "wlb_"
    // As the kernel names them, "[::1]:80" as two: "client" and "client_port".
    std::vector<std::pair<std::string, std::string>> fields;

    // "" if it has none.
    [[nodiscard]] const std::string &field(const std::string &name) const;
    // Is it about this address, as it stands in a field?
    [[nodiscard]] bool is_about(const std::string &address) const;
};

// Nothing if the line is no event of ours.
std::optional<Traced> parse_traced(std::string_view line);

// How many events a line says that there was no room for; 0 if it is none that does.
std::uint64_t parse_lost(std::string_view line);

// `us`: since 1970.
std::string to_text(const Traced &traced, std::int64_t us);
Json to_json(const Traced &traced, std::int64_t us);

} // namespace wlb::cli
