/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The state machine of one flow at the client's gateway: FIG 2, 5A, 6A with
 * what these leave out (retransmissions, late answers, port reuse, teardown).
 *
 *   RACING --answer of a replica--> WON <--> CLOSING --time--> gone
 *      |                                                        ^
 *      +----answer of the server--> TOMBSTONE ------time--------+
 *
 * Segment in, verdict out; no clock, no memory, no addresses. Control segments
 * (SYN, FIN, RST) and everything in state CLOSING go through wlb_fsm_segment()
 * under the caller's lock. Other segments of a flow in state WON only need
 * wlb_fsm_track(), which takes no lock.
 *
 * Why one winner is enough and no sequence number is ever translated: every
 * answerer got the same SYN, the client sees one SYN-ACK, so both ends of the
 * connection that remains agree on everything.
 */
#ifndef WLB_FSM_H
#define WLB_FSM_H

#include "types.h"
#ifdef __KERNEL__
#include <uapi/linux/wlb.h>
#else
#include <linux/wlb.h>
#endif

#define WLB_TCP_FIN	0x01
#define WLB_TCP_SYN	0x02
#define WLB_TCP_RST	0x04
#define WLB_TCP_ACK	0x10

/* Who sent a segment, by its source address and the flow's winner. */
enum wlb_from {
	WLB_FROM_CLIENT,
	WLB_FROM_SERVER,	/* the origin, winner or not */
	WLB_FROM_WINNER,	/* the replica that won */
	WLB_FROM_REPLICA,	/* another address that may answer */
	WLB_FROM_STRANGER,	/* an address that may not */
};

enum wlb_dir {
	WLB_DIR_CLIENT,		/* sent by the client */
	WLB_DIR_SERVER,		/* sent by whoever won */
};

struct wlb_seg {
	u32 seq;		/* host order, as all here */
	u32 ack;
	u32 len;		/* sequence space: payload + SYN + FIN */
	u8 flags;		/* WLB_TCP_* */
	bool has_nonce;		/* carries an answer tag */
	u16 nonce;		/* of that tag */
};

enum wlb_verdict {
	WLB_PASS,		/* forward as it is */
	WLB_CARRY,		/* translate (WLB_FLOW_WON, _CLOSING) */
	WLB_RACE,		/* tag with the flow's nonce and forward */
	WLB_RACE_PLAIN,		/* the same race, but forward without a tag */
	WLB_RENEW,		/* forget this flow, start a race of its own */
	WLB_WIN,		/* the sender is the winner now: carry */
	WLB_WIN_SERVER,		/* the server is the winner now: pass */
	WLB_RESET,		/* drop, send the sender a RST, seq = its ack */
	WLB_DROP,
};

#define WLB_FSM_FIN_CLIENT	(1U << WLB_DIR_CLIENT)
#define WLB_FSM_FIN_SERVER	(1U << WLB_DIR_SERVER)
#define WLB_FSM_FIN_BOTH	(WLB_FSM_FIN_CLIENT | WLB_FSM_FIN_SERVER)
#define WLB_FSM_RST		WLB_FLOW_F_RST
#define WLB_FSM_REFUSED		(1U << 3)	/* the server answered with RST */
#define WLB_FSM_RETRIED		(1U << 4)	/* the client repeated its SYN since */
#define WLB_FSM_REOPEN		WLB_FLOW_F_REOPEN
#define WLB_FSM_ASKED		WLB_FLOW_F_ASKED

#define WLB_FSM_CALLER		(1U << 7)	/* the caller's own, never touched */

/* Of state RACING, with REFUSED and RETRIED; the others are of WON on. */
#define WLB_FSM_REPEATED	(1U << 0)	/* the client repeated its SYN */
#define WLB_FSM_UNTAGGED	(1U << 1)	/* its latest SYN went without a tag */

struct wlb_fsm {
	u32 isn;		/* of the client's SYN */
	union {
		u32 syn_us;	/* RACING: clock of the latest SYN, for the caller */
		struct {
			u32 end[2];	/* by enum wlb_dir: next seq not seen */
			u32 ack[2];	/* latest ack sent */
		};
	};
	u16 nonce;		/* with WLB_FSM_ASKED: low half of the new ISN */
	u8 state;		/* enum wlb_flow_state */
	u8 flags;
};

/* Seconds that a flow lives on after its latest segment. */
struct wlb_timeouts {
	u32 racing, tombstone, established, closing, reset;
};

#define WLB_NO_STAT (-1)

/*
 * Fields change under the caller's lock, end and ack also in wlb_fsm_track();
 * all but the nonce are read without it, so each access is a single one.
 */
