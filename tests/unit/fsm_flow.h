// SPDX-License-Identifier: GPL-2.0-only
// A flow and the segments of its two ends, for the tests of the state machine.
#ifndef WLB_TEST_FSM_FLOW_H
#define WLB_TEST_FSM_FLOW_H

#include <catch2/catch.hpp>

#include "wlb/fsm.h"

inline constexpr u8 SYN = WLB_TCP_SYN, ACK = WLB_TCP_ACK, FIN = WLB_TCP_FIN, RST = WLB_TCP_RST;
inline constexpr u16 nonce = 0x9a3c;
inline constexpr wlb_timeouts timeouts{
    .racing = 1, .tombstone = 2, .established = 3, .closing = 4, .reset = 5};

inline wlb_seg segment_of(u32 seq, u32 ack, u32 len, u8 flags)
{
    return {.seq = seq, .ack = ack, .len = len, .flags = flags, .has_nonce = false, .nonce = 0};
}

// One flow, and what came of the segment that it saw last.
struct Flow {
    wlb_fsm m{};
    u32 isn, peer; // first sequence number of the client, of whoever answers
    int stat = WLB_NO_STAT;

    explicit Flow(u32 isn = 0x10000000, u32 peer = 0x70000000) : isn(isn), peer(peer)
    {
        wlb_fsm_start(&m, isn, nonce, 12345);
    }

    wlb_verdict send(wlb_from from, const wlb_seg &seg)
    {
        return wlb_fsm_segment(&m, &seg, from, &stat);
    }

    // Segments of the connection as it stands, seen from its two ends.
    wlb_seg syn() const { return segment_of(isn, 0, 1, SYN); }
    wlb_seg synack() const { return segment_of(peer, isn + 1, 1, SYN | ACK); }
    wlb_seg of_client(u32 from, u32 len, u8 flags, u32 acked) const
    {
        return segment_of(isn + 1 + from, peer + 1 + acked, len, flags);
    }
    wlb_seg of_peer(u32 from, u32 len, u8 flags, u32 acked) const
    {
        return segment_of(peer + 1 + from, isn + 1 + acked, len, flags);
    }

    void win()
    {
        REQUIRE(send(WLB_FROM_REPLICA, synack()) == WLB_WIN);
        REQUIRE(send(WLB_FROM_CLIENT, of_client(0, 0, ACK, 0)) == WLB_CARRY);
        REQUIRE(m.state == WLB_FLOW_WON);
    }

    // both FINs and their ACKs
    void close()
    {
        REQUIRE(send(WLB_FROM_CLIENT, of_client(0, 1, FIN | ACK, 0)) == WLB_CARRY);
        REQUIRE(send(WLB_FROM_WINNER, of_peer(0, 1, FIN | ACK, 1)) == WLB_CARRY);
        REQUIRE(send(WLB_FROM_CLIENT, of_client(1, 0, ACK, 1)) == WLB_CARRY);
        REQUIRE(m.state == WLB_FLOW_CLOSING);
    }

    void reset_by_winner()
    {
        REQUIRE(send(WLB_FROM_WINNER, of_peer(0, 0, RST | ACK, 0)) == WLB_CARRY);
        REQUIRE(m.state == WLB_FLOW_CLOSING);
    }

    u32 timeout() const { return wlb_fsm_timeout(&m, &timeouts); }
};

#endif
