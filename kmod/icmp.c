// SPDX-License-Identifier: GPL-2.0-only
/* ICMP errors read and rewritten. */
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/route.h>

#include "../include/wlb/csum.h"
#include "icmp.h"

/* Both families' header is 8 bytes; the quote follows. */
#define WLB_ICMP_HDR_LEN	8

static bool wlb_quote4(const struct sk_buff *skb, struct wlb_quote *q)
{
	const struct iphdr *ih = ip_hdr(skb);
	const struct icmphdr *icmp;
	const struct iphdr *quoted;
	unsigned int off = ih->ihl * 4;
	struct icmphdr buf;
	struct iphdr qbuf;

	if (ih->protocol != IPPROTO_ICMP || ip_is_fragment(ih))
		return false;
	icmp = skb_header_pointer(skb, off, sizeof(buf), &buf);
	if (!icmp || (icmp->type != ICMP_DEST_UNREACH &&
		      icmp->type != ICMP_TIME_EXCEEDED &&
		      icmp->type != ICMP_PARAMETERPROB))
		return false;
	q->too_big = icmp->type == ICMP_DEST_UNREACH &&
		     icmp->code == ICMP_FRAG_NEEDED;
	q->mtu = ntohs(icmp->un.frag.mtu);
	q->off = off + WLB_ICMP_HDR_LEN;
	quoted = skb_header_pointer(skb, q->off, sizeof(qbuf), &qbuf);
	if (!quoted || quoted->version != 4 || quoted->ihl < 5 ||
	    quoted->saddr != ih->daddr ||
	    (quoted->frag_off & htons(IP_OFFSET)))
		return false;
	q->from.v4 = ih->saddr;
	q->src.v4 = quoted->saddr;
	q->dst.v4 = quoted->daddr;
	q->proto = quoted->protocol;
	q->thoff = q->off + quoted->ihl * 4;
	return true;
}

static bool wlb_quote6(const struct sk_buff *skb, struct wlb_quote *q)
{
	const struct ipv6hdr *ih = ipv6_hdr(skb), *quoted;
	const struct icmp6hdr *icmp;
	struct icmp6hdr buf;
	struct ipv6hdr qbuf;

	if (ih->nexthdr != IPPROTO_ICMPV6)
		return false;
	icmp = skb_header_pointer(skb, sizeof(*ih), sizeof(buf), &buf);
	if (!icmp || (icmp->icmp6_type & ICMPV6_INFOMSG_MASK))
		return false;
	q->too_big = icmp->icmp6_type == ICMPV6_PKT_TOOBIG;
	q->mtu = ntohl(icmp->icmp6_mtu);
	q->off = sizeof(*ih) + WLB_ICMP_HDR_LEN;
	quoted = skb_header_pointer(skb, q->off, sizeof(qbuf), &qbuf);
	if (!quoted || quoted->version != 6 ||
	    !ipv6_addr_equal(&quoted->saddr, &ih->daddr))
		return false;
	q->from.v6 = ih->saddr;
	q->src.v6 = quoted->saddr;
	q->dst.v6 = quoted->daddr;
	q->proto = quoted->nexthdr;
	q->thoff = q->off + sizeof(*quoted);
	return true;
}

bool wlb_icmp_quote(const struct sk_buff *skb, bool v6, struct wlb_quote *q)
{
	const __be16 *ports;
	__be16 buf[2];

	if (!(v6 ? wlb_quote6(skb, q) : wlb_quote4(skb, q)))
		return false;
	q->v6 = v6;
	if (q->proto == IPPROTO_GRE ||
	    q->proto == (v6 ? IPPROTO_IPV6 : IPPROTO_IPIP))
		return true;
	if (q->proto != IPPROTO_TCP)
		return false;
	ports = skb_header_pointer(skb, q->thoff, sizeof(buf), buf);
	if (!ports)
		return false;
	q->sport = ports[0];
	q->dport = ports[1];
	return true;
}

/* The ICMP checksum, folded: 0 if it is right as it stands. */
static __sum16 wlb_icmp_csum(const struct sk_buff *skb, bool v6)
{
	unsigned int off = v6 ? sizeof(struct ipv6hdr) : ip_hdrlen(skb);
	unsigned int len = skb->len - off;
	__wsum sum = skb_checksum(skb, off, len, 0);

	if (!v6)
		return csum_fold(sum);
	return csum_ipv6_magic(&ipv6_hdr(skb)->saddr, &ipv6_hdr(skb)->daddr, len,
			       IPPROTO_ICMPV6, sum);
}

/* One address of the quoted packet, and what its checksums make of it. */
static void wlb_quote_set(struct sk_buff *skb, const struct wlb_quote *q,
			  bool source, const union wlb_addr *to)
{
	const union wlb_addr *from = source ? &q->src : &q->dst;
	u16 delta = wlb_csum_delta(from, to, wlb_addr_len(q->v6));
	u8 *data = skb->data + q->off;
	struct tcphdr *th;

	if (q->v6) {
		struct ipv6hdr *ih = (struct ipv6hdr *)data;

		*(source ? &ih->saddr : &ih->daddr) = to->v6;
	} else {
		struct iphdr *ih = (struct iphdr *)data;

		*(source ? &ih->saddr : &ih->daddr) = to->v4;
		ih->check = (__force __sum16)
			    wlb_csum_fix((__force u16)ih->check, delta);
	}
	/* beyond the 8 bytes that every router quotes */
	if (skb->len < q->thoff + offsetofend(struct tcphdr, check))
		return;
	th = (struct tcphdr *)(skb->data + q->thoff);
	th->check = (__force __sum16)wlb_csum_fix((__force u16)th->check, delta);
}

