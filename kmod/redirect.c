// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cache router: which packets go to a cache. A packet is tried against the
 * groups in their order; the first whose service it belongs to has it. Whatever
 * stands against it, it is forwarded as if there were no cache, unless the
 * administrator wants the service closed.
 */
#include <linux/netfilter_bridge.h>
#include <net/arp.h>
#include <net/ndisc.h>
#include <net/netfilter/nf_conntrack.h>

#include "../include/wlb/wccp_service.h"
#include "redirect.h"
#include "trace.h"

/* Neither end is nobody's, everybody's or the link's. */
static bool wlb_passer_ordinary(const struct wlb_passer *p)
{
	if (p->v6) {
		int either = ipv6_addr_type(&p->src.v6) |
			     ipv6_addr_type(&p->dst.v6);

		return !(either & (IPV6_ADDR_MULTICAST | IPV6_ADDR_LINKLOCAL |
				   IPV6_ADDR_LOOPBACK)) &&
		       !ipv6_addr_any(&p->src.v6) && !ipv6_addr_any(&p->dst.v6);
	}
	return !ipv4_is_multicast(p->dst.v4) && !ipv4_is_lbcast(p->dst.v4) &&
	       !ipv4_is_zeronet(p->src.v4) && !ipv4_is_zeronet(p->dst.v4) &&
	       !ipv4_is_linklocal_169(p->src.v4) &&
	       !ipv4_is_linklocal_169(p->dst.v4) &&
	       !ipv4_is_loopback(p->dst.v4);
}

static __always_inline bool wlb_service_has(const struct wlb_assign *a,
					    const struct wlb_passer *p)
{
	struct wlb_wccp_packet packet = {
		.protocol = p->proto, .sport = p->sport, .dport = p->dport,
	};

	return wlb_wccp_covers(a->protocol, a->mapping->flags, a->port,
			       a->n_ports, &packet);
}

static __always_inline bool wlb_is_member(const struct wlb_router_family *f,
					  unsigned int at,
					  const union wlb_addr *addr, bool v6)
{
	const struct wlb_index_entry *e;

	wlb_index_for_each(e, &f->members, addr, v6)
		if (e->object >> WLB_MEMBER_SHIFT == at)
			return true;
	return false;
}

bool wlb_is_from(const struct sk_buff *skb, struct net_device *dev,
		 const union wlb_addr *addr, bool v6)
{
	const struct neighbour *n = v6 ?
		__ipv6_neigh_lookup_noref(dev, addr) :
		__ipv4_neigh_lookup_noref(dev, (__force u32)addr->v4);
	unsigned char ha[MAX_ADDR_LEN];

	if (!n || !(READ_ONCE(n->nud_state) & NUD_VALID) ||
	    !skb_mac_header_was_set(skb) || dev->type != ARPHRD_ETHER ||
	    skb->network_header - skb->mac_header < ETH_HLEN)
		return false;
	neigh_ha_snapshot(ha, n, dev);
	return ether_addr_equal(ha, eth_hdr(skb)->h_source);
}

/* Has a cache that returns by L2 sent it? */
static bool wlb_from_member_mac(const struct wlb_assign *a,
				const struct sk_buff *skb,
				struct net_device *dev)
{
	unsigned int i;

	for (i = 0; i < a->n_seats; i++)
		if (a->seat[i].ret == WLB_FORWARD_L2 &&
		    wlb_is_from(skb, dev, &a->seat[i].member->addr, a->v6))
			return true;
	return false;
}

bool wlb_is_returned_l2(struct wlb_net *wn, const struct sk_buff *skb,
			struct net_device *dev, const struct wlb_passer *p)
{
	const struct wlb_router *router = rcu_dereference(wn->router);
	const struct wlb_router_family *f;
	unsigned int i;

	if (!router)
		return false;
	f = &router->by_family[p->v6];
	for (i = 0; i < f->n; i++) {
		const struct wlb_assign *a = f->redirect[i].assign;

		if (a->l2_return && wlb_service_has(a, p) &&
		    wlb_from_member_mac(a, skb, dev))
			return !wlb_is_member(f, i, &p->src, p->v6);
	}
	return false;
}

