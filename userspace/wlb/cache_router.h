// SPDX-License-Identifier: GPL-2.0-only
// The cache router as a user configures it: what wlb-routerd is to do for each
// service group. Passive data; names are those of wlb.toml(5).
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "wlb/address.h"
#include "wlb/duration.h"
#include "wlb/group.h"

namespace wlb {

// Which service a group redirects: draft-wilson-wrec-wccp-v2-03, 5.6.2. The
// only standard one is 0, HTTP; dynamic ones are described by the caches.
struct ServiceId {
    bool dynamic = false;
    std::uint8_t id = 0;

    // "web-cache", or the number of a dynamic one: a group's name.
    [[nodiscard]] std::string text() const;
    static Result<ServiceId> parse(std::string_view text);
    static Result<ServiceId> from_number(std::int64_t number);

    auto operator<=>(const ServiceId &) const = default;
};

// One line of a redirect list: "[!]SOURCE[ -> DESTINATION]", each a prefix or
// "any". The first that matches a packet decides; none: it is not redirected.
Result<RedirectRule> parse_redirect_rule(std::string_view text);
std::string to_text(const RedirectRule &rule);

enum class Allotment : std::uint8_t { hash, mask }; // how flows are dealt to caches
enum class Md5Compat : std::uint8_t { strict, squid };
enum class BucketFormat : std::uint8_t { cisco, draft };
enum class SquidFiller : std::uint8_t { off, on, automatic };

struct CacheGroup {
    ServiceId service;
    std::vector<std::string> redirect_in; // interfaces, as the next two
    std::vector<std::string> redirect_out;
    std::vector<std::string> exclude_in;
    std::vector<RedirectRule> redirect_list;
    std::vector<Prefix> group_list;        // who may be a cache
    bool any_cache = false;                // anybody, instead
    std::vector<Address> source;           // router id and outer source, at most one per family
    std::optional<Address> group_address;  // multicast
    std::vector<std::string> group_listen; // interfaces to hear it by
    std::string password_file;             // empty: no authentication
    bool closed = false;
    GroupHook hook = GroupHook::prerouting;
    seconds drain{0};
    std::set<Forward> forwarding{Forward::gre, Forward::l2}; // what is offered
    std::set<Forward> returning{Forward::gre, Forward::l2};
    std::set<Allotment> assignment{Allotment::hash, Allotment::mask};
    bool version_2_01 = true; // false: 2.00 to everybody
    bool variable_timers = true;
    bool strict_source = true;
    bool reassign_kick = false;
    seconds assignment_fallback{0}; // 0: caches alone assign
    SquidFiller squid_filler = SquidFiller::automatic;
    BucketFormat bucket_format = BucketFormat::cisco;
    Md5Compat md5_compat = Md5Compat::strict;

    bool operator==(const CacheGroup &) const = default;
};

// The role runs if it has a group.
struct CacheRouter {
    bool check_services_all = false;
    seconds lease{30}; // without the daemon for so long open groups go idle; 0: never
    std::vector<CacheGroup> groups;

    bool operator==(const CacheRouter &) const = default;
};

// "2.01", or "2.00" for false
Result<bool> parse_version_2_01(std::string_view text);

const char *name_of(Forward method);
const char *name_of(Allotment method);
const char *name_of(GroupHook hook);
const char *name_of(Md5Compat compat);
const char *name_of(BucketFormat format);
const char *name_of(SquidFiller filler);
Result<Forward> parse_forward(std::string_view text);
Result<Allotment> parse_allotment(std::string_view text);
Result<GroupHook> parse_group_hook(std::string_view text);
Result<Md5Compat> parse_md5_compat(std::string_view text);
Result<BucketFormat> parse_bucket_format(std::string_view text);
Result<SquidFiller> parse_squid_filler(std::string_view text);

} // namespace wlb
