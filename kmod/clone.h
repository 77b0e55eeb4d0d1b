/* SPDX-License-Identifier: GPL-2.0-only */
/* Encapsulating a clone for one replica: FIG 3, op 312. */
#ifndef WLB_CLONE_H
#define WLB_CLONE_H

#include "net.h"

struct wlb_tunnel {
	union wlb_addr to;
	union wlb_addr from;
	bool has_from;		/* else by the routing table */
	bool v6;
	u8 via;			/* enum wlb_via */
};

/* Room in front of the IP header that wlb_clone_send() may need. */
#define WLB_CLONE_HEADROOM	(LL_MAX_HEADER + sizeof(struct ipv6hdr) + 4)

/* Sends and counts; consumes the packet, whose checksums are complete. BH off. */
void wlb_clone_send(struct wlb_net *wn, struct sk_buff *skb,
		    const struct wlb_tunnel *tunnel);

#endif /* WLB_CLONE_H */
