/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A TCP packet as our hooks see it: skb->data at the IP header.
 *
 * Reading goes by copies (wlb_pkt_parse() needs no linear header), writing by
 * wlb_pkt_writable() only, whose result is the one pointer into the packet
 * that may be written through, and only until the next call that can move it.
 */
#ifndef WLB_PKT_H
#define WLB_PKT_H

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netfilter_bridge.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "../include/wlb/fsm.h"
#include "net.h"

struct wlb_pkt {
	union wlb_addr src, dst;
	unsigned int off;	/* of the TCP header from skb->data */
	unsigned int len;	/* of TCP header and payload */
	struct tcphdr th;	/* a copy of the fixed header */
	bool v6;
};

/* Length of the TCP header with options, as it claims. */
static inline unsigned int wlb_pkt_hlen(const struct wlb_pkt *p)
{
	return p->th.doff * 4;
}

/* Sane lengths: a header within the packet? */
static inline bool wlb_pkt_sane(const struct wlb_pkt *p)
{
	return p->th.doff >= 5 && wlb_pkt_hlen(p) <= p->len;
}

static inline u8 wlb_pkt_flags(const struct wlb_pkt *p)
{
	return ((const u8 *)&p->th)[13];
}

#define WLB_TCP_CONTROL	(WLB_TCP_SYN | WLB_TCP_FIN | WLB_TCP_RST)

/* SYN, FIN, RST and ACK of its flags. */
static inline u8 wlb_pkt_control(const struct wlb_pkt *p)
{
	return wlb_pkt_flags(p) & (WLB_TCP_CONTROL | WLB_TCP_ACK);
}

/* The first segment of a connection? ECN's flags do not matter. */
static inline bool wlb_pkt_is_syn(const struct wlb_pkt *p)
{
	return wlb_pkt_control(p) == WLB_TCP_SYN;
}

/*
 * Addresses, offsets and the fixed TCP header of the packet at @off from
 * skb->data. 1, 0 if it is not TCP or a fragment, -EINVAL if it is shorter than
 * it says.
 */
static __always_inline int wlb_pkt_parse(const struct sk_buff *skb,
					 unsigned int off, bool v6,
					 struct wlb_pkt *p)
{
	const struct tcphdr *th;
	unsigned int end;

	p->v6 = v6;
	if (v6) {
		const struct ipv6hdr *ih;
		struct ipv6hdr buf;
		__be16 frag = 0;
		u8 nexthdr;
		int thoff;

		ih = skb_header_pointer(skb, off, sizeof(buf), &buf);
		if (!ih || ih->version != 6)
			return 0;
		nexthdr = ih->nexthdr;
		end = off + sizeof(*ih) + ntohs(ih->payload_len);
		p->src.v6 = ih->saddr;
		p->dst.v6 = ih->daddr;
		thoff = off + sizeof(*ih);
		if (unlikely(nexthdr != IPPROTO_TCP)) {
			unsigned int at = off;

			/* its signature covers what we would change */
			if (ipv6_find_hdr(skb, &at, NEXTHDR_AUTH, NULL, NULL) ==
			    NEXTHDR_AUTH)
				return 0;
			/* of several, ipv6_skip_exthdr() has the last one's offset */
			at = off;
			if (ipv6_find_hdr(skb, &at, NEXTHDR_FRAGMENT, NULL,
					  NULL) == NEXTHDR_FRAGMENT)
				return 0;
			thoff = ipv6_skip_exthdr(skb, thoff, &nexthdr, &frag);
			if (thoff < 0 || nexthdr != IPPROTO_TCP)
				return 0;
		}
		p->off = thoff;
	} else {
		const struct iphdr *ih;
		struct iphdr buf;

		ih = skb_header_pointer(skb, off, sizeof(buf), &buf);
		if (!ih || ih->protocol != IPPROTO_TCP || ih->version != 4 ||
		    ih->ihl < 5 || ip_is_fragment(ih))
			return 0;
		p->src.v4 = ih->saddr;
		p->dst.v4 = ih->daddr;
		p->off = off + ih->ihl * 4;
		end = off + ntohs(ih->tot_len);
		/* IPv4 "big TCP", from Linux 6.3 on, says 0: the skb's is its length */
		if (unlikely(end == off && skb_is_gso(skb)))
			end = skb->len;
	}
	if (v6 && unlikely(skb_is_gso(skb)))
		end = skb->len;
	if (unlikely(end > skb->len || end < p->off + sizeof(*th)))
		return -EINVAL;
	p->len = end - p->off;
	th = skb_header_pointer(skb, p->off, sizeof(p->th), &p->th);
	if (!th)
		return -EINVAL;
	if (th != &p->th)
		p->th = *th;
	return 1;
}

