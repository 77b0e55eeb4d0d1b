// SPDX-License-Identifier: GPL-2.0-only
// The state machine of a flow, one segment at a time: every state, sender and kind of segment
// against the requirements that are named with each line, not against the code.
#include <array>
#include <cstring>

#include "fsm_flow.h"

namespace {

enum class State { racing, won, tombstone, closed, reset };

Flow flow_in(State state)
{
    Flow f;
    switch (state) {
    case State::racing:
        break;
    case State::tombstone:
        REQUIRE(f.send(WLB_FROM_SERVER, f.synack()) == WLB_WIN_SERVER);
        break;
    default:
        f.win();
        if (state == State::closed)
            f.close();
        else if (state == State::reset)
            f.reset_by_winner();
    }
    return f;
}

enum class Kind {
    syn,           // the same again
    syn_later,     // another one, behind all that was sent
    syn_earlier,   // another one, before
    synack,        // of this SYN
    synack_nonce,  // with an answer tag of this race
    synack_forged, // with one of another race
    synack_other,  // of another SYN
    data,
    fin,
    rst,         // as the sender would send it now
    rst_outside, // with a sequence number that is not the connection's
    rst_bare,    // no ACK flag
    rst_other,   // acknowledges something else
    null,        // no flags at all
    syn_fin,
};

wlb_seg segment(const Flow &f, State state, Kind kind, wlb_from from)
{
    const bool client = from == WLB_FROM_CLIENT;
    const u32 fins = state == State::closed ? 1 : 0;
    wlb_seg seg = client ? f.of_client(fins, 0, 0, fins) : f.of_peer(fins, 0, 0, fins);
    // before the answer its sender's RST carries no sequence number of its own
    const bool early = !client && (state == State::racing || from != WLB_FROM_WINNER);

    switch (kind) {
    case Kind::syn:
    case Kind::syn_later:
    case Kind::syn_earlier:
        seg = f.syn();
        if (kind != Kind::syn)
            seg.seq += kind == Kind::syn_later ? 100000 : -100000;
        break;
    case Kind::synack:
    case Kind::synack_nonce:
    case Kind::synack_forged:
    case Kind::synack_other:
        seg = f.synack();
        seg.ack += kind == Kind::synack_other;
        seg.has_nonce = kind == Kind::synack_nonce || kind == Kind::synack_forged;
        seg.nonce = kind == Kind::synack_forged ? nonce + 1 : nonce;
        break;
    case Kind::data:
        seg.flags = ACK;
        seg.len = 100;
        break;
    case Kind::fin:
        seg.flags = FIN | ACK;
        seg.len = 1;
        break;
    case Kind::rst:
    case Kind::rst_outside:
    case Kind::rst_other:
        seg.flags = RST | ACK;
        if (early)
            seg.seq = 0;
        if (kind == Kind::rst_outside)
            seg.seq += 1 << 20;
        if (kind == Kind::rst_other)
            seg.ack += 77;
        break;
    case Kind::rst_bare:
        seg.flags = RST;
        seg.ack = 0;
        break;
    case Kind::null:
        break;
    case Kind::syn_fin:
        seg.flags = SYN | FIN;
        seg.len = 2;
        break;
    }
    return seg;
}

constexpr int stays = -1;

struct Cell {
    int verdict = -1; // -1: nobody is that sender in this state
    int next = stays;
    int stat = WLB_NO_STAT;
};

constexpr Cell nobody{};
constexpr Cell pass{WLB_PASS};
constexpr Cell carry{WLB_CARRY};
constexpr Cell stray{WLB_DROP, stays, WLB_STAT_server_stray};
constexpr Cell lost{WLB_RESET, stays, WLB_STAT_answer_lost};
constexpr Cell unlisted{WLB_PASS, stays, WLB_STAT_answer_unlisted};
constexpr Cell bad_ack{WLB_PASS, stays, WLB_STAT_answer_bad_ack};
constexpr Cell bad_ack_drop{WLB_DROP, stays, WLB_STAT_answer_bad_ack};
constexpr Cell bad_nonce{WLB_DROP, stays, WLB_STAT_answer_bad_nonce};
constexpr Cell refusal{WLB_DROP, stays, WLB_STAT_refusal_ignored};
constexpr Cell repeated{WLB_CARRY, stays, WLB_STAT_answer_repeated};
constexpr Cell repeated_pass{WLB_PASS, stays, WLB_STAT_answer_repeated};
constexpr Cell retag{WLB_RACE, stays, WLB_STAT_syn_retagged};
constexpr Cell replace{WLB_RENEW, stays, WLB_STAT_race_replaced};
constexpr Cell renew{WLB_RENEW};
constexpr Cell to_winner{WLB_CARRY, stays, WLB_STAT_syn_to_winner};
constexpr Cell to_server{WLB_PASS, stays, WLB_STAT_syn_to_winner};
constexpr Cell win{WLB_WIN, WLB_FLOW_WON, WLB_STAT_race_won_replica};
constexpr Cell win_server{WLB_WIN_SERVER, WLB_FLOW_TOMBSTONE, WLB_STAT_race_won_server};
constexpr Cell resets{WLB_CARRY, WLB_FLOW_CLOSING};
constexpr Cell outside{WLB_CARRY, stays, WLB_STAT_rst_out_of_window};
constexpr Cell revive{WLB_CARRY, WLB_FLOW_WON};

struct Line {
    State state;
    Kind kind;
    std::array<Cell, 5> cells; // client, server, winner, replica, stranger
    const char *rows;
};

using enum State;

const Line table[] = {
    {racing, Kind::syn, {retag, pass, nobody, pass, pass}, "W7"},
    {racing, Kind::syn_later, {replace, pass, nobody, pass, pass}, "W9"},
    {racing, Kind::syn_earlier, {replace, pass, nobody, pass, pass}, "W9"},
    {racing, Kind::synack, {pass, win_server, nobody, win, unlisted}, "W60 W61 W69"},
    {racing, Kind::synack_nonce, {pass, win_server, nobody, win, unlisted}, "W60 W61 W69"},
    // the client gets the server's in any case: it must end the race, or there are two winners
    {racing, Kind::synack_forged, {pass, win_server, nobody, bad_nonce, unlisted}, "W61 W69"},
    {racing, Kind::synack_other, {pass, bad_ack, nobody, bad_ack, bad_ack}, "W69"},
    {racing, Kind::data, {pass, pass, nobody, pass, pass}, "W81"},
    {racing, Kind::fin, {pass, pass, nobody, pass, pass}, "W81"},
    {racing, Kind::rst, {pass, refusal, nobody, refusal, pass}, "W71 W74"},
    {racing, Kind::rst_outside, {pass, refusal, nobody, refusal, pass}, "W71"},
    {racing, Kind::rst_bare, {pass, pass, nobody, pass, pass}, "W71"},
    {racing, Kind::rst_other, {pass, pass, nobody, pass, pass}, "W71"},
    {racing, Kind::null, {pass, pass, nobody, pass, pass}, "W1"},
    {racing, Kind::syn_fin, {pass, pass, nobody, pass, pass}, "W1"},

    {won, Kind::syn, {to_winner, stray, carry, pass, pass}, "W8"},
    {won, Kind::syn_later, {carry, stray, carry, pass, pass}, "W9"},
    {won, Kind::syn_earlier, {carry, stray, carry, pass, pass}, "W9"},
    {won, Kind::synack, {carry, lost, repeated, lost, unlisted}, "W65 W67 W69"},
    {won, Kind::synack_nonce, {carry, lost, repeated, lost, unlisted}, "W65 W67 W69"},
    {won, Kind::synack_forged, {carry, lost, repeated, lost, unlisted}, "W65 W67 W69"},
    {won, Kind::synack_other, {carry, bad_ack_drop, repeated, bad_ack, bad_ack}, "W69"},
    {won, Kind::data, {carry, stray, carry, pass, pass}, "W80 W86"},
    {won, Kind::fin, {carry, stray, carry, pass, pass}, "W86 W87"},
    {won, Kind::rst, {resets, stray, resets, pass, pass}, "W74 W87 S7"},
    {won, Kind::rst_outside, {outside, stray, outside, pass, pass}, "W87 S7"},
    {won, Kind::rst_bare, {resets, stray, resets, pass, pass}, "W87 S7"},
    {won, Kind::rst_other, {resets, stray, resets, pass, pass}, "W87 S7"},
    {won, Kind::null, {carry, stray, carry, pass, pass}, "W80"},
    {won, Kind::syn_fin, {carry, stray, carry, pass, pass}, "W80"},

    {tombstone, Kind::syn, {to_server, pass, nobody, pass, pass}, "W8"},
    // nothing of the server's connection is tracked: no SYN can be told to be too old
    {tombstone, Kind::syn_later, {renew, pass, nobody, pass, pass}, "W9"},
    {tombstone, Kind::syn_earlier, {renew, pass, nobody, pass, pass}, "W9"},
    {tombstone, Kind::synack, {pass, repeated_pass, nobody, lost, unlisted}, "W61 W65 W67"},
    {tombstone, Kind::synack_nonce, {pass, repeated_pass, nobody, lost, unlisted}, "W61 W65"},
    {tombstone, Kind::synack_forged, {pass, repeated_pass, nobody, lost, unlisted}, "W61 W65"},
    {tombstone, Kind::synack_other, {pass, repeated_pass, nobody, bad_ack, bad_ack}, "W69 W81"},
    {tombstone, Kind::data, {pass, pass, nobody, pass, pass}, "W61 W81"},
    {tombstone, Kind::fin, {pass, pass, nobody, pass, pass}, "W61 W81"},
    {tombstone, Kind::rst, {pass, pass, nobody, pass, pass}, "W61 W81"},
    {tombstone, Kind::rst_outside, {pass, pass, nobody, pass, pass}, "W61 W81"},
    {tombstone, Kind::rst_bare, {pass, pass, nobody, pass, pass}, "W61 W81"},
    {tombstone, Kind::rst_other, {pass, pass, nobody, pass, pass}, "W61 W81"},
    {tombstone, Kind::null, {pass, pass, nobody, pass, pass}, "W81"},
    {tombstone, Kind::syn_fin, {pass, pass, nobody, pass, pass}, "W81"},

    {closed, Kind::syn, {to_winner, stray, carry, pass, pass}, "W8"},
    {closed, Kind::syn_later, {renew, stray, carry, pass, pass}, "W9"},
    {closed, Kind::syn_earlier, {carry, stray, carry, pass, pass}, "W9"},
    {closed, Kind::synack, {carry, lost, repeated, lost, unlisted}, "W67 W73"},
    {closed, Kind::synack_nonce, {carry, lost, repeated, lost, unlisted}, "W67 W73"},
    {closed, Kind::synack_forged, {carry, lost, repeated, lost, unlisted}, "W67 W73"},
    {closed, Kind::synack_other, {carry, bad_ack_drop, repeated, bad_ack, bad_ack}, "W69"},
    {closed, Kind::data, {carry, stray, carry, pass, pass}, "W87"},
    {closed, Kind::fin, {carry, stray, carry, pass, pass}, "W87"},
    {closed, Kind::rst, {resets, stray, resets, pass, pass}, "W87 S7"},
    {closed, Kind::rst_outside, {outside, stray, outside, pass, pass}, "W87 S7"},
    {closed, Kind::rst_bare, {resets, stray, resets, pass, pass}, "W87 S7"},
    {closed, Kind::rst_other, {resets, stray, resets, pass, pass}, "W87 S7"},
    {closed, Kind::null, {carry, stray, carry, pass, pass}, "W80"},
    {closed, Kind::syn_fin, {carry, stray, carry, pass, pass}, "W80"},

    {reset, Kind::syn, {to_winner, stray, revive, pass, pass}, "W8"},
    {reset, Kind::syn_later, {renew, stray, revive, pass, pass}, "W9"},
    {reset, Kind::syn_earlier, {renew, stray, revive, pass, pass}, "W9"},
    {reset, Kind::synack, {revive, lost, repeated, lost, unlisted}, "W67 W73"},
    {reset, Kind::synack_nonce, {revive, lost, repeated, lost, unlisted}, "W67 W73"},
    {reset, Kind::synack_forged, {revive, lost, repeated, lost, unlisted}, "W67 W73"},
    {reset, Kind::synack_other, {revive, bad_ack_drop, repeated, bad_ack, bad_ack}, "W69"},
    {reset, Kind::data, {revive, stray, revive, pass, pass}, "S7"},
    {reset, Kind::fin, {revive, stray, revive, pass, pass}, "S7"},
    {reset, Kind::rst, {resets, stray, resets, pass, pass}, "W87 S7"},
    {reset, Kind::rst_outside, {outside, stray, outside, pass, pass}, "W87 S7"},
    {reset, Kind::rst_bare, {resets, stray, resets, pass, pass}, "W87 S7"},
    {reset, Kind::rst_other, {resets, stray, resets, pass, pass}, "W87 S7"},
    {reset, Kind::null, {revive, stray, revive, pass, pass}, "S7"},
    {reset, Kind::syn_fin, {revive, stray, revive, pass, pass}, "S7"},
};

} // namespace

TEST_CASE("every state, segment and sender", "[fsm]")
{
    int cells = 0;
    for (const Line &line : table) {
        for (int from = 0; from < 5; from++) {
            const Cell &want = line.cells[from];
            if (want.verdict < 0)
                continue;
            INFO(line.rows << ": state " << int(line.state) << ", segment " << int(line.kind)
                           << ", from " << from);
            Flow f = flow_in(line.state);
            const wlb_fsm before = f.m;
            const auto sender = static_cast<wlb_from>(from);
            CHECK(f.send(sender, segment(f, line.state, line.kind, sender)) == want.verdict);
            CHECK(int(f.m.state) == (want.next == stays ? int(before.state) : want.next));
            CHECK(f.stat == want.stat);
            if (want.verdict == WLB_RENEW)
                CHECK(std::memcmp(&f.m, &before, sizeof(before)) == 0);
            cells++;
        }
    }
    // 5 states x 15 segments x 5 senders, less the winner of the two states that have none
    CHECK(cells == 5 * 15 * 5 - 2 * 15);
}
