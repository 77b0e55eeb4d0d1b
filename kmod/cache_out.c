// SPDX-License-Identifier: GPL-2.0-only
/* A packet on its way to a cache: D01 4.12, R1 3.12. */
#include <net/arp.h>
#include <net/ip6_route.h>
#include <net/ndisc.h>
#include <net/netfilter/nf_conntrack.h>

#include "plain.h"
#include "redirect.h"
#include "trace.h"
#include "tunnel.h"

unsigned int wlb_cache_none(struct wlb_net *wn, const struct wlb_group *group,
			    enum wlb_group_stat stat)
{
	if (stat != WLB_GROUP_STAT_unassigned || !group->closed)
		wlb_group_count(wn, group, stat);
	if (!group->closed)
		return NF_ACCEPT;
	wlb_group_count(wn, group, WLB_GROUP_STAT_closed);
	return NF_DROP;
}

static noinline struct dst_entry *wlb_seat_lookup4(struct net *net,
						   const struct wlb_seat *seat,
						   union wlb_addr *from)
{
	struct flowi4 fl4 = {
		.daddr = seat->member->addr.v4,
		.saddr = from->v4,
		.flowi4_flags = seat->forward == WLB_FORWARD_L2 ?
				FLOWI_FLAG_KNOWN_NH : FLOWI_FLAG_ANYSRC,
		.flowi4_proto = seat->forward == WLB_FORWARD_L2 ? 0 :
								  IPPROTO_GRE,
	};
	struct rtable *rt = ip_route_output_key(net, &fl4);

	if (IS_ERR(rt))
		return NULL;
	if (rt->rt_type != RTN_UNICAST) {
		ip_rt_put(rt);
		return NULL;
	}
	from->v4 = fl4.saddr;
	dst_cache_set_ip4(&seat->member->dst[seat->forward], &rt->dst, fl4.saddr);
	return &rt->dst;
}

static noinline struct dst_entry *wlb_seat_lookup6(struct net *net,
						   const struct wlb_seat *seat,
						   union wlb_addr *from)
{
	struct flowi6 fl6 = {
		.daddr = seat->member->addr.v6,
		.saddr = from->v6,
		.flowi6_flags = seat->forward == WLB_FORWARD_L2 ?
				FLOWI_FLAG_KNOWN_NH : 0,
		.flowi6_proto = seat->forward == WLB_FORWARD_L2 ? 0 :
								  IPPROTO_GRE,
	};
	struct dst_entry *dst;
	int err;

	err = ip6_dst_lookup(net, NULL, &dst, &fl6);
	if (err)
		return NULL;
	if (((struct rt6_info *)dst)->rt6i_flags & (RTF_LOCAL | RTF_ANYCAST)) {
		dst_release(dst);
		return NULL;
	}
	from->v6 = fl6.saddr;
	dst_cache_set_ip6(&seat->member->dst[seat->forward], dst, &fl6.saddr);
	return dst;
}

struct dst_entry *wlb_seat_route(struct net *net, const struct wlb_seat *seat,
				 union wlb_addr *from, bool v6)
{
	/* what a queue of the administrator's gives back comes in process context */
	struct dst_cache *cache = &seat->member->dst[seat->forward];
	bool process = wlb_bh_disable();
	struct dst_entry *dst;
	struct rtable *rt;

	if (v6) {
		dst = dst_cache_get_ip6(cache, &from->v6);
		if (unlikely(!dst))
			dst = wlb_seat_lookup6(net, seat, from);
	} else {
		rt = dst_cache_get_ip4(cache, &from->v4);
		dst = likely(rt) ? &rt->dst : wlb_seat_lookup4(net, seat, from);
	}
	wlb_bh_restore(process);
	return dst;
}

bool wlb_seat_adjacent(const struct dst_entry *dst, bool v6)
{
	if (v6)
		return !(((const struct rt6_info *)dst)->rt6i_flags &
			 RTF_GATEWAY);
	return !((const struct rtable *)dst)->rt_uses_gateway;
}

/* NULL: nobody has asked for it yet. RCU, BH off. */
static struct neighbour *wlb_cache_neighbour(const struct dst_entry *dst,
					     const union wlb_addr *addr, bool v6)
{
	return v6 ? __ipv6_neigh_lookup_noref(dst->dev, addr) :
		    __ipv4_neigh_lookup_noref(dst->dev, (__force u32)addr->v4);
}

