/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A packet on its way to a cache (cache_out.c) and back (returned.c); which ones go
 * is redirect.c's to say.
 */
#ifndef WLB_REDIRECT_PATH_H
#define WLB_REDIRECT_PATH_H

#include <net/addrconf.h>
#include <net/ip.h>
#include <net/route.h>

#include "compat.h"
#include "drain.h"
#include "far.h"
#include "group.h"
#include "passer.h"

/*
 * What has been decided about a packet, from PRE_ROUTING to POST_ROUTING; it is not to
 * be redirected any more. In a word that nobody reads of a packet that is not
 * encapsulated, and nobody writes. The control block would not do, as br_netfilter
 * calls PRE_ROUTING before the IP layer clears it; nor would a pointer to the packet
 * in hand, as a device's packets pass PRE_ROUTING by the list, and may wait in user
 * space's queue in between. It is taken back behind POST_ROUTING: the next router may
 * be on this machine.
 */
enum wlb_settled {
	WLB_UNSETTLED,
	WLB_RETURNED = ETH_P_WCCP,	/* a cache has returned it */
	WLB_SENT,			/* it is on its way to one */
	WLB_DIVERTED,			/* of this host's cache: to another server */
};

static inline void wlb_settle(struct sk_buff *skb, enum wlb_settled as)
{
	skb->inner_protocol = htons(as);
}

static inline enum wlb_settled wlb_settled(const struct sk_buff *skb)
{
	u16 as = ntohs(skb->inner_protocol);

	return as >= WLB_RETURNED && as <= WLB_DIVERTED && !skb->encapsulation ?
	       as : WLB_UNSETTLED;
}

/*
 * Sends the packet to a seat, or says why not. @routed: it is at POST_ROUTING and
 * goes on from there; else at PRE_ROUTING and is sent from here.
 */
unsigned int wlb_cache_out(struct wlb_net *wn, struct sk_buff *skb,
			   const struct wlb_redirect *r,
			   const struct wlb_choice *choice,
			   const struct wlb_passer *p, bool routed);

/*
 * At POST_ROUTING: a packet of this host's own has come through everything. If it is one
 * to a cache in GRE, that cache's next ones of this second may go past all that, unless
 * something speaks against it.
 */
void wlb_cache_passed(struct wlb_net *wn, const struct wlb_router *router,
		      const struct sk_buff *skb, bool v6);

/*
 * The way to a seat by its method, NULL if there is none; @from: the outer source,
 * or zero, and then what it is to be.
 */
struct dst_entry *wlb_seat_route(struct net *net, const struct wlb_seat *seat,
				 union wlb_addr *from, bool v6);
/* Is the seat, whose route @dst is, on a network of this host's? */
bool wlb_seat_adjacent(const struct dst_entry *dst, bool v6);
/* From here on it is this host's own packet, as far as the stack can tell. */
void wlb_make_own(struct sk_buff *skb);

/* No cache for a packet of the service, @stat why. */
unsigned int wlb_cache_none(struct wlb_net *wn, const struct wlb_group *group,
			    enum wlb_group_stat stat);

/*
 * Something else that concerns the redirection: a packet in GRE that a cache
 * returns, or an error about one in GRE to a cache. True with the verdict if so.
 * Of what wlb_may_be_returned() only.
 */
bool wlb_returned(struct wlb_net *wn, const struct wlb_router *router,
		  struct sk_buff *skb, bool v6, unsigned int *verdict);

/* Behind extension headers is none that we look for. */
static __always_inline u8 wlb_ip_proto(const struct sk_buff *skb, bool v6)
{
	return v6 ? ipv6_hdr(skb)->nexthdr : ip_hdr(skb)->protocol;
}

/* Of all others wlb_returned() need not be asked. */
static __always_inline bool wlb_may_be_returned(const struct sk_buff *skb, bool v6)
{
	u8 proto = wlb_ip_proto(skb, v6);

	return proto == IPPROTO_GRE || proto == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

/* GRE at @off of a packet for or of a cache: no options, and the protocol type. */
bool wlb_is_redirect_gre(const struct sk_buff *skb, unsigned int off);
/*
 * Takes @off bytes of outer headers off, of traffic class @tos. 0; -EBADMSG: it is
 * broken, or there is no memory; -ENOBUFS: congestion was marked that the packet
 * inside cannot carry. Drop it then.
 */
int wlb_redirect_crack(struct sk_buff *skb, bool v6, unsigned int off, u8 tos);

/*
 * Of a service, from a cache that returns by L2, and from another address than its
 * own? What one says to servers in its clients' names is not told from that.
 */
bool wlb_is_returned_l2(struct wlb_net *wn, const struct sk_buff *skb,
			struct net_device *dev, const struct wlb_passer *p);
/* Of somebody else, on its way through a bridge that calls the IP hooks? */
bool wlb_is_bridged(const struct sk_buff *skb);
/* Has the neighbour of this address sent it? Of Ethernet only. */
bool wlb_is_from(const struct sk_buff *skb, struct net_device *dev,
		 const union wlb_addr *addr, bool v6);

#endif /* WLB_REDIRECT_PATH_H */
