// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/http.h"

#include <catch2/catch.hpp>

#include <array>
#include <thread>

#include "daemon/history.h"
#include "daemon/page.h"
#include "sample.h"

using namespace wlb;
using namespace wlb::daemon;
namespace asio = boost::asio;
using asio::ip::tcp;
using test::address;

namespace {

constexpr std::uint16_t port = 20620;

// A server, and what a client in a thread of its own does.
class Bench {
public:
    Bench()
        : http_(io_, [this](const std::string &path) -> std::optional<HttpPage> {
              if (path == "/throws")
                  throw std::runtime_error("as asked");
              if (path == "/big")
                  return HttpPage{"text/plain", big_, "default-src 'none'"};
              if (path != "/")
                  return std::nullopt;
              return HttpPage{"text/plain", std::make_shared<const std::string>("hello\n"), "p"};
          })
    {
        REQUIRE(http_.open({address("127.0.0.1"), port}));
    }

    void play(const std::function<void()> &client)
    {
        std::thread thread([&] {
            client();
            asio::post(io_, [&] { http_.close(); });
        });
        io_.run();
        thread.join();
    }

    asio::io_context io_;
    std::shared_ptr<const std::string> big_ =
        std::make_shared<const std::string>(std::size_t{8} << 20, 'x');
    Http http_;
};

class Client {
public:
    Client() : socket_(io_) { socket_.connect({asio::ip::make_address("127.0.0.1"), port}); }

    void say(const std::string &text)
    {
        boost::system::error_code ignored; // the server may have had enough
        asio::write(socket_, asio::buffer(text), ignored);
    }

    std::string hear() // until the server closes
    {
        std::string text;
        boost::system::error_code error;
        asio::read(socket_, asio::dynamic_buffer(text), error);
        return text;
    }

    std::string hear_until(const std::string &end)
    {
        boost::system::error_code error;
        const auto size = asio::read_until(socket_, asio::dynamic_buffer(text_), end, error);
        auto text = text_.substr(0, size);
        text_.erase(0, size);
        return text;
    }

private:
    asio::io_context io_;
    tcp::socket socket_;
    std::string text_;
};

std::string once(const std::string &request)
{
    Client client;
    client.say(request);
    return client.hear();
}

std::string request(const std::string &line, const std::string &more = "Host: localhost\r\n")
{
    return line + " HTTP/1.1\r\n" + more + "Connection: close\r\n\r\n";
}

bool begins(const std::string &text, const std::string &with)
{
    return text.compare(0, with.size(), with) == 0;
}

} // namespace

TEST_CASE("where HTTP is served", "[http]")
{
    CHECK_FALSE(parse_http("off")->has_value());
    CHECK((*parse_http("127.0.0.1:2062"))->text() == "127.0.0.1:2062");
    CHECK((*parse_http("[::1]:2062"))->text() == "[::1]:2062");
    for (const auto *bad : {"", "on", "2062", ":2062", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0",
                            "::1:2062", "localhost:2062", "127.0.0.1:65536"}) {
        INFO(bad);
        CHECK_FALSE(parse_http(bad));
    }
}

