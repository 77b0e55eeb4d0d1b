// SPDX-License-Identifier: GPL-2.0-only
/* The fast path: who may take it, and the way out. */
#include <linux/netfilter_bridge.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_helper.h>

#include "fast.h"
#include "tunnel.h"

struct wlb_ways __percpu *wlb_ways_alloc(void)
{
	return alloc_percpu_gfp(struct wlb_ways, GFP_KERNEL_ACCOUNT);
}

void wlb_ways_flush(struct wlb_ways __percpu *ways)
{
	unsigned int cpu, i;

	for_each_possible_cpu(cpu) {
		struct wlb_ways *w = per_cpu_ptr(ways, cpu);

		for (i = 0; i < WLB_WAYS; i++) {
			dst_release(w->way[i].route.dst);
			w->way[i].route.dst = NULL;
		}
	}
}

void wlb_ways_free(struct wlb_ways __percpu *ways)
{
	if (!ways)
		return;
	wlb_ways_flush(ways);
	free_percpu(ways);
}

static void wlb_way_set(struct wlb_net *wn, const union wlb_addr *to, struct dst_entry *dst,
			bool v6)
{
	struct wlb_way *way = wlb_way_slot(wn, to, v6);

	if (!wlb_route_keep(&way->route, dst, v6))
		return;
	way->v6 = v6;
	memcpy(&way->to, to, wlb_addr_len(v6));
}

/*
 * Connection tracking sees little of the flow from here on: it must be sure of it
 * (@assured), have nothing to do to its packets, and not look for gaps in it, as for
 * nftables' flowtables.
 */
static bool wlb_fast_tracked(const struct sk_buff *skb, bool assured)
{
	enum ip_conntrack_info ctinfo;
	struct nf_conn *ct = nf_ct_get(skb, &ctinfo);
	unsigned int dir;
	u32 status;

	if (!ct)
		return true;
	status = READ_ONCE(ct->status);
	if ((status & (IPS_NAT_MASK | IPS_SEQ_ADJUST | IPS_DYING)) || nfct_help(ct) ||
	    nf_ct_protonum(ct) != IPPROTO_TCP || (assured && !(status & IPS_ASSURED)))
		return false;
	spin_lock_bh(&ct->lock);
	for (dir = 0; dir < IP_CT_DIR_MAX; dir++)
		ct->proto.tcp.seen[dir].flags |= IP_CT_TCP_FLAG_BE_LIBERAL;
	spin_unlock_bh(&ct->lock);
	return true;
}

void wlb_fast_passed(struct wlb_net *wn, const struct wlb_cg *cg, struct wlb_flow *f,
		     enum wlb_dir dir, const struct sk_buff *skb,
		     const struct net_device *in, const union wlb_addr *to, bool v6)
{
	const struct wlb_service *service = wlb_cg_service(cg, ntohs(f->server_port));
	struct dst_entry *dst = skb_dst(skb);
	bool process;

	/* other roles' hooks would be passed by, and marks that rules set */
	if (!service || service->fastpath == WLB_FASTPATH_OFF || skb->mark ||
	    (READ_ONCE(wn->hooked) & (WLB_ROLE_CACHE_ROUTER | WLB_ROLE_CACHE |
				      WLB_ROLE_PROCESS)) ||
	    (in->flags & IFF_LOOPBACK) || netif_is_l3_slave(in) ||
	    nf_bridge_info_exists(skb) || secpath_exists(skb) || skb->sk ||
	    wlb_policy_routing(wn->net, v6) || !wlb_route_is_plain(dst, v6) ||
	    !wlb_fast_tracked(skb, service->fastpath == WLB_FASTPATH_AUTO))
		return;
	process = wlb_bh_disable();
	wlb_way_set(wn, to, dst, v6);
	wlb_bh_restore(process);
	WRITE_ONCE(f->passed[dir], wlb_fast_stamp(in));
}

/* What both families' forwarding does to a packet. */
static __always_inline void wlb_fast_ready(struct wlb_net *wn, struct sk_buff *skb,
					   struct dst_entry *dst)
{
	wlb_count(wn, WLB_STAT_fast);
	skb_forward_csum(skb);
	skb_clear_tstamp(skb);
	skb_dst_drop(skb);
	skb_dst_set_noref(skb, dst);
	skb->dev = dst->dev;
}

/* By a hop more, but not by its bytes on the way: the packet may get outer headers. */
static __always_inline void wlb_fast_hop(struct wlb_net *wn, struct sk_buff *skb,
					 struct dst_entry *dst, const bool v6)
{
	struct net *net = wn->net;

