// SPDX-License-Identifier: GPL-2.0-only
// A UDP socket in the event loop.
#pragma once

#include <utility> // which Boost 1.74 forgets

#include <boost/asio.hpp>

#include <functional>

#include "daemon/socket.h"

namespace wlb::daemon {

class Listener {
public:
    using Take = std::function<void(const wccp::Datagram &datagram)>;

    // `take` is called for each datagram, `after` when some were taken; neither destroys this.
    Listener(boost::asio::io_context &io, Socket socket, Take take, std::function<void()> after)
        : socket_(std::move(socket)), readable_(io, socket_.fd()), take_(std::move(take)),
          after_(std::move(after))
    {
        wait();
    }
    Listener(const Listener &) = delete;
    Listener &operator=(const Listener &) = delete;
    ~Listener() { readable_.release(); } // the descriptor is the socket's

    Status send(const wccp::Outgoing &datagram) { return socket_.send(datagram, ""); }

private:
    // Datagrams between two looks at the clock: a flood must not keep timers from running.
    static constexpr unsigned batch = 64;

    void wait()
    {
        readable_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](auto error) {
            if (error)
                return; // it is destroyed
            socket_.receive(batch, take_);
            after_();
            wait();
        });
    }

    Socket socket_;
    boost::asio::posix::stream_descriptor readable_;
    Take take_;
    std::function<void()> after_;
};

} // namespace wlb::daemon
