/* SPDX-License-Identifier: GPL-2.0-only */
/* A client gateway's packets from the far side: answer.c, carry_in.c. */
#ifndef WLB_ANSWER_H
#define WLB_ANSWER_H

#include "conf.h"
#include "flow.h"

/* Of any packet, at PRE_ROUTING: a verdict. */
unsigned int wlb_cg_in_any(struct wlb_net *wn, const struct wlb_cg *cg,
			   struct sk_buff *skb, bool v6);

/* The winner sends all but its answer under the server's address: FIG 6B. */
static __always_inline bool wlb_flow_spoofed(const struct wlb_net *wn,
					     const struct wlb_flow *f)
{
	const struct wlb_peer *peer = wlb_flow_winner(wn, f);

	return peer && peer->ret == WLB_RETURN_SPOOF;
}

#endif /* WLB_ANSWER_H */