/*
 * What has come in fragments is sent on in such: it is put together for us to
 * see its ports, and nobody has sent a packet that large.
 */
static unsigned int wlb_cache_fragments(const struct sk_buff *skb, bool v6)
{
	return v6 ? IP6CB(skb)->frag_max_size : IPCB(skb)->frag_max_size;
}

static bool wlb_cache_fits(const struct sk_buff *skb, bool v6, unsigned int mtu)
{
	unsigned int fragments = wlb_cache_fragments(skb, v6);

	if (!fragments || (!v6 && !(ip_hdr(skb)->frag_off & htons(IP_DF))))
		return wlb_tunnel_fits(skb, v6, mtu);
	return fragments <= mtu;
}

/* The router has forwarded it, once. 0 or -ENOMEM. */
static __always_inline int wlb_cache_ttl(struct sk_buff *skb, bool v6)
{
	/* the IP layer has pulled it */
	if (skb_cloned(skb) &&
	    skb_ensure_writable(skb, v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)))
		return -ENOMEM;
	if (v6)
		ipv6_hdr(skb)->hop_limit--;
	else
		ip_decrease_ttl(ip_hdr(skb));
	return 0;
}

void wlb_make_own(struct sk_buff *skb)
{
	skb_orphan(skb);
	skb_scrub_packet(skb, false);
	skb_clear_tstamp(skb);
	skb->dev = NULL;
	nf_ct_set(skb, NULL, IP_CT_UNTRACKED);
}

/* It leaves without passing any more of the stack. */
static __always_inline void wlb_cache_forward(struct sk_buff *skb)
{
	skb_forward_csum(skb);
	skb_ext_reset(skb);
	skb_clear_tstamp(skb);
	skb_orphan(skb);
}

static void wlb_cache_clear(struct sk_buff *skb, bool v6)
{
	if (v6) {
		IP6CB(skb)->frag_max_size = 0;
	} else {
		IPCB(skb)->frag_max_size = 0;
		IPCB(skb)->flags &= ~(IPSKB_FRAG_PMTU | IPSKB_FRAG_COMPLETE);
	}
}

/* How a packet in GRE goes on. */
enum wlb_cache_way {
	WLB_CACHE_ROUTED,	/* it is at POST_ROUTING */
	WLB_CACHE_OWN,		/* as one of this host's, by LOCAL_OUT */
	WLB_CACHE_STRAIGHT,	/* to the neighbour */
};

/* The member of the group that the redirect header of a packet to @to names. */
static struct wlb_member *wlb_cache_of(const struct wlb_router_family *f,
				       const union wlb_addr *to, bool v6,
				       const struct wlb_redirect_hdr *h)
{
	const struct wlb_index_entry *e;

	wlb_index_for_each(e, &f->members, to, v6) {
		const struct wlb_redirect *r = &f->redirect[e->object >> WLB_MEMBER_SHIFT];

		if (wlb_group_named(r->group, h))
			return r->assign->seat[e->object & (WLB_MAX_CACHES - 1)].member;
	}
	return NULL;
}

void wlb_cache_passed(struct wlb_net *wn, const struct wlb_router *router,
		      const struct sk_buff *skb, bool v6)
{
	unsigned int off = v6 ? sizeof(struct ipv6hdr) : ip_hdrlen(skb);
	struct dst_entry *dst = skb_dst(skb);
	struct wlb_redirect_hdr header;
	struct wlb_member_cpu *own;
	struct wlb_member *member;
	u8 buf[WLB_REDIRECT_LEN];
	const u8 *data;
	bool process;

	data = skb_header_pointer(skb, off + sizeof(struct gre_base_hdr),
				  sizeof(buf), buf);
	if (!data || !wlb_is_redirect_gre(skb, off) || !wlb_redirect_read(data, &header))
		return;
	/* what rules have made of it they would make of the next ones */
	if (skb->mark || skb_nfct(skb) || secpath_exists(skb) || skb->sk ||
	    !wlb_route_is_plain(dst, v6))
		return;
	member = wlb_cache_of(&router->by_family[v6], wlb_plain_dst(skb, v6), v6, &header);
	if (!member)
		return;
	process = wlb_bh_disable();
	own = this_cpu_ptr(member->cpu);
	if (wlb_route_keep(&own->route, dst, v6)) {
		memcpy(&own->from, wlb_plain_src(skb, v6), wlb_addr_len(v6));
		WRITE_ONCE(own->second, wlb_second());
	}
	wlb_bh_restore(process);
}