TEST_CASE("a server of the loopback interface has no other names", "[http]")
{
    const Endpoint local{address("127.0.0.1"), 2062};
    const Endpoint local6{address("::1"), 2062};
    for (const auto *host :
         {"localhost", "LocalHost:2062", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:2062"}) {
        INFO(host);
        CHECK(is_host_of(local, host));
        CHECK(is_host_of(local6, host));
    }
    for (const auto *host :
         {"", "evil.example", "evil.example:2062", "127.0.0.1.evil.example", "localhost.",
          "localhost:", "localhost:x", "::1", "[::1", "[::1]x", "127.0.0.2"}) {
        INFO(host);
        CHECK_FALSE(is_host_of(local, host));
    }
    CHECK(is_host_of({address("127.0.0.2"), 2062}, "127.0.0.2:2062"));
    CHECK(is_host_of({address("192.0.2.1"), 2062}, "router.example"));
}

TEST_CASE("HTTP", "[http]")
{
    Bench bench;
    bench.play([] {
        const auto page = once(request("GET /?x=1"));
        INFO(page);
        CHECK(begins(page, "HTTP/1.1 200 OK\r\n"));
        CHECK(page.find("\r\nContent-Security-Policy: p\r\n") != std::string::npos);
        CHECK(page.find("\r\nX-Content-Type-Options: nosniff\r\n") != std::string::npos);
        CHECK(page.find("\r\nContent-Length: 6\r\n") != std::string::npos);
        CHECK(page.substr(page.size() - 10) == "\r\n\r\nhello\n");
        const auto head = once(request("HEAD /"));
        CHECK(head.find("\r\nContent-Length: 6\r\n") != std::string::npos);
        CHECK(head.substr(head.size() - 4) == "\r\n\r\n");
        CHECK(begins(once(request("GET /other")), "HTTP/1.1 404"));
        CHECK(begins(once(request("GET /throws")), "HTTP/1.1 500"));
        const auto post =
            once("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello");
        CHECK(begins(post, "HTTP/1.1 405"));
        CHECK(post.find("\r\nAllow: GET, HEAD\r\n") != std::string::npos);
        for (const auto *method : {"PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"})
            CHECK(begins(once(request(std::string(method) + " /")), "HTTP/1.1 405"));
        CHECK(begins(once(request("GET /", "Host: evil.example\r\n")), "HTTP/1.1 421"));
        CHECK(begins(once(request("GET /", "")), "HTTP/1.1 400"));
        CHECK(begins(once(request("GET /", "Host: localhost\r\nHost: a\r\n")), "HTTP/1.1 400"));
        CHECK(begins(once("\x16\x03\x01\x02 what is this?\r\n\r\n"), "HTTP/1.1 400"));
        CHECK(begins(
            once(request("GET /", "Host: localhost\r\nX: " + std::string(9000, 'x') + "\r\n")),
            "HTTP/1.1 431"));
        CHECK(begins(once(request("GET /" + std::string(20000, 'x'))), "HTTP/1.1 431"));
    });
}

TEST_CASE("several requests by one connection", "[http]")
{
    Bench bench;
    bench.play([] {
        Client client;
        const std::string one = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        client.say(one + one);
        for (int i = 0; i < 2; ++i)
            CHECK(begins(client.hear_until("hello\n"), "HTTP/1.1 200"));
        client.say("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n");
        CHECK(begins(client.hear(), "HTTP/1.1 200"));
    });
}

TEST_CASE("so many connections, and who does not read keeps nobody waiting", "[http]")
{
    Bench bench;
    bench.play([] {
        std::vector<std::unique_ptr<Client>> idle;
        for (std::size_t i = 0; i + 1 < Http::most_connections; ++i) {
            idle.push_back(std::make_unique<Client>());
            idle.back()->say(i % 2 != 0 ? request("GET /big") : "GET");
        }
        CHECK(begins(once(request("GET /")), "HTTP/1.1 200"));
        idle.push_back(std::make_unique<Client>());
        CHECK(once(request("GET /")).empty());
        idle.clear();
        std::string again;
        for (int i = 0; i < 100 && again.empty(); ++i) {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            again = once(request("GET /"));
        }
        CHECK(begins(again, "HTTP/1.1 200"));
    });
}

TEST_CASE("an address that is taken is no error of the other", "[http]")
{
    Bench bench;
    Http second(bench.io_, [](const std::string & /*path*/) { return std::nullopt; });
    CHECK_FALSE(second.open({address("127.0.0.1"), port}));
    bench.play([] { CHECK(begins(once(request("GET /")), "HTTP/1.1 200")); });
}

TEST_CASE("the page allows itself only", "[http]")
{
    // echo -n "let x;" | openssl dgst -sha256 -binary | base64
    CHECK(policy_of("<style>a{}</style><script>let x;</script>") ==
          "default-src 'none'; script-src 'sha256-0d16uaq56s5GjNyUV+TVNe6kCw90XFh4MjUbyKmlPjs='; "
          "style-src 'sha256-X1RutGBrXCt9KkSaXMK7tHftWiRscFHOhxsS8tv8hBk='; "
          "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    CHECK(policy_of("").find("script-src 'none'; style-src 'none'") != std::string::npos);
    const auto page = status_page();
    CHECK(begins(*page.text, "<!doctype html>"));
    // No resource: the name of a kind of elements.
    const std::string names = "http://www.w3.org/2000/svg";
    auto text = *page.text;
    text.replace(text.find(names), names.size(), "");
    for (const auto *outside : {"http://", "https://", "innerHTML", "eval(", "src="}) {
        INFO(outside);
        CHECK(text.find(outside) == std::string::npos);
    }
}

TEST_CASE("counters over the last minutes", "[http]")
{
    History history;
    CHECK(history.show(std::chrono::milliseconds(0)).dump() ==
          R"({"seconds":[],"flows":[],"counters":{}})");
    Stats stats;
    stats.counters = {{"a", 5, ""}, {"b", 1, ""}};
    history.note(std::chrono::milliseconds(1000), stats);
    stats.counters[0].value = 8;
    stats.flows = 2;
    history.note(std::chrono::milliseconds(6000), stats);
    stats.counters[0].value = 1; // anew
    history.note(std::chrono::milliseconds(11000), stats);
    CHECK(history.show(std::chrono::milliseconds(11500)).dump() ==
          R"({"seconds":[10.5,5.5,0.5],"flows":[0,2,2],"counters":{"a":[3,1]}})");
    for (unsigned i = 0; i < 2 * History::most_samples; ++i)
        history.note(std::chrono::milliseconds(20000), stats);
    CHECK(history.show(std::chrono::milliseconds(20000))["seconds"].size() ==
          History::most_samples);
    stats.counters.push_back({"c", 0, ""}); // another module
    history.note(std::chrono::milliseconds(20000), stats);
    CHECK(history.show(std::chrono::milliseconds(20000))["seconds"].size() == 1);
}
