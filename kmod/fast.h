/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fast path of a client gateway: plain segments of flows that are won go from
 * PRE_ROUTING straight to the neighbour that they are for, past route lookup, connection
 * tracking and every rule behind PRE_ROUTING's first.
 *
 * What permits that is that the same second has seen a segment of that flow and direction
 * come in by the same interface and get through all of it: POST_ROUTING, behind the rest,
 * writes into the flow that it did (wlb_fast_passed()), and keeps its route. So a rule that
 * is added, a route or a firewall's state that ends is obeyed after a second at most, and
 * connection tracking and counters of rules see one segment a second. A changed routing
 * table, MTU and neighbour tell at once.
 */
#ifndef WLB_FAST_H
#define WLB_FAST_H

#include "compat.h"
#include "conf.h"
#include "flow.h"
#include "plain.h"
#include "route.h"

#define WLB_WAYS	512

/* How packets to an address went by the ordinary path. */
struct wlb_way {
	union wlb_addr to;
	struct wlb_route route;
	bool v6;
};

/* Each processor's own: only with BH off. */
struct wlb_ways {
	struct wlb_way way[WLB_WAYS];
};

/* This second, and the interface; never 0. One of 65535 others says the same. */
static __always_inline u16 wlb_fast_stamp(const struct net_device *in)
{
	return (((wlb_second() ^ in->ifindex << 16) * GOLDEN_RATIO_32) >> 16) ?: 1;
}

static __always_inline struct wlb_way *wlb_way_slot(struct wlb_net *wn,
						    const union wlb_addr *to, bool v6)
{
	const u32 *w = to->word;
	u32 word = v6 ? w[0] ^ w[1] ^ w[2] ^ w[3] : w[0];

	return &this_cpu_ptr(wn->ways)->way[(word * GOLDEN_RATIO_32) >>
					    (32 - ilog2(WLB_WAYS))];
}

/* The route to @to, or NULL if none is known to be good. RCU, BH off. */
static __always_inline struct dst_entry *wlb_way_get(struct wlb_net *wn,
						     const union wlb_addr *to, bool v6)
{
	const struct wlb_way *way = wlb_way_slot(wn, to, v6);

	if (way->v6 != v6 || !wlb_addr_eq(&way->to, to, v6))
		return NULL;
	return wlb_route_get(&way->route, wn->net, v6);
}

/*
 * May the packet, as it came, leave by @dst if that has room for @mtu bytes? All that
 * forwarding would look at, and answer with more than to send it on.
 */
static __always_inline bool wlb_fast_fits(const struct sk_buff *skb, unsigned int mtu,
					  const bool v6)
{
	if (skb->pkt_type != PACKET_HOST || skb->sk || skb_nfct(skb) ||
	    nf_bridge_info_exists(skb) || secpath_exists(skb))
		return false;
#ifdef CONFIG_NET_SWITCHDEV
	if (skb->offload_l3_fwd_mark)
		return false;
#endif
	if (v6 ? IP6CB(skb)->frag_max_size : IPCB(skb)->frag_max_size)
		return false;
	if ((v6 ? ((const struct ipv6hdr *)skb->data)->hop_limit :
		  ((const struct iphdr *)skb->data)->ttl) <= 1)
		return false;
	return wlb_route_fits(skb, mtu);
}

static __always_inline unsigned int wlb_fast_mtu(const struct dst_entry *dst, const bool v6)
{
	unsigned int mtu, route;

	if (!v6)
		return ip_dst_mtu_maybe_forward(dst, true);
	/* ip6_forward() does not look at a route's own MTU, but ip6_output() does */
	mtu = ip6_dst_mtu_maybe_forward(dst, true);
	route = dst_metric_raw(dst, RTAX_MTU);
	return route ? min(mtu, route) : mtu;
}

/* Sends a plain segment whose headers are writable by @dst, as forwarding would. */
void wlb_fast_send4(struct wlb_net *wn, struct sk_buff *skb, struct dst_entry *dst);
void wlb_fast_send6(struct wlb_net *wn, struct sk_buff *skb, struct dst_entry *dst);

