// SPDX-License-Identifier: GPL-2.0-only
// WCCP version 2's messages as structs: draft-wilson-wrec-wccp-v2-03 (D01) for 2.00,
// draft-mclaggan-wccp-v2rev1-00 (R1, whose sections are cited here) for 2.01.
//
// Numbers are in host order. An address field stays the 32-bit word that it is on the wire,
// because its meaning depends on another component: see addresses.h.
#pragma once

#include <array>
#include <cstdint>
#include <variant>
#include <vector>

#include "wccp/wire.h"

namespace wlb::wccp {

inline constexpr std::uint16_t port = 2048;        // UDP, both ways (R1 4.1)
inline constexpr std::uint32_t max_caches = 32;    // a bucket's index goes from 0 to 31 (R1 6.5)
inline constexpr std::uint32_t max_routers = 32;   // as elsewhere; no draft says
inline constexpr std::uint32_t max_mask_sets = 64; // ours
inline constexpr std::uint32_t max_values = 65536; // of a list of sets; ours
inline constexpr std::size_t header_size = 8;      // octets
inline constexpr std::size_t max_message = 65507;  // octets, a UDP datagram's over IPv4
inline constexpr std::size_t digest_offset = 16;   // of a message that begins with MD5 security

using Word = std::uint32_t; // an address field

enum class MessageType : std::uint32_t {
    here_i_am = 10,
    i_see_you = 11,
    redirect_assign = 12,
    removal_query = 13,
};

struct Header { // R1 4.6; the major version is 2
    MessageType type = MessageType::here_i_am;
    std::uint8_t minor = 0;
    bool operator==(const Header &) const = default;
};

struct SecurityInfo { // 0, R1 5.1.1
    static constexpr std::uint32_t none = 0, md5 = 1;
    std::uint32_t option = none;
    std::array<std::uint8_t, 16> digest{}; // with md5 only
    bool operator==(const SecurityInfo &) const = default;
};

struct ServiceInfo { // 1, R1 5.1.2; flags are WLB_WCCP_*
    static constexpr std::uint8_t standard = 0, dynamic = 1;
    std::uint8_t type = standard;
    std::uint8_t id = 0;
    std::uint8_t priority = 0; // the highest goes first
    std::uint8_t protocol = 0; // of IP
    std::uint32_t flags = 0;
    std::array<std::uint16_t, 8> ports{}; // up to the first 0
    bool operator==(const ServiceInfo &) const = default;
};

struct RouterElement { // R1 6.1
    Word address = 0;
    std::uint32_t receive_id = 0; // never 0 from a router; 0 in Squid's first message
    bool operator==(const RouterElement &) const = default;
};

struct RouterAssignment { // R1 6.2
    RouterElement router;
    std::uint32_t change_number = 0;
    bool operator==(const RouterAssignment &) const = default;
};

struct KeyElement { // R1 6.3
    Word address = 0;
    std::uint32_t number = 0;
    bool operator==(const KeyElement &) const = default;
};

struct MaskElement { // R1 6.15, the first four fields of 6.16
    Word src = 0;
    Word dst = 0;
    std::uint16_t sport = 0;
    std::uint16_t dport = 0;
    bool operator==(const MaskElement &) const = default;
};

struct ValueElement { // R1 6.16
    MaskElement value;
    Word cache = 0;
    bool operator==(const ValueElement &) const = default;
};

struct MaskSetElement { // R1 6.14
    MaskElement mask;
    std::vector<ValueElement> values;
    bool operator==(const MaskSetElement &) const = default;
};
using MaskList = std::vector<MaskSetElement>; // R1 6.13

struct CacheValueElement { // R1 6.19
    Word cache = 0;
    std::vector<std::uint32_t> numbers; // value sequence numbers
    bool operator==(const CacheValueElement &) const = default;
};

struct AltMaskSetElement { // R1 6.18
    MaskElement mask;
    std::vector<CacheValueElement> caches;
    bool operator==(const AltMaskSetElement &) const = default;
};
using AltMaskList = std::vector<AltMaskSetElement>; // R1 6.17

struct BucketsElement { // R1 6.5
    std::vector<Word> caches;
    std::array<std::uint8_t, 256> buckets{}; // as on the wire, see BucketFormat
    bool operator==(const BucketsElement &) const = default;
};

struct WeightStatus { // R1 6.9: from caches for the designated one, a router passes them on
    std::uint16_t weight = 0;
    std::uint16_t status = 0;
    bool operator==(const WeightStatus &) const = default;
};

struct HashData { // R1 6.6; bucket b is bit b % 8 of octet b / 8
    std::array<std::uint8_t, 32> buckets{};
    WeightStatus weight;
    bool operator==(const HashData &) const = default;
};

struct MaskData { // R1 6.7
    MaskList sets;
    WeightStatus weight;
    bool operator==(const MaskData &) const = default;
};

struct AltMaskData { // R1 6.8
    AltMaskList sets;
    WeightStatus weight;
    bool operator==(const AltMaskData &) const = default;
};

struct ExtendedData {       // R1 6.10
    std::uint16_t type = 0; // as the alternative's index; another one's octets are kept
    std::variant<HashData, MaskData, AltMaskData, WeightStatus, Octets> data;
    bool operator==(const ExtendedData &) const = default;
};

struct NoData { // R1 6.4
    bool operator==(const NoData &) const = default;
};

struct CacheElement { // R1 6.4
    // flags, bits counted from the least significant one
    static constexpr std::uint16_t unassigned = 0x0001;     // U: the data are historical
    static constexpr std::uint16_t unassigned_ats = 0x8000; // where Traffic Server puts it
    static constexpr std::uint16_t type_mask = 0x0006;
    static constexpr std::uint16_t minimum_version = 0x0008; // V

