// SPDX-License-Identifier: GPL-2.0-only
// What wlb-replicad knows of the replicas of this host.
#include "wlb/control_name.h"
#include "wlb/daemon_client.h"
#include "wlbctl/json_text.h"
#include "wlbctl/options.h"

namespace wlb::cli {

namespace {

void write_replica(std::ostream &out, const Json &replica)
{
    out << text(replica.at("replica")) << ": " << text(replica.at("state")) << ", "
        << (replica.at("connections").is_null() ? "unknown" : text(replica.at("connections")))
        << " connections\n";
    const auto &probe = replica.at("probe");
    line(out, 4, "Server",
         text(probe.at("state")) +
             (probe.value("why", "").empty() ? "" : ": " + probe.value("why", "")));
    for (const auto &[name, criterion] : replica.at("busy").items())
        line(out, 4, name,
             (criterion.at("value").is_null() ? "unknown"
                                              : fixed(criterion.at("value").get<double>(), 2)) +
                 " of " + fixed(criterion.at("limit").get<double>(), 2) +
                 (criterion.at("busy").get<bool>() ? ", busy" : ""));
    for (const auto &gateway : replica.at("gateways"))
        line(out, 4, "Gateway " + text(gateway.at("address")),
             gateway.at("silent").is_null()
                 ? "has not asked"
                 : "asked " + fixed(gateway.at("silent").get<double>(), 1) + " s ago");
}

int ask(Context &context, const Json &request, const std::function<void(const Json &)> &write)
{
    const auto answer = context.ask(replicad_name, context.netns, request);
    if (!answer)
        return refuse(context, answer.error());
    if (context.json)
        context.write(*answer);
    else
        write(*answer);
    return done;
}

// Commands of a replica or all.
int tell(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.word("NAME", false);
    if (!options.parse(args))
        return options.status();
    Json request{{"command", command.verb}};
    if (options.has("NAME"))
        request["replica"] = options.text("NAME");
    return ask(context, request, [&](const Json &answer) {
        if (answer.contains("replicas"))
            for (const auto &replica : answer.at("replicas"))
                write_replica(context.out, replica);
    });
}

int reload(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    if (!options.parse(args))
        return options.status();
    return ask(context, {{"command", "reload"}}, [](const Json &) {});
}

int monitor(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    if (!options.parse(args))
        return options.status();
    const auto status = watch_daemon(replicad_name, context.netns, [&](const Json &event) {
        const auto reason = event.value("reason", "");
        if (context.json)
            context.write(event);
        else
            context.out << text(event.at("replica")) << " " << text(event.at("event"))
                        << (reason.empty() ? "" : ": " + reason) << "\n";
        return static_cast<bool>(context.out.flush());
    });
    return status ? done : refuse(context, status.error());
}

} // namespace

const std::vector<Command> &registrant_commands()
{
    static const std::vector<Command> commands{
        {"replica", "show", "[NAME]",
         "Show whether replicas of this host take races, why not, and who asks.",
         "replica show www", &tell},
        {"replica", "drain", "[NAME]", "Take no more races, but serve what there is.",
         "replica drain www", &tell},
        {"replica", "resume", "[NAME]", "Take races again after drain.", "replica resume www",
         &tell},
        {"replica", "reload", "", "Have wlb-replicad read its configuration anew.",
         "replica reload", &reload},
        {"replica", "monitor", "", "Show what replicas of this host are as it changes.",
         "-j replica monitor", &monitor},
    };
    return commands;
}

} // namespace wlb::cli
