// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/host.h"

#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/capability.h>
#include <sys/prctl.h>

#include <netlink/msg.h>
#include <netlink/netlink.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace wlb::daemon {

namespace {

std::optional<Address> address_of(const sockaddr *from, bool ipv6)
{
    if (from == nullptr || from->sa_family != (ipv6 ? AF_INET6 : AF_INET))
        return std::nullopt;
    const auto *in6 = reinterpret_cast<const sockaddr_in6 *>(from);
    const auto *in4 = reinterpret_cast<const sockaddr_in *>(from);
    auto address =
        ipv6 ? Address::from_bytes(&in6->sin6_addr, 16) : Address::from_bytes(&in4->sin_addr, 4);
    if (!address || !address->is_host())
        return std::nullopt;
    const bool own =
        ipv6 ? IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr) || IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr)
             : address->data()[0] == 127;
    return own ? std::nullopt : address;
}

struct SocketFree {
    void operator()(nl_sock *socket) const { nl_socket_free(socket); }
};
struct MessageFree {
    void operator()(nl_msg *message) const { nlmsg_free(message); }
};

struct Route {
    unsigned char type = RTN_UNREACHABLE;
    bool by_router = false;
};

int take_route(nl_msg *message, void *to)
{
    auto *header = nlmsg_hdr(message);
    if (header->nlmsg_type == RTM_NEWROUTE)
        *static_cast<Route *>(to) = {
            static_cast<const rtmsg *>(nlmsg_data(header))->rtm_type,
            nlmsg_find_attr(header, sizeof(rtmsg), RTA_GATEWAY) != nullptr ||
                nlmsg_find_attr(header, sizeof(rtmsg), RTA_VIA) != nullptr};
    return NL_OK;
}

// How packets of this host get to the address; no route is an answer too.
Route route_to(const Address &address)
{
    const std::unique_ptr<nl_sock, SocketFree> socket(nl_socket_alloc());
    const std::unique_ptr<nl_msg, MessageFree> message(nlmsg_alloc_simple(RTM_GETROUTE, 0));
    rtmsg request{};
    request.rtm_family = address.is_ipv6() ? AF_INET6 : AF_INET;
    request.rtm_dst_len = static_cast<unsigned char>(address.bits());
    Route route;
    if (!socket || !message || nlmsg_append(message.get(), &request, sizeof(request), 4) < 0 ||
        nla_put(message.get(), RTA_DST, address.size(), address.data()) < 0 ||
        nl_connect(socket.get(), NETLINK_ROUTE) < 0 ||
        nl_socket_modify_cb(socket.get(), NL_CB_VALID, NL_CB_CUSTOM, &take_route, &route) < 0 ||
        nl_send_auto(socket.get(), message.get()) < 0 || nl_recvmsgs_default(socket.get()) < 0)
        return {};
    return route;
}

} // namespace

std::optional<Address> default_router_id(bool ipv6)
{
    ifaddrs *list = nullptr;
    if (getifaddrs(&list) != 0)
        return std::nullopt;
    const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, &freeifaddrs);
    std::optional<Address> loopback;
    std::optional<Address> other;
    for (const auto *i = list; i != nullptr; i = i->ifa_next) {
        const auto address = address_of(i->ifa_addr, ipv6);
        if (!address || (i->ifa_flags & IFF_UP) == 0)
            continue;
        auto &best = (i->ifa_flags & IFF_LOOPBACK) != 0 ? loopback : other;
        if (!best || *best < *address)
            best = address;
    }
    return loopback ? loopback : other;
}

bool is_on_link(const Address &address)
{
    const auto route = route_to(address);
    return route.type == RTN_UNICAST && !route.by_router;
}

bool is_own(const Address &address)
{
    return route_to(address).type == RTN_LOCAL;
}

Status drop_privileges()
{
    const std::unique_ptr<std::remove_pointer_t<cap_t>, decltype(&cap_free)> wanted(
        cap_from_text("cap_net_admin=ep"), &cap_free);
    const auto failure = [] {
        return Error{std::string("giving up privileges: ") + std::strerror(errno), errno};
    };
    if (!wanted)
        return failure();
    for (cap_value_t cap = 0; cap <= cap_max_bits(); ++cap)
        if (cap != CAP_NET_ADMIN && cap_get_bound(cap) > 0 && cap_drop_bound(cap) != 0 &&
            errno != EPERM) // without CAP_SETPCAP they are gone with what was given already
            return failure();
    if (cap_set_proc(wanted.get()) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return failure();
    return Done{};
}

} // namespace wlb::daemon
