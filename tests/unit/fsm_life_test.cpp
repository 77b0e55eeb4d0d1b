// SPDX-License-Identifier: GPL-2.0-only
// The state machine of a flow, one connection at a time.
#include <random>

#include "fsm_flow.h"

TEST_CASE("the life of a flow that a replica won", "[fsm]")
{
    Flow f;
    CHECK(f.timeout() == timeouts.racing);
    CHECK(f.send(WLB_FROM_CLIENT, f.syn()) == WLB_RACE);
    CHECK(f.send(WLB_FROM_REPLICA, f.synack()) == WLB_WIN);
    CHECK(f.timeout() == timeouts.established);
    CHECK(f.send(WLB_FROM_CLIENT, f.of_client(0, 0, ACK, 0)) == WLB_CARRY);
    CHECK(f.send(WLB_FROM_CLIENT, f.of_client(0, 300, ACK, 0)) == WLB_CARRY);
    CHECK(f.send(WLB_FROM_WINNER, f.of_peer(0, 1400, ACK, 300)) == WLB_CARRY);
    // losers keep answering (W65, W68), the winner may repeat itself (W67)
    CHECK(f.send(WLB_FROM_SERVER, f.synack()) == WLB_RESET);
    CHECK(f.send(WLB_FROM_REPLICA, f.synack()) == WLB_RESET);
    CHECK(f.send(WLB_FROM_REPLICA, f.synack()) == WLB_RESET);
    CHECK(f.send(WLB_FROM_WINNER, f.synack()) == WLB_CARRY);
    CHECK(f.m.state == WLB_FLOW_WON);

    // one side closes: half of the connection lives as long as any (W86)
    CHECK(f.send(WLB_FROM_CLIENT, f.of_client(300, 1, FIN | ACK, 1400)) == WLB_CARRY);
    CHECK(f.m.state == WLB_FLOW_WON);
    CHECK(f.send(WLB_FROM_WINNER, f.of_peer(1400, 1400, ACK, 301)) == WLB_CARRY);
    CHECK(f.send(WLB_FROM_CLIENT, f.of_client(301, 0, ACK, 2800)) == WLB_CARRY);
    CHECK(f.m.state == WLB_FLOW_WON);
    CHECK(f.timeout() == timeouts.established);

    CHECK(f.send(WLB_FROM_WINNER, f.of_peer(2800, 1, FIN | ACK, 301)) == WLB_CARRY);
    CHECK(f.m.state == WLB_FLOW_CLOSING);
    CHECK(f.timeout() == timeouts.closing);
    // the last ACK, and a FIN repeated because that was lost (W87)
    CHECK(f.send(WLB_FROM_CLIENT, f.of_client(301, 0, ACK, 2801)) == WLB_CARRY);
    CHECK(f.send(WLB_FROM_WINNER, f.of_peer(2800, 1, FIN | ACK, 301)) == WLB_CARRY);
    CHECK(f.m.state == WLB_FLOW_CLOSING);
    // a very late answer (W73)
    CHECK(f.send(WLB_FROM_REPLICA, f.synack()) == WLB_RESET);
    CHECK(f.stat == WLB_STAT_answer_lost);
}

TEST_CASE("the server closes first", "[fsm]")
{
    Flow f;
    f.win();
    CHECK(f.send(WLB_FROM_WINNER, f.of_peer(0, 1, FIN | ACK, 0)) == WLB_CARRY);
    CHECK(f.m.state == WLB_FLOW_WON);
    CHECK(f.send(WLB_FROM_WINNER, f.of_peer(0, 1, FIN | ACK, 0)) == WLB_CARRY);
    CHECK(f.m.state == WLB_FLOW_WON);
    CHECK(f.send(WLB_FROM_CLIENT, f.of_client(0, 1, FIN | ACK, 1)) == WLB_CARRY);
    CHECK(f.m.state == WLB_FLOW_CLOSING);
}

