// SPDX-License-Identifier: GPL-2.0-only
/* Segments of our own. */
#include <net/ip6_checksum.h>
#include <net/ip6_route.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/route.h>
#include <net/tcp.h>

#include "segment.h"
#include "tunnel.h"

/*
 * A reset to the server has the addresses and ports of the flow that the
 * replica won; our own POST_ROUTING hooks would send it to the winner.
 */
DEFINE_PER_CPU(bool, wlb_own_sending);

static unsigned int wlb_own_hlen(const struct wlb_own *own)
{
	return sizeof(struct tcphdr) + (own->tag ? WLB_TAG_LEN : 0);
}

static void wlb_own_tcp(struct sk_buff *skb, const struct wlb_own *own)
{
	const struct wlb_pkt *p = own->to;
	unsigned int len = wlb_own_hlen(own);
	struct tcphdr *th = skb_put_zero(skb, len);
	__wsum sum;

	skb_reset_transport_header(skb);
	th->source = p->th.dest;
	th->dest = p->th.source;
	th->seq = htonl(own->seq);
	th->doff = len / 4;
	th->rst = !!(own->flags & WLB_TCP_RST);
	if (own->flags & WLB_TCP_ACK) {
		th->ack = 1;
		th->ack_seq = htonl(own->ack);
	}
	if (own->tag)
		wlb_tag_write((u8 *)(th + 1), wlb_exid, own->tag);
	sum = csum_partial(th, len, 0);
	th->check = p->v6 ?
		csum_ipv6_magic(&p->dst.v6, &p->src.v6, len, IPPROTO_TCP, sum) :
		csum_tcpudp_magic(p->dst.v4, p->src.v4, len, IPPROTO_TCP, sum);
}

static int wlb_own_out4(struct net *net, struct sk_buff *skb,
			const struct wlb_pkt *p)
{
	struct flowi4 fl4 = {
		.daddr = p->src.v4,
		.saddr = p->dst.v4,
		.flowi4_flags = FLOWI_FLAG_ANYSRC,
		.flowi4_proto = IPPROTO_TCP,
		.fl4_sport = p->th.dest,
		.fl4_dport = p->th.source,
	};
	struct rtable *rt = ip_route_output_key(net, &fl4);

	if (IS_ERR(rt))
		return PTR_ERR(rt);
	skb_dst_set(skb, &rt->dst);
	ip_local_out(net, NULL, skb);
	return 0;
}

static int wlb_own_out6(struct net *net, struct sk_buff *skb,
			const struct wlb_pkt *p)
{
	struct flowi6 fl6 = {
		.daddr = p->src.v6,
		.saddr = p->dst.v6,
		.flowi6_proto = IPPROTO_TCP,
		.fl6_sport = p->th.dest,
		.fl6_dport = p->th.source,
	};
	struct dst_entry *dst = ip6_route_output(net, NULL, &fl6);

	skb_dst_set(skb, dst);
	if (dst->error)
		return dst->error;
	ip6_local_out(net, NULL, skb);
	return 0;
}

static void wlb_own_build(struct sk_buff *skb, const struct wlb_own *own)
{
	const struct wlb_pkt *p = own->to;

	skb_reset_network_header(skb);
	if (p->v6) {
		struct ipv6hdr *ih = skb_put_zero(skb, sizeof(*ih));

		ih->version = 6;
		ih->nexthdr = IPPROTO_TCP;
		ih->hop_limit = IPDEFTTL;
		ih->payload_len = htons(wlb_own_hlen(own));
		ih->saddr = p->dst.v6;
		ih->daddr = p->src.v6;
		skb->protocol = htons(ETH_P_IPV6);
	} else {
		struct iphdr *ih = skb_put_zero(skb, sizeof(*ih));

		ih->version = 4;
		ih->ihl = sizeof(*ih) / 4;
		ih->tot_len = htons(sizeof(*ih) + wlb_own_hlen(own));
		ih->frag_off = htons(IP_DF);
		ih->ttl = IPDEFTTL;
		ih->protocol = IPPROTO_TCP;
		ih->saddr = p->dst.v4;
		ih->daddr = p->src.v4;
		ip_send_check(ih);
		skb->protocol = htons(ETH_P_IP);
	}
	wlb_own_tcp(skb, own);
}

