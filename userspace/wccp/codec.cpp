// SPDX-License-Identifier: GPL-2.0-only
#include "wccp/codec.h"

#include <bitset>

#include "wccp/elements.h"

namespace wlb::wccp {
namespace {

constexpr std::uint8_t major_version = 2;
constexpr std::size_t tlv_size = 4;

std::uint32_t get32(View octets)
{
    return std::uint32_t{octets[0]} << 24 | std::uint32_t{octets[1]} << 16 |
           std::uint32_t{octets[2]} << 8 | octets[3];
}

std::size_t get16(View octets)
{
    return std::size_t{octets[0]} << 8 | octets[1];
}

void read(Reader &in, SecurityInfo &to)
{
    to.option = in.u32("option");
    if (to.option == SecurityInfo::md5)
        in.array(to.digest, "MD5 digest");
    else if (to.option != SecurityInfo::none)
        in.fail("option", std::to_string(to.option) + ", must be 0 (none) or 1 (MD5)");
}
void write(Writer &out, const SecurityInfo &from)
{
    out.u32(from.option);
    if (from.option == SecurityInfo::md5)
        out.octets(from.digest);
}

void read(Reader &in, ServiceInfo &to)
{
    to.type = in.u8("type");
    to.id = in.u8("ID");
    to.priority = in.u8("priority");
    to.protocol = in.u8("protocol");
    to.flags = in.u32("flags");
    for (auto &port : to.ports)
        port = in.u16("ports");
}
void write(Writer &out, const ServiceInfo &from)
{
    out.u8(from.type);
    out.u8(from.id);
    out.u8(from.priority);
    out.u8(from.protocol);
    out.u32(from.flags);
    for (const auto port : from.ports)
        out.u16(port);
}

void read(Reader &in, RouterIdentity &to)
{
    read(in, to.router);
    to.sent_to = in.u32("sent to address");
    read(in, to.received_from, max_caches, "number received from");
}
void write(Writer &out, const RouterIdentity &from)
{
    write(out, from.router);
    out.u32(from.sent_to);
    write(out, from.received_from);
}

void read(Reader &in, CacheIdentity &to)
{
    read(in, to.cache);
}
void write(Writer &out, const CacheIdentity &from)
{
    write(out, from.cache);
}

void read(Reader &in, RouterView &to)
{
    to.change_number = in.u32("member change number");
    read(in, to.key);
    read(in, to.routers, max_routers, "number of routers");
    to.caches.resize(in.count(8, max_caches, "number of caches"));
    for (auto &cache : to.caches)
        read(in, cache);
}
void write(Writer &out, const RouterView &from)
{
    out.u32(from.change_number);
    write(out, from.key);
    write(out, from.routers);
    out.u32(from.caches.size());
    for (const auto &cache : from.caches)
        write(out, cache);
}

void read(Reader &in, CacheView &to)
{
    to.change_number = in.u32("change number");
    to.routers.resize(in.count(8, max_routers, "number of routers"));
    for (auto &router : to.routers)
        read(in, router);
    read(in, to.caches, max_caches, "number of caches");
}
void write(Writer &out, const CacheView &from)
{
    out.u32(from.change_number);
    out.u32(from.routers.size());
    for (const auto &router : from.routers)
        write(out, router);
    write(out, from.caches);
}

void read(Reader &in, AssignmentInfo &to)
{
    read(in, to.key);
    read(in, to.routers);
    read(in, to.buckets);
}
void write(Writer &out, const AssignmentInfo &from)
{
    write(out, from.key);
    write(out, from.routers);
    write(out, from.buckets);
}

void read(Reader &in, RouterQuery &to)
{
    read(in, to.router);
    to.sent_to = in.u32("sent to address");
    to.target = in.u32("target address");
}
void write(Writer &out, const RouterQuery &from)
{
    write(out, from.router);
    out.u32(from.sent_to);
    out.u32(from.target);
}

void read(Reader &in, Capabilities &to)
{
    read(in, to.elements);
}

void read(Reader &in, Commands &to)
{
    read(in, to.elements);
}
void write(Writer &out, const Capabilities &from)
{
    write(out, from.elements);
}

void write(Writer &out, const Commands &from)
{
    write(out, from.elements);
}

// A length within a component that only says once more how long the component is.
void read_inner_length(Reader &in)
{
    const auto size = in.u16("assignment length");
    if (!in.failed() && size != in.left())
        in.fail("assignment length",
                std::to_string(size) + ", must be " + std::to_string(in.left()));
}

void read(Reader &in, AlternateAssignment &to)
{
    to.type = in.u16("assignment type");
    read_inner_length(in);
    read(in, to.key);
    read(in, to.routers);
    read_variant(in, to.type, to.body);
}
void write(Writer &out, const AlternateAssignment &from)
{
    out.u16(from.type);
    out.sized([&] {
        write(out, from.key);
        write(out, from.routers);
        write_variant(out, from.body);
    });
}

void read(Reader &in, AssignmentMap &to)
{
    read(in, to.sets);
}
void write(Writer &out, const AssignmentMap &from)
{
    write(out, from.sets);
}

void read(Reader &in, AlternateMap &to)
{
    to.type = in.u16("assignment type");
    read_inner_length(in);
    read_variant(in, to.type, to.body);
}
void write(Writer &out, const AlternateMap &from)
{
    out.u16(from.type);
    out.sized([&] { write_variant(out, from.body); });
}

void read(Reader &in, AddressTable &to)
{
    to.family = in.u16("address family");
    to.entry_size = in.u16("address length");
    if (!in.failed() && (to.entry_size == 0 || to.entry_size % 4 != 0))
        in.fail("address length",
                std::to_string(to.entry_size) + ", must be a multiple of 4 and not 0");
    const auto n = in.count(to.entry_size, 0xffff, "number of addresses");
    to.entries = copied(in.octets(std::size_t{n} * to.entry_size, "addresses"));
}
void write(Writer &out, const AddressTable &from)
{
    out.u16(from.family);
    out.u16(from.entry_size);
    out.u32(from.entry_size ? from.entries.size() / from.entry_size : 0);
    out.octets(from.entries);
}

void write(Writer &out, const Unknown &from)
{
    out.octets(from.octets);
}

template <class T> struct Known {
    std::uint16_t type;
    const char *name;
};

template <class T> constexpr Known<T> known{};
template <> constexpr Known<SecurityInfo> known<SecurityInfo>{0, "Security Info"};
template <> constexpr Known<ServiceInfo> known<ServiceInfo>{1, "Service Info"};
template <> constexpr Known<RouterIdentity> known<RouterIdentity>{2, "Router Identity Info"};
template <> constexpr Known<CacheIdentity> known<CacheIdentity>{3, "Web-Cache Identity Info"};
template <> constexpr Known<RouterView> known<RouterView>{4, "Router View Info"};
template <> constexpr Known<CacheView> known<CacheView>{5, "Web-Cache View Info"};
template <> constexpr Known<AssignmentInfo> known<AssignmentInfo>{6, "Assignment Info"};
template <> constexpr Known<RouterQuery> known<RouterQuery>{7, "Router Query Info"};
template <> constexpr Known<Capabilities> known<Capabilities>{8, "Capabilities Info"};
template <>
constexpr Known<AlternateAssignment> known<AlternateAssignment>{13, "Alternate Assignment"};
template <> constexpr Known<AssignmentMap> known<AssignmentMap>{14, "Assignment Map"};
template <> constexpr Known<Commands> known<Commands>{15, "Command Extension"};
template <> constexpr Known<AlternateMap> known<AlternateMap>{16, "Alternate Assignment Map"};
template <> constexpr Known<AddressTable> known<AddressTable>{17, "Address Table"};

template <class T> bool try_parse(std::uint16_t type, View body, Result<Component> &result)
{
    if (type != known<T>.type)
        return false;
    Reader in(body, known<T>.name);
    T component;
    read(in, component);
    expect_end(in);
    if (in.error())
        result = *in.error();
    else
        result = Component(std::move(component));
    return true;
}

template <class... T>
Result<Component> parse_known(std::uint16_t type, View body, const std::variant<T...> *)
{
    Result<Component> result = Component(Unknown{type, {}});
    const bool is_known = (... || [&] {
        if constexpr (std::is_same_v<T, Unknown>)
            return false;
        else
            return try_parse<T>(type, body, result);
    }());
    if (!is_known)
        result = Component(Unknown{type, copied(body)});
    return result;
}

} // namespace

Result<Header> parse_header(View datagram)
{
    if (datagram.size() < header_size)
        return Error{"header: " + std::to_string(datagram.size()) + " octets, needs 8"};
    Header header;
    const auto type = get32(datagram);
    if (type < 10 || type > 13)
        return Error{"header: type: " + std::to_string(type) + ", must be 10 to 13"};
    header.type = static_cast<MessageType>(type);
    if (datagram[4] != major_version)
        return Error{"header: version: " + std::to_string(datagram[4]) + ", must be 2"};
    header.minor = datagram[5];
    const auto length = get16(datagram.subspan(6));
    if (header_size + length > datagram.size())
        return Error{"header: length: " + std::to_string(length) + ", " +
                     std::to_string(datagram.size() - header_size) + " octets follow"};
    return header;
}

View message_of(View datagram)
{
    return datagram.first(header_size + get16(datagram.subspan(6)));
}

std::optional<View> find_component(View message, std::uint16_t type)
{
    auto left = message.subspan(header_size);
    while (left.size() >= tlv_size) {
        const auto size = get16(left.subspan(2));
        if (size > left.size() - tlv_size)
            break;
        if (get16(left) == type)
            return left.subspan(tlv_size, size);
        left = left.subspan(tlv_size + size);
    }
    return {};
}

std::optional<ServiceInfo> peek_service(View datagram)
{
    if (!parse_header(datagram))
        return {};
    const auto body = find_component(message_of(datagram), known<ServiceInfo>.type);
    if (!body)
        return {};
    Reader in(*body, "");
    ServiceInfo service;
    read(in, service);
    expect_end(in);
    if (in.failed())
        return {};
    return service;
}

Result<Message> parse(View datagram)
{
    Message message;
    const auto header = parse_header(datagram);
    if (!header)
        return header.error();
    message.header = *header;
    std::bitset<0x10000> seen;
    auto left = message_of(datagram).subspan(header_size);
    while (left.size() >= tlv_size) {
        const auto type = static_cast<std::uint16_t>(get16(left));
        const auto size = get16(left.subspan(2));
        if (size > left.size() - tlv_size)
            break;
        if (size % 4 != 0)
            return Error{"component " + std::to_string(type) + ": length: " + std::to_string(size) +
                         ", must be a multiple of 4"};
        const auto body = left.subspan(tlv_size, size);
        if (seen[type]) {
            message.components.emplace_back(Unknown{type, copied(body)});
        } else {
            auto component = parse_known(type, body, static_cast<Component *>(nullptr));
            if (!component)
                return component.error();
            message.components.push_back(std::move(*component));
            seen.set(type);
        }
        left = left.subspan(tlv_size + size);
    }
    message.rest = copied(left);
    return message;
}

Result<Octets> serialise(const Message &message)
{
    Writer out;
    out.u32(static_cast<std::uint32_t>(message.header.type));
    out.u8(major_version);
    out.u8(message.header.minor);
    out.sized([&] {
        for (const auto &component : message.components) {
            std::visit(
                [&]<class T>(const T &body) {
                    if constexpr (std::is_same_v<T, Unknown>)
                        out.u16(body.type);
                    else
                        out.u16(known<T>.type);
                    out.sized([&] { write(out, body); });
                },
                component);
        }
        out.octets(message.rest);
    });
    const bool too_long = out.too_long();
    auto octets = out.take();
    if (too_long || octets.size() > max_message)
        return Error{"message of " + std::to_string(octets.size()) + " octets, at most " +
                     std::to_string(max_message) + ", and 65535 a component"};
    return octets;
}

} // namespace wlb::wccp
