// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client's gateway, inwards (PRE_ROUTING): FIG 6 for plain segments of flows that are
 * won, which nearly all packets are. What is more than that is answer.c's.
 */
#include <net/inet_ecn.h>

#include "answer.h"
#include "crack.h"
#include "fast.h"
#include "live.h"
#include "plain.h"
#include "track.h"

/* The winner's plain segment, under its own address or, @raw, under the server's. */
static __always_inline unsigned int
wlb_plain_carry_in(struct wlb_net *wn, const struct wlb_cg *cg,
		   struct sk_buff *skb, const struct tcphdr *th,
		   const struct net_device *in, struct wlb_flow *f,
		   const bool raw, const bool v6)
{
	struct dst_entry *dst;
	struct wlb_seg seg;

	wlb_plain_seg(skb, th, v6, &seg);
	wlb_fsm_track(&f->fsm, &seg, WLB_DIR_SERVER);
	wlb_flow_touch(f, cg->timeouts.established);
	wlb_live_heard(wlb_flow_winner(wn, f));
	dst = wlb_fast_way(wn, cg, f, WLB_DIR_SERVER, skb, in, wlb_flow_client(f), 0, v6);
	if (dst) {
		if (!raw)
			wlb_plain_put_addr(skb, v6, true, wlb_flow_server(f, v6));
		wlb_count(wn, raw ? WLB_STAT_passed_in : WLB_STAT_translated_in);
		wlb_fast_send(wn, skb, dst, v6);
		return NF_STOLEN;
	}
	if (!raw && wlb_plain_set_addr(skb, v6, true, wlb_flow_server(f, v6))) {
		wlb_count(wn, WLB_STAT_translate_failed);
		return NF_DROP;
	}
	wlb_untrack(cg, skb);
	wlb_count(wn, raw ? WLB_STAT_passed_in : WLB_STAT_translated_in);
	return NF_ACCEPT;
}

/* A service's plain packet: straight on with what the winner of a flow sends. */
static __always_inline unsigned int wlb_cg_in_plain(struct wlb_net *wn,
						    const struct wlb_cg *cg,
						    struct sk_buff *skb,
						    const struct tcphdr *th,
						    const struct net_device *in,
						    const bool v6)
{
	const union wlb_addr *src = wlb_plain_src(skb, v6);
	struct wlb_flow_key key = {
		.client = wlb_plain_dst(skb, v6), .client_port = th->dest,
		.server_port = th->source, .v6 = v6,
	};
	struct wlb_flow *f;
	u32 hash;

	if (!wlb_plain_data(skb, th, v6))
		return wlb_cg_in_any(wn, cg, skb, v6);
	hash = wlb_flow_hash(wn->table, &key);
	wlb_flow_for_each(f, wn->table, hash, &key) {
		bool raw = !wlb_flow_won_by(wn, f, src, v6);

		if (raw && !wlb_addr_eq(wlb_flow_server(f, v6), src, v6))
			continue;
		if ((raw && !wlb_flow_spoofed(wn, f)) ||
		    READ_ONCE(f->fsm.state) != WLB_FLOW_WON ||
		    (READ_ONCE(f->fsm.flags) & WLB_FSM_REOPEN))
			return wlb_cg_in_any(wn, cg, skb, v6);
		return raw ? wlb_plain_carry_in(wn, cg, skb, th, in, f, true, v6) :
			     wlb_plain_carry_in(wn, cg, skb, th, in, f, false, v6);
	}
	return NF_ACCEPT;
}

static noinline unsigned int wlb_cg_in_plain4(struct wlb_net *wn,
					      const struct wlb_cg *cg,
					      struct sk_buff *skb,
					      const struct tcphdr *th,
					      const struct net_device *in)
{
	return wlb_cg_in_plain(wn, cg, skb, th, in, false);
}

static noinline unsigned int wlb_cg_in_plain6(struct wlb_net *wn,
					      const struct wlb_cg *cg,
					      struct sk_buff *skb,
					      const struct tcphdr *th,
					      const struct net_device *in)
{
	return wlb_cg_in_plain(wn, cg, skb, th, in, true);
}

