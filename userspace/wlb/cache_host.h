// SPDX-License-Identifier: GPL-2.0-only
// The host of a proxy as a user configures it: what wlb-cached is to do so that it is
// a WCCP cache. Passive data; names are those of [cache] in wlb.toml(5).
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "wlb/address.h"
#include "wlb/cache_router.h"
#include "wlb/duration.h"
#include "wlb/group.h"
#include "wlb/redirect.h"

namespace wlb {

// What of a packet its bucket depends on; the values are the service's flags.
enum class HashField : std::uint8_t {
    source_ip = WLB_WCCP_SRC_IP,
    destination_ip = WLB_WCCP_DST_IP,
    source_port = WLB_WCCP_SRC_PORT,
    destination_port = WLB_WCCP_DST_PORT
};

// A service as its caches describe it to the routers. The standard one needs no
// description: all but its id means nothing.
struct CacheService {
    ServiceId id;
    std::int64_t protocol = 6;        // of IP; 0: any
    std::vector<std::uint16_t> ports; // none: all of them
    bool source_ports = false;        // instead of destination ports
    std::set<HashField> hash{HashField::destination_ip};
    std::set<HashField> alternative_hash; // of hot buckets
    std::int64_t priority = 0;

    bool operator==(const CacheService &) const = default;
};

// Bits that the values of mask assignment are made of.
struct CacheMask {
    std::optional<Address> source;
    std::optional<Address> destination;
    std::int64_t source_port = 0;
    std::int64_t destination_port = 0;

    bool operator==(const CacheMask &) const = default;
};

struct BucketRange {
    std::uint8_t first = 0;
    std::uint8_t last = 0; // this one too

    bool operator==(const BucketRange &) const = default;
};

struct CacheTraffic { // all that is said must be met
    std::optional<Prefix> source;
    std::optional<Prefix> destination;
    std::optional<std::uint16_t> source_port;
    std::optional<std::uint16_t> destination_port;

    bool operator==(const CacheTraffic &) const = default;
};

// What a member of a group takes, whatever its weight.
struct CacheMember {
    Address address;
    std::vector<BucketRange> buckets;  // with hash assignment; none: every one
    std::vector<CacheTraffic> traffic; // with mask assignment, any of them; none: all

    bool operator==(const CacheMember &) const = default;
};

// Where the proxy listens, and how it gets what the routers send.
enum class DeliverBy : std::uint8_t { tproxy, redirect };
struct Deliver {
    DeliverBy by = DeliverBy::tproxy;
    std::uint16_t port = 0;

    bool operator==(const Deliver &) const = default;
};

// How the proxy is asked whether it works.
struct HttpProbe {
    Address address;
    std::uint16_t port = 80;
    std::string path = "/";         // begins with a slash
    std::set<std::uint16_t> status; // good answers; none: any below 500

    [[nodiscard]] std::string url() const;
    bool operator==(const HttpProbe &) const = default;
};
struct TcpProbe {
    Address address;
    std::uint16_t port = 0;

    bool operator==(const TcpProbe &) const = default;
};
struct CommandProbe {
    std::vector<std::string> arguments; // the first is the program's path

    bool operator==(const CommandProbe &) const = default;
};
struct Probe {
    std::variant<HttpProbe, TcpProbe, CommandProbe> question;
    milliseconds interval{2000};
    milliseconds timeout{1000};
    std::int64_t rise = 2; // good answers in a row until it works
    std::int64_t fall = 3; // bad ones until it does not

    bool operator==(const Probe &) const = default;
};

// One service of one address family that this host is a cache of.
struct Membership {
    CacheService service;
    std::optional<Address> address; // required; absent only until validate() says so
    std::vector<Address> routers;
    std::optional<Address> group_address; // multicast
    std::string group_interface;          // to hear and speak it by
    bool learn_routers = true;
    bool strict_source = true;
    std::vector<Prefix> router_list; // whose messages are looked at; none: everybody's
    std::string password_file;       // empty: no authentication
    bool version_2_01 = true;        // false: 2.00
    std::vector<Forward> forwarding{Forward::gre, Forward::l2}; // by preference, as the next two
    std::vector<Forward> returning{Forward::gre, Forward::l2};
    std::vector<Allotment> assignment{Allotment::hash, Allotment::mask};
    milliseconds interval{10000}; // from one HERE_I_AM to the next
    std::int64_t timeout_scale = 1;
    std::int64_t assignment_scale = 1;
    std::int64_t weight = 0;
    std::optional<CacheMask> mask; // absent: the usual six bits
    BucketFormat bucket_format = BucketFormat::cisco;
    std::set<std::uint8_t> hot_buckets; // marked for the alternative hash
    seconds slow_start{0};
    bool yield = false;             // to another member's full assignment
    std::optional<Deliver> deliver; // absent: the administrator's own rules see the mark
    std::optional<Probe> probe;     // absent: the proxy always works
    std::vector<CacheMember> members;

    [[nodiscard]] bool is_ipv6() const { return address && address->is_ipv6(); }
    // "web-cache", "80 (IPv6)": how messages call it; a host has one of each.
    [[nodiscard]] std::string name() const;
    bool operator==(const Membership &) const = default;
};

// Near any of them some of the new connections are returned, at it all.
struct Overload {
    std::optional<std::int64_t> connections; // TCP sockets in use in this namespace
    std::optional<double> load;              // average of one minute
    std::optional<milliseconds> answer_time; // of a probe

    bool operator==(const Overload &) const = default;
};

// The role runs if it has a group.
struct CacheHost {
    std::int64_t mark = 1;            // of packets that are taken in
    std::vector<RedirectRule> bypass; // what goes back to the router
    Overload overload;
    std::vector<Membership> groups;

    bool operator==(const CacheHost &) const = default;
};

const char *name_of(HashField field);
const char *name_of(DeliverBy way);
Result<HashField> parse_hash_field(std::string_view text);
// "tcp", "udp", or a number.
std::string protocol_text(std::int64_t protocol);
Result<std::int64_t> parse_protocol(std::string_view text);
// "0-63", "128"
std::string to_text(const BucketRange &range);
Result<BucketRange> parse_bucket_range(std::string_view text);
// "http://127.0.0.1:3128/path": the host is an address.
Result<HttpProbe> parse_http_probe(std::string_view url);
// "127.0.0.1:3128", "[::1]:3128"
Result<TcpProbe> parse_tcp_probe(std::string_view text);

} // namespace wlb
