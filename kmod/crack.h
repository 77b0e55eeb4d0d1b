/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cracking: outer headers read and taken off. Bytes in, bytes out; whose they
 * are and whether they are wanted is the role's to say.
 */
#ifndef WLB_CRACK_H
#define WLB_CRACK_H

#include "pkt.h"

struct wlb_outer {
	union wlb_addr src, dst;
	unsigned int len;	/* of all that comes off */
	u8 via;			/* enum wlb_via */
	u8 tos;
};

/*
 * Is this an encapsulation that a gateway of ours would make? IPv4 in IPv4 or
 * IPv6 in IPv6, no GRE options. It may still be somebody else's.
 */
bool wlb_crack_outer(const struct sk_buff *skb, bool v6, struct wlb_outer *o);

/* The packet inside, as wlb_pkt_parse() says; -EINVAL also if it is not sane. */
int wlb_crack_inner(const struct sk_buff *skb, bool v6,
		    const struct wlb_outer *o, struct wlb_pkt *p);

/*
 * Congestion was marked outside of a packet that cannot carry the mark: to be
 * dropped (RFC 6040 4.2) before anybody has heard of it.
 */
bool wlb_crack_congested(const struct sk_buff *skb, bool v6,
			 const struct wlb_outer *o);

/* Is there an IPv4 header at @off that is right, of a packet that is whole? */
bool wlb_inner_sane4(const struct sk_buff *skb, unsigned int off);

/*
 * Takes the outer headers off a packet of @len bytes, whose first @hlen are made
 * linear. Negative: drop it, it may be half changed.
 */
int wlb_crack_strip(struct sk_buff *skb, bool v6, const struct wlb_outer *o,
		    unsigned int len, unsigned int hlen);

/*
 * Takes the outer headers off and, if @local is not NULL, turns the destination
 * to it; the rest of the stack sees what was inside. Negative: drop it, it may
 * be half changed.
 */
int wlb_crack(struct sk_buff *skb, struct wlb_pkt *p, const struct wlb_outer *o,
	      const union wlb_addr *local);

#endif /* WLB_CRACK_H */
