// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/probe.h"

#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <variant>
#include <vector>

namespace wlb::daemon {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

namespace {

using Clock = std::chrono::steady_clock;
using Finish = std::function<void(const ProbeResult &)>;

std::string text(milliseconds timeout)
{
    return std::to_string(timeout.count()) + " ms";
}

// One attempt: its clock, and the one place where it ends.
class Attempt : public std::enable_shared_from_this<Attempt> {
public:
    Attempt(asio::io_context &io, milliseconds timeout, Finish finish)
        : timeout_(timeout), finish_(std::move(finish)), timer_(io)
    {
    }
    Attempt(const Attempt &) = delete;
    Attempt &operator=(const Attempt &) = delete;
    virtual ~Attempt() = default;

    void start()
    {
        if (!finish_)
            return;
        timer_.expires_after(timeout_);
        timer_.async_wait([self = shared_from_this()](auto error) {
            if (!error)
                self->end("no answer within " + text(self->timeout_));
        });
        begin();
    }

    void forget()
    {
        finish_ = {};
        timer_.cancel();
        stop();
    }

protected:
    virtual void begin() = 0;
    virtual void stop() = 0;

    // `why` is empty if all is well.
    void end(const std::string &why)
    {
        if (!finish_)
            return;
        const auto took = std::chrono::duration_cast<microseconds>(Clock::now() - began_);
        const auto finish = std::exchange(finish_, {});
        timer_.cancel();
        stop();
        finish({why.empty(), took, why});
    }

    template <class Self> std::shared_ptr<Self> self()
    {
        return std::static_pointer_cast<Self>(shared_from_this());
    }

private:
    milliseconds timeout_;
    Finish finish_;
    asio::steady_timer timer_;
    Clock::time_point began_ = Clock::now();
};

class TcpAttempt : public Attempt {
public:
    TcpAttempt(asio::io_context &io, const TcpProbe &question, milliseconds timeout, Finish finish)
        : Attempt(io, timeout, std::move(finish)), question_(question), stream_(io)
    {
    }

protected:
    void begin() override
    {
        boost::system::error_code bad;
        const auto address = asio::ip::make_address(question_.address.text(), bad);
        if (bad) {
            end(bad.message());
            return;
        }
        stream_.async_connect(tcp::endpoint(address, question_.port),
                              [self = self<TcpAttempt>()](auto error) {
                                  if (error)
                                      self->end("connection: " + error.message());
                                  else
                                      self->connected();
                              });
    }

    virtual void connected() { end(""); }

    void stop() override
    {
        // A reset leaves no TIME_WAIT behind, of which one each second would add up.
        boost::system::error_code ignored;
        stream_.socket().set_option(asio::socket_base::linger(true, 0), ignored);
        stream_.socket().close(ignored);
    }

    TcpProbe question_;
    beast::tcp_stream stream_;
};

class HttpAttempt final : public TcpAttempt {
public:
    HttpAttempt(asio::io_context &io, HttpProbe question, milliseconds timeout, Finish finish)
        : TcpAttempt(io, {question.address, question.port}, timeout, std::move(finish)),
          http_(std::move(question))
    {
    }

private:
    void connected() override
    {
        request_.method(http::verb::get);
        request_.version(11);
        request_.target(http_.path);
        request_.set(http::field::host, endpoint(http_.address, http_.port));
        request_.set(http::field::user_agent, "wlb");
        request_.set(http::field::connection, "close");
        http::async_write(stream_, request_, [self = self<HttpAttempt>()](auto error, auto) {
            if (error)
                self->end("request: " + error.message());
            else
                self->read();
        });
    }

    // What follows the header is of no interest, and may be long.
    void read()
    {
        http::async_read_header(stream_, buffer_, answer_,
                                [self = self<HttpAttempt>()](auto error, auto) {
                                    if (error)
                                        self->end("answer: " + error.message());
                                    else
                                        self->judge();
                                });
    }

    void judge()
    {
        const auto status = answer_.get().result_int();
        const bool good = http_.status.empty()
                              ? status < 500
                              : http_.status.count(static_cast<std::uint16_t>(status)) != 0;
        end(good ? "" : "status " + std::to_string(status));
    }

