// SPDX-License-Identifier: GPL-2.0-only
// The extended ack of a refused request. libnl 3.7 hands out the errno alone.
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/wlb.h>
#include <netlink/attr.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "wlb/message.h"

namespace wlb {

namespace {

// How an attribute is called in the file and on the command line, and what its
// nest holds. Null: not to be named.
struct AttributeName {
    const char *name = nullptr;
    const AttributeName *nest = nullptr;
    int name_attribute = 0; // type of the string that names an object of this nest
};

template <std::size_t N> using Names = std::array<AttributeName, N>;

constexpr auto client_gateway_names = [] {
    Names<WLB_CG_A_MAX + 1> names{};
    names[WLB_CG_A_INSIDE].name = "inside";
    names[WLB_CG_A_MAX_FLOWS].name = "max-flows";
    names[WLB_CG_A_CLIENT_QUOTA].name = "client-quota";
    names[WLB_CG_A_RETURNS].name = "returns";
    names[WLB_CG_A_CONNTRACK].name = "conntrack";
    names[WLB_CG_A_T_RACING].name = "timeouts.racing";
    names[WLB_CG_A_T_TOMBSTONE].name = "timeouts.tombstone";
    names[WLB_CG_A_T_ESTABLISHED].name = "timeouts.established";
    names[WLB_CG_A_T_CLOSING].name = "timeouts.closing";
    names[WLB_CG_A_T_RESET].name = "timeouts.reset";
    names[WLB_CG_A_T_UNTAGGED].name = "timeouts.untagged";
    names[WLB_CG_A_T_DEAD].name = "timeouts.dead";
    names[WLB_CG_A_T_LEARNED].name = "timeouts.learned";
    names[WLB_CG_A_MAX_LEARNED].name = "max-learned";
    return names;
}();

constexpr auto service_names = [] {
    Names<WLB_SERVICE_A_MAX + 1> names{};
    names[WLB_SERVICE_A_NAME].name = "name";
    names[WLB_SERVICE_A_PORTS].name = "ports";
    names[WLB_SERVICE_A_ALL_PORTS].name = "ports";
    names[WLB_SERVICE_A_REPLICA].name = "replicas";
    names[WLB_SERVICE_A_ANY_REPLICA].name = "replicas";
    names[WLB_SERVICE_A_NEVER].name = "never";
    names[WLB_SERVICE_A_STICKY].name = "sticky";
    names[WLB_SERVICE_A_RACE].name = "race";
    names[WLB_SERVICE_A_FAN_OUT].name = "fan-out";
    names[WLB_SERVICE_A_EXPLORE].name = "explore";
    names[WLB_SERVICE_A_FASTPATH].name = "fastpath";
    return names;
}();

constexpr auto replica_names = [] {
    Names<WLB_REPLICA_A_MAX + 1> names{};
    names[WLB_REPLICA_A_ADDRESS].name = "address";
    names[WLB_REPLICA_A_VIA].name = "via";
    names[WLB_REPLICA_A_DELAY].name = "delay";
    return names;
}();

constexpr auto origin_names = [] {
    Names<WLB_ORIGIN_A_MAX + 1> names{};
    names[WLB_ORIGIN_A_NAME].name = "name";
    names[WLB_ORIGIN_A_SERVER].name = "server";
    names[WLB_ORIGIN_A_PORTS].name = "ports";
    names[WLB_ORIGIN_A_RACE].name = "race";
    names[WLB_ORIGIN_A_MAX_HOLD].name = "max-hold";
    names[WLB_ORIGIN_A_REPLICA] = {"replicas", replica_names.data(), 0};
    names[WLB_ORIGIN_A_SOURCE].name = "source";
    names[WLB_ORIGIN_A_STRIP].name = "strip-tag";
    names[WLB_ORIGIN_A_FAN_OUT].name = "fan-out";
    names[WLB_ORIGIN_A_PICK].name = "pick";
    names[WLB_ORIGIN_A_RATE].name = "clones-per-second";
    names[WLB_ORIGIN_A_PREFIX_RATE].name = "clones-per-prefix";
    names[WLB_ORIGIN_A_COOKIE].name = "cookie";
    return names;
}();

constexpr auto server_gateway_names = [] {
    Names<WLB_SG_A_MAX + 1> names{};
    names[WLB_SG_A_RATE].name = "clones-per-second";
    return names;
}();

constexpr auto served_names = [] {
    Names<WLB_SERVED_A_MAX + 1> names{};
    names[WLB_SERVED_A_NAME].name = "name";
    names[WLB_SERVED_A_SERVER].name = "server";
    names[WLB_SERVED_A_PORTS].name = "ports";
    names[WLB_SERVED_A_LOCAL].name = "local";
    names[WLB_SERVED_A_RETURN].name = "return";
    names[WLB_SERVED_A_VIA].name = "via";
    names[WLB_SERVED_A_TRUST_PATH].name = "trust-path";
    names[WLB_SERVED_A_FROM].name = "clones-from";
    return names;
}();

constexpr auto flow_names = [] {
    Names<WLB_FLOW_A_MAX + 1> names{};
    names[WLB_FLOW_A_CLIENT].name = "client";
    names[WLB_FLOW_A_CLIENT_PORT].name = "client-port";
    names[WLB_FLOW_A_SERVER].name = "server";
    names[WLB_FLOW_A_SERVER_PORT].name = "server-port";
    names[WLB_FLOW_A_WINNER].name = "winner";
    names[WLB_FLOW_A_STATE].name = "state";
    names[WLB_FLOW_A_EXPIRES].name = "expires";
    names[WLB_FLOW_A_ISN].name = "isn";
    names[WLB_FLOW_A_RETURN].name = "return";
    names[WLB_FLOW_A_VIA].name = "via";
    names[WLB_FLOW_A_CLIENT_END].name = "client-end";
    names[WLB_FLOW_A_CLIENT_ACK].name = "client-ack";
    names[WLB_FLOW_A_SERVER_END].name = "server-end";
    names[WLB_FLOW_A_SERVER_ACK].name = "server-ack";
    names[WLB_FLOW_A_FLAGS].name = "flags";
    names[WLB_FLOW_A_NEW_ISN].name = "new-isn";
    return names;
}();

constexpr auto rule_names = [] {
    Names<WLB_RULE_A_MAX + 1> names{};
    names[WLB_RULE_A_DENY].name = "deny";
    names[WLB_RULE_A_SOURCE].name = "source";
    names[WLB_RULE_A_DESTINATION].name = "destination";
    return names;
}();

constexpr auto group_names = [] {
    Names<WLB_GROUP_A_MAX + 1> names{};
    names[WLB_GROUP_A_NAME].name = "name";
    names[WLB_GROUP_A_TYPE].name = "type";
    names[WLB_GROUP_A_ID].name = "id";
    names[WLB_GROUP_A_IN].name = "redirect-in";
    names[WLB_GROUP_A_OUT].name = "redirect-out";
    names[WLB_GROUP_A_EXCLUDE].name = "exclude-in";
    names[WLB_GROUP_A_RULE] = {"redirect-list", rule_names.data(), 0};
    names[WLB_GROUP_A_CLOSED].name = "closed";
    names[WLB_GROUP_A_HOOK].name = "hook";
    names[WLB_GROUP_A_SOURCE4].name = "source";
    names[WLB_GROUP_A_SOURCE6].name = "source";
    names[WLB_GROUP_A_DRAIN].name = "drain";
    return names;
}();

constexpr auto member_names = [] {
    Names<WLB_MEMBER_A_MAX + 1> names{};
    names[WLB_MEMBER_A_ADDRESS].name = "address";
    names[WLB_MEMBER_A_FORWARD].name = "forward";
    names[WLB_MEMBER_A_RETURN].name = "return";
    return names;
}();

constexpr auto mask_names = [] {
    Names<WLB_MASK_A_MAX + 1> names{};
    names[WLB_MASK_A_SRC].name = "source";
    names[WLB_MASK_A_DST].name = "destination";
    names[WLB_MASK_A_SPORT].name = "source-port";
    names[WLB_MASK_A_DPORT].name = "destination-port";
    return names;
}();

constexpr auto assignment_names = [] {
    Names<WLB_ASSIGN_A_MAX + 1> names{};
    names[WLB_ASSIGN_A_PRIORITY].name = "priority";
    names[WLB_ASSIGN_A_PROTOCOL].name = "protocol";
    names[WLB_ASSIGN_A_FLAGS].name = "flags";
    names[WLB_ASSIGN_A_PORTS].name = "ports";
    names[WLB_ASSIGN_A_METHOD].name = "method";
    names[WLB_ASSIGN_A_MEMBER] = {"member", member_names.data(), 0};
    names[WLB_ASSIGN_A_BUCKETS].name = "buckets";
    names[WLB_ASSIGN_A_MASK] = {"mask", mask_names.data(), 0};
    names[WLB_ASSIGN_A_KEY_ADDRESS].name = "key-address";
    names[WLB_ASSIGN_A_KEY_NUMBER].name = "key-number";
    names[WLB_ASSIGN_A_CHANGE_NUMBER].name = "change-number";
    names[WLB_ASSIGN_A_STATE].name = "state";
    return names;
}();

constexpr auto door_names = [] {
    Names<WLB_DOOR_A_MAX + 1> names{};
    names[WLB_DOOR_A_ADDRESS].name = "address";
    names[WLB_DOOR_A_FORWARD].name = "forward";
    names[WLB_DOOR_A_RETURN].name = "return";
    names[WLB_DOOR_A_TYPE].name = "type";
    names[WLB_DOOR_A_ID].name = "id";
    names[WLB_DOOR_A_SOURCE].name = "source";
    return names;
}();

constexpr auto cache_names = [] {
    Names<WLB_CACHE_A_MAX + 1> names{};
    names[WLB_CACHE_A_DOOR] = {"door", door_names.data(), 0};
    names[WLB_CACHE_A_RULE] = {"rule", rule_names.data(), 0};
    names[WLB_CACHE_A_SHARE].name = "share";
    names[WLB_CACHE_A_MARK].name = "mark";
    names[WLB_CACHE_A_NAT].name = "nat";
    names[WLB_CACHE_A_PORT].name = "port";
    return names;
}();

constexpr auto bypass_names = [] {
    Names<WLB_BYPASS_A_MAX + 1> names{};
    names[WLB_BYPASS_A_SOURCE].name = "source";
    names[WLB_BYPASS_A_DESTINATION].name = "destination";
    names[WLB_BYPASS_A_LIFETIME].name = "lifetime";
    return names;
}();

constexpr auto learned_names = [] {
    Names<WLB_LEARNED_A_MAX + 1> names{};
    names[WLB_LEARNED_A_SERVER].name = "server";
    return names;
}();

constexpr auto process_rule_names = [] {
    Names<WLB_PROCESS_RULE_A_MAX + 1> names{};
    names[WLB_PROCESS_RULE_A_ON].name = "on";
    names[WLB_PROCESS_RULE_A_SOURCE].name = "source";
    names[WLB_PROCESS_RULE_A_DESTINATION].name = "destination";
    names[WLB_PROCESS_RULE_A_PROTO].name = "protocol";
    names[WLB_PROCESS_RULE_A_PORT].name = "port";
    names[WLB_PROCESS_RULE_A_DSCP].name = "dscp";
    names[WLB_PROCESS_RULE_A_REWRITE].name = "rewrite";
    names[WLB_PROCESS_RULE_A_TAG].name = "tag";
    names[WLB_PROCESS_RULE_A_UNTAG].name = "untag";
    names[WLB_PROCESS_RULE_A_COPY_GROUP].name = "copy-group";
    names[WLB_PROCESS_RULE_A_COPY_LEN].name = "copy-len";
    return names;
}();

constexpr auto process_names = [] {
    Names<WLB_PROCESS_A_MAX + 1> names{};
    names[WLB_PROCESS_A_RULE] = {"rule", process_rule_names.data(), 0};
    return names;
}();

constexpr auto top_names = [] {
    Names<WLB_A_MAX + 1> names{};
    names[WLB_A_GENERATION].name = "generation";
    names[WLB_A_ROLES].name = "roles";
    names[WLB_A_CLIENT_GATEWAY] = {"client-gateway", client_gateway_names.data(), 0};
    names[WLB_A_SERVER_GATEWAY] = {"server-gateway", server_gateway_names.data(), 0};
    names[WLB_A_SERVICE] = {"service", service_names.data(), WLB_SERVICE_A_NAME};
    names[WLB_A_ORIGIN] = {"origin", origin_names.data(), WLB_ORIGIN_A_NAME};
    names[WLB_A_SERVED] = {"replica", served_names.data(), WLB_SERVED_A_NAME};
    names[WLB_A_NAME].name = "name";
    names[WLB_A_BUSY].name = "busy";
    names[WLB_A_FLOW] = {"flow", flow_names.data(), 0};
    names[WLB_A_GROUP] = {"group", group_names.data(), WLB_GROUP_A_NAME};
    names[WLB_A_FAMILY].name = "family";
    names[WLB_A_ASSIGNMENT] = {"assignment", assignment_names.data(), 0};
    names[WLB_A_VALUES].name = "values";
    names[WLB_A_CACHE] = {"cache", cache_names.data(), 0};
    names[WLB_A_BYPASS] = {"bypass", bypass_names.data(), 0};
    names[WLB_A_PROCESS] = {"process", process_names.data(), 0};
    names[WLB_A_LEARNED] = {"learned", learned_names.data(), 0};
    names[WLB_A_REPLICA] = {"replica", replica_names.data(), 0};
    names[WLB_A_CONFIGURED].name = "configured";
    return names;
}();

int most(const AttributeName *nest)
{
    if (nest == client_gateway_names.data())
        return WLB_CG_A_MAX;
    if (nest == server_gateway_names.data())
        return WLB_SG_A_MAX;
    if (nest == service_names.data())
        return WLB_SERVICE_A_MAX;
    if (nest == origin_names.data())
        return WLB_ORIGIN_A_MAX;
    if (nest == replica_names.data())
        return WLB_REPLICA_A_MAX;
    if (nest == flow_names.data())
        return WLB_FLOW_A_MAX;
    if (nest == group_names.data())
        return WLB_GROUP_A_MAX;
    if (nest == rule_names.data())
        return WLB_RULE_A_MAX;
    if (nest == assignment_names.data())
        return WLB_ASSIGN_A_MAX;
    if (nest == member_names.data())
        return WLB_MEMBER_A_MAX;
    if (nest == mask_names.data())
        return WLB_MASK_A_MAX;
    if (nest == door_names.data())
        return WLB_DOOR_A_MAX;
    if (nest == cache_names.data())
        return WLB_CACHE_A_MAX;
    if (nest == bypass_names.data())
        return WLB_BYPASS_A_MAX;
    if (nest == process_names.data())
        return WLB_PROCESS_A_MAX;
    if (nest == process_rule_names.data())
        return WLB_PROCESS_RULE_A_MAX;
    if (nest == learned_names.data())
        return WLB_LEARNED_A_MAX;
    return nest == served_names.data() ? WLB_SERVED_A_MAX : WLB_A_MAX;
}

const nlattr *find(const nlattr *first, int length, int type)
{
    return nla_find(const_cast<nlattr *>(first), length, type);
}

std::string text_of(const nlattr *string)
{
    const auto *const text = static_cast<const char *>(nla_data(string));
    return {text, strnlen(text, static_cast<std::size_t>(nla_len(string)))};
}

// The names on the way to the attribute that starts at or contains `target`.
std::string path_to(const char *target, const nlattr *first, int length, const AttributeName *names)
{
    for (auto *a = const_cast<nlattr *>(first); nla_ok(a, length) != 0; a = nla_next(a, &length)) {
        const auto *const start = reinterpret_cast<const char *>(a);
        if (target < start || target >= start + a->nla_len)
            continue;
        if (nla_type(a) > most(names) || names[nla_type(a)].name == nullptr)
            return "";
        const auto &entry = names[nla_type(a)];
        std::string path = entry.name;
        if (entry.nest == nullptr)
            return path;
        const auto *const inner = static_cast<const nlattr *>(nla_data(a));
        const auto *const name =
            entry.name_attribute != 0 ? find(inner, nla_len(a), entry.name_attribute) : nullptr;
        if (name != nullptr)
            path.append(" \"").append(text_of(name)).append("\"");
        const auto rest = path_to(target, inner, nla_len(a), entry.nest);
        if (!rest.empty())
            path.append(": ").append(rest);
        return path;
    }
    return "";
}

std::string attribute_at(const nlmsghdr *request, std::uint32_t offset)
{
    if (request == nullptr || offset >= request->nlmsg_len)
        return "";
    const auto *const start = reinterpret_cast<const char *>(request);
    const auto header = static_cast<std::uint32_t>(NLMSG_LENGTH(GENL_HDRLEN));
    return path_to(start + offset, reinterpret_cast<const nlattr *>(start + header),
                   static_cast<int>(request->nlmsg_len - header), top_names.data());
}

// `text` is the extended ack, empty if there is none: then the errno says why.
Error explain(int code, const std::string &text, const std::string &attribute)
{
    std::string why = text;
    // The module's sentence tends to begin with the field, as the attribute ends.
    const auto last = attribute.rfind(": ");
    auto field = last == std::string::npos ? attribute : attribute.substr(last + 2);
    field = field.substr(0, field.find(' ')) + ": ";
    if (!attribute.empty() && why.compare(0, field.size(), field) == 0)
        why.erase(0, field.size());
    if (code == EPERM)
        why = "needs CAP_NET_ADMIN (run as root)";
    else if (text.empty())
        why = std::strerror(code);
    else
        why += std::string(" (") + std::strerror(code) + ")";
    return Error{attribute.empty() ? why : attribute + ": " + why, code};
}

struct ExtendedAck {
    std::string text;
    std::optional<std::uint32_t> offset;
};

ExtendedAck read_extended_ack(const char *data, int length)
{
    ExtendedAck ack;
    const auto *const first = reinterpret_cast<const nlattr *>(data);
    if (const auto *text = find(first, length, NLMSGERR_ATTR_MSG))
        ack.text = text_of(text);
    if (const auto *offset = find(first, length, NLMSGERR_ATTR_OFFS))
        if (nla_len(offset) == sizeof(std::uint32_t)) {
            ack.offset.emplace();
            std::memcpy(&*ack.offset, nla_data(offset), sizeof(std::uint32_t));
        }
    return ack;
}

} // namespace

Error decode_refusal(const nlmsghdr *error, const nlmsghdr *request)
{
    const auto *const body =
        static_cast<const nlmsgerr *>(nlmsg_data(const_cast<nlmsghdr *>(error)));
    ExtendedAck ack;
    // The ack repeats the request unless it is capped; attributes come behind.
    std::size_t skip = sizeof(nlmsgerr);
    if ((error->nlmsg_flags & NLM_F_CAPPED) == 0 && body->msg.nlmsg_len > sizeof(nlmsghdr))
        skip += NLMSG_ALIGN(body->msg.nlmsg_len) - sizeof(nlmsghdr);
    if ((error->nlmsg_flags & NLM_F_ACK_TLVS) != 0 && NLMSG_LENGTH(skip) < error->nlmsg_len)
        ack = read_extended_ack(reinterpret_cast<const char *>(body) + skip,
                                static_cast<int>(error->nlmsg_len - NLMSG_LENGTH(skip)));
    return explain(-body->error, ack.text, ack.offset ? attribute_at(request, *ack.offset) : "");
}

Error decode_dump_end(const nlmsghdr *done)
{
    std::int32_t code = 0;
    if (done->nlmsg_len < NLMSG_LENGTH(sizeof(code)))
        return Error{};
    const auto *const body = static_cast<const char *>(nlmsg_data(const_cast<nlmsghdr *>(done)));
    std::memcpy(&code, body, sizeof(code));
    if (code >= 0)
        return Error{};
    ExtendedAck ack;
    if ((done->nlmsg_flags & NLM_F_ACK_TLVS) != 0)
        ack = read_extended_ack(body + NLMSG_ALIGN(sizeof(code)),
                                static_cast<int>(done->nlmsg_len - NLMSG_LENGTH(sizeof(code))));
    return explain(-code, ack.text, "");
}

} // namespace wlb
