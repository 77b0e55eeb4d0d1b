// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/cache_host.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "wlb/names.h"

namespace wlb {

namespace {

constexpr std::string_view http_scheme = "http://";

constexpr Names<HashField, 4> fields{{{"source-ip", HashField::source_ip},
                                      {"destination-ip", HashField::destination_ip},
                                      {"source-port", HashField::source_port},
                                      {"destination-port", HashField::destination_port}}};
constexpr Names<DeliverBy, 2> ways{
    {{"tproxy", DeliverBy::tproxy}, {"redirect", DeliverBy::redirect}}};
constexpr Names<std::int64_t, 2> protocols{{{"tcp", 6}, {"udp", 17}}};

// Digits and nothing else.
std::optional<std::uint8_t> octet(std::string_view text)
{
    std::uint8_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size())
        return std::nullopt;
    return number;
}

// "ADDRESS:PORT", "[ADDRESS]:PORT"; where the port may be missing, `port` is taken.
Result<TcpProbe> parse_endpoint(std::string_view text, std::optional<std::uint16_t> port)
{
    const bool bracket = !text.empty() && text.front() == '[';
    const auto end = bracket ? text.find(']') : text.find(':');
    const auto rest = end == text.npos ? "" : text.substr(end + (bracket ? 1 : 0));
    const auto address = Address::parse(text.substr(bracket ? 1 : 0, end - (bracket ? 1 : 0)));
    const Error wrong{"\"" + std::string(text) +
                      "\" must be an address and a port as in 127.0.0.1:3128 or [::1]:3128"};
    if (!address || address->is_ipv6() != bracket || (bracket && end == text.npos) ||
        (!rest.empty() && rest.front() != ':') || (rest.empty() && !port))
        return wrong;
    if (rest.empty())
        return TcpProbe{*address, *port};
    const auto number = parse_port(rest.substr(1));
    if (!number)
        return number.error();
    return TcpProbe{*address, *number};
}

} // namespace

std::string HttpProbe::url() const
{
    return std::string(http_scheme) + endpoint(address, port) + path;
}

std::string Membership::name() const
{
    return service.id.text() + (is_ipv6() ? " (IPv6)" : "");
}

const char *name_of(HashField field)
{
    return name_in(fields, field);
}

const char *name_of(DeliverBy way)
{
    return name_in(ways, way);
}

Result<HashField> parse_hash_field(std::string_view text)
{
    return parse_in(fields, text);
}

std::string protocol_text(std::int64_t protocol)
{
    for (const auto &[name, number] : protocols)
        if (number == protocol)
            return name;
    return std::to_string(protocol);
}

Result<std::int64_t> parse_protocol(std::string_view text)
{
    if (const auto protocol = parse_in(protocols, text))
        return *protocol;
    return Error{"\"" + std::string(text) +
                 "\" must be \"tcp\", \"udp\" or a number of 0..255, 0 for any"};
}

std::string to_text(const BucketRange &range)
{
    const auto first = std::to_string(range.first);
    return range.first == range.last ? first : first + "-" + std::to_string(range.last);
}

Result<BucketRange> parse_bucket_range(std::string_view text)
{
    const auto dash = text.find('-');
    const auto first = octet(text.substr(0, dash));
    const auto last = dash == text.npos ? first : octet(text.substr(dash + 1));
    if (!first || !last || *first > *last)
        return Error{"\"" + std::string(text) +
                     "\" must be a bucket of 0..255, or a first and a last one as in \"0-63\""};
    return BucketRange{*first, *last};
}

Result<HttpProbe> parse_http_probe(std::string_view url)
{
    if (!url.starts_with(http_scheme))
        return Error{"\"" + std::string(url) +
                     "\" must be a URL as in http://127.0.0.1:3128/, without TLS"};
    const auto rest = url.substr(http_scheme.size());
    const auto slash = std::min(rest.find('/'), rest.size());
    const auto server = parse_endpoint(rest.substr(0, slash), 80);
    if (!server)
        return server.error();
    HttpProbe probe{server->address, server->port, std::string(rest.substr(slash)), {}};
    if (probe.path.empty())
        probe.path = "/";
    if (!std::all_of(probe.path.begin(), probe.path.end(),
                     [](char c) { return c > ' ' && c < 0x7f && c != '#'; }))
        return Error{"the URL's path must be printable ASCII without space and #"};
    return probe;
}

Result<TcpProbe> parse_tcp_probe(std::string_view text)
{
    return parse_endpoint(text, std::nullopt);
}

} // namespace wlb
