// SPDX-License-Identifier: GPL-2.0-only
/* Winners and the routes to them. */
#include <linux/slab.h>
#include <net/ip6_route.h>
#include <net/route.h>

#include "peer.h"

#define WLB_PEER_HEADS	256
#define WLB_PEER_MAX	65536	/* a service with any replica bounds nobody */

struct wlb_peers {
	spinlock_t lock;	/* of writers */
	unsigned int n;
	struct hlist_head heads[WLB_PEER_HEADS];
};

struct wlb_peers *wlb_peers_alloc(void)
{
	struct wlb_peers *peers = kzalloc(sizeof(*peers), GFP_KERNEL_ACCOUNT);

	if (peers)
		spin_lock_init(&peers->lock);
	return peers;
}

static void wlb_peer_free_rcu(struct rcu_head *rcu)
{
	struct wlb_peer *peer = container_of(rcu, struct wlb_peer, rcu);

	dst_cache_destroy(&peer->dst);
	kfree(peer);
}

static struct wlb_peer *wlb_peer_find(struct hlist_head *head,
				      const union wlb_addr *addr, bool v6,
				      u8 ret, u8 via)
{
	struct wlb_peer *peer;

	hlist_for_each_entry_rcu(peer, head, node, true)
		if (peer->v6 == v6 && peer->ret == ret && peer->via == via &&
		    wlb_addr_eq(&peer->addr, addr, v6) &&
		    refcount_inc_not_zero(&peer->ref))
			return peer;
	return NULL;
}

struct wlb_peer *wlb_peer_get(struct wlb_peers *peers,
			      const union wlb_addr *addr, bool v6, u8 ret,
			      u8 via)
{
	struct hlist_head *head;
	struct wlb_peer *peer;

	head = &peers->heads[wlb_addr_hash(addr, v6) % WLB_PEER_HEADS];
	peer = wlb_peer_find(head, addr, v6, ret, via);
	if (peer)
		return peer;

	spin_lock_bh(&peers->lock);
	peer = wlb_peer_find(head, addr, v6, ret, via);
	if (peer || peers->n >= WLB_PEER_MAX)
		goto out;
	peer = kzalloc(sizeof(*peer), GFP_ATOMIC);
	if (!peer)
		goto out;
	if (dst_cache_init(&peer->dst, GFP_ATOMIC)) {
		kfree(peer);
		peer = NULL;
		goto out;
	}
	peer->addr = *addr;
	peer->v6 = v6;
	peer->ret = ret;
	peer->via = via;
	peer->heard = (u32)jiffies;
	refcount_set(&peer->ref, 2);
	hlist_add_head_rcu(&peer->node, head);
	peers->n++;
out:
	spin_unlock_bh(&peers->lock);
	return peer;
}

bool wlb_peer_tunnelled(struct wlb_peers *peers, const union wlb_addr *addr,
			bool v6)
{
	struct hlist_head *head =
		&peers->heads[wlb_addr_hash(addr, v6) % WLB_PEER_HEADS];
	struct wlb_peer *peer;

	hlist_for_each_entry_rcu(peer, head, node)
		if (peer->v6 == v6 && peer->ret != WLB_RETURN_NAT &&
		    wlb_addr_eq(&peer->addr, addr, v6))
			return true;
	return false;
}

void wlb_peers_reap(struct wlb_peers *peers, bool now)
{
	struct hlist_node *next;
	struct wlb_peer *peer;
	unsigned int i;

	spin_lock_bh(&peers->lock);
	for (i = 0; i < WLB_PEER_HEADS; i++) {
		hlist_for_each_entry_safe(peer, next, &peers->heads[i], node) {
			if (refcount_read(&peer->ref) > 1) {
				peer->idle = false;
				continue;
			}
			if (!peer->idle && !now) {
				peer->idle = true;
				continue;
			}
			if (!refcount_dec_if_one(&peer->ref))
				continue;
			hlist_del_rcu(&peer->node);
			peers->n--;
			call_rcu(&peer->rcu, wlb_peer_free_rcu);
		}
	}
	spin_unlock_bh(&peers->lock);
}

void wlb_peers_free(struct wlb_peers *peers)
{
	struct hlist_node *next;
	struct wlb_peer *peer;
	unsigned int i;

	if (!peers)
		return;
	for (i = 0; i < WLB_PEER_HEADS; i++) {
		hlist_for_each_entry_safe(peer, next, &peers->heads[i], node) {
			WARN_ON_ONCE(refcount_read(&peer->ref) != 1);
			hlist_del_rcu(&peer->node);
			call_rcu(&peer->rcu, wlb_peer_free_rcu);
		}
	}
	kfree(peers);
}

static struct dst_entry *wlb_peer_route4(struct wlb_peer *peer, struct net *net,
					 const struct sk_buff *skb,
					 const union wlb_addr *src, bool policy)
{
	struct flowi4 fl4 = {
		.daddr = peer->addr.v4,
		.saddr = src->v4,
		.flowi4_mark = skb->mark,
		.flowi4_tos = RT_TOS(ip_hdr(skb)->tos),
		.flowi4_flags = FLOWI_FLAG_ANYSRC,
	};
	struct rtable *rt = ip_route_output_key(net, &fl4);

	if (IS_ERR(rt))
		return NULL;
	if (!policy)
		dst_cache_set_ip4(&peer->dst, &rt->dst, fl4.saddr);
	return &rt->dst;
}

static struct dst_entry *wlb_peer_route6(struct wlb_peer *peer, struct net *net,
					 const struct sk_buff *skb,
					 const union wlb_addr *src, bool policy)
{
	struct flowi6 fl6 = {
		.daddr = peer->addr.v6,
		.saddr = src->v6,
		.flowi6_mark = skb->mark,
	};
	struct dst_entry *dst = ip6_route_output(net, NULL, &fl6);

	if (dst->error) {
		dst_release(dst);
		return NULL;
	}
	if (!policy)
		dst_cache_set_ip6(&peer->dst, dst, &fl6.saddr);
	return dst;
}

struct dst_entry *wlb_peer_lookup(struct wlb_peer *peer, struct net *net,
				  const struct sk_buff *skb,
				  const union wlb_addr *src, bool policy)
{
	return peer->v6 ? wlb_peer_route6(peer, net, skb, src, policy) :
			  wlb_peer_route4(peer, net, skb, src, policy);
}
