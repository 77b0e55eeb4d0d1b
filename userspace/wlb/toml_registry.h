// SPDX-License-Identifier: GPL-2.0-only
// The registry of replicas in a configuration file: read, checked, written.
#pragma once

#include <string>

#include "wlb/checks.h"
#include "wlb/config.h"
#include "wlb/toml_walk.h"

namespace wlb {

// The key "registry" of an origin.
void read_registry(TomlWalk &walk, const toml::table &origin, const std::string &parent_path,
                   std::optional<Registry> &target);
// The keys of an origin that is served here.
void read_registration(TomlWalk &walk, const toml::table &served, const std::string &path,
                       Registration &registration);

void check_registry(Checks &checks, const Subject &subject, const Origin &origin,
                    const std::vector<Origin> &others);
void check_registration(Checks &checks, const Subject &subject, const Served &served);

// Lines of their tables; none if there is nothing to say.
std::string registry_toml(const std::optional<Registry> &registry);
std::string registration_toml(const Registration &registration);
// Every key with its default.
std::string registry_defaults();
std::string registration_defaults();

} // namespace wlb
