// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/control.h"

#include <spdlog/spdlog.h>

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <deque>

#include "daemon/accept.h"
#include "wlb/control_name.h"

namespace wlb::daemon {

namespace asio = boost::asio;
using asio::local::stream_protocol;

namespace {

std::string line(const Json &json)
{
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// An abstract name has no mode: root and whoever runs the daemon may ask. The kernel tells who
// it is, as seen from this user namespace: root of another one is nobody.
bool may_ask(int fd)
{
    ucred peer{};
    socklen_t size = sizeof(peer);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

} // namespace

class Control::Session : public std::enable_shared_from_this<Session> {
public:
    Session(stream_protocol::socket socket, Control &control)
        : socket_(std::move(socket)), buffer_(longest_request), timer_(socket_.get_executor()),
          control_(control)
    {
    }

    void start()
    {
        limit();
        asio::async_read_until(socket_, buffer_, '\n',
                               [self = shared_from_this()](auto error, auto size) {
                                   if (self->state_ == State::reading)
                                       self->take(error, size);
                               });
    }

    // An event, which all watchers share.
    void tell(const std::shared_ptr<const std::string> &text)
    {
        if (unread_ + text->size() > most_unread) {
            ++control_.refused_[unread];
            close();
            return;
        }
        send(text);
    }

    void close()
    {
        state_ = State::closed;
        timer_.cancel();
        boost::system::error_code ignored;
        socket_.close(ignored);
    }

private:
    enum class State : std::uint8_t { reading, answering, watching, closed };

    void limit()
    {
        timer_.expires_after(patience);
        timer_.async_wait([self = shared_from_this()](auto error) {
            // It may have been set anew since it has expired.
            if (!error && self->timer_.expiry() <= asio::steady_timer::clock_type::now())
                self->end_waiting();
        });
    }

    void end_waiting()
    {
        if (state_ == State::reading) {
            refuse(too_slow, "no request within " + std::to_string(patience.count()) + " s");
        } else if (state_ == State::answering) {
            ++control_.refused_[too_slow];
            close();
        }
    }

    void take(const boost::system::error_code &error, std::size_t size)
    {
        if (error == asio::error::not_found) {
            refuse(bad_request,
                   "a request has at most " + std::to_string(longest_request) + " octets");
            return;
        }
        if (error == asio::error::eof && buffer_.size() > 0) {
            refuse(bad_request, "a request ends with the end of a line");
            return;
        }
        if (error) {
            close();
            return;
        }
        const auto begin = asio::buffers_begin(buffer_.data());
        const std::string text(begin, begin + static_cast<std::ptrdiff_t>(size));
        const auto request = read_request(text);
        if (!request) {
            refuse(bad_request, request.error().message);
            return;
        }
        if (word(*request, "command") == "watch") {
            state_ = State::watching;
            timer_.cancel();
            control_.watchers_.push_back(weak_from_this());
            hang_up();
            return;
        }
        answer(control_.answer(*request));
    }

    void refuse(Refusal why, const std::string &text)
    {
        ++control_.refused_[why];
        answer({{"error", text}});
    }

    void answer(const Json &json)
    {
        state_ = State::answering;
        limit();
        send(std::make_shared<const std::string>(line(json)));
    }

    // A watcher says nothing more: what can be read is its end.
    void hang_up()
    {
        socket_.async_wait(stream_protocol::socket::wait_read,
                           [self = shared_from_this()](auto) { self->close(); });
    }

    void send(const std::shared_ptr<const std::string> &text)
    {
        unread_ += text->size();
        waiting_.push_back(text);
        if (waiting_.size() == 1)
            write();
    }

    void write()
    {
        asio::async_write(socket_, asio::buffer(*waiting_.front()),
                          [self = shared_from_this()](auto error, auto size) {
                              if (error)
                                  return;
                              self->unread_ -= size;
                              self->waiting_.pop_front();
                              if (!self->waiting_.empty())
                                  self->write();
                              else if (self->state_ == State::answering)
                                  self->close();
                          });
    }

    stream_protocol::socket socket_;
    asio::streambuf buffer_;
    asio::steady_timer timer_;
    std::deque<std::shared_ptr<const std::string>> waiting_;
    std::size_t unread_ = 0; // octets of what is waiting
    Control &control_;
    State state_ = State::reading;
};

Control::Control(asio::io_context &io, std::string daemon, Answer answer)
    : daemon_(std::move(daemon)), acceptor_(io), pause_(io), answer_(std::move(answer))
{
}

Status Control::open()
{
    boost::system::error_code error;
    const stream_protocol::endpoint name{control_name(daemon_)};
    acceptor_.open(name.protocol(), error);
    if (!error)
        acceptor_.bind(name, error);
    if (error == asio::error::address_in_use)
        return Error{"another " + daemon_ + " runs in this network namespace", EADDRINUSE};
    if (!error)
        acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error)
        return Error{"control socket: " + error.message(), error.value()};
    accept_all(acceptor_, pause_,
               [this](stream_protocol::socket socket) { serve(std::move(socket)); });
    return Done{};
}

void Control::serve(stream_protocol::socket socket)
{
    std::erase_if(sessions_, [](const auto &session) { return session.expired(); });
    if (!may_ask(socket.native_handle())) {
        refuse(std::move(socket), not_root, "only root may ask " + daemon_);
        return;
    }
    if (sessions_.size() >= most_clients) {
        refuse(std::move(socket), too_many,
               daemon_ + " has " + std::to_string(most_clients) + " clients already");
        return;
    }
    const auto session = std::make_shared<Session>(std::move(socket), *this);
    sessions_.push_back(session);
    session->start();
}

// Nothing is kept for it: it is told as far as that goes without waiting.
void Control::refuse(stream_protocol::socket socket, Refusal why, const std::string &text)
{
    ++refused_[why];
    const auto told = line({{"error", text}});
    (void)::send(socket.native_handle(), told.data(), told.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

// A fault in an answer is not the end of the daemon.
Json Control::answer(const Json &request) const
{
    try {
        return answer_(request);
    } catch (const std::exception &error) {
        spdlog::error("{}: {}", word(request, "command"), error.what());
        return {{"error", "internal error, see the log of " + daemon_}};
    }
}

void Control::publish(const Json &event)
{
    const auto text = std::make_shared<const std::string>(line(event));
    std::erase_if(watchers_, [](const auto &watcher) { return watcher.expired(); });
    for (const auto &watcher : watchers_)
        if (const auto session = watcher.lock())
            session->tell(text);
}

void Control::close()
{
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
    for (const auto &session : sessions_)
        if (const auto open = session.lock())
            open->close();
}

} // namespace wlb::daemon
