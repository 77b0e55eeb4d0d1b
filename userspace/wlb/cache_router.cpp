// SPDX-License-Identifier: GPL-2.0-only
#include "wlb/cache_router.h"

#include "wlb/names.h"

namespace wlb {

namespace {

constexpr std::string_view arrow = " -> ";

constexpr Names<Forward, 2> forwardings{{{"gre", Forward::gre}, {"l2", Forward::l2}}};
constexpr Names<Allotment, 2> allotments{{{"hash", Allotment::hash}, {"mask", Allotment::mask}}};
constexpr Names<GroupHook, 2> hooks{
    {{"prerouting", GroupHook::prerouting}, {"forward", GroupHook::forward}}};
constexpr Names<Md5Compat, 2> compats{{{"strict", Md5Compat::strict}, {"squid", Md5Compat::squid}}};
constexpr Names<BucketFormat, 2> formats{
    {{"cisco", BucketFormat::cisco}, {"draft", BucketFormat::draft}}};
constexpr Names<bool, 2> versions{{{"2.00", false}, {"2.01", true}}};
constexpr Names<SquidFiller, 3> fillers{
    {{"off", SquidFiller::off}, {"on", SquidFiller::on}, {"auto", SquidFiller::automatic}}};

std::string_view trim(std::string_view text)
{
    const auto first = text.find_first_not_of(' ');
    if (first == std::string_view::npos)
        return {};
    return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

Result<std::optional<Prefix>> prefix_or_any(std::string_view text)
{
    if (text == "any")
        return std::optional<Prefix>();
    const auto prefix = Prefix::parse(text);
    if (!prefix)
        return prefix.error();
    return std::optional(*prefix);
}

std::string any_text(const std::optional<Prefix> &prefix)
{
    return prefix ? prefix->text() : "any";
}

} // namespace

std::string ServiceId::text() const
{
    return dynamic ? std::to_string(id) : "web-cache";
}

Result<ServiceId> ServiceId::from_number(std::int64_t number)
{
    if (number < 0 || number > 255)
        return Error{"service " + std::to_string(number) +
                     " must be \"web-cache\" or the number of a dynamic service, 0..255"};
    return ServiceId{true, static_cast<std::uint8_t>(number)};
}

Result<ServiceId> ServiceId::parse(std::string_view text)
{
    if (text == "web-cache")
        return ServiceId{};
    if (text.empty() || text.size() > 3 || text.find_first_not_of("0123456789") != text.npos)
        return Error{"\"" + std::string(text) +
                     "\" must be \"web-cache\" or the number of a dynamic service, 0..255"};
    return from_number(std::stoi(std::string(text)));
}

Result<RedirectRule> parse_redirect_rule(std::string_view text)
{
    RedirectRule rule;
    auto rest = trim(text);
    if (!rest.empty() && rest.front() == '!') {
        rule.deny = true;
        rest = trim(rest.substr(1));
    }
    const auto split_at = rest.find("->");
    const auto source = prefix_or_any(trim(rest.substr(0, split_at)));
    if (!source)
        return source.error();
    rule.source = *source;
    if (split_at != std::string_view::npos) {
        const auto destination = prefix_or_any(trim(rest.substr(split_at + 2)));
        if (!destination)
            return destination.error();
        rule.destination = *destination;
    }
    return rule;
}

std::string to_text(const RedirectRule &rule)
{
    auto text = std::string(rule.deny ? "!" : "") + any_text(rule.source);
    if (rule.destination)
        text += std::string(arrow) + any_text(rule.destination);
    return text;
}

Result<bool> parse_version_2_01(std::string_view text)
{
    return parse_in(versions, text);
}

const char *name_of(Forward method)
{
    return name_in(forwardings, method);
}

const char *name_of(Allotment method)
{
    return name_in(allotments, method);
}

const char *name_of(GroupHook hook)
{
    return name_in(hooks, hook);
}

const char *name_of(Md5Compat compat)
{
    return name_in(compats, compat);
}

const char *name_of(BucketFormat format)
{
    return name_in(formats, format);
}

const char *name_of(SquidFiller filler)
{
    return name_in(fillers, filler);
}

Result<Forward> parse_forward(std::string_view text)
{
    return parse_in(forwardings, text);
}

Result<Allotment> parse_allotment(std::string_view text)
{
    return parse_in(allotments, text);
}

Result<GroupHook> parse_group_hook(std::string_view text)
{
    return parse_in(hooks, text);
}

Result<Md5Compat> parse_md5_compat(std::string_view text)
{
    return parse_in(compats, text);
}

Result<BucketFormat> parse_bucket_format(std::string_view text)
{
    return parse_in(formats, text);
}

Result<SquidFiller> parse_squid_filler(std::string_view text)
{
    return parse_in(fillers, text);
}

} // namespace wlb
