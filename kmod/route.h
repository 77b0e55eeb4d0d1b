/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Routes that packets have taken, kept for those that may go straight to the neighbour:
 * of the fast path (fast.h), and to caches (cache_out.c).
 */
#ifndef WLB_ROUTE_H
#define WLB_ROUTE_H

#include <linux/jiffies.h>
#include <net/arp.h>
#include <net/dst.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/ndisc.h>
#include <net/route.h>

#include "compat.h"
#include "net.h"

static __always_inline struct rtable *wlb_rt4(const struct dst_entry *dst)
{
	return container_of(dst, struct rtable, dst);
}

static __always_inline struct rt6_info *wlb_rt6(const struct dst_entry *dst)
{
	return container_of(dst, struct rt6_info, dst);
}

/* One processor's own: only with BH off. */
struct wlb_route {
	struct dst_entry *dst;	/* a reference, or NULL */
	u32 cookie;
};

/* What has come through all rules in this one lets others past them. */
static __always_inline u32 wlb_second(void)
{
	unsigned long now = jiffies;

	return now >> SHIFT_HZ;
}

/* NULL if there is none, or it is not known to be good any more. RCU. */
static __always_inline struct dst_entry *wlb_route_get(const struct wlb_route *route,
						       const struct net *net, bool v6)
{
	struct dst_entry *dst = route->dst;

	if (!dst)
		return NULL;
	if (v6)
		return dst_check(dst, route->cookie);
	/* ipv4_dst_check() */
	if (READ_ONCE(dst->obsolete) != DST_OBSOLETE_FORCE_CHK ||
	    wlb_rt4(dst)->rt_genid != rt_genid_ipv4(net))
		return NULL;
	return dst;
}

/* False: it could not be kept, what was there is. */
bool wlb_route_keep(struct wlb_route *route, struct dst_entry *dst, bool v6);

/* A plain route by a plain device? Others do more than to send a packet on. */
bool wlb_route_is_plain(const struct dst_entry *dst, bool v6);

/* A plain route's dst_mtu(), without a call. */
static __always_inline unsigned int wlb_route_mtu(const struct dst_entry *dst, bool v6)
{
	return v6 ? ip6_dst_mtu_maybe_forward(dst, false) :
		    ip_dst_mtu_maybe_forward(dst, false);
}

/*
 * Merged by LRO, so that nobody knows of what: the kernel does not forward it
 * (skb_warn_if_lro()), and no device can send it.
 */
static inline bool wlb_is_merged(const struct sk_buff *skb)
{
	return skb_is_gso(skb) && !skb_shinfo(skb)->gso_type;
}

/* Has the packet, or has each of its segments, at most @mtu bytes? Not if it has none. */
static __always_inline bool wlb_route_fits(const struct sk_buff *skb, unsigned int mtu)
{
	if (unlikely(skb_is_gso(skb)))
		return !wlb_is_merged(skb) && skb_gso_validate_network_len(skb, mtu);
	return skb->len <= mtu;
}

/* To the neighbour, by the route that the packet has. Nothing may be left to do to it. */
static __always_inline void wlb_route_leave(struct net *net, struct sk_buff *skb,
					    struct dst_entry *dst, const bool v6)
{
	bool skip_cache = false;
	struct neighbour *n;

	if (v6) {
		__IP6_UPD_PO_STATS(net, ip6_dst_idev(dst), IPSTATS_MIB_OUT, skb->len);
		n = ip_neigh_gw6(dst->dev, rt6_nexthop(wlb_rt6(dst), &ipv6_hdr(skb)->daddr));
	} else {
		__IP_UPD_PO_STATS(net, IPSTATS_MIB_OUT, skb->len);
		/* across families the cached header is of no use */
		n = ip_neigh_for_gw(wlb_rt4(dst), skb, &skip_cache);
	}
	if (IS_ERR(n))
		kfree_skb(skb);
	else
		neigh_output(n, skb, skip_cache);
}

#endif /* WLB_ROUTE_H */
