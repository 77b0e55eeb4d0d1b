// SPDX-License-Identifier: GPL-2.0-only
/* Clones of start packets. */
#include <net/inet_ecn.h>
#include <net/netfilter/nf_conntrack.h>

#include "clone.h"
#include "trace.h"

struct sk_buff *wlb_clone_make(const struct sk_buff *skb, const struct wlb_pkt *p,
			       const struct wlb_tag *tag)
{
	struct sk_buff *clone;

	/* a SYN is small: one allocation with room for what comes in front */
	clone = skb_copy_expand(skb, WLB_TUNNEL_HEADROOM, 0, GFP_ATOMIC);
	if (!clone)
		return NULL;
	/* its way is its own: it may be held after the SYN's device is gone */
	skb_dst_drop(clone);
	nf_reset_ct(clone);
	if (wlb_pkt_retag(clone, p, tag) ||
	    (clone->ip_summed == CHECKSUM_PARTIAL && skb_checksum_help(clone))) {
		kfree_skb(clone);
		return NULL;
	}
	clone->ip_summed = CHECKSUM_NONE;
	return clone;
}

static void wlb_clone_trace(struct wlb_net *wn, struct sk_buff *skb,
			    const struct wlb_tunnel *tunnel)
{
	struct wlb_flow_key key;
	struct wlb_pkt p;

	if (wlb_pkt_parse(skb, 0, tunnel->v6, &p) <= 0)
		return;
	key = wlb_trace_key(&p);
	trace_wlb_clone_out(wn, &key, &p.dst, &tunnel->to, wlb_trace_stat(WLB_STAT_clone_sent));
}

int wlb_clone_send(struct wlb_net *wn, struct sk_buff *skb,
		   const struct wlb_tunnel *tunnel)
{
	u8 tos = tunnel->v6 ? ipv6_get_dsfield(ipv6_hdr(skb)) : ip_hdr(skb)->tos;
	int err;

	if (trace_wlb_clone_out_enabled())
		wlb_clone_trace(wn, skb, tunnel);
	/* a packet of our own: nothing of the SYN's way clings to it */
	skb_scrub_packet(skb, true);
	skb->dev = NULL;
	nf_ct_set(skb, NULL, IP_CT_UNTRACKED);
	err = wlb_tunnel_send(wn->net, skb, tunnel, tos & ~INET_ECN_MASK);
	if (err)
		kfree_skb(skb);
	return err;
}
