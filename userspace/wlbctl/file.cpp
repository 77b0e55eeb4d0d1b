// SPDX-License-Identifier: GPL-2.0-only
// check, apply, save, config defaults: the configuration as a file.
#include <linux/wlb.h>

#include <vector>

#include "wlb/diff.h"
#include "wlb/toml_writer.h"
#include "wlbctl/disk.h"
#include "wlbctl/objects.h"

namespace wlb::cli {

namespace {

std::string file_of(const Options &options)
{
    return options.has("FILE") ? options.text("FILE") : config_path;
}

int check(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.word("FILE", false);
    if (!options.parse(args))
        return options.status();
    if (!load_config(context, file_of(options)))
        return refused;
    if (context.json)
        context.write({{"errors", Json::array()}});
    return done;
}

int apply(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.word("FILE", false).flag("dry-run", "show the difference, change nothing");
    if (!options.parse(args))
        return options.status();
    const auto wanted = load_config(context, file_of(options));
    if (!wanted)
        return refused;

    std::vector<std::string> lines;
    const bool dry = options.has("dry-run");
    const int status = change_config(context, WLB_ROLE_ALL, [&](Config &config) -> Result<bool> {
        lines = diff(config, *wanted);
        config = *wanted;
        return !lines.empty() && !dry;
    });
    // Shown once it is true: a refused file changes nothing.
    if (status != done)
        return status;
    if (context.json) {
        context.write({{"changes", lines}});
        return done;
    }
    for (const auto &line : lines)
        context.out << line << "\n";
    if (lines.empty())
        context.out << "no change\n";
    return done;
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
    const auto running = (*kernel)->read_config();
    if (!running)
        return refuse(context, running.error());
    return write_out(context, options, to_toml(running->config), 0644);
}

int defaults(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    if (!options.parse(args))
        return options.status();
    context.out << defaults_toml();
    return done;
}

} // namespace

const std::vector<Command> &file_commands()
{
    static const std::vector<Command> commands{
        {"check", "", "[FILE]", "Show every error of a configuration file with line and column.",
         "check /etc/wlb/wlb.toml", &check},
        {"apply", "", "[FILE] [--dry-run]",
         "Make a file the whole configuration, and show what changes.",
         "apply --dry-run /etc/wlb/wlb.toml", &apply},
        {"save", "", "[FILE]", "Write the configuration that runs, as a file that apply reads.",
         "save /etc/wlb/wlb.toml", &save},
        {"config", "defaults", "", "Show every key of the file with its default.",
         "config defaults", &defaults},
    };
    return commands;
}

} // namespace wlb::cli
