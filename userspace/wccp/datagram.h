// SPDX-License-Identifier: GPL-2.0-only
// What comes in from the network and goes out to it, on either side.
#pragma once

#include "wccp/message.h"
#include "wlb/address.h"

namespace wlb::wccp {

struct Datagram { // as received
    Address from;
    std::uint16_t from_port = port;
    Address to; // the packet's destination: a router's unicast answer comes from there
    View octets;
};

struct Outgoing {
    Address from; // a router's: where the cache has sent to, or its ID; a cache's own address
    Address to;
    std::uint16_t to_port = port;
    bool multicast = false;
    Octets octets;
};

} // namespace wlb::wccp
