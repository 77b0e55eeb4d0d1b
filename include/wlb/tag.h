/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tag: a TCP option of kind 253 with a 16-bit experiment identifier
 * (RFC 6994) by which a client's gateway says that a start packet may be
 * cloned to replicas (FIG 2, op 210; claims 6 and 25).
 *
 *   0: 253   1: 8   2-3: ExID   4: version << 4 | state   5: offers
 *   6-7: nonce of the race, 0 in state 0
 *
 * All in network order. A long form of 16 bytes carries a cookie of 8 more bytes, never
 * all zero (see kmod/cookie.h); its first 8 bytes are the same but for the length.
 */
#ifndef WLB_TAG_H
#define WLB_TAG_H

#include "types.h"

#define WLB_TCPOPT_EOL		0
#define WLB_TCPOPT_NOP		1
#define WLB_TCPOPT_MSS		2
#define WLB_TCPOPT_MD5		19	/* RFC 2385 */
#define WLB_TCPOPT_AO		29	/* RFC 5925 */
#define WLB_TCPOPT_FASTOPEN	34	/* RFC 7413 */
#define WLB_TCPOPT_EXP1		253	/* RFC 4727, RFC 6994 */
#define WLB_TCPOPT_EXP2		254
#define WLB_TCPOPT_EXP2_TFO	0xf989	/* Fast Open's ExID before RFC 7413 */

#define WLB_TCP_HDR_LEN		20
#define WLB_TCP_HDR_MAX		60
#define WLB_TAG_LEN		8
#define WLB_TAG_LEN_LONG	16
#define WLB_TAG_VERSION		1

enum wlb_tag_state {
	WLB_TAG_NOT_PERMITTED,
	WLB_TAG_PERMITTED,
	WLB_TAG_ANSWER,		/* in a SYN-ACK only */
};

#define WLB_OFFER_NAT		(1U << 0)	/* configuration A */
#define WLB_OFFER_SPOOF		(1U << 1)	/* configuration B */
#define WLB_OFFER_TUNNEL	(1U << 2)	/* configuration C */
#define WLB_OFFER_GRE		(1U << 3)
#define WLB_OFFER_UDP		(1U << 4)
#define WLB_OFFER_CLONED	(1U << 5)	/* loop guard, set in clones */

struct wlb_tag {
	u8 state;		/* enum wlb_tag_state */
	u8 offers;		/* WLB_OFFER_* */
	u16 nonce;		/* host order */
	u64 cookie;		/* host order; 0: the short form */
};

/* What an option list holds, as far as it concerns us. */
struct wlb_opts {
	struct wlb_tag tag;	/* valid if @tags; see wlb_opts_scan() */
	u8 tags;		/* how many well-formed tags of our version */
	u8 tag_off;		/* offset of the first in the option list */
	u8 tag_len;		/* WLB_TAG_LEN or WLB_TAG_LEN_LONG */
	bool malformed;		/* a length of 0, 1 or past the list's end */
	bool bad_tag;		/* our ExID with another length */
	bool is_signed;		/* TCP-MD5 or TCP-AO */
	bool fast_open;		/* RFC 7413 cookie or request, either kind */
};

static inline u16 wlb_get_be16(const u8 *p)
{
	return (u16)(p[0] << 8 | p[1]);
}

static inline void wlb_put_be16(u8 *p, u16 v)
{
	p[0] = v >> 8;
	p[1] = v & 0xff;
}

