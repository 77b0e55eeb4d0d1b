// SPDX-License-Identifier: GPL-2.0-only
// The network, and the gateway: drives the state machine as kmod/client_gateway.c does, and checks
// each verdict against what was promised.
#ifndef WLB_EXPLORE_GATEWAY_H
#define WLB_EXPLORE_GATEWAY_H

#include <cstdio>
#include <string>
#include <utility>

#include "world.h"

inline constexpr const char *host_names[] = {"S", "R1", "R2", "R3", "?", "?", "stranger", "nobody"};
inline constexpr const char *state_names[] = {"RACING", "WON", "TOMBSTONE", "CLOSING"};

struct Gateway {
    World &w;
    const Scenario &scenario;
    std::string *story;
    const char *failed = nullptr;

    void check(bool kept, const char *name)
    {
        if (!kept && !failed)
            failed = name;
    }

    // --- the story

    void tell(const std::string &line) const
    {
        if (story)
            *story += "    " + line + "\n";
    }
    static std::string show(const Segment &s)
    {
        std::string text;
        for (const auto &[flag, name] :
             {std::pair(SYN, "SYN "), {FIN, "FIN "}, {RST, "RST "}, {ACK, "ACK "}})
            if (s.flags & flag)
                text += name;
        char numbers[64];
        std::snprintf(numbers, sizeof(numbers), "seq %x ack %x len %u", s.seq, s.ack, s.len);
        return text + numbers;
    }

    // --- the network

    void put(const Packet &p)
    {
        if (w.packets < scenario.flight)
            w.flight[w.packets++] = p;
        else
            tell("lost, the network is full");
    }
    Packet take(u8 i)
    {
        const Packet p = w.flight[i];
        for (u8 k = i; k + 1 < w.packets; k++)
            w.flight[k] = w.flight[k + 1];
        w.flight[--w.packets] = {};
        return p;
    }
    static Packet packet(Hop hop, u8 host, const Segment &s)
    {
        Packet p{};
        p.s = s;
        p.hop = hop;
        p.host = p.seen = host;
        return p;
    }

    // --- the gateway, as kmod/client_gateway.c drives the state machine

    static wlb_seg seg_of(const Packet &p)
    {
        return {.seq = p.s.seq,
                .ack = p.s.ack,
                .len = p.s.len,
                .flags = static_cast<u8>(p.s.flags),
                .has_nonce = p.nonce != 0,
                .nonce = p.nonce};
    }
    wlb_verdict ask(const Packet &p, wlb_from from)
    {
        static const char *const names[] = {"PASS", "CARRY",      "RACE",  "RACE_PLAIN", "RENEW",
                                            "WIN",  "WIN_SERVER", "RESET", "DROP"};
        const wlb_seg seg = seg_of(p);
        int stat;
        const wlb_verdict v = wlb_fsm_segment(&w.flow.m, &seg, from, &stat);
        if (story)
            tell(std::string("gateway: ") + names[v] + ", flow " + state_names[w.flow.m.state]);
        return v;
    }
    void touch() { w.flow.timer = static_cast<u8>(wlb_fsm_timeout(&w.flow.m, &timeouts)); }
    void forget_flow()
    {
        w.flow = {};
        w.flow.winner = nobody;
    }

