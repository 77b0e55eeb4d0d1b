// SPDX-License-Identifier: GPL-2.0-only
#include "cached/doors.h"

#include <algorithm>

namespace wlb::cached {

namespace {

Forward forward_of(wccp::Transport transport)
{
    return transport == wccp::Transport::l2 ? Forward::l2 : Forward::gre;
}

GroupType type_of(const Membership &group)
{
    return group.service.id.dynamic ? GroupType::dynamic : GroupType::standard;
}

} // namespace

std::vector<Door> doors_of(const Membership &group, const std::vector<wccp::Path> &paths)
{
    std::vector<Door> doors;
    for (const auto &path : paths) {
        Door door;
        // The router ID is the outer source of its tunnel, its neighbour address that of its
        // messages: both may be others, so both are let in.
        door.address = path.source;
        door.forward = forward_of(path.forwarding);
        door.return_method = forward_of(path.packet_return);
        door.type = type_of(group);
        door.id = group.service.id.id;
        door.source = group.address;
        doors.push_back(door);
        if (path.router == path.source || path.forwarding == wccp::Transport::l2)
            continue;
        door.address = path.router;
        doors.push_back(door);
    }
    return doors;
}

CacheDoors frame_of(const CacheHost &host, std::uint32_t share)
{
    CacheDoors frame;
    frame.rules = host.bypass;
    frame.share = share;
    frame.mark = static_cast<std::uint32_t>(host.mark);
    for (const auto &group : host.groups) {
        // Rules of the administrator's own may be NAT.
        frame.nat = frame.nat || !group.deliver || group.deliver->by == DeliverBy::redirect;
        if (group.deliver && std::find(frame.ports.begin(), frame.ports.end(),
                                       group.deliver->port) == frame.ports.end())
            frame.ports.push_back(group.deliver->port);
    }
    return frame;
}

std::vector<Door> doors_left(const CacheDoors &kernel, const Membership &group)
{
    std::vector<Door> doors;
    for (const auto &door : kernel.doors)
        if (door.type == type_of(group) && door.id == group.service.id.id &&
            door.address.is_ipv6() == group.is_ipv6())
            doors.push_back(door);
    return doors;
}

} // namespace wlb::cached
