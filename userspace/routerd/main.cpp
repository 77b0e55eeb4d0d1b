// SPDX-License-Identifier: GPL-2.0-only
#include "routerd/daemon.h"
#include "routerd/metrics.h"
#include "wlb/control_name.h"

int main(int argc, char **argv)
{
    return wlb::daemon::run(
        {wlb::routerd_name,
         "WCCP version 2 for routers: redirects service groups to the caches that\n"
         "announce themselves. Runs in the foreground, in one network namespace.\n"
         "SIGHUP reads the configuration anew; SIGTERM ends redirection; a process\n"
         "that was killed is succeeded by the next one without a packet noticing.\n",
         wlb::routerd_http_port, &wlb::routerd::measure,
         [](auto &io, const auto &config_file) {
             return std::make_unique<wlb::routerd::Daemon>(io, config_file);
         }},
        argc, argv);
}
