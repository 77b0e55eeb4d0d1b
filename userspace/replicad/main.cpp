// SPDX-License-Identifier: GPL-2.0-only
#include "replicad/daemon.h"
#include "replicad/metrics.h"
#include "wlb/control_name.h"

int main(int argc, char **argv)
{
    return wlb::daemon::run(
        {wlb::replicad_name,
         "For the host of a replica: asks its server whether it works, finds out whether\n"
         "it is busy, has the kernel answer races or keep silent by that, and registers\n"
         "at server gateways. Runs in the foreground, in one network namespace. SIGHUP\n"
         "reads the configuration anew; SIGTERM takes no more races first; what a process\n"
         "that was killed has told the kernel stays.\n",
         wlb::replicad_http_port, &wlb::replicad::measure,
         [](auto &io, const auto &config_file) {
             return std::make_unique<wlb::replicad::Daemon>(io, config_file);
         }},
        argc, argv);
}
