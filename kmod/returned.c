// SPDX-License-Identifier: GPL-2.0-only
/*
 * What caches return: C1, C3, C5. The packet is cracked in place and goes on to its
 * destination as if it had just come in, never to be redirected again. Only GRE of
 * protocol type 0x883E for the router itself is looked at; tunnels of the user's
 * own are none of our business.
 */
#include <linux/if_tunnel.h>
#include <net/gre.h>

#include "cache.h"
#include "crack.h"
#include "icmp.h"
#include "redirect.h"

bool wlb_is_redirect_gre(const struct sk_buff *skb, unsigned int off)
{
	const struct gre_base_hdr *gre;
	struct gre_base_hdr buf;

	gre = skb_header_pointer(skb, off, sizeof(buf), &buf);
	return gre && !gre->flags && gre->protocol == htons(ETH_P_WCCP);
}

/* The group that the redirect header names, else any that has the cache. */
static const struct wlb_index_entry *
wlb_return_member(const struct wlb_router_family *f, const union wlb_addr *src,
		  bool v6, const struct wlb_redirect_hdr *h)
{
	const struct wlb_index_entry *e, *any = NULL;

	wlb_index_for_each(e, &f->members, src, v6) {
		any = e;
		if (wlb_group_named(f->redirect[e->object >> WLB_MEMBER_SHIFT].group, h))
			break;
	}
	return any;
}

static bool wlb_is_returner(const struct wlb_router_family *f,
			    const union wlb_addr *src, bool v6)
{
	const struct wlb_index_entry *e;

	wlb_index_for_each(e, &f->members, src, v6)
		return true;
	return false;
}

/* The length of the inner packet at @off and of its header, 0 if it is not one. */
static unsigned int wlb_return_inner(const struct sk_buff *skb, bool v6,
				     unsigned int off, unsigned int *hlen)
{
	unsigned int len;

	if (v6) {
		const struct ipv6hdr *ih;
		struct ipv6hdr buf;

		ih = skb_header_pointer(skb, off, sizeof(buf), &buf);
		if (!ih || ih->version != 6)
			return 0;
		*hlen = sizeof(*ih);
		len = sizeof(*ih) + ntohs(ih->payload_len);
	} else {
		const struct iphdr *ih;
		struct iphdr buf;

		if (!wlb_inner_sane4(skb, off))
			return 0;
		ih = skb_header_pointer(skb, off, sizeof(buf), &buf);
		*hlen = ih->ihl * 4;
		len = ntohs(ih->tot_len);
	}
	if (skb_is_gso(skb))
		return skb->len - off;
	return len >= *hlen && len <= skb->len - off ? len : 0;
}

/* The hop that the way to the cache took is given back: the router is one hop. */
static int wlb_return_ttl(struct sk_buff *skb, bool v6)
{
	if (skb_ensure_writable(skb, v6 ? sizeof(struct ipv6hdr) :
					  sizeof(struct iphdr)))
		return -ENOMEM;
	if (v6) {
		struct ipv6hdr *ih = ipv6_hdr(skb);

		if (ih->hop_limit < 255)
			ih->hop_limit++;
	} else {
		struct iphdr *ih = ip_hdr(skb);

		if (ih->ttl < 255) {
			csum_replace2(&ih->check, htons(ih->ttl << 8),
				      htons((ih->ttl + 1) << 8));
			ih->ttl++;
		}
	}
	return 0;
}

int wlb_redirect_crack(struct sk_buff *skb, bool v6, unsigned int off, u8 tos)
{
	struct wlb_outer o = { .len = off, .tos = tos };
	unsigned int len, hlen;

	len = wlb_return_inner(skb, v6, off, &hlen);
	if (!len)
		return -EBADMSG;
	if (wlb_crack_congested(skb, v6, &o))
		return -ENOBUFS;
	return wlb_crack_strip(skb, v6, &o, len, hlen) ? -EBADMSG : 0;
}

