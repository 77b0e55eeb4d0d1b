/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ICMP errors about packets that we have translated or encapsulated: W102 to
 * W105. Routers may quote no more than the IP header and 8 bytes (RFC 792).
 */
#ifndef WLB_ICMP_H
#define WLB_ICMP_H

#include "net.h"

/* Who sent an ICMP error, and what it is about. */
struct wlb_quote {
	union wlb_addr from;
	union wlb_addr src, dst;	/* of the quoted packet */
	__be16 sport, dport;		/* if it is TCP */
	u8 proto;			/* IPPROTO_TCP, _GRE, _IPIP or _IPV6 */
	bool v6;
	bool too_big;
	u32 mtu;			/* if so */
	unsigned int off;		/* of the quoted IP header from skb->data */
	unsigned int thoff;		/* of what it carries */
};

/*
 * Is the packet an ICMP error about TCP or a tunnel, for whoever has sent that, and
 * what does it quote?
 */
bool wlb_icmp_quote(const struct sk_buff *skb, bool v6, struct wlb_quote *q);

/* The headers that the quoted packet, a tunnel's, begins with. */
static inline unsigned int wlb_quote_overhead(const struct wlb_quote *q)
{
	return q->thoff - q->off + (q->proto == IPPROTO_GRE ? 4 : 0);
}

/* What to change in an ICMP error; NULL: leave it. */
struct wlb_icmp_change {
	const union wlb_addr *src, *dst;		/* of the packet itself */
	const union wlb_addr *quoted_src, *quoted_dst;
};

/*
 * Changes addresses, outside and in the quote, and mends all checksums. 0;
 * -EBADMSG if the packet's checksum is wrong, -ENOMEM: nothing has changed.
 */
int wlb_icmp_change(struct sk_buff *skb, const struct wlb_quote *q,
		    const struct wlb_icmp_change *c);

/*
 * Routes to the quoted packet's destination learn that no more than @mtu bytes
 * get there. The packet's headers are moved: it may only be dropped then.
 */
void wlb_icmp_learn(struct net *net, struct sk_buff *skb,
		    const struct wlb_quote *q, u32 mtu);

/* Sends a copy to @to. 0, -EBADMSG, -ENOMEM or -EHOSTUNREACH. */
int wlb_icmp_relay(struct net *net, const struct sk_buff *skb,
		   const struct wlb_quote *q, const union wlb_addr *to);

#endif /* WLB_ICMP_H */
