// SPDX-License-Identifier: GPL-2.0-only
// What the host of a cache has learned to return. A proxy's helper adds an origin that
// answers 401 or 403 to the cache's address, for the client to reach it itself.
#include <linux/wlb.h>

#include "wlbctl/options.h"

namespace wlb::cli {

namespace {

constexpr seconds default_lifetime = std::chrono::hours(1);
constexpr seconds longest_lifetime{WLB_MAX_LIFETIME};

Result<seconds> parse_lifetime(std::string_view text)
{
    auto lifetime = parse_seconds(text);
    if (lifetime && (*lifetime < seconds(1) || *lifetime > longest_lifetime))
        return Error{format_duration(*lifetime) + " must be 1s.." +
                     format_duration(longest_lifetime)};
    return lifetime;
}

// Which packets: what add and del have in common.
Bypass read_pair(Options &options)
{
    Bypass bypass;
    if (const auto destination = Address::parse(options.text("DESTINATION")))
        bypass.destination = *destination;
    else
        options.complain(destination.error().message);
    options.read("source", &Address::parse, bypass.source);
    return bypass;
}

int ask(const Context &context, const std::function<Status(Kernel &)> &request)
{
    auto kernel = context.connect();
    if (!kernel)
        return refuse(context, kernel.error());
    const auto status = request(**kernel);
    return status ? done : refuse(context, status.error());
}

int add(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.word("DESTINATION", true)
        .option("source", "ADDRESS", "only what comes from this client")
        .option("lifetime", "DURATION", "for so long, 1h if not given");
    if (!options.parse(args))
        return options.status();
    auto bypass = read_pair(options);
    bypass.lifetime = default_lifetime;
    options.read("lifetime", &parse_lifetime, bypass.lifetime);
    if (!options.good())
        return options.status();
    return ask(context, [&](Kernel &kernel) { return kernel.add_bypass(bypass); });
}

int del(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.word("DESTINATION", true).option("source", "ADDRESS", "the one of this client");
    if (!options.parse(args))
        return options.status();
    const auto bypass = read_pair(options);
    if (!options.good())
        return options.status();
    return ask(context, [&](Kernel &kernel) { return kernel.remove_bypass(bypass); });
}

int flush(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    if (!options.parse(args))
        return options.status();
    return ask(context, [](Kernel &kernel) { return kernel.remove_bypass(std::nullopt); });
}

int list(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    if (!options.parse(args))
        return options.status();
    auto kernel = context.connect();
    if (!kernel)
        return refuse(context, kernel.error());
    const auto bypasses = (*kernel)->read_bypasses();
    if (!bypasses)
        return refuse(context, bypasses.error());
    auto array = Json::array();
    for (const auto &bypass : *bypasses) {
        if (context.json)
            array.push_back(to_json(bypass));
        else
            context.out << to_text(bypass) << "\n";
    }
    if (context.json)
        context.write(array);
    return done;
}

} // namespace

const std::vector<Command> &bypass_commands()
{
    static const std::vector<Command> commands{
        {"bypass", "add", "DESTINATION [--source A] [--lifetime DURATION]",
         "Have a cache's host return what goes to an origin, for a while.",
         "bypass add 203.0.113.10 --source 10.1.1.2 --lifetime 10m", &add},
        {"bypass", "del", "DESTINATION [--source A]", "Have it take in such packets again.",
         "bypass del 203.0.113.10 --source 10.1.1.2", &del},
        {"bypass", "flush", "", "Have it take in everything again.", "bypass flush", &flush},
        {"bypass", "list", "", "List what is returned, and for how long yet.", "-j bypass list",
         &list},
    };
    return commands;
}

} // namespace wlb::cli
