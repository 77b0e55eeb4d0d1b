// SPDX-License-Identifier: GPL-2.0-only
// What the kernel tells, answer by answer, into the fields of a struct.
#pragma once

#include <utility>
#include <vector>

#include "wlb/result.h"

namespace wlb::cli {

template <class T> Status take(Result<T> result, T &target)
{
    if (!result)
        return result.error();
    target = std::move(*result);
    return Done{};
}

// The first that failed.
inline Status all_of(const std::vector<Status> &taken)
{
    for (const auto &status : taken)
        if (!status)
            return status;
    return Done{};
}

} // namespace wlb::cli
