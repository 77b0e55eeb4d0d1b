// SPDX-License-Identifier: GPL-2.0-only
// A command of wlbctl and what it works with.
#pragma once

#include <functional>
#include <iostream>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "wlb/daemon_client.h"
#include "wlb/kernel.h"
#include "wlb/output.h"
#include "wlbctl/run.h"

namespace wlb::cli {

enum ExitStatus : int { done = 0, refused = 1, misused = 2 };

using Args = std::vector<std::string>;
using Connect = std::function<Result<std::unique_ptr<Kernel>>(const std::string &netns)>;

using Ask = std::function<Result<Json>(const std::string &daemon, const std::string &netns,
                                       const Json &request)>;

struct Context {
    std::ostream &out;
    std::ostream &err;
    Connect connect_to;
    bool json = false;
    std::string netns;
    std::istream &in = std::cin;
    Ask ask = [](const std::string &daemon, const std::string &in, const Json &request) {
        return ask_daemon(daemon, in, request);
    };
    // The same, for what is shown without it if there is no answer within a second; from any
    // thread.
    Ask glance = [](const std::string &daemon, const std::string &in, const Json &request) {
        return ask_daemon(daemon, in, request, seconds{1});
    };
    std::function<Result<std::string>(const Words &words)> run_program = &cli::run_program;
    bool completing = false; // a command says what its last word may become, see complete.h

    [[nodiscard]] Result<std::unique_ptr<Kernel>> connect() const { return connect_to(netns); }
    // For what also runs programs: from here on it all happens in that network namespace.
    [[nodiscard]] Result<std::unique_ptr<Kernel>> connect_inside() const;
    void write(const Json &json_value) const;
};

struct Command {
    const char *object;
    const char *verb; // "" if the object is all there is to say
    const char *arguments;
    const char *summary;
    const char *example; // without the leading "wlbctl"
    int (*run)(Context &context, const Command &command, const Args &args);
};

const std::vector<Command> &service_commands();
const std::vector<Command> &origin_commands();
const std::vector<Command> &replica_commands();
const std::vector<Command> &registrant_commands();
const std::vector<Command> &gateway_commands();
const std::vector<Command> &flow_commands();
const std::vector<Command> &race_commands();
const std::vector<Command> &stats_commands();
const std::vector<Command> &status_commands();
const std::vector<Command> &top_commands();
const std::vector<Command> &metrics_commands();
const std::vector<Command> &doctor_commands();
const std::vector<Command> &explain_commands();
const std::vector<Command> &trace_commands();
const std::vector<Command> &wccp_commands();
const std::vector<Command> &bypass_commands();
const std::vector<Command> &cache_commands();
const std::vector<Command> &process_commands();
const std::vector<Command> &file_commands();

// Writes the message and returns the exit status to leave with.
int refuse(const Context &context, const Error &error);
int misuse(const Context &context, const std::string &object, const std::string &message);

// The whole program but main().
int run(Context &context, const Args &args);

} // namespace wlb::cli
