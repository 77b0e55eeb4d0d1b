// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/request.h"

#include <algorithm>
#include <array>

namespace wlb::daemon {

namespace {

constexpr std::array texts{"command", "group", "origin", "replica", "source", "destination"};

struct Number {
    const char *key;
    std::uint64_t most;
};
constexpr std::array<Number, 3> numbers{
    {{"source-port", 65535}, {"destination-port", 65535}, {"protocol", 255}}};

Status check(const std::string &key, const Json &value)
{
    if (std::find(texts.begin(), texts.end(), key) != texts.end())
        return value.is_string() ? Status(Done{}) : Error{"a request's " + key + " must be a text"};
    const auto number = std::find_if(numbers.begin(), numbers.end(),
                                     [&](const Number &one) { return key == one.key; });
    if (number == numbers.end())
        return Error{"a request has no field \"" + key + "\""};
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > number->most)
        return Error{"a request's " + key + " must be a number, 0.." +
                     std::to_string(number->most)};
    return Done{};
}

} // namespace

Result<Json> read_request(std::string_view line)
{
    auto request = Json::parse(line, nullptr, false);
    if (!request.is_object())
        return Error{"a request must be a JSON object in one line"};
    for (const auto &[key, value] : request.items())
        if (const auto status = check(key, value); !status)
            return status.error();
    if (word(request, "command").empty())
        return Error{"a request must have a command"};
    return request;
}

std::string word(const Json &request, const char *key)
{
    const auto found = request.find(key);
    return found != request.end() && found->is_string() ? found->get<std::string>() : "";
}

} // namespace wlb::daemon
