/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The translation table of a client gateway (FIG 2, op 212).
 *
 * One entry per flow, hashed by the client's address and port, so that packets
 * of both directions and answers of any replica find it from their own header.
 * Lookups run under RCU and take no lock; what changes a chain or a flow's
 * state holds the lock of its bucket (wlb_flow_lock()), BH off.
 */
#ifndef WLB_FLOW_H
#define WLB_FLOW_H

#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <net/netlink.h>

#include "peer.h"
#include "pkt.h"

/* 64 bytes for IPv4, 88 for IPv6. */
struct wlb_flow {
	struct hlist_node node;
	u32 expires;		/* jiffies, low half; written when it moves by HZ */
	__be16 client_port;
	__be16 server_port;
	struct wlb_fsm fsm;
	u32 winner;		/* a peer's id, set once, when a replica wins; else 0 */
	u16 passed[2];		/* by enum wlb_dir: see fast.h */
	__be32 addr[];		/* client, server: one word each, or four */
};

struct wlb_table {
	/* what each packet reads is in a line of its own */
	u32 mask;
	u32 generation;		/* changes when flows are flushed */
	u64 flow_key[6];
	struct hlist_head *heads;
	atomic_t flows ____cacheline_aligned_in_smp;
	atomic_t racing;
	struct wlb_net *wn;
	struct delayed_work gc;
	u32 gc_bucket;		/* where the worker goes on */
	u32 gc_runs;
	spinlock_t dead_lock;	/* of dead and n_dead */
	struct hlist_node *dead;	/* unlinked, readers may still see them */
	unsigned int n_dead;
	atomic_t *quota;	/* half-open flows by hash of the client */
	spinlock_t *locks;
};

/* Who and where: the key of a flow, from either direction's header. */
struct wlb_flow_key {
	const union wlb_addr *client;
	__be16 client_port;
	__be16 server_port;
	bool v6;
};

static __always_inline bool wlb_flow_is_v6(const struct wlb_flow *f)
{
	return READ_ONCE(f->fsm.flags) & WLB_FSM_CALLER;
}

static __always_inline const union wlb_addr *
wlb_flow_client(const struct wlb_flow *f)
{
	return (const union wlb_addr *)f->addr;
}

static __always_inline const union wlb_addr *
wlb_flow_server(const struct wlb_flow *f, bool v6)
{
	return (const union wlb_addr *)(f->addr + (v6 ? 4 : 1));
}

/* NULL unless a replica has won. RCU or bucket lock. */
static __always_inline struct wlb_peer *
wlb_flow_winner(const struct wlb_net *wn, const struct wlb_flow *f)
{
	/* whoever sees the winner sees the state of a flow that is won */
	return wlb_peer_by_id(wn->peers, smp_load_acquire(&f->winner));
}

/*
 * Once per packet of a service. Multiply-shift with secret factors is strongly universal
 * (M. Dietzfelbinger, "Universal hashing and k-wise independent random variables via
 * integer arithmetic without primes", STACS 1996): to whoever does not know them, any two
 * clients share a chain as seldom as if drawn, whatever clients he makes up. It costs a
 * tenth of SipHash, which would also hide them from who sees the hashes; nobody does.
 */
static __always_inline u32 wlb_flow_hash(const struct wlb_table *t,
					 const struct wlb_flow_key *key)
{
	const u32 *w = key->client->word;
	const u64 *k = t->flow_key;
	u64 sum = k[0] + k[1] * (__force u16)key->client_port + k[2] * w[0];

	if (key->v6)
		sum += k[3] * w[1] + k[4] * w[2] + k[5] * w[3];
	return sum >> 32;
}

static __always_inline bool wlb_flow_expired(const struct wlb_flow *f)
{
	return (s32)(READ_ONCE(f->expires) - (u32)jiffies) <= 0;
}

static __always_inline bool wlb_flow_matches(const struct wlb_flow *f,
					     const struct wlb_flow_key *key)
{
	return f->client_port == key->client_port &&
	       f->server_port == key->server_port &&
	       wlb_flow_is_v6(f) == key->v6 &&
	       wlb_addr_eq(wlb_flow_client(f), key->client, key->v6) &&
	       !wlb_flow_expired(f);
}

/* Live flows of @key; several may differ in the server. RCU or bucket lock. */
#define wlb_flow_for_each(f, t, hash, key)				       \
	hlist_for_each_entry_rcu(f, &(t)->heads[(hash) & (t)->mask], node,     \
				 true)					       \
		if (wlb_flow_matches(f, key))