/* Where it came from, before source NAT. */
static void wlb_first_source(const struct sk_buff *skb, bool v6,
			     union wlb_addr *src)
{
	enum ip_conntrack_info ctinfo;
	const struct nf_conn *ct = nf_ct_get(skb, &ctinfo);
	const struct nf_conntrack_tuple *tuple;

	if (!ct)
		return;
	tuple = &ct->tuplehash[CTINFO2DIR(ctinfo)].tuple;
	if (v6)
		src->v6 = tuple->src.u3.in6;
	else
		src->v4 = tuple->src.u3.ip;
}

/* A packet at one of the two hooks. */
struct wlb_trial {
	struct wlb_passer p;
	union wlb_addr first;		/* source, before source NAT */
	struct net_device *dev;		/* by which it has come in */
	u64 in, out;			/* interfaces' bits; out 0 at PRE_ROUTING */
	bool routed;			/* at POST_ROUTING */
};

static bool wlb_exempt(const struct wlb_router_family *f, unsigned int at,
		       const struct sk_buff *skb, const struct wlb_trial *t)
{
	const struct wlb_redirect *r = &f->redirect[at];

	return (r->group->exclude & t->in) ||
	       wlb_is_member(f, at, &t->first, t->p.v6) ||
	       wlb_is_member(f, at, &t->p.dst, t->p.v6) ||
	       (r->assign->l2_return &&
		wlb_from_member_mac(r->assign, skb, t->dev));
}

/* The packet belongs to the service and nothing exempts it. */
static unsigned int wlb_redirect(struct wlb_net *wn, struct sk_buff *skb,
				 const struct wlb_redirect *r,
				 const struct wlb_passer *p, bool routed)
{
	struct wlb_choice choice;

	wlb_choose(r->assign, p, &choice);
	if (unlikely(choice.full))
		wlb_group_count(wn, r->group, WLB_GROUP_STAT_drain_full);
	if (choice.seat == WLB_SEAT_NONE) {
		trace_wlb_redirect(wn, p, r->group, NULL, wlb_choice_bucket(&choice),
				   WLB_GROUP_STAT_unassigned);
		return wlb_cache_none(wn, r->group, WLB_GROUP_STAT_unassigned);
	}
	if (choice.kept)
		wlb_group_count(wn, r->group, WLB_GROUP_STAT_kept);
	return wlb_cache_out(wn, skb, r, &choice, p, routed);
}

static unsigned int wlb_redirect_try(struct wlb_net *wn,
				     const struct wlb_router *router,
				     struct sk_buff *skb, struct wlb_trial *t)
{
	const struct wlb_router_family *f = &router->by_family[t->p.v6];
	u8 hook = t->routed ? WLB_HOOK_FORWARD : WLB_HOOK_PREROUTING;
	const struct wlb_passer *p = &t->p;
	unsigned int i;

	t->first = p->src;
	if (t->routed)
		wlb_first_source(skb, p->v6, &t->first);
	for (i = 0; i < f->n; i++) {
		const struct wlb_redirect *r = &f->redirect[i];
		const struct wlb_group *group = r->group;

		if (!(group->out & t->out) &&
		    !(group->hook == hook && (group->in & t->in)))
			continue;
		if (!wlb_service_has(r->assign, p))
			continue;
		if (wlb_exempt(f, i, skb, t)) {
			wlb_group_count(wn, group, WLB_GROUP_STAT_exempt);
			trace_wlb_redirect(wn, p, group, NULL, 0, WLB_GROUP_STAT_exempt);
			continue;
		}
		if (!wlb_passer_ordinary(p) ||
		    (!t->routed && !wlb_is_far(wn, t->dev, &p->dst, p->v6)))
			return NF_ACCEPT;
		if (wlb_rules_permit(&group->rules, p, true))
			return wlb_redirect(wn, skb, r, p, t->routed);
		wlb_group_count(wn, group, WLB_GROUP_STAT_denied);
		trace_wlb_redirect(wn, p, group, NULL, 0, WLB_GROUP_STAT_denied);
		if (!router->groups->check_all)
			return NF_ACCEPT;
	}
	return NF_ACCEPT;
}