TEST_CASE("the life of a flow that the server won", "[fsm]")
{
    Flow f;
    CHECK(f.send(WLB_FROM_SERVER, f.synack()) == WLB_WIN_SERVER);
    CHECK(f.timeout() == timeouts.tombstone);
    CHECK(f.send(WLB_FROM_CLIENT, f.of_client(0, 0, ACK, 0)) == WLB_PASS);
    CHECK(f.send(WLB_FROM_REPLICA, f.synack()) == WLB_RESET);
    CHECK(f.send(WLB_FROM_SERVER, f.of_peer(0, 1, FIN | ACK, 0)) == WLB_PASS);
    CHECK(f.send(WLB_FROM_CLIENT, f.of_client(0, 1, FIN | ACK, 1)) == WLB_PASS);
    CHECK(f.send(WLB_FROM_CLIENT, f.of_client(1, 0, RST, 1)) == WLB_PASS);
    // late answers are reset as long as the tombstone stands, whatever the two do
    CHECK(f.send(WLB_FROM_REPLICA, f.synack()) == WLB_RESET);
    CHECK(f.m.state == WLB_FLOW_TOMBSTONE);
    CHECK(f.timeout() == timeouts.tombstone);
}

TEST_CASE("resets are believed inside the window only, wherever that lies", "[fsm]")
{
    // the client has sent 1000 bytes of which 400 are acknowledged, the winner 500 of 5000
    for (const u32 base : {0x00000000U, 0x10000000U, 0x7ffffc00U, 0x80000000U, 0xfffffc00U,
                           0xfffffe0bU, 0xffffffffU}) {
        Flow f(base, base + 0x1234);
        f.win();
        f.send(WLB_FROM_CLIENT, f.of_client(0, 1000, ACK, 0));
        f.send(WLB_FROM_WINNER, f.of_peer(0, 5000, ACK, 400));
        f.send(WLB_FROM_CLIENT, f.of_client(1000, 0, ACK, 500));
        const Flow fresh = f;
        const struct {
            u32 at;
            bool client, server; // fits
        } cases[] = {
            {399, false, false},        {400, true, false},         {499, true, false},
            {500, true, true},          {1000, true, true},         {1001, false, true},
            {5000, false, true},        {5001, false, false},       {0, false, false},
            {~0U, false, false},        {1U << 20, false, false},   {0x7fffffff, false, false},
            {0x80000000, false, false}, {0xc0000000, false, false},
        };
        for (const auto &[at, client, server] : cases) {
            for (const bool from_client : {true, false}) {
                CAPTURE(base, at, from_client);
                f = fresh;
                const bool fits = from_client ? client : server;
                CHECK(f.send(from_client ? WLB_FROM_CLIENT : WLB_FROM_WINNER,
                             from_client ? f.of_client(at, 0, RST, 0) : f.of_peer(at, 0, RST, 0)) ==
                      WLB_CARRY);
                CHECK(int(f.m.state) == (fits ? WLB_FLOW_CLOSING : WLB_FLOW_WON));
                CHECK(f.timeout() == (fits ? timeouts.reset : timeouts.established));
                CHECK(f.stat == (fits ? int(WLB_NO_STAT) : int(WLB_STAT_rst_out_of_window)));
            }
        }
    }
}

TEST_CASE("a sweep of resets does not end a flow", "[fsm]")
{
    // S7: one in every quarter of the largest window without scaling
    Flow f;
    f.win();
    unsigned believed = 0;
    for (u64 seq = 3; seq < 1ULL << 32; seq += 0x10000 / 4) {
        f.send(WLB_FROM_WINNER, segment_of(static_cast<u32>(seq), f.isn + 1, 0, RST | ACK));
        believed += f.m.state != WLB_FLOW_WON;
    }
    CHECK(believed == 0);
}

