// SPDX-License-Identifier: GPL-2.0-only
// Where copies of packets go.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <utility>

#include "wlb/output.h"
#include "wlb/processing.h"

namespace wlb::processd {

using Octets = std::span<const std::uint8_t>;

class Sink {
public:
    explicit Sink(ProcessCopy copy) : copy_(std::move(copy)) {}
    Sink(const Sink &) = delete;
    Sink &operator=(const Sink &) = delete;
    virtual ~Sink() = default;

    // `packet` begins with an IP header, and may be a part of the packet only; `time`: since
    // 1970. What cannot be kept is counted, and lost.
    virtual void take(Octets packet, std::chrono::nanoseconds time) = 0;
    // Where others see it, now.
    virtual void flush() {}
    [[nodiscard]] virtual Json show() const = 0;

    [[nodiscard]] bool is_place_of(const ProcessCopy &copy) const
    {
        return copy.file == copy_.file && copy.interface == copy_.interface;
    }
    // Of the same place.
    void reconfigure(const ProcessCopy &copy) { copy_ = copy; }

protected:
    [[nodiscard]] const ProcessCopy &copy() const { return copy_; }

private:
    ProcessCopy copy_;
};

} // namespace wlb::processd