/* Length of outer headers that are GRE's or IP's alone, in front of IP; 0: look closer. */
static __always_inline unsigned int wlb_plain_outer(const struct sk_buff *skb, u8 *via,
						    const bool v6)
{
	unsigned int len = wlb_plain_ip_len(v6);
	u8 proto;

	/* any of the headers behind it too */
	if (skb_headlen(skb) < 2 * len + sizeof(__be32) + sizeof(struct tcphdr))
		return 0;
	if (v6) {
		proto = ((const struct ipv6hdr *)skb->data)->nexthdr;
	} else {
		const struct iphdr *ih = (const struct iphdr *)skb->data;

		if (*(const u8 *)ih != 0x45 || ip_is_fragment(ih))
			return 0;
		proto = ih->protocol;
	}
	*via = WLB_VIA_IPIP;
	if (proto == (v6 ? IPPROTO_IPV6 : IPPROTO_IPIP))
		return len;
	*via = WLB_VIA_GRE;
	if (proto != IPPROTO_GRE ||
	    *(const __be32 *)(skb->data + len) != htonl(v6 ? ETH_P_IPV6 : ETH_P_IP))
		return 0;
	return len + sizeof(__be32);
}

/* Nobody has looked at the packet inside yet, which is at skb->data now. */
static __always_inline const struct tcphdr *wlb_plain_inner(const struct sk_buff *skb,
							    const bool v6)
{
	const struct tcphdr *th = wlb_plain_tcp(skb, v6);

	if (!th || !wlb_plain_data(skb, th, v6) ||
	    skb->len != wlb_plain_ip_len(v6) + wlb_plain_len(skb, v6) ||
	    (!v6 && ip_fast_csum(skb->data, 5)))
		return NULL;
	return th;
}

/* Whose flow it is, if that is the winner's who has sent it as @outer. */
static __always_inline struct wlb_flow *
wlb_plain_tunnelled(struct wlb_net *wn, const struct sk_buff *skb, const struct tcphdr *th,
		    const void *outer, const bool v6)
{
	struct wlb_flow_key key = {
		.client = wlb_plain_dst(skb, v6), .client_port = th->dest,
		.server_port = th->source, .v6 = v6,
	};
	const union wlb_addr *from = outer + (v6 ? offsetof(struct ipv6hdr, saddr) :
						   offsetof(struct iphdr, saddr));
	const union wlb_addr *to = outer + (v6 ? offsetof(struct ipv6hdr, daddr) :
						 offsetof(struct iphdr, daddr));
	struct wlb_flow *f;

	if (!wlb_addr_eq(key.client, to, v6))
		return NULL;
	f = wlb_flow_to_server(wn->table, wlb_flow_hash(wn->table, &key), &key,
			       wlb_plain_src(skb, v6));
	if (!f || READ_ONCE(f->fsm.state) != WLB_FLOW_WON ||
	    (READ_ONCE(f->fsm.flags) & WLB_FSM_REOPEN) ||
	    !wlb_flow_won_by(wn, f, from, v6))
		return NULL;
	return f;
}

static __always_inline u8 wlb_plain_tos(const void *ih, const bool v6)
{
	return v6 ? ipv6_get_dsfield(ih) : ((const struct iphdr *)ih)->tos;
}

/*
 * FIG 6C: a winner's plain segment in plain outer headers, with no mark of congestion to
 * take over.
 */
static __always_inline unsigned int wlb_cg_in_tunnel(struct wlb_net *wn,
						     const struct wlb_cg *cg,
						     struct sk_buff *skb,
						     const struct net_device *in,
						     const bool v6)
{
	const void *outer = skb->data;
	const struct tcphdr *th;
	struct dst_entry *dst;
	struct wlb_outer o;
	struct wlb_flow *f;
	struct wlb_seg seg;
	unsigned int hlen;

	if (!(READ_ONCE(cg->carried) & ~(1U << WLB_RETURN_NAT)) || skb_is_gso(skb))
		return wlb_cg_in_any(wn, cg, skb, v6);
	o.len = wlb_plain_outer(skb, &o.via, v6);
	if (!o.len)
		return wlb_cg_in_any(wn, cg, skb, v6);
	o.tos = wlb_plain_tos(outer, v6);
	__skb_pull(skb, o.len);
	th = wlb_plain_inner(skb, v6);
	if (!th || !wlb_portmap_has(&cg->map, th->source) ||
	    ((o.tos ^ wlb_plain_tos(skb->data, v6)) & o.tos & INET_ECN_MASK))
		goto other;
	f = wlb_plain_tunnelled(wn, skb, th, outer, v6);
	if (!f)
		goto other;
	hlen = wlb_plain_ip_len(v6) + th->doff * 4;
	wlb_plain_seg(skb, th, v6, &seg);
	wlb_fsm_track(&f->fsm, &seg, WLB_DIR_SERVER);
	wlb_flow_touch(f, cg->timeouts.established);
	wlb_live_heard(wlb_flow_winner(wn, f));
	dst = wlb_fast_way(wn, cg, f, WLB_DIR_SERVER, skb, in, wlb_flow_client(f), 0, v6);
	if (dst) {
		skb_postpull_rcsum(skb, skb->data - o.len, o.len);
		skb_reset_network_header(skb);
		skb->encapsulation = 0;
		wlb_count(wn, WLB_STAT_tunnelled_in);
		wlb_fast_send(wn, skb, dst, v6);
		return NF_STOLEN;
	}
	__skb_push(skb, o.len);
	if (wlb_crack_strip(skb, v6, &o, skb->len - o.len, hlen)) {
		wlb_count(wn, WLB_STAT_translate_failed);
		return NF_DROP;
	}
	wlb_untrack(cg, skb);
	wlb_count(wn, WLB_STAT_tunnelled_in);
	return NF_ACCEPT;

other:
	__skb_push(skb, o.len);
	return wlb_cg_in_any(wn, cg, skb, v6);
}

