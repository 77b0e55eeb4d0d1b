// SPDX-License-Identifier: GPL-2.0-only
/* Reading and rewriting one TCP packet. */
#include <net/ip6_checksum.h>
#include <net/tcp.h>

#include "../include/wlb/csum.h"
#include "../include/wlb/label.h"
#include "pkt.h"

const struct wlb_tag wlb_tag_never = { .state = WLB_TAG_NOT_PERMITTED };

const u8 *wlb_pkt_options(const struct sk_buff *skb, const struct wlb_pkt *p,
			  u8 *buf, struct wlb_opts *opts)
{
	unsigned int len = wlb_pkt_hlen(p) - WLB_TCP_HDR_LEN;
	const u8 *data = skb_header_pointer(skb, p->off + WLB_TCP_HDR_LEN, len, buf);

	/* it has them all, or the packet is not sane */
	wlb_opts_scan(data, data ? len : 0, wlb_exid, opts);
	return data;
}

bool wlb_pkt_csum_ok(const struct sk_buff *skb, const struct wlb_pkt *p)
{
	__wsum sum;

	if (skb->ip_summed == CHECKSUM_PARTIAL || skb_csum_unnecessary(skb))
		return true;
	sum = skb_checksum(skb, p->off, p->len, 0);
	if (p->v6)
		return !csum_ipv6_magic(&p->src.v6, &p->dst.v6, p->len,
					IPPROTO_TCP, sum);
	return !csum_tcpudp_magic(p->src.v4, p->dst.v4, p->len, IPPROTO_TCP,
				  sum);
}

/*
 * Applies two deltas to the TCP checksum at @check: of the pseudo-header and
 * of what else the checksum covers.
 */
static void wlb_csum_apply(struct sk_buff *skb, bool v6, __sum16 *check,
			   u16 pseudo, u16 body)
{
	u16 old = (__force u16)*check;

	if (skb->ip_summed == CHECKSUM_PARTIAL) {
		*check = (__force __sum16)wlb_csum_fix_partial(old, pseudo);
		return;
	}
	*check = (__force __sum16)
		 wlb_csum_fix(old, wlb_csum_delta_add(pseudo, body));
	/*
	 * skb->csum has lost what the TCP checksum has gained; the addresses
	 * make up for it in IPv6, the header's own checksum does in IPv4.
	 */
	if (skb->ip_summed == CHECKSUM_COMPLETE && !v6)
		skb->csum = csum_sub(skb->csum, (__force __wsum)(u32)pseudo);
}

int wlb_pkt_retag(struct sk_buff *skb, const struct wlb_pkt *p,
		  const struct wlb_tag *tag)
{
	unsigned int hlen = wlb_pkt_hlen(p);
	u8 old[WLB_TCP_HDR_MAX], *data, *th;

	data = wlb_pkt_writable(skb, p->off + hlen);
	if (!data)
		return -ENOMEM;
	th = data + p->off;
	memcpy(old, th, hlen);
	wlb_opts_rewrite(th + WLB_TCP_HDR_LEN, hlen - WLB_TCP_HDR_LEN, wlb_exid,
			 tag);
	wlb_csum_apply(skb, p->v6, &((struct tcphdr *)th)->check, 0,
		       wlb_csum_delta(old, th, hlen));
	return 0;
}

int wlb_pkt_clamp_mss(struct sk_buff *skb, const struct wlb_pkt *p, u16 mss)
{
	unsigned int hlen = wlb_pkt_hlen(p);
	u8 *data, *th, *named, old[WLB_TCP_HDR_MAX];

	data = wlb_pkt_writable(skb, p->off + hlen);
	if (!data)
		return -ENOMEM;
	th = data + p->off;
	named = wlb_opts_mss(th + WLB_TCP_HDR_LEN, hlen - WLB_TCP_HDR_LEN);
	if (!named || wlb_get_be16(named) <= mss)
		return 0;
	/* the option may begin at an odd byte */
	memcpy(old, th, hlen);
	wlb_put_be16(named, mss);
	wlb_csum_apply(skb, p->v6, &((struct tcphdr *)th)->check, 0,
		       wlb_csum_delta(old, th, hlen));
	return 0;
}

