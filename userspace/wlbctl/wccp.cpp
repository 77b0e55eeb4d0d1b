// SPDX-License-Identifier: GPL-2.0-only
#include <algorithm>
#include <array>

#include "wlb/cache_router.h"
#include "wlbctl/daemon_command.h"
#include "wlbctl/flow_end.h"
#include "wlbctl/options.h"
#include "wlbctl/wccp_text.h"

namespace wlb::cli {

namespace {

struct Part {
    const char *name;
    void (*write)(std::ostream &out, const Json &group);
};

constexpr std::array<Part, 8> parts{{
    {"summary", &write_summary},
    {"detail", &write_detail},
    {"view", &write_view},
    {"service", &write_service},
    {"counters", &write_counters},
    {"interfaces", &write_interfaces},
    {"clients", &write_clients},
    {"assignment", &write_assignment},
}};

const Part *part_of(const std::string &word)
{
    const auto *found = std::find_if(parts.begin(), parts.end(),
                                     [&](const Part &part) { return word == part.name; });
    return found == parts.end() ? nullptr : found;
}

Status read_endpoint(const std::string &text, const std::string &name, Json &request)
{
    const auto end = parse_flow_end(text);
    if (!end)
        return Error{name + ": " + end.error().message};
    request[name] = end->address.text();
    if (end->port)
        request[name + "-port"] = *end->port;
    return Done{};
}

int show(Context &context, const Command &command, const Args &args)
{
    std::vector<std::string> names;
    names.reserve(parts.size());
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
    const auto *part = &parts.front();
    if (!words.empty())
        if (const auto *named = part_of(words.back())) {
            part = named;
            words.pop_back();
        }
    if (words.size() > 1) {
        options.complain("\"" + words.back() + "\" must be one of " + join(names, ", "));
        options.good();
        return options.status();
    }
    const bool table = std::string(part->name) == "assignment";
    Json request{{"command", table ? "assignment" : "show"}};
    if (!words.empty()) {
        const auto service = ServiceId::parse(words.front());
        if (!service) {
            options.complain(service.error().message + ", or one of " + join(names, ", "));
            options.good();
            return options.status();
        }
        request["group"] = service->text();
    }
    return ask(context, command, request, [&](const Json &answer) {
        for (const auto &group : answer.at("groups"))
            part->write(context.out, group);
    });
}

int hash(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.word("GROUP", true)
        .word("SOURCE", true)
        .word("DESTINATION", true)
        .option("protocol", "NUMBER", "IP protocol, 6 (TCP) if not given");
    if (!options.parse(args))
        return options.status();
    Json request{{"command", "hash"}, {"group", options.text("GROUP")}};
    for (const auto &[word, name] : {std::pair{"SOURCE", "source"}, {"DESTINATION", "destination"}})
        if (const auto status = read_endpoint(options.text(word), name, request); !status)
            options.complain(status.error().message);
    std::optional<std::uint8_t> protocol;
    options.read("protocol", &parse_protocol, protocol);
    if (!options.good())
        return options.status();
    if (protocol)
        request["protocol"] = *protocol;
    return ask(context, command, request, [&](const Json &answer) {
        for (const auto &group : answer.at("groups"))
            write_hash(context.out, group);
    });
}

int clear(Context &context, const Command &command, const Args &args)
{
    return tell_one(context, command, args, "GROUP", "group");
}

int monitor(Context &context, const Command &command, const Args &args)
{
    return monitor(context, command, args, &write_event);
}

} // namespace

const std::vector<Command> &wccp_commands()
{
    static const std::vector<Command> commands{
        {"wccp", "show", "[GROUP] [PART]",
         "Show service groups: summary, detail, view, service, counters, interfaces, clients or "
         "assignment.",
         "wccp show web-cache detail", &show},
        {"wccp", "hash", "GROUP SOURCE DESTINATION [--protocol NUMBER]",
         "Show which bucket and cache a flow maps to, and why.",
         "wccp hash web-cache 10.1.1.2:40000 203.0.113.10:80", &hash},
        {"wccp", "clear", "[GROUP]", "Set the counters of messages to zero.",
         "wccp clear web-cache", &clear},
        {"wccp", "reload", "", "Have wlb-routerd read its configuration anew.", "wccp reload",
         &tell},
        {"wccp", "monitor", "", "Show what happens to service groups as it happens.",
         "-j wccp monitor", &monitor},
    };
    return commands;
}

} // namespace wlb::cli
