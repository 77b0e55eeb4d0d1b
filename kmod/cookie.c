// SPDX-License-Identifier: GPL-2.0-only
/* Return-routability cookies of the server's gateway. */
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "cookie.h"
#include "hash.h"

/*
 * SYNs whose answers are to carry a cookie: a hash of each with its nonce in the low
 * bits, each in the one place that its hash gives it. Who comes there next takes the
 * place over, and the one before gets his cookie another time.
 */
#define WLB_COOKIES_OWED	16384
#define WLB_OWED_NONCE		0xffffULL

struct wlb_cookies {
	siphash_key_t key;
	siphash_key_t owed_key;
	u64 owed[WLB_COOKIES_OWED];
};

struct wlb_cookies *wlb_cookies_alloc(void)
{
	struct wlb_cookies *cookies = kvzalloc(sizeof(*cookies), GFP_KERNEL_ACCOUNT);

	if (!cookies)
		return NULL;
	get_random_bytes(&cookies->key, sizeof(cookies->key));
	get_random_bytes(&cookies->owed_key, sizeof(cookies->owed_key));
	return cookies;
}

void wlb_cookies_free(struct wlb_cookies *cookies)
{
	kvfree(cookies);
}

/* Of the @epoch'th @lifetime since the machine began; never 0. */
static u64 wlb_cookie_of(const struct wlb_cookies *cookies,
			 const union wlb_addr *client,
			 const union wlb_addr *server, bool v6, u32 lifetime,
			 u64 epoch)
{
	struct {
		union wlb_addr client, server;
		u64 epoch;
		u32 lifetime;
		u32 v6;
	} __aligned(8) of = { .epoch = epoch, .lifetime = lifetime, .v6 = v6 };

	wlb_addr_site(&of.client, client, v6);
	memcpy(&of.server, server, wlb_addr_len(v6));
	return siphash(&of, sizeof(of), &cookies->key) ?: 1;
}

static u64 wlb_cookie_epoch(u32 lifetime)
{
	return div_u64(ktime_get_seconds(), lifetime);
}

enum wlb_cookie_grade wlb_cookie_grade(const struct wlb_cookies *cookies,
				       const struct wlb_pkt *p,
				       const struct wlb_tag *tag, u32 lifetime)
{
	u64 epoch = wlb_cookie_epoch(lifetime);

	if (!tag->cookie)
		return WLB_COOKIE_NONE;
	if (tag->cookie == wlb_cookie_of(cookies, &p->src, &p->dst, p->v6,
					 lifetime, epoch))
		return WLB_COOKIE_GOOD;
	/* the epoch before the first is nobody's */
	if (epoch && tag->cookie == wlb_cookie_of(cookies, &p->src, &p->dst, p->v6,
						  lifetime, epoch - 1))
		return WLB_COOKIE_AGING;
	return WLB_COOKIE_BAD;
}

/* Of the bits that tell the place, none is among those that the nonce takes. */
static u64 *wlb_owed_place(struct wlb_cookies *cookies, u64 hash)
{
	return &cookies->owed[(hash >> 48) % WLB_COOKIES_OWED];
}

void wlb_cookie_owe(struct wlb_cookies *cookies, const struct wlb_pkt *p,
		    u16 nonce)
{
	u64 hash = wlb_syn_hash(&cookies->owed_key, &p->src, &p->dst, p->v6,
				p->th.source, p->th.dest, ntohl(p->th.seq));

	WRITE_ONCE(*wlb_owed_place(cookies, hash),
		   (hash & ~WLB_OWED_NONCE) | nonce);
}

void wlb_cookie_give(struct wlb_net *wn, struct sk_buff *skb,
		     const struct wlb_pkt *p, u32 lifetime)
{
	struct wlb_cookies *cookies = wn->cookies;
	struct wlb_tag tag = { .state = WLB_TAG_ANSWER };
	u64 hash = wlb_syn_hash(&cookies->owed_key, &p->dst, &p->src, p->v6,
				p->th.dest, p->th.source,
				ntohl(p->th.ack_seq) - 1);
	u64 owed = READ_ONCE(*wlb_owed_place(cookies, hash));

	if ((owed ^ hash) & ~WLB_OWED_NONCE)
		return;
	tag.nonce = owed & WLB_OWED_NONCE;
	tag.cookie = wlb_cookie_of(cookies, &p->dst, &p->src, p->v6, lifetime,
				   wlb_cookie_epoch(lifetime));
	if (!wlb_pkt_sane(p) ||
	    wlb_pkt_hlen(p) + WLB_TAG_LEN_LONG > WLB_TCP_HDR_MAX)
		wlb_count(wn, WLB_STAT_cookie_no_room);
	else if (wlb_pkt_insert_tag(skb, p, &tag))
		wlb_count(wn, WLB_STAT_cookie_no_memory);
	else
		wlb_count(wn, WLB_STAT_cookie_given);
}
