// SPDX-License-Identifier: GPL-2.0-only
// Speaking with a daemon of a network namespace: lines of JSON, see control_name.h.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "wlb/duration.h"
#include "wlb/output.h"
#include "wlb/result.h"

namespace wlb {

// Of /run/netns/`netns`, or of this one if it is empty. An answer {"error": text} is an
// error. Without `patience` it waits for as long as the daemon takes; Error::code is
// ECONNREFUSED if there is none, ETIMEDOUT if it says nothing for `patience`.
Result<Json> ask_daemon(const std::string &daemon, const std::string &netns, const Json &request,
                        std::optional<milliseconds> patience = std::nullopt);

// Hands out events until `take` returns false or the daemon ends, which is an error.
Status watch_daemon(const std::string &daemon, const std::string &netns,
                    const std::function<bool(const Json &)> &take);

} // namespace wlb