TEST_CASE("a forged segment does not open the window for a forged reset", "[fsm]")
{
    // S7 again: two packets of somebody who knows the addresses and ports, no sequence number.
    // Whatever the first one says, the second is outside of what both ends have seen.
    Flow f;
    f.win();
    f.send(WLB_FROM_WINNER, segment_of(f.peer + 0x60000000, 0, 1, ACK));
    f.send(WLB_FROM_WINNER, segment_of(f.peer + 0x40000000, 0, 0, RST));
    CHECK(f.m.state == WLB_FLOW_WON);
}

TEST_CASE("a forged FIN does not end a flow", "[fsm]")
{
    Flow f;
    f.win();
    for (const u32 far : {0x40000100U, 0x60000000U, 0x80000000U, 0xc0000000U, 0xfffffff0U}) {
        f.send(WLB_FROM_WINNER, segment_of(f.peer + far, 0, 1, FIN));
        f.send(WLB_FROM_CLIENT, segment_of(f.isn + far, 0, 1, FIN));
        CHECK(f.m.state == WLB_FLOW_WON);
    }
    // nor does a forged acknowledgement make honest resets look old
    f.send(WLB_FROM_WINNER, segment_of(f.peer + 1, f.isn + 0x40000000, 0, ACK));
    CHECK(f.send(WLB_FROM_CLIENT, f.of_client(0, 0, RST, 0)) == WLB_CARRY);
    CHECK(f.m.state == WLB_FLOW_CLOSING);
}

// Several times around the sequence space, with so many MiB in flight, then closed by both ends.
static void transfer(u32 flight)
{
    constexpr u32 piece = 1U << 20, pieces = 3 * 4096;
    Flow f(0xfffff000, 0x7ffff000);
    f.win();
    for (u32 i = 0; i < pieces; i++) {
        const wlb_seg data = f.of_peer(i * piece, piece, ACK, 0);
        wlb_fsm_track(&f.m, &data, WLB_DIR_SERVER);
        if (i >= flight) {
            const wlb_seg ack = f.of_client(0, 0, ACK, (i - flight + 1) * piece);
            wlb_fsm_track(&f.m, &ack, WLB_DIR_CLIENT);
        }
    }
    const u32 sent = pieces * piece;
    f.send(WLB_FROM_WINNER, f.of_peer(sent, 1, FIN | ACK, 0));
    f.send(WLB_FROM_CLIENT, f.of_client(0, 1, FIN | ACK, sent + 1));
    CHECK(f.m.state == WLB_FLOW_CLOSING);
    f.send(WLB_FROM_WINNER, f.of_peer(sent + 1, 0, RST, 1));
    CHECK(f.timeout() == timeouts.reset);
}

TEST_CASE("a long transfer is followed to its end", "[fsm]")
{
    transfer(32);
}

TEST_CASE("so is one that fills a large window", "[fsm]")
{
    // W87: TCP may have nearly 1 GiB in flight (RFC 7323 2.3)
    transfer(512);
}

TEST_CASE("old segments do not move the window back", "[fsm]")
{
    Flow f;
    f.win();
    f.send(WLB_FROM_CLIENT, f.of_client(0, 5000, ACK, 0));
    f.send(WLB_FROM_WINNER, f.of_peer(0, 0, ACK, 4000));
    f.send(WLB_FROM_CLIENT, f.of_client(0, 100, ACK, 0));
    f.send(WLB_FROM_WINNER, f.of_peer(0, 0, ACK, 100));
    CHECK(f.send(WLB_FROM_CLIENT, f.of_client(3000, 0, RST, 0)) == WLB_CARRY);
    CHECK(f.stat == WLB_STAT_rst_out_of_window);
    CHECK(f.send(WLB_FROM_CLIENT, f.of_client(5000, 0, RST, 0)) == WLB_CARRY);
    CHECK(f.m.state == WLB_FLOW_CLOSING);
    // an ack field without the flag says nothing
    Flow g;
    g.win();
    g.send(WLB_FROM_WINNER, g.of_peer(0, 10, 0, 1000));
    CHECK(g.send(WLB_FROM_CLIENT, g.of_client(0, 0, RST, 0)) == WLB_CARRY);
    CHECK(g.m.state == WLB_FLOW_CLOSING);
}

