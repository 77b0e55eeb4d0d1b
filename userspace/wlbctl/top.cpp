// SPDX-License-Identifier: GPL-2.0-only
// What happens now, in numbers per second, over and over.
#include <poll.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "wlb/names.h"
#include "wlbctl/objects.h"
#include "wlbctl/signals.h"
#include "wlbctl/top_screen.h"

namespace wlb::cli {

namespace {

using Clock = std::chrono::steady_clock;

constexpr milliseconds least_interval{100};
constexpr std::chrono::hours most_interval{1};

constexpr Names<TopOrder, 2> orders{{{"rate", TopOrder::rate}, {"name", TopOrder::name}}};

Result<TopOrder> parse_order(std::string_view text)
{
    return parse_in(orders, text);
}

Result<microseconds> parse_interval(std::string_view text)
{
    auto interval = parse_duration(text, seconds{1});
    if (interval && (*interval < least_interval || *interval > most_interval))
        return Error{"\"" + std::string(text) + "\" must be 100ms to 1h"};
    return interval;
}

std::string title_of(const Context &context, microseconds interval)
{
    const auto now = std::time(nullptr);
    std::tm local{};
    localtime_r(&now, &local);
    std::array<char, 16> clock{};
    std::strftime(clock.data(), clock.size(), "%H:%M:%S", &local);
    return "wlbctl top" + (context.netns.empty() ? "" : ", netns " + context.netns) + "   " +
           clock.data() + "   every " + format_duration(interval);
}

// The kernel is connected to anew each time: the module may be another one by then.
Result<Look> look_now(const Context &context)
{
    const auto kernel = context.connect();
    return kernel ? look(**kernel) : kernel.error();
}

Error no_signals()
{
    return {std::string("signalfd: ") + std::strerror(errno), errno};
}

// Sleeps until `end`; the signal that came, or 0. `keys`: stdin is looked at, too, and 'q' or its
// end are SIGINT.
int wait(const Signals &signals, Clock::time_point end, bool keys)
{
    for (;;) {
        if (const int signal = signals.take(); signal != 0)
            return signal;
        const auto left = std::chrono::ceil<milliseconds>(end - Clock::now());
        if (left <= milliseconds{0})
            return 0;
        std::array<pollfd, 2> files{{{signals.fd(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
        poll(files.data(), keys ? 2 : 1, static_cast<int>(left.count()));
        if (!keys || files[1].revents == 0)
            continue;
        char key = 'q';
        if (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' || key == 'Q')
            return SIGINT;
    }
}

// Blocks of text, or JSON, one behind the other.
int print(const Context &context, microseconds interval, TopOrder order,
          std::optional<std::uint64_t> left)
{
    const Signals signals{SIGINT, SIGTERM};
    if (signals.fd() < 0)
        return refuse(context, no_signals());
    auto before = look_now(context);
    if (!before)
        return refuse(context, before.error());
    for (auto next = Clock::now() + interval;; next += interval) {
        if (wait(signals, next, false) != 0)
            return done;
        auto now = look_now(context);
        if (!now)
            return refuse(context, now.error());
        auto rates = rates_between(&*before, *now);
        sort_rates(rates, order);
        if (context.json)
            context.write(to_json(rates));
        else
            context.out << page_of(rates, title_of(context, interval), std::nullopt) << "\n";
        if (!context.out.flush() || (left && --*left == 0))
            return done;
        before = std::move(now);
    }
}

// On the whole terminal, until somebody ends it. What cannot be read now may be later.
int live(const Context &context, microseconds interval, TopOrder order)
{
    // What is wrong from the beginning is said as ever.
    if (const auto kernel = context.connect(); !kernel)
        return refuse(context, kernel.error());
    const Signals signals{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};
    if (signals.fd() < 0)
        return refuse(context, no_signals());
    Terminal terminal(context.out);
    std::optional<Look> before;
    for (auto next = Clock::now();; next += interval) {
        auto now = look_now(context);
        Rates rates;
        if (now) {
            rates = rates_between(before ? &*before : nullptr, *now);
            sort_rates(rates, order);
        }
        const auto title = title_of(context, interval) + "   q quits";
        const auto show = [&] {
            terminal.show(now ? page_of(rates, title, Terminal::window())
                              : now.error().message + "\n");
        };
        // One that was suspended does not make up for what it has not shown.
        next = std::max(next, Clock::now() - interval);
        int signal = 0;
        do {
            if (signal == SIGTSTP)
                terminal.suspend();
            show();
            signal = wait(signals, next + interval, true);
        } while (signal == SIGTSTP || signal == SIGWINCH);
        if (signal != 0 || !context.out)
            return done;
        before = now ? std::optional(std::move(*now)) : std::nullopt;
    }
}

int top(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.option("interval", "DURATION", "between two looks, 100ms to 1h (default 2s)")
        .option("count", "N", "leave after N looks; one block of text for each")
        .option("sort", "rate|name", "the busiest first (default), or by name");
    if (!options.parse(args))
        return options.status();
    microseconds interval{seconds{2}};
    std::optional<std::uint64_t> left;
    TopOrder order = TopOrder::rate;
    options.read("interval", &parse_interval, interval);
    options.read("count", &parse_times, left);
    options.read("sort", &parse_order, order);
    if (!options.good())
        return options.status();
    if (left || context.json || !Terminal::is_there())
        return print(context, interval, order, left);
    return live(context, interval, order);
}

} // namespace

const std::vector<Command> &top_commands()
{
    static const std::vector<Command> commands{
        {"top", "", "[--interval D] [--count N] [--sort rate|name]",
         "Show what happens now: rates of races, clones, redirection and refusals.",
         "top --interval 1s", &top},
    };
    return commands;
}

} // namespace wlb::cli
