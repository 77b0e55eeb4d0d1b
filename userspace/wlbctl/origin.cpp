// SPDX-License-Identifier: GPL-2.0-only
#include <linux/wlb.h>

#include "wlb/fields.h"
#include "wlbctl/objects.h"

namespace wlb::cli {

namespace {

Result<microseconds> parse_delay(std::string_view text)
{
    return parse_duration(text, std::chrono::milliseconds(1));
}

// "198.51.100.7,via=ipip,delay=55ms"
Result<Replica> parse_replica(std::string_view text)
{
    const auto items = split(text);
    const auto address = Address::parse(items.front());
    if (!address)
        return address.error();
    Replica replica;
    replica.address = *address;
    for (std::size_t i = 1; i < items.size(); ++i) {
        const std::string_view item = items[i];
        const auto equals = item.find('=');
        const auto key = item.substr(0, equals);
        const auto value = equals == std::string_view::npos ? "" : item.substr(equals + 1);
        if (key == "via") {
            const auto via = parse_via(value);
            if (!via)
                return Error{"via: " + via.error().message};
            replica.via = *via;
        } else if (key == "delay") {
            const auto delay = parse_delay(value);
            if (!delay)
                return Error{"delay: " + delay.error().message};
            replica.delay = *delay;
        } else {
            return Error{"\"" + items[i] + "\" must be via=gre, via=ipip or delay=DURATION"};
        }
    }
    return replica;
}

int add(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.word("NAME", true)
        .option("server", "ADDRESS[,ADDRESS]..", "the replicated server")
        .option("ports", "P[,P]..", "its ports")
        .option("race", "raw|equal", "clone at once (default), or hold to start all equal")
        .option("max-hold", "DURATION", "cap of the hold time (default 200ms)")
        .repeated("replica", "ADDRESS[,via=gre|ipip][,delay=DURATION]", "a replica; repeats")
        .option("source", "ADDRESS", "outer source of clones")
        .flag("strip-tag", "take the tag out of the server's copy")
        .option("fan-out", "N", "to how many replicas (default: all)")
        .option("pick", "nearest|random", "to which, if not to all (default nearest)")
        .option("clones-per-second", "N", "clones at the most (default 0: any number)")
        .option("clones-per-prefix", "N", "the same for one /24 or /64 and server")
        .option("cookie", "DURATION", "only for who has shown his address, for so long");
    if (!options.parse(args))
        return options.status();

    Origin origin;
    origin.name = options.text("NAME");
    options.require("server");
    options.require("ports");
    options.read_list("server", &Address::parse, origin.servers);
    options.read_list("ports", &parse_port, origin.ports);
    options.read("race", &parse_race, origin.race);
    options.read("max-hold", &parse_delay, origin.max_hold);
    for (const auto &text : options.texts("replica")) {
        if (const auto replica = parse_replica(text))
            origin.replicas.push_back(*replica);
        else
            options.complain("--replica: " + replica.error().message);
    }
    options.read("source", &Address::parse, origin.source);
    origin.strip_tag = options.has("strip-tag");
    options.read("fan-out", &parse_count, origin.fan_out);
    options.read("pick", &parse_pick, origin.pick);
    options.read("clones-per-second", &parse_count, origin.clones_per_second);
    options.read("clones-per-prefix", &parse_count, origin.clones_per_prefix);
    options.read("cookie", &parse_seconds, origin.cookie);
    if (!options.good())
        return options.status();
    return change_config(context, WLB_ROLE_SERVER_GATEWAY, [&](Config &config) {
        return add_object(config, config.origins, origin, "origin", "server-gateway.origin");
    });
}

int del(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.word("NAME", true);
    if (!options.parse(args))
        return options.status();
    return change_config(context, WLB_ROLE_SERVER_GATEWAY, [&](Config &config) {
        return delete_object(config.origins, options.text("NAME"), "origin");
    });
}

int list(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    if (!options.parse(args))
        return options.status();
    auto kernel = context.connect();
    if (!kernel)
        return refuse(context, kernel.error());
    const auto running = (*kernel)->read_config();
    if (!running)
        return refuse(context, running.error());
    auto array = Json::array();
    for (const auto &origin : running->config.origins) {
        if (context.json)
            array.push_back(to_json(origin));
        else
            context.out << describe("origin", origin.name, fields_of(origin)) << "\n";
    }
    if (context.json)
        context.write(array);
    return done;
}

} // namespace

const std::vector<Command> &origin_commands()
{
    static const std::vector<Command> commands{
        {"origin", "add",
         "NAME --server A,.. --ports P,.. [--race raw|equal] [--max-hold D]\n"
         "       [--replica A[,via=gre|ipip][,delay=D]].. [--source A] [--strip-tag]\n"
         "       [--fan-out N] [--pick nearest|random] [--clones-per-second N]\n"
         "       [--clones-per-prefix N] [--cookie D]",
         "Have the server gateway clone tagged SYNs of a server to its replicas.",
         "origin add www --server 203.0.113.10 --ports 80,443 --race equal "
         "--replica 198.51.100.7,delay=55ms",
         &add},
        {"origin", "del", "NAME", "Delete an origin: its SYNs are cloned no more.",
         "origin del www", &del},
        {"origin", "list", "", "List the replicated servers of the server gateway.",
         "-j origin list", &list},
    };
    return commands;
}

} // namespace wlb::cli
