/* SPDX-License-Identifier: GPL-2.0-only */
/* How many clones a server's gateway makes in a second, at the most. */
#ifndef WLB_LIMIT_H
#define WLB_LIMIT_H

#include "net.h"

/*
 * A rate with a burst of one second's worth, as the time until which all that was
 * taken lasts (GCRA, ITU-T I.371): one word, no lock.
 */
struct wlb_limit {
	atomic64_t until;	/* ns, ktime_get_ns() */
};

/* Takes @n at once, or nothing. @rate: so many in a second, not 0. */
bool wlb_limit_take(struct wlb_limit *limit, u32 rate, unsigned int n, u64 now);

/*
 * A limit for each pair of a source prefix, /24 or /64, and a server: in a table of
 * fixed size, which no flood makes grow. Pairs that share a place in it share the
 * limit; each has two places, and one that is left over will do. So a pair alone gets
 * exactly the rate, and none more than twice.
 */
struct wlb_limits;

struct wlb_limits *wlb_limits_alloc(void);
void wlb_limits_free(struct wlb_limits *limits);
bool wlb_limits_take(struct wlb_limits *limits, const union wlb_addr *source,
		     const union wlb_addr *server, bool v6, u32 rate,
		     unsigned int n, u64 now);

#endif /* WLB_LIMIT_H */