bool wlb_is_bridged(const struct sk_buff *skb)
{
#if IS_ENABLED(CONFIG_BRIDGE_NETFILTER)
	const struct nf_bridge_info *bridge = nf_bridge_info_get(skb);

	return bridge && bridge->pkt_otherhost;
#else
	return false;
#endif
}

static bool wlb_passer_expiring(const struct sk_buff *skb, bool v6)
{
	return (v6 ? ipv6_hdr(skb)->hop_limit : ip_hdr(skb)->ttl) <= 1;
}

static __always_inline unsigned int wlb_redirect_in(struct wlb_net *wn,
						    struct sk_buff *skb,
						    const struct nf_hook_state *state,
						    const bool v6)
{
	const struct wlb_router *router = rcu_dereference(wn->router);
	struct wlb_trial t = { .dev = state->in };
	unsigned int verdict;

	if (!router || skb->pkt_type != PACKET_HOST || wlb_is_bridged(skb))
		return NF_ACCEPT;
	if (unlikely(wlb_may_be_returned(skb, v6)) &&
	    wlb_returned(wn, router, skb, v6, &verdict))
		return verdict;
	if (!router->by_family[v6].pre)
		return NF_ACCEPT;
	t.in = wlb_groups_interface(router->groups, state->in);
	if (!(t.in & router->by_family[v6].pre) || wlb_passer_expiring(skb, v6))
		return NF_ACCEPT;
	if (!wlb_passer_read(skb, v6, &t.p)) {
		wlb_count(wn, WLB_STAT_redirect_malformed);
		return NF_ACCEPT;
	}
	return wlb_redirect_try(wn, router, skb, &t);
}

/* What the router itself sends has come in by no interface. */
static __always_inline unsigned int wlb_redirect_out(struct wlb_net *wn,
						     struct sk_buff *skb,
						     const struct nf_hook_state *state,
						     const bool v6)
{
	const struct wlb_router *router = rcu_dereference(wn->router);
	struct wlb_trial t = { .dev = state->in, .routed = true };
	const struct wlb_router_family *f;

	if (!router)
		return NF_ACCEPT;
	if (!state->in || !skb->skb_iif) {
		if (wlb_ip_proto(skb, v6) == IPPROTO_GRE)
			wlb_cache_passed(wn, router, skb, v6);
		return NF_ACCEPT;
	}
	if (wlb_settled(skb)) {
		if (!rcu_access_pointer(wn->process))
			wlb_settle(skb, WLB_UNSETTLED);
		return NF_ACCEPT;
	}
	f = &router->by_family[v6];
	if (!(f->post_in | f->post_out))
		return NF_ACCEPT;
	t.in = wlb_groups_interface(router->groups, state->in);
	t.out = wlb_groups_interface(router->groups, state->out);
	if (!(t.in & f->post_in) && !(t.out & f->post_out))
		return NF_ACCEPT;
	if (!wlb_passer_read(skb, v6, &t.p)) {
		wlb_count(wn, WLB_STAT_redirect_malformed);
		return NF_ACCEPT;
	}
	return wlb_redirect_try(wn, router, skb, &t);
}

unsigned int wlb_redirect_in4(void *priv, struct sk_buff *skb,
			      const struct nf_hook_state *state)
{
	return wlb_redirect_in(priv, skb, state, false);
}

unsigned int wlb_redirect_in6(void *priv, struct sk_buff *skb,
			      const struct nf_hook_state *state)
{
	return wlb_redirect_in(priv, skb, state, true);
}

unsigned int wlb_redirect_out4(void *priv, struct sk_buff *skb,
			       const struct nf_hook_state *state)
{
	return wlb_redirect_out(priv, skb, state, false);
}

unsigned int wlb_redirect_out6(void *priv, struct sk_buff *skb,
			       const struct nf_hook_state *state)
{
	return wlb_redirect_out(priv, skb, state, true);
}
