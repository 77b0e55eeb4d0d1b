// SPDX-License-Identifier: GPL-2.0-only
/* Outer headers put on, for every role. */
#include <linux/icmpv6.h>
#include <net/icmp.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/ip_tunnels.h>
#include <net/route.h>

#include "route.h"
#include "tunnel.h"

/* Puts the GRE header, if any; the IP protocol that the outer header names. */
static u8 wlb_tunnel_push_gre(struct sk_buff *skb,
			      const struct wlb_tunnel *tunnel)
{
	__be16 inner = htons(tunnel->v6 ? ETH_P_IPV6 : ETH_P_IP);
	struct gre_base_hdr *gre;

	if (tunnel->via == WLB_VIA_IPIP) {
		u8 proto = tunnel->v6 ? IPPROTO_IPV6 : IPPROTO_IPIP;

		skb_set_inner_ipproto(skb, proto);
		return proto;
	}
	skb_set_inner_protocol(skb, inner);
	/* segmentation copies all that is in front of the inner packet */
	if (tunnel->redirect)
		wlb_redirect_write(__skb_push(skb, WLB_REDIRECT_LEN),
				   tunnel->redirect);
	gre = __skb_push(skb, sizeof(*gre));
	gre->flags = 0;
	gre->protocol = tunnel->redirect ? htons(ETH_P_WCCP) : inner;
	return IPPROTO_GRE;
}

static int wlb_tunnel_offloads(struct sk_buff *skb, const struct wlb_tunnel *tunnel)
{
	if (!skb_is_gso(skb) && skb->ip_summed != CHECKSUM_PARTIAL) {
		/* as iptunnel_handle_offloads() would leave it */
		skb->ip_summed = CHECKSUM_NONE;
		skb->encapsulation = 0;
		return 0;
	}
	if (tunnel->via == WLB_VIA_GRE)
		return iptunnel_handle_offloads(skb, SKB_GSO_GRE);
	return iptunnel_handle_offloads(skb, tunnel->v6 ? SKB_GSO_IPXIP6 : SKB_GSO_IPXIP4);
}

int wlb_tunnel_push(struct sk_buff *skb, const struct wlb_tunnel *tunnel, u8 tos)
{
	const struct dst_entry *dst = skb_dst(skb);
	__be16 df = htons(IP_DF);
	u8 proto;

	if (skb_cow_head(skb, LL_RESERVED_SPACE(dst->dev) +
			 wlb_tunnel_overhead(tunnel->v6, tunnel->via) +
			 (tunnel->redirect ? WLB_REDIRECT_LEN : 0)))
		return -ENOMEM;
	if (!tunnel->v6 && !tunnel->df)
		df &= ip_hdr(skb)->frag_off;
	/* GRE's segmentation counts the outer headers from here */
	skb_reset_mac_header(skb);
	if (wlb_tunnel_offloads(skb, tunnel))
		return -ENOMEM;
	proto = wlb_tunnel_push_gre(skb, tunnel);
	skb_reset_transport_header(skb);
	if (tunnel->v6) {
		struct ipv6hdr *ih = __skb_push(skb, sizeof(*ih));

		skb_reset_network_header(skb);
		ip6_flow_hdr(ih, tos, 0);
		ih->payload_len = htons(skb->len - sizeof(*ih));
		ih->nexthdr = proto;
		ih->hop_limit = ip6_dst_hoplimit((struct dst_entry *)dst);
		ih->saddr = tunnel->from.v6;
		ih->daddr = tunnel->to.v6;
		/* what is inside must be let have 1280 bytes (RFC 2473 7.1) */
		skb->ignore_df = 1;
	} else {
		struct iphdr *ih = __skb_push(skb, sizeof(*ih));

		skb_reset_network_header(skb);
		memset(ih, 0, sizeof(*ih));
		ih->version = 4;
		ih->ihl = sizeof(*ih) / 4;
		ih->tos = tos;
		ih->tot_len = htons(skb->len);
		ih->frag_off = df;
		ih->ttl = ip4_dst_hoplimit(dst);
		ih->protocol = proto;
		ih->saddr = tunnel->from.v4;
		ih->daddr = tunnel->to.v4;
		/* what is never in fragments needs none: RFC 6864 4.1 */
		if (!df || skb->ignore_df)
			__ip_select_ident(dev_net(dst->dev), ih,
					  skb_shinfo(skb)->gso_segs ?: 1);
		ih->check = ip_fast_csum(ih, sizeof(*ih) / 4);
		/* what the inner header's options were */
		memset(&IPCB(skb)->opt, 0, sizeof(IPCB(skb)->opt));
	}
	return 0;
}

