// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/socket.h"

#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace wlb::daemon {

namespace {

constexpr int multicast_ttl = 15; // IOS takes no more
constexpr int receive_room = 4 << 20;

Error failure(const std::string &what)
{
    return Error{what + ": " + std::strerror(errno), errno};
}

bool set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

socklen_t to_sockaddr(const Address &address, std::uint16_t port, sockaddr_storage &to)
{
    to = {};
    if (address.is_ipv6()) {
        auto &in = reinterpret_cast<sockaddr_in6 &>(to);
        in.sin6_family = AF_INET6;
        in.sin6_port = htons(port);
        std::memcpy(&in.sin6_addr, address.data(), 16);
        return sizeof(in);
    }
    auto &in = reinterpret_cast<sockaddr_in &>(to);
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, address.data(), 4);
    return sizeof(in);
}

bool from_sockaddr(const sockaddr_storage &from, Address &address, std::uint16_t &port)
{
    const bool ipv6 = from.ss_family == AF_INET6;
    const auto &in6 = reinterpret_cast<const sockaddr_in6 &>(from);
    const auto &in4 = reinterpret_cast<const sockaddr_in &>(from);
    const auto read =
        ipv6 ? Address::from_bytes(&in6.sin6_addr, 16) : Address::from_bytes(&in4.sin_addr, 4);
    port = ntohs(ipv6 ? in6.sin6_port : in4.sin_port);
    address = read.value_or(Address());
    return read.has_value();
}

// The address that a datagram was sent to.
bool destination(msghdr &message, Address &to)
{
    for (auto *c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
        std::optional<Address> read;
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            in_pktinfo info{};
            std::memcpy(&info, CMSG_DATA(c), sizeof(info));
            read = Address::from_bytes(&info.ipi_addr, 4);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            in6_pktinfo info{};
            std::memcpy(&info, CMSG_DATA(c), sizeof(info));
            read = Address::from_bytes(&info.ipi6_addr, 16);
        }
        if (read) {
            to = *read;
            return true;
        }
    }
    return false;
}

} // namespace

Socket::Socket(File file, bool ipv6)
    : file_(std::move(file)), ipv6_(ipv6), buffer_(wccp::max_message + 1)
{
}

Result<Socket> Socket::open(bool ipv6, const std::optional<Address> &address, std::uint16_t port)
{
    File file(socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int fd = file.get();
    const std::string name =
        std::string("UDP port ") + std::to_string(port) +
        (address ? " of " + address->text() : std::string(ipv6 ? " of IPv6" : " of IPv4"));
    if (fd < 0)
        return failure(name);
    // Fragments of a long message are normal; some caches take an IP ID of 0, which goes
    // with "don't fragment", for a duplicate.
    const bool good = ipv6 ? set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) &&
                                 set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) &&
                                 set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT) &&
                                 set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, multicast_ttl)
                           : set(fd, IPPROTO_IP, IP_PKTINFO, 1) &&
                                 set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT) &&
                                 set(fd, IPPROTO_IP, IP_MULTICAST_TTL, multicast_ttl) &&
                                 set(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
    // A router's daemon and a cache's may live in one host, each with its own addresses.
    if (!good || !set(fd, SOL_SOCKET, SO_REUSEPORT, 1) ||
        // more than net.core.rmem_max, which a first minute of many groups would fill
        (!set(fd, SOL_SOCKET, SO_RCVBUFFORCE, receive_room) &&
         !set(fd, SOL_SOCKET, SO_RCVBUF, receive_room)))
        return failure(name);
    const auto any =
        ipv6 ? Address::from_bytes(in6addr_any.s6_addr, 16) : Address::from_bytes("\0\0\0", 4);
    sockaddr_storage own{};
    const auto size = to_sockaddr(address.value_or(any.value_or(Address())), port, own);
    if (bind(fd, reinterpret_cast<sockaddr *>(&own), size) != 0)
        return failure(name);
    return Socket(std::move(file), ipv6);
}

bool Socket::receive(unsigned most, const std::function<void(const wccp::Datagram &)> &take)
{
    for (; most > 0; --most) {
        sockaddr_storage from{};
        alignas(cmsghdr) std::array<char, 256> control{};
        iovec data{buffer_.data(), buffer_.size()};
        msghdr message{};
        message.msg_name = &from;
        message.msg_namelen = sizeof(from);
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        const auto size = recvmsg(fd(), &message, 0);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return false;
        wccp::Datagram datagram;
        // An ICMP error about what was sent comes as an error too: the next may be better.
        if (size < 0 || !from_sockaddr(from, datagram.from, datagram.from_port) ||
            !destination(message, datagram.to))
            continue;
        datagram.octets = wccp::View(buffer_.data(), static_cast<std::size_t>(size));
        take(datagram);
    }
    pollfd more{fd(), POLLIN, 0};
    return poll(&more, 1, 0) == 1 && (more.revents & POLLIN) != 0;
}

Status Socket::send(const wccp::Outgoing &datagram, const std::string &interface)
{
    sockaddr_storage to{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in6_pktinfo))> control{};
    iovec data{const_cast<std::uint8_t *>(datagram.octets.data()), datagram.octets.size()};
    msghdr message{};
    message.msg_name = &to;
    message.msg_namelen = to_sockaddr(datagram.to, datagram.to_port, to);
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    const auto index = interface.empty() ? 0 : if_nametoindex(interface.c_str());
    if (!interface.empty() && index == 0)
        return failure(interface);
    if (ipv6_) {
        in6_pktinfo info{};
        std::memcpy(&info.ipi6_addr, datagram.from.data(), 16);
        info.ipi6_ifindex = index;
        message.msg_controllen = CMSG_SPACE(sizeof(info));
        auto *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = IPPROTO_IPV6;
        c->cmsg_type = IPV6_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof(info));
        std::memcpy(CMSG_DATA(c), &info, sizeof(info));
    } else {
        in_pktinfo info{};
        std::memcpy(&info.ipi_spec_dst, datagram.from.data(), 4);
        info.ipi_ifindex = static_cast<int>(index);
        message.msg_controllen = CMSG_SPACE(sizeof(info));
        auto *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof(info));
        std::memcpy(CMSG_DATA(c), &info, sizeof(info));
    }
    ssize_t sent = 0;
    do
        sent = sendmsg(fd(), &message, 0);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return failure(datagram.from.text() + " to " + datagram.to.text());
    return Done{};
}

Status Socket::membership(const Address &group, const std::string &interface, bool join)
{
    group_req request{};
    request.gr_interface = if_nametoindex(interface.c_str());
    if (request.gr_interface == 0)
        return failure(interface);
    to_sockaddr(group, 0, request.gr_group);
    if (setsockopt(fd(), ipv6_ ? IPPROTO_IPV6 : IPPROTO_IP,
                   join ? MCAST_JOIN_GROUP : MCAST_LEAVE_GROUP, &request, sizeof(request)) != 0)
        return failure(group.text() + " on " + interface);
    return Done{};
}

Status Socket::join(const Address &group, const std::string &interface)
{
    return membership(group, interface, true);
}

void Socket::leave(const Address &group, const std::string &interface)
{
    // The interface may be gone, and the membership with it.
    (void)membership(group, interface, false);
}

} // namespace wlb::daemon
