// SPDX-License-Identifier: GPL-2.0-only
// How wlbctl speaks with a daemon: a Unix socket of an abstract name, of which there is one
// in each network namespace. A request is a line of JSON; so is the answer, and for a request
// to watch one for each event until either side goes. Whoever is refused is told why.
#pragma once

#include <utility> // which Boost 1.74 forgets

#include <boost/asio.hpp>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/request.h"

namespace wlb::daemon {

class Control {
public:
    static constexpr std::size_t most_clients = 32;
    static constexpr std::size_t most_unread = 1 << 18; // octets of events that a watcher leaves
    static constexpr auto patience = std::chrono::seconds(5); // with a request, an answer's reader

    enum Refusal : std::uint8_t { not_root, too_many, too_slow, bad_request, unread };
    static constexpr std::array<const char *, 5> refusals{"not-root", "too-many", "too-slow",
                                                          "bad-request", "unread"};
    using Counters = std::array<std::uint64_t, refusals.size()>;

    using Answer = std::function<Json(const Json &request)>;

    // `daemon` is the socket's name.
    Control(boost::asio::io_context &io, std::string daemon, Answer answer);

    // An error if the name is taken: another daemon runs in this network namespace.
    Status open();
    // Somebody has connected.
    void serve(boost::asio::local::stream_protocol::socket socket);
    void publish(const Json &event);
    void close();

    // Clients that were refused, and why.
    [[nodiscard]] const Counters &refused() const { return refused_; }

private:
    class Session;

    void refuse(boost::asio::local::stream_protocol::socket socket, Refusal why,
                const std::string &text);
    Json answer(const Json &request) const;

    std::string daemon_;
    boost::asio::local::stream_protocol::acceptor acceptor_;
    boost::asio::steady_timer pause_;
    Answer answer_;
    Counters refused_{};
    std::vector<std::weak_ptr<Session>> watchers_;
    std::vector<std::weak_ptr<Session>> sessions_;
};

} // namespace wlb::daemon
