/* SPDX-License-Identifier: GPL-2.0-only */
/* Congestion marks of an outer header, and what becomes of the inner: RFC 6040 4.2. */
#ifndef WLB_SHIM_INET_ECN_H
#define WLB_SHIM_INET_ECN_H

#include <linux/skbuff.h>

#define INET_ECN_NOT_ECT	0
#define INET_ECN_ECT_1		1
#define INET_ECN_ECT_0		2
#define INET_ECN_CE		3
#define INET_ECN_MASK		3

static inline bool INET_ECN_is_ce(u8 tos)
{
	return (tos & INET_ECN_MASK) == INET_ECN_CE;
}

static inline bool INET_ECN_is_not_ect(u8 tos)
{
	return (tos & INET_ECN_MASK) == INET_ECN_NOT_ECT;
}

static inline u8 ipv6_get_dsfield(const struct ipv6hdr *ih)
{
	const u8 *byte = (const u8 *)ih;

	return byte[0] << 4 | byte[1] >> 4;
}

static inline void shim_set_ecn(struct sk_buff *skb, u8 ecn)
{
	u8 *byte = skb->head + skb->network_header;
	u16 from, to;

	memcpy(&from, byte, 2);
	if (byte[0] >> 4 == 6)
		byte[1] = (byte[1] & 0xcf) | ecn << 4;
	else
		byte[1] = (byte[1] & 0xfc) | ecn;
	memcpy(&to, byte, 2);
	if (byte[0] >> 4 == 4)
		csum_replace2(&ip_hdr(skb)->check, from, to);
	else if (skb->ip_summed == CHECKSUM_COMPLETE)
		skb->csum = csum_add(csum_sub(skb->csum, from), to);
}

static inline int INET_ECN_decapsulate(struct sk_buff *skb, u8 outer, u8 inner)
{
	if (INET_ECN_is_not_ect(inner))
		return INET_ECN_is_ce(outer) ? 2 : 0;
	if (INET_ECN_is_ce(outer))
		shim_set_ecn(skb, INET_ECN_CE);
	else if ((outer & INET_ECN_MASK) == INET_ECN_ECT_1 &&
		 (inner & INET_ECN_MASK) == INET_ECN_ECT_0)
		shim_set_ecn(skb, INET_ECN_ECT_1);
	return 0;
}

#endif
