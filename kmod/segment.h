/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TCP segments of our own, in the name of one end of a flow: resets to losers
 * (FIG 5A, op 514), words to winners that are silent, and the probes of a
 * spoofed path.
 */
#ifndef WLB_SEGMENT_H
#define WLB_SEGMENT_H

#include "crack.h"

struct wlb_own {
	/* what it answers, real or not: addresses and ports, swapped */
	const struct wlb_pkt *to;
	/* and the outer headers of that, or NULL: it goes the way that came */
	const struct wlb_outer *o;
	u32 seq;			/* host order */
	u32 ack;			/* host order; with WLB_TCP_ACK */
	u8 flags;			/* WLB_TCP_* */
	bool tracked;			/* to the client: the gateway's connection
					 * tracking is to know, its NAT to act
					 */
	const struct wlb_tag *tag;	/* or NULL */
};

/* 0, or negative: no memory or no route. BH off, no lock held. */
int wlb_own_send(struct wlb_net *wn, const struct wlb_own *own);

/*
 * Sends a RST that answers the SYN-ACK @p to its sender in the client's name: the verdict
 * on @skb, the SYN-ACK, as NF_STOLEN if it has become the RST.
 * Its sequence number is exactly the SYN-ACK's ack: in SYN-RECEIVED anything
 * else is challenged and the loser stays (RFC 9293 3.10.7.4, RFC 5961 3.2).
 */
unsigned int wlb_reset_send(struct wlb_net *wn, struct sk_buff *skb,
			    const struct wlb_pkt *p, const struct wlb_outer *o);

/*
 * Sends a bare ACK with an answer tag of @nonce that offers `spoof`, in answer to @p: a
 * replica's probe of the spoofed path, or its echo. 0 or negative, as above.
 */
int wlb_probe_send(struct wlb_net *wn, const struct wlb_pkt *p,
		   const struct wlb_outer *o, u16 nonce);

DECLARE_PER_CPU(bool, wlb_own_sending);

/* The packet in hand is such a segment on its way out: not to be translated. */
static inline bool wlb_is_own(void)
{
	return this_cpu_read(wlb_own_sending);
}

#endif /* WLB_SEGMENT_H */
