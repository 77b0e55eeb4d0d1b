// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/config.h"

#include <algorithm>

#include "wlb/names.h"

namespace wlb {

namespace {

constexpr Names<ServiceRace, 2> service_races{
    {{"race", ServiceRace::join}, {"direct", ServiceRace::direct}}};
constexpr Names<FastPath, 3> fastpaths{
    {{"auto", FastPath::automatic}, {"on", FastPath::on}, {"off", FastPath::off}}};
constexpr Names<Race, 2> races{{{"raw", Race::raw}, {"equal", Race::equal}}};
constexpr Names<Pick, 2> picks{{{"nearest", Pick::nearest}, {"random", Pick::random}}};
constexpr Names<Via, 2> vias{{{"gre", Via::gre}, {"ipip", Via::ipip}}};
constexpr Names<Return, 3> returns{
    {{"nat", Return::nat}, {"spoof", Return::spoof}, {"tunnel", Return::tunnel}}};
constexpr Names<Conntrack, 2> conntracks{
    {{"outside", Conntrack::outside}, {"notrack", Conntrack::notrack}}};

} // namespace

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

const char *name_of(ServiceRace race)
{
    return name_in(service_races, race);
}

const char *name_of(FastPath fastpath)
{
    return name_in(fastpaths, fastpath);
}

const char *name_of(Race race)
{
    return name_in(races, race);
}

const char *name_of(Pick pick)
{
    return name_in(picks, pick);
}

const char *name_of(Via via)
{
    return name_in(vias, via);
}

const char *name_of(Return mode)
{
    return name_in(returns, mode);
}

const char *name_of(Conntrack conntrack)
{
    return name_in(conntracks, conntrack);
}

Result<ServiceRace> parse_service_race(std::string_view text)
{
    return parse_in(service_races, text);
}

Result<FastPath> parse_fastpath(std::string_view text)
{
    return parse_in(fastpaths, text);
}

Result<Race> parse_race(std::string_view text)
{
    return parse_in(races, text);
}

Result<Pick> parse_pick(std::string_view text)
{
    return parse_in(picks, text);
}

Result<Via> parse_via(std::string_view text)
{
    return parse_in(vias, text);
}

Result<Return> parse_return(std::string_view text)
{
    return parse_in(returns, text);
}

Result<Conntrack> parse_conntrack(std::string_view text)
{
    return parse_in(conntracks, text);
}

} // namespace wlb
