// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/toml_write_processing.h"

#include "wlb/cache_host.h"
#include "wlb/toml_text.h"

namespace wlb {

using namespace toml_text;

namespace {

std::string text(const ProcessCopy &copy)
{
    auto out = "\n[[processing.copy]]\n" + line("name", quote(copy.name));
    if (!copy.interface.empty())
        out += line("interface", quote(copy.interface));
    else
        out += line("file", quote(copy.file)) + line("file-size", number(copy.file_size)) +
               line("files", number(copy.files));
    return out + line("length", number(copy.length));
}

std::string text(const ProcessRule &rule)
{
    auto out = "\n[[processing.rule]]\n" + line("on", names(rule.on));
    if (rule.source)
        out += line("source", quote(rule.source->text()));
    if (rule.destination)
        out += line("destination", quote(rule.destination->text()));
    if (rule.protocol) {
        const auto protocol = protocol_text(*rule.protocol);
        out += line("protocol", parse_protocol(protocol) ? quote(protocol) : protocol);
    }
    if (rule.port)
        out += line("port", number(*rule.port));
    if (rule.dscp)
        out += line("dscp", number(*rule.dscp));
    if (rule.rewrite)
        out += line("rewrite", quote(rule.rewrite->text()));
    if (!rule.tag.empty())
        out += line("tag", quote(tag_text(rule.tag)));
    if (rule.untag)
        out += line("untag", boolean(rule.untag));
    if (!rule.copy.empty())
        out += line("copy", quote(rule.copy));
    return out;
}

} // namespace

std::string processing_toml(const Processing &processing)
{
    auto out = "\n[processing]\n" + line("nflog-group", number(processing.nflog_group));
    for (const auto &copy : processing.copies)
        out += text(copy);
    for (const auto &rule : processing.rules)
        out += text(rule);
    return out;
}

std::string processing_defaults()
{
    const ProcessCopy copy;
    return "\n"
           "# Processing: changes, tags and copies packets that caches return and such that pass, "
           "at a\n"
           "# cache router, a cache's host or any router; wlb-processd's.\n"
           "#[processing]\n"
           "# groups of NFLOG that carry copies: this one and 15 behind it, 0..65520\n" +
           off("nflog-group", number(Processing().nflog_group)) +
           "\n"
           "#[[processing.copy]]\n"
           "# required, unique\n" +
           off("name", quote("watch")) +
           "# one of both is required: pcapng, of mode 0600, older ones with .1, .2, ... behind; "
           "or out of\n"
           "# an interface\n" +
           off("file", quote("/var/lib/wlb/watch.pcapng")) +
           "# interface = \"mon0\"\n"
           "# octets of each packet, 0..65535; 0: all of it\n" +
           off("length", number(copy.length)) +
           "# octets until the next file, at least 65536; files that there are at most, 1..1000\n" +
           off("file-size", number(copy.file_size)) + off("files", number(copy.files)) +
           "\n"
           "# The first rule that matches a packet decides.\n"
           "#[[processing.rule]]\n"
           "# required: which packets, returned (by caches), passing (all others) or both\n" +
           off("on", names(std::set{ProcessOn::returned})) +
           "# each is optional: prefixes, a protocol (tcp, udp or a number), its destination port\n"
           "# source = \"10.0.0.0/8\"\n"
           "# destination = \"203.0.113.0/24\"\n"
           "# protocol = \"tcp\"\n"
           "# port = 80\n"
           "# what is done, each is optional: 0..63 or a name such as \"ef\"\n"
           "# dscp = 46\n"
           "# where such connections go in place of their destination\n"
           "# rewrite = \"203.0.113.10\"\n"
           "# SYNs get an option of 1..16 octets, a text or \"0x...\"; or lose such options\n"
           "# tag = \"DE\"\n" +
           off("untag", boolean(ProcessRule().untag)) +
           "# the name of a copy that is made\n"
           "# copy = \"watch\"\n";
}

} // namespace wlb
