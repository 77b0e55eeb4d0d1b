// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/http.h"

#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cctype>

#include "daemon/accept.h"
#include "wlb/cache_host.h"

namespace wlb::daemon {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;

namespace {

constexpr std::size_t most_unread = 1 << 16; // octets of a request that was refused

bool is_loopback(const Address &address)
{
    boost::system::error_code error;
    const auto parsed = asio::ip::make_address(address.text(), error);
    return !error && parsed.is_loopback();
}

using Body = http::span_body<const char>;
using Response = http::response<Body>;

struct Refusal {
    http::status status;
    const char *text;
};

} // namespace

Result<std::optional<Endpoint>> parse_http(std::string_view text)
{
    if (text == "off")
        return std::optional<Endpoint>();
    if (const auto both = parse_tcp_probe(text))
        return std::optional(Endpoint{both->address, both->port});
    return Error{"\"" + std::string(text) +
                 "\" must be ADDRESS:PORT, as 127.0.0.1:2062 or [::1]:2062, or off"};
}

bool is_host_of(const Endpoint &at, std::string_view host)
{
    if (!is_loopback(at.address))
        return true;
    // Whatever port: it may have been forwarded.
    const auto end = host.find(']');
    const auto colon = host.find(':', end == std::string_view::npos ? 0 : end);
    if (colon != std::string_view::npos && !parse_port(host.substr(colon + 1)))
        return false;
    auto name = std::string(host.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const auto own = at.address.text();
    return name == "localhost" || name == "127.0.0.1" || name == "[::1]" ||
           name == (at.address.is_ipv6() ? "[" + own + "]" : own);
}

class Http::Session : public std::enable_shared_from_this<Session> {
public:
    Session(tcp::socket socket, Answer answer, const Endpoint &at)
        : stream_(std::move(socket)), answer_(std::move(answer)), at_(at)
    {
    }

    void read()
    {
        // A new one each time: what it has parsed is the last request.
        parser_.emplace();
        parser_->header_limit(longest_header);
        stream_.expires_after(patience);
        http::async_read_header(
            stream_, buffer_, *parser_,
            [self = shared_from_this()](auto error, auto /*size*/) { self->take(error); });
    }

    void close()
    {
        boost::system::error_code ignored;
        stream_.socket().close(ignored);
    }

private:
    void take(const boost::system::error_code &error)
    {
        if (error == http::error::header_limit || error == http::error::buffer_overflow) {
            write(refusal({http::status::request_header_fields_too_large, "header too long"}),
                  false);
            return;
        }
        // One that is no HTTP is told so; one that is gone or too slow is not.
        if (error.category() == http::make_error_code(http::error::bad_method).category() &&
            error != http::error::end_of_stream && error != http::error::partial_message) {
            write(refusal({http::status::bad_request, "no HTTP request"}), false);
            return;
        }
        if (error) {
            close();
            return;
        }
        const auto &request = parser_->get();
        const bool whole = parser_->is_done() && request.keep_alive();
        write(respond(request), whole);
    }

    Response respond(const http::request<http::empty_body> &request)
    {
        if (request.count(http::field::host) != 1)
            return refusal({http::status::bad_request, "one Host, please"});
        const auto host = request[http::field::host];
        if (!is_host_of(at_, {host.data(), host.size()}))
            return refusal({http::status::misdirected_request,
                            "this server is localhost, 127.0.0.1 or [::1]"});
        if (request.method() != http::verb::get && request.method() != http::verb::head) {
            auto response = refusal({http::status::method_not_allowed, "GET or HEAD only"});
            response.set(http::field::allow, "GET, HEAD");
            return response;
        }
        const auto target = request.target();
        const std::string path(target.begin(), std::find(target.begin(), target.end(), '?'));
        try {
            if (auto page = answer_(path))
                return of(http::status::ok, *page);
        } catch (const std::exception &error) {
            spdlog::error("http: {}: {}", path, error.what());
            return refusal({http::status::internal_server_error, "see the log"});
        }
        return refusal({http::status::not_found, "there are /, /metrics and /status.json"});
    }

    Response refusal(const Refusal &why)
    {
        return of(why.status, {"text/plain; charset=utf-8",
                               std::make_shared<const std::string>(std::string(why.text) + "\n")});
    }

    Response of(http::status status, const HttpPage &page)
    {
        Response response{status, 11};
        response.set(http::field::content_type, page.type);
        response.set("Content-Security-Policy", page.policy);
        response.set(http::field::cache_control, "no-store");
        response.set("X-Content-Type-Options", "nosniff");
        response.set("Referrer-Policy", "no-referrer");
        text_ = page.text;
        response.content_length(text_->size());
        if (parser_->get().method() != http::verb::head)
            response.body() = beast::span<const char>(text_->data(), text_->size());
        return response;
    }

    void write(Response response, bool keep)
    {
        response.keep_alive(keep);
        response_.emplace(std::move(response));
        stream_.expires_after(patience);
        http::async_write(stream_, *response_,
                          [self = shared_from_this(), keep](auto error, auto /*size*/) {
                              self->response_.reset();
                              self->text_.reset();
                              if (error)
                                  self->close();
                              else if (keep)
                                  self->read();
                              else
                                  self->end();
                          });
    }

    // What was sent gets there only if all that came was read before the socket is closed.
    void end()
    {
        boost::system::error_code ignored;
        stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
        stream_.expires_after(patience);
        buffer_.clear();
        drain();
    }

    void drain()
    {
        stream_.async_read_some(buffer_.prepare(longest_header),
                                [self = shared_from_this()](auto error, std::size_t size) {
                                    self->unread_ += size;
                                    if (error || self->unread_ > most_unread)
                                        self->close();
                                    else
                                        self->drain();
                                });
    }

    beast::tcp_stream stream_;
    beast::flat_buffer buffer_{longest_header};
    std::optional<http::request_parser<http::empty_body>> parser_;
    std::optional<Response> response_;
    std::shared_ptr<const std::string> text_; // which the response points into
    std::size_t unread_ = 0;
    Answer answer_;
    Endpoint at_;
};

Http::Http(asio::io_context &io, Answer answer)
    : acceptor_(io), pause_(io), answer_(std::move(answer))
{
}

Status Http::open(const Endpoint &at)
{
    boost::system::error_code error;
    const tcp::endpoint place(asio::ip::make_address(at.address.text(), error), at.port);
    if (!error)
        acceptor_.open(place.protocol(), error);
    if (!error)
        acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error && at.address.is_ipv6())
        acceptor_.set_option(asio::ip::v6_only(true), error);
    if (!error)
        acceptor_.bind(place, error);
    if (!error)
        acceptor_.listen(most_connections, error);
    if (error) {
        close();
        return Error{at.text() + ": " + error.message(), error.value()};
    }
    at_ = at;
    accept_all(acceptor_, pause_, [this](tcp::socket socket) { serve(std::move(socket)); });
    return Done{};
}

void Http::serve(tcp::socket socket)
{
    std::erase_if(sessions_, [](const auto &session) { return session.expired(); });
    if (sessions_.size() >= most_connections)
        return;
    const auto session = std::make_shared<Session>(std::move(socket), answer_, at_);
    sessions_.push_back(session);
    session->read();
}

void Http::close()
{
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
    for (const auto &session : sessions_)
        if (const auto open = session.lock())
            open->close();
}

} // namespace wlb::daemon
