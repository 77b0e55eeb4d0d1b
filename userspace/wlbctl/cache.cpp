// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/cache_setup.h"

#include <algorithm>
#include <array>

#include "wlb/control_name.h"
#include "wlb/netns.h"
#include "wlbctl/cache_doctor.h"
#include "wlbctl/cache_text.h"
#include "wlbctl/daemon_command.h"
#include "wlbctl/disk.h"
#include "wlbctl/options.h"

namespace wlb::cli {

namespace {

struct Part {
    const char *name;
    void (*write)(std::ostream &out, const Json &group);
};

constexpr std::array<Part, 3> parts{{
    {"summary", &write_cache_summary},
    {"detail", &write_cache_detail},
    {"counters", &write_cache_counters},
}};

int show(Context &context, const Command &command, const Args &args)
{
    Args names;
    for (const auto &known : parts)
        names.emplace_back(known.name);
    Options options(context, command);
    options.word("GROUP", false).word("PART", false, names);
    if (!options.parse(args))
        return options.status();
    std::vector<std::string> words;
    for (const auto *word : {"GROUP", "PART"})
        if (options.has(word))
            words.push_back(options.text(word));
    const auto *part = parts.begin();
    if (!words.empty()) {
        const auto *named = std::find_if(parts.begin(), parts.end(), [&](const Part &known) {
            return words.back() == known.name;
        });
        if (named != parts.end()) {
            part = named;
            words.pop_back();
        }
    }
    Json request{{"command", "show"}};
    if (!words.empty()) {
        const auto service = ServiceId::parse(words.front());
        if (!service || words.size() > 1) {
            options.complain("\"" + words.back() +
                             "\" must be \"web-cache\", the number of a dynamic service, "
                             "0..255, or one of summary, detail, counters");
            options.good();
            return options.status();
        }
        request["group"] = service->text();
    }
    return ask(context, command, request, [&](const Json &answer) {
        for (const auto &group : answer.at("groups"))
            part->write(context.out, group);
        if (part == parts.begin())
            write_cache_host(context.out, answer.at("host"));
    });
}

int tell_group(Context &context, const Command &command, const Args &args)
{
    return tell_one(context, command, args, "GROUP", "group");
}

int monitor(Context &context, const Command &command, const Args &args)
{
    return monitor(context, command, args, &write_cache_event);
}

// [cache] of a file, or the exit status to leave with.
std::optional<CacheHost> host_of(Context &context, const Options &options, int &status)
{
    status = refused;
    auto config = load_config(context, options.has("FILE") ? options.text("FILE") : config_path);
    if (!config)
        return std::nullopt;
    if (config->cache_host.groups.empty()) {
        status = refuse(context, Error{"there is no [[cache.group]] in the configuration"});
        return std::nullopt;
    }
    if (!context.netns.empty())
        if (const auto entered = enter_namespace(context.netns); !entered) {
            status = refuse(context, entered.error());
            return std::nullopt;
        }
    return std::move(config->cache_host);
}

int run_steps(Context &context, const std::vector<Step> &steps, bool only_show)
{
    for (const auto &step : steps) {
        if (only_show) {
            context.out << shell_text(step.command) << "\n";
            continue;
        }
        const auto result = context.run_program(step.command);
        if (result ||
            (!step.unless.empty() && result.error().message.find(step.unless) != std::string::npos))
            continue;
        return refuse(context, Error{shell_text(step.command) + "\n" + result.error().message});
    }
    return done;
}

int setup(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.word("FILE", false)
        .flag("dry-run", "only show the commands")
        .flag("remove", "take away what setup has made, but loose reverse path filters");
    if (!options.parse(args))
        return options.status();
    int status = done;
    const auto host = host_of(context, options, status);
    if (!host)
        return status;
    if (options.has("remove"))
        return run_steps(context, removal_steps(*host), options.has("dry-run"));
    const Patient patient{context.run_program, &read_file};
    const auto steps = setup_steps(*host, strict_interfaces(*host, patient));
    if (!steps)
        return refuse(context, steps.error());
    return run_steps(context, *steps, options.has("dry-run"));
}

int doctor(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.word("FILE", false);
    if (!options.parse(args))
        return options.status();
    int status = done;
    const auto host = host_of(context, options, status);
    if (!host)
        return status;
    const Patient patient{context.run_program, &read_file,
                          context.ask(cached_name, "", {{"command", "show"}})};
    return show_findings(context, examine(*host, patient));
}

} // namespace

const std::vector<Command> &cache_commands()
{
    static const std::vector<Command> commands{
        {"cache", "show", "[GROUP] [PART]",
         "Show what this cache is in service groups: summary, detail or counters.",
         "cache show web-cache detail", &show},
        {"cache", "clear", "[GROUP]", "Set the counters of messages to zero.",
         "cache clear web-cache", &tell_group},
        {"cache", "drain", "[GROUP]", "Leave the group, but serve what still comes.",
         "cache drain web-cache", &tell_group},
        {"cache", "resume", "[GROUP]", "Join a drained group again.", "cache resume web-cache",
         &tell_group},
        {"cache", "reload", "", "Have wlb-cached read its configuration anew.", "cache reload",
         &tell},
        {"cache", "monitor", "", "Show what happens to this cache as it happens.",
         "-j cache monitor", &monitor},
        {"cache", "setup", "[FILE] [--dry-run] [--remove]",
         "Make the rules and routes that hand packets to the proxy.", "cache setup --dry-run",
         &setup},
        {"cache", "doctor", "[FILE]", "Find out why the proxy gets nothing.", "cache doctor",
         &doctor},
    };
    return commands;
}

} // namespace wlb::cli
