// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/config.h"

#include <algorithm>

namespace wlb {

std::string default_name(const Address &server)
{
    auto name = server.text();
    std::replace(name.begin(), name.end(), ':', '-');
    return name;
}

std::optional<Via> default_via(Return mode)
{
    return mode == Return::nat ? std::nullopt : std::optional(Via::gre);
}

const char *name_of(Race race)
{
    return race == Race::equal ? "equal" : "raw";
}

const char *name_of(Via via)
{
    return via == Via::ipip ? "ipip" : "gre";
}

const char *name_of(Return mode)
{
    if (mode == Return::spoof)
        return "spoof";
    return mode == Return::tunnel ? "tunnel" : "nat";
}

const char *name_of(Conntrack conntrack)
{
    return conntrack == Conntrack::notrack ? "notrack" : "outside";
}

Result<Race> parse_race(std::string_view text)
{
    if (text == "raw")
        return Race::raw;
    if (text == "equal")
        return Race::equal;
    return Error{"\"" + std::string(text) + "\" must be \"raw\" or \"equal\""};
}

Result<Via> parse_via(std::string_view text)
{
    if (text == "gre")
        return Via::gre;
    if (text == "ipip")
        return Via::ipip;
    return Error{"\"" + std::string(text) + "\" must be \"gre\" or \"ipip\""};
}

Result<Return> parse_return(std::string_view text)
{
    if (text == "nat")
        return Return::nat;
    if (text == "spoof")
        return Return::spoof;
    if (text == "tunnel")
        return Return::tunnel;
    return Error{"\"" + std::string(text) + "\" must be \"nat\", \"spoof\" or \"tunnel\""};
}

Result<Conntrack> parse_conntrack(std::string_view text)
{
    if (text == "outside")
        return Conntrack::outside;
    if (text == "notrack")
        return Conntrack::notrack;
    return Error{"\"" + std::string(text) + "\" must be \"outside\" or \"notrack\""};
}

} // namespace wlb
