// SPDX-License-Identifier: GPL-2.0-only
#include <utility> // which Boost 1.74 forgets

#include <boost/asio.hpp>
#include <boost/program_options.hpp>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>

#include <ctime>
#include <iostream>

#include "routerd/daemon.h"
#include "routerd/host.h"

namespace {

namespace po = boost::program_options;
namespace asio = boost::asio;
using wlb::routerd::Daemon;

enum ExitStatus : int { done = 0, refused = 1, misused = 2 };

struct Settings {
    std::string config = "/etc/wlb/wlb.toml";
    std::string log_level = "info";
};

std::optional<int> read(int argc, char **argv, Settings &settings)
{
    po::options_description options("options");
    options.add_options()("help,h", "show this")("version,V", "show the version")(
        "config,c", po::value(&settings.config)->value_name("FILE")->default_value(settings.config),
        "configuration, see wlb.toml(5)")(
        "log-level,l",
        po::value(&settings.log_level)->value_name("LEVEL")->default_value(settings.log_level),
        "debug, info, warning or error");
    po::variables_map values;
    try {
        po::store(po::command_line_parser(argc, argv)
                      .options(options)
                      .positional(po::positional_options_description())
                      .run(),
                  values);
        po::notify(values);
    } catch (const po::error &error) {
        std::cerr << "wlb-routerd: " << error.what() << "\nsee wlb-routerd --help\n";
        return misused;
    }
    if (values.count("help") != 0) {
        std::cout << "usage: wlb-routerd [-c FILE] [-l LEVEL]\n\n"
                     "WCCP version 2 for routers: redirects service groups to the caches that\n"
                     "announce themselves. Runs in the foreground, in one network namespace.\n"
                     "SIGHUP reads the configuration anew; SIGTERM ends redirection; a process\n"
                     "that was killed is succeeded by the next one without a packet noticing.\n\n"
                  << options << "\nexit status: 0 ended by a signal, 1 refused, 2 bad usage\n";
        return done;
    }
    if (values.count("version") != 0) {
        std::cout << "wlb-routerd " WLB_VERSION "\n";
        return done;
    }
    if (spdlog::level::from_str(settings.log_level) == spdlog::level::off) {
        std::cerr << "wlb-routerd: log-level must be debug, info, warning or error\n";
        return misused;
    }
    return std::nullopt;
}

void tell(const wlb::Error &error)
{
    for (const auto &line : wlb::split(error.message, '\n'))
        spdlog::error("{}", line);
}

void reload(Daemon &daemon)
{
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
               static_cast<long long>(now.tv_sec) * 1000000 + now.tv_nsec / 1000);
    if (const auto status = daemon.reload(); status) {
        spdlog::info("configuration read anew");
    } else {
        tell(status.error());
        spdlog::error("the configuration stays as it was");
    }
    sd_notify(0, "READY=1");
}

void await_signals(asio::signal_set &signals, asio::io_context &io, Daemon &daemon)
{
    signals.async_wait([&](auto error, int number) {
        if (error)
            return;
        if (number != SIGHUP) {
            daemon.stop();
            io.stop();
            return;
        }
        reload(daemon);
        await_signals(signals, io, daemon);
    });
}

} // namespace

int main(int argc, char **argv)
{
    Settings settings;
    if (const auto status = read(argc, argv, settings))
        return *status;
    spdlog::set_default_logger(spdlog::stderr_color_st("wlb-routerd"));
    spdlog::set_pattern("%n: %l: %v");
    spdlog::set_level(spdlog::level::from_str(settings.log_level));
    try {
        asio::io_context io;
        Daemon daemon(io, settings.config);
        asio::signal_set signals(io, SIGTERM, SIGINT, SIGHUP);
        for (const auto &status : {daemon.start(), wlb::routerd::drop_privileges()})
            if (!status) {
                tell(status.error());
                return refused;
            }
        await_signals(signals, io, daemon);
        io.run();
        return done;
    } catch (const std::exception &error) {
        spdlog::critical("internal error: {}", error.what());
        return refused;
    }
}
