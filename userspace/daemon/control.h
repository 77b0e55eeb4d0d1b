// SPDX-License-Identifier: GPL-2.0-only
// How wlbctl speaks with a daemon: a Unix socket of an abstract name, of which there is one
// in each network namespace. A request is a line of JSON; so is the answer, and for a request
// to watch one for each event until either side goes.
#pragma once

#include <utility> // which Boost 1.74 forgets

#include <boost/asio.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "wlb/output.h"

namespace wlb::daemon {

// A member of a request, "" if it is absent or no text.
std::string word(const Json &request, const char *key);

class Control {
public:
    using Answer = std::function<Json(const Json &request)>;

    // `daemon` is the socket's name.
    Control(boost::asio::io_context &io, std::string daemon, Answer answer);

    // An error if the name is taken: another daemon runs in this network namespace.
    Status open();
    void publish(const Json &event);
    void close();

private:
    class Session;

    void accept();

    std::string daemon_;
    boost::asio::local::stream_protocol::acceptor acceptor_;
    Answer answer_;
    std::vector<std::weak_ptr<Session>> watchers_;
    std::vector<std::weak_ptr<Session>> sessions_;
};

} // namespace wlb::daemon
