// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/trace_line.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>

#include "wlb/cache_host.h"

namespace wlb::cli {

namespace {

constexpr std::string_view begins = ": wlb_";
constexpr std::string_view mapped = "::ffff:"; // IPv4 in the kernel's IPv6
constexpr std::int64_t second = 1'000'000;

template <class T> std::optional<T> number(std::string_view text)
{
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size() ? std::optional(value)
                                                                    : std::nullopt;
}

// "123.456789"
std::optional<std::int64_t> microseconds(std::string_view text)
{
    const auto point = text.find('.');
    const auto seconds = number<std::int64_t>(text.substr(0, point));
    const auto us = point == std::string_view::npos ? std::nullopt
                                                    : number<std::int64_t>(text.substr(point + 1));
    return seconds && us ? std::optional(*seconds * second + *us) : std::nullopt;
}

std::string address(std::string_view text)
{
    if (text.starts_with(mapped) && text.find('.') != std::string_view::npos)
        text.remove_prefix(mapped.size());
    return std::string(text == "::" ? "" : text);
}

// "[ADDRESS]:PORT" has two fields.
void take(Traced &traced, const std::string &name, std::string_view value)
{
    const auto end = value.rfind("]:");
    if (value.starts_with('[') && end != std::string_view::npos) {
        traced.fields.emplace_back(name, address(value.substr(1, end - 1)));
        traced.fields.emplace_back(name + "_port", value.substr(end + 2));
    } else {
        traced.fields.emplace_back(name, address(value));
    }
}

std::string end(const Traced &traced, const std::string &name)
{
    const auto &host = traced.field(name);
    const bool v6 = host.find(':') != std::string::npos;
    return (v6 ? "[" + host + "]" : host) + ":" + traced.field(name + "_port");
}

// What the peer of an event is to it.
std::string relation(const std::string &event)
{
    return event == "clone_out" ? " to " : event == "flow_end" ? " won by " : " from ";
}

std::string clock(std::int64_t us)
{
    const std::time_t seconds = us / second;
    std::tm local{};
    localtime_r(&seconds, &local);
    std::array<char, sizeof("00:00:00")> hours{};
    std::strftime(hours.data(), hours.size(), "%T", &local);
    auto fraction = std::to_string(us % second);
    fraction.insert(0, 6 - fraction.size(), '0');
    return std::string(hours.data()) + "." + fraction;
}

} // namespace

const std::string &Traced::field(const std::string &name) const
{
    static const std::string none;
    const auto found = std::find_if(fields.begin(), fields.end(),
                                    [&](const auto &field) { return field.first == name; });
    return found == fields.end() ? none : found->second;
}

bool Traced::is_about(const std::string &address) const
{
    return std::any_of(fields.begin(), fields.end(),
                       [&](const auto &field) { return field.second == address; });
}

// "  curl-712  [000] b.s2.  123.456789: wlb_syn: netns=1 client=[::1]:2 ..."
std::optional<Traced> parse_traced(std::string_view line)
{
    std::optional<std::int64_t> us;
    auto at = line.find(begins);
    // The name of the program may be anything.
    for (; at != std::string_view::npos; at = line.find(begins, at + 1))
        if ((us = microseconds(line.substr(line.rfind(' ', at) + 1, at - line.rfind(' ', at) - 1))))
            break;
    const auto colon = line.find(": ", at + begins.size());
    if (!us || colon == std::string_view::npos)
        return std::nullopt;
    line.remove_prefix(at + begins.size());
    Traced traced;
    traced.us = *us;
    traced.event = line.substr(0, line.find(':'));
    for (auto rest = line.substr(line.find(' ') + 1); !rest.empty();) {
        const auto word = rest.substr(0, rest.find(' '));
        rest.remove_prefix(std::min(rest.size(), word.size() + 1));
        if (const auto equals = word.find('='); equals != std::string_view::npos)
            take(traced, std::string(word.substr(0, equals)), word.substr(equals + 1));
    }
    return traced;
}

// "CPU:1 [LOST 12 EVENTS]"
std::uint64_t parse_lost(std::string_view line)
{
    constexpr std::string_view word = "[LOST ";
    const auto at = line.find(word);
    if (!line.starts_with("CPU:") || at == std::string_view::npos)
        return 0;
    line.remove_prefix(at + word.size());
    return number<std::uint64_t>(line.substr(0, line.find(' '))).value_or(0);
}

std::string to_text(const Traced &traced, std::int64_t us)
{
    auto text = clock(us) + " " + traced.event + " ";
    if (traced.event == "redirect") {
        const auto protocol = number<std::uint8_t>(traced.field("protocol"));
        text += (protocol ? protocol_text(*protocol) : "") + " " + end(traced, "source") + " > " +
                end(traced, "destination") + " group " + traced.field("group");
        if (!traced.field("cache").empty())
            text += " bucket " + traced.field("bucket") + " cache " + traced.field("cache");
    } else {
        text += end(traced, "client") + " > " + end(traced, "server");
        if (!traced.field("peer").empty())
            text += relation(traced.event) + traced.field("peer");
    }
    return text + " " + traced.field("reason");
}

Json to_json(const Traced &traced, std::int64_t us)
{
    Json json = {{"time", static_cast<double>(us) / second}, {"event", traced.event}};
    for (const auto &[name, value] : traced.fields) {
        const auto count = number<std::uint64_t>(value);
        const bool is_name = name == "group" || name == "reason";
        json[name] = value.empty() ? Json(nullptr) : count && !is_name ? Json(*count) : Json(value);
    }
    return json;
}

} // namespace wlb::cli