static inline void wlb_fsm_to(struct wlb_fsm *m, enum wlb_flow_state state)
{
	WRITE_ONCE(m->state, (u8)state);
}

static inline void wlb_fsm_mark(struct wlb_fsm *m, u32 off, u32 on)
{
	WRITE_ONCE(m->flags, (u8)((m->flags & ~off) | on));
}

static inline void wlb_fsm_start(struct wlb_fsm *m, u32 isn, u16 nonce,
				 u32 now_us)
{
	wlb_fsm_mark(m, ~WLB_FSM_CALLER, 0);
	m->isn = isn;
	m->nonce = nonce;
	wlb_fsm_to(m, WLB_FLOW_RACING);
	m->syn_us = now_us;
}

static inline u32 wlb_fsm_timeout(const struct wlb_fsm *m,
				  const struct wlb_timeouts *t)
{
	switch (READ_ONCE(m->state)) {
	case WLB_FLOW_RACING:
		return t->racing;
	case WLB_FLOW_TOMBSTONE:
		return t->tombstone;
	case WLB_FLOW_CLOSING:
		return m->flags & WLB_FSM_RST ? t->reset : t->closing;
	default:
		return t->established;
	}
}

/* How far a sender may get at once: a 64th of what a forger may hit upon. */
#define WLB_FSM_WINDOW	(1U << 26)

/*
 * Does the segment end where its sender may be: ahead of what it has been told,
 * or, with more than that in flight, of what it has sent?
 */
static inline bool wlb_fsm_plausible(const struct wlb_fsm *m,
				     const struct wlb_seg *seg,
				     enum wlb_dir dir)
{
	u32 end = seg->seq + seg->len;

	return end - READ_ONCE(m->ack[!dir]) <= WLB_FSM_WINDOW ||
	       end - READ_ONCE(m->end[dir]) <= WLB_FSM_WINDOW;
}

/*
 * Notes a segment of the winning pair, so that a RST can be told from a forged
 * one (RFC 5961 3). Lockless: two segments of one direction that meet may
 * leave the older figure, which only makes the RST check stricter. Writes
 * nothing that has not changed.
 */
static inline void wlb_fsm_track(struct wlb_fsm *m, const struct wlb_seg *seg,
				 enum wlb_dir dir)
{
	u32 end = seg->seq + seg->len;

	if (wlb_after(end, READ_ONCE(m->end[dir])) &&
	    wlb_fsm_plausible(m, seg, dir))
		WRITE_ONCE(m->end[dir], end);
	/* nobody acknowledges what was not sent */
	if ((seg->flags & WLB_TCP_ACK) &&
	    wlb_after(seg->ack, READ_ONCE(m->ack[dir])) &&
	    !wlb_after(seg->ack, READ_ONCE(m->end[!dir])))
		WRITE_ONCE(m->ack[dir], seg->ack);
}

/*
 * Between what the other end has acknowledged and what this one has sent:
 * every RST of an honest sender is, and few guesses are.
 */
static inline bool wlb_fsm_rst_fits(const struct wlb_fsm *m,
				    const struct wlb_seg *seg, enum wlb_dir dir)
{
	return !wlb_before(seg->seq, READ_ONCE(m->ack[!dir])) &&
	       !wlb_after(seg->seq, READ_ONCE(m->end[dir]));
}

static inline void wlb_fsm_won(struct wlb_fsm *m, const struct wlb_seg *synack)
{
	wlb_fsm_mark(m, ~WLB_FSM_CALLER, 0);
	WRITE_ONCE(m->isn, synack->ack - 1);
	WRITE_ONCE(m->end[WLB_DIR_CLIENT], synack->ack);
	WRITE_ONCE(m->ack[WLB_DIR_CLIENT], synack->seq + 1);
	WRITE_ONCE(m->end[WLB_DIR_SERVER], synack->seq + synack->len);
	WRITE_ONCE(m->ack[WLB_DIR_SERVER], synack->ack);
	wlb_fsm_to(m, WLB_FLOW_WON);
}

/* Is @isn that of the new SYN that the winner was sent? */
static inline bool wlb_fsm_reopens(const struct wlb_fsm *m, u32 isn)
{
	return (m->flags & WLB_FSM_ASKED) && m->nonce == (u16)isn;
}

/* The winner knows the old connection no more and wants no new one. */
static inline bool wlb_fsm_reopen_refused(const struct wlb_fsm *m,
					  const struct wlb_seg *seg,
					  enum wlb_dir dir)
{
	return dir == WLB_DIR_SERVER && (seg->flags & WLB_TCP_ACK) &&
	       wlb_fsm_reopens(m, seg->ack - 1);
}

