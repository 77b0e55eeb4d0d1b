// SPDX-License-Identifier: GPL-2.0-only
// What wlb-replicad knows of the replicas of this host.
#include "wlbctl/daemon_command.h"
#include "wlbctl/json_text.h"

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

int tell_replica(Context &context, const Command &command, const Args &args)
{
    return tell_one(context, command, args, "NAME", "replica", [&](const Json &answer) {
        for (const auto &replica : answer.value("replicas", Json::array()))
            write_replica(context.out, replica);
    });
}

int monitor(Context &context, const Command &command, const Args &args)
{
    return monitor(context, command, args, [](std::ostream &out, const Json &event) {
        const auto reason = event.value("reason", "");
        out << text(event.at("replica")) << " " << text(event.at("event"))
            << (reason.empty() ? "" : ": " + reason) << "\n";
    });
}

} // namespace

const std::vector<Command> &registrant_commands()
{
    static const std::vector<Command> commands{
        {"replica", "show", "[NAME]",
         "Show whether replicas of this host take races, why not, and who asks.",
         "replica show www", &tell_replica},
        {"replica", "drain", "[NAME]", "Take no more races, but serve what there is.",
         "replica drain www", &tell_replica},
        {"replica", "resume", "[NAME]", "Take races again after drain.", "replica resume www",
         &tell_replica},
        {"replica", "reload", "", "Have wlb-replicad read its configuration anew.",
         "replica reload", &tell},
        {"replica", "monitor", "", "Show what replicas of this host are as it changes.",
         "-j replica monitor", &monitor},
    };
    return commands;
}

} // namespace wlb::cli
