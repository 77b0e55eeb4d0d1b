// SPDX-License-Identifier: GPL-2.0-only
// MD5 security (D01 5.6.1, R1 5.1.1): a digest over the password, as 8 octets, and the
// message with the digest's own octets zero. Weak by today's measure, and what there is.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "wccp/message.h"
#include "wccp/wire.h"

namespace wlb::wccp {

// How a peer makes 8 octets of a password. Squid 4.13 and 5.0.4 take 9 (bug 5076), older
// ones lose the eighth character to a terminator.
enum class DigestForm { draft, nine_octets, seven_characters };

using Digest = std::array<std::uint8_t, 16>;

// The digest of a message, header to end, whose digest lies at `digest_offset` octets.
Digest digest_of(View message, std::string_view password, DigestForm form);

// Fills in the digest of a message whose first component is MD5 security.
void sign(std::span<std::uint8_t> message, std::string_view password, DigestForm form);

// The Security Info of messages with that password, or none if it is empty; and such a
// message's octets with the digest filled in, or none if it is too long.
SecurityInfo security_info(std::string_view password);
Octets sealed(const Message &message, std::string_view password, DigestForm form);

enum class Verdict {
    authentic,
    malformed, // no Security Info, or not of its option's length
    unwanted,  // MD5 where no password is set, or none where one is
    forged,    // another digest
};

// Whether a message (see message_of()) may be trusted; `password` is empty for none. In
// time that does not depend on the digest. The form is the one that fits: the draft's or,
// if `accept_squid`, one of Squid's.
struct Authentication {
    Verdict verdict = Verdict::malformed;
    DigestForm form = DigestForm::draft;
};
Authentication authenticate(View message, std::string_view password, bool accept_squid);

} // namespace wlb::wccp
