// SPDX-License-Identifier: GPL-2.0-only
// userspace/daemon's control socket: what a client sends, in the pieces that it comes in. Input:
// how long the first piece is, whether its end follows, and all that it says.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "check.h"
#include "daemon/control.h"

using namespace wlb;
using namespace wlb::daemon;
using boost::asio::local::stream_protocol;

namespace {

std::string read_all(int fd)
{
    std::string text;
    char part[65536];
    for (;;) {
        const auto size = recv(fd, part, sizeof(part), MSG_DONTWAIT);
        if (size <= 0)
            return text;
        text.append(part, static_cast<std::size_t>(size));
    }
}

// Every daemon may take what has got so far at its word.
void check_request(const Json &request)
{
    CHECK(request.is_object() && !word(request, "command").empty());
    for (const auto &[key, value] : request.items())
        CHECK(value.is_string() || (value.is_number_unsigned() && value <= 65535));
    CHECK(request.value("source-port", 0) <= 65535 && request.value("protocol", 0) <= 255);
    const auto line = request.dump(-1, ' ', false, Json::error_handler_t::replace);
    const auto again = read_request(line);
    CHECK(again && *again == request);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    if (size < 3)
        return 0;
    const std::size_t first = std::min<std::size_t>(data[0] | data[1] << 8, size - 3);
    const bool ends = (data[2] & 1) != 0;
    const std::uint8_t *said = data + 3;
    size -= 3;

    boost::asio::io_context io;
    int asked = 0;
    Control control(io, "fuzz", [&](const Json &request) -> Json {
        ++asked;
        check_request(request);
        return {{"group", word(request, "group")}};
    });
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    control.serve(stream_protocol::socket(io, stream_protocol(), fds[1]));
    // It may have been refused and be gone by the second piece.
    (void)send(fds[0], said, first, MSG_NOSIGNAL);
    io.poll();
    (void)send(fds[0], said + first, size - first, MSG_NOSIGNAL);
    io.restart();
    io.poll();
    if (ends)
        shutdown(fds[0], SHUT_WR);
    control.publish({{"event", "x"}});
    io.restart();
    io.poll();

    const auto heard = read_all(fds[0]);
    const auto lines = std::count(heard.begin(), heard.end(), '\n');
    CHECK(lines <= 1 && (lines == 0) == heard.empty());
    CHECK(lines == 0 || (heard.back() == '\n' && Json::parse(heard).is_object()));
    std::uint64_t refused = 0;
    for (const auto count : control.refused())
        refused += count;
    CHECK(asked + refused <= 1);
    if (asked + refused == 1)
        CHECK(lines == 1);
    control.close();
    io.restart();
    io.poll();
    CHECK(io.stopped()); // nobody is left
    close(fds[0]);
    return 0;
}