	if (v6) {
		ipv6_hdr(skb)->hop_limit--;
		__IP6_INC_STATS(net, ip6_dst_idev(dst), IPSTATS_MIB_OUTFORWDATAGRAMS);
	} else {
		ip_decrease_ttl(ip_hdr(skb));
		if (READ_ONCE(net->ipv4.sysctl_ip_fwd_update_priority))
			skb->priority = rt_tos2priority(ip_hdr(skb)->tos);
		__IP_INC_STATS(net, IPSTATS_MIB_OUTFORWDATAGRAMS);
	}
}

void wlb_fast_send4(struct wlb_net *wn, struct sk_buff *skb, struct dst_entry *dst)
{
	wlb_fast_ready(wn, skb, dst);
	wlb_fast_hop(wn, skb, dst, false);
	wlb_route_leave(wn->net, skb, dst, false);
}

void wlb_fast_send6(struct wlb_net *wn, struct sk_buff *skb, struct dst_entry *dst)
{
	wlb_fast_ready(wn, skb, dst);
	wlb_fast_hop(wn, skb, dst, true);
	wlb_route_leave(wn->net, skb, dst, true);
}

/* FIG 6C, op 656, from here: by a route that has been told what fits on its way. */
static __always_inline unsigned int wlb_fast_tunnel(struct wlb_net *wn, struct sk_buff *skb,
						    const struct wlb_peer *peer,
						    struct dst_entry *dst, const bool v6)
{
	struct wlb_tunnel tunnel = {
		.to = peer->addr, .v6 = v6, .via = peer->via,
	};

	memcpy(&tunnel.from, wlb_plain_src(skb, v6), wlb_addr_len(v6));
	wlb_fast_ready(wn, skb, dst);
	wlb_fast_hop(wn, skb, dst, v6);
	if (wlb_tunnel_push(skb, &tunnel, wlb_tunnel_tos(skb, v6))) {
		wlb_count(wn, WLB_STAT_translate_failed);
		return NF_DROP;
	}
	wlb_count(wn, WLB_STAT_tunnelled_out);
	wlb_route_leave(wn->net, skb, dst, v6);
	return NF_STOLEN;
}

static __always_inline unsigned int wlb_fast_out(struct wlb_net *wn, const struct wlb_cg *cg,
						 struct sk_buff *skb, const struct tcphdr *th,
						 const struct net_device *in, const bool v6)
{
	struct wlb_flow_key key = {
		.client = wlb_plain_src(skb, v6), .client_port = th->source,
		.server_port = th->dest, .v6 = v6,
	};
	const struct wlb_peer *peer;
	unsigned int overhead = 0;
	struct dst_entry *dst;
	struct wlb_flow *f;
	struct wlb_seg seg;

	if (!wlb_plain_data(skb, th, v6))
		return NF_ACCEPT;
	f = wlb_flow_to_server(wn->table, wlb_flow_hash(wn->table, &key), &key,
			       wlb_plain_dst(skb, v6));
	if (!f || READ_ONCE(f->fsm.state) != WLB_FLOW_WON)
		return NF_ACCEPT;
	peer = wlb_flow_winner(wn, f);
	if (unlikely(!peer))
		return NF_ACCEPT;
	wlb_plain_seg(skb, th, v6, &seg);
	if (peer->ret == WLB_RETURN_TUNNEL)
		overhead = wlb_tunnel_overhead(v6, peer->via);
	dst = wlb_fast_way(wn, cg, f, WLB_DIR_CLIENT, skb, in, &peer->addr, overhead, v6);
	if (!dst)
		return NF_ACCEPT;
	wlb_fsm_track(&f->fsm, &seg, WLB_DIR_CLIENT);
	wlb_flow_touch(f, cg->timeouts.established);
	if (overhead)
		return wlb_fast_tunnel(wn, skb, peer, dst, v6);
	wlb_plain_put_addr(skb, v6, false, &peer->addr);
	wlb_count(wn, WLB_STAT_translated_out);
	wlb_fast_send(wn, skb, dst, v6);
	return NF_STOLEN;
}

unsigned int wlb_fast_out4(struct wlb_net *wn, const struct wlb_cg *cg, struct sk_buff *skb,
			   const struct tcphdr *th, const struct net_device *in)
{
	return wlb_fast_out(wn, cg, skb, th, in, false);
}

unsigned int wlb_fast_out6(struct wlb_net *wn, const struct wlb_cg *cg, struct sk_buff *skb,
			   const struct tcphdr *th, const struct net_device *in)
{
	return wlb_fast_out(wn, cg, skb, th, in, true);
}
