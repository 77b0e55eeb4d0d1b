// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/wccp_text.h"

#include <algorithm>
#include <charconv>
#include <iomanip>
#include <sstream>

#include "wlbctl/json_text.h"

namespace wlb::cli {

namespace {

std::string state(const Json &cache)
{
    return std::string(cache.at("usable").get<bool>() ? "usable" : "NOT usable") + ", " +
           text(cache.at("state"));
}

std::string share(const Json &cache)
{
    return text(cache.at("share")) + " (" + fixed(cache.at("share-percent").get<double>(), 1) +
           "%)";
}

std::string endpoint_of(const Json &value, const char *address, const char *port)
{
    return text(value.at(address)) + ":" + text(value.at(port));
}

} // namespace

void write_summary(std::ostream &out, const Json &group)
{
    std::size_t usable = 0;
    for (const auto &cache : group.at("caches"))
        usable += cache.at("usable").get<bool>() ? 1 : 0;
    const auto &packets = group.at("packets");
    out << title(group) << ": router " << text(group.at("router-id")) << ", " << usable
        << " usable caches, " << group.at("routers").size() << " routers, "
        << (group.at("assignment").is_null() ? "no method"
                                             : text(group.at("assignment")) + " assignment")
        << ", " << text(group.at("mode")) << "; packets: gre " << number(packets, "gre") << ", l2 "
        << number(packets, "l2") << ", unassigned " << number(packets, "unassigned") << ", denied "
        << number(packets, "denied") << ", returned " << number(packets, "returned") << "\n";
    for (const auto &cache : group.at("caches")) {
        out << "  " << text(cache.at("address")) << "  " << state(cache);
        if (cache.at("usable").get<bool>())
            out << ", share " << share(cache) << ", packets " << number(cache, "packets");
        const auto why = cache.at("why").get<std::string>();
        out << (why.empty() ? "" : ": " + why) << "\n";
    }
}

void write_detail(std::ostream &out, const Json &group)
{
    out << title(group) << "\n";
    line(out, 2, "Router identifier", group, "router-id");
    line(out, 2, "Service mode", group, "mode");
    line(out, 2, "Group list", group, "group-list");
    line(out, 2, "Redirect list", group, "redirect-list");
    line(out, 2, "Authentication", group, "authentication");
    line(out, 2, "Assignment method", group, "assignment");
    const auto &key = group.at("key");
    line(out, 2, "Assignment key", text(key.at("address")) + " " + text(key.at("number")));
    if (!group.at("assignment-refused").get<std::string>().empty())
        line(out, 2, "Last assignment refused", group, "assignment-refused");
    if (!group.at("flush-in").is_null())
        line(out, 2, "Awaiting assignment for",
             fixed(group.at("flush-in").get<double>(), 1) + " s more");
    line(out, 2, "Member change number", group, "change-number");
    line(out, 2, "Message interval",
         text(group.at("transmit-interval")) + " s, lost after " + text(group.at("remove-after")) +
             " s");
    write_clients(out, group);
}

void write_clients(std::ostream &out, const Json &group)
{
    if (group.at("caches").empty())
        out << "  " << title(group) << ": no cache has been heard\n";
    for (const auto &cache : group.at("caches")) {
        out << "  Cache " << text(cache.at("address")) << " of " << title(group) << "\n";
        line(out, 4, "State", state(cache));
        if (!cache.at("why").get<std::string>().empty())
            line(out, 4, "Why", cache, "why");
        line(out, 4, "Protocol version", cache, "version");
        line(out, 4, "Sends from", cache, "source");
        line(out, 4, "Silent",
             fixed(cache.at("silent").get<double>(), 1) + " s" +
                 (cache.at("queried").get<bool>() ? ", was asked" : ""));
        line(out, 4, "Receive ID", cache, "receive-id");
        if (!cache.at("usable").get<bool>())
            continue;
        line(out, 4, "Redirection", cache, "forwarding");
        line(out, 4, "Packet return", cache, "return");
        line(out, 4, "Assignment", cache, "assignment");
        line(out, 4, "Weight", cache, "weight");
        line(out, 4, "Allotment", share(cache));
        if (cache.contains("initial")) {
            line(out, 4, "Initial hash info", cache, "initial");
            line(out, 4, "Assigned hash info", cache, "assigned");
        }
        line(out, 4, "Connect time", clock_text(cache.at("connected").get<double>()));
        line(out, 4, "Packets redirected",
             number(cache, "packets") + " (" + number(cache, "bytes") + " bytes)");
        line(out, 4, "Packets returned", number(cache, "returned"));
    }
}

void write_view(std::ostream &out, const Json &group)
{
    out << title(group) << "\n";
    line(out, 2, "Routers informed of", group, "routers");
    line(out, 2, "Caches visible", group, "visible");
    line(out, 2, "Caches NOT visible", group, "not-visible");
}

void write_service(std::ostream &out, const Json &group)
{
    out << title(group) << "\n";
    const auto &service = group.at("service");
    if (service.is_null()) {
        out << "  not described yet: no cache is a member\n";
        return;
    }
    line(out, 2, "Priority", service, "priority");
    line(out, 2, "Protocol", service, "protocol");
    std::ostringstream flags;
    flags << "0x" << std::hex << std::setw(8) << std::setfill('0')
          << service.at("flags").get<std::uint32_t>();
    line(out, 2, "Flags", flags.str());
    line(out, 2, "Hash", service, "hash");
    line(out, 2, "Alternative hash", service, "alternative-hash");
    line(out, 2, "Ports",
         service.at("ports").empty()
             ? "all"
             : text(service.at("ports-are")) + " " + text(service.at("ports")));
}

void write_counters(std::ostream &out, const Json &group)
{
    out << title(group) << "\n";
    for (const auto &[name, value] : group.at("packets").items())
        line(out, 2, "Packets " + name, text(value));
    const auto &messages = group.at("messages");
    for (const auto &[name, value] : messages.items())
        if (!value.is_object())
            line(out, 2, "Messages " + name, text(value));
    for (const auto &[reason, value] : messages.at("refused").items())
        if (value != 0)
            out << "  Messages refused, " << reason << ": " << text(value) << "\n";
    for (const auto &cache : group.at("caches"))
        if (cache.contains("packets"))
            out << "  Cache " << text(cache.at("address")) << ": redirected "
                << text(cache.at("packets")) << ", returned " << text(cache.at("returned")) << "\n";
}

void write_interfaces(std::ostream &out, const Json &group)
{
    out << title(group) << "\n";
    line(out, 2, "Redirect in", group, "redirect-in");
    line(out, 2, "Redirect out", group, "redirect-out");
    line(out, 2, "Exclude in", group, "exclude-in");
    if (group.contains("group-address"))
        line(out, 2, "Group address", group, "group-address");
}

void write_assignment(std::ostream &out, const Json &group)
{
    out << title(group) << "\n";
    const auto &table = group.at("table");
    if (table.contains("buckets")) {
        // Runs of buckets that are one cache's.
        const auto &buckets = table.at("buckets");
        for (std::size_t first = 0, next = 0; first < buckets.size(); first = next) {
            for (next = first; next < buckets.size() && buckets[next] == buckets[first];)
                ++next;
            const auto &bucket = buckets[first];
            out << "  " << std::right << std::setw(3) << first << ".." << std::left << std::setw(4)
                << next - 1
                << (bucket.is_null() ? std::string("unassigned") : text(bucket.at("cache")))
                << (!bucket.is_null() && bucket.at("alternative").get<bool>() ? ", alternative hash"
                                                                              : "")
                << "\n";
        }
        return;
    }
    for (const auto &set : table.at("masks")) {
        const auto &mask = set.at("mask");
        out << "  Mask   " << endpoint_of(mask, "source", "source-port") << " -> "
            << endpoint_of(mask, "destination", "destination-port") << "\n";
        std::size_t index = 0;
        for (const auto &value : set.at("values"))
            out << "  " << std::right << std::setfill('0') << std::setw(4) << index++
                << std::setfill(' ') << ": " << endpoint_of(value, "source", "source-port")
                << " -> " << endpoint_of(value, "destination", "destination-port") << "  "
                << text(value.at("cache")) << "\n";
    }
}

void write_hash(std::ostream &out, const Json &group)
{
    const auto &flow = group.at("flow");
    out << title(group) << ": ";
    if (flow.contains("bucket"))
        out << "bucket " << text(flow.at("bucket")) << ", ";
    if (flow.contains("alternative-bucket"))
        out << "alternative bucket " << text(flow.at("alternative-bucket")) << ", ";
    if (flow.contains("mask"))
        out << "mask " << text(flow.at("mask")) << ", value " << text(flow.at("value")) << ", ";
    if (flow.at("cache").is_null())
        out << "not redirected: " << text(flow.at("why")) << "\n";
    else
        out << "cache " << text(flow.at("cache")) << "\n";
}

void write_event(std::ostream &out, const Json &event)
{
    const auto reason = event.at("reason").get<std::string>();
    out << text(event.at("group")) << " " << text(event.at("family")) << ": "
        << text(event.at("event")) << ": " << text(event.at("cache"))
        << (reason.empty() ? "" : ": " + reason) << "\n";
}

Result<std::uint8_t> parse_protocol(std::string_view text)
{
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value > 255)
        return Error{"\"" + std::string(text) + "\" must be a number of 0..255"};
    return static_cast<std::uint8_t>(value);
}

} // namespace wlb::cli
