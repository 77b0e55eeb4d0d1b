// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace wlb {

Result<Address> Address::parse(std::string_view text)
{
    const std::string terminated(text);
    const bool whole = text.find('\0') == std::string_view::npos; // there inet_pton() stops
    Address address;
    if (whole && inet_pton(AF_INET, terminated.c_str(), address.bytes_.data()) == 1)
        return address;
    address.size_ = 16;
    if (whole && inet_pton(AF_INET6, terminated.c_str(), address.bytes_.data()) == 1)
        return address;
    return Error{"\"" + terminated + "\" is not an IPv4 or IPv6 address"};
}

std::optional<Address> Address::from_bytes(const void *data, std::size_t size)
{
    if (size != 4 && size != 16)
        return std::nullopt;
    Address address;
    address.size_ = static_cast<std::uint8_t>(size);
    std::copy_n(static_cast<const std::uint8_t *>(data), size, address.bytes_.begin());
    return address;
}

std::string Address::text() const
{
    std::array<char, INET6_ADDRSTRLEN> buffer{};
    return inet_ntop(is_ipv6() ? AF_INET6 : AF_INET, bytes_.data(), buffer.data(), buffer.size());
}

bool Address::is_host() const
{
    if (!is_ipv6()) {
        const bool broadcast =
            std::all_of(bytes_.begin(), bytes_.begin() + 4, [](auto byte) { return byte == 0xff; });
        return bytes_[0] != 0 && !is_multicast() && !broadcast;
    }
    in6_addr address{};
    std::copy(bytes_.begin(), bytes_.end(), std::begin(address.s6_addr));
    return !IN6_IS_ADDR_UNSPECIFIED(&address) && !is_multicast() && !IN6_IS_ADDR_V4MAPPED(&address);
}

bool Address::is_multicast() const
{
    return is_ipv6() ? bytes_[0] == 0xff : (bytes_[0] & 0xf0) == 0xe0;
}

Address Address::network(unsigned length) const
{
    Address result = *this;
    for (unsigned bit = length; bit < bits(); ++bit)
        result.bytes_[bit / 8] &= static_cast<std::uint8_t>(~(0x80U >> (bit % 8)));
    return result;
}

Result<Prefix> Prefix::parse(std::string_view text)
{
    const auto slash = text.find('/');
    const auto address = Address::parse(text.substr(0, slash));
    if (!address)
        return Error{"\"" + std::string(text) + "\" is not an address or prefix"};
    if (slash == std::string_view::npos)
        return Prefix{*address, static_cast<std::uint8_t>(address->bits())};

    const auto digits = text.substr(slash + 1);
    unsigned length = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (error != std::errc{} || end != digits.data() + digits.size() || length > address->bits())
        return Error{"\"" + std::string(text) + "\": the prefix length must be 0.." +
                     std::to_string(address->bits())};
    return Prefix{*address, static_cast<std::uint8_t>(length)};
}

std::string Prefix::text() const
{
    if (length == address.bits())
        return address.text();
    return address.text() + "/" + std::to_string(length);
}

std::string endpoint(const Address &address, std::uint16_t port)
{
    const auto text = address.is_ipv6() ? "[" + address.text() + "]" : address.text();
    return text + ":" + std::to_string(port);
}

Result<std::uint16_t> to_port(std::int64_t number)
{
    if (number < 1 || number > 65535)
        return Error{"port " + std::to_string(number) + " is outside 1..65535"};
    return static_cast<std::uint16_t>(number);
}

Result<std::uint16_t> parse_port(std::string_view text)
{
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size())
        return Error{"\"" + std::string(text) + "\" is not a port: a number of 1..65535"};
    return to_port(number);
}

std::vector<std::string> split(std::string_view text, char separator)
{
    std::vector<std::string> items;
    for (;;) {
        const auto end = text.find(separator);
        items.emplace_back(text.substr(0, end));
        if (end == std::string_view::npos)
            return items;
        text.remove_prefix(end + 1);
    }
}

std::string join(const std::vector<std::string> &items, std::string_view separator)
{
    std::string text;
    for (const auto &item : items) {
        if (!text.empty())
            text += separator;
        text += item;
    }
    return text;
}

} // namespace wlb
