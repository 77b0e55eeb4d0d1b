/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Winners that die. TCP itself takes a quarter of an hour to give up a peer that
 * is silent, and never does if it has nothing to say. One that has flows and was
 * not heard for half of `timeouts.dead` is asked, by a keepalive of one of its
 * flows; silent for all of it, the clients of its flows get a RST, and whoever
 * comes again is raced.
 */
#ifndef WLB_LIVE_H
#define WLB_LIVE_H

#include "flow.h"

/* A packet of the winner has come. Written four times a second at most. */
static __always_inline void wlb_live_heard(struct wlb_peer *peer)
{
	u32 now = (u32)jiffies;

	if (now - READ_ONCE(peer->heard) > HZ / 4)
		WRITE_ONCE(peer->heard, now);
}

/* Looks after the flows of one bucket: for the flow worker, no lock held. */
void wlb_live_watch(struct wlb_table *t, u32 bucket);

#endif /* WLB_LIVE_H */
