// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/options.h"

#include <boost/program_options.hpp>

#include <sstream>

namespace wlb::cli {

namespace po = boost::program_options;

struct Options::Parser {
    po::options_description visible{"options"};
    po::options_description hidden;
    po::positional_options_description order;
    po::variables_map values;
};

Options::~Options() = default;

Options::Options(Context &context, const Command &command)
    : context_(context), command_(command), parser_(std::make_unique<Parser>())
{
    // The global ones may stand behind the command as well.
    parser_->visible.add_options()("json,j", "write JSON");
    parser_->visible.add_options()("netns,n", po::value<std::string>()->value_name("NETNS"),
                                   "work in this network namespace");
    parser_->visible.add_options()("help,h", "show this");
}

Options &Options::flag(const char *name, const char *text)
{
    parser_->visible.add_options()(name, text);
    return *this;
}

Options &Options::option(const char *name, const char *value, const char *text)
{
    parser_->visible.add_options()(name, po::value<std::string>()->value_name(value), text);
    return *this;
}

Options &Options::repeated(const char *name, const char *value, const char *text)
{
    parser_->visible.add_options()(name, po::value<std::vector<std::string>>()->value_name(value),
                                   text);
    return *this;
}

Options &Options::word(const char *name, bool required)
{
    parser_->hidden.add_options()(name, po::value<std::string>());
    parser_->order.add(name, 1);
    if (required)
        required_words_.emplace_back(name);
    return *this;
}

void Options::help() const
{
    std::ostringstream options;
    options << parser_->visible;
    std::string name = command_.object;
    if (*command_.verb != '\0')
        name += std::string(" ") + command_.verb;
    context_.out << "usage: wlbctl [-j] [-n NETNS] " << name
                 << (*command_.arguments != '\0' ? " " : "") << command_.arguments << "\n\n"
                 << command_.summary << "\n\n"
                 << options.str() << "\nexample:\n  wlbctl " << command_.example << "\n";
}

bool Options::parse(const Args &args)
{
    po::options_description all;
    all.add(parser_->visible).add(parser_->hidden);
    // No guessing: an abbreviation that works today may be ambiguous tomorrow.
    const int style =
        po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
    try {
        po::store(po::command_line_parser(args)
                      .options(all)
                      .positional(parser_->order)
                      .style(style)
                      .run(),
                  parser_->values);
        po::notify(parser_->values);
    } catch (const po::too_many_positional_options_error &) {
        status_ = misuse(context_, command_.object, "too many arguments");
        return false;
    } catch (const po::error &error) {
        status_ = misuse(context_, command_.object, error.what());
        return false;
    }
    if (has("help")) {
        help();
        return false;
    }
    for (const auto &word : required_words_)
        if (!has(word.c_str())) {
            status_ = misuse(context_, command_.object, word + " is missing");
            return false;
        }
    context_.json = context_.json || has("json");
    if (has("netns"))
        context_.netns = text("netns");
    return true;
}

bool Options::has(const char *name) const
{
    return parser_->values.count(name) != 0;
}

std::string Options::text(const char *name) const
{
    return parser_->values[name].as<std::string>();
}

std::vector<std::string> Options::texts(const char *name) const
{
    return has(name) ? parser_->values[name].as<std::vector<std::string>>()
                     : std::vector<std::string>{};
}

void Options::require(const char *name)
{
    if (!has(name))
        complain(std::string("--") + name + " is missing");
}

void Options::complain(const std::string &message)
{
    if (complaint_.empty())
        complaint_ = message;
}

bool Options::good()
{
    if (!complaint_.empty())
        status_ = misuse(context_, command_.object, complaint_);
    return complaint_.empty();
}

} // namespace wlb::cli
