// SPDX-License-Identifier: GPL-2.0-only
#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

#include "wlb/standings.h"
#include "wlbctl/objects.h"
#include "wlbctl/signals.h"

namespace wlb::cli {

namespace {

int list(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    if (!options.parse(args))
        return options.status();
    auto kernel = context.connect();
    if (!kernel)
        return refuse(context, kernel.error());
    const auto races = (*kernel)->read_races();
    if (!races)
        return refuse(context, races.error());
    auto array = Json::array();
    for (const auto &race : *races) {
        if (context.json)
            array.push_back(to_json(race));
        else
            context.out << to_text(race) << "\n";
    }
    if (context.json)
        context.write(array);
    return done;
}

// A command of one server or all.
int of_server(Context &context, const Command &command, const Args &args,
              const std::function<int(Kernel &kernel, const std::optional<Address> &server)> &act)
{
    Options options(context, command);
    options.word("SERVER", false);
    if (!options.parse(args))
        return options.status();
    std::optional<Address> server;
    if (options.has("SERVER")) {
        const auto parsed = Address::parse(options.text("SERVER"));
        if (parsed)
            server = *parsed;
        else
            options.complain(parsed.error().message);
    }
    if (!options.good())
        return options.status();
    auto kernel = context.connect();
    return kernel ? act(**kernel, server) : refuse(context, kernel.error());
}

int learned(Context &context, const Command &command, const Args &args)
{
    return of_server(context, command, args, [&](Kernel &kernel, const auto &server) -> int {
        const auto all = kernel.read_learned();
        if (!all)
            return refuse(context, all.error());
        auto array = Json::array();
        for (const auto &origin : *all) {
            if (server && origin.server != *server)
                continue;
            if (context.json)
                array.push_back(to_json(origin));
            else if (!origin.answerers.empty())
                context.out << to_text(origin) << "\n";
        }
        if (context.json)
            context.write(array);
        return done;
    });
}

int forget(Context &context, const Command &command, const Args &args)
{
    return of_server(context, command, args, [&](Kernel &kernel, const auto &server) -> int {
        const auto count = kernel.forget_learned(server);
        if (!count)
            return refuse(context, count.error());
        if (context.json)
            context.write({{"forgotten", *count}});
        else
            context.out << "forgot " << *count << "\n";
        return done;
    });
}

int monitor(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.option("count", "N", "leave after N races");
    if (!options.parse(args))
        return options.status();
    std::optional<std::uint64_t> left;
    options.read("count", &parse_times, left);
    if (!options.good())
        return options.status();

    const Signals stop{SIGINT, SIGTERM};
    if (stop.fd() < 0)
        return refuse(context, {std::string("signalfd: ") + std::strerror(errno), errno});
    auto kernel = context.connect();
    if (!kernel)
        return refuse(context, kernel.error());
    const auto take = [&](const RaceRecord &race) {
        context.out << (context.json ? to_json(race).dump() : to_text(race)) << "\n" << std::flush;
        return context.out.good() && (!left || --*left > 0);
    };
    const auto lost = [&] { context.err << "wlbctl: monitor: some races were missed\n"; };
    if (const auto status = (*kernel)->watch_races(stop.fd(), take, lost); !status)
        return refuse(context, status.error());
    return done;
}

// Races that have come since the last look, until it is interrupted.
int top(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.option("interval", "DURATION", "between two looks (default 2s)")
        .option("count", "N", "leave after N looks");
    if (!options.parse(args))
        return options.status();
    seconds interval{2};
    std::optional<std::uint64_t> left;
    options.read("interval", &parse_seconds, interval);
    options.read("count", &parse_times, left);
    if (!options.good())
        return options.status();
    auto kernel = context.connect();
    if (!kernel)
        return refuse(context, kernel.error());
    for (std::uint64_t seen = 0;;) {
        auto races = (*kernel)->read_races();
        if (!races)
            return refuse(context, races.error());
        std::erase_if(*races, [&](const auto &race) { return race.id <= seen; });
        auto array = Json::array();
        for (const auto &origin : standings(*races)) {
            array.push_back(to_json(origin));
            if (!context.json)
                context.out << to_text(origin);
        }
        if (context.json)
            context.out << array.dump() << "\n";
        else
            context.out << "--\n";
        if (!races->empty())
            seen = races->back().id;
        if (!context.out.flush() || (left && --*left == 0))
            return done;
        std::this_thread::sleep_for(interval);
    }
}

} // namespace

const std::vector<Command> &race_commands()
{
    static const std::vector<Command> commands{
        {"race", "list", "", "List the latest races: who answered, how late, who won.",
         "-j race list", &list},
        {"race", "top", "[--interval D] [--count N]",
         "Show again and again who answered the latest races, how late, and who won.", "race top",
         &top},
        {"race", "learned", "[SERVER]",
         "List who is known to answer for which origin, for race = \"direct\".",
         "race learned 203.0.113.10", &learned},
        {"race", "forget", "[SERVER]",
         "Forget that, of one server or all; the next SYN is raced anew.",
         "race forget 203.0.113.10", &forget},
        {"monitor", "", "[--count N]", "Show each race as it is answered, until interrupted.",
         "-j monitor --count 10", &monitor},
    };
    return commands;
}

} // namespace wlb::cli
