// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/objects.h"

#include <charconv>

namespace wlb::cli {

Result<std::int64_t> parse_count(std::string_view text)
{
    std::int64_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc{} || end != text.data() + text.size())
        return Error{"\"" + std::string(text) + "\" must be a whole number"};
    return count;
}

Result<std::uint64_t> parse_times(std::string_view text)
{
    std::uint64_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc{} || end != text.data() + text.size() || count == 0)
        return Error{"\"" + std::string(text) + "\" must be a whole number of 1 or more"};
    return count;
}

int change_config(const Context &context, std::uint32_t roles,
                  const std::function<Result<bool>(Config &)> &change)
{
    auto kernel = context.connect();
    if (!kernel)
        return refuse(context, kernel.error());
    if (const auto status = update_config(**kernel, roles, change); !status)
        return refuse(context, status.error());
    return done;
}

} // namespace wlb::cli