    void out_syn(const Packet &p)
    {
        Flow &f = w.flow;
        wlb_verdict v = WLB_RENEW;
        if (f.there) {
            const u32 isn = f.m.isn;
            v = ask(p, WLB_FROM_CLIENT);
            check(f.timer != timeouts.reset || p.s.seq == isn || v == WLB_RENEW,
                  "who comes back after a reset is raced");
            // RFC 6191 2, RFC 9293 3.6.1
            check(f.timer != timeouts.closing || p.s.seq == isn ||
                      (v == WLB_RENEW) == wlb_after(p.s.seq, f.sent[WLB_DIR_CLIENT]),
                  "who comes back after an orderly end is raced if he is later");
        }
        if (v == WLB_RENEW) {
            check(!(f.there && f.winner != nobody && w.talks(f.winner)),
                  "no race takes a connection that both ends have");
            forget_flow();
            f.there = true;
            wlb_fsm_start(&f.m, p.s.seq, ++w.races, 0);
            tell("gateway: new race");
            v = WLB_RACE;
        } else if (v == WLB_RACE || v == WLB_RACE_PLAIN) {
            f.asked_again |= f.refusal_seen;
        }
        check(v != WLB_RACE_PLAIN || !f.refusal_seen, "who has refused has had the tag");
        touch();
        if (v == WLB_RACE) {
            const u8 at = attempt_of(p.s.seq);
            check(f.m.isn == p.s.seq, "a race is for the SYN that it has");
            check(at == unknown_attempt || w.winner[at] == nobody || at != w.current,
                  "nobody is asked after somebody has won");
            for (u8 h = 0; h < scenario.hosts; h++)
                put(packet(Hop::to_host, h, p.s));
        } else if (v == WLB_RACE_PLAIN) {
            put(packet(Hop::to_host, server, p.s));
        } else {
            put(packet(Hop::to_host, v == WLB_CARRY ? f.winner : server, p.s));
        }
    }

    // What an end says of the connection that the entry is of, in the order that it comes here.
    void notice(const Packet &p, const End &end, wlb_dir dir)
    {
        Flow &f = w.flow;
        const u32 next = p.s.seq + p.s.len;
        check(!p.last || isns[p.attempt] != f.m.isn || p.s.seq != f.sent[dir] ||
                  f.timer == timeouts.reset,
              "the entry of a reset connection ends soon");
        if (!p.forged && f.m.isn == (dir == WLB_DIR_CLIENT ? end.iss : end.irs)) {
            if (end.nxt == next && (p.s.flags & FIN))
                f.fin[dir] = true;
            if (wlb_after(next, f.sent[dir]))
                f.sent[dir] = next;
        }
        check(!(f.fin[0] && f.fin[1]) || f.timer >= timeouts.closing,
              "the entry of a closed connection ends soon");
    }

    void out(const Packet &p)
    {
        Flow &f = w.flow;
        if (p.host != server) { // an unknown address to the gateway too
            put(packet(Hop::to_host, p.host, p.s));
            return;
        }
        if ((p.s.flags & (SYN | FIN | RST | ACK)) == SYN) {
            out_syn(p);
            return;
        }
        u8 to = server;
        if (f.there && f.winner != nobody) {
            if ((p.s.flags & (SYN | FIN | RST)) || f.m.state != WLB_FLOW_WON) {
                if (ask(p, WLB_FROM_CLIENT) == WLB_CARRY) {
                    touch();
                    to = f.winner;
                }
            } else {
                const wlb_seg seg = seg_of(p);
                wlb_fsm_track(&f.m, &seg, WLB_DIR_CLIENT);
                f.timer = timeouts.established;
                to = f.winner;
            }
            check(to == f.winner, "what the client sends goes to the winner");
            notice(p, w.client, WLB_DIR_CLIENT);
        }
        Packet on = p;
        on.hop = Hop::to_host;
        on.host = on.seen = to;
        put(on);
    }

    void to_client(const Packet &p, u8 seen)
    {
        if (seen == server && w.flow.there) {
            const u8 at = attempt_of(w.flow.m.isn);
            const u8 winner = at < unknown_attempt ? w.winner[at] : nobody;
            check(winner == nobody || winner == p.host,
                  "nothing but the winner's segments reaches the client");
        }
        if ((p.s.flags & SYN) && seen != server && seen != stranger && !p.forged)
            check(p.s.ack != w.client.iss + 1 ||
                      (w.client.state != Tcp::syn_sent && w.client.state != Tcp::open),
                  "no loser's answer reaches the client");
        Packet on = p;
        on.hop = Hop::to_client;
        on.seen = seen;
        on.nonce = 0;
        put(on);
    }

    wlb_from answerer(u8 host) const
    {
        return host == server          ? WLB_FROM_SERVER
               : host == w.flow.winner ? WLB_FROM_WINNER
               : host == stranger      ? WLB_FROM_STRANGER
                                       : WLB_FROM_REPLICA;
    }

