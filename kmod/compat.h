/* SPDX-License-Identifier: GPL-2.0-only */
/* The only place that knows kernel versions. Supported: 6.1 and 6.12. */
#ifndef WLB_COMPAT_H
#define WLB_COMPAT_H

#include <linux/hrtimer.h>
#include <linux/version.h>
#include <net/inet_hashtables.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "wlb needs Linux 6.1 or newer"
#endif

/* skb_gso_validate_network_len() moved in 6.5 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#include <net/gso.h>
#endif

/* hrtimer_init() gave way to hrtimer_setup() in 6.13 */
static inline void wlb_hrtimer_setup(struct hrtimer *timer,
				     enum hrtimer_restart (*fn)(struct hrtimer *),
				     clockid_t clock, enum hrtimer_mode mode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup(timer, fn, clock, mode);
#else
	hrtimer_init(timer, clock, mode);
	timer->function = fn;
#endif
}

#endif /* WLB_COMPAT_H */
