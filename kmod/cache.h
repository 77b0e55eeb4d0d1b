/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host of a cache: what its routers redirect is taken in or returned (cache.c),
 * as the configuration (cache_conf.c), what was learned (bypass.c), and the
 * connections there are say. Read under RCU, replaced whole.
 */
#ifndef WLB_CACHE_H
#define WLB_CACHE_H

#include "group.h"
#include "passer.h"

/* A router of one group; the member is the router, forward the way back to it. */
struct wlb_door {
	struct wlb_seat seat;
	union wlb_addr source;		/* outer, if has_source */
	bool has_source;
	u8 in;				/* enum wlb_forward */
	u8 type;			/* enum wlb_group_type */
	u8 id;
};

struct wlb_cache {
	u32 share;			/* of a thousand */
	u32 mark;
	bool has_mark;
	bool nat;
	bool l2;			/* some door's way in */
	u8 n_ports;
	u16 port[WLB_MAX_CACHE_PORTS];	/* host order */
	struct wlb_rules rules;
	struct wlb_index by_addr;	/* doors */
	unsigned int n_doors;
	struct wlb_door door[];
};

struct wlb_bypasses;

/* bypass.c. Freed when no hook runs any more. */
struct wlb_bypasses *wlb_bypasses_alloc(void);
void wlb_bypasses_free(struct wlb_bypasses *bypasses);
void wlb_bypasses_flush(struct wlb_bypasses *bypasses);
bool wlb_bypass_knows(const struct wlb_bypasses *bypasses,
		      const struct wlb_passer *p);
int wlb_bypass_add(struct sk_buff *skb, struct genl_info *info);
int wlb_bypass_del(struct sk_buff *skb, struct genl_info *info);
int wlb_bypass_get(struct sk_buff *msg, struct netlink_callback *cb);

/* cache.c: is this a router whose packets are taken in? Under RCU. */
bool wlb_cache_knows(struct wlb_net *wn, const union wlb_addr *src, bool v6);

/* cache_conf.c */
int wlb_cache_set(struct sk_buff *skb, struct genl_info *info);
int wlb_cache_get(struct sk_buff *msg, struct netlink_callback *cb);
void wlb_cache_free(struct wlb_cache *cache);

extern const struct nla_policy wlb_cache_set_policy[WLB_A_MAX + 1];
extern const struct nla_policy wlb_bypass_policy[WLB_A_MAX + 1];

#endif /* WLB_CACHE_H */