TEST_CASE("a flow is revived by whoever has not believed a reset", "[fsm]")
{
    Flow f;
    f.win();
    f.reset_by_winner();
    CHECK(f.timeout() == timeouts.reset);
    CHECK(f.send(WLB_FROM_WINNER, f.of_peer(0, 100, ACK, 0)) == WLB_CARRY);
    CHECK(f.m.state == WLB_FLOW_WON);
    CHECK(f.timeout() == timeouts.established);

    // what was closed stays so: back to the longer of the two short times
    Flow g;
    g.win();
    g.close();
    CHECK(g.send(WLB_FROM_CLIENT, g.of_client(1, 0, RST, 1)) == WLB_CARRY);
    CHECK(g.timeout() == timeouts.reset);
    CHECK(g.send(WLB_FROM_WINNER, g.of_peer(0, 1, FIN | ACK, 1)) == WLB_CARRY);
    CHECK(g.m.state == WLB_FLOW_CLOSING);
    CHECK(g.timeout() == timeouts.closing);
}

TEST_CASE("a client that gave up resets the winner, all others are reset for it", "[fsm]")
{
    // W74: it sent nothing when it gave up; the first answer makes it speak
    Flow f;
    CHECK(f.send(WLB_FROM_REPLICA, f.synack()) == WLB_WIN);
    CHECK(f.send(WLB_FROM_CLIENT, f.of_client(0, 0, RST, 0)) == WLB_CARRY);
    CHECK(f.m.state == WLB_FLOW_CLOSING);
    CHECK(f.timeout() == timeouts.reset);
    CHECK(f.send(WLB_FROM_SERVER, f.synack()) == WLB_RESET);
    CHECK(f.send(WLB_FROM_REPLICA, f.synack()) == WLB_RESET);
}

