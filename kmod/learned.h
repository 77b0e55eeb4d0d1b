/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who answers for whom, as a client gateway has seen it: origins (a server's address and
 * port) and their answerers. A bounded number of both; what is forgotten early costs a
 * race of the server gateway's, nothing else.
 *
 * Entries are found under RCU; what is in them, and the chains, change with the lock of
 * their bucket held (wlb_known_lock()), BH off, inside a flow bucket's.
 */
#ifndef WLB_LEARNED_H
#define WLB_LEARNED_H

#include <linux/list.h>
#include <linux/siphash.h>
#include <linux/spinlock.h>
#include <net/genetlink.h>

#include "net.h"

#define WLB_KNOWN_HEADS		4096

struct wlb_answerer {
	union wlb_addr addr;
	u32 rtt_us;	/* smoothed, of SYNs that only we cloned to it; 0: none yet */
	u32 race_us;	/* the least delay of its other answers; 0: none yet */
	u32 heard;	/* jiffies, low half, as the next two */
	u32 since;	/* of the first question that it missed, see missed */
	u32 until;	/* when it is asked again, if silent */
	u32 answers;
	u32 wins;
	u32 asked;
	u8 missed;	/* questions in a row without an answer, 255 or more */
	u8 backoffs;
	u8 via;		/* enum wlb_via */
	u8 used:1;
	u8 silent:1;
};

struct wlb_known {
	struct hlist_node node;
	struct list_head age;
	struct rcu_head rcu;
	union wlb_addr server;
	u32 explored;	/* jiffies, low half, of its latest race of the server gateway's */
	u32 tried;	/* the same, of the latest SYN that asked one who is farther */
	u32 placed;	/* the same, of its place in the list by age */
	__be16 port;
	bool v6;
	struct wlb_answerer answerer[WLB_MAX_ANSWERS];	/* keep their places */
};

struct wlb_known_head {
	spinlock_t lock;	/* of the chain and what is in it */
	struct hlist_head chain;
};

struct wlb_learned {
	struct wlb_net *wn;
	siphash_key_t key;
	spinlock_t age_lock;	/* of ages and n; inside a bucket's */
	struct list_head ages;	/* heard of longest ago first, by the second */
	u32 n;
	u32 generation;		/* changes when origins are flushed */
	struct wlb_known_head head[WLB_KNOWN_HEADS];
};

struct wlb_learned *wlb_learned_alloc(struct wlb_net *wn);
/* Nobody uses it any more. */
void wlb_learned_free(struct wlb_learned *l);

/* Forgets all, or what is of @server, if not NULL. The number of origins. Sleeps. */
u32 wlb_learned_flush(struct wlb_learned *l, const union wlb_addr *server, bool v6);

/*
 * Forgets origins with no answerer that was heard of within @ttl s, and as many others as
 * are more than @max. For the flow worker.
 */
void wlb_learned_reap(struct wlb_learned *l, u32 ttl, u32 max);

/* If there are @max, forgets the one that was heard of longest ago. No lock of ours. */
void wlb_learned_room(struct wlb_learned *l, u32 ttl, u32 max);

u32 wlb_known_hash(const struct wlb_learned *l, const union wlb_addr *server,
		   __be16 port, bool v6);

static inline void wlb_known_lock(struct wlb_learned *l, u32 hash)
{
	spin_lock_bh(&l->head[hash % WLB_KNOWN_HEADS].lock);
}

static inline void wlb_known_unlock(struct wlb_learned *l, u32 hash)
{
	spin_unlock_bh(&l->head[hash % WLB_KNOWN_HEADS].lock);
}

/* RCU or bucket lock. */
struct wlb_known *wlb_known_find(struct wlb_learned *l, u32 hash,
				 const union wlb_addr *server, __be16 port, bool v6);

/* Adds an origin, unless there are @max; NULL then or without memory. Bucket lock held. */
struct wlb_known *wlb_known_add(struct wlb_learned *l, u32 hash,
				const union wlb_addr *server, __be16 port, bool v6,
				u32 max);

/* Unlinks an origin; @stat counts its answerers. Bucket lock held. */
void wlb_known_del(struct wlb_learned *l, struct wlb_known *k, enum wlb_stat stat);

/* Some answerer of it is heard. Bucket lock held. */
void wlb_known_heard(struct wlb_learned *l, struct wlb_known *k);

/* Forgets its answerers that were not heard of for @ttl s; are some left? Bucket lock held. */
bool wlb_known_prune(struct wlb_learned *l, struct wlb_known *k, u32 ttl);

/* The answerer at @addr, or NULL. Bucket lock held. */
struct wlb_answerer *wlb_known_answerer(struct wlb_known *k, const union wlb_addr *addr);

/* Its estimated distance: what is measured, or at most so much. */
static inline u32 wlb_answerer_us(const struct wlb_answerer *a)
{
	return a->rtt_us ?: a->race_us ?: U32_MAX;
}

/* learned_record.c: commands of netlink. */
int wlb_learned_get(struct sk_buff *msg, struct netlink_callback *cb);
int wlb_learned_forget(struct sk_buff *skb, struct genl_info *info);
extern const struct nla_policy wlb_learned_forget_policy[WLB_A_MAX + 1];

#endif /* WLB_LEARNED_H */
