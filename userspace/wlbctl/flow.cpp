// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/options.h"

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

    // Printed as it comes: there may be a million of them.
    const char *separator = "[";
    const auto dump = (*kernel)->read_flows([&](const Flow &flow) {
        if (context.json) {
            context.out << separator << to_json(flow).dump();
            separator = ",\n ";
        } else {
            context.out << to_text(flow) << "\n";
        }
    });
    if (!dump) // what is out is not closed: nobody is to take it for the whole list
        return refuse(context, dump.error());
    if (context.json)
        context.out << (*separator == '[' ? "[" : "") << "]\n";
    if (*dump == Dump::torn)
        context.err << "wlbctl: flow list: the table changed meanwhile; flows may be missing or "
                       "listed twice\n";
    return done;
}

int flush(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.option("client", "ADDRESS", "only flows of this client")
        .option("server", "ADDRESS", "only flows to this server")
        .option("winner", "ADDRESS", "only flows that this one won");
    if (!options.parse(args))
        return options.status();
    FlowFilter filter;
    options.read("client", &Address::parse, filter.client);
    options.read("server", &Address::parse, filter.server);
    options.read("winner", &Address::parse, filter.winner);
    if (!options.good())
        return options.status();

    auto kernel = context.connect();
    if (!kernel)
        return refuse(context, kernel.error());
    const auto count = (*kernel)->flush_flows(filter);
    if (!count)
        return refuse(context, count.error());
    if (context.json)
        context.write({{"flushed", *count}});
    else
        context.out << "flushed " << *count << "\n";
    return done;
}

} // namespace

const std::vector<Command> &flow_commands()
{
    static const std::vector<Command> commands{
        {"flow", "list", "", "List the translation table of the client gateway.", "flow list",
         &list},
        {"flow", "flush", "[--client A] [--server A] [--winner A]",
         "Forget flows, all or those that match; a flow carried to a replica breaks.",
         "flow flush --winner 198.51.100.7", &flush},
    };
    return commands;
}

} // namespace wlb::cli
