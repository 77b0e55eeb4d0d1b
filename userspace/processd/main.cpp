// SPDX-License-Identifier: GPL-2.0-only
#include "processd/daemon.h"
#include "processd/metrics.h"
#include "wlb/control_name.h"

int main(int argc, char **argv)
{
    return wlb::daemon::run(
        {wlb::processd_name,
         "Changes, tags and copies packets that WCCP caches return and such that pass: gives\n"
         "the kernel the rules of [processing], and keeps the copies in files or sends them\n"
         "out of an interface. Runs in the foreground, in one network namespace. SIGHUP\n"
         "reads the configuration anew; SIGTERM takes the rules away; a process that was\n"
         "killed leaves them to the next one.\n",
         wlb::processd_http_port, &wlb::processd::measure,
         [](auto &io, const auto &config_file) {
             return std::make_unique<wlb::processd::Daemon>(io, config_file);
         }},
        argc, argv);
}
