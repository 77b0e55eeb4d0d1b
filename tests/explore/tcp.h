// SPDX-License-Identifier: GPL-2.0-only
// One end of a TCP connection, as small as honest: RFC 9293 with RFC 5961's challenges, no data
// but sequence numbers, no window but a fixed one.
#ifndef WLB_EXPLORE_TCP_H
#define WLB_EXPLORE_TCP_H

#include <optional>

#include "wlb/fsm.h"

inline constexpr u8 SYN = WLB_TCP_SYN, ACK = WLB_TCP_ACK, FIN = WLB_TCP_FIN, RST = WLB_TCP_RST;

struct Segment {
    u32 seq, ack;
    u16 flags, len;
};

enum class Tcp : u8 {
    closed, // a client's
    syn_sent,
    listening, // a server's
    half_open, // SYN-RECEIVED
    open,      // ESTABLISHED up to LAST-ACK
    time_wait,
    refusing, // nobody listens: RST
    dead,     // silent
};

struct End {
    u32 iss = 0, irs = 0;          // initial sequence numbers: ours, theirs
    u32 una = 0, nxt = 0, rcv = 0; // oldest not acknowledged, next to send, next expected
    Tcp state = Tcp::closed;
    u8 fin_sent = 0; // 2: after the other end's
    bool fin_received = false;
    u8 lives = 0; // connections begun

    static constexpr u32 window = 1 << 16;

    bool unacked() const { return una != nxt; }

    void begin(Tcp as, u32 iss_, u32 irs_)
    {
        *this = {.iss = iss_,
                 .irs = irs_,
                 .una = iss_,
                 .nxt = iss_ + 1,
                 .rcv = as == Tcp::half_open ? irs_ + 1 : 0,
                 .state = as,
                 .fin_sent = 0,
                 .fin_received = false,
                 .lives = static_cast<u8>(lives + 1)};
    }
    void end(Tcp as) { *this = {.state = as, .lives = lives}; }

    Segment syn() const { return {iss, 0, SYN, 1}; }
    Segment synack() const { return {iss, rcv, SYN | ACK, 1}; }
    Segment pure_ack() const { return {nxt, rcv, ACK, 0}; }
    Segment abort() const { return {nxt, rcv, RST | ACK, 0}; }
    Segment data()
    {
        nxt++;
        return {nxt - 1, rcv, ACK, 1};
    }
    Segment fin()
    {
        fin_sent = fin_received ? 2 : 1;
        nxt++;
        return {nxt - 1, rcv, FIN | ACK, 1};
    }
    // all that is not acknowledged, as one segment
    Segment again() const
    {
        return {una, rcv, static_cast<u16>(fin_sent ? FIN | ACK : ACK),
                static_cast<u16>(nxt - una)};
    }

    // What somebody who knows of no connection says to a segment (RFC 9293 3.10.7.1).
    static std::optional<Segment> unknown(const Segment &s)
    {
        if (s.flags & RST)
            return {};
        if (s.flags & ACK)
            return Segment{s.ack, 0, RST, 0};
        return Segment{0, s.seq + s.len, RST | ACK, 0};
    }

    // The client's end.
    std::optional<Segment> client_gets(const Segment &s)
    {
        switch (state) {
        case Tcp::syn_sent:
            if (!(s.flags & ACK))
                return {};
            if (s.ack != iss + 1)
                return unknown(s);
            if (s.flags & RST) {
                end(Tcp::closed);
                return {};
            }
            if (!(s.flags & SYN))
                return {};
            state = Tcp::open;
            irs = s.seq;
            rcv = s.seq + 1;
            una = s.ack;
            return pure_ack();
        case Tcp::open:
        case Tcp::time_wait:
            return synchronised(s, Tcp::closed);
        default:
            return unknown(s);
        }
    }

    // A server's end. @fresh: the sequence number with which it would answer a SYN.
    std::optional<Segment> server_gets(const Segment &s, u32 fresh)
    {
        const bool syn = (s.flags & (SYN | ACK | RST)) == SYN;
        switch (state) {
        case Tcp::dead:
            return {};
        case Tcp::refusing:
            return unknown(s);
        case Tcp::time_wait:
            if (!syn || !wlb_after(s.seq, rcv)) // RFC 6191 2
                return synchronised(s, Tcp::listening);
            [[fallthrough]];
        case Tcp::listening:
            if (!syn)
                return unknown(s);
            begin(Tcp::half_open, fresh, s.seq);
            return synack();
        case Tcp::half_open:
            if (syn)
                return s.seq == irs ? synack() : pure_ack();
            if (!(s.flags & RST) && (s.flags & ACK) && s.ack != iss + 1)
                return unknown(s);
            if (!(s.flags & (RST | SYN)) && (s.flags & ACK) && s.seq == rcv) {
                state = Tcp::open;
                una = s.ack;
            }
            return synchronised(s, Tcp::listening);
        default:
            return synchronised(s, Tcp::listening);
        }
    }

private:
    std::optional<Segment> synchronised(const Segment &s, Tcp after)
    {
        if (s.flags & RST) {
            if (s.seq == rcv)
                end(after);
            else if (s.seq - rcv < window)
                return pure_ack();
            return {};
        }
        if (s.flags & SYN)
            return pure_ack();
        // a pure ACK out of place is not answered: rate-limited, or two ends would never stop
        if (!(s.flags & ACK) || s.seq + s.len - rcv > window || wlb_after(s.ack, nxt))
            return s.len ? std::optional(pure_ack()) : std::nullopt;
        if (wlb_after(s.ack, una))
            una = s.ack;
        // ahead of a gap: forgotten, it will be repeated
        if (s.len && !wlb_after(s.seq, rcv) && wlb_after(s.seq + s.len, rcv)) {
            rcv = s.seq + s.len;
            fin_received |= (s.flags & FIN) != 0;
        }
        const std::optional<Segment> reply = s.len ? std::optional(pure_ack()) : std::nullopt;
        if (state == Tcp::open && fin_sent && fin_received && !unacked()) {
            if (fin_sent == 1)
                state = Tcp::time_wait;
            else
                end(after);
        }
        return reply;
    }
};

#endif
