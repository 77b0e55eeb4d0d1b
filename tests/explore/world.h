// SPDX-License-Identifier: GPL-2.0-only
// The world around one flow: a client, the servers that may answer it, the gateway with the real
// state machine, and a network that loses, doubles and reorders. A value: copied, compared, hashed.
#ifndef WLB_EXPLORE_WORLD_H
#define WLB_EXPLORE_WORLD_H

#include <array>

#include "tcp.h"

// The server is host 0, replicas are the next ones; the stranger only sends what is forged.
inline constexpr u8 server = 0, max_hosts = 4, stranger = 6, nobody = 7;
inline constexpr unsigned max_flight = 8;

enum class Hop : u8 { none, from_client, to_client, from_host, to_host };

struct Packet {
    Segment s;
    Hop hop;
    u8 host;           // the other end: who sent it, who gets it
    u8 seen;           // to_client: whose address it bears
    u8 nonce;          // of an answer tag, 0: none
    bool ours, forged; // the gateway's own reset; nobody's honest segment
    bool last;         // the RST by which an end leaves its connection
    u8 attempt;        // of which connection that was
};

// How often what may happen. What is left of it is part of a state.
struct Budget {
    u8 lose = 0, twice = 0;              // packets lost, delivered twice
    u8 syns = 0, answers = 0, again = 0; // repeated: SYNs; SYN-ACKs; data and FINs
    u8 later = 0, earlier = 0; // ports used again, with a later, an earlier sequence number
    u8 give_up = 0, crash = 0; // the client forgets: while it waits, while it talks
    u8 data = 0, fin = 0;
    u8 abort = 0;           // an end that talks sends a RST
    u8 die = 0, reboot = 0; // hosts that talk or are about to
    u8 stop = 0;            // hosts that talk, and refuse everything then
    u8 refuse = 0;          // hosts that do from the beginning
    u8 forge = 0;
};

struct Scenario {
    const char *name;
    u8 hosts;  // the server and its replicas
    u8 flight; // packets that the network holds; what does not fit is lost
    bool lan;  // what the client sends can be late too, not only what it gets
    Budget budget;
};

struct Flow {
    wlb_fsm m;
    bool there, spare;
    u8 winner;                      // as the gateway knows it: a replica, or nobody
    u8 timer;                       // what the entry was last given: see timeouts
    bool refusal_seen, asked_again; // from here on what the checks remember
    std::array<bool, 2> fin;        // by direction: seen in its place
    std::array<u32, 2> sent;        // and the next number after what was seen
};

// By number of the client's attempt: the last one is the earlier, the low halves all differ.
inline constexpr std::array<u32, 4> isns{0x10010, 0x20020, 0x30040, 0x08030};
inline constexpr u8 earlier = 3, unknown_attempt = 4;

// Of the numbers that @host begins connections with: 2^28 apart, farther than is plausible.
inline constexpr u32 base_of(u8 host)
{
    return (host + 1U) << 28;
}

// What kind of timer the entry was given last.
inline constexpr wlb_timeouts timeouts{
    .racing = 1, .tombstone = 2, .established = 3, .closing = 4, .reset = 5};

struct World {
    std::array<Packet, max_flight> flight;
    std::array<End, max_hosts> hosts;
    End client;
    Flow flow;
    Budget left;
    u8 client_peer;           // who really sent the SYN-ACK that the client took
    u8 current;               // attempt that the client is at
    u8 races;                 // begun; the nonce is of the latest
    u8 packets;               // in flight
    std::array<u8, 4> winner; // by attempt, as the verdicts said
    bool begun;
    std::array<u8, 2> spare; // no padding: worlds are compared by their bytes

    explicit World(const Scenario &scenario);

    // The least of the worlds that differ in the order of the replicas only.
    void canonical(const Scenario &scenario);
    u64 hash() const;
    bool talks(u8 host) const;
    bool may_expire(const Scenario &scenario) const;

private:
    void swap_hosts(u8 a, u8 b);
};

inline u8 attempt_of(u32 isn)
{
    u8 i = 0;
    while (i < isns.size() && isns[i] != isn)
        i++;
    return i;
}

#endif
