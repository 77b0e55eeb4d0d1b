// SPDX-License-Identifier: GPL-2.0-only
// The rules for processing on the wire.
#include "wlb/reader.h"
#include "wlb/writer.h"

namespace wlb {

namespace {

void put(Writer &out, const RunningProcessRule &running)
{
    const auto &rule = running.rule;
    std::uint32_t on = 0;
    for (const auto kind : rule.on)
        on |= static_cast<std::uint32_t>(kind);
    out.u32(WLB_PROCESS_RULE_A_ON, on);
    if (rule.source)
        out.prefix(WLB_PROCESS_RULE_A_SOURCE, *rule.source);
    if (rule.destination)
        out.prefix(WLB_PROCESS_RULE_A_DESTINATION, *rule.destination);
    if (rule.protocol)
        out.u8(WLB_PROCESS_RULE_A_PROTO, static_cast<std::uint8_t>(*rule.protocol));
    if (rule.port)
        out.u16(WLB_PROCESS_RULE_A_PORT, *rule.port);
    if (rule.dscp)
        out.u8(WLB_PROCESS_RULE_A_DSCP, static_cast<std::uint8_t>(*rule.dscp));
    if (rule.rewrite)
        out.address(WLB_PROCESS_RULE_A_REWRITE, *rule.rewrite);
    if (!rule.tag.empty())
        out.bytes(WLB_PROCESS_RULE_A_TAG, rule.tag.data(), rule.tag.size());
    if (rule.untag)
        out.flag(WLB_PROCESS_RULE_A_UNTAG);
    if (running.copy_group) {
        out.u16(WLB_PROCESS_RULE_A_COPY_GROUP, *running.copy_group);
        out.u32(WLB_PROCESS_RULE_A_COPY_LEN, running.copy_length);
    }
}

std::set<ProcessOn> kinds_of(std::uint32_t mask)
{
    std::set<ProcessOn> kinds;
    for (const auto kind : {ProcessOn::returned, ProcessOn::passing})
        if ((mask & static_cast<std::uint32_t>(kind)) != 0)
            kinds.insert(kind);
    return kinds;
}

void read_rule(Reader &in, const nlattr *nest, RunningProcessRule &running)
{
    auto &rule = running.rule;
    in.nested(nest, [&](int type, const nlattr *a) {
        switch (type) {
        case WLB_PROCESS_RULE_A_ON:
            rule.on = kinds_of(in.u32(a));
            break;
        case WLB_PROCESS_RULE_A_SOURCE:
            rule.source = in.prefix(a);
            break;
        case WLB_PROCESS_RULE_A_DESTINATION:
            rule.destination = in.prefix(a);
            break;
        case WLB_PROCESS_RULE_A_PROTO:
            rule.protocol = in.u8(a);
            break;
        case WLB_PROCESS_RULE_A_PORT:
            rule.port = in.u16(a);
            break;
        case WLB_PROCESS_RULE_A_DSCP:
            rule.dscp = in.u8(a);
            break;
        case WLB_PROCESS_RULE_A_REWRITE:
            rule.rewrite = in.address(a);
            break;
        case WLB_PROCESS_RULE_A_TAG:
            rule.tag = Reader::bytes(a);
            break;
        case WLB_PROCESS_RULE_A_UNTAG:
            rule.untag = true;
            break;
        case WLB_PROCESS_RULE_A_COPY_GROUP:
            running.copy_group = in.u16(a);
            break;
        case WLB_PROCESS_RULE_A_COPY_LEN:
            running.copy_length = in.u32(a);
            break;
        case WLB_PROCESS_RULE_A_PACKETS:
            running.packets = in.u64(a);
            break;
        default:
            break;
        }
    });
}

} // namespace

Result<Message> encode_process(int family, const std::vector<RunningProcessRule> &rules)
{
    return build_request(family, WLB_CMD_PROCESS_SET, 0, [&](Writer &out) {
        if (rules.empty())
            return;
        out.nest(WLB_A_PROCESS, [&] {
            for (const auto &rule : rules)
                out.nest(WLB_PROCESS_A_RULE, [&] { put(out, rule); });
        });
    });
}

Result<RunningProcessRule> decode_process(const nlmsghdr *message)
{
    Reader in;
    RunningProcessRule rule;
    bool present = false;
    in.top(message, [&](int type, const nlattr *process) {
        if (type != WLB_A_PROCESS)
            return;
        in.nested(process, [&](int inner, const nlattr *a) {
            if (inner != WLB_PROCESS_A_RULE)
                return;
            present = true;
            read_rule(in, a, rule);
        });
    });
    in.require(present);
    if (in.bad())
        return unreadable("rules for processing");
    return rule;
}

} // namespace wlb
