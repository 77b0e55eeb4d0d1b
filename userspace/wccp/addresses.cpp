// SPDX-License-Identifier: GPL-2.0-only
#include "wccp/addresses.h"

#include <algorithm>

namespace wlb::wccp {
namespace {

Address from_octets(const std::uint8_t *octets, bool ipv6)
{
    return *Address::from_bytes(octets, ipv6 ? 16 : 4);
}

} // namespace

Address unspecified(bool ipv6)
{
    static constexpr std::array<std::uint8_t, 16> zero{};
    return from_octets(zero.data(), ipv6);
}

bool contains(const std::vector<Prefix> &list, const Address &address)
{
    return std::any_of(list.begin(), list.end(),
                       [&](const Prefix &prefix) { return prefix.contains(address); });
}

bool has_command(const Message &message, std::uint16_t command, const Addresses &addresses,
                 const Address &cache)
{
    const auto *commands = message.find<Commands>();
    return commands && std::any_of(commands->elements.begin(), commands->elements.end(),
                                   [&](const Element &element) {
                                       if (element.type != command || element.value.size() != 4)
                                           return false;
                                       Reader in(element.value, "");
                                       const auto named = addresses.address(in.u32(""));
                                       return named && *named == cache;
                                   });
}

Element command_for(std::uint16_t command, const Address &cache, AddressList &list)
{
    Writer out;
    out.u32(list.word(cache));
    return {command, out.take()};
}

Result<Addresses> Addresses::of(const Message &message)
{
    Addresses result;
    const auto *table = message.find<AddressTable>();
    if (!table)
        return result;
    if (message.header.minor == 0)
        return Error{"Address Table: in a message of version 2.00"};
    if (table->family != AddressTable::ipv4 && table->family != AddressTable::ipv6)
        return Error{"Address Table: family: " + std::to_string(table->family) +
                     ", must be 1 (IPv4) or 2 (IPv6)"};
    result.table_ = true;
    result.ipv6_ = table->family == AddressTable::ipv6;
    const std::size_t size = result.ipv6_ ? 16 : 4;
    if (table->entry_size < size)
        return Error{"Address Table: address length: " + std::to_string(table->entry_size) +
                     ", at least " + std::to_string(size)};
    for (std::size_t at = 0; at < table->entries.size(); at += table->entry_size)
        result.entries_.push_back(from_octets(table->entries.data() + at, result.ipv6_));
    return result;
}

Result<Address> Addresses::address(Word word) const
{
    if (!table_) {
        const std::array<std::uint8_t, 4> octets{
            static_cast<std::uint8_t>(word >> 24), static_cast<std::uint8_t>(word >> 16),
            static_cast<std::uint8_t>(word >> 8), static_cast<std::uint8_t>(word)};
        return from_octets(octets.data(), false);
    }
    if (word == 0)
        return unspecified(ipv6_);
    if (word > entries_.size())
        return Error{"address index: " + std::to_string(word) + ", at most " +
                     std::to_string(entries_.size())};
    return entries_[word - 1];
}

Result<wlb_wccp_mask> Addresses::mask(const MaskElement &element) const
{
    const auto src = address(element.src);
    const auto dst = address(element.dst);
    if (!src || !dst)
        return src ? dst.error() : src.error();
    wlb_wccp_mask result{};
    std::copy_n(src->data(), src->size(), result.src);
    std::copy_n(dst->data(), dst->size(), result.dst);
    result.sport = element.sport;
    result.dport = element.dport;
    return result;
}

Word AddressList::word(const Address &address)
{
    if (!ipv6_) {
        const auto *octets = address.data();
        return Word{octets[0]} << 24 | Word{octets[1]} << 16 | Word{octets[2]} << 8 | octets[3];
    }
    if (address == unspecified(true))
        return 0;
    auto found = std::find(entries_.begin(), entries_.end(), address);
    if (found == entries_.end())
        found = entries_.insert(found, address);
    return static_cast<Word>(found - entries_.begin() + 1);
}

Word AddressList::word(const std::uint8_t *octets)
{
    return word(from_octets(octets, ipv6_));
}

MaskElement AddressList::mask(const wlb_wccp_mask &mask)
{
    return {word(mask.src), word(mask.dst), mask.sport, mask.dport};
}

void AddressList::finish(Message &message) const
{
    if (entries_.empty())
        return;
    AddressTable table;
    for (const auto &entry : entries_)
        table.entries.insert(table.entries.end(), entry.data(), entry.data() + entry.size());
    message.components.emplace_back(std::move(table));
}

} // namespace wlb::wccp
