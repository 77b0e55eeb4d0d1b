/* SPDX-License-Identifier: GPL-2.0-only */
/* What one network namespace holds, and the words that all files share. */
#ifndef WLB_NET_H
#define WLB_NET_H

#include <linux/hash.h>
#include <linux/mutex.h>
#include <linux/netfilter.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>
#include <net/ipv6.h>
#include <net/netns/generic.h>

#include <uapi/linux/wlb.h>
#include "../include/wlb/tag.h"

struct wlb_cg;
struct wlb_sg;
struct wlb_rep;
struct wlb_table;
struct wlb_hold;
struct wlb_races;
struct wlb_peers;
struct wlb_ways;
struct wlb_nonces;
struct wlb_cookies;
struct wlb_jar;
struct wlb_hints;
struct wlb_learned;
struct wlb_questions;
struct wlb_paths;
struct wlb_groups;
struct wlb_router;
struct wlb_cache;
struct wlb_bypasses;
struct wlb_process;
struct wlb_fars;

struct wlb_stats {
	unsigned long count[__WLB_STAT_MAX];
};

#define WLB_HOOKS_PER_ROLE	6

struct wlb_net {
	struct net *net;
	/* configuration, one immutable object per role; NULL: role is off */
	struct wlb_cg __rcu *cg;
	struct wlb_sg __rcu *sg;
	struct wlb_rep __rcu *rep;
	struct wlb_router __rcu *router;
	struct wlb_cache __rcu *cache;
	struct wlb_process __rcu *process;
	/* made when its role is first switched on, kept until the end */
	struct wlb_table *table;	/* client gateway: flows */
	struct wlb_peers *peers;	/* client gateway: winners */
	struct wlb_ways __percpu *ways;	/* client gateway: routes of the fast path */
	struct wlb_races *races;	/* client gateway: last races */
	struct wlb_hints *hints;	/* client gateway: advice to races */
	struct wlb_learned *learned;	/* client gateway: who answers for whom */
	struct wlb_questions *questions;	/* client gateway: whom it asked, of late */
	struct wlb_jar *jar;		/* client gateway: cookies that it was given */
	struct wlb_hold *hold;		/* server gateway: packets held */
	struct wlb_cookies *cookies;	/* server gateway: that it gives */
	struct wlb_nonces *nonces;	/* replica: of clones, for answers */
	struct wlb_paths *paths;	/* replica: where spoofed packets arrive */
	struct wlb_bypasses *bypasses;	/* cache's host: learned */
	struct wlb_fars *fars;		/* cache router, its host, rules: destinations */
	struct wlb_stats __percpu *stats;
	struct mutex lock;		/* serialises changes of configuration */
	u32 generation;			/* of the configuration, under lock */
	u32 replica_generation;		/* of the replicas in force, under lock */
	const struct wlb_groups *groups;	/* of the cache router, under lock */
	u32 router_generation;		/* of groups and assignments, under lock */
	u32 cache_generation;		/* of the cache's host, under lock */
	u32 process_generation;		/* of the rules for processing, under lock */
	u16 member_id;			/* the latest given, under lock */
	struct delayed_work lease;	/* of the cache router; the rest under lock */
	unsigned long lease_end;	/* jiffies */
	bool lease_ended;		/* since the groups were set */
	struct rcu_work retire;		/* of the cache router */
	struct wlb_router *retiring;	/* for whose grace period it waits, */
	struct wlb_router *retired;	/* and later ones, under lock */
	u32 hooked;			/* WLB_ROLE_* whose hooks are registered */
	struct nf_hook_ops ops[6][WLB_HOOKS_PER_ROLE];
	bool rewrites;			/* some rule has, since the namespace began */
	struct nf_hook_ops nat_ops[4];	/* registered then */
};

extern unsigned int wlb_net_id;
extern unsigned short wlb_exid;		/* module parameter */

static inline struct wlb_net *wlb_pernet(const struct net *net)
{
	return net_generic(net, wlb_net_id);
}

static inline void wlb_count(struct wlb_net *wn, enum wlb_stat stat)
{
	this_cpu_inc(wn->stats->count[stat]);
}

