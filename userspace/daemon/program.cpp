// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/program.h"

#include <boost/program_options.hpp>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <optional>
#include <sstream>

#include "daemon/host.h"
#include "daemon/http.h"
#include "daemon/observer.h"
#include "wlb/toml_reader.h"

namespace wlb::daemon {

namespace po = boost::program_options;
namespace asio = boost::asio;

namespace {

enum ExitStatus : int { done = 0, refused = 1, misused = 2 };

struct Settings {
    std::string config = "/etc/wlb/wlb.toml";
    std::string log_level = "info";
    std::string http;
    std::optional<Endpoint> http_at;
};

std::optional<int> read(const Program &program, int argc, char **argv, Settings &settings)
{
    const std::string name = program.name;
    po::options_description options("options");
    options.add_options()("help,h", "show this")("version,V", "show the version")(
        "config,c", po::value(&settings.config)->value_name("FILE")->default_value(settings.config),
        "configuration, see wlb.toml(5)")(
        "log-level,l",
        po::value(&settings.log_level)->value_name("LEVEL")->default_value(settings.log_level),
        "debug, info, warning or error")(
        "http", po::value(&settings.http)->value_name("ADDRESS:PORT")->default_value(settings.http),
        "where to serve a status page, /status.json and /metrics; or off");
    po::variables_map values;
    try {
        po::store(po::command_line_parser(argc, argv)
                      .options(options)
                      .positional(po::positional_options_description())
                      .run(),
                  values);
        po::notify(values);
    } catch (const po::error &error) {
        std::cerr << name << ": " << error.what() << "\nsee " << name << " --help\n";
        return misused;
    }
    if (values.count("help") != 0) {
        std::cout << "usage: " << name << " [-c FILE] [-l LEVEL] [--http ADDRESS:PORT|off]\n\n"
                  << program.purpose << "\n"
                  << options << "\nexit status: 0 ended by a signal, 1 refused, 2 bad usage\n";
        return done;
    }
    if (values.count("version") != 0) {
        std::cout << name << " " WLB_VERSION "\n";
        return done;
    }
    if (spdlog::level::from_str(settings.log_level) == spdlog::level::off) {
        std::cerr << name << ": log-level must be debug, info, warning or error\n";
        return misused;
    }
    const auto http = parse_http(settings.http);
    if (!http) {
        std::cerr << name << ": --http: " << http.error().message << "\n";
        return misused;
    }
    settings.http_at = *http;
    return std::nullopt;
}

void tell(const Error &error)
{
    for (const auto &line : split(error.message, '\n'))
        spdlog::error("{}", line);
}

class Loop {
public:
    Loop(asio::io_context &io, Service &service)
        : io_(io), service_(service), signals_(io, SIGTERM, SIGINT, SIGHUP), watchdog_(io)
    {
    }

    void run()
    {
        await_signals();
        await_watchdog();
        sd_notify(0, "READY=1");
        io_.run();
    }

private:
    void await_signals()
    {
        signals_.async_wait([this](auto error, int number) {
            if (error)
                return;
            if (number == SIGHUP)
                (void)reload(service_);
            else
                end();
            await_signals();
        });
    }

    void end()
    {
        if (std::exchange(ending_, true)) { // who asks twice wants it now
            io_.stop();
            return;
        }
        sd_notify(0, "STOPPING=1");
        service_.stop([this] { io_.stop(); });
    }

    void await_watchdog()
    {
        std::uint64_t limit = 0; // us
        if (sd_watchdog_enabled(0, &limit) <= 0)
            return;
        watchdog_.expires_after(std::chrono::microseconds(limit / 2));
        watchdog_.async_wait([this](auto error) {
            if (error)
                return;
            sd_notify(0, "WATCHDOG=1");
            await_watchdog();
        });
    }

    asio::io_context &io_;
    Service &service_;
    asio::signal_set signals_;
    asio::steady_timer watchdog_;
    bool ending_ = false;
};

} // namespace

Status reload(Service &service)
{
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
               static_cast<long long>(now.tv_sec) * 1000000 + now.tv_nsec / 1000);
    auto status = service.reload();
    if (status) {
        spdlog::info("configuration read anew");
    } else {
        tell(status.error());
        spdlog::error("the configuration stays as it was");
    }
    sd_notify(0, "READY=1");
    return status;
}

Json answer_reload(Service &service)
{
    if (const auto status = reload(service); !status)
        return {{"error", status.error().message}};
    return {{"done", true}};
}

Result<Config> read_config(const std::string &file)
{
    std::ifstream stream(file);
    std::stringstream text;
    text << stream.rdbuf();
    if (!stream)
        return Error{file + ": " + std::strerror(errno), errno};
    auto parsed = parse_config(text.str());
    if (parsed.errors.empty())
        return parsed.config;
    std::vector<std::string> lines;
    lines.reserve(parsed.errors.size());
    for (const auto &error : parsed.errors)
        lines.push_back(file + ":" + std::to_string(error.line) + ":" +
                        std::to_string(error.column) + ": " + error.message);
    return Error{join(lines, "\n")};
}

int run(const Program &program, int argc, char **argv)
{
    Settings settings;
    settings.http = "127.0.0.1:" + std::to_string(program.http_port);
    if (const auto status = read(program, argc, argv, settings))
        return *status;
    spdlog::set_default_logger(spdlog::stderr_color_st(program.name));
    spdlog::set_pattern("%n: %l: %v");
    spdlog::set_level(spdlog::level::from_str(settings.log_level));
    try {
        asio::io_context io;
        const auto service = program.make(io, settings.config);
        Observer observer(io, {program.name, [&] { return service->observe(); }, program.measure,
                               [&]() -> const Control & { return service->control(); }});
        Loop loop(io, *service);
        for (const auto &status : {service->start(), drop_privileges()})
            if (!status) {
                tell(status.error());
                return refused;
            }
        if (settings.http_at)
            observer.open(*settings.http_at);
        loop.run();
        return done;
    } catch (const std::exception &error) {
        spdlog::critical("internal error: {}", error.what());
        return refused;
    }
}

} // namespace wlb::daemon
