// SPDX-License-Identifier: GPL-2.0-only
// What a cache makes of the capabilities that its routers offer (R1 3.5).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "wccp/cache_config.h"
#include "wccp/negotiation.h"

namespace wlb::wccp {

// A router that counts a cache as usable shows it what both have agreed upon; what it has
// offered before still holds, as long as that is among it.
Offer remembered(const Offer &before, const Offer &now, const Agreed &agreed);

struct Offered {
    Address router;
    Offer offer;
};
struct Common {
    Agreed agreed;
    std::map<Address, std::string> refused; // routers that do not offer it, and what is missing
};
// `present` stays as long as every router offers it. Earlier routers count first: one that
// leaves nothing in common with those before it is refused.
Common common(const std::vector<Offered> &routers, const CacheConfig &config,
              const std::optional<Agreed> &present);

} // namespace wlb::wccp
