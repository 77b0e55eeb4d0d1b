/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clones of start packets (FIG 3, op 312), whichever gateway makes them: the server's
 * of each tagged SYN, or the client's own of one that it knows answerers for.
 */
#ifndef WLB_CLONE_H
#define WLB_CLONE_H

#include "pkt.h"
#include "tunnel.h"

/*
 * A copy of the tagged SYN @p, whose tag becomes @tag: complete, with nothing of its
 * way so far, and room for wlb_clone_send(). NULL without memory.
 */
struct sk_buff *wlb_clone_make(const struct sk_buff *skb, const struct wlb_pkt *p,
			       const struct wlb_tag *tag);

/* Sends a clone and consumes it; 0, or negative: no memory or no route. BH off. */
int wlb_clone_send(struct wlb_net *wn, struct sk_buff *skb,
		   const struct wlb_tunnel *tunnel);

#endif /* WLB_CLONE_H */
