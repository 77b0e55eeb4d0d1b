// SPDX-License-Identifier: GPL-2.0-only
#include "routerd/group.h"

#include "daemon/host.h"
#include "daemon/secret_file.h"

namespace wlb::routerd {

namespace {

std::uint32_t bits_of(const std::set<Forward> &methods)
{
    std::uint32_t bits = 0;
    for (const auto method : methods)
        bits |= static_cast<std::uint32_t>(method == Forward::l2 ? wccp::Transport::l2
                                                                 : wccp::Transport::gre);
    return bits;
}

std::uint32_t bits_of(const std::set<Allotment> &methods)
{
    std::uint32_t bits = 0;
    for (const auto method : methods)
        bits |= static_cast<std::uint32_t>(method == Allotment::mask ? wccp::Method::mask
                                                                     : wccp::Method::hash);
    return bits;
}

wccp::SquidFiller filler_of(SquidFiller filler)
{
    switch (filler) {
    case SquidFiller::on:
        return wccp::SquidFiller::on;
    case SquidFiller::automatic:
        return wccp::SquidFiller::automatic;
    default:
        return wccp::SquidFiller::off;
    }
}

} // namespace

std::string GroupId::text() const
{
    return service.text() + (ipv6 ? " (IPv6)" : "");
}

Result<std::optional<wccp::GroupConfig>> protocol_config(const CacheGroup &group, bool ipv6)
{
    wccp::GroupConfig config;
    std::optional<Address> id;
    for (const auto &source : group.source)
        if (source.is_ipv6() == ipv6)
            id = source;
    // Where one family was given an address and the other not, the other is not meant.
    if (!id && group.source.empty())
        id = daemon::default_router_id(ipv6);
    if (!id)
        return std::optional<wccp::GroupConfig>();
    config.router_id = *id;
    config.service_type =
        group.service.dynamic ? wccp::ServiceInfo::dynamic : wccp::ServiceInfo::standard;
    config.service_id = group.service.id;
    config.group_list = group.group_list;
    config.allow_any = group.any_cache;
    config.strict_source = group.strict_source;
    if (!group.password_file.empty()) {
        const auto password = daemon::read_password(group.password_file);
        if (!password)
            return password.error();
        config.password = *password;
    }
    config.md5_squid = group.md5_compat == Md5Compat::squid;
    if (group.group_address && group.group_address->is_ipv6() == ipv6)
        config.group_address = group.group_address;
    config.max_minor = group.version_2_01 ? 1 : 0;
    config.forwarding = bits_of(group.forwarding);
    config.packet_return = bits_of(group.returning);
    config.assignment = bits_of(group.assignment);
    config.on_link = &daemon::is_on_link;
    config.variable_timers = group.variable_timers;
    config.bucket_format = group.bucket_format == BucketFormat::draft ? wccp::BucketFormat::draft
                                                                      : wccp::BucketFormat::cisco;
    config.squid_filler = filler_of(group.squid_filler);
    config.assignment_fallback = group.assignment_fallback;
    config.reassign_kick = group.reassign_kick;
    return std::optional(config);
}

} // namespace wlb::routerd
