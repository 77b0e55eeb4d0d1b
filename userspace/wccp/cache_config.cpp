// SPDX-License-Identifier: GPL-2.0-only
#include "wccp/cache_config.h"

#include <algorithm>

#include "wccp/mask_list.h"

namespace wlb::wccp {
namespace {

Status check_addresses(const CacheConfig &config)
{
    if (!config.address.is_host())
        return Error{"address: " + config.address.text() + ", must be a host's"};
    if (config.routers.empty() && !config.group_address)
        return Error{"routers: none, and no group address"};
    if (config.routers.size() > max_routers)
        return Error{"routers: " + std::to_string(config.routers.size()) + ", at most " +
                     std::to_string(max_routers)};
    for (const auto &router : config.routers) {
        if (!router.is_host() || router.is_ipv6() != config.is_ipv6() || router == config.address)
            return Error{"routers: " + router.text() + ", must be another host's " +
                         config.address.family_name() + " address"};
    }
    if (config.group_address && (!config.group_address->is_multicast() ||
                                 config.group_address->is_ipv6() != config.is_ipv6()))
        return Error{"group address: " + config.group_address->text() + ", must be a multicast " +
                     config.address.family_name() + " address"};
    return Done{};
}

} // namespace

bool Traffic::operator==(const Traffic &other) const
{
    return same_mask(mask, other.mask) && same_mask(value, other.value);
}

Status validate(const CacheConfig &config)
{
    if (auto status = check_addresses(config); !status)
        return status;
    if (config.service.type > ServiceInfo::dynamic)
        return Error{"service: type: " + std::to_string(config.service.type) + ", must be 0 or 1"};
    if (config.max_minor > 1)
        return Error{"version: 2.0" + std::to_string(config.max_minor) + ", at most 2.01"};
    if (config.is_ipv6() && config.max_minor == 0)
        return Error{"version: 2.00, must be 2.01 for IPv6"};
    if (config.forwarding.empty() || config.packet_return.empty() || config.assignment.empty())
        return Error{"forwarding, return, assignment: must name a method each"};
    const auto &timers = config.timers;
    if (timers.transmit < transmit_min || timers.transmit > transmit_max)
        return Error{"transmit: " + std::to_string(timers.transmit.count()) + " ms, must be " +
                     std::to_string(transmit_min.count()) + " to " +
                     std::to_string(transmit_max.count())};
    for (const auto scale : {timers.timeout_scale, timers.assign_scale}) {
        if (scale < 1 || scale > scale_max)
            return Error{"scale: " + std::to_string(scale) + ", must be 1 to " +
                         std::to_string(scale_max)};
    }
    if (config.mask) {
        const auto bits = wlb_wccp_mask_bits(&*config.mask, addr_len_of(config.is_ipv6()));
        if (bits == 0 || bits > max_mask_bits)
            return Error{"mask: " + std::to_string(bits) + " bits, must be 1 to " +
                         std::to_string(max_mask_bits)};
    }
    if (config.slow_start < Duration{0})
        return Error{"slow start: less than no time"};
    return Done{};
}

const char *text(CacheRefusal refusal)
{
    switch (refusal) {
    case CacheRefusal::silent:
        return "for a cache that is not in the group";
    case CacheRefusal::header:
        return "no header of WCCP version 2";
    case CacheRefusal::not_for_cache:
        return "not for a cache";
    case CacheRefusal::other_service:
        return "of another service";
    case CacheRefusal::family:
        return "of another address family";
    case CacheRefusal::destination:
        return "to an address that is not ours";
    case CacheRefusal::router_list:
        return "not in the router list";
    case CacheRefusal::authentication:
        return "not authentic";
    case CacheRefusal::malformed:
        return "malformed";
    case CacheRefusal::component_missing:
        return "without a component that it must have";
    case CacheRefusal::identity:
        return "router ID is no host's address or receive ID is 0";
    case CacheRefusal::not_addressed:
        return "for other caches";
    case CacheRefusal::sent_to:
        return "answers what was sent to an address that we do not send to";
    case CacheRefusal::source:
        return "from another address than is spoken to";
    case CacheRefusal::service_mismatch:
        return "describes the service in another way";
    case CacheRefusal::receive_id:
        return "older than the last one";
    case CacheRefusal::too_many_routers:
        return "more routers than a group can have";
    case CacheRefusal::unknown_router:
        return "query of a router that was not heard";
    }
    return "?";
}

} // namespace wlb::wccp