static int wlb_own_out(struct net *net, struct sk_buff *skb,
		       const struct wlb_pkt *p, const struct wlb_outer *o)
{
	struct wlb_tunnel tunnel = { .has_from = true, .v6 = p->v6 };

	if (!o)
		return p->v6 ? wlb_own_out6(net, skb, p) :
			       wlb_own_out4(net, skb, p);
	tunnel.to = o->src;
	tunnel.from = o->dst;
	tunnel.via = o->via;
	return wlb_tunnel_send(net, skb, &tunnel, 0);
}

static int wlb_own_send_in(struct wlb_net *wn, struct sk_buff *skb,
			   const struct wlb_own *own)
{
	int err;

	wlb_own_build(skb, own);
	/* the flow that conntrack knows is the client's with the server */
	if (!own->tracked)
		nf_ct_set(skb, NULL, IP_CT_UNTRACKED);
	__this_cpu_write(wlb_own_sending, true);
	err = wlb_own_out(wn->net, skb, own->to, own->o);
	__this_cpu_write(wlb_own_sending, false);
	if (err)
		kfree_skb(skb);
	return err;
}

static unsigned int wlb_own_size(const struct wlb_own *own)
{
	return WLB_TUNNEL_HEADROOM + sizeof(struct ipv6hdr) + wlb_own_hlen(own);
}

int wlb_own_send(struct wlb_net *wn, const struct wlb_own *own)
{
	struct sk_buff *skb = alloc_skb(wlb_own_size(own), GFP_ATOMIC);

	if (!skb)
		return -ENOMEM;
	skb_reserve(skb, WLB_TUNNEL_HEADROOM);
	return wlb_own_send_in(wn, skb, own);
}

/* May what has come in be made into a segment of our own, and nobody sees it? */
static bool wlb_own_may_reuse(struct sk_buff *skb, const struct wlb_own *own)
{
	return !skb_shared(skb) && !skb_cloned(skb) && !skb_is_nonlinear(skb) &&
	       !skb_is_gso(skb) && !skb_zcopy(skb) &&
	       skb_end_offset(skb) >= wlb_own_size(own);
}

/* As new: nothing of what it was or met clings to it. */
static void wlb_own_reuse(struct sk_buff *skb)
{
	skb_scrub_packet(skb, true);
	skb_orphan(skb);
	skb_clear_hash(skb);
	__vlan_hwaccel_clear_tag(skb);
	memset(skb->cb, 0, sizeof(skb->cb));
	skb_shinfo(skb)->tx_flags = 0;
	skb->ip_summed = CHECKSUM_NONE;
	skb->encapsulation = 0;
	skb->priority = 0;
	skb->dev = NULL;
	skb->data = skb->head;
	skb->len = 0;
	skb_reset_tail_pointer(skb);
	skb_reserve(skb, WLB_TUNNEL_HEADROOM);
	skb_unset_mac_header(skb);
}

unsigned int wlb_reset_send(struct wlb_net *wn, struct sk_buff *skb,
			    const struct wlb_pkt *p, const struct wlb_outer *o)
{
	struct wlb_own rst = {
		.to = p, .o = o, .seq = ntohl(p->th.ack_seq),
		.flags = WLB_TCP_RST,
	};
	bool reuse = wlb_own_may_reuse(skb, &rst);
	int err;

	if (reuse) {
		wlb_own_reuse(skb);
		err = wlb_own_send_in(wn, skb, &rst);
	} else {
		err = wlb_own_send(wn, &rst);
	}
	wlb_count(wn, err ? WLB_STAT_reset_failed : WLB_STAT_reset_sent);
	return reuse ? NF_STOLEN : NF_DROP;
}

int wlb_probe_send(struct wlb_net *wn, const struct wlb_pkt *p,
		   const struct wlb_outer *o, u16 nonce)
{
	struct wlb_tag tag = {
		.state = WLB_TAG_ANSWER, .offers = WLB_OFFER_SPOOF,
		.nonce = nonce,
	};
	struct wlb_own probe = {
		.to = p, .o = o, .seq = ntohl(p->th.ack_seq),
		.ack = ntohl(p->th.seq), .flags = WLB_TCP_ACK, .tag = &tag,
	};

	return wlb_own_send(wn, &probe);
}
