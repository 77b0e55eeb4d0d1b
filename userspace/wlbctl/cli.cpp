// SPDX-License-Identifier: GPL-2.0-only
// From arguments to the command that they name.
#include <boost/program_options.hpp>

#include <algorithm>

#include "wlb/netns.h"
#include "wlbctl/command.h"
#include "wlbctl/complete.h"

namespace wlb::cli {

namespace {

std::vector<Command> all_commands()
{
    std::vector<Command> commands;
    for (const auto *group :
         {&service_commands(), &origin_commands(), &replica_commands(), &registrant_commands(),
          &gateway_commands(), &flow_commands(), &race_commands(), &stats_commands(),
          &status_commands(), &top_commands(), &metrics_commands(), &doctor_commands(),
          &explain_commands(), &trace_commands(), &wccp_commands(), &cache_commands(),
          &process_commands(), &bypass_commands(), &file_commands()})
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
           "  -n, --netns NETNS  work in this network namespace\n"
           "      --complete     what the last of the words behind it may become, for shells\n\n"
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

// "-n NETNS", "-jn NETNS", "--netns NETNS".
bool takes_next(const std::string &word)
{
    return word == "--netns" || word == "-n" || word == "-jn";
}

// Global options stand before the object; the rest is the command's.
Args::const_iterator end_of_globals(const Args &args)
{
    auto word = args.begin();
    while (word != args.end() && word->size() > 1 && word->front() == '-') {
        const bool pair = takes_next(*word);
        ++word;
        if (pair && word != args.end())
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

boost::program_options::variables_map parse_globals(Context &context, const Args &words)
{
    namespace po = boost::program_options;
    po::options_description globals;
    globals.add_options()("json,j", "")("netns,n", po::value<std::string>(),
                                        "")("help,h", "")("version,V", "");
    po::variables_map values;
    po::store(po::command_line_parser(words).options(globals).run(), values);
    context.json = values.count("json") != 0;
    if (values.count("netns") != 0)
        context.netns = values["netns"].as<std::string>();
    return values;
}

// Silent about what is wrong in the words before: nobody has asked for that yet.
int complete(Context &context, const Args &args)
{
    context.completing = true;
    const auto &last = args.back();
    const Args before(args.begin(), args.end() - 1);
    const auto object = end_of_globals(before);
    if (object == before.end()) {
        if (!before.empty() && takes_next(before.back())) {
            offer(context, values_of("NETNS"), last);
            return done;
        }
        Args objects;
        for (const auto &command : all_commands())
            objects.emplace_back(command.object);
        std::sort(objects.begin(), objects.end());
        objects.erase(std::unique(objects.begin(), objects.end()), objects.end());
        offer(context, objects, last);
        if (last.starts_with("-"))
            offer(context, {"--json", "--netns", "--help", "--version"}, last);
        return done;
    }
    try {
        parse_globals(context, Args(before.begin(), object));
    } catch (const boost::program_options::error &) {
        return done;
    }
    const bool verb_open = object + 1 == before.end();
    for (const auto &command : all_commands()) {
        if (command.object != *object)
            continue;
        const bool alone = *command.verb == '\0';
        if (!alone && verb_open)
            offer(context, {command.verb}, last);
        else if (alone || object[1] == command.verb)
            return command.run(
                context, command,
                Args(args.begin() + (object - before.begin()) + (alone ? 1 : 2), args.end()));
    }
    return done;
}

} // namespace

Result<std::unique_ptr<Kernel>> Context::connect_inside() const
{
    if (!netns.empty())
        if (const auto entered = enter_namespace(netns); !entered)
            return entered.error();
    return connect_to("");
}

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
    if (args.size() > 1 && args.front() == "--complete")
        return complete(context, Args(args.begin() + 1, args.end()));
    const auto object = end_of_globals(args);
    boost::program_options::variables_map values;
    try {
        values = parse_globals(context, Args(args.begin(), object));
    } catch (const boost::program_options::error &error) {
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
