// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/daemon_command.h"
#include "wlbctl/json_text.h"
#include "wlbctl/options.h"

namespace wlb::cli {

namespace {

void write_copy(std::ostream &out, const Json &copy)
{
    out << "copy " << text(copy.at("name")) << ": "
        << text(copy.contains("file") ? copy.at("file") : copy.at("interface")) << ", "
        << number(copy, "packets") << " packets, " << number(copy, "octets") << " octets; "
        << number(copy, "missed") << " missed, " << number(copy, "failed") << " failed";
    if (copy.contains("cut"))
        out << ", " << number(copy, "cut") << " cut";
    const auto error = copy.value("error", "");
    out << (error.empty() ? "" : ": " + error) << "\n";
}

int show(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    if (!options.parse(args))
        return options.status();
    return ask(context, command, {{"command", "show"}}, [&](const Json &answer) {
        for (const auto &rule : answer.at("rules"))
            context.out << rule_text(rule) << "; "
                        << (rule.contains("packets") ? number(rule, "packets") : "?")
                        << " packets\n";
        for (const auto &copy : answer.at("copies"))
            write_copy(context.out, copy);
    });
}

} // namespace

const std::vector<Command> &process_commands()
{
    static const std::vector<Command> commands{
        {"process", "show", "", "Show what is done to returned and passing packets.",
         "process show", &show},
        {"process", "reload", "", "Have wlb-processd read its configuration anew.",
         "process reload", &tell},
    };
    return commands;
}

} // namespace wlb::cli
