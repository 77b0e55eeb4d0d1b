// SPDX-License-Identifier: GPL-2.0-only
// IPv4 and IPv6 addresses, prefixes and port numbers.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wlb/result.h"

namespace wlb {

class Address {
public:
    Address() = default; // 0.0.0.0

    static Result<Address> parse(std::string_view text);
    // 4 or 16 bytes in network order, as the kernel sends them.
    static std::optional<Address> from_bytes(const void *data, std::size_t size);

    [[nodiscard]] bool is_ipv6() const { return size_ == 16; }
    [[nodiscard]] const char *family_name() const { return is_ipv6() ? "IPv6" : "IPv4"; }
    [[nodiscard]] const std::uint8_t *data() const { return bytes_.data(); }
    [[nodiscard]] std::uint8_t size() const { return size_; }
    [[nodiscard]] unsigned bits() const { return size_ * 8U; }
    [[nodiscard]] std::string text() const;
    // One host's: not unspecified, multicast, broadcast or IPv4 in IPv6.
    [[nodiscard]] bool is_host() const;
    [[nodiscard]] bool is_multicast() const;
    // The address with every bit past `length` zero.
    [[nodiscard]] Address network(unsigned length) const;

    auto operator<=>(const Address &) const = default;

private:
    std::uint8_t size_ = 4;
    std::array<std::uint8_t, 16> bytes_{};
};

// Prefix::parse leaves host bits as they are: whether they may be set is for
// validate() to say, which knows where the prefix came from.
struct Prefix {
    Address address;
    std::uint8_t length = 0;

    // "198.51.100.0/24", or an address alone for a prefix of one host.
    static Result<Prefix> parse(std::string_view text);
    [[nodiscard]] bool has_host_bits() const { return address.network(length) != address; }
    [[nodiscard]] bool contains(const Address &other) const
    {
        return other.is_ipv6() == address.is_ipv6() &&
               other.network(length) == address.network(length);
    }
    [[nodiscard]] std::string text() const;

    auto operator<=>(const Prefix &) const = default;
};

// "10.0.0.1:80", "[2001:db8::1]:80"
std::string endpoint(const Address &address, std::uint16_t port);

Result<std::uint16_t> parse_port(std::string_view text);
Result<std::uint16_t> to_port(std::int64_t number);

// "a,b,c" -> {"a", "b", "c"}; an empty text is a list of one empty item, so that
// whoever reads the items complains.
std::vector<std::string> split(std::string_view text, char separator = ',');
std::string join(const std::vector<std::string> &items, std::string_view separator = ",");

} // namespace wlb
