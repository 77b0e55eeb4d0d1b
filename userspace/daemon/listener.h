// SPDX-License-Identifier: GPL-2.0-only
// A daemon's UDP sockets in the event loop, and what becomes of its deadlines meanwhile.
#pragma once

#include <utility> // which Boost 1.74 forgets

#include <boost/asio.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "daemon/socket.h"

namespace wlb::daemon {

// Sockets by the place that each listens at. What has arrived is handed out before deadlines are
// looked at: a daemon that was kept from running has not heard yet what has waited for it
// meanwhile, and must not take those for silent who said it.
template <class Place> class Listeners {
public:
    // Datagrams of one socket between two looks at the clock.
    static constexpr unsigned batch = 64;
    // A flood must not keep timers from running: deadlines wait so long for what has arrived.
    static constexpr auto most_behind = std::chrono::seconds(2);

    using Take = std::function<void(const Place &at, const wccp::Datagram &datagram)>;

    // `take` is called for each datagram and leaves the sockets as they are. `tick` looks at the
    // deadlines; it may close sockets.
    Listeners(boost::asio::io_context &io, Take take, std::function<void()> tick)
        : io_(io), take_(std::move(take)), tick_(std::move(tick))
    {
    }
    Listeners(const Listeners &) = delete;
    Listeners &operator=(const Listeners &) = delete;
    ~Listeners() = default;

    void add(const Place &at, Socket socket)
    {
        const auto [entry, fresh] =
            open_.try_emplace(at, std::make_shared<Open>(io_, std::move(socket)));
        if (fresh)
            wait(entry->second);
    }
    [[nodiscard]] Socket *find(const Place &at)
    {
        const auto found = open_.find(at);
        return found == open_.end() ? nullptr : &found->second->socket;
    }
    template <class Unused> void close_if(Unused unused)
    {
        std::erase_if(open_, [&](const auto &entry) { return unused(entry.first); });
    }
    void clear() { open_.clear(); }

    // What has arrived, and then the deadlines: when one is due, too.
    void hear()
    {
        bool more = false;
        for (auto &[at, open] : open_)
            more |= open->socket.receive(
                batch, [&, &place = at](const auto &datagram) { take_(place, datagram); });
        const auto now = Clock::now();
        if (more && !behind_since_)
            behind_since_ = now;
        if (more && now - *behind_since_ < most_behind)
            return; // a socket is readable, so this is called again
        behind_since_.reset();
        tick_();
    }

private:
    using Clock = std::chrono::steady_clock;

    struct Open {
        Open(boost::asio::io_context &io, Socket own)
            : socket(std::move(own)), readable(io, socket.fd())
        {
        }
        Open(const Open &) = delete;
        Open &operator=(const Open &) = delete;
        ~Open() { readable.release(); } // the descriptor is the socket's

        Socket socket;
        boost::asio::posix::stream_descriptor readable;
    };

    void wait(const std::shared_ptr<Open> &open)
    {
        open->readable.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                                  [this, weak = std::weak_ptr(open)](auto error) {
                                      const auto open = weak.lock();
                                      if (error || !open)
                                          return; // it is closed
                                      hear();
                                      wait(open);
                                  });
    }

    boost::asio::io_context &io_;
    Take take_;
    std::function<void()> tick_;
    std::map<Place, std::shared_ptr<Open>> open_;
    std::optional<Clock::time_point> behind_since_; // deadlines wait for what has arrived
};

} // namespace wlb::daemon