int wlb_icmp_change(struct sk_buff *skb, const struct wlb_quote *q,
		    const struct wlb_icmp_change *c)
{
	__sum16 *check;

	if (wlb_icmp_csum(skb, q->v6))
		return -EBADMSG;
	/* at most 576 bytes (RFC 1812), or 1280 (RFC 4443) */
	if (skb_ensure_writable(skb, skb->len))
		return -ENOMEM;
	if (c->quoted_src)
		wlb_quote_set(skb, q, true, c->quoted_src);
	if (c->quoted_dst)
		wlb_quote_set(skb, q, false, c->quoted_dst);
	if (q->v6) {
		struct ipv6hdr *ih = ipv6_hdr(skb);

		if (c->src)
			ih->saddr = c->src->v6;
		if (c->dst)
			ih->daddr = c->dst->v6;
	} else {
		struct iphdr *ih = ip_hdr(skb);

		if (c->src)
			ih->saddr = c->src->v4;
		if (c->dst)
			ih->daddr = c->dst->v4;
		ip_send_check(ih);
	}
	check = (__sum16 *)(skb->data + q->off - WLB_ICMP_HDR_LEN + 2);
	*check = 0;
	*check = wlb_icmp_csum(skb, q->v6);
	skb->ip_summed = CHECKSUM_NONE;
	return 0;
}

void wlb_icmp_learn(struct net *net, struct sk_buff *skb,
		    const struct wlb_quote *q, u32 mtu)
{
	struct flowi4 fl4 = {
		.daddr = q->dst.v4,
		.saddr = q->src.v4,
		.flowi4_flags = FLOWI_FLAG_ANYSRC,
	};
	struct rtable *rt;

	if (!pskb_may_pull(skb, q->thoff))
		return;
	if (q->v6) {
		skb_pull(skb, q->off);
		ip6_update_pmtu(skb, net, htonl(max_t(u32, mtu, IPV6_MIN_MTU)),
				0, 0, sock_net_uid(net, NULL));
		return;
	}
	/* not ipv4_update_pmtu(): the source may be a client's */
	rt = ip_route_output_key(net, &fl4);
	if (IS_ERR(rt))
		return;
	skb_set_network_header(skb, q->off);
	rt->dst.ops->update_pmtu(&rt->dst, NULL, skb, mtu, false);
	ip_rt_put(rt);
}

/*
 * From our own address: the router that has sent the error may be on the way, and
 * would not take a packet of its own from anybody.
 */
static int wlb_relay4(struct net *net, struct sk_buff *skb,
		      const struct wlb_quote *q, struct wlb_icmp_change *c)
{
	struct flowi4 fl4 = {
		.daddr = c->dst->v4,
		.flowi4_proto = IPPROTO_ICMP,
	};
	struct rtable *rt = ip_route_output_key(net, &fl4);
	union wlb_addr src;
	int err;

	if (IS_ERR(rt))
		return -EHOSTUNREACH;
	skb_dst_set(skb, &rt->dst);
	src.v4 = fl4.saddr;
	c->src = &src;
	err = wlb_icmp_change(skb, q, c);
	if (err)
		return err;
	memset(IPCB(skb), 0, sizeof(*IPCB(skb)));
	ip_local_out(net, NULL, skb);
	return 0;
}

static int wlb_relay6(struct net *net, struct sk_buff *skb,
		      const struct wlb_quote *q, struct wlb_icmp_change *c)
{
	struct flowi6 fl6 = {
		.daddr = c->dst->v6,
		.flowi6_proto = IPPROTO_ICMPV6,
	};
	struct dst_entry *dst;
	union wlb_addr src;
	int err;

	err = ip6_dst_lookup(net, NULL, &dst, &fl6);
	if (err)
		return -EHOSTUNREACH;
	skb_dst_set(skb, dst);
	src.v6 = fl6.saddr;
	c->src = &src;
	err = wlb_icmp_change(skb, q, c);
	if (err)
		return err;
	memset(IP6CB(skb), 0, sizeof(*IP6CB(skb)));
	ip6_local_out(net, NULL, skb);
	return 0;
}

int wlb_icmp_relay(struct net *net, const struct sk_buff *skb,
		   const struct wlb_quote *q, const union wlb_addr *to)
{
	struct wlb_icmp_change c = { .dst = to };
	struct sk_buff *copy;
	int err;

	copy = skb_copy_expand(skb, LL_MAX_HEADER, 0, GFP_ATOMIC);
	if (!copy)
		return -ENOMEM;
	skb_scrub_packet(copy, true);
	copy->dev = NULL;
	nf_ct_set(copy, NULL, IP_CT_UNTRACKED);
#if IS_ENABLED(CONFIG_IP_VS)
	/*
	 * A balancer of the service on this host has a connection of what is quoted,
	 * and would send the error to its own server.
	 */
	copy->ipvs_property = 1;
#endif
	err = q->v6 ? wlb_relay6(net, copy, q, &c) :
		      wlb_relay4(net, copy, q, &c);
	if (err)
		kfree_skb(copy);
	return err;
}
