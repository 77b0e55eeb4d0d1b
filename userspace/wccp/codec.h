// SPDX-License-Identifier: GPL-2.0-only
// Messages from octets and back. Whatever parses is written again octet by octet as it was,
// without what a datagram held after the message's end.
#pragma once

#include <optional>

#include "wccp/message.h"
#include "wccp/wire.h"
#include "wlb/result.h"

namespace wlb::wccp {

// The header of a datagram's octets, if it is one of version 2 and as long as it says.
Result<Header> parse_header(View datagram);
// The message without what follows it in the datagram; `datagram` must have a header.
View message_of(View datagram);

// An error names the component, the field and what is allowed. A component of a type that
// was there already is not looked into: the first one counts (R1 4.1).
Result<Message> parse(View datagram);

// The first component of a type, unparsed, and nothing else of the message looked into: to
// tell whose message it is, and whether it is authentic, before any more of it is trusted.
std::optional<View> find_component(View message, std::uint16_t type);
std::optional<ServiceInfo> peek_service(View datagram);

// Fails if a component or the message is too long for its length field or for UDP.
Result<Octets> serialise(const Message &message);

} // namespace wlb::wccp
