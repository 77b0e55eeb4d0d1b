/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Plain segments, which nearly all packets are: TCP behind an IP header without options
 * or extension headers, whole, linear up to the end of the fixed TCP header, of sane
 * lengths, and with none of SYN, FIN and RST. They are read where they lie and take no
 * memory of their own: kernels that clear each variable on the stack make copies dear.
 * Everything else is pkt.h's.
 */
#ifndef WLB_PLAIN_H
#define WLB_PLAIN_H

#include "pkt.h"

static __always_inline unsigned int wlb_plain_ip_len(bool v6)
{
	return v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
}

/* Length of TCP header and payload, as the IP header has it; 0: look closer. */
static __always_inline unsigned int wlb_plain_len(const struct sk_buff *skb,
						  bool v6)
{
	unsigned int len;

	if (v6)
		len = unlikely(skb_is_gso(skb)) ?
		      skb->len - sizeof(struct ipv6hdr) :
		      ntohs(((const struct ipv6hdr *)skb->data)->payload_len);
	else
		len = ntohs(((const struct iphdr *)skb->data)->tot_len) -
		      sizeof(struct iphdr);
	return len <= skb->len - wlb_plain_ip_len(v6) ? len : 0;
}

/* The TCP header of such an IP packet, of any flags and lengths, or NULL. */
static __always_inline const struct tcphdr *wlb_plain_tcp(const struct sk_buff *skb,
							  bool v6)
{
	if (unlikely(skb_headlen(skb) <
		     wlb_plain_ip_len(v6) + sizeof(struct tcphdr)))
		return NULL;
	if (v6) {
		const struct ipv6hdr *ih = (const struct ipv6hdr *)skb->data;

		if (ih->nexthdr != IPPROTO_TCP || ih->version != 6)
			return NULL;
	} else {
		const struct iphdr *ih = (const struct iphdr *)skb->data;

		if (ih->protocol != IPPROTO_TCP || *(const u8 *)ih != 0x45 ||
		    ip_is_fragment(ih))
			return NULL;
	}
	return (const struct tcphdr *)(skb->data + wlb_plain_ip_len(v6));
}

/* Is it a plain segment, by this header? */
static __always_inline bool wlb_plain_data(const struct sk_buff *skb,
					   const struct tcphdr *th, bool v6)
{
	unsigned int hlen = th->doff * 4;

	return !(((const u8 *)th)[13] & WLB_TCP_CONTROL) &&
	       hlen >= sizeof(*th) && hlen <= wlb_plain_len(skb, v6);
}

static __always_inline const union wlb_addr *
wlb_plain_src(const struct sk_buff *skb, bool v6)
{
	return (const union wlb_addr *)
	       (skb->data + (v6 ? offsetof(struct ipv6hdr, saddr) :
				  offsetof(struct iphdr, saddr)));
}

static __always_inline const union wlb_addr *
wlb_plain_dst(const struct sk_buff *skb, bool v6)
{
	return (const union wlb_addr *)
	       (skb->data + (v6 ? offsetof(struct ipv6hdr, daddr) :
				  offsetof(struct iphdr, daddr)));
}

/* The segment for the flow's state machine. */
static __always_inline void wlb_plain_seg(const struct sk_buff *skb,
					  const struct tcphdr *th, bool v6,
					  struct wlb_seg *seg)
{
	seg->seq = ntohl(th->seq);
	seg->ack = ntohl(th->ack_seq);
	seg->flags = ((const u8 *)th)[13];
	seg->len = wlb_plain_len(skb, v6) - th->doff * 4;
	seg->has_nonce = false;
	seg->nonce = 0;
}

/* wlb_pkt_set_addr() of a plain segment whose headers are writable. */
static __always_inline void wlb_plain_put_addr(struct sk_buff *skb, bool v6,
					       bool source,
					       const union wlb_addr *to)
{
	struct tcphdr *th = (struct tcphdr *)(skb->data + wlb_plain_ip_len(v6));

	if (v6) {
		struct ipv6hdr *ih = (struct ipv6hdr *)skb->data;
		struct in6_addr *addr = source ? &ih->saddr : &ih->daddr;

		inet_proto_csum_replace16(&th->check, skb, addr->s6_addr32,
					  to->v6.s6_addr32, true);
		*addr = to->v6;
	} else {
		struct iphdr *ih = (struct iphdr *)skb->data;
		__be32 *addr = source ? &ih->saddr : &ih->daddr;

		inet_proto_csum_replace4(&th->check, skb, *addr, to->v4, true);
		csum_replace4(&ih->check, *addr, to->v4);
		*addr = to->v4;
	}
	wlb_bridge_settle(skb, v6);
}

/* Of any; what was read of it before is stale then. 0 or -ENOMEM. */
static __always_inline int wlb_plain_set_addr(struct sk_buff *skb, bool v6,
					      bool source,
					      const union wlb_addr *to)
{
	if (unlikely(skb_ensure_writable(skb, wlb_plain_ip_len(v6) +
					      sizeof(struct tcphdr))))
		return -ENOMEM;
	wlb_plain_put_addr(skb, v6, source, to);
	return 0;
}

#endif /* WLB_PLAIN_H */