/*
 * The route by which a packet at PRE_ROUTING may go straight to a cache, with @overhead
 * bytes of outer headers; NULL if it cannot. RCU, BH off.
 */
static __always_inline struct dst_entry *
wlb_cache_straight(const struct wlb_net *wn, const struct sk_buff *skb,
		   const struct wlb_member_cpu *own, unsigned int overhead, bool v6)
{
	struct dst_entry *dst = wlb_route_get(&own->route, wn->net, v6);

	if (!dst || wlb_cache_fragments(skb, v6) ||
	    !wlb_route_fits(skb, wlb_route_mtu(dst, v6) - overhead))
		return NULL;
	return dst;
}

/* By itself: its variables, which kernels may clear, are not the business of L2's. */
static noinline unsigned int wlb_cache_gre(struct wlb_net *wn, struct sk_buff *skb,
					   const struct wlb_redirect *r,
					   const struct wlb_choice *choice, bool v6,
					   enum wlb_cache_way way, struct dst_entry *dst,
					   const union wlb_addr *from)
{
	const struct wlb_group_state *state = r->group->state;
	struct wlb_redirect_hdr header = {
		.flags = (state->type == WLB_GROUP_DYNAMIC ?
			  WLB_REDIRECT_DYNAMIC : 0) |
			 (choice->alt_used ? WLB_REDIRECT_ALT : 0),
		.service = state->id, .alt = choice->alt,
		.primary = choice->primary,
	};
	struct wlb_tunnel tunnel = {
		.to = r->assign->seat[choice->seat].member->addr, .from = *from,
		.has_from = true, .v6 = v6, .via = WLB_VIA_GRE,
		.redirect = &header,
	};
	bool cut = wlb_cache_fragments(skb, v6);
	u8 tos = wlb_tunnel_tos(skb, v6);

	if (way != WLB_CACHE_ROUTED && wlb_cache_ttl(skb, v6)) {
		if (way == WLB_CACHE_OWN)
			dst_release(dst);
		goto failed;
	}
	if (way == WLB_CACHE_STRAIGHT) {
		wlb_cache_forward(skb);
		skb_dst_drop(skb);
		skb_dst_set_noref(skb, dst);
		skb->dev = dst->dev;
	} else {
		if (way == WLB_CACHE_OWN)
			wlb_make_own(skb);
		skb_dst_drop(skb);
		skb_dst_set(skb, dst);
		if (way == WLB_CACHE_ROUTED) {
			skb->dev = dst->dev;
			/* from here on it has come in nowhere */
			skb->skb_iif = 0;
		} else if (v6) {
			memset(IP6CB(skb), 0, sizeof(*IP6CB(skb)));
		} else {
			memset(IPCB(skb), 0, sizeof(*IPCB(skb)));
		}
		wlb_cache_clear(skb, v6);
		skb->ignore_df |= cut;
	}
	if (wlb_tunnel_push(skb, &tunnel, tos))
		goto failed;
	wlb_group_count(wn, r->group, WLB_GROUP_STAT_gre);
	if (way == WLB_CACHE_ROUTED)
		return NF_ACCEPT;
	if (way == WLB_CACHE_STRAIGHT) {
		wlb_count(wn, WLB_STAT_fast);
		wlb_route_leave(wn->net, skb, dst, v6);
	} else if (v6) {
		ip6_local_out(wn->net, NULL, skb);
	} else {
		ip_local_out(wn->net, NULL, skb);
	}
	return NF_STOLEN;

failed:
	wlb_group_count(wn, r->group, WLB_GROUP_STAT_failed);
	return NF_DROP;
}

