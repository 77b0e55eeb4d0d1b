// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/validate_processing.h"

#include <algorithm>
#include <map>
#include <set>

#include "wlb/cache_host.h"

namespace wlb {

namespace {

constexpr std::size_t most_copies = 16;
constexpr std::int64_t most_length = 65535;
constexpr std::int64_t least_file = 65536; // more than the longest packet takes
constexpr std::int64_t most_file = std::int64_t{1} << 40;
constexpr std::int64_t most_files = 1000;
constexpr std::int64_t last_group = 65535;
constexpr std::int64_t tcp = 6;

void check_copy(Checks &checks, const Subject &subject, const ProcessCopy &copy)
{
    checks.name(subject, copy.name);
    if (copy.file.empty() == copy.interface.empty())
        checks.add(subject.path, subject.title + ": must have one of file and interface");
    else if (!copy.file.empty())
        checks.absolute(subject, "file", copy.file);
    else
        checks.interface(subject, "interface", "interface", copy.interface);
    checks.range(subject, "length", copy.length, 0, most_length);
    checks.range(subject, "file-size", copy.file_size, least_file, most_file);
    checks.range(subject, "files", copy.files, 1, most_files);
}

void check_copies(Checks &checks, const Processing &processing)
{
    const std::string list = "processing.copy";
    std::set<std::string> names;
    std::map<std::string, std::string> places; // of those that have one, by file
    for (std::size_t i = 0; i < processing.copies.size(); ++i) {
        const auto &copy = processing.copies[i];
        const Subject subject{at(list, i), copy.name.empty() ? "copy #" + std::to_string(i + 1)
                                                             : "copy \"" + copy.name + "\""};
        check_copy(checks, subject, copy);
        if (!copy.name.empty() && !names.insert(copy.name).second)
            checks.add(subject, "name", "there is another copy of this name; names must be unique");
        if (copy.file.empty())
            continue;
        const auto [first, fresh] = places.try_emplace(copy.file, copy.name);
        if (!fresh)
            checks.add(subject, "file", "file: copy \"" + first->second + "\" is written to it");
    }
}

class RuleCheck {
public:
    RuleCheck(Checks &checks, const Subject &subject, const Processing &processing,
              const ProcessRule &rule)
        : checks_(checks), subject_(subject), processing_(processing), rule_(rule)
    {
    }

    void run()
    {
        if (rule_.on.empty())
            add("on", "on is missing: which packets, a list of \"returned\" and \"passing\"");
        if (rule_.source)
            checks_.prefix(subject_, "source", "source", *rule_.source);
        if (rule_.destination)
            checks_.prefix(subject_, "destination", "destination", *rule_.destination);
        if (rule_.source && rule_.destination)
            checks_.family(subject_, "destination", "destination", rule_.destination->address,
                           "source", rule_.source->address);
        if (rule_.protocol)
            checks_.range(subject_, "protocol", *rule_.protocol, 0, 255);
        const auto named = protocol_text(rule_.protocol.value_or(0));
        if (rule_.port && named != "tcp" && named != "udp")
            add("port", "port: only with protocol = \"tcp\" or \"udp\"");
        if (rule_.dscp)
            checks_.range(subject_, "dscp", *rule_.dscp, 0, 63);
        rewrite();
        tag();
        const auto &copies = processing_.copies;
        if (!rule_.copy.empty() &&
            std::none_of(copies.begin(), copies.end(),
                         [&](const auto &copy) { return copy.name == rule_.copy; }))
            add("copy", "copy: there is no [[processing.copy]] named \"" + rule_.copy + "\"");
    }

private:
    void add(const std::string &key, const std::string &message)
    {
        checks_.add(subject_, key, message);
    }

    void rewrite()
    {
        if (!rule_.rewrite)
            return;
        checks_.host(subject_, "rewrite", "rewrite", *rule_.rewrite);
        if (rule_.source)
            checks_.family(subject_, "rewrite", "rewrite", *rule_.rewrite, "source",
                           rule_.source->address);
        else if (rule_.destination)
            checks_.family(subject_, "rewrite", "rewrite", *rule_.rewrite, "destination",
                           rule_.destination->address);
    }

    void tag()
    {
        if (rule_.tag.size() > WLB_MAX_TAG)
            add("tag", "tag has " + std::to_string(rule_.tag.size()) + " octets, at most " +
                           std::to_string(WLB_MAX_TAG));
        if (!rule_.tag.empty() && rule_.untag)
            add("untag", "untag: not with tag, which takes the place of tags that there are");
        const auto protocol = rule_.protocol.value_or(0);
        if (protocol != 0 && protocol != tcp && (!rule_.tag.empty() || rule_.untag))
            add(rule_.untag ? "untag" : "tag", "tag, untag: only with protocol = \"tcp\", or none");
    }

    Checks &checks_;
    const Subject &subject_;
    const Processing &processing_;
    const ProcessRule &rule_;
};

} // namespace

void check_processing(Checks &checks, const Processing &processing)
{
    const Subject role{"processing", "processing"};
    if (processing.rules.empty() && processing != Processing())
        checks.add("processing", "processing: settings without a rule mean nothing, as the role is "
                                 "off without one; add a [[processing.rule]]");
    checks.limit(role, "copy", processing.copies, most_copies);
    checks.range(role, "nflog-group", processing.nflog_group, 0,
                 last_group - static_cast<std::int64_t>(most_copies) + 1);
    check_copies(checks, processing);
    checks.limit(role, "rule", processing.rules, WLB_MAX_PROCESSES);
    for (std::size_t i = 0; i < processing.rules.size(); ++i) {
        const Subject subject{at("processing.rule", i), "rule #" + std::to_string(i + 1)};
        RuleCheck(checks, subject, processing, processing.rules[i]).run();
    }
}

} // namespace wlb