static inline u64 wlb_get_be64(const u8 *p)
{
	u64 v = 0;
	int i;

	for (i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

static inline void wlb_put_be64(u8 *p, u64 v)
{
	int i;

	for (i = 7; i >= 0; i--, v >>= 8)
		p[i] = v & 0xff;
}

static inline unsigned int wlb_tag_len(const struct wlb_tag *tag)
{
	return tag->cookie ? WLB_TAG_LEN_LONG : WLB_TAG_LEN;
}

/* Writes wlb_tag_len() bytes to @p. */
static inline void wlb_tag_write(u8 *p, u16 exid, const struct wlb_tag *tag)
{
	p[0] = WLB_TCPOPT_EXP1;
	p[1] = (u8)wlb_tag_len(tag);
	wlb_put_be16(p + 2, exid);
	p[4] = WLB_TAG_VERSION << 4 | (tag->state & 0xf);
	p[5] = tag->offers;
	wlb_put_be16(p + 6, tag->nonce);
	if (tag->cookie)
		wlb_put_be64(p + 8, tag->cookie);
}

/*
 * Length of the option at @opt with @left bytes to the list's end: 1 for NOP,
 * 0 at the end of the list (EOL or nothing left), -1 if it is malformed.
 */
static inline int wlb_opt_len(const u8 *opt, unsigned int left)
{
	if (!left || opt[0] == WLB_TCPOPT_EOL)
		return 0;
	if (opt[0] == WLB_TCPOPT_NOP)
		return 1;
	if (left < 2 || opt[1] < 2 || opt[1] > left)
		return -1;
	return opt[1];
}

/* Is the option of @len bytes at @opt of kind 253 with our @exid? */
static inline bool wlb_opt_is_ours(const u8 *opt, int len, u16 exid)
{
	return opt[0] == WLB_TCPOPT_EXP1 && len >= 4 &&
	       wlb_get_be16(opt + 2) == exid;
}

static inline bool wlb_opt_is_tag(const u8 *opt, int len, u16 exid)
{
	return wlb_opt_is_ours(opt, len, exid) &&
	       (len == WLB_TAG_LEN || len == WLB_TAG_LEN_LONG) &&
	       opt[4] >> 4 == WLB_TAG_VERSION;
}

/*
 * Walks the @len (0..40) bytes of TCP options at @opt. Of several tags the
 * first gives offers, nonce and cookie, the most restrictive one the state: one that
 * forbids the race forbids it, an unknown state counts as not permitted. A tag
 * of another version counts as absent.
 */
static inline void wlb_opts_scan(const u8 *opt, unsigned int len, u16 exid,
				 struct wlb_opts *o)
{
	unsigned int off = 0;
	int n;

	memset(o, 0, sizeof(*o));
	while ((n = wlb_opt_len(opt + off, len - off)) > 0) {
		const u8 *p = opt + off;

		off += (unsigned int)n;
		/* below are those of almost every SYN */
		if (p[0] < WLB_TCPOPT_MD5)
			continue;
		if (wlb_opt_is_tag(p, n, exid)) {
			u8 state = p[4] & 0xf;

			if (state > WLB_TAG_ANSWER)
				state = WLB_TAG_NOT_PERMITTED;
			if (!o->tags) {
				o->tag.state = state;
				o->tag.offers = p[5];
				o->tag.nonce = wlb_get_be16(p + 6);
				if (n == WLB_TAG_LEN_LONG)
					o->tag.cookie = wlb_get_be64(p + 8);
				o->tag_off = (u8)(p - opt);
				o->tag_len = (u8)n;
			} else if (state < o->tag.state) {
				o->tag.state = state;
			}
			o->tags++;
		} else if (wlb_opt_is_ours(p, n, exid) &&
			   n != WLB_TAG_LEN && n != WLB_TAG_LEN_LONG) {
			o->bad_tag = true;
		} else if (p[0] == WLB_TCPOPT_MD5 || p[0] == WLB_TCPOPT_AO) {
			o->is_signed = true;
		} else if (p[0] == WLB_TCPOPT_FASTOPEN ||
			   (p[0] == WLB_TCPOPT_EXP2 && n >= 4 &&
			    wlb_get_be16(p + 2) == WLB_TCPOPT_EXP2_TFO)) {
			o->fast_open = true;
		}
	}
	o->malformed = n < 0;
}

/* The two bytes of the MSS that the @len bytes of options at @opt name, or NULL. */
static inline u8 *wlb_opts_mss(u8 *opt, unsigned int len)
{
	unsigned int off = 0;
	int n;

	while ((n = wlb_opt_len(opt + off, len - off)) > 0) {
		if (opt[off] == WLB_TCPOPT_MSS && n == 4)
			return opt + off + 2;
		off += (unsigned int)n;
	}
	return NULL;
}

/*
 * Rewrites the tags of a well-formed option list in place: the first becomes
 * @tag (all of them NOPs if @tag is NULL), without its cookie if it has no room for
 * one; whatever is left of it and every further one becomes NOPs. The list keeps its
 * length.
 */
static inline void wlb_opts_rewrite(u8 *opt, unsigned int len, u16 exid,
				    const struct wlb_tag *tag)
{
	unsigned int off = 0;
	struct wlb_tag fit;
	int n;

	while ((n = wlb_opt_len(opt + off, len - off)) > 0) {
		if (wlb_opt_is_tag(opt + off, n, exid)) {
			memset(opt + off, WLB_TCPOPT_NOP, (size_t)n);
			if (tag) {
				fit = *tag;
				if (n < WLB_TAG_LEN_LONG)
					fit.cookie = 0;
				wlb_tag_write(opt + off, exid, &fit);
			}
			tag = NULL;
		}
		off += (unsigned int)n;
	}
}

#endif /* WLB_TAG_H */
