// SPDX-License-Identifier: GPL-2.0-only
// The configuration of one network namespace as passive data. Field for field
// what include/uapi/linux/wlb.h carries; numbers are wide enough to hold what a
// user wrote wrongly, so that validate() can say so.
#pragma once

#include <linux/wlb.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "wlb/address.h"
#include "wlb/cache_host.h"
#include "wlb/cache_router.h"
#include "wlb/duration.h"
#include "wlb/processing.h"
#include "wlb/registry_config.h"

namespace wlb {

// Who clones a service's SYNs.
enum class ServiceRace : std::uint8_t { join = WLB_SERVICE_JOIN, direct = WLB_SERVICE_DIRECT };

// Whether a service's packets may go past the firewall's rules: enum wlb_fastpath.
enum class FastPath : std::uint8_t {
    automatic = WLB_FASTPATH_AUTO,
    on = WLB_FASTPATH_ON,
    off = WLB_FASTPATH_OFF
};

struct Service {
    std::string name;
    std::vector<std::uint16_t> ports;
    bool all_ports = false;
    std::vector<Prefix> replicas;
    bool any_replica = false;
    std::vector<Prefix> never;
    seconds sticky{0};
    ServiceRace race = ServiceRace::join;
    std::int64_t fan_out = 4;
    seconds explore{10};
    FastPath fastpath = FastPath::automatic;

    bool operator==(const Service &) const = default;
};

struct Timeouts {
    seconds racing{70};
    seconds tombstone{70};
    seconds established{7440};
    seconds closing{60};
    seconds reset{10};
    seconds untagged{600};
    seconds dead{30};
    seconds learned{600};

    bool operator==(const Timeouts &) const = default;
};

enum class Race : std::uint8_t { raw, equal };
enum class Pick : std::uint8_t { nearest = WLB_PICK_NEAREST, random = WLB_PICK_RANDOM };
enum class Via : std::uint8_t { gre = WLB_VIA_GRE, ipip = WLB_VIA_IPIP };
enum class Return : std::uint8_t {
    nat = WLB_RETURN_NAT,
    spoof = WLB_RETURN_SPOOF,
    tunnel = WLB_RETURN_TUNNEL
};

enum class Conntrack : std::uint8_t {
    outside = WLB_CONNTRACK_OUTSIDE,
    notrack = WLB_CONNTRACK_NOTRACK
};

struct ClientGateway {
    std::vector<std::string> inside;
    std::int64_t max_flows = 131072;
    std::int64_t client_quota = 4096;
    std::int64_t max_learned = 4096;
    std::set<Return> returns{Return::nat, Return::spoof, Return::tunnel};
    Conntrack conntrack = Conntrack::outside;
    Timeouts timeouts;
    std::vector<Service> services;

    bool operator==(const ClientGateway &) const = default;
};

struct Replica {
    Address address;
    Via via = Via::gre;
    microseconds delay{0};

    bool operator==(const Replica &) const = default;
};

struct Origin {
    std::string name;
    std::vector<Address> servers;
    std::vector<std::uint16_t> ports;
    Race race = Race::raw;
    microseconds max_hold{200000};
    std::vector<Replica> replicas;
    std::optional<Address> source;
    bool strip_tag = false;
    std::int64_t fan_out = WLB_MAX_REPLICAS;
    Pick pick = Pick::nearest;
    std::int64_t clones_per_second = 0; // 0: any number
    std::int64_t clones_per_prefix = 0; // likewise, and in a second
    seconds cookie{0};                  // 0: none is asked for
    std::optional<Registry> registry{}; // wlb-gatewayd's, not the kernel's

    bool operator==(const Origin &) const = default;
};

struct ServerGateway {
    std::int64_t clones_per_second = 0; // of all origins; 0: any number

    bool operator==(const ServerGateway &) const = default;
};

struct Served {
    std::string name;
    std::vector<Address> servers;
    std::vector<std::uint16_t> ports;
    std::optional<Address> local; // required; absent only until validate() says so
    Return return_mode = Return::nat;
    std::optional<Via> via;  // towards the client; what `nat` has not, the others have
    bool trust_path = false; // spoof without a probe
    std::vector<Prefix> from;
    Registration registration{}; // wlb-replicad's, not the kernel's

    bool operator==(const Served &) const = default;
};

// A role runs if it has an object: a service, an origin, a served origin.
struct Config {
    ClientGateway client_gateway;
    ServerGateway server_gateway;
    std::vector<Origin> origins;
    std::vector<Served> served;
    CacheRouter cache_router; // wlb-routerd's, not the kernel's: as read from a file
    CacheHost cache_host;     // wlb-cached's, likewise
    Processing processing;    // wlb-processd's, likewise

    bool operator==(const Config &) const = default;
};

// The name of a served origin that was given none: its first server's address.
// Names have no colons, so IPv6 is written with dashes.
std::string default_name(const Address &server);

// What a served origin that names no encapsulation has, if it needs one.
std::optional<Via> default_via(Return mode);

const char *name_of(ServiceRace race);
const char *name_of(FastPath fastpath);
const char *name_of(Race race);
const char *name_of(Pick pick);
const char *name_of(Via via);
const char *name_of(Return mode);
const char *name_of(Conntrack conntrack);
Result<ServiceRace> parse_service_race(std::string_view text);
Result<FastPath> parse_fastpath(std::string_view text);
Result<Race> parse_race(std::string_view text);
Result<Pick> parse_pick(std::string_view text);
Result<Via> parse_via(std::string_view text);
Result<Return> parse_return(std::string_view text);
Result<Conntrack> parse_conntrack(std::string_view text);

} // namespace wlb
