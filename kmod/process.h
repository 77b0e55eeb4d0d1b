/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Processing of packets that caches return and of those that pass: C6 to C9 and C22.
 * The rules (process_conf.c) are read under RCU and replaced whole. Which packets, and
 * what is done to them, is process.c's to say.
 */
#ifndef WLB_PROCESS_H
#define WLB_PROCESS_H

#include "group.h"
#include "passer.h"

struct wlb_process_rule {
	struct wlb_ends ends;
	u8 on;				/* WLB_PROCESS_* */
	u8 proto;			/* 0: any */
	u16 port;			/* host order, 0: any */
	bool has_to, to_v6;
	union wlb_addr to;		/* the other destination */
	bool has_dscp;
	u8 dscp;
	bool untag;
	u8 tag_len;			/* 0: none */
	u8 tag[WLB_MAX_TAG];
	bool has_copy;
	u16 copy_group;
	u32 copy_len;			/* 0: all */
	unsigned long __percpu *packets;
};

struct wlb_process {
	u8 on;				/* of any rule */
	bool copies;			/* some rule's */
	bool rewrites;			/* some rule's */
	unsigned int n;
	struct wlb_process_rule rule[];
};

/* process.c: the rule for a packet as it came in, NULL if there is none. */
const struct wlb_process_rule *
wlb_process_find(const struct wlb_process *process, const struct wlb_passer *p,
		 u8 on);
/*
 * To a packet at @state that is returned, @p as it came in; under RCU. It
 * goes on afterwards, maybe longer than before.
 */
void wlb_process_returned(struct wlb_net *wn, struct sk_buff *skb,
			  const struct wlb_passer *p,
			  const struct nf_hook_state *state);

/*
 * rewrite.c: the first packets of connections go to their rule's destination from
 * now on; not any more. Before a rule says so, and when no hook runs any more.
 */
int wlb_rewrite_on(struct wlb_net *wn);
void wlb_rewrite_off(struct wlb_net *wn);

/* process_conf.c */
int wlb_process_set(struct sk_buff *skb, struct genl_info *info);
int wlb_process_get(struct sk_buff *msg, struct netlink_callback *cb);
void wlb_process_free(struct wlb_process *process);

extern const struct nla_policy wlb_process_set_policy[WLB_A_MAX + 1];

#endif /* WLB_PROCESS_H */
