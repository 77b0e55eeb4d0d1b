/* SPDX-License-Identifier: GPL-2.0-only */
/* Resets to losers: FIG 5A, op 514. */
#ifndef WLB_RESET_H
#define WLB_RESET_H

#include "crack.h"

DECLARE_PER_CPU(bool, wlb_resetting);

/*
 * Sends a RST that answers the SYN-ACK @p to its sender in the client's name;
 * encapsulated if that was, by the outer headers @o, else NULL.
 * Its sequence number is exactly the SYN-ACK's ack: in SYN-RECEIVED anything
 * else is challenged and the loser stays (RFC 9293 3.10.7.4, RFC 5961 3.2).
 * BH off, no lock held.
 */
void wlb_reset_send(struct wlb_net *wn, const struct wlb_pkt *p,
		    const struct wlb_outer *o);

/* The packet in hand is such a RST on its way out: not to be translated. */
static inline bool wlb_reset_is_ours(void)
{
	return this_cpu_read(wlb_resetting);
}

#endif /* WLB_RESET_H */
