// SPDX-License-Identifier: GPL-2.0-only
// Configurations that are refused, and how.
#pragma once

#include <catch2/catch.hpp>

#include <regex>
#include <string>
#include <vector>

#include "wlb/toml_reader.h"

namespace wlb::test {

inline std::vector<std::string> errors(const std::string &toml)
{
    std::vector<std::string> lines;
    for (const auto &e : parse_config(toml).errors)
        lines.push_back(std::to_string(e.line) + ":" + std::to_string(e.column) + ": " + e.message);
    return lines;
}

struct Refusal {
    std::string toml;
    std::string error; // a regular expression for the one and only error
};

inline void check(const std::vector<Refusal> &refusals)
{
    for (const auto &[toml, error] : refusals) {
        INFO(toml);
        INFO("expected " << error);
        const auto found = errors(toml);
        CAPTURE(found);
        REQUIRE(found.size() == 1);
        CHECK(std::regex_search(found.front(), std::regex("^" + error)));
    }
}

} // namespace wlb::test