static int wlb_return_crack(struct sk_buff *skb, bool v6, unsigned int off,
			    u8 tos)
{
	int err = wlb_redirect_crack(skb, v6, off, tos);

	if (err == -ENOBUFS)
		return WLB_STAT_return_congested;
	if (err || wlb_return_ttl(skb, v6))
		return WLB_STAT_return_malformed;
	return WLB_NO_STAT;
}

static unsigned int wlb_return_in(struct wlb_net *wn,
				  const struct wlb_router_family *f,
				  struct sk_buff *skb, bool v6,
				  const union wlb_addr *src, unsigned int off)
{
	u8 tos = v6 ? ipv6_get_dsfield(ipv6_hdr(skb)) : ip_hdr(skb)->tos;
	struct wlb_redirect_hdr h = { .flags = WLB_REDIRECT_NULL };
	const struct wlb_index_entry *e;
	const struct wlb_redirect *r;
	u8 buf[WLB_REDIRECT_LEN];
	const u8 *data;
	int stat;

	off += sizeof(struct gre_base_hdr);
	data = skb_header_pointer(skb, off, sizeof(buf), buf);
	if (data && wlb_redirect_read(data, &h))
		off += WLB_REDIRECT_LEN;
	e = wlb_return_member(f, src, v6, &h);
	stat = !e ? WLB_STAT_return_stranger :
	       !data ? WLB_STAT_return_malformed :
	       wlb_return_crack(skb, v6, off, tos);
	if (stat != WLB_NO_STAT) {
		wlb_count(wn, stat);
		return NF_DROP;
	}
	wlb_settle(skb, WLB_RETURNED);
	r = &f->redirect[e->object >> WLB_MEMBER_SHIFT];
	this_cpu_inc(r->assign->seat[e->object & (WLB_MAX_CACHES - 1)]
			.member->cpu->returned);
	wlb_group_count(wn, r->group, WLB_GROUP_STAT_returned);
	return NF_ACCEPT;
}

/*
 * An error about what has gone to a cache. Its route learns what gets there; the
 * next packet that is too big is told of to its sender.
 */
static bool wlb_return_icmp(struct wlb_net *wn,
			    const struct wlb_router_family *f,
			    struct sk_buff *skb, bool v6)
{
	const struct wlb_index_entry *e;
	struct wlb_quote q;

	if (!wlb_icmp_quote(skb, v6, &q) || q.proto != IPPROTO_GRE ||
	    !wlb_is_redirect_gre(skb, q.thoff))
		return false;
	wlb_index_for_each(e, &f->members, &q.dst, v6) {
		if (q.too_big)
			wlb_icmp_learn(wn->net, skb, &q, q.mtu);
		wlb_count(wn, WLB_STAT_redirect_icmp);
		return true;
	}
	return false;
}

bool wlb_returned(struct wlb_net *wn, const struct wlb_router *router,
		  struct sk_buff *skb, bool v6, unsigned int *verdict)
{
	const struct wlb_router_family *f = &router->by_family[v6];
	union wlb_addr src = {}, dst = {};
	unsigned int off;

	if (wlb_ip_proto(skb, v6) != IPPROTO_GRE) {
		*verdict = NF_DROP;
		return f->n && wlb_return_icmp(wn, f, skb, v6);
	}
	off = v6 ? sizeof(struct ipv6hdr) : ip_hdrlen(skb);
	if (!wlb_is_redirect_gre(skb, off) ||
	    (!v6 && ip_is_fragment(ip_hdr(skb))))
		return false;
	if (v6) {
		src.v6 = ipv6_hdr(skb)->saddr;
		dst.v6 = ipv6_hdr(skb)->daddr;
	} else {
		src.v4 = ip_hdr(skb)->saddr;
		dst.v4 = ip_hdr(skb)->daddr;
	}
	if (wlb_is_far(wn, skb->dev, &dst, v6))
		return false;
	/* this host is a cache too, of that router */
	if (!wlb_is_returner(f, &src, v6) && wlb_cache_knows(wn, &src, v6))
		return false;
	*verdict = wlb_return_in(wn, f, skb, v6, &src, off);
	return true;
}