    void won(u8 host, const Packet &p)
    {
        const u8 at = attempt_of(w.flow.m.isn);
        check(!p.forged, "what is forged does not win");
        if (at == unknown_attempt)
            return;
        // of an attempt that the client has left a late SYN may start a race again
        check(w.winner[at] == nobody || w.winner[at] == host || at != w.current, "one winner ever");
        w.winner[at] = host;
    }

    void in_control(const Packet &p)
    {
        Flow &f = w.flow;
        const bool racing = f.m.state == WLB_FLOW_RACING;
        const bool synack = (p.s.flags & (SYN | ACK)) == (SYN | ACK);
        const u32 isn = f.m.isn;
        const u8 at = attempt_of(isn);
        const u8 winner = at < unknown_attempt ? w.winner[at] : nobody;
        const u8 before = f.winner;
        const wlb_verdict v = ask(p, answerer(p.host));

        if (v == WLB_WIN)
            f.winner = p.host;
        if (v == WLB_WIN || v == WLB_WIN_SERVER || f.m.isn != isn)
            won(p.host, p);
        if (v == WLB_WIN || f.m.isn != isn) {
            f.fin = {};
            f.sent = {p.s.ack, p.s.seq + 1};
        }
        check((v != WLB_WIN && v != WLB_WIN_SERVER) || p.s.ack == isn + 1,
              "who wins answers the SYN that is raced");
        if (v == WLB_CARRY || v == WLB_WIN || (racing && f.m.state == WLB_FLOW_TOMBSTONE))
            touch();
        if (v == WLB_CARRY && before != nobody && p.host < max_hosts)
            notice(p, w.hosts[p.host], WLB_DIR_SERVER);
        check(v != WLB_CARRY || p.s.flags != (RST | ACK) || p.s.seq != 0 || p.forged ||
                  w.client.state != Tcp::syn_sent || p.s.ack != w.client.iss + 1 ||
                  f.timer == timeouts.reset,
              "the entry of a winner that refuses ends soon");

        if (synack && !p.forged && p.s.ack == isn + 1 && winner != nobody) {
            if (p.host == winner)
                check(v != WLB_RESET && v != WLB_DROP, "the winner is never reset");
            else
                check(v == WLB_RESET, "every loser's answer is reset");
        }
        if (racing && (p.s.flags & RST) && p.s.ack == isn + 1 && (p.s.flags & ACK) && !p.forged) {
            check(v == WLB_DROP || (p.host == server && f.asked_again),
                  "a refusal waits for those who may accept");
            f.refusal_seen |= p.host == server;
            if (v == WLB_PASS && at < unknown_attempt)
                w.winner[at] = server;
        }
        switch (v) {
        case WLB_CARRY:
        case WLB_WIN:
            to_client(p, server);
            break;
        case WLB_RESET: {
            Packet rst = packet(Hop::to_host, p.host, {p.s.ack, 0, RST, 0});
            rst.ours = true;
            if (p.host < max_hosts)
                put(rst);
            break;
        }
        case WLB_DROP:
            break;
        default:
            to_client(p, p.host);
        }
    }

    void in(const Packet &p)
    {
        Flow &f = w.flow;
        if (!f.there) {
            to_client(p, p.host);
        } else if (p.s.flags & (SYN | FIN | RST)) {
            in_control(p);
        } else if (p.host == f.winner) {
            if (f.m.state != WLB_FLOW_WON || (f.m.flags & WLB_FSM_REOPEN)) {
                in_control(p);
                return;
            }
            const wlb_seg seg = seg_of(p);
            wlb_fsm_track(&f.m, &seg, WLB_DIR_SERVER);
            f.timer = timeouts.established;
            if (p.host < max_hosts)
                notice(p, w.hosts[p.host], WLB_DIR_SERVER);
            to_client(p, server);
        } else if (p.host == server && f.m.state != WLB_FLOW_RACING &&
                   f.m.state != WLB_FLOW_TOMBSTONE) {
            in_control(p);
        } else {
            to_client(p, p.host);
        }
    }
};

#endif
