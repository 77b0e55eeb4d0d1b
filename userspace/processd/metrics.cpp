// SPDX-License-Identifier: GPL-2.0-only
#include "processd/metrics.h"

#include "daemon/measured.h"

namespace wlb::processd {

using daemon::text_of;

void measure(const Json &shown, Metrics &metrics)
{
    for (const auto &copy : shown.at("copies")) {
        const Labels labels{{"copy", text_of(copy, "name")}};
        const auto counter = [&](const std::string &name, const char *help, const char *key) {
            if (copy.contains(key))
                metrics.counter(name, help, labels, copy.at(key).get<double>());
        };
        counter("copied_packets", "Packets of which a copy was kept or sent", "packets");
        counter("copied_bytes", "Octets of these copies", "octets");
        counter("copies_missed_packets", "Packets whose copy the kernel had to drop", "missed");
        counter("copies_failed_packets", "Packets whose copy could not be written or sent",
                "failed");
        counter("copies_cut_packets", "Packets whose copy was cut to the interface's MTU", "cut");
    }
    metrics.gauge("process_rules", "Rules for processing", {},
                  static_cast<double>(shown.at("rules").size()));
}

} // namespace wlb::processd
