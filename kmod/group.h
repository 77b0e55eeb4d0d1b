/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cache router: service groups as the administrator wants them (group.c), who
 * has which packets as the caches agreed (assign.c), and the two as packets see
 * them. Everything that a packet reads is built whole and swapped in by RCU; what
 * outlives a swap, counters and tables of flows, hangs on wlb_group_state and
 * wlb_member, which change hands under wlb_net.lock.
 */
#ifndef WLB_GROUP_H
#define WLB_GROUP_H

#include <linux/if.h>
#include <net/dst_cache.h>
#include <net/genetlink.h>

#include "../include/wlb/redirect.h"
#include "conf.h"
#include "route.h"

struct wlb_drain;
struct wlb_flights;

struct wlb_group_stats {
	unsigned long count[__WLB_GROUP_STAT_MAX];
};

/* What each processor has of a member. */
struct wlb_member_cpu {
	unsigned long packets, bytes, returned;
	/* how one in GRE to it came through POST_ROUTING, and in which second */
	u32 second;
	struct wlb_route route;
	union wlb_addr from;		/* its outer source */
} ____cacheline_aligned_in_smp;

/* A cache; lives as long as assignments of its group and family have it. */
struct wlb_member {
	union wlb_addr addr;
	bool v6;
	u16 id;				/* of no other one at the same time */
	unsigned int users;		/* assignments; under the lock */
	struct wlb_member_cpu __percpu *cpu;
	struct dst_cache dst[__WLB_FORWARD_MAX];
};

/* What an assignment says of a member. */
struct wlb_seat {
	struct wlb_member *member;
	u8 forward;			/* enum wlb_forward */
	u8 ret;				/* enum wlb_forward */
};

struct wlb_mask_value {
	u32 number;
	u8 seat;
};

struct wlb_mask_set {
	struct wlb_wccp_mask mask;
	u8 n_bits;
	u8 octet[WLB_MAX_MASK_BITS];	/* where in a wlb_mask_key the bits are, */
	u8 bit[WLB_MAX_MASK_BITS];	/* in the order of the value's number */
	u32 n_values;
	struct wlb_mask_value *value;	/* ascending */
};

/* Which seat has which packets. Outlives its assignment while flows drain. */
struct wlb_mapping {
	unsigned int users;		/* under the lock */
	u32 flags;			/* of the service */
	u8 method;			/* enum wlb_assign_method */
	u8 n_seats;
	u16 id[WLB_MAX_CACHES];		/* wlb_member.id by seat */
	u8 bucket[WLB_BUCKETS];
	unsigned int n_sets;
	struct wlb_mask_set *set;
	unsigned int n_values;
	struct wlb_mask_value *values;	/* of all sets */
};

struct wlb_assign {
	u8 priority;
	u8 protocol;
	u16 port[WLB_WCCP_PORTS_LEN];
	u8 n_ports;			/* that count */
	bool v6;
	u8 n_seats;
	bool l2_return;			/* some seat's */
	struct wlb_seat seat[WLB_MAX_CACHES];
	struct wlb_mapping *mapping;
	struct wlb_drain *drain;	/* or NULL */
	/* the daemon's own */
	bool has_key, key_v6;
	union wlb_addr key_address;
	u32 key_number;
	u32 change_number;
	unsigned int state_len;
	u8 *state;
};

/* What of a group outlives a change of its settings. */
struct wlb_group_state {
	u8 type;			/* enum wlb_group_type */
	u8 id;
	struct wlb_group_stats __percpu *stats;
	struct wlb_assign *assign[2];	/* by wlb_router.by_family */
	struct wlb_flights *flights[2];	/* made for the first drain */
};

/* Prefixes of one family, or none of either end. */
struct wlb_ends {
	bool has_src, has_dst;
	struct wlb_prefix src, dst;
};

struct wlb_rule {
	bool deny;
	struct wlb_ends ends;
};

/* The first that matches decides. */
struct wlb_rules {
	unsigned int n;
	struct wlb_rule *rule;
};

struct wlb_group {
	char name[WLB_NAME_LEN];
	u64 in, out, exclude;		/* bits of wlb_groups.interface */
	struct wlb_rules rules;		/* the redirect list */
	bool closed;
	u8 hook;			/* enum wlb_group_hook */
	bool has_source[2];
	union wlb_addr source[2];
	u32 drain;			/* s */
	struct wlb_group_state *state;
};

struct wlb_groups {
	bool check_all;
	u32 lease;			/* ms, 0: none */
	unsigned int n_interfaces;
	char interface[WLB_MAX_INTERFACES][IFNAMSIZ];
	unsigned int n;
	struct wlb_group group[];
};

/* A group that has an assignment, as packets find it. */
struct wlb_redirect {
	const struct wlb_group *group;
	const struct wlb_assign *assign;
};