static unsigned int wlb_cache_l2(struct wlb_net *wn, struct sk_buff *skb,
				 const struct wlb_redirect *r,
				 const struct wlb_choice *choice, bool v6,
				 bool routed, struct dst_entry *dst, unsigned int mtu)
{
	struct wlb_member *member = r->assign->seat[choice->seat].member;
	bool cut = wlb_cache_fragments(skb, v6) ||
		   (!skb_is_gso(skb) && skb->len > mtu);

	if (!routed && (wlb_cache_ttl(skb, v6) ||
			skb_cow_head(skb, LL_RESERVED_SPACE(dst->dev)))) {
		dst_release(dst);
		wlb_group_count(wn, r->group, WLB_GROUP_STAT_failed);
		return NF_DROP;
	}
	wlb_group_count(wn, r->group, WLB_GROUP_STAT_l2);
	skb_dst_drop(skb);
	if (routed || cut)
		skb_dst_set(skb, dst);
	/* the route's next hop is the cache */
	if (routed) {
		skb->dev = dst->dev;
		wlb_settle(skb, WLB_SENT);
		return NF_ACCEPT;
	}
	wlb_cache_forward(skb);
	if (cut) {
		wlb_settle(skb, WLB_SENT);
		dst_output(wn->net, NULL, skb);
		return NF_STOLEN;
	}
	/*
	 * Without its route: should ARP give up, the client is not told that the
	 * server is unreachable, and finds the way open when it tries anew.
	 */
	skb->dev = dst->dev;
	if (wlb_route_is_plain(dst, v6)) {
		bool process = wlb_bh_disable();

		wlb_route_keep(&this_cpu_ptr(member->cpu)->route, dst, v6);
		wlb_bh_restore(process);
	}
	neigh_xmit(v6 ? NEIGH_ND_TABLE : NEIGH_ARP_TABLE, dst->dev, &member->addr, skb);
	dst_release(dst);
	return NF_STOLEN;
}

/*
 * In GRE, past the rules for what this host sends: one of this second has come through
 * them. False: it goes where they are.
 */
static __always_inline bool wlb_cache_gre_straight(struct wlb_net *wn, struct sk_buff *skb,
						   const struct wlb_redirect *r,
						   const struct wlb_choice *choice, bool v6,
						   unsigned int *verdict)
{
	struct wlb_member *member = r->assign->seat[choice->seat].member;
	const struct wlb_member_cpu *own = this_cpu_ptr(member->cpu);
	struct dst_entry *dst;

	if (READ_ONCE(own->second) != wlb_second() || skb->mark ||
	    (!v6 && !(ip_hdr(skb)->frag_off & htons(IP_DF))))
		return false;
	dst = wlb_cache_straight(wn, skb, own, wlb_tunnel_overhead(v6, WLB_VIA_GRE) +
						WLB_REDIRECT_LEN, v6);
	if (!dst)
		return false;
	wlb_member_count(member, skb);
	*verdict = wlb_cache_gre(wn, skb, r, choice, v6, WLB_CACHE_STRAIGHT, dst, &own->from);
	return true;
}

/* By L2, with a route that is kept and a neighbour that is known. */
static __always_inline bool wlb_cache_l2_straight(struct wlb_net *wn, struct sk_buff *skb,
						  const struct wlb_redirect *r,
						  struct wlb_member *member, bool v6,
						  unsigned int *verdict)
{
	const struct wlb_member_cpu *own = this_cpu_ptr(member->cpu);
	struct dst_entry *dst = wlb_cache_straight(wn, skb, own, 0, v6);
	struct neighbour *n;

	if (!dst || !wlb_seat_adjacent(dst, v6))
		return false;
	n = wlb_cache_neighbour(dst, &member->addr, v6);
	if (unlikely(!n || !(READ_ONCE(n->nud_state) & NUD_VALID)))
		return false;
	wlb_member_count(member, skb);
	if (wlb_cache_ttl(skb, v6) || skb_cow_head(skb, LL_RESERVED_SPACE(dst->dev))) {
		wlb_group_count(wn, r->group, WLB_GROUP_STAT_failed);
		*verdict = NF_DROP;
		return true;
	}
	wlb_group_count(wn, r->group, WLB_GROUP_STAT_l2);
	wlb_cache_forward(skb);
	skb_dst_drop(skb);
	skb->dev = dst->dev;
	neigh_output(n, skb, false);
	*verdict = NF_STOLEN;
	return true;
}