static inline void wlb_count_many(struct wlb_net *wn, enum wlb_stat stat,
				  unsigned int n)
{
	this_cpu_add(wn->stats->count[stat], n);
}

/* For what needs BH off and may be called in process context; where BH is off, for nothing. */
static __always_inline bool wlb_bh_disable(void)
{
	bool process = !softirq_count();

	if (process)
		local_bh_disable();
	return process;
}

/* @process: what wlb_bh_disable() has returned. */
static __always_inline void wlb_bh_restore(bool process)
{
	if (process)
		local_bh_enable();
}

/* An address of either family; of IPv4 only the first word counts. */
union wlb_addr {
	__be32 v4;
	struct in6_addr v6;
	u32 word[4];
};

static inline unsigned int wlb_addr_len(bool v6)
{
	return v6 ? sizeof(struct in6_addr) : sizeof(__be32);
}

static __always_inline bool wlb_addr_eq(const union wlb_addr *a,
					const union wlb_addr *b, bool v6)
{
	return v6 ? ipv6_addr_equal(&a->v6, &b->v6) : a->v4 == b->v4;
}

/* The /24 or /64 that @addr is in: who has one address of it may have any. */
static inline void wlb_addr_site(union wlb_addr *to, const union wlb_addr *addr,
				 bool v6)
{
	memset(to, 0, sizeof(*to));
	if (v6)
		memcpy(to, addr, 8);
	else
		to->v4 = addr->v4 & htonl(0xffffff00);
}

/* One of 64 by the address: a set's sum of them tells of most others that they are not in it. */
static __always_inline u64 wlb_addr_bit(const union wlb_addr *addr, bool v6)
{
	const u32 *w = addr->word;
	u32 word = v6 ? w[0] ^ w[1] ^ w[2] ^ w[3] : w[0];

	return 1ULL << ((word * GOLDEN_RATIO_32) >> 26);
}

u32 wlb_addr_hash(const union wlb_addr *addr, bool v6);

/* hooks.c: registers and takes off hooks until they match the roles. */
int wlb_hooks_update(struct wlb_net *wn, u32 roles);

unsigned int wlb_cg_in4(void *priv, struct sk_buff *skb,
			const struct nf_hook_state *state);
unsigned int wlb_cg_in6(void *priv, struct sk_buff *skb,
			const struct nf_hook_state *state);
unsigned int wlb_cg_local4(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state);
unsigned int wlb_cg_local6(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state);
unsigned int wlb_cg_out4(void *priv, struct sk_buff *skb,
			 const struct nf_hook_state *state);
unsigned int wlb_cg_out6(void *priv, struct sk_buff *skb,
			 const struct nf_hook_state *state);
unsigned int wlb_sg_clone4(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state);
unsigned int wlb_sg_clone6(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state);
unsigned int wlb_sg_local4(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state);
unsigned int wlb_sg_local6(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state);
unsigned int wlb_replica_crack4(void *priv, struct sk_buff *skb,
				const struct nf_hook_state *state);
unsigned int wlb_replica_crack6(void *priv, struct sk_buff *skb,
				const struct nf_hook_state *state);

unsigned int wlb_replica_reply4(void *priv, struct sk_buff *skb,
				const struct nf_hook_state *state);
unsigned int wlb_replica_reply6(void *priv, struct sk_buff *skb,
				const struct nf_hook_state *state);

unsigned int wlb_redirect_in4(void *priv, struct sk_buff *skb,
			      const struct nf_hook_state *state);
unsigned int wlb_redirect_in6(void *priv, struct sk_buff *skb,
			      const struct nf_hook_state *state);
unsigned int wlb_redirect_out4(void *priv, struct sk_buff *skb,
			       const struct nf_hook_state *state);
unsigned int wlb_redirect_out6(void *priv, struct sk_buff *skb,
			       const struct nf_hook_state *state);

unsigned int wlb_cache_in4(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state);
unsigned int wlb_cache_in6(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state);

unsigned int wlb_process_out4(void *priv, struct sk_buff *skb,
			      const struct nf_hook_state *state);
unsigned int wlb_process_out6(void *priv, struct sk_buff *skb,
			      const struct nf_hook_state *state);

int wlb_genl_init(void);
void wlb_genl_exit(void);

#endif /* WLB_NET_H */
