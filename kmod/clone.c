// SPDX-License-Identifier: GPL-2.0-only
/* Encapsulating a clone for one replica. */
#include <linux/if_tunnel.h>
#include <net/gre.h>
#include <net/inet_ecn.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/ip_tunnels.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/route.h>

#include "clone.h"

/* Puts the GRE header, if any; the IP protocol that the outer header names. */
static u8 wlb_tunnel_push(struct sk_buff *skb, const struct wlb_tunnel *tunnel)
{
	struct gre_base_hdr *gre;

	if (tunnel->via == WLB_VIA_IPIP)
		return tunnel->v6 ? IPPROTO_IPV6 : IPPROTO_IPIP;
	gre = skb_push(skb, sizeof(*gre));
	gre->flags = 0;
	gre->protocol = htons(tunnel->v6 ? ETH_P_IPV6 : ETH_P_IP);
	return IPPROTO_GRE;
}

static int wlb_clone_out4(struct net *net, struct sk_buff *skb,
			  const struct wlb_tunnel *tunnel)
{
	u8 tos = ip_hdr(skb)->tos & ~INET_ECN_MASK;
	struct flowi4 fl4 = {
		.daddr = tunnel->to.v4,
		.saddr = tunnel->has_from ? tunnel->from.v4 : 0,
		.flowi4_tos = RT_TOS(tos),
		.flowi4_flags = tunnel->has_from ? FLOWI_FLAG_ANYSRC : 0,
		.flowi4_proto = tunnel->via == WLB_VIA_IPIP ? IPPROTO_IPIP :
							      IPPROTO_GRE,
	};
	struct rtable *rt = ip_route_output_key(net, &fl4);
	struct iphdr *ih;
	u8 proto;

	if (IS_ERR(rt))
		return PTR_ERR(rt);
	skb_dst_set(skb, &rt->dst);
	if (skb_cow_head(skb, LL_RESERVED_SPACE(rt->dst.dev) + sizeof(*ih) +
			 sizeof(struct gre_base_hdr)))
		return -ENOMEM;
	proto = wlb_tunnel_push(skb, tunnel);
	skb_reset_transport_header(skb);
	ih = skb_push(skb, sizeof(*ih));
	skb_reset_network_header(skb);
	memset(IPCB(skb), 0, sizeof(*IPCB(skb)));
	memset(ih, 0, sizeof(*ih));
	ih->version = 4;
	ih->ihl = sizeof(*ih) / 4;
	ih->tos = tos;
	ih->frag_off = htons(IP_DF);
	ih->ttl = ip4_dst_hoplimit(&rt->dst);
	ih->protocol = proto;
	ih->saddr = fl4.saddr;
	ih->daddr = fl4.daddr;
	skb->protocol = htons(ETH_P_IP);
	ip_local_out(net, NULL, skb);
	return 0;
}

static int wlb_clone_out6(struct net *net, struct sk_buff *skb,
			  const struct wlb_tunnel *tunnel)
{
	u8 tclass = ipv6_get_dsfield(ipv6_hdr(skb)) & ~INET_ECN_MASK;
	struct flowi6 fl6 = {
		.daddr = tunnel->to.v6,
		.saddr = tunnel->has_from ? tunnel->from.v6 : in6addr_any,
		.flowi6_proto = tunnel->via == WLB_VIA_IPIP ? IPPROTO_IPV6 :
							      IPPROTO_GRE,
	};
	struct dst_entry *dst;
	struct ipv6hdr *ih;
	u8 proto;
	int err;

	err = ip6_dst_lookup(net, NULL, &dst, &fl6);
	if (err)
		return err;
	skb_dst_set(skb, dst);
	if (skb_cow_head(skb, LL_RESERVED_SPACE(dst->dev) + sizeof(*ih) +
			 sizeof(struct gre_base_hdr)))
		return -ENOMEM;
	proto = wlb_tunnel_push(skb, tunnel);
	skb_reset_transport_header(skb);
	ih = skb_push(skb, sizeof(*ih));
	skb_reset_network_header(skb);
	memset(IP6CB(skb), 0, sizeof(*IP6CB(skb)));
	ip6_flow_hdr(ih, tclass, 0);
	ih->nexthdr = proto;
	ih->hop_limit = ip6_dst_hoplimit(dst);
	ih->saddr = fl6.saddr;
	ih->daddr = fl6.daddr;
	skb->protocol = htons(ETH_P_IPV6);
	ip6_local_out(net, NULL, skb);
	return 0;
}

void wlb_clone_send(struct wlb_net *wn, struct sk_buff *skb,
		    const struct wlb_tunnel *tunnel)
{
	int err;

	/* a packet of our own: nothing of the SYN's way clings to it */
	skb_scrub_packet(skb, true);
	skb->dev = NULL;
	nf_ct_set(skb, NULL, IP_CT_UNTRACKED);
	err = tunnel->v6 ? wlb_clone_out6(wn->net, skb, tunnel) :
			   wlb_clone_out4(wn->net, skb, tunnel);
	if (err)
		kfree_skb(skb);
	wlb_count(wn, err ? WLB_STAT_clone_failed : WLB_STAT_clone_sent);
}
