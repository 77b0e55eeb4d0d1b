// SPDX-License-Identifier: GPL-2.0-only
// wlbctl against a module made of memory.
#pragma once

#include <sstream>
#include <string>

#include "fake_kernel.h"
#include "wlbctl/command.h"

namespace wlb::test {

struct Outcome {
    int status;
    std::string out;
    std::string err;
    std::string netns;
};

using Run = decltype(cli::Context::run_program);

inline Outcome wlbctl(FakeState &state, const std::string &line, const cli::Ask &ask = {},
                      const Run &run = &cli::run_program)
{
    std::ostringstream out;
    std::ostringstream err;
    std::string netns;
    cli::Context context{out, err,
                         [&](const std::string &name) -> Result<std::unique_ptr<Kernel>> {
                             netns = name;
                             return std::unique_ptr<Kernel>(std::make_unique<FakeKernel>(state));
                         },
                         false, ""};
    context.ask = ask;
    context.glance =
        ask ? ask
            : [](const std::string &daemon, const std::string &, const Json &) -> Result<Json> {
        return Error{daemon + " does not run in this network namespace", ECONNREFUSED};
    };
    context.run_program = run;
    const int status = cli::run(context, line.empty() ? cli::Args{} : split(line, ' '));
    return {status, out.str(), err.str(), netns};
}

} // namespace wlb::test