/* A segment of the winning pair, FIN and RST included, SYN excepted. */
static inline enum wlb_verdict
wlb_fsm_carry(struct wlb_fsm *m, const struct wlb_seg *seg, enum wlb_dir dir,
	      int *stat)
{
	if (seg->flags & WLB_TCP_RST) {
		if (!wlb_fsm_rst_fits(m, seg, dir) &&
		    !wlb_fsm_reopen_refused(m, seg, dir)) {
			*stat = WLB_STAT_rst_out_of_window;
			return WLB_CARRY;
		}
		wlb_fsm_mark(m, 0, WLB_FSM_RST);
		wlb_fsm_to(m, WLB_FLOW_CLOSING);
		return WLB_CARRY;
	}
	/* a winner that speaks is not gone; it may accept the new SYN yet */
	if (dir == WLB_DIR_SERVER)
		wlb_fsm_mark(m, WLB_FSM_REOPEN, 0);
	if ((seg->flags & WLB_TCP_FIN) && wlb_fsm_plausible(m, seg, dir))
		wlb_fsm_mark(m, 0, 1U << dir);
	wlb_fsm_track(m, seg, dir);
	/* whoever speaks after a RST has not believed it */
	wlb_fsm_mark(m, WLB_FSM_RST, 0);
	wlb_fsm_to(m, (m->flags & WLB_FSM_FIN_BOTH) == WLB_FSM_FIN_BOTH ?
		      WLB_FLOW_CLOSING : WLB_FLOW_WON);
	return WLB_CARRY;
}

/*
 * The client repeats a SYN that nobody has answered. From the second time on
 * every other one goes without a tag: the path may drop tags, or whoever has
 * been asked may be dead. Who refuses has had the tag.
 */
static inline enum wlb_verdict wlb_fsm_repeated(struct wlb_fsm *m, int *stat)
{
	bool refused = m->flags & WLB_FSM_REFUSED;
	bool plain = !refused && (m->flags & WLB_FSM_REPEATED) &&
		     !(m->flags & WLB_FSM_UNTAGGED);

	wlb_fsm_mark(m, WLB_FSM_UNTAGGED,
		     WLB_FSM_REPEATED | (plain ? WLB_FSM_UNTAGGED : 0) |
		     (refused ? WLB_FSM_RETRIED : 0));
	*stat = plain ? WLB_STAT_syn_plain : WLB_STAT_syn_retagged;
	return plain ? WLB_RACE_PLAIN : WLB_RACE;
}

static inline enum wlb_verdict
wlb_fsm_client_syn(struct wlb_fsm *m, const struct wlb_seg *seg, int *stat)
{
	bool same = seg->seq == m->isn;

	switch (m->state) {
	case WLB_FLOW_RACING:
		if (!same) {
			*stat = WLB_STAT_race_replaced;
			return WLB_RENEW;
		}
		return wlb_fsm_repeated(m, stat);
	case WLB_FLOW_TOMBSTONE:
		if (!same)
			return WLB_RENEW;
		*stat = WLB_STAT_syn_to_winner;
		return WLB_PASS;
	case WLB_FLOW_CLOSING:
		/* port reuse: RFC 6191 2, RFC 9293 3.6.1 */
		if (!same && ((m->flags & WLB_FSM_RST) ||
			      wlb_after(seg->seq, READ_ONCE(m->end[WLB_DIR_CLIENT]))))
			return WLB_RENEW;
		break;
	default:
		break;
	}
	if (same) {
		*stat = WLB_STAT_syn_to_winner;
		return WLB_CARRY;
	}
	/* the winner has had it and is silent: it is gone */
	if ((m->flags & WLB_FSM_REOPEN) && wlb_fsm_reopens(m, seg->seq))
		return WLB_RENEW;
	/*
	 * Of a new connection while we hold the old one for alive: let the
	 * winner's stack challenge it (RFC 5961 4). The client's RST to the
	 * challenge ends this flow, its next SYN races.
	 */
	wlb_fsm_mark(m, 0, WLB_FSM_REOPEN | WLB_FSM_ASKED);
	m->nonce = (u16)seg->seq;
	return WLB_CARRY;
}

/* Would this SYN-ACK win if it came from a replica? */
static inline bool wlb_fsm_may_win(const struct wlb_fsm *m,
				   const struct wlb_seg *seg)
{
	return m->state == WLB_FLOW_RACING && seg->ack == m->isn + 1 &&
	       (!seg->has_nonce || seg->nonce == m->nonce);
}

