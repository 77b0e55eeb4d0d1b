/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Return-routability cookies. A SYN whose source is forged would have every replica
 * answer the victim. So an origin may ask for a cookie: what the server answers to a
 * tagged SYN without one carries it, in a long tag, to whoever has that address, whose
 * gateway shows it from then on. It is good for the sender's prefix, /24 or /64, and
 * the server; as RFC 7413 does for Fast Open.
 */
#ifndef WLB_COOKIE_H
#define WLB_COOKIE_H

#include "pkt.h"

/* The server's gateway: gives them and asks for them. */

struct wlb_cookies;

struct wlb_cookies *wlb_cookies_alloc(void);
void wlb_cookies_free(struct wlb_cookies *cookies);

enum wlb_cookie_grade {
	WLB_COOKIE_NONE,
	WLB_COOKIE_BAD,
	WLB_COOKIE_AGING,	/* good, but not for long */
	WLB_COOKIE_GOOD,
};

/*
 * What the SYN @p shows by @tag. A cookie is good for @lifetime seconds at least and
 * twice that at most, in the second half of which it is aging.
 */
enum wlb_cookie_grade wlb_cookie_grade(const struct wlb_cookies *cookies,
				       const struct wlb_pkt *p,
				       const struct wlb_tag *tag, u32 lifetime);
/* What the server answers to the tagged SYN @p is to carry a cookie. */
void wlb_cookie_owe(struct wlb_cookies *cookies, const struct wlb_pkt *p,
		    u16 nonce);
/*
 * Puts one into the server's SYN-ACK @p if it is owed, and counts that. It is no
 * failure if it cannot be done: the next answer may carry one.
 */
void wlb_cookie_give(struct wlb_net *wn, struct sk_buff *skb,
		     const struct wlb_pkt *p, u32 lifetime);

/* The client's gateway: keeps what it was given. */

struct wlb_jar;

struct wlb_jar *wlb_jar_alloc(void);
void wlb_jar_free(struct wlb_jar *jar);
void wlb_jar_put(struct wlb_jar *jar, const union wlb_addr *client,
		 const union wlb_addr *server, bool v6, u64 cookie);
/* 0 if there is none. */
u64 wlb_jar_get(const struct wlb_jar *jar, const union wlb_addr *client,
		const union wlb_addr *server, bool v6);

#endif /* WLB_COOKIE_H */