static __always_inline void wlb_fast_send(struct wlb_net *wn, struct sk_buff *skb,
					  struct dst_entry *dst, const bool v6)
{
	if (v6)
		wlb_fast_send6(wn, skb, dst);
	else
		wlb_fast_send4(wn, skb, dst);
}

/* Which packets may; cheap, for PRE_ROUTING. */
static __always_inline bool wlb_fast_port(const struct wlb_cg *cg, __be16 port)
{
	return wlb_portmap_has(&cg->fast, port);
}

/*
 * The route by which a plain segment that came in by @in and leaves for @to may go straight
 * on, with @overhead bytes of outer headers if any; its own are writable then. NULL: it goes
 * the ordinary path.
 */
static __always_inline struct dst_entry *
wlb_fast_way(struct wlb_net *wn, const struct wlb_cg *cg, const struct wlb_flow *f,
	     enum wlb_dir dir, struct sk_buff *skb, const struct net_device *in,
	     const union wlb_addr *to, unsigned int overhead, const bool v6)
{
	struct dst_entry *dst;
	unsigned int mtu;

	if (READ_ONCE(f->passed[dir]) != wlb_fast_stamp(in) ||
	    !wlb_fast_port(cg, f->server_port))
		return NULL;
	/* what a queue of the administrator's gives back comes in process context */
	if (unlikely(!softirq_count()))
		return NULL;
	dst = wlb_way_get(wn, to, v6);
	if (!dst)
		return NULL;
	/* of a tunnel, the host's own, with what its way has told it */
	mtu = overhead ? wlb_route_mtu(dst, v6) - overhead : wlb_fast_mtu(dst, v6);
	if (!wlb_fast_fits(skb, mtu, v6) ||
	    unlikely(skb_cow_head(skb, LL_RESERVED_SPACE(dst->dev) + overhead)) ||
	    unlikely(skb_ensure_writable(skb, wlb_plain_ip_len(v6) + sizeof(struct tcphdr))))
		return NULL;
	return dst;
}

/*
 * A client's plain segment of such a port, at PRE_ROUTING: NF_ACCEPT if it does not go
 * straight on to the winner.
 */
unsigned int wlb_fast_out4(struct wlb_net *wn, const struct wlb_cg *cg, struct sk_buff *skb,
			   const struct tcphdr *th, const struct net_device *in);
unsigned int wlb_fast_out6(struct wlb_net *wn, const struct wlb_cg *cg, struct sk_buff *skb,
			   const struct tcphdr *th, const struct net_device *in);

/*
 * At POST_ROUTING: the packet, which came in by @in, has passed everything. The flow's
 * next ones of this second may go the fast way, @to the address that it leaves for, if
 * nothing speaks against it.
 */
void wlb_fast_passed(struct wlb_net *wn, const struct wlb_cg *cg, struct wlb_flow *f,
		     enum wlb_dir dir, const struct sk_buff *skb,
		     const struct net_device *in, const union wlb_addr *to, bool v6);

/* Which takes a while: only if that is not known already. */
static __always_inline void wlb_fast_pass(struct wlb_net *wn, const struct wlb_cg *cg,
					  struct wlb_flow *f, enum wlb_dir dir,
					  const struct sk_buff *skb,
					  const struct net_device *in,
					  const union wlb_addr *to, const bool v6)
{
	if (in && wlb_fast_port(cg, f->server_port) &&
	    (READ_ONCE(f->passed[dir]) != wlb_fast_stamp(in) ||
	     (softirq_count() && !wlb_way_get(wn, to, v6))))
		wlb_fast_passed(wn, cg, f, dir, skb, in, to, v6);
}

struct wlb_ways __percpu *wlb_ways_alloc(void);
/* Forgets all; no hook runs. */
void wlb_ways_flush(struct wlb_ways __percpu *ways);
void wlb_ways_free(struct wlb_ways __percpu *ways);

#endif /* WLB_FAST_H */
