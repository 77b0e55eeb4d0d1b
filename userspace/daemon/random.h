// SPDX-License-Identifier: GPL-2.0-only
// What nobody may guess. Both throw if there is no randomness: a daemon whose challenges can be
// guessed must not run.
#pragma once

#include <cstddef>
#include <cstdint>

namespace wlb::daemon {

void random_octets(std::uint8_t *to, std::size_t size);
std::uint64_t random_number();

} // namespace wlb::daemon
