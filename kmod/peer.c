// SPDX-License-Identifier: GPL-2.0-only
/* Winners and the routes to them. */
#include <linux/slab.h>
#include <net/ip6_route.h>
#include <net/route.h>

#include "peer.h"

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

/* A free place for @peer, 0 if there is no memory. Lock held, and there are some. */
static u16 wlb_peer_settle(struct wlb_peers *peers, struct wlb_peer *peer)
{
	struct wlb_peer ***page;
	u16 id = peers->last;

	do {
		id++;
		page = &peers->place[id / WLB_PEER_PLACES];
		if (!*page)
			*page = kcalloc(WLB_PEER_PLACES, sizeof(**page), GFP_ATOMIC);
		if (!*page)
			return 0;
	} while (!id || (*page)[id % WLB_PEER_PLACES]);
	peers->last = id;
	(*page)[id % WLB_PEER_PLACES] = peer;
	return id;
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
	if (peer || peers->n >= WLB_PEER_MAX - 1)
		goto out;
	peer = kzalloc(sizeof(*peer), GFP_ATOMIC);
	if (!peer)
		goto out;
	if (dst_cache_init(&peer->dst, GFP_ATOMIC))
		goto err_free;
	peer->id = wlb_peer_settle(peers, peer);
	if (!peer->id)
		goto err_dst;
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

err_dst:
	dst_cache_destroy(&peer->dst);
err_free:
	kfree(peer);
	peer = NULL;
	goto out;
}

/* Nobody has a reference, and nobody gets one any more. Lock held, or the last. */
static void wlb_peer_drop(struct wlb_peers *peers, struct wlb_peer *peer)
{
	hlist_del_rcu(&peer->node);
	peers->place[peer->id / WLB_PEER_PLACES][peer->id % WLB_PEER_PLACES] = NULL;
	peers->n--;
	call_rcu(&peer->rcu, wlb_peer_free_rcu);
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
			wlb_peer_drop(peers, peer);
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
			wlb_peer_drop(peers, peer);
		}
	}
	for (i = 0; i < ARRAY_SIZE(peers->place); i++)
		kfree(peers->place[i]);
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
