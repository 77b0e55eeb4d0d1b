// SPDX-License-Identifier: GPL-2.0-only
#include "routerd/show.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace wlb::routerd {

namespace {

const char *name(wccp::Transport transport)
{
    return transport == wccp::Transport::l2 ? "l2" : "gre";
}

const char *name(wccp::Method method)
{
    return method == wccp::Method::mask ? "mask" : "hash";
}

std::string version(std::uint8_t minor)
{
    return "2.0" + std::to_string(minor);
}

std::string hex(const wccp::BucketVector &vector)
{
    std::string text;
    for (const auto octet : vector) {
        std::array<char, 3> digits{};
        std::snprintf(digits.data(), digits.size(), "%02x", static_cast<unsigned>(octet));
        text += digits.data();
    }
    return text;
}

Json addresses(const std::vector<Address> &list)
{
    auto array = Json::array();
    for (const auto &address : list)
        array.push_back(address.text());
    return array;
}

double in_seconds(wccp::Duration duration)
{
    return static_cast<double>(duration.count()) / 1000;
}

std::vector<std::string> hash_fields(std::uint32_t flags)
{
    std::vector<std::string> fields;
    for (const auto &[bit, field] : {std::pair{WLB_WCCP_SRC_IP, "source address"},
                                     std::pair{WLB_WCCP_DST_IP, "destination address"},
                                     std::pair{WLB_WCCP_SRC_PORT, "source port"},
                                     std::pair{WLB_WCCP_DST_PORT, "destination port"}})
        if ((flags & bit) != 0)
            fields.emplace_back(field);
    return fields;
}

Json show(const wccp::ServiceInfo &service)
{
    const auto means = wccp::effective(service).value_or(service);
    auto ports = Json::array();
    if ((means.flags & WLB_WCCP_PORTS) != 0)
        for (const auto port : means.ports) {
            if (port == 0)
                break;
            ports.push_back(port);
        }
    return {{"priority", means.priority},
            {"protocol", means.protocol},
            {"flags", means.flags},
            {"ports-are", (means.flags & WLB_WCCP_PORTS_SRC) != 0 ? "source" : "destination"},
            {"ports", ports},
            {"hash", hash_fields(means.flags)},
            {"alternative-hash", hash_fields(means.flags >> WLB_WCCP_ALT_SHIFT)}};
}

Json show(const wccp::CacheReport &cache, const wccp::Report &report, std::size_t shares)
{
    Json json{{"address", cache.address.text()},
              {"source", cache.source.text()},
              {"state", wccp::text(cache.status)},
              {"usable", cache.usable},
              {"why", cache.why},
              {"version", version(cache.minor)},
              {"multicast", cache.multicast},
              {"queried", cache.queried},
              {"silent", in_seconds(cache.silent)},
              {"receive-id", cache.receive_id}};
    if (!cache.usable)
        return json;
    json["forwarding"] = name(cache.forwarding);
    json["return"] = name(cache.packet_return);
    json["assignment"] = name(cache.method);
    json["weight"] = cache.weight;
    json["connected"] = in_seconds(cache.connected);
    json["share"] = cache.share;
    json["share-percent"] =
        shares == 0 ? 0.0 : 100.0 * static_cast<double>(cache.share) / static_cast<double>(shares);
    if (report.method == wccp::Method::hash) {
        json["initial"] = hex(cache.initial);
        json["assigned"] = hex(cache.assigned);
    }
    return json;
}

Json show(const wccp::Counters &counters)
{
    auto refused = Json::object();
    for (std::size_t i = 0; i < wccp::refusals; ++i)
        refused[wccp::text(static_cast<wccp::Refusal>(i))] = counters.refused[i];
    return {{"here-i-am", counters.here_i_am},
            {"i-see-you", counters.i_see_you},
            {"removal-query", counters.removal_query},
            {"redirect-assign", counters.redirect_assign},
            {"flushed", counters.flushed},
            {"fallback", counters.fallback},
            {"kicked", counters.kicked},
            {"evicted", counters.evicted},
            {"map-omitted", counters.map_omitted},
            {"unknown-caches", counters.unknown_caches},
            {"bad-buckets", counters.bad_buckets},
            {"bad-sequence-numbers", counters.bad_sequence_numbers},
            {"never-matching", counters.never_matching},
            {"refused", refused}};
}

std::string member_name(const wccp::Assignment &assignment, std::uint8_t index)
{
    return index < assignment.members.size() ? assignment.members[index].address.text() : "";
}

bool concerns(const wccp::ServiceInfo &service, const FlowQuestion &flow, std::string &why)
{
    if (service.protocol != 0 && service.protocol != flow.protocol) {
        why = "the service is of IP protocol " + std::to_string(service.protocol);
        return false;
    }
    if ((service.flags & WLB_WCCP_PORTS) == 0)
        return true;
    const bool source = (service.flags & WLB_WCCP_PORTS_SRC) != 0;
    const auto port = source ? flow.source_port : flow.destination_port;
    const auto end = std::find(service.ports.begin(), service.ports.end(), 0);
    if (std::find(service.ports.begin(), end, port) != end)
        return true;
    why = std::string(source ? "source" : "destination") + " port " + std::to_string(port) +
          " is none of the service's";
    return false;
}

} // namespace