TEST_CASE("a port is used again", "[fsm]")
{
    const auto syn = [](u32 seq) { return segment_of(seq, 0, 1, SYN); };
    SECTION("after an orderly end: by a later SYN only, around 2^32 too")
    {
        for (const u32 isn : {0x10000000U, 0xfffffff0U, 0x7ffffff0U}) {
            Flow f(isn);
            f.win();
            f.close();
            CAPTURE(isn);
            // the FIN is isn + 1, so isn + 2 has not been sent
            CHECK(f.send(WLB_FROM_CLIENT, syn(isn + 1)) == WLB_CARRY);
            CHECK(f.send(WLB_FROM_CLIENT, syn(isn + 2)) == WLB_CARRY);
            CHECK(f.send(WLB_FROM_CLIENT, syn(isn + 3)) == WLB_RENEW);
            CHECK(f.send(WLB_FROM_CLIENT, syn(isn - 1)) == WLB_CARRY);
            CHECK(f.send(WLB_FROM_CLIENT, syn(isn + 0x7fffffff)) == WLB_RENEW);
        }
    }
    SECTION("of a connection that lives: the winner decides, nobody else is asked")
    {
        Flow f;
        f.win();
        const u32 again = f.isn + 0x5000, theirs = 0x44444444;
        CHECK(f.send(WLB_FROM_CLIENT, syn(again)) == WLB_CARRY);
        CHECK(f.stat == WLB_NO_STAT);
        CHECK(f.m.isn == f.isn);
        SECTION("it challenges, the client resets, the next SYN races")
        {
            CHECK(f.send(WLB_FROM_WINNER, f.of_peer(0, 0, ACK, 0)) == WLB_CARRY);
            CHECK(f.m.state == WLB_FLOW_WON);
            CHECK(f.send(WLB_FROM_CLIENT, f.of_client(0, 0, RST, 0)) == WLB_CARRY);
            CHECK(f.m.state == WLB_FLOW_CLOSING);
            CHECK(f.send(WLB_FROM_CLIENT, syn(again)) == WLB_RENEW);
        }
        SECTION("it refuses: what it does not know any more is over")
        {
            CHECK(f.send(WLB_FROM_WINNER, segment_of(0, again + 2, 0, RST | ACK)) == WLB_CARRY);
            CHECK(f.m.state == WLB_FLOW_WON);
            CHECK(f.send(WLB_FROM_CLIENT, segment_of(0, again + 1, 0, RST | ACK)) == WLB_CARRY);
            CHECK(f.m.state == WLB_FLOW_WON);
            CHECK(f.send(WLB_FROM_WINNER, segment_of(0, again + 1, 0, RST)) == WLB_CARRY);
            CHECK(f.m.state == WLB_FLOW_WON);
            CHECK(f.send(WLB_FROM_WINNER, segment_of(0, again + 1, 0, RST | ACK)) == WLB_CARRY);
            CHECK(f.m.state == WLB_FLOW_CLOSING);
            CHECK(f.timeout() == timeouts.reset);
        }
        SECTION("it is silent: it is gone")
        {
            CHECK(f.send(WLB_FROM_CLIENT, syn(again + 1)) == WLB_CARRY);
            CHECK(f.send(WLB_FROM_CLIENT, syn(again + 1)) == WLB_RENEW);
        }
        SECTION("it accepts: the same winner, a new connection")
        {
            const wlb_seg answer = segment_of(theirs, again + 1, 1, SYN | ACK);
            CHECK(f.send(WLB_FROM_REPLICA, answer) == WLB_PASS);
            CHECK(f.m.isn == f.isn);
            CHECK(f.send(WLB_FROM_SERVER, answer) == WLB_DROP);
            CHECK(f.m.isn == f.isn);
            CHECK(f.send(WLB_FROM_WINNER, answer) == WLB_CARRY);
            CHECK(f.m.isn == again);
            CHECK(f.m.state == WLB_FLOW_WON);
            CHECK(f.send(WLB_FROM_CLIENT, syn(again)) == WLB_CARRY);
            CHECK(f.stat == WLB_STAT_syn_to_winner);
            // resets are measured by the new numbers
            CHECK(f.send(WLB_FROM_WINNER, segment_of(f.peer + 1, again + 1, 0, RST | ACK)) ==
                  WLB_CARRY);
            CHECK(f.stat == WLB_STAT_rst_out_of_window);
            CHECK(f.send(WLB_FROM_WINNER, segment_of(theirs + 1, again + 1, 0, RST | ACK)) ==
                  WLB_CARRY);
            CHECK(f.m.state == WLB_FLOW_CLOSING);
            // and whoever answers the new SYN although it was never asked has lost
            CHECK(f.send(WLB_FROM_REPLICA, answer) == WLB_RESET);
        }
        SECTION("an answer to a SYN that was never sent changes nothing")
        {
            const wlb_seg answer = segment_of(theirs, again + 2, 1, SYN | ACK);
            CHECK(f.send(WLB_FROM_WINNER, answer) == WLB_CARRY);
            CHECK(f.m.isn == f.isn);
        }
    }
    SECTION("nobody sent a new SYN: a winner cannot start a connection of its own")
    {
        Flow f;
        f.win();
        const wlb_seg answer = segment_of(1, f.isn + 7, 1, SYN | ACK);
        CHECK(f.send(WLB_FROM_WINNER, answer) == WLB_CARRY);
        CHECK(f.m.isn == f.isn);
        // not even when the new SYN's number would match what the flow has kept
        const wlb_seg by_nonce = segment_of(1, (f.isn & 0xffff0000) + nonce + 1, 1, SYN | ACK);
        CHECK(f.send(WLB_FROM_WINNER, by_nonce) == WLB_CARRY);
        CHECK(f.m.isn == f.isn);
    }
    SECTION("an orderly end, an old SYN that the winner accepts after all")
    {
        Flow f;
        f.win();
        f.close();
        CHECK(f.send(WLB_FROM_CLIENT, syn(f.isn - 5000)) == WLB_CARRY);
        CHECK(f.send(WLB_FROM_WINNER, segment_of(1, f.isn - 4999, 1, SYN | ACK)) == WLB_CARRY);
        CHECK(f.m.state == WLB_FLOW_WON);
        CHECK(f.timeout() == timeouts.established);
        // the old FINs are forgotten
        CHECK(f.send(WLB_FROM_WINNER, segment_of(2, f.isn - 4999, 1, FIN | ACK)) == WLB_CARRY);
        CHECK(f.m.state == WLB_FLOW_WON);
    }
}

