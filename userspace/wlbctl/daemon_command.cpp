// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/daemon_command.h"

#include <string_view>

#include "wlb/control_name.h"
#include "wlb/daemon_client.h"
#include "wlbctl/options.h"

namespace wlb::cli {

namespace {

const char *daemon_of(const Command &command)
{
    const std::string_view object = command.object;
    if (object == "wccp")
        return routerd_name;
    if (object == "cache")
        return cached_name;
    if (object == "process")
        return processd_name;
    return object == "gateway" ? gatewayd_name : replicad_name;
}

} // namespace

int ask(Context &context, const Command &command, const Json &request,
        const std::function<void(const Json &answer)> &write)
{
    const auto answer = context.ask(daemon_of(command), context.netns, request);
    if (!answer)
        return refuse(context, answer.error());
    if (context.json)
        context.write(*answer);
    else
        write(*answer);
    return done;
}

int tell(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    if (!options.parse(args))
        return options.status();
    return ask(context, command, {{"command", command.verb}}, [](const Json &) {});
}

int tell_one(Context &context, const Command &command, const Args &args, const char *word,
             const char *key, const std::function<void(const Json &answer)> &write)
{
    Options options(context, command);
    options.word(word, false);
    if (!options.parse(args))
        return options.status();
    Json request{{"command", command.verb}};
    if (options.has(word))
        request[key] = options.text(word);
    return ask(context, command, request, write);
}

int monitor(Context &context, const Command &command, const Args &args,
            const std::function<void(std::ostream &out, const Json &event)> &write)
{
    Options options(context, command);
    if (!options.parse(args))
        return options.status();
    const auto status = watch_daemon(daemon_of(command), context.netns, [&](const Json &event) {
        if (context.json)
            context.write(event);
        else
            write(context.out, event);
        return static_cast<bool>(context.out.flush());
    });
    return status ? done : refuse(context, status.error());
}

} // namespace wlb::cli
