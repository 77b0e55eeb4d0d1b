// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/listener.h"

#include <catch2/catch.hpp>

#include "sample.h"

using namespace wlb;
using namespace wlb::daemon;
namespace asio = boost::asio;
using test::address;

namespace {

constexpr std::uint16_t port = 20610;

// Two sockets of a daemon, and what is done with what arrives.
class Bench {
public:
    Bench()
        : listeners(
              io, [this](int at, const auto &) { ++taken[at]; }, [this] { tick(); })
    {
        for (const int at : {0, 1}) {
            auto socket =
                Socket::open(false, address("127.0.0.1"), static_cast<std::uint16_t>(port + at));
            REQUIRE(socket);
            listeners.add(at, std::move(*socket));
        }
    }

    void send(int at, unsigned count)
    {
        asio::ip::udp::socket from(io, asio::ip::udp::v4());
        const asio::ip::udp::endpoint to(asio::ip::make_address("127.0.0.1"),
                                         static_cast<std::uint16_t>(port + at));
        for (; count > 0; --count)
            from.send_to(asio::buffer("x", 1), to);
    }

    asio::io_context io;
    int taken[2] = {};
    std::vector<int> ticks; // what was taken until then
    std::function<void()> then = [this] { io.stop(); };
    Listeners<int> listeners;

private:
    void tick()
    {
        ticks.push_back(taken[0] + taken[1]);
        then();
    }
};

} // namespace

TEST_CASE("listeners: deadlines wait for what has arrived at every socket", "[listener]")
{
    Bench bench;
    // As many as are taken at once are all: nothing comes that has it look at the clock again.
    const auto [first, second] =
        GENERATE(std::pair(0, 0), std::pair(1, 0), std::pair(64, 0), std::pair(64, 64),
                 std::pair(65, 3), std::pair(3, 1000), std::pair(640, 128));
    bench.send(0, static_cast<unsigned>(first));
    bench.send(1, static_cast<unsigned>(second));
    SECTION("when a deadline is due")
    {
        bench.listeners.hear();
    }
    SECTION("when there is something to read")
    {
        if (first + second == 0)
            return;
    }
    if (bench.ticks.empty())
        bench.io.run_for(std::chrono::seconds(5));
    CHECK(bench.ticks == std::vector<int>{first + second});
}

TEST_CASE("listeners: a flood does not keep deadlines waiting for ever", "[listener]")
{
    Bench bench;
    const auto began = std::chrono::steady_clock::now();
    while (bench.ticks.empty()) {
        REQUIRE(std::chrono::steady_clock::now() - began < std::chrono::seconds(20));
        bench.send(0, 100);
        bench.listeners.hear();
    }
    CHECK(std::chrono::steady_clock::now() - began >= Listeners<int>::most_behind);
    CHECK(bench.ticks[0] > 1000);
}

TEST_CASE("listeners: what looks at the deadlines may close sockets", "[listener]")
{
    Bench bench;
    bench.then = [&] { bench.listeners.clear(); };
    bench.send(1, 1);
    bench.io.run_for(std::chrono::seconds(5)); // until there is nothing to wait for
    CHECK(bench.io.stopped());
    CHECK(bench.ticks == std::vector<int>{1});
    CHECK(bench.listeners.find(0) == nullptr);
}

TEST_CASE("listeners: a socket that is closed is heard no more", "[listener]")
{
    Bench bench;
    bench.listeners.close_if([](int at) { return at == 0; });
    CHECK(bench.listeners.find(0) == nullptr);
    REQUIRE(bench.listeners.find(1) != nullptr);
    bench.send(1, 2);
    bench.io.run_for(std::chrono::seconds(5));
    CHECK(bench.taken[1] == 2);
}
