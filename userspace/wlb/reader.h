// SPDX-License-Identifier: GPL-2.0-only
// Replies taken apart attribute by attribute.
#pragma once

#include <linux/wlb.h>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>

#include <cstring>

#include "wlb/message.h"

namespace wlb {

// Reads attributes in turn and remembers whether any was malformed, so that
// the decoders can be written as if none ever were.
class Reader {
public:
    template <class Visit> void top(const nlmsghdr *message, Visit visit)
    {
        // libnl's readers take pointers that are not const and change nothing.
        auto *const header = const_cast<nlmsghdr *>(message);
        if (genlmsg_valid_hdr(header, 0) == 0) {
            bad_ = true;
            return;
        }
        auto *const body = genlmsg_hdr(header);
        walk(genlmsg_attrdata(body, 0), genlmsg_attrlen(body, 0), visit);
    }

    template <class Visit> void nested(const nlattr *nest, Visit visit)
    {
        walk(static_cast<nlattr *>(nla_data(nest)), nla_len(nest), visit);
    }

    std::uint8_t u8(const nlattr *attribute) { return number<std::uint8_t>(attribute); }
    std::uint16_t u16(const nlattr *attribute) { return number<std::uint16_t>(attribute); }
    std::uint32_t u32(const nlattr *attribute) { return number<std::uint32_t>(attribute); }
    std::uint64_t u64(const nlattr *attribute) { return number<std::uint64_t>(attribute); }

    static std::string string(const nlattr *attribute)
    {
        const auto *text = static_cast<const char *>(nla_data(attribute));
        return {text, strnlen(text, static_cast<std::size_t>(nla_len(attribute)))};
    }

    Address address(const nlattr *attribute)
    {
        const auto address =
            Address::from_bytes(nla_data(attribute), static_cast<std::size_t>(nla_len(attribute)));
        bad_ = bad_ || !address;
        return address.value_or(Address());
    }

    std::vector<std::uint16_t> ports(const nlattr *attribute)
    {
        const auto size = static_cast<std::size_t>(nla_len(attribute));
        std::vector<std::uint16_t> ports(size / sizeof(std::uint16_t));
        bad_ = bad_ || size % sizeof(std::uint16_t) != 0;
        if (!ports.empty())
            std::memcpy(ports.data(), nla_data(attribute), ports.size() * sizeof(ports[0]));
        return ports;
    }

    static std::vector<std::uint8_t> bytes(const nlattr *attribute)
    {
        const auto *const data = static_cast<const std::uint8_t *>(nla_data(attribute));
        return {data, data + nla_len(attribute)};
    }

    void fixed(const nlattr *attribute, void *to, std::size_t size)
    {
        if (static_cast<std::size_t>(nla_len(attribute)) == size)
            std::memcpy(to, nla_data(attribute), size);
        else
            bad_ = true;
    }

    // A mode of a newer module is no other one: it would be written back as that.
    std::uint8_t mode(const nlattr *attribute, unsigned end)
    {
        const auto value = u8(attribute);
        bad_ = bad_ || value >= end;
        return value;
    }

    Via via(const nlattr *attribute) { return static_cast<Via>(mode(attribute, __WLB_VIA_MAX)); }

    Return return_mode(const nlattr *attribute)
    {
        return static_cast<Return>(mode(attribute, __WLB_RETURN_MAX));
    }

    Conntrack conntrack(const nlattr *attribute)
    {
        return static_cast<Conntrack>(mode(attribute, __WLB_CONNTRACK_MAX));
    }

    ServiceRace service_race(const nlattr *attribute)
    {
        return static_cast<ServiceRace>(mode(attribute, __WLB_SERVICE_RACE_MAX));
    }
    FastPath fastpath(const nlattr *attribute)
    {
        return static_cast<FastPath>(mode(attribute, __WLB_FASTPATH_MAX));
    }

    Forward forward(const nlattr *attribute)
    {
        return static_cast<Forward>(mode(attribute, __WLB_FORWARD_MAX));
    }

    GroupType group_type(const nlattr *attribute)
    {
        return static_cast<GroupType>(mode(attribute, __WLB_GROUP_TYPE_MAX));
    }

    std::set<Return> return_modes(const nlattr *attribute)
    {
        const auto mask = u32(attribute);
        bad_ = bad_ || (mask & ~WLB_RETURN_ALL) != 0;
        std::set<Return> modes;
        for (unsigned mode = 0; mode < __WLB_RETURN_MAX; ++mode)
            if ((mask & 1U << mode) != 0)
                modes.insert(static_cast<Return>(mode));
        return modes;
    }

    Prefix prefix(const nlattr *attribute)
    {
        Prefix prefix;
        nested(attribute, [&](int type, const nlattr *a) {
            if (type == WLB_PREFIX_A_ADDRESS)
                prefix.address = address(a);
            else if (type == WLB_PREFIX_A_LENGTH)
                prefix.length = u8(a);
        });
        bad_ = bad_ || prefix.length > prefix.address.bits();
        return prefix;
    }

    RedirectRule rule(const nlattr *attribute)
    {
        RedirectRule rule;
        nested(attribute, [&](int type, const nlattr *a) {
            if (type == WLB_RULE_A_DENY)
                rule.deny = true;
            else if (type == WLB_RULE_A_SOURCE)
                rule.source = prefix(a);
            else if (type == WLB_RULE_A_DESTINATION)
                rule.destination = prefix(a);
        });
        return rule;
    }

    // Into `known`, which has those that this program knows, attribute type = index + 1.
    void counters(const nlattr *nest, std::vector<Counter> &known)
    {
        const auto count = known.size();
        nested(nest, [&](int type, const nlattr *a) {
            if (type < 1)
                return;
            const auto index = static_cast<std::size_t>(type - 1);
            if (index < count)
                known[index].value = u64(a);
            else
                known.push_back(
                    {"counter-" + std::to_string(type), u64(a), "unknown to this wlbctl"});
        });
    }

    [[nodiscard]] bool bad() const { return bad_; }
    void require(bool present) { bad_ = bad_ || !present; }

private:
    template <class Visit> void walk(nlattr *first, int length, Visit visit)
    {
        auto *attribute = first;
        for (; nla_ok(attribute, length) != 0; attribute = nla_next(attribute, &length))
            visit(nla_type(attribute), static_cast<const nlattr *>(attribute));
        bad_ = bad_ || length > 0; // what is left is an attribute that does not fit
    }

    template <class T> T number(const nlattr *attribute)
    {
        T value = 0;
        if (nla_len(attribute) == static_cast<int>(sizeof(T)))
            std::memcpy(&value, nla_data(attribute), sizeof(T));
        else
            bad_ = true;
        return value;
    }

    bool bad_ = false;
};

// What to say of a reply that is not as it should be.
Error unreadable(const char *what);

} // namespace wlb
