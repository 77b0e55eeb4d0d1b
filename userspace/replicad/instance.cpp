// SPDX-License-Identifier: GPL-2.0-only
#include "replicad/instance.h"

namespace wlb::replicad {

registry::ServedOrigin announcement(const Instance &instance)
{
    registry::ServedOrigin origin;
    origin.servers = instance.config.servers;
    origin.ports = instance.config.ports;
    origin.state = instance.state();
    origin.weight = static_cast<std::uint32_t>(instance.config.registration.weight);
    origin.vias = {Via::gre, Via::ipip};                         // every replica cracks both
    origin.returns = {Return::nat, instance.config.return_mode}; // nat wherever it is offered
    return origin;
}

} // namespace wlb::replicad
