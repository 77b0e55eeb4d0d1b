/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets held at the server gateway for race mode `equal`: clones until they
 * are sent, the server's copies until they go on through the netfilter hook at
 * which they were taken.
 */
#ifndef WLB_HOLD_H
#define WLB_HOLD_H

#include "tunnel.h"

/* Where both gateway hooks of FIG 3 sit; a released packet goes on behind it. */
#define WLB_SG_PRIORITY	(NF_IP_PRI_FILTER + 1)

struct wlb_hold *wlb_hold_alloc(struct wlb_net *wn);
/* Lets everything go at once, then frees. No hook takes packets any more. */
void wlb_hold_free(struct wlb_hold *hold);
/* As above without the end. */
void wlb_hold_flush(struct wlb_hold *hold);
u32 wlb_hold_count(const struct wlb_hold *hold);
/* Drops what came by or would leave by @dev. */
void wlb_hold_dev_down(struct wlb_hold *hold, const struct net_device *dev);

/*
 * Both hold the packet for @us and consume it, or return false and leave it
 * if there is no memory or too much is held already. BH off.
 */
bool wlb_hold_clone(struct wlb_hold *hold, struct sk_buff *skb,
		    const struct wlb_tunnel *tunnel, u32 us);
bool wlb_hold_original(struct wlb_hold *hold, struct sk_buff *skb,
		       const struct nf_hook_state *state, u32 us);

#endif /* WLB_HOLD_H */