/* At PRE_ROUTING the packet has no route; any one lets icmp_send() go to work. */
static unsigned int wlb_cache_too_big(struct wlb_net *wn, struct sk_buff *skb,
				      const struct wlb_redirect *r, bool v6,
				      bool routed, struct dst_entry *dst,
				      unsigned int mtu)
{
	if (routed)
		dst_release(dst);
	else
		skb_dst_set(skb, dst);
	wlb_tunnel_too_big(skb, v6, mtu);
	wlb_group_count(wn, r->group, WLB_GROUP_STAT_too_big);
	return NF_DROP;
}

/* By a route that is looked up. @what: how it is to go; at the end, if it does not, why. */
static noinline unsigned int wlb_cache_send(struct wlb_net *wn, struct sk_buff *skb,
					    const struct wlb_redirect *r,
					    const struct wlb_choice *choice, bool v6,
					    bool routed, enum wlb_group_stat *what)
{
	const struct wlb_seat *seat = &r->assign->seat[choice->seat];
	struct wlb_member *member = seat->member;
	bool gre = seat->forward == WLB_FORWARD_GRE;
	struct neighbour *n = NULL;
	union wlb_addr from = {};
	struct dst_entry *dst;
	unsigned int mtu;

	if (unlikely(wlb_is_merged(skb))) {
		*what = WLB_GROUP_STAT_failed;
		return wlb_cache_none(wn, r->group, *what);
	}
	if (gre && r->group->has_source[v6])
		from = r->group->source[v6];
	dst = wlb_seat_route(wn->net, seat, &from, v6);
	if (!dst) {
		*what = WLB_GROUP_STAT_no_route;
		return wlb_cache_none(wn, r->group, *what);
	}
	if (!gre && !wlb_seat_adjacent(dst, v6)) {
		dst_release(dst);
		*what = WLB_GROUP_STAT_not_adjacent;
		return wlb_cache_none(wn, r->group, *what);
	}
	if (!gre)
		n = wlb_cache_neighbour(dst, &member->addr, v6);
	/* known not to answer; what nobody has asked for waits for an answer */
	if (n && (READ_ONCE(n->nud_state) & NUD_FAILED)) {
		dst_release(dst);
		*what = WLB_GROUP_STAT_no_neighbour;
		return wlb_cache_none(wn, r->group, *what);
	}
	mtu = gre ? wlb_tunnel_redirect_mtu(dst, v6) : dst_mtu(dst);
	if (!wlb_cache_fits(skb, v6, mtu)) {
		*what = WLB_GROUP_STAT_too_big;
		return wlb_cache_too_big(wn, skb, r, v6, routed, dst, mtu);
	}
	wlb_member_count(member, skb);
	if (gre)
		return wlb_cache_gre(wn, skb, r, choice, v6,
				     routed ? WLB_CACHE_ROUTED : WLB_CACHE_OWN, dst, &from);
	return wlb_cache_l2(wn, skb, r, choice, v6, routed, dst, mtu);
}

unsigned int wlb_cache_out(struct wlb_net *wn, struct sk_buff *skb,
			   const struct wlb_redirect *r,
			   const struct wlb_choice *choice,
			   const struct wlb_passer *p, bool routed)
{
	const struct wlb_seat *seat = &r->assign->seat[choice->seat];
	const bool gre = seat->forward == WLB_FORWARD_GRE, v6 = p->v6;
	struct wlb_member *member = seat->member;
	enum wlb_group_stat what = gre ? WLB_GROUP_STAT_gre : WLB_GROUP_STAT_l2;
	unsigned int verdict;

	/* what a queue of the administrator's gives back comes in process context */
	if (routed || unlikely(!softirq_count()) ||
	    !(gre ? wlb_cache_gre_straight(wn, skb, r, choice, v6, &verdict) :
		    wlb_cache_l2_straight(wn, skb, r, member, v6, &verdict)))
		verdict = wlb_cache_send(wn, skb, r, choice, v6, routed, &what);
	if (trace_wlb_redirect_enabled()) {
		if (verdict == NF_DROP && what <= WLB_GROUP_STAT_l2)
			what = WLB_GROUP_STAT_failed;
		trace_wlb_redirect(wn, p, r->group, &member->addr,
				   wlb_choice_bucket(choice), what);
	}
	return verdict;
}
