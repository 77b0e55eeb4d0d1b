// SPDX-License-Identifier: GPL-2.0-only
// One origin that this host serves, as wlb-replicad looks after it.
#pragma once

#include <optional>

#include "daemon/prober.h"
#include "registry/message.h"
#include "replicad/busy.h"
#include "wlb/config.h"

namespace wlb::replicad {

struct Instance {
    Instance(boost::asio::io_context &io, Served served, daemon::Prober::Noted noted)
        : config(std::move(served)), prober(io, config.registration.probe, std::move(noted))
    {
    }

    // What the gateways are told. A server of which nothing is known yet does not work yet.
    [[nodiscard]] registry::OriginState state() const
    {
        if (!prober.known() || !prober.up())
            return registry::OriginState::down;
        if (drained)
            return registry::OriginState::draining;
        return business.busy() ? registry::OriginState::busy : registry::OriginState::ready;
    }

    Served config;
    daemon::Prober prober;
    Business business;
    bool drained = false;     // by request, or as the daemon ends
    std::optional<bool> told; // the kernel: busy or not
    bool refused = false;     // by the kernel, as the log says
    std::optional<registry::OriginState> shown;
};

// As it is announced.
registry::ServedOrigin announcement(const Instance &instance);

} // namespace wlb::replicad