/* The live flow to @server, or NULL. RCU or bucket lock. */
static __always_inline struct wlb_flow *
wlb_flow_to_server(struct wlb_table *t, u32 hash,
		   const struct wlb_flow_key *key, const union wlb_addr *server)
{
	struct wlb_flow *f;

	wlb_flow_for_each(f, t, hash, key)
		if (wlb_addr_eq(wlb_flow_server(f, key->v6), server, key->v6))
			return f;
	return NULL;
}

/* Has a replica at @addr won? */
static __always_inline bool wlb_flow_won_by(const struct wlb_net *wn,
					    const struct wlb_flow *f,
					    const union wlb_addr *addr, bool v6)
{
	const struct wlb_peer *peer = wlb_flow_winner(wn, f);

	return peer && wlb_addr_eq(&peer->addr, addr, v6);
}

#define WLB_FLOW_LOCKS	256

static inline void wlb_flow_lock(struct wlb_table *t, u32 hash)
{
	spin_lock_bh(&t->locks[hash & t->mask & (WLB_FLOW_LOCKS - 1)]);
}

static inline void wlb_flow_unlock(struct wlb_table *t, u32 hash)
{
	spin_unlock_bh(&t->locks[hash & t->mask & (WLB_FLOW_LOCKS - 1)]);
}

static inline void wlb_flow_touch(struct wlb_flow *f, u32 timeout)
{
	u32 expires = (u32)jiffies + timeout * HZ;

	/* a line that nobody writes stays shared among CPUs */
	if ((u32)(expires - READ_ONCE(f->expires) + HZ) > 2 * HZ)
		WRITE_ONCE(f->expires, expires);
}

bool wlb_flow_full(const struct wlb_table *t, u32 max_flows);
bool wlb_flow_over_quota(struct wlb_table *t, const union wlb_addr *client,
			 bool v6, u32 quota);
/*
 * Makes room: forgets a racing flow nearby, else a tombstone, never a flow that is
 * carried. No lock held.
 */
void wlb_flow_evict(struct wlb_table *t, u32 hash);

/*
 * Adds a racing flow for a SYN of sequence number @isn, with a nonce of its own
 * and @timeout s to live. Bucket lock held; NULL with @stat set to the reason
 * if there is no memory or the client has used up its quota.
 */
struct wlb_flow *wlb_flow_add(struct wlb_table *t, u32 hash,
			      const struct wlb_flow_key *key,
			      const union wlb_addr *server, u32 isn,
			      u32 timeout, u32 quota, int *stat);

/*
 * Adds a flow as it was: @fsm in a state other than racing, @ms to live. Takes over the
 * reference to @winner. -EEXIST if there is a live one, -ENOMEM. Sleeps.
 */
int wlb_flow_restore(struct wlb_table *t, const struct wlb_flow_key *key,
		     const union wlb_addr *server, const struct wlb_fsm *fsm,
		     struct wlb_peer *winner, u32 ms);

/* A racing flow has an outcome. Bucket lock held, state already changed. */
void wlb_flow_settled(struct wlb_table *t, const struct wlb_flow *f);

/* Unlinks, @why for who traces; readers may use the flow until they leave. Bucket lock held. */
void wlb_flow_del(struct wlb_table *t, struct wlb_flow *f, const char *why);

struct wlb_table *wlb_table_alloc(struct wlb_net *wn);
void wlb_table_free(struct wlb_table *t);

/* The worker that expires flows; stopping forgets them all. May be repeated. */
void wlb_table_start(struct wlb_table *t);
void wlb_table_stop(struct wlb_table *t);

/* Forgets every flow that fits; addresses may be NULL. Sleeps. */
u32 wlb_table_flush(struct wlb_table *t, const union wlb_addr *client,
		    const union wlb_addr *server, const union wlb_addr *winner,
		    bool v6);

/* flow_record.c: flows as netlink attributes. */

extern const struct nla_policy wlb_flow_policy[WLB_FLOW_A_MAX + 1];

int wlb_flow_dump(struct wlb_table *t, struct sk_buff *msg,
		  struct netlink_callback *cb);
/* Puts back the flow that @nest tells of. wn->lock held; an errno with @extack set. */
int wlb_flow_read(struct wlb_net *wn, const struct nlattr *nest,
		  struct netlink_ext_ack *extack);

int wlb_flow_init(void);
void wlb_flow_exit(void);

#endif /* WLB_FLOW_H */
