// SPDX-License-Identifier: GPL-2.0-only
/* Outer headers taken off: FIG 4A, 5B, 5C, 6C. */
#include <linux/if_tunnel.h>
#include <net/gre.h>
#include <net/inet_ecn.h>
#include <net/ip_tunnels.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/tcp.h>

#include "crack.h"

bool wlb_crack_outer(const struct sk_buff *skb, bool v6, struct wlb_outer *o)
{
	const struct gre_base_hdr *gre;
	struct gre_base_hdr buf;
	u8 proto;

	memset(o, 0, sizeof(*o));
	if (v6) {
		const struct ipv6hdr *ih = ipv6_hdr(skb);

		o->src.v6 = ih->saddr;
		o->dst.v6 = ih->daddr;
		o->len = sizeof(*ih);
		o->tos = ipv6_get_dsfield(ih);
		proto = ih->nexthdr;
	} else {
		const struct iphdr *ih = ip_hdr(skb);

		if (ip_is_fragment(ih))
			return false;
		o->src.v4 = ih->saddr;
		o->dst.v4 = ih->daddr;
		o->len = ih->ihl * 4;
		o->tos = ih->tos;
		proto = ih->protocol;
	}
	o->via = WLB_VIA_IPIP;
	if (proto == (v6 ? IPPROTO_IPV6 : IPPROTO_IPIP))
		return true;
	if (proto != IPPROTO_GRE)
		return false;
	gre = skb_header_pointer(skb, o->len, sizeof(buf), &buf);
	if (!gre || gre->flags ||
	    gre->protocol != htons(v6 ? ETH_P_IPV6 : ETH_P_IP))
		return false;
	o->via = WLB_VIA_GRE;
	o->len += sizeof(*gre);
	return true;
}

/* The inner IPv4 header must be right: nobody has looked at it yet. */
bool wlb_inner_sane4(const struct sk_buff *skb, unsigned int off)
{
	u8 buf[60];
	const struct iphdr *ih;

	ih = skb_header_pointer(skb, off, sizeof(*ih), buf);
	if (!ih || ih->version != 4 || ih->ihl < 5)
		return false;
	ih = skb_header_pointer(skb, off, ih->ihl * 4, buf);
	return ih && !ip_fast_csum((const u8 *)ih, ih->ihl) &&
	       ntohs(ih->tot_len) <= skb->len - off;
}

int wlb_crack_inner(const struct sk_buff *skb, bool v6,
		    const struct wlb_outer *o, struct wlb_pkt *p)
{
	int parsed;

	if (v6 ? skb->len - o->len < sizeof(struct ipv6hdr) :
		 !wlb_inner_sane4(skb, o->len))
		return -EINVAL;
	parsed = wlb_pkt_parse(skb, o->len, v6, p);
	/* the stack would take extension headers for walked already */
	if (parsed > 0 && (!wlb_pkt_sane(p) ||
			   (v6 && p->off != o->len + sizeof(struct ipv6hdr))))
		return -EINVAL;
	return parsed;
}

bool wlb_crack_congested(const struct sk_buff *skb, bool v6,
			 const struct wlb_outer *o)
{
	struct ipv6hdr buf6;
	struct iphdr buf4;
	const void *ih;
	u8 tos;

	if (!INET_ECN_is_ce(o->tos))
		return false;
	if (v6) {
		ih = skb_header_pointer(skb, o->len, sizeof(buf6), &buf6);
		tos = ih ? ipv6_get_dsfield(ih) : 0;
	} else {
		ih = skb_header_pointer(skb, o->len, sizeof(buf4), &buf4);
		tos = ih ? ((const struct iphdr *)ih)->tos : 0;
	}
	return INET_ECN_is_not_ect(tos);
}

/* Marks of routers on the way go on inside. */
static int wlb_crack_ecn(struct sk_buff *skb, bool v6, u8 outer)
{
	unsigned int len = v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	u8 inner = v6 ? ipv6_get_dsfield(ipv6_hdr(skb)) : ip_hdr(skb)->tos;

	if (!(outer & INET_ECN_MASK))
		return 0;
	if (skb_ensure_writable(skb, len))
		return -ENOMEM;
	INET_ECN_decapsulate(skb, outer, inner);
	return 0;
}

int wlb_crack_strip(struct sk_buff *skb, bool v6, const struct wlb_outer *o,
		    unsigned int len, unsigned int hlen)
{
	if (pskb_trim_rcsum(skb, o->len + len) ||
	    !pskb_may_pull(skb, o->len + hlen))
		return -ENOMEM;
	skb_pull_rcsum(skb, o->len);
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, v6 ? sizeof(struct ipv6hdr) :
					   ip_hdr(skb)->ihl * 4);
	if (iptunnel_pull_offloads(skb))
		return -ENOMEM;
	skb_clear_hash(skb);
	wlb_bridge_settle(skb, v6);
	skb_dst_drop(skb);
	secpath_reset(skb);
	nf_reset_ct(skb);
	if (v6) {
		int iif = IP6CB(skb)->iif;

		memset(IP6CB(skb), 0, sizeof(*IP6CB(skb)));
		IP6CB(skb)->iif = iif;
		IP6CB(skb)->nhoff = offsetof(struct ipv6hdr, nexthdr);
	} else {
		int iif = IPCB(skb)->iif;

		memset(IPCB(skb), 0, sizeof(*IPCB(skb)));
		IPCB(skb)->iif = iif;
	}
	return wlb_crack_ecn(skb, v6, o->tos);
}

int wlb_crack(struct sk_buff *skb, struct wlb_pkt *p, const struct wlb_outer *o,
	      const union wlb_addr *local)
{
	unsigned int len = p->off - o->len;
	int err;

	err = wlb_crack_strip(skb, p->v6, o, len + p->len,
			      len + wlb_pkt_hlen(p));
	if (err)
		return err;
	p->off = len;
	if (!local)
		return 0;
	return wlb_pkt_set_addr(skb, p, false, local);
}
