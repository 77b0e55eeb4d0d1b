// SPDX-License-Identifier: GPL-2.0-only
#include <catch2/catch.hpp>

#include <utility>

#include <boost/asio.hpp>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "daemon/health.h"
#include "daemon/prober.h"
#include "sample.h"

using namespace wlb;
using daemon::Health;
using test::address;
namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

namespace {

// Answers the first connection with a text, and then nothing more.
class Server {
public:
    Server(asio::io_context &io, std::string answer)
        : answer_(std::move(answer)),
          acceptor_(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0)), peer_(io)
    {
        acceptor_.async_accept(peer_, [this](auto error) {
            if (!error && !answer_.empty())
                asio::async_read_until(peer_, asked_, "\r\n\r\n", [this](auto bad, auto) {
                    if (!bad)
                        asio::async_write(peer_, asio::buffer(answer_), [](auto, auto) {});
                });
        });
    }
    std::uint16_t port() { return acceptor_.local_endpoint().port(); }
    std::string asked()
    {
        return {asio::buffers_begin(asked_.data()), asio::buffers_end(asked_.data())};
    }

private:
    std::string answer_;
    tcp::acceptor acceptor_;
    tcp::socket peer_;
    asio::streambuf asked_;
};

daemon::ProbeResult ask(asio::io_context &io, const Probe &probe)
{
    std::optional<daemon::ProbeResult> result;
    const auto running = daemon::start_probe(io, probe, [&](const auto &told) {
        CHECK_FALSE(result);
        result = told;
    });
    io.restart();
    while (!result)
        REQUIRE(io.run_one_for(10s) == 1);
    io.run_for(1ms);
    return *result;
}

Probe http(std::uint16_t port, std::set<std::uint16_t> status = {})
{
    HttpProbe question;
    question.address = address("127.0.0.1");
    question.port = port;
    question.path = "/alive?now";
    question.status = std::move(status);
    Probe probe;
    probe.question = question;
    return probe;
}

Probe command(const std::string &script)
{
    Probe probe;
    probe.question = CommandProbe{{"/bin/sh", "-c", script}};
    return probe;
}

} // namespace

TEST_CASE("health: the first answer decides, others in a row", "[probe]")
{
    Health health(2, 3);
    CHECK_FALSE(health.known());
    CHECK(health.note(true));
    CHECK(health.up());
    for (const bool good : {false, false, true, false, false})
        CHECK_FALSE(health.note(good));
    CHECK(health.note(false));
    CHECK_FALSE(health.up());
    CHECK_FALSE(health.note(true));
    CHECK_FALSE(health.note(false));
    CHECK_FALSE(health.note(true));
    CHECK(health.note(true));
    CHECK(health.up());

    Health dead(2, 3);
    CHECK_FALSE(dead.note(false));
    CHECK(dead.known());
    CHECK_FALSE(dead.note(true));
    CHECK(dead.note(true));
    dead.configure(1, 1);
    CHECK(dead.up());
    CHECK(dead.note(false));
}

TEST_CASE("probe: a connection is an answer, a refusal none", "[probe]")
{
    asio::io_context io;
    std::uint16_t port = 0;
    {
        Server server(io, "");
        port = server.port();
        Probe probe;
        probe.question = TcpProbe{address("127.0.0.1"), port};
        const auto result = ask(io, probe);
        CHECK(result.good);
        CHECK(result.why.empty());
    }
    io.run_for(1ms);
    Probe probe;
    probe.question = TcpProbe{address("127.0.0.1"), port};
    const auto result = ask(io, probe);
    CHECK_FALSE(result.good);
    CHECK(result.why == "connection: Connection refused");
}

TEST_CASE("probe: the status of an HTTP answer", "[probe]")
{
    asio::io_context io;
    const auto answered = [&](const std::string &answer, std::set<std::uint16_t> status = {}) {
        Server server(io, answer);
        const auto result = ask(io, http(server.port(), std::move(status)));
        CHECK(server.asked().starts_with("GET /alive?now HTTP/1.1\r\nHost: 127.0.0.1:"));
        return result.why;
    };
    CHECK(answered("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").empty());
    CHECK(answered("HTTP/1.0 400 Bad Request\r\n\r\n").empty());
    CHECK(answered("HTTP/1.1 503 Sorry\r\n\r\n") == "status 503");
    CHECK(answered("HTTP/1.1 400 Bad Request\r\n\r\n", {200, 204}) == "status 400");
    CHECK(answered("HTTP/1.1 204 Nothing\r\n\r\n", {200, 204}).empty());
    CHECK(answered("SSH-2.0-OpenSSH\r\n\r\n").starts_with("answer: "));
}

TEST_CASE("probe: who does not answer in time does not work", "[probe]")
{
    asio::io_context io;
    Server server(io, "");
    auto probe = http(server.port());
    probe.timeout = 50ms;
    const auto result = ask(io, probe);
    CHECK(result.why == "no answer within 50 ms");
    CHECK(result.took >= 50ms);
}

TEST_CASE("probe: a command's exit status", "[probe]")
{
    asio::io_context io;
    CHECK(ask(io, command("exit 0")).good);
    CHECK(ask(io, command("exit 3")).why == "exit status 3");
    CHECK(ask(io, command("kill -9 $$")).why == "ended by signal 9");
    Probe nobody;
    nobody.question = CommandProbe{{"/nonexistent/program"}};
    CHECK(ask(io, nobody).why == "/nonexistent/program: No such file or directory");
}

TEST_CASE("probe: a command that does not end is ended, with its children", "[probe]")
{
    asio::io_context io;
    const auto file =
        std::filesystem::temp_directory_path() / ("wlb-probe-" + std::to_string(getpid()));
    std::filesystem::remove(file);
    auto probe = command("(sleep 1; echo late > " + file.string() + ") & sleep 60");
    probe.timeout = 100ms;
    CHECK(ask(io, probe).why == "no answer within 100 ms");
    io.run_for(1500ms);
    CHECK_FALSE(std::filesystem::exists(file));
}

TEST_CASE("prober: asks again and again, and tells of changes", "[probe]")
{
    asio::io_context io;
    const auto file =
        std::filesystem::temp_directory_path() / ("wlb-prober-" + std::to_string(getpid()));
    std::ofstream(file) << "alive";
    auto probe = command("test -e " + file.string());
    probe.interval = 20ms;
    probe.rise = probe.fall = 2;
    std::vector<bool> changes;
    unsigned answers = 0;
    std::optional<daemon::Prober> prober;
    prober.emplace(io, probe, [&](bool changed) {
        ++answers;
        if (changed)
            changes.push_back(prober->up());
    });
    CHECK_FALSE(prober->known());
    prober->start();
    const auto until = [&](auto condition) {
        for (const auto end = std::chrono::steady_clock::now() + 10s;
             !condition() && std::chrono::steady_clock::now() < end;)
            io.run_one_for(100ms);
        REQUIRE(condition());
    };
    until([&] { return answers >= 3; });
    std::filesystem::remove(file);
    until([&] { return changes.size() == 2; });
    CHECK(changes == std::vector<bool>{true, false});
    CHECK(prober->last()->why == "exit status 1");
    // Without a question it works.
    prober->reconfigure(std::nullopt);
    CHECK(changes.size() == 3);
    CHECK(prober->up());
    prober.reset();
    io.run_for(50ms);
}
