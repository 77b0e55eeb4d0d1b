// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/daemon_client.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "wlb/control_name.h"
#include "wlb/netns.h"

namespace wlb {

namespace {

class Connection {
public:
    Connection(std::string daemon, int fd) : daemon_(std::move(daemon)), fd_(fd) {}
    Connection(const Connection &) = delete;
    Connection &operator=(const Connection &) = delete;
    ~Connection()
    {
        if (fd_ >= 0)
            close(fd_);
    }

    [[nodiscard]] const std::string &daemon() const { return daemon_; }

    // No call on the socket waits for longer; one that would fails with EAGAIN.
    void limit(milliseconds patience) const
    {
        const auto whole = std::chrono::floor<seconds>(patience);
        const timeval time{whole.count(), microseconds(patience - whole).count()};
        for (const int option : {SO_SNDTIMEO, SO_RCVTIMEO})
            setsockopt(fd_, SOL_SOCKET, option, &time, sizeof(time));
    }

    Status open()
    {
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        const auto path = control_name(daemon_);
        path.copy(name.sun_path, sizeof(name.sun_path));
        const auto size = offsetof(sockaddr_un, sun_path) + path.size();
        if (fd_ >= 0 &&
            connect(fd_, reinterpret_cast<sockaddr *>(&name), static_cast<socklen_t>(size)) == 0)
            return Done{};
        if (errno == ECONNREFUSED)
            return Error{daemon_ + " does not run in this network namespace", errno};
        return failure();
    }

    Status write(const std::string &text)
    {
        for (std::size_t sent = 0; sent < text.size();) {
            const auto size = send(fd_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
            // What it said before it closed tells why.
            if (size < 0 && (errno == EPIPE || errno == ECONNRESET))
                return Done{};
            if (size < 0 && errno != EINTR)
                return failure();
            sent += static_cast<std::size_t>(std::max<ssize_t>(size, 0));
        }
        return Done{};
    }

    Result<std::string> read_line()
    {
        for (;;) {
            if (const auto end = left_.find('\n'); end != std::string::npos) {
                auto line = left_.substr(0, end);
                left_.erase(0, end + 1);
                return line;
            }
            std::array<char, 65536> buffer{};
            const auto size = recv(fd_, buffer.data(), buffer.size(), 0);
            if (size == 0 || (size < 0 && errno == ECONNRESET))
                return Error{daemon_ + " has closed the connection"};
            if (size < 0 && errno != EINTR)
                return failure();
            left_.append(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
        }
    }

private:
    [[nodiscard]] Error failure() const
    {
        if (errno == EAGAIN)
            return Error{daemon_ + " does not answer", ETIMEDOUT};
        return Error{daemon_ + ": " + std::strerror(errno), errno};
    }

    std::string daemon_;
    int fd_;
    std::string left_;
};

Status begin(Connection &connection, const Json &request)
{
    if (auto status = connection.open(); !status)
        return status;
    return connection.write(request.dump() + "\n");
}

Result<Json> next(Connection &connection)
{
    const auto line = connection.read_line();
    if (!line)
        return line.error();
    auto json = Json::parse(*line, nullptr, false);
    if (!json.is_object())
        return Error{connection.daemon() + " answers what is not JSON"};
    if (const auto error = json.find("error"); error != json.end() && error->is_string())
        return Error{error->get<std::string>()};
    return json;
}

Status enter(const std::string &netns)
{
    return netns.empty() ? Status(Done{}) : enter_namespace(netns);
}

int new_socket()
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

} // namespace

Result<Json> ask_daemon(const std::string &daemon, const std::string &netns, const Json &request,
                        std::optional<milliseconds> patience)
{
    if (const auto entered = enter(netns); !entered)
        return entered.error();
    Connection connection(daemon, new_socket());
    if (patience)
        connection.limit(*patience);
    if (const auto status = begin(connection, request); !status)
        return status.error();
    return next(connection);
}

Status watch_daemon(const std::string &daemon, const std::string &netns,
                    const std::function<bool(const Json &)> &take)
{
    if (auto entered = enter(netns); !entered)
        return entered;
    Connection connection(daemon, new_socket());
    if (auto status = begin(connection, {{"command", "watch"}}); !status)
        return status;
    for (;;) {
        const auto event = next(connection);
        if (!event)
            return event.error();
        if (!take(*event))
            return Done{};
    }
}

} // namespace wlb
