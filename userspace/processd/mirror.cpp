// SPDX-License-Identifier: GPL-2.0-only
#include "processd/mirror.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace wlb::processd {

Result<std::shared_ptr<daemon::File>> Mirror::socket()
{
    // Of no protocol: it hears nothing.
    auto file = std::make_shared<daemon::File>(
        ::socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (file->get() < 0)
        return Error{"no packet socket: " + std::string(std::strerror(errno)), errno};
    return file;
}

Mirror::Mirror(ProcessCopy copy, std::shared_ptr<daemon::File> socket)
    : Sink(std::move(copy)), socket_(std::move(socket))
{
}

bool Mirror::find()
{
    ifreq request{};
    copy().interface.copy(std::begin(request.ifr_name), IFNAMSIZ - 1);
    if (ioctl(socket_->get(), SIOCGIFMTU, &request) != 0)
        return false;
    mtu_ = static_cast<std::size_t>(request.ifr_mtu);
    index_ = static_cast<int>(if_nametoindex(copy().interface.c_str()));
    return index_ != 0;
}

void Mirror::take(Octets packet, std::chrono::nanoseconds /*time*/)
{
    // Asked for each: interfaces come and go, and change their MTU.
    bool sent = !packet.empty() && find();
    if (sent) {
        sockaddr_ll to{};
        to.sll_family = AF_PACKET;
        to.sll_protocol = htons(packet[0] >> 4U == 6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
        to.sll_ifindex = index_;
        to.sll_halen = ETH_ALEN;
        std::fill_n(std::begin(to.sll_addr), ETH_ALEN, 0xff);
        const auto length = std::min(packet.size(), mtu_);
        sent = sendto(socket_->get(), packet.data(), length, 0,
                      reinterpret_cast<const sockaddr *>(&to), sizeof(to)) >= 0;
        if (sent) {
            ++packets_;
            octets_ += length;
            cut_ += length < packet.size() ? 1 : 0;
            error_.clear();
        }
    }
    if (sent)
        return;
    ++failed_;
    const std::string error = copy().interface + ": " + std::strerror(errno);
    if (error_ != error)
        spdlog::error("copy {}: {}", copy().name, error);
    error_ = error;
}

Json Mirror::show() const
{
    return {{"interface", copy().interface},
            {"packets", packets_},
            {"octets", octets_},
            {"cut", cut_},
            {"failed", failed_},
            {"error", error_}};
}

} // namespace wlb::processd
