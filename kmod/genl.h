/* SPDX-License-Identifier: GPL-2.0-only */
/* The generic netlink family, for whoever puts messages of it. */
#ifndef WLB_GENL_H
#define WLB_GENL_H

#include <net/genetlink.h>

#include "net.h"

enum {
	WLB_GENL_GRP_RACE,
};

extern struct genl_family wlb_genl_family;

/* roles.c */
extern const struct nla_policy wlb_conf_policy[WLB_A_MAX + 1];
int wlb_conf_set(struct sk_buff *skb, struct genl_info *info);
int wlb_conf_get_start(struct netlink_callback *cb);
int wlb_conf_get(struct sk_buff *msg, struct netlink_callback *cb);

/* origin_replica.c */
extern const struct nla_policy wlb_replica_set_policy[WLB_A_MAX + 1];
int wlb_replica_set(struct sk_buff *skb, struct genl_info *info);
int wlb_replica_get(struct sk_buff *msg, struct netlink_callback *cb);

/* Begins one message of a dump, with its generation check; NULL if full. */
void *wlb_genl_put(struct sk_buff *msg, struct netlink_callback *cb, u8 cmd);

/* Puts the @n-th object, -ENOENT behind the last; wn->lock is held. */
typedef int wlb_put_object_t(struct sk_buff *msg, struct wlb_net *wn,
			     unsigned long n);

/*
 * Goes on with a dump of one object per message, of the configuration whose
 * generation is *@generation. cb->args[0] is the next object; the lock keeps the
 * configuration for one call.
 */
int wlb_genl_dump(struct sk_buff *msg, struct netlink_callback *cb, u8 cmd,
		  struct wlb_net *wn, const u32 *generation,
		  wlb_put_object_t *put);

#endif /* WLB_GENL_H */
