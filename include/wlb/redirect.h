/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What WCCP version 2 says of one packet: into which bucket it falls, which mask and
 * value it matches, and what the redirect header behind GRE tells of that.
 *
 * D01 is draft-wilson-wrec-wccp-v2-03, R1 is draft-mclaggan-wccp-v2rev1-00; section
 * titles are quoted where D01's numbers repeat. Both drafts number bits from the most
 * significant one in their pictures; what is sent by everybody counts from the least
 * significant one, and only so the first octet of the redirect header is never taken
 * for the version of an IPv4 header by a receiver that knows WCCP version 1 too.
 */
#ifndef WLB_REDIRECT_H
#define WLB_REDIRECT_H

#include "types.h"

/* The service's flags (D01 5.6.2, R1 5.1.2), host order. */
#define WLB_WCCP_SRC_IP		0x0001U
#define WLB_WCCP_DST_IP		0x0002U
#define WLB_WCCP_SRC_PORT	0x0004U
#define WLB_WCCP_DST_PORT	0x0008U
#define WLB_WCCP_HASH		0x000fU
#define WLB_WCCP_PORTS		0x0010U	/* the list of ports is meant */
#define WLB_WCCP_PORTS_SRC	0x0020U	/* they are source ports */
#define WLB_WCCP_ONLY_PROTO0	0x0040U	/* protocol 0 is not "every protocol"; 2.01 */
#define WLB_WCCP_ALT_SHIFT	8	/* the hash's four for the alternative bucket */
#define WLB_WCCP_ALT_HASH	(WLB_WCCP_HASH << WLB_WCCP_ALT_SHIFT)
#define WLB_WCCP_NPORTS		8

/* Standard service 0 in a dynamic one's words (R1 5.1.2): TCP to port 80, by destination. */
#define WLB_WCCP_HTTP_FLAGS	(WLB_WCCP_DST_IP | WLB_WCCP_PORTS)
#define WLB_WCCP_HTTP_PORT	80
#define WLB_WCCP_HTTP_PRIORITY	240

/* A bucket (D01 5.7.3, R1 6.5) as caches and routers in the field read it. */
#define WLB_WCCP_BUCKETS	256
#define WLB_WCCP_BUCKET_NONE	0xffU	/* unassigned: forward as if there were no service */
#define WLB_WCCP_BUCKET_ALT	0x80U	/* take the alternative bucket's cache */
#define WLB_WCCP_BUCKET_INDEX	0x7fU
#define WLB_WCCP_CACHES_MAX	32

/* A packet, as far as the choice of a cache depends on it. */
struct wlb_redirect_key {
	const u8 *src;		/* @addr_len octets, network order, need not be aligned */
	const u8 *dst;
	u8 addr_len;		/* 4 or 16 */
	u16 sport;		/* host order; both 0 if there are none to read: */
	u16 dport;		/* no first fragment, neither TCP nor UDP */
};

/* The XOR of the octets of an address. */
static inline u8 wlb_wccp_fold(const u8 *addr, u8 len)
{
	u32 sum = 0, word;
	unsigned int i;

	for (i = 0; i < len; i += sizeof(word)) {
		memcpy(&word, addr + i, sizeof(word));
		sum ^= word;
	}
	sum ^= sum >> 16;
	return (u8)(sum ^ sum >> 8);
}

/*
 * The bucket of @key by the fields @fields (WLB_WCCP_SRC_IP and its like): the XOR of
 * every octet of them (R1 5.1.2). D01's fold of 32-bit words is the same number.
 */
static inline u8 wlb_wccp_bucket(const struct wlb_redirect_key *key, u32 fields)
{
	u8 sum = 0;

	if (fields & WLB_WCCP_SRC_IP)
		sum ^= wlb_wccp_fold(key->src, key->addr_len);
	if (fields & WLB_WCCP_DST_IP)
		sum ^= wlb_wccp_fold(key->dst, key->addr_len);
	if (fields & WLB_WCCP_SRC_PORT)
		sum ^= (u8)(key->sport >> 8 ^ key->sport);
	if (fields & WLB_WCCP_DST_PORT)
		sum ^= (u8)(key->dport >> 8 ^ key->dport);
	return sum;
}