Json show(const GroupId &id, const CacheGroup &config, const wccp::Report &report,
          const RunningGroup *running, const RunningAssignment *members)
{
    std::size_t shares = 0;
    for (const auto &cache : report.caches)
        shares += cache.share;
    if (report.method == wccp::Method::hash)
        shares = WLB_WCCP_BUCKETS;
    auto rules = Json::array();
    for (const auto &rule : config.redirect_list)
        rules.push_back(to_text(rule));
    auto group_list = Json::array();
    for (const auto &prefix : config.group_list)
        group_list.push_back(prefix.text());

    Json json{{"group", id.service.text()},
              {"family", id.ipv6 ? "IPv6" : "IPv4"},
              {"router-id", report.router_id.text()},
              {"mode", config.closed ? "closed" : "open"},
              {"redirect-in", config.redirect_in},
              {"redirect-out", config.redirect_out},
              {"exclude-in", config.exclude_in},
              {"redirect-list", rules},
              {"group-list", config.any_cache ? Json("any") : group_list},
              {"authentication", config.password_file.empty() ? "none" : "md5"},
              {"change-number", report.change_number},
              {"receive-id", report.receive_id},
              {"key", {{"address", report.key.address.text()}, {"number", report.key.number}}},
              {"transmit-interval", in_seconds(report.timers.transmit)},
              {"remove-after", in_seconds(report.timers.remove())},
              {"routers", addresses(report.routers)},
              {"visible", addresses(report.visible)},
              {"not-visible", addresses(report.not_visible)},
              {"only-heard", report.contacts}};
    if (config.group_address)
        json["group-address"] = config.group_address->text();
    json["service"] = report.service ? show(*report.service) : Json();
    json["assignment"] = report.method ? Json(name(*report.method)) : Json();
    json["flush-in"] = report.flush_in ? Json(in_seconds(*report.flush_in)) : Json();
    json["assignment-refused"] = report.assignment_refusal;
    auto caches = Json::array();
    for (const auto &cache : report.caches) {
        auto entry = show(cache, report, shares);
        for (std::size_t i = 0; members != nullptr && i < members->counters.size(); ++i) {
            if (members->assignment.members[i].address != cache.address)
                continue;
            entry["packets"] = members->counters[i].packets;
            entry["bytes"] = members->counters[i].bytes;
            entry["returned"] = members->counters[i].returned;
        }
        caches.push_back(entry);
    }
    json["caches"] = caches;
    json["messages"] = show(report.counters);
    auto packets = Json::object();
    for (std::size_t i = 0; running != nullptr && i < running->counters.size(); ++i)
        packets[running->counters[i].name] = running->counters[i].value;
    json["packets"] = packets;
    return json;
}