static int wlb_tunnel_send4(struct net *net, struct sk_buff *skb,
			    struct wlb_tunnel *tunnel, u8 tos)
{
	struct flowi4 fl4 = {
		.daddr = tunnel->to.v4,
		.saddr = tunnel->has_from ? tunnel->from.v4 : 0,
		.flowi4_tos = RT_TOS(tos),
		.flowi4_flags = tunnel->has_from ? FLOWI_FLAG_ANYSRC : 0,
		.flowi4_proto = tunnel->via == WLB_VIA_IPIP ? IPPROTO_IPIP :
							      IPPROTO_GRE,
	};
	struct rtable *rt = ip_route_output_key(net, &fl4);

	if (IS_ERR(rt))
		return PTR_ERR(rt);
	skb_dst_set(skb, &rt->dst);
	tunnel->from.v4 = fl4.saddr;
	memset(IPCB(skb), 0, sizeof(*IPCB(skb)));
	if (wlb_tunnel_push(skb, tunnel, tos))
		return -ENOMEM;
	ip_local_out(net, NULL, skb);
	return 0;
}

static int wlb_tunnel_send6(struct net *net, struct sk_buff *skb,
			    struct wlb_tunnel *tunnel, u8 tos)
{
	struct flowi6 fl6 = {
		.daddr = tunnel->to.v6,
		.saddr = tunnel->has_from ? tunnel->from.v6 : in6addr_any,
		.flowi6_proto = tunnel->via == WLB_VIA_IPIP ? IPPROTO_IPV6 :
							      IPPROTO_GRE,
	};
	struct dst_entry *dst;
	int err;

	err = ip6_dst_lookup(net, NULL, &dst, &fl6);
	if (err)
		return err;
	skb_dst_set(skb, dst);
	tunnel->from.v6 = fl6.saddr;
	memset(IP6CB(skb), 0, sizeof(*IP6CB(skb)));
	if (wlb_tunnel_push(skb, tunnel, tos))
		return -ENOMEM;
	ip6_local_out(net, NULL, skb);
	return 0;
}

int wlb_tunnel_send(struct net *net, struct sk_buff *skb,
		    const struct wlb_tunnel *to, u8 tos)
{
	struct wlb_tunnel tunnel = *to;

	tunnel.df = true;
	skb->protocol = htons(tunnel.v6 ? ETH_P_IPV6 : ETH_P_IP);
	return tunnel.v6 ? wlb_tunnel_send6(net, skb, &tunnel, tos) :
			   wlb_tunnel_send4(net, skb, &tunnel, tos);
}

unsigned int wlb_tunnel_mtu(const struct dst_entry *dst, bool v6, u8 via)
{
	unsigned int least = v6 ? IPV6_MIN_MTU : 68;

	return max(dst_mtu(dst) - wlb_tunnel_overhead(v6, via), least);
}

unsigned int wlb_tunnel_redirect_mtu(const struct dst_entry *dst, bool v6)
{
	unsigned int least = v6 ? IPV6_MIN_MTU : 68;

	return max(dst_mtu(dst) - wlb_tunnel_overhead(v6, WLB_VIA_GRE) -
		   WLB_REDIRECT_LEN, least);
}

bool wlb_tunnel_fits(const struct sk_buff *skb, bool v6, unsigned int mtu)
{
	if (!v6 && !(ip_hdr(skb)->frag_off & htons(IP_DF)))
		return true;
	return wlb_route_fits(skb, mtu);
}

void wlb_tunnel_too_big(struct sk_buff *skb, bool v6, unsigned int mtu)
{
	if (v6)
		icmpv6_ndo_send(skb, ICMPV6_PKT_TOOBIG, 0, mtu);
	else
		icmp_ndo_send(skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED,
			      htonl(mtu));
}
