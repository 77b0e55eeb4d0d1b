// SPDX-License-Identifier: GPL-2.0-only
#include "cached/membership.h"

#include <algorithm>

#include "daemon/host.h"
#include "daemon/secret_file.h"

namespace wlb::cached {

namespace {

std::vector<wccp::Transport> transports(const std::vector<Forward> &methods)
{
    std::vector<wccp::Transport> result;
    std::transform(methods.begin(), methods.end(), std::back_inserter(result), [](auto method) {
        return method == Forward::l2 ? wccp::Transport::l2 : wccp::Transport::gre;
    });
    return result;
}

std::vector<wccp::Method> methods_of(const std::vector<Allotment> &methods)
{
    std::vector<wccp::Method> result;
    std::transform(methods.begin(), methods.end(), std::back_inserter(result), [](auto method) {
        return method == Allotment::mask ? wccp::Method::mask : wccp::Method::hash;
    });
    return result;
}

std::uint32_t bits_of(const std::set<HashField> &fields)
{
    std::uint32_t bits = 0;
    for (const auto field : fields)
        bits |= static_cast<std::uint32_t>(field);
    return bits;
}

wccp::ServiceInfo service_of(const CacheService &service)
{
    wccp::ServiceInfo info;
    if (!service.id.dynamic)
        return info;
    info.type = wccp::ServiceInfo::dynamic;
    info.id = service.id.id;
    info.priority = static_cast<std::uint8_t>(service.priority);
    info.protocol = static_cast<std::uint8_t>(service.protocol);
    info.flags = bits_of(service.hash) | bits_of(service.alternative_hash) << WLB_WCCP_ALT_SHIFT;
    if (!service.ports.empty())
        info.flags |= WLB_WCCP_PORTS | (service.source_ports ? WLB_WCCP_PORTS_SRC : 0U);
    std::copy_n(service.ports.begin(), std::min(service.ports.size(), info.ports.size()),
                info.ports.begin());
    return info;
}

void add_bucket(wccp::BucketVector &buckets, unsigned bucket)
{
    buckets.at(bucket / 8) |= static_cast<std::uint8_t>(1U << bucket % 8);
}

void copy_octets(const Address &from, std::uint8_t *to)
{
    std::copy_n(from.data(), from.size(), to);
}

wlb_wccp_mask mask_of(const CacheMask &from)
{
    wlb_wccp_mask mask{};
    if (from.source)
        copy_octets(*from.source, mask.src);
    if (from.destination)
        copy_octets(*from.destination, mask.dst);
    mask.sport = static_cast<std::uint16_t>(from.source_port);
    mask.dport = static_cast<std::uint16_t>(from.destination_port);
    return mask;
}

wccp::Traffic traffic_of(const CacheTraffic &from)
{
    wccp::Traffic traffic;
    const auto prefix = [](const Prefix &net, std::uint8_t *mask, std::uint8_t *value) {
        copy_octets(net.address, value);
        for (unsigned bit = 0; bit < net.length; ++bit)
            mask[bit / 8] |= static_cast<std::uint8_t>(0x80U >> bit % 8);
    };
    if (from.source)
        prefix(*from.source, traffic.mask.src, traffic.value.src);
    if (from.destination)
        prefix(*from.destination, traffic.mask.dst, traffic.value.dst);
    if (from.source_port) {
        traffic.mask.sport = UINT16_MAX;
        traffic.value.sport = *from.source_port;
    }
    if (from.destination_port) {
        traffic.mask.dport = UINT16_MAX;
        traffic.value.dport = *from.destination_port;
    }
    return traffic;
}

wccp::Specification specification_of(const CacheMember &member)
{
    wccp::Specification specification;
    if (!member.buckets.empty())
        specification.buckets.emplace();
    for (const auto &range : member.buckets)
        for (unsigned bucket = range.first; bucket <= range.last; ++bucket)
            add_bucket(*specification.buckets, bucket);
    std::transform(member.traffic.begin(), member.traffic.end(),
                   std::back_inserter(specification.traffic), &traffic_of);
    return specification;
}

} // namespace

Result<wccp::CacheConfig> member_config(const Membership &group)
{
    const auto prefix = "group " + group.name() + ": ";
    wccp::CacheConfig config;
    config.address = group.address.value_or(Address());
    config.service = service_of(group.service);
    config.routers = group.routers;
    config.group_address = group.group_address;
    config.learn_routers = group.learn_routers;
    config.is_own = &daemon::is_own;
    config.strict_source = group.strict_source;
    config.router_list = group.router_list;
    if (!group.password_file.empty()) {
        const auto password = daemon::read_password(group.password_file);
        if (!password)
            return Error{prefix + password.error().message, password.error().code};
        config.password = *password;
    }
    config.max_minor = group.version_2_01 ? 1 : 0;
    config.forwarding = transports(group.forwarding);
    config.packet_return = transports(group.returning);
    config.assignment = methods_of(group.assignment);
    config.timers.transmit = group.interval;
    config.timers.timeout_scale = static_cast<unsigned>(group.timeout_scale);
    config.timers.assign_scale = static_cast<unsigned>(group.assignment_scale);
    config.weight = static_cast<std::uint16_t>(group.weight);
    if (group.mask)
        config.mask = mask_of(*group.mask);
    config.bucket_format = group.bucket_format == BucketFormat::draft ? wccp::BucketFormat::draft
                                                                      : wccp::BucketFormat::cisco;
    for (const auto bucket : group.hot_buckets)
        add_bucket(config.hot_buckets, bucket);
    config.slow_start = group.slow_start;
    for (const auto &member : group.members)
        config.specifications.emplace(member.address, specification_of(member));
    config.yield = group.yield;
    if (const auto status = wccp::validate(config); !status)
        return Error{prefix + status.error().message};
    return config;
}

} // namespace wlb::cached
