// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/control.h"

#include <catch2/catch.hpp>

#include <sys/socket.h>

using namespace wlb;
using namespace wlb::daemon;
namespace asio = boost::asio;
using asio::local::stream_protocol;

namespace {

constexpr std::size_t big = 1 << 20; // octets, more than a socket keeps

class Client {
public:
    Client(asio::io_context &io, Control &control) : socket_(io)
    {
        int fds[2];
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
        socket_.assign(stream_protocol(), fds[0]);
        control.serve(stream_protocol::socket(io, stream_protocol(), fds[1]));
    }

    void say(const std::string &text) { asio::write(socket_, asio::buffer(text)); }
    void end() { socket_.shutdown(stream_protocol::socket::shutdown_send); }

    // What is there to be read, at most so much of it.
    std::string hear(std::size_t most = std::size_t{64} << 20)
    {
        std::string text;
        std::string part(65536, '\0');
        while (!closed_ && text.size() < most) {
            const auto size = recv(socket_.native_handle(), part.data(),
                                   std::min(part.size(), most - text.size()), MSG_DONTWAIT);
            if (size < 0 && errno == EAGAIN)
                break;
            closed_ = size <= 0;
            text.append(part.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
        }
        return text;
    }
    [[nodiscard]] bool closed() const { return closed_; }

private:
    stream_protocol::socket socket_;
    bool closed_ = false;
};

class Bench {
public:
    Bench() : control(io, "wlb-test", [this](const Json &request) { return answer(request); }) {}

    void run(std::chrono::milliseconds time = std::chrono::milliseconds(0))
    {
        io.restart();
        if (time.count() > 0)
            io.run_for(time);
        else
            io.poll();
    }

    // The one line that comes of it, and then the end.
    std::string once(const std::string &request)
    {
        Client client(io, control);
        client.say(request);
        run();
        auto text = client.hear();
        CHECK(client.closed());
        return text;
    }

    [[nodiscard]] std::uint64_t refused(Control::Refusal why) const
    {
        return control.refused().at(why);
    }