/* How a packet's cache was found in a table of buckets. */
struct wlb_wccp_choice {
	u8 primary;		/* bucket */
	u8 alt;			/* bucket, 0 if not used */
	bool alt_used;
	u8 cache;		/* index into the table's caches, or WLB_WCCP_BUCKET_NONE */
};

/*
 * Looks @key up in the WLB_WCCP_BUCKETS octets of @table (R1 3.11.1). @flags are the
 * service's, those of WLB_WCCP_HTTP_FLAGS for standard service 0. An alternative bucket's
 * own flag does not matter. A bucket that asks for the alternative of a service without
 * alternative fields would send all of its packets to bucket 0's cache; it is taken for
 * what it names itself.
 */
static inline void wlb_wccp_choose(const struct wlb_redirect_key *key, u32 flags,
				   const u8 *table, struct wlb_wccp_choice *c)
{
	u32 alt_fields = flags >> WLB_WCCP_ALT_SHIFT & WLB_WCCP_HASH;
	u8 entry;

	c->primary = wlb_wccp_bucket(key, flags & WLB_WCCP_HASH);
	c->alt = 0;
	c->alt_used = false;
	entry = table[c->primary];
	if (entry != WLB_WCCP_BUCKET_NONE && entry & WLB_WCCP_BUCKET_ALT && alt_fields) {
		c->alt = wlb_wccp_bucket(key, alt_fields);
		c->alt_used = true;
		entry = table[c->alt];
	}
	c->cache = entry == WLB_WCCP_BUCKET_NONE ?
		   WLB_WCCP_BUCKET_NONE : (u8)(entry & WLB_WCCP_BUCKET_INDEX);
}

/*
 * A mask, or one of its values (D01 5.7.7, R1 6.15, 6.16). Of an IPv4 service the first 4
 * octets of the addresses are meant, the rest is 0.
 */
struct wlb_wccp_mask {
	u8 src[16];		/* network order */
	u8 dst[16];
	u16 sport;		/* host order */
	u16 dport;
};

/* Does @key, under @mask, equal @value (R1 3.11.2)? One with bits past the mask never does. */
static inline bool wlb_wccp_match(const struct wlb_redirect_key *key,
				  const struct wlb_wccp_mask *mask,
				  const struct wlb_wccp_mask *value)
{
	unsigned int i;
	u8 diff = 0;

	for (i = 0; i < key->addr_len; i++) {
		diff |= (u8)((key->src[i] & mask->src[i]) ^ value->src[i]);
		diff |= (u8)((key->dst[i] & mask->dst[i]) ^ value->dst[i]);
	}
	return !diff && (key->sport & mask->sport) == value->sport &&
	       (key->dport & mask->dport) == value->dport;
}

/*
 * An alternate mask's values are numbers, not pictures (R1 7): the set bits of the mask,
 * from the least significant one of the destination port over source port and destination
 * address to the most significant one of the source address, are the bits of the value
 * sequence number.
 */
#define WLB_WCCP_VSN_BITS	32	/* as many bits as such a mask may have */

static inline u16 wlb_wccp_mask_port(const struct wlb_wccp_mask *m, unsigned int field)
{
	return field ? m->sport : m->dport;
}

/* Set bits of @mask among the fields of a service of @addr_len octets an address. */
static inline unsigned int wlb_wccp_mask_bits(const struct wlb_wccp_mask *mask, u8 addr_len)
{
	unsigned int bits = 0, i, v;

	for (v = mask->sport; v; v &= v - 1)
		bits++;
	for (v = mask->dport; v; v &= v - 1)
		bits++;
	for (i = 0; i < addr_len; i++) {
		for (v = mask->src[i]; v; v &= v - 1)
			bits++;
		for (v = mask->dst[i]; v; v &= v - 1)
			bits++;
	}
	return bits;
}

