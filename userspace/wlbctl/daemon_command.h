// SPDX-License-Identifier: GPL-2.0-only
// What commands of wlbctl do alike that a daemon answers. Which daemon it is, the command's
// object says.
#pragma once

#include <functional>

#include "wlbctl/command.h"

namespace wlb::cli {

// Asks, and hands the answer to `write`, or shows it as it is with --json. All of these return
// the exit status to leave with.
int ask(Context &context, const Command &command, const Json &request,
        const std::function<void(const Json &answer)> &write);

// A command without arguments that the daemon knows by its verb and answers with no more than
// that it was done.
int tell(Context &context, const Command &command, const Args &args);

// The same for one thing or all: "cache drain [GROUP]" is {"command": "drain", "group": GROUP}.
int tell_one(
    Context &context, const Command &command, const Args &args, const char *word, const char *key,
    const std::function<void(const Json &answer)> &write = [](const Json &) {});

// Shows events until it is interrupted or the daemon ends.
int monitor(Context &context, const Command &command, const Args &args,
            const std::function<void(std::ostream &out, const Json &event)> &write);

} // namespace wlb::cli
