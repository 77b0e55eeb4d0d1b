// SPDX-License-Identifier: GPL-2.0-only
// What a doctor finds, and what it looks at.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "wlbctl/command.h"

namespace wlb::cli {

struct Finding {
    enum Grade { good, warning, fault };
    Grade grade = good;
    std::string what;
    std::string consequence; // empty if good
    std::string mend;        // a command, or what to do
};

// So that doctors can be tested without a host.
struct Patient {
    std::function<Result<std::string>(const Words &words)> run;
    std::function<Result<std::string>(const std::string &path)> read; // of /proc
    Result<Json> daemon = Json();                                     // wlb-cached's "show"
};

// Of what a program has written with its -j; null if it failed or that is no JSON.
Json parse_output(const Result<std::string> &text);

// The first of a list, null if it has none or is none.
Json first_of(const Json &list);

// A member of an object as text, "" if there is none.
std::string word(const Json &object, const char *key);

// A number in a file of /proc, 0 if there is none.
long read_number(const Patient &patient, const std::string &path);

// Does the reverse path filter take nothing at @interface but what would go back by it?
bool filters_strictly(const Patient &patient, const std::string &interface);

// Does the device put TCP segments together (LRO) in a way that cannot be undone to send them on?
bool merges_for_good(const Patient &patient, const std::string &interface);

// The exit status to leave with: a fault is refused.
int show_findings(Context &context, const std::vector<Finding> &findings);

} // namespace wlb::cli