/* The value sequence number of @key under @mask of WLB_WCCP_VSN_BITS bits or fewer. */
static inline u32 wlb_wccp_vsn(const struct wlb_redirect_key *key,
			       const struct wlb_wccp_mask *mask)
{
	unsigned int field, bit, n = 0;
	u32 vsn = 0;
	int i;

	for (field = 0; field < 2; field++) {
		u16 port = field ? key->sport : key->dport;

		for (bit = 0; bit < 16; bit++)
			if (wlb_wccp_mask_port(mask, field) >> bit & 1U)
				vsn |= (u32)(port >> bit & 1U) << n++;
	}
	for (field = 0; field < 2; field++) {
		const u8 *octets = field ? key->src : key->dst;
		const u8 *wanted = field ? mask->src : mask->dst;

		for (i = key->addr_len - 1; i >= 0; i--)
			for (bit = 0; bit < 8; bit++)
				if (wanted[i] >> bit & 1U)
					vsn |= (u32)(octets[i] >> bit & 1U) << n++;
	}
	return vsn;
}

/* The inverse: the value of @mask that @vsn stands for. Bits of @vsn past the mask's are lost. */
static inline void wlb_wccp_vsn_value(const struct wlb_wccp_mask *mask, u8 addr_len, u32 vsn,
				      struct wlb_wccp_mask *value)
{
	unsigned int field, bit, n = 0;
	int i;

	memset(value, 0, sizeof(*value));
	for (field = 0; field < 2; field++) {
		u16 *port = field ? &value->sport : &value->dport;

		for (bit = 0; bit < 16; bit++)
			if (wlb_wccp_mask_port(mask, field) >> bit & 1U)
				*port |= (u16)((vsn >> n++ & 1U) << bit);
	}
	for (field = 0; field < 2; field++) {
		const u8 *wanted = field ? mask->src : mask->dst;
		u8 *octets = field ? value->src : value->dst;

		for (i = addr_len - 1; i >= 0; i--)
			for (bit = 0; bit < 8; bit++)
				if (wanted[i] >> bit & 1U)
					octets[i] |= (u8)((vsn >> n++ & 1U) << bit);
	}
}

/*
 * The redirect header (D01 4.12.1, R1 3.12.1): flags, service, alternative bucket, primary
 * bucket. It follows the 4 octets of GRE.
 */
#define WLB_REDIRECT_LEN	4
#define WLB_REDIRECT_GRE_PROTO	0x883e	/* in GRE's header without options */
#define WLB_REDIRECT_DYNAMIC	0x01	/* type of service; else a standard one */
#define WLB_REDIRECT_ALT	0x02	/* the alternative bucket was used */
#define WLB_REDIRECT_NULL	0x04	/* the rest tells nothing; R1 */

struct wlb_redirect_hdr {
	u8 flags;		/* WLB_REDIRECT_* */
	u8 service;
	u8 alt;			/* buckets, 0 with mask assignment */
	u8 primary;
};

/* Writes WLB_REDIRECT_LEN octets to @p. */
static inline void wlb_redirect_write(u8 *p, const struct wlb_redirect_hdr *h)
{
	p[0] = h->flags & (WLB_REDIRECT_DYNAMIC | WLB_REDIRECT_ALT | WLB_REDIRECT_NULL);
	p[1] = h->service;
	p[2] = h->alt;
	p[3] = h->primary;
}

/*
 * Reads WLB_REDIRECT_LEN octets at @p. False if they are no redirect header but the start
 * of an IPv4 packet, as version 1 sends it: no flags have 4 as their upper half.
 */
static inline bool wlb_redirect_read(const u8 *p, struct wlb_redirect_hdr *h)
{
	if (p[0] >> 4 == 4)
		return false;
	memset(h, 0, sizeof(*h));
	h->flags = p[0] & (WLB_REDIRECT_DYNAMIC | WLB_REDIRECT_ALT | WLB_REDIRECT_NULL);
	if (h->flags & WLB_REDIRECT_NULL) {
		h->flags = WLB_REDIRECT_NULL;
		return true;
	}
	h->service = p[1];
	h->alt = p[2];
	h->primary = p[3];
	return true;
}

#endif /* WLB_REDIRECT_H */
