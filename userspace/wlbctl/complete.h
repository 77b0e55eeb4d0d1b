// SPDX-License-Identifier: GPL-2.0-only
// What a word of the command line may become, for the shells' completion.
#pragma once

#include <string>

#include "wlbctl/command.h"

namespace wlb::cli {

// A candidate that a shell completes to a file's name itself.
constexpr const char *shell_files = ":files";

// Writes `before` and a candidate, one a line, for those that begin with `begun`.
void offer(const Context &context, const Args &candidates, const std::string &begun,
           const std::string &before = "");

// What stands for itself in the name of a value: "auto|on|off", "P[,P]..|all"; namespaces for
// "NETNS".
Args values_of(const std::string &name);

// Names that run and can stand for a word of a command: NAME, ORIGIN, GROUP, DESTINATION, FILE.
Args live_names(const Context &context, const Command &command, const std::string &word);

} // namespace wlb::cli
