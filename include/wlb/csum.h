/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Internet checksum by difference (RFC 1624, eqn. 3).
 *
 * A delta is the one's complement sum of what came and what went, as 16-bit
 * words in the order in which they lie in memory; sums do not depend on the
 * byte order (RFC 1071 2.B), so neither does this code. Words must begin at an
 * even offset from the start of what the checksum covers.
 */
#ifndef WLB_CSUM_H
#define WLB_CSUM_H

#include "types.h"

static inline u16 wlb_csum_fold(u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (u16)sum;
}

/* Sum of @len (even) bytes at @p, which need not be aligned. */
static inline u32 wlb_csum_bytes(const void *p, unsigned int len)
{
	const u8 *b = (const u8 *)p;
	u32 sum = 0;
	u16 word;

	for (; len >= 2; len -= 2, b += 2) {
		memcpy(&word, b, sizeof(word));
		sum += word;
	}
	return sum;
}

/* Delta of @len (even) bytes that change from @from to @to. */
static inline u16 wlb_csum_delta(const void *from, const void *to,
				 unsigned int len)
{
	return wlb_csum_fold((u64)(u16)~wlb_csum_fold(wlb_csum_bytes(from, len)) +
			     wlb_csum_bytes(to, len));
}

static inline u16 wlb_csum_delta16(u16 from, u16 to)
{
	return wlb_csum_fold((u64)(u16)~from + to);
}

static inline u16 wlb_csum_delta_add(u16 a, u16 b)
{
	return wlb_csum_fold((u64)a + b);
}

/* A finished checksum (complemented, as on the wire) after @delta. */
static inline u16 wlb_csum_fix(u16 check, u16 delta)
{
	return (u16)~wlb_csum_fold((u64)(u16)~check + delta);
}

/*
 * An unfinished one after @delta to its pseudo-header: with CHECKSUM_PARTIAL
 * the field holds the pseudo-header's sum, not complemented.
 */
static inline u16 wlb_csum_fix_partial(u16 sum, u16 delta)
{
	return wlb_csum_fold((u64)sum + delta);
}

#endif /* WLB_CSUM_H */
