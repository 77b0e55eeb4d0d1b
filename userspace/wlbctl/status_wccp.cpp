// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/status_wccp.h"

#include <algorithm>
#include <map>

#include "wlb/cache_router.h"
#include "wlb/kernel_metrics.h"
#include "wlbctl/json_text.h"

namespace wlb::cli {

namespace {

std::string id_of(bool dynamic, std::uint8_t id)
{
    return ServiceId{dynamic, id}.text();
}

const char *family_of(bool ipv6)
{
    return ipv6 ? "IPv6" : "IPv4";
}

// null for "".
Json reason(const std::string &text)
{
    return text.empty() ? Json() : Json(text);
}

Json list_of(const Json &object, const char *key)
{
    return object.is_object() ? object.value(key, Json::array()) : Json::array();
}

// One cache: what the daemon has heard of it, and what the kernel gives it.
struct Entry {
    const Json *told = nullptr;                  // absent: it was not heard, or nobody knows
    const RunningAssignment *assigned = nullptr; // with its index, if it is a member
    std::size_t index = 0;
};

Json cache_status(const std::string &address, const Entry &entry, const Shares &shares,
                  std::uint64_t all)
{
    const auto told = entry.told == nullptr ? Json() : *entry.told;
    std::string why = told.is_null() ? "" : told.value("why", "");
    Json json{{"address", address},
              {"usable", told.is_null() ? Json() : told.at("usable")},
              {"state", told.is_null() ? Json() : told.at("state")}};
    std::uint64_t buckets = 0;
    if (entry.assigned != nullptr) {
        const auto &member = entry.assigned->assignment.members[entry.index];
        const auto &counters = entry.assigned->counters[entry.index];
        buckets = shares.members[entry.index];
        json["forwarding"] = name_of(member.forward);
        json["return"] = name_of(member.return_method);
        json["packets"] = counters.packets;
        json["bytes"] = counters.bytes;
        json["returned"] = counters.returned;
    }
    json["buckets"] = buckets;
    json["share"] = all == 0 ? 0 : static_cast<double>(buckets) / static_cast<double>(all);
    if (buckets == 0 && why.empty() && (told.is_null() || told.at("usable").get<bool>()))
        why = "it has no bucket";
    json["why"] = reason(why);
    return json;
}

// Why a family's packets, or some of them, go to no cache.
std::string family_why(const Json &family, const Json &told)
{
    if (!family.at("method").is_null()) {
        const auto nobody = family.at("unassigned").get<std::uint64_t>();
        return nobody == 0 ? "" : std::to_string(nobody) + " buckets have no cache";
    }
    if (told.is_null())
        return "no cache has any of its packets";
    if (told.at("caches").empty())
        return "no cache has been heard";
    if (family.at("usable") == 0)
        return "no cache is usable";
    const auto refused = told.value("assignment-refused", "");
    if (!refused.empty())
        return "the last assignment was refused: " + refused;
    return "the caches have not assigned its packets yet";
}

Json family_status(bool ipv6, const RunningAssignment *assigned, const Json &told)
{
    std::map<Address, Entry> entries;
    const auto heard = list_of(told, "caches");
    for (const auto &cache : heard)
        if (const auto address = Address::parse(cache.at("address").get<std::string>()))
            entries[*address].told = &cache;
    Shares shares;
    std::uint64_t all = 0;
    if (assigned != nullptr) {
        shares = shares_of(assigned->assignment);
        all = shares.nobody;
        for (std::size_t i = 0; i < assigned->assignment.members.size(); ++i) {
            auto &entry = entries[assigned->assignment.members[i].address];
            entry.assigned = assigned;
            entry.index = i;
            all += shares.members[i];
        }
    }
    std::size_t usable = 0;
    auto caches = Json::array();
    for (const auto &[address, entry] : entries) {
        caches.push_back(cache_status(address.text(), entry, shares, all));
        usable += caches.back().at("usable") == true ? 1 : 0;
    }
    Json json{{"family", family_of(ipv6)},
              {"method",
               assigned == nullptr ? Json() : Json(assigned->assignment.buckets ? "hash" : "mask")},
              {"usable", told.is_null() ? Json() : Json(usable)},
              {"routers", told.is_null() ? Json() : Json(told.at("routers").size())},
              {"buckets", all},
              {"unassigned", shares.nobody}};
    json["why"] = reason(family_why(json, told));
    json["caches"] = caches;
    return json;
}

Json group_status(const RunningGroup &running, const std::vector<RunningAssignment> &assigned,
                  const Json &told)
{
    const auto &group = running.group;
    const auto id = id_of(group.type == GroupType::dynamic, group.id);
    auto packets = Json::object();
    for (const auto &counter : running.counters)
        if (counter.value != 0)
            packets[counter.name] = counter.value;
    auto families = Json::array();
    auto idle = Json::array();
    for (const bool ipv6 : {false, true}) {
        const auto found = std::find_if(assigned.begin(), assigned.end(), [&](const auto &one) {
            return one.assignment.group == group.name && one.assignment.ipv6 == ipv6;
        });
        Json known;
        for (const auto &one : list_of(told, "groups"))
            if (one.at("group") == id && one.at("family") == family_of(ipv6))
                known = one;
        auto family = family_status(ipv6, found == assigned.end() ? nullptr : &*found, known);
        // One that no cache speaks is worth a line only if none speaks the other either.
        (family.at("caches").empty() ? idle : families).push_back(std::move(family));
    }
    if (families.empty())
        families.push_back(idle.front());
    return {{"group", id},
            {"mode", group.closed ? "closed" : "open"},
            {"packets", packets},
            {"families", families}};
}

std::string percent(const Json &share)
{
    return fixed(100 * share.get<double>(), 1) + " %";
}

void write_family(std::ostream &out, const Json &family)
{
    out << "    " << text(family.at("family")) << ": ";
    const auto members = std::to_string(family.at("caches").size());
    if (family.at("usable").is_null())
        out << members << " caches";
    else
        out << family.at("usable") << " of " << members << " caches usable";
    if (!family.at("method").is_null())
        out << ", " << text(family.at("method")) << " assignment";
    out << (family.at("why").is_null() ? "" : ": " + text(family.at("why"))) << "\n";
    for (const auto &cache : family.at("caches")) {
        const auto &usable = cache.at("usable");
        out << "      " << text(cache.at("address")) << " ";
        if (!usable.is_null())
            out << (usable.get<bool>() ? "usable, " : "NOT usable, ") << text(cache.at("state"))
                << ", ";
        out << "buckets " << cache.at("buckets") << " (" << percent(cache.at("share")) << ")";
        if (cache.contains("packets"))
            out << ", " << text(cache.at("forwarding")) << ", packets " << cache.at("packets");
        out << (cache.at("why").is_null() ? "" : ": " + text(cache.at("why"))) << "\n";
    }
}

Json router_of_cache(const Json &told)
{
    return {{"router", told.at("router-id")},
            {"state", told.at("state")},
            {"share", told.at("share")},
            {"returned_packets", told.value("returned-packets", Json())},
            {"returned_bytes", told.value("returned-bytes", Json())},
            {"why", reason(told.value("why", ""))}};
}

Json membership_status(const Json &told)
{
    auto routers = Json::array();
    for (const auto &router : told.at("routers"))
        routers.push_back(router_of_cache(router));
    for (const auto &address : told.at("unheard"))
        routers.push_back({{"router", address},
                           {"state", nullptr},
                           {"share", 0},
                           {"returned_packets", nullptr},
                           {"returned_bytes", nullptr},
                           {"why", "it does not answer"}});
    const auto &proxy = told.at("proxy");
    return {{"group", told.at("group")},
            {"family", told.at("family")},
            {"address", told.at("address")},
            {"phase", told.at("drained").get<bool>() ? Json("drained") : told.at("phase")},
            {"proxy", proxy.at("state")},
            {"proxy_why", reason(proxy.value("why", ""))},
            {"designated", told.at("designated") == told.at("address")},
            {"why_not_designated", reason(told.value("why-not-designated", ""))},
            {"routers", routers}};
}

// What the kernel alone knows of the groups: from whom packets are taken in.
Json groups_of_doors(const RunningDoors &running)
{
    std::map<std::pair<std::string, bool>, Json> groups;
    for (std::size_t i = 0; i < running.cache.doors.size(); ++i) {
        const auto &door = running.cache.doors[i];
        const auto group = id_of(door.type == GroupType::dynamic, door.id);
        const bool ipv6 = door.address.is_ipv6();
        auto &json = groups[{group, ipv6}];
        if (json.is_null())
            json = {{"group", group},          {"family", family_of(ipv6)},
                    {"address", nullptr},      {"phase", nullptr},
                    {"proxy", nullptr},        {"proxy_why", nullptr},
                    {"designated", nullptr},   {"why_not_designated", nullptr},
                    {"routers", Json::array()}};
        json["routers"].push_back({{"router", door.address.text()},
                                   {"state", nullptr},
                                   {"share", nullptr},
                                   {"returned_packets", running.counters[i].packets},
                                   {"returned_bytes", running.counters[i].bytes},
                                   {"why", nullptr}});
    }
    auto list = Json::array();
    for (auto &[id, group] : groups)
        list.push_back(std::move(group));
    return list;
}

void write_membership(std::ostream &out, const Json &group)
{
    out << "  " << title(group);
    if (!group.at("address").is_null()) {
        out << ": " << text(group.at("address")) << ", " << text(group.at("phase")) << ", proxy "
            << text(group.at("proxy"))
            << (group.at("proxy_why").is_null() ? "" : ": " + text(group.at("proxy_why")))
            << (group.at("designated").get<bool>() ? "; designated" : "; not designated");
        if (!group.at("why_not_designated").is_null())
            out << ": " << text(group.at("why_not_designated"));
    }
    out << "\n";
    for (const auto &router : group.at("routers")) {
        out << "    router " << text(router.at("router"));
        if (!router.at("state").is_null())
            out << " " << text(router.at("state")) << ", share " << router.at("share");
        if (!router.at("returned_packets").is_null())
            out << ", returned " << router.at("returned_packets");
        out << (router.at("why").is_null() ? "" : ": " + text(router.at("why"))) << "\n";
    }
}

} // namespace

Json status_of_router(const RunningGroups &groups, const std::vector<RunningAssignment> &assigned,
                      const Json &told)
{
    auto array = Json::array();
    for (const auto &group : groups.groups)
        array.push_back(group_status(group, assigned, told));
    return {{"lease_ms", groups.lease.count()}, {"groups", array}};
}

void write_router_status(std::ostream &out, const Json &router)
{
    out << "cache router:\n";
    for (const auto &group : router.at("groups")) {
        const auto &packets = group.at("packets");
        out << "  " << text(group.at("group")) << (group.at("mode") == "closed" ? ", closed" : "")
            << ": redirected "
            << packets.value("gre", std::uint64_t{0}) + packets.value("l2", std::uint64_t{0})
            << " packets, returned " << number(packets, "returned");
        for (const auto &[name, value] : packets.items())
            if (name != "gre" && name != "l2" && name != "returned" && name != "kept")
                out << ", " << name << " " << value;
        out << "\n";
        for (const auto &family : group.at("families"))
            write_family(out, family);
    }
}

Json status_of_cache(const RunningDoors &doors, const Json &told)
{
    auto groups = Json::array();
    for (const auto &group : list_of(told, "groups"))
        groups.push_back(membership_status(group));
    return {{"returned_share", doors.cache.share / 1000.0},
            {"groups", told.is_null() ? groups_of_doors(doors) : groups}};
}

void write_cache_status(std::ostream &out, const Json &cache)
{
    out << "cache: new connections returned " << percent(cache.at("returned_share")) << "\n";
    for (const auto &group : cache.at("groups"))
        write_membership(out, group);
}

} // namespace wlb::cli
