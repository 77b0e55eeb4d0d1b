// SPDX-License-Identifier: GPL-2.0-only
#include "registry/replica.h"

#include <algorithm>

namespace wlb::registry {

namespace {

constexpr unsigned patience = 3; // intervals without a question
constexpr unsigned lifetime = 5; // intervals that a state is good for

} // namespace

Registrant::Registrant(std::string name, Address local, Keys keys, std::uint64_t boot)
    : name_(std::move(name)), local_(local), keys_(std::move(keys)), boot_(boot)
{
}

std::vector<ServedOrigin> Registrant::origins_for(const GatewayAddress &gateway) const
{
    std::vector<ServedOrigin> origins;
    for (const auto &announced : origins_)
        if (std::find(announced.gateways.begin(), announced.gateways.end(), gateway) !=
            announced.gateways.end())
            origins.push_back(announced.origin);
    return origins;
}

wccp::Outgoing Registrant::to(const GatewayAddress &gateway, Octets octets) const
{
    wccp::Outgoing datagram;
    datagram.from = local_;
    datagram.to = gateway.first;
    datagram.to_port = gateway.second;
    datagram.octets = std::move(octets);
    return datagram;
}

void Registrant::hello(Time now, const GatewayAddress &address, std::vector<wccp::Outgoing> &out)
{
    auto &gateway = gateways_.at(address);
    const auto &key = keys_.first();
    gateway.next_hello = now + usual_interval;
    ++counters_.hello;
    out.push_back(to(address, seal({key.id, boot_, ++sequence_, Hello{name_, local_}}, key)));
}

std::vector<wccp::Outgoing> Registrant::announce(Time now, std::vector<Announced> origins)
{
    const auto before = std::exchange(origins_, {});
    std::map<GatewayAddress, std::vector<ServedOrigin>> said;
    origins_ = before;
    for (const auto &[address, gateway] : gateways_)
        said[address] = origins_for(address);
    origins_ = std::move(origins);
    for (const auto &announced : origins_)
        for (const auto &address : announced.gateways)
            gateways_.try_emplace(address);
    std::vector<wccp::Outgoing> out;
    for (auto i = gateways_.begin(); i != gateways_.end();) {
        const auto news = origins_for(i->first);
        const auto old = said.find(i->first);
        if (old == said.end() || old->second != news)
            hello(now, i->first, out);
        // Who is nobody's any more is told that it has nothing here when it asks, not answered
        // for ever.
        i = news.empty() && old != said.end() && old->second.empty() ? gateways_.erase(i)
                                                                     : std::next(i);
    }
    return out;
}

std::vector<wccp::Outgoing> Registrant::receive(Time now, const wccp::Datagram &datagram)
{
    const auto opened = open(datagram.octets, keys_, Side::gateway);
    if (const auto *message = std::get_if<Message>(&opened))
        return receive(now, datagram, *message);
    count(std::get<Refusal>(opened));
    return {};
}

std::vector<wccp::Outgoing> Registrant::receive(Time now, const wccp::Datagram &datagram,
                                                const Message &message)
{
    const GatewayAddress address{datagram.from, datagram.from_port};
    const auto found = gateways_.find(address);
    const auto *ask = std::get_if<Ask>(&message.body);
    const auto *key = keys_.find(message.key);
    if (found == gateways_.end() || ask == nullptr || key == nullptr) {
        count(Refusal::stranger);
        return {};
    }
    auto &gateway = found->second;
    if (gateway.boot == message.boot && message.sequence <= gateway.sequence) {
        count(Refusal::replayed);
        return {};
    }
    if (now - gateway.window >= std::chrono::seconds(1)) {
        gateway.window = now;
        gateway.answers = 0;
    }
    if (++gateway.answers > most_answers) {
        count(Refusal::too_often);
        return {};
    }
    gateway.boot = message.boot;
    gateway.sequence = message.sequence;
    gateway.heard = now;
    gateway.interval = std::chrono::milliseconds(ask->interval);
    ++gateway.asked;
    State state{ask->challenge, name_, local_, 0, origins_for(address)};
    state.origins.resize(std::min(state.origins.size(), max_origins));
    state.lifetime = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(std::uint64_t{ask->interval} * lifetime, UINT32_MAX));
    ++counters_.state;
    // Signed with the key of the question, which whoever asks must have.
    return {to(address, seal({key->id, boot_, ++sequence_, std::move(state)}, *key))};
}

std::vector<wccp::Outgoing> Registrant::tick(Time now)
{
    std::vector<wccp::Outgoing> out;
    for (auto &[address, gateway] : gateways_) {
        if (gateway.next_hello > now)
            continue;
        const bool asked = gateway.heard && now - *gateway.heard < patience * gateway.interval;
        if (asked)
            gateway.next_hello = *gateway.heard + patience * gateway.interval;
        else
            hello(now, address, out);
    }
    return out;
}

std::optional<Time> Registrant::next_deadline() const
{
    std::optional<Time> next;
    for (const auto &[address, gateway] : gateways_)
        next = std::min(next.value_or(Time::max()), gateway.next_hello);
    return next;
}

std::vector<GatewayView> Registrant::gateways(Time now) const
{
    std::vector<GatewayView> list;
    for (const auto &[address, gateway] : gateways_) {
        GatewayView view{address, std::nullopt, std::nullopt, gateway.asked};
        if (gateway.heard) {
            view.silent = now - *gateway.heard;
            view.interval = gateway.interval;
        }
        list.push_back(view);
    }
    return list;
}

} // namespace wlb::registry
