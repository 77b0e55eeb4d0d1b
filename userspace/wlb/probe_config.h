// SPDX-License-Identifier: GPL-2.0-only
// A probe in a configuration file: read, checked and written alike wherever there is one.
#pragma once

#include <string>

#include "wlb/cache_host.h"
#include "wlb/checks.h"
#include "wlb/toml_walk.h"

namespace wlb {

// The key "probe" of a table; `example` is one.
void read_probe(TomlWalk &walk, const toml::table &parent, const std::string &parent_path,
                const std::string &example, std::optional<Probe> &target);
void check_probe(Checks &checks, const Subject &subject, const Probe &probe);
std::string probe_toml(const Probe &probe);

} // namespace wlb