/* The segment for the flow's state machine. */
static inline void wlb_pkt_seg(const struct wlb_pkt *p, struct wlb_seg *seg)
{
	seg->seq = ntohl(p->th.seq);
	seg->ack = ntohl(p->th.ack_seq);
	seg->flags = wlb_pkt_flags(p);
	seg->len = p->len - min(wlb_pkt_hlen(p), p->len) + p->th.syn + p->th.fin;
	seg->has_nonce = false;
	seg->nonce = 0;
}

/* "Do not race this SYN." */
extern const struct wlb_tag wlb_tag_never;

/*
 * The options, scanned: wlb_pkt_hlen() - WLB_TCP_HDR_LEN bytes, of the skb, or in @buf
 * (WLB_TCP_HDR_MAX - WLB_TCP_HDR_LEN bytes) if it is not linear there. The packet must be
 * sane.
 */
const u8 *wlb_pkt_options(const struct sk_buff *skb, const struct wlb_pkt *p,
			  u8 *buf, struct wlb_opts *opts);

/*
 * Is the TCP checksum right, as far as software can know? Leaves the skb as it
 * is. For control segments: it reads the whole payload.
 */
bool wlb_pkt_csum_ok(const struct sk_buff *skb, const struct wlb_pkt *p);

/*
 * Makes the first @len bytes of the packet private and linear; NULL without
 * memory. Copies in @p stay right, earlier pointers do not.
 */
static inline u8 *wlb_pkt_writable(struct sk_buff *skb, unsigned int len)
{
	return skb_ensure_writable(skb, len) ? NULL : skb->data;
}

/*
 * Rewrites the TCP header's options where they stand (wlb_opts_rewrite()) and
 * mends the checksum. 0 or -ENOMEM, then nothing has changed.
 */
int wlb_pkt_retag(struct sk_buff *skb, const struct wlb_pkt *p,
		  const struct wlb_tag *tag);

/* Lowers the MSS that a SYN or SYN-ACK names to @mss. 0 or -ENOMEM, as above. */
int wlb_pkt_clamp_mss(struct sk_buff *skb, const struct wlb_pkt *p, u16 mss);

/* Inserts @tag right behind the fixed TCP header. 0 or -ENOMEM, as above. */
int wlb_pkt_insert_tag(struct sk_buff *skb, const struct wlb_pkt *p,
		       const struct wlb_tag *tag);

/* The same with labels: wlb_labels_rewrite(), and then 1 if one says @data. */
int wlb_pkt_relabel(struct sk_buff *skb, const struct wlb_pkt *p, const u8 *data,
		    unsigned int len);
int wlb_pkt_insert_label(struct sk_buff *skb, const struct wlb_pkt *p,
			 const u8 *data, unsigned int len);

/*
 * A bridge that calls the IP hooks takes another destination for a NAT, and routes
 * such a packet in such a way that IPv6 finds it on its way back out and redirects
 * its sender (RFC 4861 8). To be called where a packet's destination becomes another
 * one: it is as if it had come in so. What is not for us is the bridge's to route.
 */
static inline void wlb_bridge_settle(struct sk_buff *skb, bool v6)
{
#if IS_ENABLED(CONFIG_BRIDGE_NETFILTER)
	struct nf_bridge_info *bridge = nf_bridge_info_get(skb);

	if (!bridge || !bridge->in_prerouting || bridge->pkt_otherhost)
		return;
	if (v6)
		bridge->ipv6_daddr = ipv6_hdr(skb)->daddr;
	else
		bridge->ipv4_daddr = ip_hdr(skb)->daddr;
#endif
}

/*
 * Replaces source or destination address and mends every checksum that covers
 * it. 0 or -ENOMEM, as above.
 */
int wlb_pkt_set_addr(struct sk_buff *skb, const struct wlb_pkt *p, bool source,
		     const union wlb_addr *to);

#endif /* WLB_PKT_H */
