// SPDX-License-Identifier: GPL-2.0-only
#include "wccp/common.h"

#include <algorithm>

namespace wlb::wccp {
namespace {

template <class T> bool offers(std::uint32_t offered, T method)
{
    return (offered & static_cast<std::uint32_t>(method)) != 0;
}

// The present one if it may stay, or the first preference that is offered.
template <class T>
std::optional<T> pick(const std::vector<T> &wanted, std::uint32_t offered,
                      const std::optional<T> &present)
{
    if (present && offers(offered, *present) &&
        std::find(wanted.begin(), wanted.end(), *present) != wanted.end())
        return present;
    for (const auto method : wanted) {
        if (offers(offered, method))
            return method;
    }
    return {};
}

// The nearest to what is wanted, if there is any.
template <class T> std::optional<T> nearest(T wanted, T min, T max)
{
    if (min > max)
        return {};
    return std::clamp(wanted, min, max);
}

Offer both(const Offer &a, const Offer &b)
{
    Offer result;
    result.forwarding = a.forwarding & b.forwarding;
    result.packet_return = a.packet_return & b.packet_return;
    result.assignment = a.assignment & b.assignment;
    result.timers = a.timers && b.timers;
    result.transmit_min = std::max(a.transmit_min, b.transmit_min);
    result.transmit_max = std::min(a.transmit_max, b.transmit_max);
    result.timeout_min = std::max(a.timeout_min, b.timeout_min);
    result.timeout_max = std::min(a.timeout_max, b.timeout_max);
    result.assign_min = std::max(a.assign_min, b.assign_min);
    result.assign_max = std::min(a.assign_max, b.assign_max);
    return result;
}

std::optional<Agreed> choose(const Offer &offer, const CacheConfig &config,
                             const std::optional<Agreed> &present, std::string &why)
{
    const auto was = [&](auto field) {
        return present ? std::optional((*present).*field) : std::nullopt;
    };
    const auto forwarding = pick(config.forwarding, offer.forwarding, was(&Agreed::forwarding));
    const auto packet_return =
        pick(config.packet_return, offer.packet_return, was(&Agreed::packet_return));
    const auto method = pick(config.assignment, offer.assignment, was(&Agreed::method));
    const auto &wanted = config.timers;
    const auto transmit = nearest(wanted.transmit, std::max(offer.transmit_min, transmit_min),
                                  std::min(offer.transmit_max, transmit_max));
    const auto scale = [](unsigned value, unsigned min, unsigned max) {
        return nearest(value, std::max(min, 1U), std::min(max, scale_max));
    };
    const auto timeout = scale(wanted.timeout_scale, offer.timeout_min, offer.timeout_max);
    const auto assign = scale(wanted.assign_scale, offer.assign_min, offer.assign_max);
    if (!forwarding)
        why = "forwarding method";
    else if (!packet_return)
        why = "return method";
    else if (!method)
        why = "assignment method";
    else if (!transmit || !timeout || !assign)
        why = "timers";
    else
        return Agreed{*forwarding, *packet_return, *method, {*transmit, *timeout, *assign}};
    return {};
}

} // namespace

Offer remembered(const Offer &before, const Offer &now, const Agreed &agreed)
{
    Offer result = now;
    if (now.forwarding == static_cast<std::uint32_t>(agreed.forwarding))
        result.forwarding |= before.forwarding;
    if (now.packet_return == static_cast<std::uint32_t>(agreed.packet_return))
        result.packet_return |= before.packet_return;
    return result; // method and timers are the group's: others are not offered any more
}

Common common(const std::vector<Offered> &routers, const CacheConfig &config,
              const std::optional<Agreed> &present)
{
    Common result;
    std::optional<Offer> so_far;
    std::optional<Agreed> agreed;
    for (const auto &[router, offer] : routers) {
        const auto next = so_far ? both(*so_far, offer) : offer;
        std::string why;
        if (const auto chosen = choose(next, config, present, why)) {
            so_far = next;
            agreed = chosen;
        } else {
            result.refused[router] =
                why + (so_far ? ": no common one of this router and others"
                              : ": this router offers none of those that are configured");
        }
    }
    if (!agreed) // nobody is heard: what this cache would like best
        agreed = Agreed{config.forwarding.front(), config.packet_return.front(),
                        config.assignment.front(), Timers{}};
    result.agreed = *agreed;
    return result;
}

} // namespace wlb::wccp
