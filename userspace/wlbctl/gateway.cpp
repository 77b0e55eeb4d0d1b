// SPDX-License-Identifier: GPL-2.0-only
// The server gateway's registry of replicas.
#include "wlbctl/daemon_command.h"
#include "wlbctl/json_text.h"
#include "wlbctl/options.h"

namespace wlb::cli {

namespace {

std::string in_ms(const Json &value)
{
    return value.is_null() ? "none" : fixed(value.get<double>(), 3) + " ms";
}

void write_replica(std::ostream &out, const Json &replica)
{
    out << text(replica.at("origin")) << "  " << text(replica.at("address")) << "  "
        << (replica.at("in-force").get<bool>() ? "in force" : "out");
    if (replica.at("registered").get<bool>()) {
        out << ", " << text(replica.at("state")) << ", round trip "
            << in_ms(replica.at("round-trip-ms"));
        if (replica.at("unanswered").get<int>() > 0)
            out << ", " << replica.at("unanswered") << " questions unanswered";
        if (!replica.at("in-force").get<bool>())
            out << ", " << replica.at("answers") << " of " << replica.at("needed") << " answers";
    } else {
        out << ", not registered";
    }
    out << ", delay " << in_ms(replica.at("delay-ms")) << ", via " << text(replica.at("via"));
    if (replica.contains("clones"))
        out << ", clones " << replica.at("clones");
    out << "\n";
}

void write_registry(std::ostream &out, const Json &registry)
{
    const auto &messages = registry.at("messages");
    out << "registry at " << text(registry.at("listen")) << ": asked " << messages.at("ask")
        << ", answered " << messages.at("state") << ", called " << messages.at("hello");
    for (const auto &[reason, count] : messages.at("refused").items())
        if (count.get<std::uint64_t>() != 0)
            out << ", " << reason << " " << count;
    out << "\n";
}

int show(Context &context, const Command &command, const Args &args)
{
    return tell_one(context, command, args, "ORIGIN", "origin", [&](const Json &answer) {
        for (const auto &replica : answer.at("replicas"))
            write_replica(context.out, replica);
        for (const auto &registry : answer.at("registries"))
            write_registry(context.out, registry);
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
    const auto replicas = (*kernel)->read_replicas();
    if (!replicas)
        return refuse(context, replicas.error());
    auto array = Json::array();
    for (const auto &one : *replicas) {
        if (context.json)
            array.push_back({{"origin", one.origin},
                             {"address", one.replica.address.text()},
                             {"via", name_of(one.replica.via)},
                             {"delay-ms", static_cast<double>(one.replica.delay.count()) / 1000},
                             {"clones", one.clones},
                             {"configured", one.configured}});
        else
            context.out << one.origin << " " << one.replica.address.text() << " via "
                        << name_of(one.replica.via) << " delay "
                        << format_duration(one.replica.delay) << " clones " << one.clones
                        << (one.configured ? " configured" : " set") << "\n";
    }
    if (context.json)
        context.write(array);
    return done;
}

int monitor(Context &context, const Command &command, const Args &args)
{
    return monitor(context, command, args, [](std::ostream &out, const Json &event) {
        const auto reason = event.value("reason", "");
        out << text(event.at("origin")) << " " << text(event.at("replica")) << " "
            << text(event.at("event")) << (reason.empty() ? "" : ": " + reason) << "\n";
    });
}

} // namespace

const std::vector<Command> &gateway_commands()
{
    static const std::vector<Command> commands{
        {"gateway", "show", "[ORIGIN]",
         "Show which replicas have registered, how far they are and what they say.",
         "gateway show www", &show},
        {"gateway", "list", "", "List the replicas that the kernel clones to.", "-j gateway list",
         &list},
        {"gateway", "reload", "", "Have wlb-gatewayd read its configuration anew.",
         "gateway reload", &tell},
        {"gateway", "monitor", "", "Show replicas come and go as it happens.", "-j gateway monitor",
         &monitor},
    };
    return commands;
}

} // namespace wlb::cli