TEST_CASE("a winner that accepts a new SYN after a late word of the old connection", "[fsm]")
{
    // the late word crosses the new SYN, or is the challenge to its first copy
    Flow f;
    f.win();
    const u32 again = f.isn - 0x5000, theirs = 0x44444444;
    const wlb_seg answer = segment_of(theirs, again + 1, 1, SYN | ACK);
    SECTION("both ends had closed")
    {
        f.close();
        CHECK(f.send(WLB_FROM_CLIENT, segment_of(again, 0, 1, SYN)) == WLB_CARRY);
        CHECK(f.send(WLB_FROM_WINNER, f.of_peer(1, 0, ACK, 1)) == WLB_CARRY);
    }
    SECTION("the client had forgotten, and resets what the winner holds")
    {
        CHECK(f.send(WLB_FROM_CLIENT, segment_of(again, 0, 1, SYN)) == WLB_CARRY);
        CHECK(f.send(WLB_FROM_WINNER, f.of_peer(0, 0, ACK, 0)) == WLB_CARRY);
        CHECK(f.send(WLB_FROM_CLIENT, f.of_client(0, 0, RST, 0)) == WLB_CARRY);
        CHECK(f.m.state == WLB_FLOW_CLOSING);
    }
    CHECK(f.send(WLB_FROM_WINNER, answer) == WLB_CARRY);
    CHECK(f.m.isn == again);
    CHECK(f.timeout() == timeouts.established);
    CHECK(f.send(WLB_FROM_CLIENT, segment_of(again + 1, theirs + 1, 0, ACK)) == WLB_CARRY);
    CHECK(f.timeout() == timeouts.established);
    // what is left of the old connection resets nothing
    CHECK(f.send(WLB_FROM_WINNER, f.of_peer(0, 0, RST, 0)) == WLB_CARRY);
    CHECK(f.m.state == WLB_FLOW_WON);
}

TEST_CASE("a SYN that the winner challenges does not take its connection", "[fsm]")
{
    // W9: somebody else on the client's network sends a SYN in its name, and repeats it. The winner
    // lives and says so each time; a new race would break the client's connection.
    Flow f;
    f.win();
    const wlb_seg forged = segment_of(f.isn + 0x5000, 0, 1, SYN);
    CHECK(f.send(WLB_FROM_CLIENT, forged) == WLB_CARRY);
    CHECK(f.send(WLB_FROM_WINNER, f.of_peer(0, 0, ACK, 0)) == WLB_CARRY);
    CHECK(f.send(WLB_FROM_CLIENT, forged) == WLB_CARRY);
}

