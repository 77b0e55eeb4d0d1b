// SPDX-License-Identifier: GPL-2.0-only
// What is done to packets that caches return and to those that pass: [processing] in
// wlb.toml(5), and the same as the kernel has it.
#pragma once

#include <linux/wlb.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "wlb/address.h"

namespace wlb {

enum class ProcessOn : std::uint8_t {
    returned = WLB_PROCESS_RETURNED,
    passing = WLB_PROCESS_PASSING
};

// Where copies of packets go: a ring of files, or an interface.
struct ProcessCopy {
    std::string name;
    std::string file;                   // of pcapng; older ones have .1, .2, ... behind it
    std::string interface;              // in place of a file
    std::int64_t length = 0;            // octets of each packet; 0: all of it
    std::int64_t file_size = 16L << 20; // octets
    std::int64_t files = 4;             // with the one that is written

    bool operator==(const ProcessCopy &) const = default;
};

// Which packets, and what is done to them. Absent: any; nothing.
struct ProcessRule {
    std::set<ProcessOn> on;
    std::optional<Prefix> source;
    std::optional<Prefix> destination;
    std::optional<std::int64_t> protocol; // of IP; 0: any
    std::optional<std::uint16_t> port;    // destination's
    std::optional<std::int64_t> dscp;
    std::optional<Address> rewrite; // the destination
    std::vector<std::uint8_t> tag;  // of SYNs; none: as it is
    bool untag = false;
    std::string copy; // name of one

    bool operator==(const ProcessRule &) const = default;
};

// The role runs if it has a rule.
struct Processing {
    std::int64_t nflog_group = 2048; // of the first copy; the others have those behind it
    std::vector<ProcessCopy> copies;
    std::vector<ProcessRule> rules; // the first that matches decides

    bool operator==(const Processing &) const = default;
};

// The group of NFLOG that a copy, by its place in `processing`, goes to.
inline std::uint16_t copy_group(const Processing &processing, std::size_t copy)
{
    return static_cast<std::uint16_t>(processing.nflog_group + static_cast<std::int64_t>(copy));
}

// As the kernel has a rule: it knows copies by their group.
struct RunningProcessRule {
    ProcessRule rule; // its copy has no name
    std::optional<std::uint16_t> copy_group;
    std::uint32_t copy_length = 0; // octets; 0: all
    std::uint64_t packets = 0;     // that fell under it; read only

    bool operator==(const RunningProcessRule &) const = default;
};

// What the kernel is to have. `processing` must have passed validate().
std::vector<RunningProcessRule> process_rules(const Processing &processing);

const char *name_of(ProcessOn on);
Result<ProcessOn> parse_process_on(std::string_view text);
// "ef", "af41", "cs1" or "default".
Result<std::int64_t> parse_dscp(std::string_view text);
// "0x" and two digits for each octet, else the text's own octets; and back.
Result<std::vector<std::uint8_t>> parse_tag(std::string_view text);
std::string tag_text(const std::vector<std::uint8_t> &tag);

} // namespace wlb
