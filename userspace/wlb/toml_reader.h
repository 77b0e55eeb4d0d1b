// SPDX-License-Identifier: GPL-2.0-only
// wlb.toml -> Config, with every error and its place.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wlb/config.h"

namespace wlb {

struct Diagnostic {
    std::uint32_t line = 0;
    std::uint32_t column = 0;
    std::string message;
};

struct ParsedConfig {
    Config config; // to be used only if there are no errors
    std::vector<Diagnostic> errors;
};

ParsedConfig parse_config(std::string_view text);

} // namespace wlb
