/* SPDX-License-Identifier: GPL-2.0-only */
/* What connection tracking may see of a client gateway's packets. */
#ifndef WLB_TRACK_H
#define WLB_TRACK_H

#include <net/netfilter/nf_conntrack.h>

#include "conf.h"

/* For WLB_CONNTRACK_NOTRACK, before connection tracking. */
static __always_inline void wlb_untrack(const struct wlb_cg *cg,
					struct sk_buff *skb)
{
	/* one that was tracked before it came here holds a reference */
	if (cg->notrack && !skb_nfct(skb))
		nf_ct_set(skb, NULL, IP_CT_UNTRACKED);
}

#endif /* WLB_TRACK_H */
