// SPDX-License-Identifier: GPL-2.0-only
#include <linux/random.h>
#include <linux/slab.h>

#include "hash.h"
#include "limit.h"

#define WLB_LIMITS_PLACES	8192

struct wlb_limits {
	siphash_key_t key;
	struct wlb_limit place[2][WLB_LIMITS_PLACES];
};

bool wlb_limit_take(struct wlb_limit *limit, u32 rate, unsigned int n, u64 now)
{
	u64 cost = div_u64((u64)n * NSEC_PER_SEC, rate);
	s64 until = atomic64_read(&limit->until);
	u64 from;

	do {
		from = max_t(u64, until, now);
		/* who has taken nothing lately may, however little a second's worth is */
		if (from != now && from + cost > now + NSEC_PER_SEC)
			return false;
	} while (!atomic64_try_cmpxchg(&limit->until, &until, from + cost));
	return true;
}

struct wlb_limits *wlb_limits_alloc(void)
{
	struct wlb_limits *limits = kvzalloc(sizeof(*limits), GFP_KERNEL_ACCOUNT);

	if (limits)
		get_random_bytes(&limits->key, sizeof(limits->key));
	return limits;
}

void wlb_limits_free(struct wlb_limits *limits)
{
	kvfree(limits);
}

bool wlb_limits_take(struct wlb_limits *limits, const union wlb_addr *source,
		     const union wlb_addr *server, bool v6, u32 rate,
		     unsigned int n, u64 now)
{
	u64 hash = wlb_site_hash(&limits->key, source, server, v6);
	bool one, other;

	one = wlb_limit_take(&limits->place[0][(u32)hash % WLB_LIMITS_PLACES],
			     rate, n, now);
	other = wlb_limit_take(&limits->place[1][(hash >> 32) % WLB_LIMITS_PLACES],
			       rate, n, now);
	return one || other;
}
