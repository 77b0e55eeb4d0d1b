// SPDX-License-Identifier: GPL-2.0-only
// The secrets that gateways and replicas share. Pure: the file is read elsewhere.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "wccp/wire.h"
#include "wlb/result.h"

namespace wlb::registry {

using wccp::Octets;
using wccp::View;

struct Key {
    std::uint32_t id = 0;
    Octets secret;

    bool operator==(const Key &) const = default;
};

// The first signs, all are accepted: so that a key can be changed one host after another.
class Keys {
public:
    // Lines "ID SECRET", 1..16 of them; "#" begins a comment. A secret is 32 hexadecimal digits
    // or more, an even number of them, or else 16 characters or more without a space. Errors
    // name the line, never what it says.
    static Result<Keys> parse(std::string_view text);

    [[nodiscard]] const Key *find(std::uint32_t id) const;
    [[nodiscard]] const Key &first() const { return keys_.front(); }

    bool operator==(const Keys &) const = default;

private:
    std::vector<Key> keys_; // at least one
};

using Mac = std::array<std::uint8_t, 32>;

// HMAC-SHA256 over `octets`, then one octet `direction`: what one side has said is never
// taken for what the other has. All zero: there was no memory; nobody's is.
Mac mac_of(View octets, std::uint8_t direction, const Key &key);
// In constant time.
bool same(const Mac &mac, View octets);

} // namespace wlb::registry
