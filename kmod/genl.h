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

/* Begins one message of a dump, with its generation check; NULL if full. */
void *wlb_genl_put(struct sk_buff *msg, struct netlink_callback *cb, u8 cmd);

#endif /* WLB_GENL_H */
