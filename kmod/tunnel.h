/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Outer headers: for clones (FIG 3, op 312), for what goes to a winner by
 * tunnel (FIG 6C, op 656) and for what a replica sends back (FIG 4B, 4C).
 * Inner and outer packet are of one address family.
 */
#ifndef WLB_TUNNEL_H
#define WLB_TUNNEL_H

#include <linux/if_tunnel.h>
#include <net/gre.h>
#include <net/inet_ecn.h>
#include <net/ipv6.h>

#include "../include/wlb/redirect.h"
#include "net.h"

struct wlb_tunnel {
	union wlb_addr to;
	union wlb_addr from;
	bool has_from;		/* else by the routing table */
	bool v6;
	bool df;		/* never fragment; else as the packet says */
	u8 via;			/* enum wlb_via */
	const struct wlb_redirect_hdr *redirect;	/* behind GRE, or NULL */
};

/* Bytes that the outer headers take. */
static inline unsigned int wlb_tunnel_overhead(bool v6, u8 via)
{
	return (v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)) +
	       (via == WLB_VIA_GRE ? sizeof(struct gre_base_hdr) : 0);
}

/* Room in front of the IP header that wlb_tunnel_send() may need. */
#define WLB_TUNNEL_HEADROOM	(LL_MAX_HEADER + sizeof(struct ipv6hdr) + 4)

/*
 * Puts outer headers of traffic class @tos on the IP packet at skb->data, whose
 * route is the outer packet's already. Super-packets and unfinished checksums
 * stay what they are. 0, or -ENOMEM: drop it.
 */
int wlb_tunnel_push(struct sk_buff *skb, const struct wlb_tunnel *tunnel,
		    u8 tos);

/*
 * Encapsulates a packet of our own (linear, checksums complete), with the
 * class @tos, and sends it; consumes it but for an error. BH off.
 */
int wlb_tunnel_send(struct net *net, struct sk_buff *skb,
		    const struct wlb_tunnel *tunnel, u8 tos);

/* The outer header's traffic class: RFC 6040 with RFC 3168's caution. */
static __always_inline u8 wlb_tunnel_tos(const struct sk_buff *skb, bool v6)
{
	u8 tos = v6 ? ipv6_get_dsfield(ipv6_hdr(skb)) : ip_hdr(skb)->tos;

	return INET_ECN_encapsulate(tos, tos);
}

/*
 * The route's MTU for what goes into the tunnel, and whether the packet fits or
 * may be cut on its way.
 */
unsigned int wlb_tunnel_mtu(const struct dst_entry *dst, bool v6, u8 via);
/* The same for GRE with a redirect header. */
unsigned int wlb_tunnel_redirect_mtu(const struct dst_entry *dst, bool v6);
bool wlb_tunnel_fits(const struct sk_buff *skb, bool v6, unsigned int mtu);

/* Tells the sender of a packet at POST_ROUTING what would fit. */
void wlb_tunnel_too_big(struct sk_buff *skb, bool v6, unsigned int mtu);

#endif /* WLB_TUNNEL_H */
