/* SPDX-License-Identifier: GPL-2.0-only */
/* Whose address is a packet's destination: another host's? */
#ifndef WLB_FAR_H
#define WLB_FAR_H

#include <net/addrconf.h>
#include <net/route.h>

#include "net.h"

/*
 * Which IPv4 destinations were found to be other hosts', by the routing tables as they
 * are now. One word each: the address, and what changes with the tables and the device.
 * Whoever is not found is looked up.
 */
#define WLB_FARS	1024

struct wlb_fars {
	u64 slot[WLB_FARS];
};

/* The routing tables' lookup. */
bool wlb_far_lookup(struct wlb_fars *fars, struct net *net,
		    const struct net_device *dev, __be32 addr);

static __always_inline u64 *wlb_far_slot(struct wlb_fars *fars, __be32 addr)
{
	return &fars->slot[((__force u32)addr * GOLDEN_RATIO_32) >> 22];
}

static __always_inline u64 wlb_far_word(const struct net *net,
					const struct net_device *dev,
					__be32 addr)
{
	u32 now = (u32)atomic_read(&net->ipv4.rt_genid) * GOLDEN_RATIO_32 +
		  dev->ifindex;

	return (u64)(__force u32)addr << 32 | now;
}

/* Of another host, as the routing tables of @dev see it? */
static __always_inline bool wlb_is_far(struct wlb_net *wn,
				       const struct net_device *dev,
				       const union wlb_addr *addr, bool v6)
{
	if (v6)
		return !ipv6_chk_addr(wn->net, &addr->v6, NULL, 0);
	if (READ_ONCE(*wlb_far_slot(wn->fars, addr->v4)) ==
	    wlb_far_word(wn->net, dev, addr->v4))
		return true;
	return wlb_far_lookup(wn->fars, wn->net, dev, addr->v4);
}

#endif /* WLB_FAR_H */
