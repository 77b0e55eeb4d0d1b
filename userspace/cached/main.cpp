// SPDX-License-Identifier: GPL-2.0-only
#include "cached/daemon.h"
#include "cached/metrics.h"
#include "wlb/control_name.h"

int main(int argc, char **argv)
{
    return wlb::daemon::run(
        {wlb::cached_name,
         "WCCP version 2 for the host of a proxy: joins service groups as long as the\n"
         "proxy works, takes in what routers redirect, and returns what is not for it.\n"
         "Runs in the foreground, in one network namespace. SIGHUP reads the\n"
         "configuration anew; SIGTERM leaves the groups first; a process that was killed\n"
         "is succeeded by the next one without a packet noticing.\n",
         wlb::cached_http_port, &wlb::cached::measure,
         [](auto &io, const auto &config_file) {
             return std::make_unique<wlb::cached::Daemon>(io, config_file);
         }},
        argc, argv);
}
