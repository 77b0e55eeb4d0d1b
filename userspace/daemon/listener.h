// SPDX-License-Identifier: GPL-2.0-only
// A UDP socket in the event loop.
#pragma once

#include <utility> // which Boost 1.74 forgets

#include <boost/asio.hpp>

#include <functional>
#include <memory>

#include "daemon/socket.h"

namespace wlb::daemon {

// A socket that hands out what arrives for as long as this is there.
class Listener {
public:
    using Take = std::function<void(const wccp::Datagram &datagram)>;

    // `take` is called for each datagram, `after` when some were taken, and may destroy this.
    Listener(boost::asio::io_context &io, Socket socket, Take take, std::function<void()> after)
        : open_(std::make_shared<Open>(io, std::move(socket), std::move(take), std::move(after)))
    {
        wait(open_);
    }
    Listener(const Listener &) = delete;
    Listener &operator=(const Listener &) = delete;
    ~Listener() = default;

    Socket &socket() { return open_->socket; }

private:
    // Datagrams between two looks at the clock: a flood must not keep timers from running.
    static constexpr unsigned batch = 64;

    struct Open {
        Open(boost::asio::io_context &io, Socket own, Take to, std::function<void()> then)
            : socket(std::move(own)), readable(io, socket.fd()), take(std::move(to)),
              after(std::move(then))
        {
        }
        Open(const Open &) = delete;
        Open &operator=(const Open &) = delete;
        ~Open() { readable.release(); } // the descriptor is the socket's

        Socket socket;
        boost::asio::posix::stream_descriptor readable;
        Take take;
        std::function<void()> after;
    };

    static void wait(const std::shared_ptr<Open> &open)
    {
        open->readable.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                                  [weak = std::weak_ptr(open)](auto error) {
                                      const auto open = weak.lock();
                                      if (error || !open)
                                          return; // it is destroyed
                                      open->socket.receive(batch, open->take);
                                      open->after();
                                      wait(open);
                                  });
    }

    std::shared_ptr<Open> open_;
};

} // namespace wlb::daemon
