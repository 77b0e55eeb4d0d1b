// SPDX-License-Identifier: GPL-2.0-only
#include "gatewayd/daemon.h"
#include "wlb/control_name.h"

int main(int argc, char **argv)
{
    return wlb::daemon::run(
        {wlb::gatewayd_name,
         "The registry of a server gateway: lets replicas register for its origins, asks\n"
         "them again and again whether they live and how far they are, and has the kernel\n"
         "clone to those that do. Runs in the foreground, in one network namespace.\n"
         "SIGHUP reads the configuration anew; SIGTERM gives clones back to the replicas\n"
         "of the configuration; what a process that was killed has set stays, and the next\n"
         "one takes it over.\n",
         [](auto &io, const auto &config_file) {
             return std::make_unique<wlb::gatewayd::Daemon>(io, config_file);
         }},
        argc, argv);
}