static noinline unsigned int wlb_cg_in_tunnel4(struct wlb_net *wn,
					       const struct wlb_cg *cg,
					       struct sk_buff *skb,
					       const struct net_device *in)
{
	return wlb_cg_in_tunnel(wn, cg, skb, in, false);
}

static noinline unsigned int wlb_cg_in_tunnel6(struct wlb_net *wn,
					       const struct wlb_cg *cg,
					       struct sk_buff *skb,
					       const struct net_device *in)
{
	return wlb_cg_in_tunnel(wn, cg, skb, in, true);
}

/* What a client, or the host itself (@in is NULL), sends to a service is not tracked. */
static noinline void wlb_untrack_client(const struct wlb_cg *cg,
					struct sk_buff *skb,
					const struct net_device *in, bool v6)
{
	struct wlb_pkt p;

	if (wlb_pkt_parse(skb, 0, v6, &p) > 0 &&
	    wlb_portmap_has(&cg->map, p.th.dest) && wlb_cg_inside(cg, in))
		wlb_untrack(cg, skb);
}

/* What is of no service, as most is, costs no more than to see that. */
static __always_inline unsigned int wlb_cg_in(struct wlb_net *wn,
					      struct sk_buff *skb,
					      const struct nf_hook_state *state,
					      const bool v6)
{
	const struct wlb_cg *cg = rcu_dereference(wn->cg);
	const struct tcphdr *th;
	unsigned int verdict;

	if (!cg)
		return NF_ACCEPT;
	th = wlb_plain_tcp(skb, v6);
	if (th && wlb_fast_port(cg, th->dest)) {
		verdict = v6 ? wlb_fast_out6(wn, cg, skb, th, state->in) :
			       wlb_fast_out4(wn, cg, skb, th, state->in);
		if (verdict != NF_ACCEPT)
			return verdict;
		/* it may have been moved */
		th = wlb_plain_tcp(skb, v6);
	}
	if (cg->notrack)
		wlb_untrack_client(cg, skb, state->in, v6);
	if (!th)
		return v6 ? wlb_cg_in_tunnel6(wn, cg, skb, state->in) :
			    wlb_cg_in_tunnel4(wn, cg, skb, state->in);
	if (!wlb_portmap_has(&cg->map, th->source))
		return NF_ACCEPT;
	return v6 ? wlb_cg_in_plain6(wn, cg, skb, th, state->in) :
		    wlb_cg_in_plain4(wn, cg, skb, th, state->in);
}

unsigned int wlb_cg_in4(void *priv, struct sk_buff *skb,
			const struct nf_hook_state *state)
{
	return wlb_cg_in(priv, skb, state, false);
}

unsigned int wlb_cg_in6(void *priv, struct sk_buff *skb,
			const struct nf_hook_state *state)
{
	return wlb_cg_in(priv, skb, state, true);
}

static __always_inline unsigned int wlb_cg_local(struct wlb_net *wn,
						 struct sk_buff *skb,
						 const bool v6)
{
	const struct wlb_cg *cg = rcu_dereference(wn->cg);

	if (cg && cg->notrack)
		wlb_untrack_client(cg, skb, NULL, v6);
	return NF_ACCEPT;
}

unsigned int wlb_cg_local4(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state)
{
	return wlb_cg_local(priv, skb, false);
}

unsigned int wlb_cg_local6(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state)
{
	return wlb_cg_local(priv, skb, true);
}
