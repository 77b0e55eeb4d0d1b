/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which seat of an assignment a packet has, and a reassignment that TCP flows do
 * not notice: while it drains, a flow that began before stays with the cache that
 * had it, and one that begins is remembered with the cache that it was given.
 *
 * What was in force when the drain began tells of every flow that is not
 * remembered, so that only flows whose cache has changed cost memory, and a
 * second reassignment in the meantime changes nothing for either. The way back
 * does not pass here: a flow is remembered until the drain ends or its client
 * resets it. UDP and others go to the new cache at once.
 */
#ifndef WLB_DRAIN_H
#define WLB_DRAIN_H

#include "group.h"
#include "passer.h"

/* Among wlb_member.id: a free slot, and "no cache at all". */
#define WLB_MEMBER_FREE		0
#define WLB_MEMBER_NONE		0xffff

#define WLB_SEAT_NONE		0xff

/* A packet as a mask sees it, octet by octet. */
enum {
	WLB_KEY_DPORT = 0,
	WLB_KEY_SPORT = 2,
	WLB_KEY_DST = 4,
	WLB_KEY_SRC = 20,
	WLB_KEY_LEN = 36,
};

struct wlb_choice {
	u8 seat;			/* or WLB_SEAT_NONE */
	u8 primary, alt;		/* buckets, 0 with masks */
	bool alt_used;
	bool kept;			/* not where a new flow would go */
	bool full;			/* the table was, this once */
};

/* The bucket that was decisive. */
static inline u8 wlb_choice_bucket(const struct wlb_choice *choice)
{
	return choice->alt_used ? choice->alt : choice->primary;
}

void wlb_choose(const struct wlb_assign *assign, const struct wlb_passer *p,
		struct wlb_choice *choice);

/*
 * Makes @assign, which is to replace @old (or NULL), drain for @seconds. 0 or
 * -ENOMEM. Under the lock.
 */
int wlb_drain_begin(struct wlb_group_state *state, struct wlb_assign *assign,
		    const struct wlb_assign *old, u32 seconds);
void wlb_drain_free(struct wlb_drain *drain);
void wlb_flights_free(struct wlb_flights *flights);

#endif /* WLB_DRAIN_H */
