// SPDX-License-Identifier: GPL-2.0-only
// HTTP for people and for Prometheus, who read only. A server in the daemon's own event loop: so
// many connections, headers and seconds, and whoever reads slowly keeps nobody else waiting.
#pragma once

#include <utility> // which Boost 1.74 forgets

#include <boost/asio.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wlb/registry_config.h"

namespace wlb::daemon {

struct HttpPage {
    std::string type; // Content-Type
    std::shared_ptr<const std::string> text;
    std::string policy = "default-src 'none'; frame-ancestors 'none'"; // Content-Security-Policy
};

// "127.0.0.1:2062", "[::1]:2062"; none: "off".
Result<std::optional<Endpoint>> parse_http(std::string_view text);

// Whether a request with this Host is meant for a server at `at`. To one of the loopback
// interface a browser comes by the names of that only: by another it was led there by whoever
// owns that name, who would read the answer (DNS rebinding).
bool is_host_of(const Endpoint &at, std::string_view host);

class Http {
public:
    static constexpr std::size_t most_connections = 32;
    static constexpr std::size_t longest_header = 8192;
    static constexpr auto patience = std::chrono::seconds(10); // with a request, an answer, silence

    // None: there is no such page.
    using Answer = std::function<std::optional<HttpPage>(const std::string &path)>;

    Http(boost::asio::io_context &io, Answer answer);

    Status open(const Endpoint &at);
    void close();

private:
    class Session;

    void serve(boost::asio::ip::tcp::socket socket);

    boost::asio::ip::tcp::acceptor acceptor_;
    boost::asio::steady_timer pause_;
    Answer answer_;
    Endpoint at_;
    std::vector<std::weak_ptr<Session>> sessions_;
};

} // namespace wlb::daemon
