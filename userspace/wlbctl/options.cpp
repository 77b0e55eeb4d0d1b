// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/options.h"

#include <boost/program_options.hpp>

#include <sstream>

#include "wlbctl/complete.h"

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

Options &Options::word(const char *name, bool required, const Args &choices)
{
    parser_->hidden.add_options()(name, po::value<std::string>());
    parser_->order.add(name, 1);
    words_.push_back({name, required, choices});
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

void Options::complete(const Args &args)
{
    const auto &last = args.back();
    const po::option_description *open = nullptr; // whose value comes next
    std::size_t position = 0;
    for (auto word = args.begin(); word != args.end() - 1; ++word) {
        if (open != nullptr) {
            if (open->long_name() == "netns")
                context_.netns = *word;
            open = nullptr;
        } else if (word->size() < 2 || word->front() != '-') {
            ++position;
        } else {
            const auto name = word->substr(word->find_first_not_of('-') == 2 ? 2 : 0);
            open = parser_->visible.find_nothrow(name, false);
            if (open != nullptr && open->semantic()->max_tokens() == 0)
                open = nullptr;
        }
    }
    const auto equals = last.find('=');
    const bool joined = last.starts_with("--") && equals != std::string::npos;
    if (joined && open == nullptr)
        open = parser_->visible.find_nothrow(last.substr(2, equals - 2), false);
    if (open != nullptr) {
        offer(context_, values_of(open->semantic()->name()),
              joined ? last.substr(equals + 1) : last, joined ? last.substr(0, equals + 1) : "");
        return;
    }
    if (position < words_.size() && !last.starts_with("-"))
        return complete_word(position, last);
    Args names;
    for (const auto &option : parser_->visible.options())
        names.push_back("--" + option->long_name());
    offer(context_, names, last);
}

// One that may be left out may be left out: the next one can stand there as well.
void Options::complete_word(std::size_t position, const std::string &last)
{
    for (; position < words_.size(); ++position) {
        const auto &word = words_[position];
        offer(context_, word.choices, last);
        offer(context_, values_of(word.name), last);
        offer(context_, live_names(context_, command_, word.name), last);
        if (word.required)
            return;
    }
}

bool Options::parse(const Args &args)
{
    if (context_.completing) {
        complete(args);
        return false;
    }
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
    for (const auto &word : words_)
        if (word.required && !has(word.name.c_str())) {
            status_ = misuse(context_, command_.object, word.name + " is missing");
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
