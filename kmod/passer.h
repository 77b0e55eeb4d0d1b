/* SPDX-License-Identifier: GPL-2.0-only */
/* What of a packet decides whether a cache is to have it. */
#ifndef WLB_PASSER_H
#define WLB_PASSER_H

#include "group.h"
#include "pkt.h"

/* A packet that may be redirected. */
struct wlb_passer {
	union wlb_addr src, dst;
	u16 sport, dport;		/* host order; 0 if it has none */
	u8 proto;
	u8 tcp_flags;			/* WLB_TCP_* */
	bool v6;
};

/* Ports and TCP flags, of a first fragment only. */
static inline bool wlb_passer_ports(const struct sk_buff *skb,
				    unsigned int off, struct wlb_passer *p)
{
	union {
		struct tcphdr tcp;
		__be16 port[2];
	} buf;
	const __be16 *port;

	if (p->proto == IPPROTO_TCP) {
		const struct tcphdr *th = skb_header_pointer(skb, off,
							     sizeof(buf.tcp),
							     &buf.tcp);

		if (!th)
			return false;
		p->tcp_flags = ((const u8 *)th)[13];
		p->sport = ntohs(th->source);
		p->dport = ntohs(th->dest);
	} else if (p->proto == IPPROTO_UDP) {
		port = skb_header_pointer(skb, off, sizeof(buf.port), buf.port);
		if (!port)
			return false;
		p->sport = ntohs(port[0]);
		p->dport = ntohs(port[1]);
	}
	return true;
}

/* What of it services and hashes look at; false if it is shorter than it says. */
static __always_inline bool wlb_passer_read(const struct sk_buff *skb,
					    const bool v6, struct wlb_passer *p)
{
	p->v6 = v6;
	if (v6) {
		const struct ipv6hdr *ih = ipv6_hdr(skb);
		int off = sizeof(*ih);
		__be16 frag = 0;

		p->src.v6 = ih->saddr;
		p->dst.v6 = ih->daddr;
		p->proto = ih->nexthdr;
		if (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP)
			off = ipv6_skip_exthdr(skb, off, &p->proto, &frag);
		return off >= 0 &&
		       ((frag & htons(IP6_OFFSET)) ||
			wlb_passer_ports(skb, off, p));
	}
	p->src.v4 = ip_hdr(skb)->saddr;
	p->dst.v4 = ip_hdr(skb)->daddr;
	p->proto = ip_hdr(skb)->protocol;
	return (ip_hdr(skb)->frag_off & htons(IP_OFFSET)) ||
	       wlb_passer_ports(skb, ip_hdrlen(skb), p);
}

static inline bool wlb_ends_match(const struct wlb_ends *ends,
				  const struct wlb_passer *p)
{
	return (!ends->has_src ||
		wlb_prefix_match(&ends->src, &p->src, p->v6)) &&
	       (!ends->has_dst ||
		wlb_prefix_match(&ends->dst, &p->dst, p->v6));
}

/* What the first rule that matches says, which denies or permits; @none: there is no rule. */
static inline bool wlb_rules_permit(const struct wlb_rules *rules,
				    const struct wlb_passer *p, bool none)
{
	unsigned int i;

	for (i = 0; i < rules->n; i++)
		if (wlb_ends_match(&rules->rule[i].ends, p))
			return !rules->rule[i].deny;
	return none && !rules->n;
}

/* Does it begin a connection? */
static inline bool wlb_passer_opens(const struct wlb_passer *p)
{
	return (p->tcp_flags & (WLB_TCP_SYN | WLB_TCP_ACK | WLB_TCP_RST |
				WLB_TCP_FIN)) == WLB_TCP_SYN;
}

/* Can a connection, or what goes for one, begin with it? */
static inline bool wlb_passer_begins(const struct wlb_passer *p)
{
	return p->proto != IPPROTO_TCP || wlb_passer_opens(p);
}

#endif /* WLB_PASSER_H */
