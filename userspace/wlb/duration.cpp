// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/duration.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <limits>
#include <utility>

namespace wlb {

namespace {

constexpr std::array<std::pair<std::string_view, microseconds>, 5> units{{
    {"us", microseconds(1)},
    {"ms", std::chrono::milliseconds(1)},
    {"s", seconds(1)},
    {"m", std::chrono::minutes(1)},
    {"h", std::chrono::hours(1)},
}};

Error not_a_duration(std::string_view text)
{
    return Error{"\"" + std::string(text) +
                 "\" is not a duration: a whole number and us, ms, s, m or h, as in \"55ms\""};
}

} // namespace

Result<microseconds> to_duration(std::int64_t number, microseconds unit)
{
    if (number < 0)
        return Error{std::to_string(number) + " is not a duration: it must not be negative"};
    if (number > std::numeric_limits<std::int64_t>::max() / unit.count())
        return Error{std::to_string(number) + " is too large for a duration"};
    return number * unit;
}

Result<microseconds> parse_duration(std::string_view text, microseconds bare)
{
    std::int64_t number = 0;
    const char *const last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, number);
    if (error != std::errc{})
        return not_a_duration(text);
    const std::string_view unit(end, static_cast<std::size_t>(last - end));
    if (unit.empty())
        return to_duration(number, bare);
    for (const auto &[name, length] : units)
        if (unit == name)
            return to_duration(number, length);
    return not_a_duration(text);
}

Result<seconds> parse_seconds(std::string_view text)
{
    const auto duration = parse_duration(text, seconds(1));
    if (!duration)
        return duration.error();
    const auto whole = std::chrono::duration_cast<seconds>(*duration);
    if (whole != *duration)
        return Error{format_duration(*duration) + " is not a whole number of seconds"};
    return whole;
}

std::string format_duration(microseconds duration)
{
    const auto count = duration.count();
    if (count % 1000 != 0)
        return std::to_string(count) + "us";
    if (count % 1000000 != 0)
        return std::to_string(count / 1000) + "ms";
    return std::to_string(count / 1000000) + "s";
}

} // namespace wlb