#define WLB_MEMBER_SHIFT	5	/* of the group's index; 32 members */

struct wlb_router_family {
	unsigned int n;
	struct wlb_redirect *redirect;	/* in the order in which they are tried */
	struct wlb_index members;	/* by address: redirect << 5 | seat */
	u64 pre;			/* interfaces that PRE_ROUTING cares for, */
	u64 post_in, post_out;		/* and POST_ROUTING */
};

struct wlb_router {
	const struct wlb_groups *groups;
	struct wlb_router_family by_family[2];	/* IPv4, IPv6 */
	/* once it is retired, under the lock */
	struct wlb_assign *old;			/* went with it, or NULL */
	struct wlb_router *next;
};

/* Is it the group that a redirect header names? */
static inline bool wlb_group_named(const struct wlb_group *group,
				   const struct wlb_redirect_hdr *h)
{
	u8 type = h->flags & WLB_REDIRECT_DYNAMIC ? WLB_GROUP_DYNAMIC :
						    WLB_GROUP_STANDARD;

	return group->state->type == type && group->state->id == h->service;
}

static inline void wlb_member_count(struct wlb_member *member, const struct sk_buff *skb)
{
	this_cpu_inc(member->cpu->packets);
	this_cpu_add(member->cpu->bytes, skb->len);
}

static inline void wlb_group_count(struct wlb_net *wn,
				   const struct wlb_group *group,
				   enum wlb_group_stat stat)
{
	this_cpu_inc(group->state->stats->count[stat]);
	wlb_count(wn, WLB_STAT_redirect_gre + stat);
}

/* The bit of @dev among the groups' interfaces, 0 if none names it. */
static inline u64 wlb_groups_interface(const struct wlb_groups *groups,
				       const struct net_device *dev)
{
	unsigned int i;

	for (i = 0; i < groups->n_interfaces; i++)
		if (!strncmp(groups->interface[i], dev->name, IFNAMSIZ))
			return 1ULL << i;
	return 0;
}

/*
 * group.c: what packets see of @groups and their assignments; NULL without memory.
 * Publishing swaps it in, waits, and frees what was there. Replacing does not wait:
 * packets may see the router that was there, which is not NULL, and its assignment
 * @old until wlb_routers_retire() frees both.
 */
struct wlb_router *wlb_router_build(const struct wlb_groups *groups);
void wlb_router_publish(struct wlb_net *wn, struct wlb_router *router);
void wlb_router_replace(struct wlb_net *wn, struct wlb_router *router,
			struct wlb_assign *old);
void wlb_routers_retire(struct work_struct *work);
int wlb_group_set(struct sk_buff *skb, struct genl_info *info);
int wlb_group_get(struct sk_buff *msg, struct netlink_callback *cb);
int wlb_group_get_start(struct netlink_callback *cb);
/* No hook runs any more. */
void wlb_router_free_all(struct wlb_net *wn);

extern const struct nla_policy wlb_group_set_policy[WLB_A_MAX + 1];
extern const struct nla_policy wlb_assign_set_policy[WLB_A_MAX + 1];

/* Of a rule @nest, either may be NULL; put as attributes of these types. */
int wlb_nla_ends(const struct nlattr *src, const struct nlattr *dst,
		 const struct nlattr *nest, struct wlb_ends *ends,
		 struct netlink_ext_ack *extack);
int wlb_put_ends(struct sk_buff *msg, int src_type, int dst_type,
		 const struct wlb_ends *ends);

int wlb_nla_rules(const struct nlattr *nest, int type, struct wlb_rules *rules,
		  struct netlink_ext_ack *extack);
int wlb_put_rules(struct sk_buff *msg, int type, const struct wlb_rules *rules);

/* assign.c, assign_dump.c; a new member has no user yet. */
struct wlb_member *wlb_member_new(struct wlb_net *wn,
				  const union wlb_addr *addr, bool v6);
void wlb_member_put(struct wlb_member *member);
void wlb_assign_free(struct wlb_assign *assign);
void wlb_mapping_put(struct wlb_mapping *mapping);
int wlb_assign_set(struct sk_buff *skb, struct genl_info *info);
int wlb_assign_get(struct sk_buff *msg, struct netlink_callback *cb);
/* Takes over @assign, NULL for none; frees it if there is no memory. */
int wlb_assign_swap(struct wlb_net *wn, struct wlb_group_state *state, bool v6,
		    struct wlb_assign *assign);

/* lease.c: begins anew; its end; the request for the former. */
void wlb_lease_begin(struct wlb_net *wn);
void wlb_lease_over(struct work_struct *work);
int wlb_lease_renew(struct sk_buff *skb, struct genl_info *info);

#endif /* WLB_GROUP_H */