int wlb_pkt_relabel(struct sk_buff *skb, const struct wlb_pkt *p, const u8 *data,
		    unsigned int len)
{
	unsigned int hlen = wlb_pkt_hlen(p);
	u8 old[WLB_TCP_HDR_MAX], *head, *th;
	bool said;

	head = wlb_pkt_writable(skb, p->off + hlen);
	if (!head)
		return -ENOMEM;
	th = head + p->off;
	memcpy(old, th, hlen);
	said = wlb_labels_rewrite(th + WLB_TCP_HDR_LEN, hlen - WLB_TCP_HDR_LEN,
				  data, len);
	wlb_csum_apply(skb, p->v6, &((struct tcphdr *)th)->check, 0,
		       wlb_csum_delta(old, th, hlen));
	return said;
}

/* @option of @room bytes, words of it, right behind the fixed TCP header. */
static int wlb_pkt_insert(struct sk_buff *skb, const struct wlb_pkt *p,
			  const u8 *option, unsigned int room)
{
	unsigned int front = p->off + WLB_TCP_HDR_LEN;
	u16 len = p->len + room, doff;
	struct tcphdr *th;
	u16 pseudo, body;

	/* private headers with room in front, and linear as far as we move them */
	if (!pskb_may_pull(skb, front) || skb_cow_head(skb, room))
		return -ENOMEM;
	memmove(skb->data - room, skb->data, front);
	skb_push(skb, room);
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, p->off);
	memcpy(skb->data + front, option, room);

	th = (struct tcphdr *)(skb->data + p->off);
	doff = ((u16 *)th)[6];
	th->doff += room / 4;
	body = wlb_csum_fold((u64)wlb_csum_delta16(doff, ((u16 *)th)[6]) +
			     wlb_csum_bytes(option, room));
	pseudo = wlb_csum_delta16((__force u16)htons(p->len),
				  (__force u16)htons(len));
	if (skb->ip_summed == CHECKSUM_PARTIAL)
		skb->csum_start -= room;
	else
		skb->ip_summed = CHECKSUM_NONE;	/* skb->csum has no such bytes */
	wlb_csum_apply(skb, p->v6, &th->check, pseudo, body);

	if (p->v6) {
		struct ipv6hdr *ih = ipv6_hdr(skb);

		ih->payload_len = htons(ntohs(ih->payload_len) + room);
	} else {
		struct iphdr *ih = ip_hdr(skb);
		__be16 tot_len = htons(ntohs(ih->tot_len) + room);

		csum_replace2(&ih->check, ih->tot_len, tot_len);
		ih->tot_len = tot_len;
	}
	return 0;
}

int wlb_pkt_insert_tag(struct sk_buff *skb, const struct wlb_pkt *p,
		       const struct wlb_tag *tag)
{
	u8 option[WLB_TAG_LEN_LONG];

	wlb_tag_write(option, wlb_exid, tag);
	return wlb_pkt_insert(skb, p, option, wlb_tag_len(tag));
}

int wlb_pkt_insert_label(struct sk_buff *skb, const struct wlb_pkt *p,
			 const u8 *data, unsigned int len)
{
	u8 option[WLB_LABEL_LEN_MAX];

	wlb_label_write(option, data, len);
	return wlb_pkt_insert(skb, p, option, wlb_label_room(len));
}

int wlb_pkt_set_addr(struct sk_buff *skb, const struct wlb_pkt *p, bool source,
		     const union wlb_addr *to)
{
	const union wlb_addr *from = source ? &p->src : &p->dst;
	unsigned int len = wlb_addr_len(p->v6);
	u8 *data;
	u16 delta;

	data = wlb_pkt_writable(skb, p->off + sizeof(struct tcphdr));
	if (!data)
		return -ENOMEM;
	delta = wlb_csum_delta(from, to, len);
	if (p->v6) {
		struct ipv6hdr *ih = (struct ipv6hdr *)data;

		*(source ? &ih->saddr : &ih->daddr) = to->v6;
	} else {
		struct iphdr *ih = (struct iphdr *)data;
		u16 check = (__force u16)ih->check;

		*(source ? &ih->saddr : &ih->daddr) = to->v4;
		ih->check = (__force __sum16)wlb_csum_fix(check, delta);
	}
	wlb_csum_apply(skb, p->v6, &((struct tcphdr *)(data + p->off))->check, delta,
		       0);
	wlb_bridge_settle(skb, p->v6);
	return 0;
}
