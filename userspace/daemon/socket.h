// SPDX-License-Identifier: GPL-2.0-only
// A UDP port of one address family, WCCP's or another. Every datagram comes with the address that
// it was sent to, and leaves from the address that is asked for: a cache takes only answers that
// come from the address that it knows.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/file.h"
#include "wccp/datagram.h"
#include "wlb/result.h"

namespace wlb::daemon {

class Socket {
public:
    // At `address`, one of the host's or a multicast group; none: at all of them that nobody
    // else of this user has taken.
    static Result<Socket> open(bool ipv6, const std::optional<Address> &address = {},
                               std::uint16_t port = wccp::port);

    [[nodiscard]] int fd() const { return file_.get(); }

    // Takes what has arrived, `most` datagrams at the most; true: there is more, so that it is
    // readable. The octets are valid during the call only.
    bool receive(unsigned most, const std::function<void(const wccp::Datagram &)> &take);
    // `interface`: by which a multicast leaves, empty: as the routing table says.
    Status send(const wccp::Outgoing &datagram, const std::string &interface);
    Status join(const Address &group, const std::string &interface);
    void leave(const Address &group, const std::string &interface);

private:
    Socket(File file, bool ipv6);

    Status membership(const Address &group, const std::string &interface, bool join);

    File file_;
    bool ipv6_;
    std::vector<std::uint8_t> buffer_;
};

} // namespace wlb::daemon