    Word address = 0;
    std::uint16_t revision = 0; // of the hash in 2.00, reserved in 2.01
    std::uint16_t flags = 0;    // the type bits are the alternative's index << 1
    std::variant<HashData, MaskData, NoData, ExtendedData> data;
    bool operator==(const CacheElement &) const = default;
};

struct RouterIdentity { // 2, R1 5.3.1
    RouterElement router;
    Word sent_to = 0;
    std::vector<Word> received_from;
    bool operator==(const RouterIdentity &) const = default;
};

struct CacheIdentity { // 3, R1 5.2.1
    CacheElement cache;
    bool operator==(const CacheIdentity &) const = default;
};

struct RouterView { // 4, R1 5.3.2
    std::uint32_t change_number = 0;
    KeyElement key;
    std::vector<Word> routers;
    std::vector<CacheElement> caches;
    bool operator==(const RouterView &) const = default;
};

struct CacheView { // 5, R1 5.2.2
    std::uint32_t change_number = 0;
    std::vector<RouterElement> routers;
    std::vector<Word> caches;
    bool operator==(const CacheView &) const = default;
};

struct AssignmentInfo { // 6, R1 5.4.1
    KeyElement key;
    std::vector<RouterAssignment> routers;
    BucketsElement buckets;
    bool operator==(const AssignmentInfo &) const = default;
};

struct RouterQuery { // 7, R1 5.5.1
    RouterElement router;
    Word sent_to = 0;
    Word target = 0;
    bool operator==(const RouterQuery &) const = default;
};

struct Element { // of a capability or a command: R1 6.11, 6.12
    std::uint16_t type = 0;
    Octets value;
    bool operator==(const Element &) const = default;
};

struct Capabilities { // 8, R1 5.1.3
    static constexpr std::uint16_t forwarding = 1, assignment = 2, packet_return = 3,
                                   transmit_t = 4, timer_scale = 5;
    std::vector<Element> elements;
    bool operator==(const Capabilities &) const = default;
};

using AssignmentBody = std::variant<BucketsElement, MaskList, AltMaskList, Octets>;

struct AlternateAssignment { // 13, R1 5.4.2
    std::uint16_t type = 0;  // as the alternative's index; another one's octets are kept
    KeyElement key;
    std::vector<RouterAssignment> routers;
    AssignmentBody body;
    bool operator==(const AlternateAssignment &) const = default;
};

struct AssignmentMap { // 14, R1 5.3.3
    MaskList sets;
    bool operator==(const AssignmentMap &) const = default;
};

struct Commands { // 15, R1 5.1.4; the value of both is the cache's address field
    static constexpr std::uint16_t shutdown = 1, shutdown_response = 2;
    std::vector<Element> elements;
    bool operator==(const Commands &) const = default;
};

struct AlternateMap { // 16, R1 5.3.4
    std::uint16_t type = 0;
    AssignmentBody body;
    bool operator==(const AlternateMap &) const = default;
};

struct AddressTable {                                  // 17, R1 5.1.5
    static constexpr std::uint16_t ipv4 = 1, ipv6 = 2; // families
    std::uint16_t family = ipv6;
    std::uint16_t entry_size = 16; // octets, a multiple of 4
    Octets entries;                // one after the other
    bool operator==(const AddressTable &) const = default;
};

struct Unknown { // of another type, or one more of a type that was there already
    std::uint16_t type = 0;
    Octets octets;
    bool operator==(const Unknown &) const = default;
};

using Component =
    std::variant<SecurityInfo, ServiceInfo, RouterIdentity, CacheIdentity, RouterView, CacheView,
                 AssignmentInfo, RouterQuery, Capabilities, AlternateAssignment, AssignmentMap,
                 Commands, AlternateMap, AddressTable, Unknown>;

struct Message {
    Header header;
    std::vector<Component> components; // in the order of the wire
    Octets rest; // within the header's length, but no whole component: ignored (R1 4.1)

    template <class T> [[nodiscard]] const T *find() const
    {
        for (const auto &component : components) {
            if (const auto *found = std::get_if<T>(&component))
                return found;
        }
        return nullptr;
    }
    bool operator==(const Message &) const = default;
};

} // namespace wlb::wccp
