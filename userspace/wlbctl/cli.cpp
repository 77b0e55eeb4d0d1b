// SPDX-License-Identifier: GPL-2.0-only
// From arguments to the command that they name.
#include <boost/program_options.hpp>

#include <algorithm>

#include "wlbctl/command.h"

namespace wlb::cli {

namespace {

std::vector<Command> all_commands()
{
    std::vector<Command> commands;
    for (const auto *group :
         {&service_commands(), &origin_commands(), &replica_commands(), &registrant_commands(),
          &gateway_commands(), &flow_commands(), &race_commands(), &stats_commands(),
          &status_commands(), &metrics_commands(), &doctor_commands(), &explain_commands(),
          &wccp_commands(), &cache_commands(), &process_commands(), &bypass_commands(),
          &file_commands()})
        commands.insert(commands.end(), group->begin(), group->end());
    return commands;
}

std::string title(const Command &command)
{
    std::string text = command.object;
    for (const auto *part : {command.verb, command.arguments})
        if (*part != '\0')
            text += std::string(" ") + part;
    return text;
}

void help(std::ostream &out)
{
    out << "usage: wlbctl [-j] [-n NETNS] OBJECT COMMAND ...\n"
           "       wlbctl OBJECT COMMAND --help | --help | --version\n\n"
           "  -j, --json         write JSON\n"
           "  -n, --netns NETNS  work in this network namespace\n\n"
           "commands:\n";
    for (const auto &command : all_commands()) {
        const auto name = std::string(command.object) + " " + command.verb;
        out << "  " << name << std::string(name.size() < 18 ? 18 - name.size() : 1, ' ')
            << command.summary << "\n";
    }
    out << "\nexit status: 0 done, 1 refused, 2 bad usage\n\n"
           "example:\n  wlbctl -j -n gateway flow list\n";
}

int object_help(const Context &context, const std::string &object)
{
    for (const auto &command : all_commands())
        if (command.object == object)
            context.out << "wlbctl " << title(command) << "\n    " << command.summary
                        << "\n    example: wlbctl " << command.example << "\n";
    return done;
}

bool is_help(const std::string &word)
{
    return word == "--help" || word == "-h";
}

// Global options stand before the object; the rest is the command's.
Args::const_iterator end_of_globals(const Args &args)
{
    auto word = args.begin();
    while (word != args.end() && word->size() > 1 && word->front() == '-') {
        // These take the next word: "-n NETNS", "-jn NETNS", "--netns NETNS".
        const bool takes_next = *word == "--netns" || *word == "-n" || *word == "-jn";
        ++word;
        if (takes_next && word != args.end())
            ++word;
    }
    return word;
}

int run_object(Context &context, const Args &words)
{
    const auto commands = all_commands();
    const auto &object = words.front();
    std::vector<std::string> verbs;
    for (const auto &command : commands) {
        if (command.object != object)
            continue;
        verbs.emplace_back(command.verb);
        if (*command.verb == '\0')
            return command.run(context, command, Args(words.begin() + 1, words.end()));
        if (words.size() > 1 && words[1] == command.verb)
            return command.run(context, command, Args(words.begin() + 2, words.end()));
    }
    if (verbs.empty()) {
        context.err << "wlbctl: \"" << object << "\" is not an object\nsee wlbctl --help\n";
        return misused;
    }
    if (words.size() > 1 && is_help(words[1]))
        return object_help(context, object);
    return misuse(context, object, object + ": the command must be " + join(verbs, ", "));
}

} // namespace

void Context::write(const Json &json_value) const
{
    // Names may be any bytes as far as the kernel goes.
    out << json_value.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
}

int refuse(const Context &context, const Error &error)
{
    for (const auto &line : split(error.message, '\n'))
        context.err << "wlbctl: " << line << "\n";
    return refused;
}

int misuse(const Context &context, const std::string &object, const std::string &message)
{
    context.err << "wlbctl: " << message << "\nsee wlbctl " << object << " --help\n";
    return misused;
}

int run(Context &context, const Args &args)
{
    namespace po = boost::program_options;
    const auto object = end_of_globals(args);
    po::options_description globals;
    globals.add_options()("json,j", "")("netns,n", po::value<std::string>(),
                                        "")("help,h", "")("version,V", "");
    po::variables_map values;
    try {
        po::store(po::command_line_parser(Args(args.begin(), object)).options(globals).run(),
                  values);
    } catch (const po::error &error) {
        context.err << "wlbctl: " << error.what() << "\nsee wlbctl --help\n";
        return misused;
    }
    if (values.count("help") != 0) {
        help(context.out);
        return done;
    }
    if (values.count("version") != 0) {
        context.out << "wlbctl " WLB_VERSION "\n";
        return done;
    }
    context.json = values.count("json") != 0;
    if (values.count("netns") != 0)
        context.netns = values["netns"].as<std::string>();
    if (object == args.end()) {
        context.err << "wlbctl: OBJECT is missing\nsee wlbctl --help\n";
        return misused;
    }
    const int status = run_object(context, Args(object, args.end()));
    if (!context.out.flush()) {
        context.err << "wlbctl: cannot write the output\n";
        return refused;
    }
    return status;
}

} // namespace wlb::cli