TEST_CASE("who refuses does not win, and is heard when nobody accepts", "[fsm]")
{
    // W71
    Flow f;
    const wlb_seg refusal = segment_of(0, f.isn + 1, 0, RST | ACK);
    SECTION("a replica accepts after the server has refused")
    {
        CHECK(f.send(WLB_FROM_SERVER, refusal) == WLB_DROP);
        CHECK(f.send(WLB_FROM_REPLICA, refusal) == WLB_DROP);
        CHECK(f.send(WLB_FROM_REPLICA, f.synack()) == WLB_WIN);
        CHECK(f.m.state == WLB_FLOW_WON);
        CHECK(f.timeout() == timeouts.established);
        CHECK(f.send(WLB_FROM_SERVER, refusal) == WLB_DROP);
    }
    SECTION("the client asks again and the server refuses again")
    {
        CHECK(f.send(WLB_FROM_SERVER, refusal) == WLB_DROP);
        CHECK(f.send(WLB_FROM_SERVER, refusal) == WLB_DROP);
        CHECK(f.send(WLB_FROM_CLIENT, f.syn()) == WLB_RACE);
        // replicas are not the server, however often they refuse
        CHECK(f.send(WLB_FROM_REPLICA, refusal) == WLB_DROP);
        CHECK(f.m.state == WLB_FLOW_RACING);
        CHECK(f.send(WLB_FROM_SERVER, refusal) == WLB_PASS);
        CHECK(f.stat == WLB_STAT_race_refused);
        CHECK(f.m.state == WLB_FLOW_TOMBSTONE);
        CHECK(f.send(WLB_FROM_REPLICA, f.synack()) == WLB_RESET);
        CHECK(f.send(WLB_FROM_CLIENT, f.syn()) == WLB_PASS);
    }
    SECTION("asked again, a replica accepts in time")
    {
        CHECK(f.send(WLB_FROM_SERVER, refusal) == WLB_DROP);
        CHECK(f.send(WLB_FROM_CLIENT, f.syn()) == WLB_RACE);
        CHECK(f.send(WLB_FROM_REPLICA, f.synack()) == WLB_WIN);
        CHECK(f.send(WLB_FROM_SERVER, refusal) == WLB_DROP);
    }
    SECTION("a client that asks twice before any refusal has not heard of it yet")
    {
        CHECK(f.send(WLB_FROM_CLIENT, f.syn()) == WLB_RACE);
        CHECK(f.send(WLB_FROM_SERVER, refusal) == WLB_DROP);
        CHECK(f.m.state == WLB_FLOW_RACING);
    }
    SECTION("a refusal of some other SYN is none of ours")
    {
        wlb_seg other = refusal;
        other.ack++;
        CHECK(f.send(WLB_FROM_SERVER, other) == WLB_PASS);
        CHECK(f.send(WLB_FROM_CLIENT, f.syn()) == WLB_RACE);
        CHECK(f.send(WLB_FROM_SERVER, refusal) == WLB_DROP);
    }
}

TEST_CASE("SYNs that nobody answers go without a tag, every other one", "[fsm]")
{
    Flow f;
    CHECK(f.send(WLB_FROM_CLIENT, f.syn()) == WLB_RACE);
    CHECK(f.stat == WLB_STAT_syn_retagged);
    for (int i = 0; i < 3; i++) {
        CHECK(f.send(WLB_FROM_CLIENT, f.syn()) == WLB_RACE_PLAIN);
        CHECK(f.stat == WLB_STAT_syn_plain);
        CHECK(f.m.flags & WLB_FSM_UNTAGGED);
        CHECK(f.send(WLB_FROM_CLIENT, f.syn()) == WLB_RACE);
        CHECK(f.stat == WLB_STAT_syn_retagged);
        CHECK(!(f.m.flags & WLB_FSM_UNTAGGED));
    }
    SECTION("a replica may win yet, and both may end")
    {
        CHECK(f.send(WLB_FROM_REPLICA, f.synack()) == WLB_WIN);
        CHECK((f.m.flags & WLB_FSM_FIN_BOTH) == 0);
    }
    SECTION("who has refused has had the tag")
    {
        CHECK(f.send(WLB_FROM_SERVER, segment_of(0, f.isn + 1, 0, RST | ACK)) == WLB_DROP);
        CHECK(f.send(WLB_FROM_CLIENT, f.syn()) == WLB_RACE);
        CHECK(f.send(WLB_FROM_CLIENT, f.syn()) == WLB_RACE);
    }
}

