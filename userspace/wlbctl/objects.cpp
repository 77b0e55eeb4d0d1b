// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/objects.h"

namespace wlb::cli {

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
