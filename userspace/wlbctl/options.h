// SPDX-License-Identifier: GPL-2.0-only
// The command line of one command.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wlbctl/command.h"

namespace wlb::cli {

// Options and words of a command, and what became of them. Boost stays behind
// Parser: its headers take long to compile, and every command includes this.
class Options {
public:
    Options(Context &context, const Command &command);
    Options(const Options &) = delete;
    Options &operator=(const Options &) = delete;
    ~Options();

    Options &flag(const char *name, const char *text);
    Options &option(const char *name, const char *value, const char *text);
    Options &repeated(const char *name, const char *value, const char *text);
    // `choices`: what it may be, besides names that run; "on|off" has its own.
    Options &word(const char *name, bool required, const Args &choices = {});

    // False: nothing is left to do but to leave with status().
    bool parse(const Args &args);
    [[nodiscard]] int status() const { return status_; }

    [[nodiscard]] bool has(const char *name) const;
    [[nodiscard]] std::string text(const char *name) const;
    [[nodiscard]] std::vector<std::string> texts(const char *name) const;

    // Readers of values: each leaves `target` alone if the option was not given,
    // and remembers the first that could not be read. See good().
    void require(const char *name);
    template <class T> void read(const char *name, Result<T> (*parse)(std::string_view), T &target);
    template <class T>
    void read(const char *name, Result<T> (*parse)(std::string_view), std::optional<T> &target);
    template <class T>
    void read_list(const char *name, Result<T> (*parse)(std::string_view), std::vector<T> &target);
    void complain(const std::string &message);
    bool good();

private:
    struct Word {
        std::string name;
        bool required;
        Args choices;
    };
    void help() const;
    void complete(const Args &args);
    void complete_word(std::size_t position, const std::string &last);

    Context &context_;
    const Command &command_;
    struct Parser;
    std::unique_ptr<Parser> parser_;
    std::vector<Word> words_;
    std::string complaint_;
    int status_ = done;
};

template <class T>
void Options::read(const char *name, Result<T> (*parse)(std::string_view), T &target)
{
    std::optional<T> value;
    read(name, parse, value);
    if (value)
        target = *value;
}

template <class T>
void Options::read(const char *name, Result<T> (*parse)(std::string_view), std::optional<T> &target)
{
    if (!has(name))
        return;
    if (const auto result = parse(text(name)))
        target = *result;
    else
        complain(std::string("--") + name + ": " + result.error().message);
}

template <class T>
void Options::read_list(const char *name, Result<T> (*parse)(std::string_view),
                        std::vector<T> &target)
{
    if (!has(name))
        return;
    for (const auto &item : split(text(name))) {
        if (const auto result = parse(item))
            target.push_back(*result);
        else
            complain(std::string("--") + name + ": " + result.error().message);
    }
}

} // namespace wlb::cli
