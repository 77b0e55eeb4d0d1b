// SPDX-License-Identifier: GPL-2.0-only
// Connections to a daemon, one after the other.
#pragma once

#include <utility> // which Boost 1.74 forgets

#include <boost/asio.hpp>

#include <chrono>

namespace wlb::daemon {

// Serves whoever connects until the acceptor is closed, which `pause` and whatever `serve` needs
// must outlive. Without a descriptor left it tries again a second later.
template <class Acceptor, class Serve>
void accept_all(Acceptor &acceptor, boost::asio::steady_timer &pause, Serve serve)
{
    acceptor.async_accept([&acceptor, &pause, serve](auto error, auto socket) {
        if (error == boost::asio::error::operation_aborted)
            return;
        if (error) {
            pause.expires_after(std::chrono::seconds(1));
            pause.async_wait([&acceptor, &pause, serve](auto ended) {
                if (!ended)
                    accept_all(acceptor, pause, serve);
            });
            return;
        }
        serve(std::move(socket));
        accept_all(acceptor, pause, serve);
    });
}

} // namespace wlb::daemon
