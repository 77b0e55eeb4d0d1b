// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/complete.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <string_view>

#include "wlb/control_name.h"

namespace wlb::cli {

namespace {

Args namespaces()
{
    Args names;
    std::error_code error;
    for (const auto &entry : std::filesystem::directory_iterator("/run/netns", error))
        names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
}

template <class T> Args names_of(const std::vector<T> &objects)
{
    Args names;
    for (const auto &object : objects)
        names.push_back(object.name);
    return names;
}

Args groups(const Context &context, const char *daemon)
{
    const auto answer = context.ask(daemon, context.netns, {{"command", "show"}});
    if (!answer)
        return {};
    std::set<std::string> names; // one of IPv4 and one of IPv6 have the same
    for (const auto &group : answer->at("groups"))
        names.insert(group.at("group"));
    return {names.begin(), names.end()};
}

} // namespace

void offer(const Context &context, const Args &candidates, const std::string &begun,
           const std::string &before)
{
    for (const auto &candidate : candidates)
        // A shell would take others, which only the kernel permits, for commands.
        if (candidate == shell_files ||
            (candidate.starts_with(begun) && shell_text({candidate}) == candidate))
            context.out << before << candidate << "\n";
}

Args values_of(const std::string &name)
{
    if (name == "NETNS")
        return namespaces();
    Args values;
    if (name.find('|') != std::string::npos)
        for (const auto &part : split(name, '|'))
            if (part.find_first_not_of("abcdefghijklmnopqrstuvwxyz-_") == std::string::npos)
                values.push_back(part);
    return values;
}

Args live_names(const Context &context, const Command &command, const std::string &word)
{
    const std::string_view object = command.object;
    if (word == "FILE")
        return {shell_files};
    if (word == "GROUP")
        return groups(context, object == "cache" ? cached_name : routerd_name);
    // What is added has no name yet.
    const bool named = word == "NAME" || word == "ORIGIN";
    if (std::string_view(command.verb) == "add" || (!named && object != "bypass"))
        return {};
    const auto kernel = context.connect();
    if (!kernel)
        return {};
    if (object == "bypass") {
        Args destinations;
        if (const auto bypasses = (*kernel)->read_bypasses())
            for (const auto &bypass : *bypasses)
                destinations.push_back(bypass.destination.text());
        return destinations;
    }
    const auto running = (*kernel)->read_config();
    if (!running)
        return {};
    if (object == "service")
        return names_of(running->config.client_gateway.services);
    return object == "replica" ? names_of(running->config.served)
                               : names_of(running->config.origins);
}

} // namespace wlb::cli
