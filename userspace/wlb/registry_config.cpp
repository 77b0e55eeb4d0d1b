// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/registry_config.h"

namespace wlb {

Result<Endpoint> parse_endpoint(std::string_view text)
{
    if (const auto address = Address::parse(text))
        return Endpoint{*address, registry_port};
    if (const auto both = parse_tcp_probe(text))
        return Endpoint{both->address, both->port};
    return Error{"\"" + std::string(text) +
                 "\" must be an address, or one with a port as in 203.0.113.1:2061 or "
                 "[2001:db8::1]:2061"};
}

} // namespace wlb
