// SPDX-License-Identifier: GPL-2.0-only
// Octets in, octets out: all integers are big-endian, nothing is read past the end.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wlb/result.h"

namespace wlb::wccp {

using Octets = std::vector<std::uint8_t>;
using View = std::span<const std::uint8_t>;

inline Octets copied(View octets)
{
    return {octets.begin(), octets.end()};
}

// Reads one component. After the first thing that is not there or not allowed everything
// reads as 0 and every count as none, so that only the end needs to look for an error.
class Reader {
public:
    Reader(View octets, std::string_view component) : left_(octets), component_(component) {}

    std::uint8_t u8(std::string_view field) { return static_cast<std::uint8_t>(number(1, field)); }
    std::uint16_t u16(std::string_view field)
    {
        return static_cast<std::uint16_t>(number(2, field));
    }
    std::uint32_t u32(std::string_view field) { return number(4, field); }

    View octets(std::size_t size, std::string_view field)
    {
        if (failed())
            return {};
        if (size > left_.size()) {
            fail(field, "needs " + std::to_string(size) + " octets, " +
                            std::to_string(left_.size()) + " are left");
            return {};
        }
        const auto taken = left_.first(size);
        left_ = left_.subspan(size);
        return taken;
    }
    View rest() { return octets(left_.size(), ""); }

    template <std::size_t n> void array(std::array<std::uint8_t, n> &to, std::string_view field)
    {
        const auto taken = octets(n, field);
        std::copy(taken.begin(), taken.end(), to.begin());
    }

    // A 32-bit number of things of at least `each` octets that follow, at most `limit`.
    std::uint32_t count(std::size_t each, std::uint32_t limit, std::string_view field)
    {
        const auto n = u32(field);
        if (n > limit) {
            fail(field, std::to_string(n) + ", at most " + std::to_string(limit));
        } else if (std::uint64_t{n} * each > left_.size()) {
            fail(field, std::to_string(n) + " do not fit into the " + std::to_string(left_.size()) +
                            " octets left");
        }
        return failed() ? 0 : n;
    }

    void fail(std::string_view field, const std::string &why)
    {
        if (!error_)
            error_ = Error{std::string(component_) + ": " + std::string(field) + ": " + why};
        left_ = {};
    }
    [[nodiscard]] std::size_t left() const { return left_.size(); }
    [[nodiscard]] bool failed() const { return error_.has_value(); }
    [[nodiscard]] const std::optional<Error> &error() const { return error_; }

private:
    std::uint32_t number(std::size_t size, std::string_view field)
    {
        std::uint32_t value = 0;
        for (const auto octet : octets(size, field))
            value = value << 8 | octet;
        return value;
    }

    View left_;
    std::string_view component_;
    std::optional<Error> error_;
};

class Writer {
public:
    void u8(std::uint8_t value) { octets_.push_back(value); }
    void u16(std::size_t value)
    {
        u8(static_cast<std::uint8_t>(value >> 8));
        u8(static_cast<std::uint8_t>(value));
    }
    void u32(std::size_t value)
    {
        u16(value >> 16);
        u16(value);
    }
    void octets(View value) { octets_.insert(octets_.end(), value.begin(), value.end()); }

    // What `body` writes, behind its 16-bit length.
    template <class F> void sized(F body)
    {
        const auto at = octets_.size();
        u16(0);
        body();
        const auto size = octets_.size() - at - 2;
        too_long_ = too_long_ || size > 0xffff;
        octets_[at] = static_cast<std::uint8_t>(size >> 8);
        octets_[at + 1] = static_cast<std::uint8_t>(size);
    }

    [[nodiscard]] bool too_long() const { return too_long_; }
    Octets take() { return std::move(octets_); }

private:
    Octets octets_;
    bool too_long_ = false; // a length that 16 bits do not hold
};

} // namespace wlb::wccp
