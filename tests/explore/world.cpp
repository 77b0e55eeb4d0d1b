// SPDX-License-Identifier: GPL-2.0-only
#include "world.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace {

// Bytes that no field owns would make equal worlds differ. Only a union keeps World from the first.
static_assert(std::has_unique_object_representations_v<Packet> &&
              std::has_unique_object_representations_v<End> &&
              std::has_unique_object_representations_v<Budget>);
static_assert(sizeof(Flow) == sizeof(wlb_fsm) + 16);
static_assert(sizeof(World) == sizeof(World::flight) + sizeof(World::hosts) + sizeof(End) +
                                   sizeof(Flow) + sizeof(Budget) + 11);

u64 mix(u64 h, u64 v)
{
    h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
    return h ^ (h >> 29);
}

template <class T> u64 digest(const T &value)
{
    static_assert(sizeof(T) % 4 == 0);
    u32 words[sizeof(T) / 4];
    std::memcpy(words, &value, sizeof(T));
    u64 h = 0x243f6a8885a308d3ULL;
    for (const u32 w : words)
        h = mix(h, w);
    return h ^ (h >> 32);
}

// Number @v of a world in which hosts @a and @b have changed places.
u32 swapped(u32 v, u8 a, u8 b)
{
    const u32 owner = v >> 28, rest = v & ((1U << 28) - 1);
    return owner == a + 1U ? base_of(b) | rest : owner == b + 1U ? base_of(a) | rest : v;
}

bool before(const Packet &a, const Packet &b)
{
    return std::memcmp(&a, &b, sizeof(a)) < 0;
}

} // namespace

World::World(const Scenario &scenario)
{
    std::memset(static_cast<void *>(this), 0, sizeof(*this));
    this->winner.fill(nobody);
    flow.winner = client_peer = nobody;
    for (u8 h = 0; h < max_hosts; h++)
        hosts[h].state = h < scenario.hosts ? Tcp::listening : Tcp::dead;
    left = scenario.budget;
}

u64 World::hash() const
{
    return digest(*this);
}

void World::swap_hosts(u8 a, u8 b)
{
    const auto number = [&](u32 &v) { v = swapped(v, a, b); };
    const auto end = [&](End &e) {
        for (u32 *v : {&e.iss, &e.irs, &e.una, &e.nxt, &e.rcv})
            number(*v);
    };
    const auto host = [&](u8 &h) { h = h == a ? b : h == b ? a : h; };
    std::swap(hosts[a], hosts[b]);
    end(client);
    for (End &e : hosts)
        end(e);
    for (u8 i = 0; i < packets; i++) {
        number(flight[i].s.seq);
        number(flight[i].s.ack);
        host(flight[i].host);
        host(flight[i].seen);
    }
    for (u32 *v : {&flow.m.end[0], &flow.m.end[1], &flow.m.ack[0], &flow.m.ack[1], &flow.sent[1]})
        number(*v);
    host(flow.winner);
    host(client_peer);
    for (u8 &w : winner)
        host(w);
}

void World::canonical(const Scenario &scenario)
{
    // equal keys of replicas that differ cost a state too many, no more
    std::array<u64, max_hosts> key{};
    for (u8 h = 1; h < scenario.hosts; h++) {
        End end = hosts[h];
        for (u32 *v : {&end.iss, &end.una, &end.nxt})
            *v = swapped(*v, h, max_hosts);
        key[h] = digest(end) + (flow.winner == h) + 2 * (client_peer == h);
        for (const u8 w : winner)
            key[h] = mix(key[h], w == h);
        for (u8 i = 0; i < packets; i++) {
            Packet p = flight[i];
            if (p.host != h)
                continue;
            p.s.seq = swapped(p.s.seq, h, max_hosts);
            p.s.ack = swapped(p.s.ack, h, max_hosts);
            p.host = max_hosts;
            p.seen = p.seen == h ? max_hosts : p.seen;
            key[h] += digest(p);
        }
    }
    for (u8 a = 1; a < scenario.hosts; a++)
        for (u8 b = a + 1; b < scenario.hosts; b++)
            if (key[b] < key[a]) {
                swap_hosts(a, b);
                std::swap(key[a], key[b]);
            }
    std::sort(flight.begin(), flight.begin() + packets, before);
}

// Do the client and @host have a connection in common?
bool World::talks(u8 host) const
{
    return host < max_hosts && client.state == Tcp::open && client_peer == host &&
           hosts[host].state == Tcp::open && hosts[host].irs == client.iss;
}

/*
 * The assumption about time: a packet lives shorter than any timer runs; racing and tombstone
 * outlast the repetitions of a SYN and of its answers; closing those of data and FINs; established
 * the silence of a connection that both ends have.
 */
bool World::may_expire(const Scenario &scenario) const
{
    if (!flow.there || packets)
        return false;
    const u32 isn = flow.m.isn;
    bool asking = client.state == Tcp::syn_sent, half_open = false, unacked = client.unacked();
    for (u8 h = 0; h < scenario.hosts; h++) {
        half_open |= hosts[h].state == Tcp::half_open && hosts[h].irs == isn;
        unacked |= hosts[h].state == Tcp::open && hosts[h].unacked();
    }
    switch (flow.timer) {
    case timeouts.racing:
    case timeouts.tombstone:
        return !half_open && !(asking && client.iss == isn);
    case timeouts.established:
        return !asking && !half_open && !talks(flow.winner);
    case timeouts.closing:
        return !asking && !unacked;
    case timeouts.reset:
        return true;
    default:
        return false;
    }
}
