// SPDX-License-Identifier: GPL-2.0-only
// Words of the configuration that stand for values of an enumeration.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "wlb/result.h"

namespace wlb {

template <class T, std::size_t N> using Names = std::array<std::pair<const char *, T>, N>;

template <class T, std::size_t N> const char *name_in(const Names<T, N> &names, T value)
{
    for (const auto &[name, known] : names)
        if (known == value)
            return name;
    return "?";
}

template <class T, std::size_t N>
Result<T> parse_in(const Names<T, N> &names, std::string_view text)
{
    std::string allowed;
    for (std::size_t i = 0; i < N; ++i) {
        if (text == names[i].first)
            return names[i].second;
        allowed += i == 0 ? "" : i + 1 == N ? " or " : ", ";
        allowed += "\"" + std::string(names[i].first) + "\"";
    }
    return Error{"\"" + std::string(text) + "\" must be " + allowed};
}

} // namespace wlb
