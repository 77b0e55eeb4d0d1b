// SPDX-License-Identifier: GPL-2.0-only
#include "replicad/measure.h"

#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>

#include <netlink/msg.h>
#include <netlink/netlink.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

namespace wlb::replicad {

namespace {

constexpr std::uint8_t syn_recv = 3;
constexpr std::uint8_t listen = 10;
constexpr std::uint8_t new_syn_recv = 12;
constexpr int receive_room = 1 << 20;

struct SocketFree {
    void operator()(nl_sock *socket) const { nl_socket_free(socket); }
};
struct MessageFree {
    void operator()(nl_msg *message) const { nlmsg_free(message); }
};

int take_socket(nl_msg *message, void *to)
{
    auto *header = nlmsg_hdr(message);
    if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
        nlmsg_datalen(header) < static_cast<int>(sizeof(inet_diag_msg)))
        return NL_OK;
    const auto *diag = static_cast<const inet_diag_msg *>(nlmsg_data(header));
    const auto local = Address::from_bytes(static_cast<const void *>(diag->id.idiag_src),
                                           diag->idiag_family == AF_INET6 ? 16 : 4);
    SocketState state;
    state.local = local.value_or(Address());
    state.port = ntohs(diag->id.idiag_sport);
    state.state = diag->idiag_state;
    state.queued = diag->idiag_rqueue;
    state.most = diag->idiag_wqueue;
    static_cast<std::vector<SocketState> *>(to)->push_back(state);
    return NL_OK;
}

Error failure(const std::string &why)
{
    return Error{"this host's sockets cannot be read: " + why};
}

bool is_any(const Address &address)
{
    return std::all_of(address.data(), address.data() + address.size(),
                       [](auto octet) { return octet == 0; });
}

bool is_port_of(const Served &served, const SocketState &socket)
{
    return std::find(served.ports.begin(), served.ports.end(), socket.port) != served.ports.end();
}

// Clients' packets come to the local address, or to the server's on this host.
bool is_address_of(const Served &served, const Address &address)
{
    return address == served.local ||
           std::find(served.servers.begin(), served.servers.end(), address) != served.servers.end();
}

// A socket of IPv6 that takes IPv4, too, has such an address.
Address plain(const Address &address)
{
    static constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (address.is_ipv6() && std::equal(mapped.begin(), mapped.end(), address.data()))
        return Address::from_bytes(address.data() + mapped.size(), 4).value_or(address);
    return address;
}

} // namespace

Result<std::vector<SocketState>> read_sockets(bool ipv6, std::uint32_t states)
{
    const std::unique_ptr<nl_sock, SocketFree> socket(nl_socket_alloc());
    const std::unique_ptr<nl_msg, MessageFree> message(
        nlmsg_alloc_simple(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP));
    inet_diag_req_v2 request{};
    request.sdiag_family = ipv6 ? AF_INET6 : AF_INET;
    request.sdiag_protocol = IPPROTO_TCP;
    request.idiag_states = states;
    std::vector<SocketState> sockets;
    if (!socket || !message || nlmsg_append(message.get(), &request, sizeof(request), 4) < 0)
        return failure("out of memory");
    if (const int error = nl_connect(socket.get(), NETLINK_SOCK_DIAG); error < 0)
        return failure(nl_geterror(error));
    nl_socket_disable_auto_ack(socket.get());
    nl_socket_set_buffer_size(socket.get(), receive_room, 0);
    nl_socket_modify_cb(socket.get(), NL_CB_VALID, NL_CB_CUSTOM, &take_socket, &sockets);
    if (const int error = nl_send_auto(socket.get(), message.get()); error < 0)
        return failure(nl_geterror(error));
    if (const int error = nl_recvmsgs_default(socket.get()); error < 0)
        return failure(nl_geterror(error));
    for (auto &found : sockets)
        found.local = plain(found.local);
    return sockets;
}

Queues queues_of(const Served &served, const std::vector<SocketState> &sockets)
{
    Queues queues;
    for (const auto port : served.ports) {
        double most = 0;
        double queued = 0;
        std::optional<double> fullest;
        std::size_t half_open = 0;
        for (const auto &socket : sockets) {
            if (socket.port != port)
                continue;
            if (socket.state == listen &&
                (is_any(socket.local) || is_address_of(served, socket.local))) {
                // Listeners that share a port share its connections.
                most += socket.most;
                queued = socket.queued;
                if (socket.most > 0)
                    fullest = std::max(fullest.value_or(0), queued / socket.most);
            } else if ((socket.state == syn_recv || socket.state == new_syn_recv) &&
                       is_address_of(served, socket.local)) {
                ++half_open;
            }
        }
        if (!fullest)
            continue;
        queues.accept = std::max(queues.accept.value_or(0), *fullest);
        queues.syn = std::max(queues.syn.value_or(0), static_cast<double>(half_open) / most);
    }
    return queues;
}

std::size_t connections_of(const Served &served, const std::vector<SocketState> &sockets)
{
    return static_cast<std::size_t>(
        std::count_if(sockets.begin(), sockets.end(), [&](const auto &socket) {
            return (1U << socket.state & established_states) != 0 && is_port_of(served, socket) &&
                   is_address_of(served, socket.local);
        }));
}

// "Tcp: RtoAlgorithm ...", then "Tcp: 1 ...".
Result<std::uint64_t> read_accepted()
{
    const std::string file = "/proc/self/net/snmp";
    std::ifstream stream(file);
    std::string names;
    std::string values;
    while (std::getline(stream, names) && std::getline(stream, values)) {
        if (names.rfind("Tcp:", 0) != 0)
            continue;
        std::istringstream name_in(names);
        std::istringstream value_in(values);
        std::string name;
        std::string value;
        while (name_in >> name && value_in >> value)
            if (name == "PassiveOpens")
                return std::strtoull(value.c_str(), nullptr, 10);
    }
    return Error{file + " does not tell of accepted connections", ENOENT};
}

} // namespace wlb::replicad
