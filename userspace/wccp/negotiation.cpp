// SPDX-License-Identifier: GPL-2.0-only
#include "wccp/negotiation.h"

#include <algorithm>
#include <bit>
#include <tuple>

namespace wlb::wccp {
namespace {

constexpr std::uint32_t bit(auto value)
{
    return static_cast<std::uint32_t>(value);
}

Element element(std::uint16_t type, std::size_t value)
{
    Writer out;
    out.u32(value);
    return {type, out.take()};
}

// The value of the first capability of a type whose length is right, or the default's.
std::uint32_t value_of(const Capabilities *capabilities, std::uint16_t type,
                       std::uint32_t otherwise)
{
    if (!capabilities)
        return otherwise;
    for (const auto &element : capabilities->elements) {
        if (element.type != type || element.value.size() != 4)
            continue;
        Reader in(element.value, "");
        return in.u32("");
    }
    return otherwise;
}

bool is_one_of(std::uint32_t chosen, std::uint32_t offered)
{
    return std::has_single_bit(chosen) && (chosen & offered) != 0;
}

std::string not_offered(const char *what, std::uint32_t chosen, std::uint32_t offered)
{
    return std::string(what) + " " + std::to_string(chosen) + ", must be one bit of " +
           std::to_string(offered);
}

std::string out_of_range(const char *what, std::uint64_t chosen, std::uint64_t min,
                         std::uint64_t max)
{
    return std::string(what) + " " + std::to_string(chosen) + ", must be " +
           (min == max ? std::to_string(min) : std::to_string(min) + " to " + std::to_string(max));
}

// A single value: the upper half 0, or the same once more.
std::optional<std::uint32_t> single(std::uint32_t upper, std::uint32_t lower)
{
    if (upper != 0 && upper != lower)
        return {};
    return lower;
}

std::string choose_timers(const Capabilities *capabilities, const Offer &offer, Timers &to)
{
    const Timers defaults;
    const auto t = value_of(capabilities, Capabilities::transmit_t,
                            static_cast<std::uint32_t>(defaults.transmit.count()));
    const auto scales = value_of(capabilities, Capabilities::timer_scale, 0x00010001);
    const auto transmit = single(t >> 16, t & 0xffff);
    const auto timeout = single(scales >> 24, scales >> 16 & 0xff);
    const auto assign = single(scales >> 8 & 0xff, scales & 0xff);
    if (!transmit || !timeout || !assign)
        return "a range of timers, must be a single value each";
    if (*transmit < static_cast<std::uint64_t>(offer.transmit_min.count()) ||
        *transmit > static_cast<std::uint64_t>(offer.transmit_max.count()))
        return out_of_range("TRANSMIT_T", *transmit,
                            static_cast<std::uint64_t>(offer.transmit_min.count()),
                            static_cast<std::uint64_t>(offer.transmit_max.count()));
    if (*timeout < offer.timeout_min || *timeout > offer.timeout_max)
        return out_of_range("TIMEOUT_SCALE", *timeout, offer.timeout_min, offer.timeout_max);
    if (*assign < offer.assign_min || *assign > offer.assign_max)
        return out_of_range("RA_TIMER_SCALE", *assign, offer.assign_min, offer.assign_max);
    to = {Duration(*transmit), *timeout, *assign};
    return {};
}

void add_timers(Capabilities &to, const Offer &offer)
{
    const auto range = [](std::uint64_t min, std::uint64_t max, unsigned bits) {
        return min == max ? min : max << bits | min;
    };
    const auto transmit = range(static_cast<std::uint64_t>(offer.transmit_min.count()),
                                static_cast<std::uint64_t>(offer.transmit_max.count()), 16);
    to.elements.push_back(element(Capabilities::transmit_t, transmit));
    to.elements.push_back(
        element(Capabilities::timer_scale, range(offer.timeout_min, offer.timeout_max, 8) << 16 |
                                               range(offer.assign_min, offer.assign_max, 8)));
}

} // namespace

Offer offer_of(const GroupConfig &config, const std::optional<Fixed> &fixed)
{
    Offer offer;
    offer.forwarding = config.forwarding;
    offer.packet_return = config.packet_return;
    offer.assignment = fixed ? bit(fixed->method) : config.assignment;
    offer.timers = config.variable_timers || (fixed && fixed->timers != Timers{});
    const Timers timers = fixed ? fixed->timers : Timers{};
    const bool free = config.variable_timers && !fixed;
    offer.transmit_min = free ? config.transmit_min : timers.transmit;
    offer.transmit_max = free ? config.transmit_max : timers.transmit;
    offer.timeout_min = free ? config.scale_min : timers.timeout_scale;
    offer.timeout_max = free ? config.scale_max : timers.timeout_scale;
    offer.assign_min = free ? config.scale_min : timers.assign_scale;
    offer.assign_max = free ? config.scale_max : timers.assign_scale;
    return offer;
}

Choice choose(const Capabilities *capabilities, const Offer &offer)
{
    Agreed agreed;
    const auto method = value_of(capabilities, Capabilities::assignment, bit(Method::hash));
    const auto forwarding = value_of(capabilities, Capabilities::forwarding, bit(Transport::gre));
    const auto packet_return =
        value_of(capabilities, Capabilities::packet_return, bit(Transport::gre));
    if (!is_one_of(forwarding, offer.forwarding))
        return {{}, false, not_offered("forwarding method", forwarding, offer.forwarding)};
    if (!is_one_of(packet_return, offer.packet_return))
        return {{}, false, not_offered("return method", packet_return, offer.packet_return)};
    if (!is_one_of(method, offer.assignment))
        return {{}, true, not_offered("assignment method", method, offer.assignment)};
    auto why = choose_timers(capabilities, offer, agreed.timers);
    if (!why.empty())
        return {{}, false, std::move(why)};
    agreed.forwarding = static_cast<Transport>(forwarding);
    agreed.packet_return = static_cast<Transport>(packet_return);
    agreed.method = static_cast<Method>(method);
    return {agreed, false, {}};
}

Capabilities capabilities_of(const Offer &offer)
{
    Capabilities result;
    result.elements = {element(Capabilities::forwarding, offer.forwarding),
                       element(Capabilities::assignment, offer.assignment),
                       element(Capabilities::packet_return, offer.packet_return)};
    if (offer.timers)
        add_timers(result, offer);
    return result;
}

Capabilities capabilities_of(const Agreed &agreed, bool timers)
{
    Offer offer;
    offer.forwarding = bit(agreed.forwarding);
    offer.assignment = bit(agreed.method);
    offer.packet_return = bit(agreed.packet_return);
    offer.timers = timers;
    offer.transmit_min = offer.transmit_max = agreed.timers.transmit;
    offer.timeout_min = offer.timeout_max = agreed.timers.timeout_scale;
    offer.assign_min = offer.assign_max = agreed.timers.assign_scale;
    return capabilities_of(offer);
}

Offer read_offer(const Capabilities *capabilities)
{
    const Offer defaults;
    Offer offer;
    offer.forwarding = value_of(capabilities, Capabilities::forwarding, defaults.forwarding);
    offer.packet_return =
        value_of(capabilities, Capabilities::packet_return, defaults.packet_return);
    offer.assignment = value_of(capabilities, Capabilities::assignment, defaults.assignment);
    // A range is its two ends, a single value the lower one alone.
    const auto ends = [](std::uint32_t upper, std::uint32_t lower) {
        return std::pair(lower, upper ? upper : lower);
    };
    const auto default_t = static_cast<std::uint32_t>(defaults.transmit_min.count());
    const auto t = value_of(capabilities, Capabilities::transmit_t, default_t);
    const auto scales = value_of(capabilities, Capabilities::timer_scale, 0);
    const auto [t_min, t_max] = ends(t >> 16, t & 0xffff);
    offer.transmit_min = Duration(t_min);
    offer.transmit_max = Duration(t_max);
    if (scales != 0) {
        std::tie(offer.timeout_min, offer.timeout_max) = ends(scales >> 24, scales >> 16 & 0xff);
        std::tie(offer.assign_min, offer.assign_max) = ends(scales >> 8 & 0xff, scales & 0xff);
    }
    // Told only to a router that knows them.
    offer.timers =
        capabilities && std::any_of(capabilities->elements.begin(), capabilities->elements.end(),
                                    [](const Element &element) {
                                        return element.type == Capabilities::transmit_t ||
                                               element.type == Capabilities::timer_scale;
                                    });
    return offer;
}

} // namespace wlb::wccp
