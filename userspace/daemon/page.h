// SPDX-License-Identifier: GPL-2.0-only
// The page for people: page.html, as it was when this was built.
#pragma once

#include <string>
#include <string_view>

#include "daemon/http.h"

namespace wlb::daemon {

HttpPage status_page();

// A Content-Security-Policy that allows a page its own one script and style, known by their
// hashes, to read from where it came from, and nothing else.
std::string policy_of(std::string_view html);

} // namespace wlb::daemon
