// SPDX-License-Identifier: GPL-2.0-only
#include "gatewayd/daemon.h"
#include "gatewayd/metrics.h"
#include "wlb/control_name.h"

int main(int argc, char **argv)
{
    return wlb::daemon::run(
        {wlb::gatewayd_name,
         "The registry of a server gateway: lets replicas register for its origins, asks\n"
         "them again and again whether they live and how far they are, and has the kernel\n"
         "clone to those that do. On a client gateway it shows races. Runs in the\n"
         "foreground, in one network namespace. SIGHUP reads the configuration anew;\n"
         "SIGTERM gives clones back to the replicas of the configuration; what a process\n"
         "that was killed has set stays, and the next one takes it over.\n",
         wlb::gatewayd_http_port, &wlb::gatewayd::measure,
         [](auto &io, const auto &config_file) {
             return std::make_unique<wlb::gatewayd::Daemon>(io, config_file);
         }},
        argc, argv);
}
