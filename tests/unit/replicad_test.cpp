// SPDX-License-Identifier: GPL-2.0-only
#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "replicad/busy.h"
#include "replicad/measure.h"
#include "sample.h"

using namespace wlb;
using namespace wlb::replicad;
using namespace std::chrono_literals;
using test::address;

namespace {

Served www(const char *local = "127.0.0.1")
{
    Served served;
    served.servers = {address("203.0.113.10")};
    served.ports = {80, 443};
    served.local = address(local);
    return served;
}

SocketState listener(std::uint16_t port, std::uint32_t queued, std::uint32_t most,
                     const char *at = "0.0.0.0")
{
    return {address(at), port, 10, queued, most};
}

SocketState socket_in(std::uint8_t state, const char *at, std::uint16_t port = 80)
{
    return {address(at), port, state, 0, 0};
}

} // namespace

TEST_CASE("busy: at the limit at once, ready after two samples below 80 % of it", "[replicad]")
{
    Criterion criterion;
    const auto at = [&](double value) {
        criterion.note(100, value);
        return criterion.busy();
    };
    CHECK_FALSE(at(99.9));
    CHECK(at(100));
    CHECK(at(99));
    CHECK(at(80));
    CHECK(at(79.9));
    CHECK(at(80)); // from the beginning
    CHECK(at(79));
    CHECK_FALSE(at(79));
    CHECK_FALSE(at(99));
    CHECK(at(1000));
    criterion.note(std::nullopt, 1000); // no limit any more
    CHECK_FALSE(criterion.busy());
    CHECK(at(100));
    criterion.note(100, std::nullopt); // not known
    CHECK_FALSE(criterion.busy());
}

TEST_CASE("busy: any criterion does", "[replicad]")
{
    BusyLimits limits;
    Measured measured{1.0, 1.0, 1000.0, 1e6};
    Business business;
    business.note(limits, measured);
    CHECK_FALSE(business.busy());
    limits.connections_per_second = 2000;
    business.note(limits, measured);
    CHECK(business.busy());
    CHECK(business[3].busy());
    CHECK(business[3].limit() == 2000.0);
    limits = {};
    limits.syn_queue = 0.5;
    business.note(limits, measured);
    CHECK(business[1].busy());
    CHECK_FALSE(business[3].busy());
}

TEST_CASE("queues: of the listeners that take the origin's connections", "[replicad]")
{
    const auto served = www();
    CHECK_FALSE(queues_of(served, {}).accept);
    CHECK_FALSE(queues_of(served, {listener(81, 5, 10)}).accept);
    CHECK_FALSE(queues_of(served, {listener(80, 5, 10, "127.0.0.2")}).accept);
    CHECK(queues_of(served, {listener(80, 5, 10)}).accept == 0.5);
    CHECK(queues_of(served, {listener(80, 5, 10, "203.0.113.10")}).accept == 0.5);
    // the fullest of several, on another port too
    CHECK(queues_of(served, {listener(80, 5, 10), listener(80, 9, 10), listener(443, 1, 10)})
              .accept == 0.9);
    CHECK(queues_of(served, {listener(80, 1, 10), listener(443, 3, 4)}).accept == 0.75);
    // half-open ones, of the port's listeners together
    const auto half = socket_in(3, "127.0.0.1");
    CHECK(queues_of(served, {listener(80, 0, 4), half}).syn == 0.25);
    CHECK(queues_of(served, {half, listener(80, 0, 2), listener(80, 0, 2)}).syn == 0.25);
    CHECK(queues_of(served, {listener(80, 0, 4), socket_in(3, "127.0.0.9")}).syn == 0.0);
    CHECK(queues_of(served, {listener(80, 0, 4), socket_in(3, "127.0.0.1", 443)}).syn == 0.0);
}

TEST_CASE("connections: established until both have said goodbye", "[replicad]")
{
    const auto served = www();
    const auto count = [&](const SocketState &socket) { return connections_of(served, {socket}); };
    for (const std::uint8_t state : {1, 4, 5, 8, 9, 11})
        CHECK(count(socket_in(state, "127.0.0.1")) == 1);
    for (const std::uint8_t state : {2, 3, 6, 7, 10, 12})
        CHECK(count(socket_in(state, "127.0.0.1")) == 0);
    CHECK(count(socket_in(1, "203.0.113.10", 443)) == 1);
    CHECK(count(socket_in(1, "127.0.0.2")) == 0);
    CHECK(count(socket_in(1, "127.0.0.1", 8080)) == 0);
}

TEST_CASE("sockets of this host are read", "[replicad]")
{
    for (const bool ipv6 : {false, true}) {
        const int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
        if (fd < 0)
            continue; // a host without that family
        sockaddr_in6 six{};
        six.sin6_family = AF_INET6;
        six.sin6_addr = in6addr_loopback;
        sockaddr_in four{};
        four.sin_family = AF_INET;
        four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto *own = ipv6 ? reinterpret_cast<sockaddr *>(&six) : reinterpret_cast<sockaddr *>(&four);
        socklen_t size = ipv6 ? sizeof(six) : sizeof(four);
        REQUIRE(bind(fd, own, size) == 0);
        REQUIRE(listen(fd, 3) == 0);
        REQUIRE(getsockname(fd, own, &size) == 0);
        const auto port = ntohs(ipv6 ? six.sin6_port : four.sin_port);
        const int client = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
        REQUIRE(connect(client, own, size) == 0);
        auto served = www(ipv6 ? "::1" : "127.0.0.1");
        served.ports = {port};
        const auto listeners = read_sockets(ipv6, queue_states);
        REQUIRE(listeners);
        CHECK(queues_of(served, *listeners).accept == Approx(1.0 / 3));
        const auto connections = read_sockets(ipv6, established_states);
        REQUIRE(connections);
        CHECK(connections_of(served, *connections) == 1);
        close(client);
        close(fd);
    }
    const auto before = read_accepted();
    REQUIRE(before);
}

TEST_CASE("rate: per second, once there are two counts", "[replicad]")
{
    Rate rate;
    const Rate::Clock::time_point start{};
    CHECK_FALSE(rate.note(1000, start + 1s));
    CHECK(rate.note(1500, start + 1500ms) == 1000.0);
    CHECK(rate.note(1500, start + 2s) == 0.0);
    CHECK_FALSE(rate.note(10, start + 3s)); // began anew
    CHECK_FALSE(rate.note(20, start + 3s)); // no time has passed
}
