// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/flow_file.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <vector>

#include "wlbctl/disk.h"
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

// A table that is flushed meanwhile is read anew: half a file is none.
Result<std::string> read_table(Kernel &kernel)
{
    constexpr int attempts = 5;
    for (int i = 0; i < attempts; ++i) {
        FlowFile file;
        const auto dump = kernel.read_flows([&](const Flow &flow) { file.add(flow); });
        if (!dump)
            return dump.error();
        if (*dump == Dump::consistent)
            return std::move(file).text();
    }
    return Error{"the table changed each time it was read; try again", EAGAIN};
}

int save(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.word("FILE", false);
    if (!options.parse(args))
        return options.status();
    auto kernel = context.connect();
    if (!kernel)
        return refuse(context, kernel.error());
    const auto text = read_table(**kernel);
    if (!text)
        return refuse(context, text.error());
    return write_out(context, options, *text, 0600); // it names clients
}

// Why flows were refused, each reason once.
struct Refusal {
    std::string message;
    std::string first; // flow
    std::size_t count = 0;
};

struct Restored {
    std::size_t count = 0;
    std::size_t refused = 0;
    std::vector<Refusal> reasons;
};

Result<Restored> restore_all(Kernel &kernel, const std::vector<Flow> &flows)
{
    Restored restored;
    auto &reasons = restored.reasons;
    for (const auto &flow : flows) {
        const auto status = kernel.restore_flow(flow);
        if (status) {
            ++restored.count;
            continue;
        }
        if (status.error().code == EPERM) // of all
            return status.error();
        ++restored.refused;
        const auto &message = status.error().message;
        auto reason = std::find_if(reasons.begin(), reasons.end(),
                                   [&](const auto &r) { return r.message == message; });
        if (reason == reasons.end())
            reason = reasons.insert(reason, {message, to_text(flow.tuple), 0});
        ++reason->count;
    }
    return restored;
}

void show(const Context &context, const Restored &restored)
{
    if (context.json) {
        auto reasons = Json::array();
        for (const auto &reason : restored.reasons)
            reasons.push_back(
                {{"count", reason.count}, {"first", reason.first}, {"message", reason.message}});
        context.write(
            {{"restored", restored.count}, {"refused", restored.refused}, {"reasons", reasons}});
        return;
    }
    context.out << "restored " << restored.count << ", refused " << restored.refused << "\n";
    for (const auto &reason : restored.reasons)
        context.err << "wlbctl: " << reason.count << " refused, first " << reason.first << ": "
                    << reason.message << "\n";
}

int restore(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.word("FILE", false);
    if (!options.parse(args))
        return options.status();
    const auto name = options.has("FILE") ? options.text("FILE") : "standard input";
    const auto text = options.has("FILE")
                          ? read_file(name)
                          : std::string(std::istreambuf_iterator<char>(context.in), {});
    if (!text)
        return refuse(context, text.error());
    const auto flows = parse_flows(*text);
    if (!flows)
        return refuse(context, Error{name + ": " + flows.error().message});
    auto kernel = context.connect();
    if (!kernel)
        return refuse(context, kernel.error());
    const auto restored = restore_all(**kernel, *flows);
    if (!restored)
        return refuse(context, restored.error());
    show(context, *restored);
    return restored->refused == 0 ? done : refused;
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
        {"flow", "save", "[FILE]",
         "Write the flows that are won or closing, and the tombstones, as restore reads them.",
         "flow save /run/wlb.flows", &save},
        {"flow", "restore", "[FILE]",
         "Put back the flows of a file, after the module was reloaded.",
         "flow restore /run/wlb.flows", &restore},
    };
    return commands;
}

} // namespace wlb::cli
