// SPDX-License-Identifier: GPL-2.0-only
/* The table of origins and their answerers. */
#include <linux/jiffies.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "learned.h"

struct wlb_learned *wlb_learned_alloc(struct wlb_net *wn)
{
	struct wlb_learned *l = kvzalloc(sizeof(*l), GFP_KERNEL_ACCOUNT);
	unsigned int i;

	BUILD_BUG_ON(sizeof(struct wlb_known) > 512);
	if (!l)
		return NULL;
	l->wn = wn;
	get_random_bytes(&l->key, sizeof(l->key));
	spin_lock_init(&l->age_lock);
	INIT_LIST_HEAD(&l->ages);
	for (i = 0; i < WLB_KNOWN_HEADS; i++)
		spin_lock_init(&l->head[i].lock);
	return l;
}

void wlb_learned_free(struct wlb_learned *l)
{
	if (l)
		wlb_learned_flush(l, NULL, false);
	kvfree(l);
}

u32 wlb_known_hash(const struct wlb_learned *l, const union wlb_addr *server,
		   __be16 port, bool v6)
{
	const u32 *w = server->word;

	if (!v6)
		return siphash_2u32(w[0], (__force u32)port, &l->key);
	return siphash_3u64((u64)w[0] << 32 | w[1], (u64)w[2] << 32 | w[3],
			    (__force u32)port, &l->key);
}

struct wlb_known *wlb_known_find(struct wlb_learned *l, u32 hash,
				 const union wlb_addr *server, __be16 port, bool v6)
{
	struct wlb_known *k;

	hlist_for_each_entry_rcu(k, &l->head[hash % WLB_KNOWN_HEADS].chain, node,
				 true)
		if (k->port == port && k->v6 == v6 &&
		    wlb_addr_eq(&k->server, server, v6))
			return k;
	return NULL;
}

struct wlb_known *wlb_known_add(struct wlb_learned *l, u32 hash,
				const union wlb_addr *server, __be16 port, bool v6,
				u32 max)
{
	struct wlb_known *k = kzalloc(sizeof(*k), GFP_ATOMIC);
	bool room;

	if (!k)
		return NULL;
	memcpy(&k->server, server, wlb_addr_len(v6));
	k->port = port;
	k->v6 = v6;
	k->explored = (u32)jiffies;
	k->placed = (u32)jiffies;
	spin_lock_bh(&l->age_lock);
	room = l->n < max;
	if (room) {
		WRITE_ONCE(l->n, l->n + 1);
		list_add_tail(&k->age, &l->ages);
	}
	spin_unlock_bh(&l->age_lock);
	if (!room) {
		kfree(k);
		return NULL;
	}
	hlist_add_head_rcu(&k->node, &l->head[hash % WLB_KNOWN_HEADS].chain);
	return k;
}

void wlb_known_del(struct wlb_learned *l, struct wlb_known *k, enum wlb_stat stat)
{
	unsigned int i, n = 0;

	for (i = 0; i < WLB_MAX_ANSWERS; i++)
		n += k->answerer[i].used;
	wlb_count_many(l->wn, stat, n);
	hlist_del_rcu(&k->node);
	spin_lock_bh(&l->age_lock);
	list_del(&k->age);
	WRITE_ONCE(l->n, l->n - 1);
	spin_unlock_bh(&l->age_lock);
	kfree_rcu(k, rcu);
}

void wlb_known_heard(struct wlb_learned *l, struct wlb_known *k)
{
	/* who is heard all the time does not fight for the list */
	if ((u32)jiffies - k->placed < HZ)
		return;
	k->placed = (u32)jiffies;
	spin_lock_bh(&l->age_lock);
	list_move_tail(&k->age, &l->ages);
	spin_unlock_bh(&l->age_lock);
}

bool wlb_known_prune(struct wlb_learned *l, struct wlb_known *k, u32 ttl)
{
	bool left = false;
	unsigned int i;

	for (i = 0; i < WLB_MAX_ANSWERS; i++) {
		struct wlb_answerer *a = &k->answerer[i];

		if (a->used && (u32)jiffies - a->heard >= ttl * HZ) {
			a->used = false;
			wlb_count(l->wn, WLB_STAT_learned_expired);
		}
		left |= a->used;
	}
	return left;
}

struct wlb_answerer *wlb_known_answerer(struct wlb_known *k, const union wlb_addr *addr)
{
	unsigned int i;

	for (i = 0; i < WLB_MAX_ANSWERS; i++)
		if (k->answerer[i].used &&
		    wlb_addr_eq(&k->answerer[i].addr, addr, k->v6))
			return &k->answerer[i];
	return NULL;
}

/* Is it still in its chain? Bucket lock held. */
static bool wlb_known_linked(const struct wlb_learned *l, u32 hash,
			     const struct wlb_known *known)
{
	const struct wlb_known *k;

	hlist_for_each_entry(k, &l->head[hash % WLB_KNOWN_HEADS].chain, node)
		if (k == known)
			return true;
	return false;
}

/*
 * Forgets the origin that was heard of longest ago if there are more than @max, or none of
 * its answerers was heard of within @ttl s. Its bucket's lock comes before that of the list,
 * so it may be gone meanwhile, and another is the oldest; RCU keeps its memory its own.
 */
static bool wlb_learned_drop(struct wlb_learned *l, u32 ttl, u32 max)
{
	bool found = false, drop = false;
	struct wlb_known *old;
	u32 hash = 0;

	rcu_read_lock();
	while (!found) {
		spin_lock_bh(&l->age_lock);
		old = list_first_entry_or_null(&l->ages, struct wlb_known, age);
		if (old)
			hash = wlb_known_hash(l, &old->server, old->port,
					      old->v6);
		spin_unlock_bh(&l->age_lock);
		if (!old)
			break;
		wlb_known_lock(l, hash);
		found = wlb_known_linked(l, hash, old);
		drop = found && (READ_ONCE(l->n) > max ||
				 !wlb_known_prune(l, old, ttl));
		if (drop)
			wlb_known_del(l, old, WLB_STAT_learned_full);
		wlb_known_unlock(l, hash);
	}
	rcu_read_unlock();
	return drop;
}

void wlb_learned_room(struct wlb_learned *l, u32 ttl, u32 max)
{
	if (READ_ONCE(l->n) >= max)
		wlb_learned_drop(l, ttl, max - 1);
}

void wlb_learned_reap(struct wlb_learned *l, u32 ttl, u32 max)
{
	while (wlb_learned_drop(l, ttl, max))
		cond_resched();
}

u32 wlb_learned_flush(struct wlb_learned *l, const union wlb_addr *server, bool v6)
{
	struct hlist_node *next;
	struct wlb_known *k;
	u32 hash, n = 0;

	for (hash = 0; hash < WLB_KNOWN_HEADS; hash++) {
		if (hlist_empty(&l->head[hash].chain))
			continue;
		wlb_known_lock(l, hash);
		hlist_for_each_entry_safe(k, next, &l->head[hash].chain, node) {
			if (server && (k->v6 != v6 ||
				       !wlb_addr_eq(&k->server, server, v6)))
				continue;
			wlb_known_del(l, k, WLB_STAT_learned_flushed);
			n++;
		}
		wlb_known_unlock(l, hash);
		cond_resched();
	}
	WRITE_ONCE(l->generation, l->generation + 1);
	return n;
}