    asio::io_context io;
    int asked = 0;
    Control control;

private:
    Json answer(const Json &request)
    {
        ++asked;
        if (word(request, "command") == "throw")
            throw std::runtime_error("as asked");
        if (word(request, "command") == "big")
            return {{"text", std::string(big, 'x')}};
        return {{"done", true}};
    }
};

std::string nested(std::size_t depth)
{
    return std::string(depth, '[') + std::string(depth, ']');
}

} // namespace

TEST_CASE("control: a request is an object of fields that there are", "[control]")
{
    const auto why = [](const std::string &text) {
        const auto request = read_request(text);
        REQUIRE_FALSE(request);
        return request.error().message;
    };
    CHECK(read_request(R"({"command":"show"})"));
    CHECK(read_request(R"({"command":"hash","group":"web-cache","source":"::1",)"
                       R"("destination":"::2","source-port":65535,"destination-port":0,)"
                       R"("protocol":255})"));
    for (const auto &text :
         {std::string(), std::string("\n"), std::string("x"), std::string("[]"), std::string("5"),
          std::string("\"show\""), std::string("null"), std::string("{"), std::string("\xff"),
          std::string(R"({"command":"show"} x)"), nested(2000)}) {
        INFO(text);
        CHECK(why(text) == "a request must be a JSON object in one line");
    }
    CHECK(why("{}") == "a request must have a command");
    CHECK(why(R"({"command":""})") == "a request must have a command");
    CHECK(why(R"({"group":"web-cache"})") == "a request must have a command");
    CHECK(why(R"({"command":5})") == "a request's command must be a text");
    CHECK(why(R"({"command":"show","group":["x"]})") == "a request's group must be a text");
    CHECK(why(R"({"command":"show","grup":"x"})") == "a request has no field \"grup\"");
    for (const auto *value : {"65536", "-1", "1.5", "\"80\"", "99999999999999999999", "null"}) {
        INFO(value);
        CHECK(why(std::string(R"({"command":"hash","source-port":)") + value + "}") ==
              "a request's source-port must be a number, 0..65535");
    }
    CHECK(why(R"({"command":"hash","protocol":256})") ==
          "a request's protocol must be a number, 0..255");
}

TEST_CASE("control: one answer to one request", "[control]")
{
    Bench bench;
    CHECK(bench.once("{\"command\":\"show\"}\n") == "{\"done\":true}\n");
    CHECK(bench.once("{\"command\":\"show\"}\n{\"command\":\"show\"}\n") == "{\"done\":true}\n");
    CHECK(bench.asked == 2);
    Client slow(bench.io, bench.control);
    for (const auto c : std::string("{\"command\":\"show\"}\n")) {
        slow.say(std::string(1, c));
        bench.run();
    }
    CHECK(slow.hear() == "{\"done\":true}\n");
    CHECK(bench.control.refused() == Control::Counters{});
}

TEST_CASE("control: whoever says what is no request is told so", "[control]")
{
    Bench bench;
    CHECK(bench.once("GET / HTTP/1.1\r\n\r\n") ==
          "{\"error\":\"a request must be a JSON object in one line\"}\n");
    CHECK(bench.once("{\"command\":5}\n") ==
          "{\"error\":\"a request's command must be a text\"}\n");
    CHECK(bench.once(std::string(100000, 'x')) ==
          "{\"error\":\"a request has at most 4096 octets\"}\n");
    CHECK(bench.refused(Control::bad_request) == 3);
    Client half(bench.io, bench.control);
    half.say("{\"command\":\"show\"}");
    half.end();
    bench.run();
    CHECK(half.hear() == "{\"error\":\"a request ends with the end of a line\"}\n");
    Client gone(bench.io, bench.control);
    gone.end();
    bench.run();
    CHECK(gone.hear().empty());
    CHECK(gone.closed());
    CHECK(bench.refused(Control::bad_request) == 4);
    CHECK(bench.asked == 0);
}

TEST_CASE("control: a fault in an answer is not the daemon's end", "[control]")
{
    Bench bench;
    CHECK(bench.once("{\"command\":\"throw\"}\n") ==
          "{\"error\":\"internal error, see the log of wlb-test\"}\n");
    CHECK(bench.once("{\"command\":\"show\"}\n") == "{\"done\":true}\n");
}

TEST_CASE("control: so many clients, and so long for a request or an answer", "[control]")
{
    Bench bench;
    std::vector<std::unique_ptr<Client>> crowd;
    for (std::size_t i = 0; i < Control::most_clients; ++i)
        crowd.push_back(std::make_unique<Client>(bench.io, bench.control));
    for (std::size_t i = 0; i < 16; ++i)
        crowd[i]->say("{\"command\":\"big\"}\n"); // and does not read all of it
    crowd[16]->say("{\"comm");                    // and no more
    for (int i = 0; i < 1000; ++i) {
        Client late(bench.io, bench.control);
        CHECK(late.hear() == "{\"error\":\"wlb-test has 32 clients already\"}\n");
        CHECK(late.closed());
    }
    CHECK(bench.refused(Control::too_many) == 1000);
    bench.run();
    crowd[0]->hear(1000);
    CHECK(bench.asked == 16);
    // The one that does read gets it all.
    std::string all;
    for (int i = 0; i < 10000 && !crowd[1]->closed(); ++i) {
        all += crowd[1]->hear();
        bench.run();
    }
    CHECK(all.size() == big + std::string("{\"text\":\"\"}\n").size());
    bench.run(Control::patience + std::chrono::milliseconds(200));
    bench.run();
    CHECK(bench.refused(Control::too_slow) == 16 + 15);
    for (std::size_t i = 0; i < crowd.size(); ++i) {
        INFO(i);
        const auto text = crowd[i]->hear();
        CHECK(crowd[i]->closed());
        if (i >= 16)
            CHECK(text == "{\"error\":\"no request within 5 s\"}\n");
    }
    CHECK(bench.once("{\"command\":\"show\"}\n") == "{\"done\":true}\n");
}

TEST_CASE("control: a watcher hears all events, unless it does not read", "[control]")
{
    Bench bench;
    Client good(bench.io, bench.control);
    Client deaf(bench.io, bench.control);
    for (auto *client : {&good, &deaf})
        client->say("{\"command\":\"watch\"}\n");
    bench.run();
    std::size_t heard = 0;
    const Json event{{"event", std::string(1000, 'x')}};
    for (int i = 0; i < 2000; ++i) {
        bench.control.publish(event);
        bench.run();
        heard += good.hear().size();
    }
    CHECK(heard == 2000 * (event.dump().size() + 1));
    CHECK_FALSE(good.closed());
    CHECK(bench.refused(Control::unread) == 1);
    deaf.hear();
    CHECK(deaf.closed());
    // It has nothing more to say: that is its end.
    good.say("x");
    bench.run();
    good.hear();
    CHECK(good.closed());
    bench.control.publish(event);
    bench.run(std::chrono::milliseconds(10));
    CHECK(bench.refused(Control::too_slow) == 0);
}

TEST_CASE("control: nobody is left when it closes", "[control]")
{
    Bench bench;
    Client idle(bench.io, bench.control);
    Client watcher(bench.io, bench.control);
    watcher.say("{\"command\":\"watch\"}\n");
    bench.run();
    bench.control.close();
    bench.run(std::chrono::seconds(1));
    CHECK(bench.io.stopped()); // there is nothing to wait for
    for (auto *client : {&idle, &watcher}) {
        CHECK(client->hear().empty());
        CHECK(client->closed());
    }
}