    HttpProbe http_;
    http::request<http::empty_body> request_;
    http::response_parser<http::empty_body> answer_;
    beast::flat_buffer buffer_;
};

class CommandAttempt final : public Attempt {
public:
    CommandAttempt(asio::io_context &io, CommandProbe question, milliseconds timeout, Finish finish)
        : Attempt(io, timeout, std::move(finish)), question_(std::move(question)), ended_(io)
    {
    }

private:
    void begin() override
    {
        if (const int error = spawn(); error != 0) {
            end(question_.arguments.front() + ": " + std::strerror(error));
            return;
        }
        const auto fd = static_cast<int>(syscall(SYS_pidfd_open, child_, 0));
        if (fd < 0) {
            const auto why = std::string("pidfd_open: ") + std::strerror(errno);
            stop();
            waitpid(std::exchange(child_, 0), nullptr, 0);
            end(why);
            return;
        }
        ended_.assign(fd);
        ended_.async_wait(asio::posix::stream_descriptor::wait_read,
                          [self = self<CommandAttempt>()](auto error) {
                              if (!error)
                                  self->judge();
                          });
    }

    // In a process group of its own, so that its children end with it.
    int spawn()
    {
        posix_spawn_file_actions_t files{};
        posix_spawnattr_t attributes{};
        posix_spawn_file_actions_init(&files);
        posix_spawnattr_init(&attributes);
        for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
            posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
        posix_spawnattr_setpgroup(&attributes, 0);
        sigset_t none{};
        sigemptyset(&none);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
        std::vector<char *> words;
        for (const auto &word : question_.arguments)
            words.push_back(const_cast<char *>(word.c_str()));
        words.push_back(nullptr);
        const int error =
            posix_spawn(&child_, words.front(), &files, &attributes, words.data(), environ);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&files);
        if (error != 0)
            child_ = 0;
        return error;
    }

    void judge()
    {
        int status = 0;
        if (waitpid(child_, &status, WNOHANG) != child_)
            return;
        child_ = 0;
        if (WIFEXITED(status))
            end(WEXITSTATUS(status) == 0 ? ""
                                         : "exit status " + std::to_string(WEXITSTATUS(status)));
        else
            end("ended by signal " + std::to_string(WTERMSIG(status)));
    }

    void stop() override
    {
        if (child_ != 0)
            kill(-child_, SIGKILL); // its end is still waited for
    }

    CommandProbe question_;
    asio::posix::stream_descriptor ended_;
    pid_t child_ = 0;
};

class Running final : public RunningProbe {
public:
    explicit Running(std::shared_ptr<Attempt> attempt) : attempt_(std::move(attempt)) {}
    Running(const Running &) = delete;
    Running &operator=(const Running &) = delete;
    ~Running() override
    {
        try {
            attempt_->forget();
        } catch (...) {
            // what cannot be cancelled ends by itself, and tells nobody
        }
    }

private:
    std::shared_ptr<Attempt> attempt_;
};

struct Make {
    asio::io_context &io;
    milliseconds timeout;
    Finish finish;

    template <class Kind, class Question> std::shared_ptr<Attempt> of(const Question &question)
    {
        return std::make_shared<Kind>(io, question, timeout, std::move(finish));
    }
    std::shared_ptr<Attempt> operator()(const TcpProbe &tcp) { return of<TcpAttempt>(tcp); }
    std::shared_ptr<Attempt> operator()(const HttpProbe &web) { return of<HttpAttempt>(web); }
    std::shared_ptr<Attempt> operator()(const CommandProbe &command)
    {
        return of<CommandAttempt>(command);
    }
};

} // namespace

std::unique_ptr<RunningProbe> start_probe(asio::io_context &io, const Probe &config,
                                          std::function<void(const ProbeResult &)> done)
{
    auto attempt = std::visit(Make{io, config.timeout, std::move(done)}, config.question);
    // Not at once: `done` is not to be called before the caller has the probe.
    asio::post(io, [attempt] { attempt->start(); });
    return std::make_unique<Running>(attempt);
}

} // namespace wlb::daemon