static inline enum wlb_verdict
wlb_fsm_synack(struct wlb_fsm *m, const struct wlb_seg *seg,
	       enum wlb_from from, int *stat)
{
	bool ours = seg->ack == m->isn + 1;

	if (from == WLB_FROM_WINNER) {
		/* a new connection that the winner let the old one give way to */
		if (!ours && wlb_fsm_reopens(m, seg->ack - 1))
			wlb_fsm_won(m, seg);
		*stat = WLB_STAT_answer_repeated;
		return WLB_CARRY;
	}
	if (from == WLB_FROM_SERVER && m->state == WLB_FLOW_TOMBSTONE) {
		*stat = WLB_STAT_answer_repeated;
		return WLB_PASS;
	}
	if (!ours) {
		*stat = WLB_STAT_answer_bad_ack;
		/* nothing of the server may disturb a flow that it lost */
		return from == WLB_FROM_SERVER && m->state != WLB_FLOW_RACING ?
		       WLB_DROP : WLB_PASS;
	}
	if (from == WLB_FROM_STRANGER) {
		*stat = WLB_STAT_answer_unlisted;
		return WLB_PASS;
	}
	if (m->state != WLB_FLOW_RACING) {
		*stat = WLB_STAT_answer_lost;
		return WLB_RESET;
	}
	if (from == WLB_FROM_SERVER) {
		/* the client gets it in any case: whatever its tag says, it won */
		wlb_fsm_to(m, WLB_FLOW_TOMBSTONE);
		*stat = WLB_STAT_race_won_server;
		return WLB_WIN_SERVER;
	}
	if (!wlb_fsm_may_win(m, seg)) {
		*stat = WLB_STAT_answer_bad_nonce;
		return WLB_DROP;
	}
	wlb_fsm_won(m, seg);
	*stat = WLB_STAT_race_won_replica;
	return WLB_WIN;
}

/*
 * A RST while nobody has won. A closed port answers faster than an open one,
 * so it must neither win nor reach the client while others may still accept.
 * The server's is passed on once the client has repeated its SYN and nobody
 * has accepted that either: the client learns of the refusal after one RTO.
 */
static inline enum wlb_verdict
wlb_fsm_refusal(struct wlb_fsm *m, const struct wlb_seg *seg,
		enum wlb_from from, int *stat)
{
	if (from == WLB_FROM_STRANGER || !(seg->flags & WLB_TCP_ACK) ||
	    seg->ack != m->isn + 1)
		return WLB_PASS;
	if (from == WLB_FROM_SERVER) {
		if (m->flags & WLB_FSM_RETRIED) {
			wlb_fsm_to(m, WLB_FLOW_TOMBSTONE);
			*stat = WLB_STAT_race_refused;
			return WLB_PASS;
		}
		wlb_fsm_mark(m, 0, WLB_FSM_REFUSED);
	}
	*stat = WLB_STAT_refusal_ignored;
	return WLB_DROP;
}

/*
 * One segment of a flow. Sets @stat to the counter (enum wlb_stat) that tells
 * what happened, or WLB_NO_STAT. After WLB_RENEW the flow is as it was.
 */
static inline enum wlb_verdict
wlb_fsm_segment(struct wlb_fsm *m, const struct wlb_seg *seg,
		enum wlb_from from, int *stat)
{
	u8 ctl = seg->flags & (WLB_TCP_SYN | WLB_TCP_ACK | WLB_TCP_RST |
			       WLB_TCP_FIN);
	bool carried = m->state == WLB_FLOW_WON || m->state == WLB_FLOW_CLOSING;

	*stat = WLB_NO_STAT;
	if (from == WLB_FROM_CLIENT) {
		if (ctl == WLB_TCP_SYN)
			return wlb_fsm_client_syn(m, seg, stat);
		return carried ? wlb_fsm_carry(m, seg, WLB_DIR_CLIENT, stat) :
				 WLB_PASS;
	}
	if (ctl == (WLB_TCP_SYN | WLB_TCP_ACK))
		return wlb_fsm_synack(m, seg, from, stat);
	if (from == WLB_FROM_WINNER)
		return wlb_fsm_carry(m, seg, WLB_DIR_SERVER, stat);
	if (m->state == WLB_FLOW_RACING && (ctl & WLB_TCP_RST))
		return wlb_fsm_refusal(m, seg, from, stat);
	if (from == WLB_FROM_SERVER && carried) {
		/* its RST, or a challenge to ours, would hit the winner's flow */
		*stat = WLB_STAT_server_stray;
		return WLB_DROP;
	}
	return WLB_PASS;
}

#endif /* WLB_FSM_H */