TEST_CASE("the caller's flag survives whatever happens", "[fsm]")
{
    Flow f;
    f.m.flags = WLB_FSM_CALLER;
    wlb_fsm_start(&f.m, f.isn, nonce, 0);
    f.win();
    f.close();
    CHECK(f.send(WLB_FROM_CLIENT, f.of_client(1, 0, RST, 1)) == WLB_CARRY);
    CHECK((f.m.flags & WLB_FSM_CALLER) != 0);
    wlb_fsm_start(&f.m, f.isn, nonce, 0);
    CHECK(f.m.flags == WLB_FSM_CALLER);
    f.m.flags = WLB_FSM_CALLER | WLB_FSM_REFUSED | WLB_FSM_RETRIED;
    CHECK(f.send(WLB_FROM_REPLICA, f.synack()) == WLB_WIN);
    CHECK(f.m.flags == WLB_FSM_CALLER);
}

TEST_CASE("before and after in sequence space", "[fsm]")
{
    for (const u32 a : {0U, 1U, 0x7fffffffU, 0x80000000U, 0xffffffffU}) {
        CAPTURE(a);
        CHECK_FALSE(wlb_before(a, a));
        CHECK_FALSE(wlb_after(a, a));
        for (const u32 d : {1U, 2U, 0x10000U, 0x7fffffffU}) {
            CHECK(wlb_before(a, a + d));
            CHECK(wlb_after(a + d, a));
            CHECK_FALSE(wlb_before(a + d, a));
            CHECK_FALSE(wlb_after(a, a + d));
        }
    }
}

TEST_CASE("sequence numbers compare as if they never came round", "[fsm]")
{
    std::mt19937_64 engine(8);
    for (int round = 0; round < 100000; round++) {
        // of a stream that begins anywhere, most of them where 2^32 is crossed
        const u64 start = round % 4 ? 0x100000000ULL - 1000 : engine() >> 32;
        const u64 a = start + engine() % 2000;
        const u64 near = engine() % (1U << (1 + engine() % 31)); // under 2^31
        const u64 b = a + near;
        const bool right = wlb_before(u32(a), u32(b)) == (a < b) &&
                           wlb_after(u32(a), u32(b)) == (a > b) &&
                           wlb_before(u32(b), u32(a)) == (b < a) &&
                           wlb_after(u32(b), u32(a)) == (b > a) && u32(b) - u32(a) == b - a;
        if (!right) {
            CAPTURE(a, b);
            REQUIRE(right);
        }
    }
}

TEST_CASE("a flow across 2^32 is one like any other", "[fsm]")
{
    std::mt19937 engine(9);
    const auto below = [&](unsigned n) { return engine() % n; };
    for (int round = 0; round < 3000; round++) {
        // the same segments of two flows, one of which crosses 2^32 in both directions
        Flow low(0x10000000, 0x20000000),
            high(0xffffff00 + below(0x100), 0xfffff000 + below(0x1000));
        low.win();
        high.win();
        for (int i = 0; i < 20; i++) {
            const u32 from = below(6000), len = below(1460), acked = below(6000);
            const u8 flags = below(3) ? ACK : below(4) ? RST | ACK : FIN | ACK;
            const bool client = below(2);
            const auto verdict = [&](Flow &f) {
                return f.send(client ? WLB_FROM_CLIENT : WLB_FROM_WINNER,
                              client ? f.of_client(from, len, flags, acked)
                                     : f.of_peer(from, len, flags, acked));
            };
            const bool same = verdict(low) == verdict(high) && low.stat == high.stat &&
                              low.m.state == high.m.state && low.m.flags == high.m.flags;
            const bool same_figures = low.m.end[0] - low.isn == high.m.end[0] - high.isn &&
                                      low.m.end[1] - low.peer == high.m.end[1] - high.peer &&
                                      low.m.ack[0] - low.peer == high.m.ack[0] - high.peer &&
                                      low.m.ack[1] - low.isn == high.m.ack[1] - high.isn;
            if (!same || !same_figures) {
                CAPTURE(round, i, high.isn, high.peer);
                CHECK(same);
                CHECK(same_figures);
                FAIL("the flows differ");
            }
        }
    }
}
