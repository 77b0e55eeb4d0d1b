// SPDX-License-Identifier: GPL-2.0-only
#include <algorithm>
#include <iomanip>

#include "wlbctl/options.h"

namespace wlb::cli {

namespace {

int stats(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.flag("all,a", "counters that are zero, too");
    if (!options.parse(args))
        return options.status();
    auto kernel = context.connect();
    if (!kernel)
        return refuse(context, kernel.error());
    auto stats = (*kernel)->read_stats();
    if (!stats)
        return refuse(context, stats.error());
    if (context.json) {
        context.write(to_json(*stats));
        return done;
    }

    auto &lines = stats->counters;
    if (!options.has("all"))
        std::erase_if(lines, [](const Counter &counter) { return counter.value == 0; });
    lines.push_back({"flows", stats->flows, "now: entries in the translation table"});
    lines.push_back({"racing", stats->racing, "now: of which without a winner yet"});
    lines.push_back({"held", stats->held, "now: packets held for `equal`"});
    std::size_t name_width = 0;
    std::size_t value_width = 0;
    for (const auto &line : lines) {
        name_width = std::max(name_width, line.name.size());
        value_width = std::max(value_width, std::to_string(line.value).size());
    }
    for (const auto &line : lines)
        context.out << std::left << std::setw(static_cast<int>(name_width)) << line.name << "  "
                    << std::right << std::setw(static_cast<int>(value_width)) << line.value << "  "
                    << line.meaning << "\n";
    return done;
}

} // namespace

const std::vector<Command> &stats_commands()
{
    static const std::vector<Command> commands{
        {"stats", "", "[-a]", "Show the counters that are not zero, and what they count.",
         "stats -a", &stats},
    };
    return commands;
}

} // namespace wlb::cli
