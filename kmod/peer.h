/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An address that has won a race at this client gateway, with the way its packets
 * come and go and the cached route.
 * Flows hold references; a peer without flows is dropped by the flow worker.
 */
#ifndef WLB_PEER_H
#define WLB_PEER_H

#include <linux/refcount.h>
#include <net/dst_cache.h>

#include "net.h"

struct wlb_peer {
	/* what packets read is in a line of its own */
	struct hlist_node node;
	union wlb_addr addr;
	bool v6;
	u8 ret;			/* enum wlb_return */
	u8 via;			/* enum wlb_via, unless nat */
	bool idle;		/* had no flows at the worker's last visit */
	u16 id;			/* its place, never 0 */
	u32 heard;		/* jiffies, low half; see live.h */
	struct dst_cache dst;
	struct rcu_head rcu;
	refcount_t ref;		/* 1 of the table, 1 per flow */
	/* the flow worker's own */
	u32 asked;		/* jiffies of the latest question */
	u32 asked_since;	/* heard, as it was then */
	u8 unanswered;		/* questions since */
} ____cacheline_aligned_in_smp;

#define WLB_PEER_HEADS	256
#define WLB_PEER_MAX	65536	/* a service with any replica bounds nobody */
#define WLB_PEER_PLACES	512	/* a page of them */

struct wlb_peers {
	spinlock_t lock;	/* of writers */
	unsigned int n;
	u16 last;		/* the place given last */
	struct hlist_head heads[WLB_PEER_HEADS];
	/* by id, so that a flow has room for more than a pointer; pages as they are needed */
	struct wlb_peer **place[WLB_PEER_MAX / WLB_PEER_PLACES];
};

/*
 * The peer of an id that was read of a flow, NULL for 0. RCU: it, and so its place, is
 * the flow's as long as the flow may be seen.
 */
static __always_inline struct wlb_peer *
wlb_peer_by_id(const struct wlb_peers *peers, u32 id)
{
	if (!id)
		return NULL;
	return peers->place[id / WLB_PEER_PLACES][id % WLB_PEER_PLACES];
}

/* A reference to such a peer at @addr, made if need be; NULL without memory. */
struct wlb_peer *wlb_peer_get(struct wlb_peers *peers,
			      const union wlb_addr *addr, bool v6, u8 ret,
			      u8 via);

/* Is some peer at @addr sent to by tunnel? RCU. */
bool wlb_peer_tunnelled(struct wlb_peers *peers, const union wlb_addr *addr,
			bool v6);

static inline void wlb_peer_put(struct wlb_peer *peer)
{
	/* never the last one: the table's own goes by wlb_peers_reap() only */
	if (peer)
		refcount_dec(&peer->ref);
}

/* The gateway's policy routing may look at more than the cache can remember. */
static inline bool wlb_policy_routing(const struct net *net, bool v6)
{
#ifdef CONFIG_IP_MULTIPLE_TABLES
	if (!v6)
		return READ_ONCE(net->ipv4.fib_has_custom_rules);
#endif
#ifdef CONFIG_IPV6_MULTIPLE_TABLES
	if (v6)
		return READ_ONCE(net->ipv6.fib6_has_custom_rules);
#endif
	return false;
}

/*
 * Looks the route to @peer up, for the packet and its source, and keeps it unless @policy
 * has more to say each time. BH off; a reference, or NULL.
 */
struct dst_entry *wlb_peer_lookup(struct wlb_peer *peer, struct net *net,
				  const struct sk_buff *skb,
				  const union wlb_addr *src, bool policy);

/*
 * Points the packet at the route to @peer, whose family is @v6: at POST_ROUTING, BH off,
 * @src the packet's source. 0, or -EHOSTUNREACH.
 */
static __always_inline int wlb_peer_route(struct wlb_peer *peer, struct net *net,
					  struct sk_buff *skb,
					  const union wlb_addr *src, bool v6)
{
	bool policy = wlb_policy_routing(net, v6);
	struct dst_entry *dst = policy ? NULL : dst_cache_get(&peer->dst);

	if (unlikely(!dst)) {
		dst = wlb_peer_lookup(peer, net, skb, src, policy);
		if (!dst)
			return -EHOSTUNREACH;
	}
	skb_dst_drop(skb);
	skb_dst_set(skb, dst);
	/* ip_output() set it to the server's device before the hook */
	skb->dev = dst->dev;
	return 0;
}

struct wlb_peers *wlb_peers_alloc(void);
/* Drops peers that had no flow for one round; with @now all that have none. */
void wlb_peers_reap(struct wlb_peers *peers, bool now);
/* No flows are left. */
void wlb_peers_free(struct wlb_peers *peers);

#endif /* WLB_PEER_H */
