// SPDX-License-Identifier: GPL-2.0-only
// Files, read and written whole.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "wlb/config.h"
#include "wlb/result.h"
#include "wlbctl/options.h"

namespace wlb::cli {

inline constexpr const char *config_path = "/etc/wlb/wlb.toml";

Result<std::string> read_file(const std::string &path);
// The configuration; none: every error was shown.
std::optional<Config> load_config(Context &context, const std::string &path);
// By way of a new file: a full disk must not cost the old one.
Status write_file(const std::string &path, const std::string &text, mode_t mode);
// To the FILE of the command line, else to standard output; returns the exit status.
int write_out(Context &context, const Options &options, const std::string &text, mode_t mode);

} // namespace wlb::cli
