// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/kernel_metrics.h"
#include "wlbctl/options.h"

namespace wlb::cli {

namespace {

int metrics(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    if (!options.parse(args))
        return options.status();
    auto kernel = context.connect();
    if (!kernel)
        return refuse(context, kernel.error());
    Metrics metrics;
    if (const auto status = measure(**kernel, metrics); !status)
        return refuse(context, status.error());
    context.out << metrics.text();
    return done;
}

} // namespace

const std::vector<Command> &metrics_commands()
{
    static const std::vector<Command> commands{
        {"metrics", "", "",
         "Write what the kernel counts as Prometheus reads it, for node_exporter.", "metrics",
         &metrics},
    };
    return commands;
}

} // namespace wlb::cli
