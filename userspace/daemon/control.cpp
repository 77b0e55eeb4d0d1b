// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/control.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <deque>

#include "wlb/control_name.h"

namespace wlb::daemon {

namespace asio = boost::asio;
using asio::local::stream_protocol;

namespace {

constexpr std::size_t longest_request = 4096;
constexpr std::size_t most_sessions = 32;
constexpr std::size_t most_waiting = 1024; // events for a watcher that does not read
constexpr auto patience = std::chrono::seconds(5);

std::string line(const Json &json)
{
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// An abstract name has no mode: root and whoever runs the daemon may ask.
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
        timer_.expires_after(patience);
        timer_.async_wait([self = shared_from_this()](auto error) {
            if (!error)
                self->socket_.close();
        });
        asio::async_read_until(socket_, buffer_, '\n',
                               [self = shared_from_this()](auto error, auto size) {
                                   self->timer_.cancel();
                                   if (!error)
                                       self->answer(size);
                               });
    }

    void send(const std::string &text)
    {
        if (waiting_.size() >= most_waiting) {
            socket_.close();
            return;
        }
        waiting_.push_back(text);
        if (waiting_.size() == 1)
            write();
    }

    void close()
    {
        boost::system::error_code ignored;
        socket_.close(ignored);
    }

private:
    void answer(std::size_t size)
    {
        const auto begin = asio::buffers_begin(buffer_.data());
        const std::string text(begin, begin + static_cast<std::ptrdiff_t>(size));
        const auto request = Json::parse(text, nullptr, false);
        if (!request.is_object()) {
            last_ = true;
            send(line({{"error", "a request is an object in one line"}}));
            return;
        }
        if (request.value("command", "") == "watch") {
            control_.watchers_.push_back(weak_from_this());
            hang_up();
            return;
        }
        last_ = true;
        send(line(control_.answer_(request)));
    }

    // A watcher says nothing more: what can be read is its end.
    void hang_up()
    {
        socket_.async_wait(stream_protocol::socket::wait_read,
                           [self = shared_from_this()](auto) { self->close(); });
    }

    void write()
    {
        asio::async_write(socket_, asio::buffer(waiting_.front()),
                          [self = shared_from_this()](auto error, auto) {
                              if (error)
                                  return;
                              self->waiting_.pop_front();
                              if (!self->waiting_.empty())
                                  self->write();
                              else if (self->last_)
                                  self->close();
                          });
    }

    stream_protocol::socket socket_;
    asio::streambuf buffer_;
    asio::steady_timer timer_;
    std::deque<std::string> waiting_;
    Control &control_;
    bool last_ = false;
};

std::string word(const Json &request, const char *key)
{
    const auto found = request.find(key);
    return found != request.end() && found->is_string() ? found->get<std::string>() : "";
}

Control::Control(asio::io_context &io, std::string daemon, Answer answer)
    : daemon_(std::move(daemon)), acceptor_(io), answer_(std::move(answer))
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
    accept();
    return Done{};
}

void Control::accept()
{
    acceptor_.async_accept([this](auto error, stream_protocol::socket socket) {
        if (error == asio::error::operation_aborted)
            return;
        const auto gone = [](const auto &session) { return session.expired(); };
        sessions_.erase(std::remove_if(sessions_.begin(), sessions_.end(), gone), sessions_.end());
        if (!error && may_ask(socket.native_handle()) && sessions_.size() < most_sessions) {
            const auto session = std::make_shared<Session>(std::move(socket), *this);
            sessions_.push_back(session);
            session->start();
        }
        accept();
    });
}

void Control::publish(const Json &event)
{
    const auto text = line(event);
    std::vector<std::weak_ptr<Session>> left;
    for (const auto &watcher : watchers_)
        if (const auto session = watcher.lock()) {
            session->send(text);
            left.push_back(watcher);
        }
    watchers_ = std::move(left);
}

void Control::close()
{
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    for (const auto &session : sessions_)
        if (const auto open = session.lock())
            open->close();
}

} // namespace wlb::daemon
