// SPDX-License-Identifier: GPL-2.0-only
// A fuzzer's input, octet by octet; behind its end there are zeros.
#pragma once

#include <algorithm>
#include <cstdint>

#include "wccp/wire.h"

class Input {
public:
    Input(const std::uint8_t *data, std::size_t size) : left_(data, size) {}
    std::uint8_t octet()
    {
        if (left_.empty())
            return 0;
        const auto first = left_.front();
        left_ = left_.subspan(1);
        return first;
    }
    [[nodiscard]] bool done() const { return left_.empty(); }

private:
    wlb::wccp::View left_;
};