Json show_assignment(const wccp::Assignment &assignment)
{
    Json json{{"assignment", name(assignment.method)}};
    if (assignment.method == wccp::Method::hash) {
        auto buckets = Json::array();
        for (const auto bucket : assignment.buckets) {
            if (bucket == WLB_WCCP_BUCKET_NONE) {
                buckets.push_back(nullptr);
                continue;
            }
            const auto cache =
                member_name(assignment, static_cast<std::uint8_t>(bucket & WLB_WCCP_BUCKET_INDEX));
            buckets.push_back(
                {{"cache", cache}, {"alternative", (bucket & WLB_WCCP_BUCKET_ALT) != 0}});
        }
        json["buckets"] = buckets;
        return json;
    }
    const bool ipv6 = !assignment.members.empty() && assignment.members.front().address.is_ipv6();
    const auto text = [ipv6](const std::uint8_t *octets) {
        return Address::from_bytes(octets, ipv6 ? 16 : 4).value_or(Address()).text();
    };
    const auto of_mask = [&](const wlb_wccp_mask &mask) {
        return Json{{"source", text(mask.src)},
                    {"destination", text(mask.dst)},
                    {"source-port", mask.sport},
                    {"destination-port", mask.dport}};
    };
    auto sets = Json::array();
    for (const auto &set : assignment.sets) {
        auto values = Json::array();
        for (const auto &value : set.values) {
            auto entry = of_mask(value.value);
            entry["cache"] = member_name(assignment, value.member);
            values.push_back(entry);
        }
        sets.push_back({{"mask", of_mask(set.mask)}, {"values", values}});
    }
    json["masks"] = sets;
    return json;
}

Json show_map(const wccp::Assignment &assignment)
{
    Json json{{"assignment", name(assignment.method)}, {"caches", Json::array()}};
    for (const auto &member : assignment.members)
        json["caches"].push_back(member.address.text());
    const auto members = assignment.members.size();
    if (assignment.method == wccp::Method::hash) {
        auto buckets = Json::array();
        for (const auto bucket : assignment.buckets) {
            const std::size_t index = bucket & WLB_WCCP_BUCKET_INDEX;
            const bool nobody = bucket == WLB_WCCP_BUCKET_NONE || index >= members;
            buckets.push_back(nobody ? -1 : static_cast<int>(index));
        }
        json["buckets"] = members == 0 ? Json::array() : buckets;
        return json;
    }
    std::vector<std::size_t> values(members);
    for (const auto &set : assignment.sets)
        for (const auto &value : set.values)
            if (value.member < members)
                ++values[value.member];
    json["values"] = values;
    return json;
}

Json show_hash(const wccp::Assignment &assignment, const FlowQuestion &flow)
{
    const auto none = [](const std::string &why) { return Json{{"cache", nullptr}, {"why", why}}; };
    const auto service = wccp::effective(assignment.service);
    if (!service || assignment.members.empty())
        return none("there is no usable cache");
    std::string why;
    if (!concerns(*service, flow, why))
        return none(why);
    for (const auto &member : assignment.members)
        if (member.address == flow.source)
            return none(flow.source.text() + " is a cache itself");
    const wlb_redirect_key key{flow.source.data(), flow.destination.data(), flow.source.size(),
                               flow.source_port, flow.destination_port};
    if (assignment.method == wccp::Method::hash) {
        wlb_wccp_choice choice{};
        wlb_wccp_choose(&key, service->flags, assignment.buckets.data(), &choice);
        Json json{{"cache", nullptr}, {"bucket", choice.primary}};
        if (choice.alt_used)
            json["alternative-bucket"] = choice.alt;
        if (choice.cache == WLB_WCCP_BUCKET_NONE)
            json["why"] = "the bucket is not assigned";
        else
            json["cache"] = member_name(assignment, choice.cache);
        return json;
    }
    for (std::size_t i = 0; i < assignment.sets.size(); ++i) {
        const auto &set = assignment.sets[i];
        for (const auto &value : set.values)
            if (wlb_wccp_match(&key, &set.mask, &value.value))
                return Json{{"cache", member_name(assignment, value.member)},
                            {"mask", i},
                            {"value", wlb_wccp_vsn(&key, &set.mask)}};
    }
    return none("no mask has a value for it");
}

Json show_event(const GroupId &id, const wccp::Event &event)
{
    return {{"event", wccp::text(event.kind)},
            {"group", id.service.text()},
            {"family", id.ipv6 ? "IPv6" : "IPv4"},
            {"cache", event.cache.text()},
            {"reason", event.reason}};
}

} // namespace wlb::routerd
