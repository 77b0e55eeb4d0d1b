// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lease of the cache router. Its tables hold while its daemon is away, or a
 * restart would move flows; but who is away for long does not see caches die. So
 * the groups' traffic goes back to its servers then, unless it must not pass by its
 * caches (closed).
 */
#include "group.h"

void wlb_lease_begin(struct wlb_net *wn)
{
	unsigned long lease;

	if (!wn->groups || !wn->groups->lease) {
		cancel_delayed_work(&wn->lease);
		return;
	}
	lease = msecs_to_jiffies(wn->groups->lease);
	wn->lease_end = jiffies + lease;
	mod_delayed_work(system_power_efficient_wq, &wn->lease, lease);
}

/* Assignments that could not be taken away for want of memory are still there. */
static int wlb_lease_take(struct wlb_net *wn)
{
	unsigned int i, v6;
	int err;

	for (i = 0; i < wn->groups->n; i++) {
		const struct wlb_group *group = &wn->groups->group[i];

		for (v6 = 0; v6 < 2 && !group->closed; v6++) {
			if (!group->state->assign[v6])
				continue;
			err = wlb_assign_swap(wn, group->state, v6, NULL);
			if (err)
				return err;
		}
	}
	return 0;
}

void wlb_lease_over(struct work_struct *work)
{
	struct wlb_net *wn = container_of(to_delayed_work(work), struct wlb_net,
					  lease);

	mutex_lock(&wn->lock);
	/* renewed, or given up, while this waited for the lock */
	if (!wn->groups || !wn->groups->lease ||
	    time_before(jiffies, wn->lease_end))
		goto unlock;
	if (!wn->lease_ended)
		wlb_count(wn, WLB_STAT_lease_ended);
	wn->lease_ended = true;
	if (wlb_lease_take(wn))
		queue_delayed_work(system_power_efficient_wq, &wn->lease, HZ);
unlock:
	mutex_unlock(&wn->lock);
}

int wlb_lease_renew(struct sk_buff *skb, struct genl_info *info)
{
	struct wlb_net *wn = wlb_pernet(genl_info_net(info));
	int err = 0;

	mutex_lock(&wn->lock);
	if (!wn->groups || !wn->groups->lease) {
		NL_SET_ERR_MSG(info->extack, "lease: there is none");
		err = -ENOENT;
	} else if (wn->lease_ended) {
		NL_SET_ERR_MSG(info->extack,
			       "lease: has ended; groups and assignments are to be set again");
		err = -ESTALE;
	} else {
		wlb_lease_begin(wn);
	}
	mutex_unlock(&wn->lock);
	return err;
}
