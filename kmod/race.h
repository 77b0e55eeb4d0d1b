/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The last races of a client gateway: who answered, when, who won. Kept apart
 * from the flows, which pay nothing for it.
 */
#ifndef WLB_RACE_H
#define WLB_RACE_H

#include "flow.h"

struct wlb_races *wlb_races_alloc(void);
void wlb_races_free(struct wlb_races *races);

/*
 * Notes an answer to @f of the address @from. @won: it is the first good one,
 * @syn_us the clock of the SYN that it answers. Bucket lock held.
 */
void wlb_race_answer(struct wlb_net *wn, const struct wlb_flow *f, u32 hash,
		     const union wlb_addr *from, bool won, u32 syn_us);

static inline u32 wlb_now_us(void)
{
	return ktime_to_us(ktime_get());
}

int wlb_race_dump(struct wlb_races *races, struct sk_buff *msg,
		  struct netlink_callback *cb);

#endif /* WLB_RACE_H */
