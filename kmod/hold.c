// SPDX-License-Identifier: GPL-2.0-only
/* Packets held for race mode `equal`. */
#include <linux/netfilter_bridge.h>
#include <linux/netfilter_ipv4.h>
#include <linux/slab.h>
#include <linux/timerqueue.h>

#include "clone.h"
#include "compat.h"
#include "hold.h"

#define WLB_HOLD_MAX	16384	/* packets of one namespace */

struct wlb_held {
	struct timerqueue_node when;
	struct sk_buff *skb;
	bool is_clone;
	union {
		struct wlb_tunnel tunnel;
		struct nf_hook_state state;
	};
};

struct wlb_hold {
	struct wlb_net *wn;
	spinlock_t lock;	/* of queue, n and the timer */
	struct timerqueue_head queue;
	unsigned int n;
	struct hrtimer timer;
};

/* The first hook behind ours, whatever has come or gone since. */
static int wlb_held_hooks(struct wlb_held *h)
{
	struct nf_hook_state *state = &h->state;
	struct netns_nf *nf = &state->net->nf;
	const struct nf_hook_entries *e;
	struct nf_hook_ops **ops;
	unsigned int i;

	if (state->pf == NFPROTO_IPV6)
		e = rcu_dereference(nf->hooks_ipv6[state->hook]);
	else
		e = rcu_dereference(nf->hooks_ipv4[state->hook]);
	if (!e)
		return 1;
	ops = nf_hook_entries_get_hook_ops(e);
	for (i = 0; i < e->num_hook_entries; i++)
		if (READ_ONCE(ops[i])->priority > WLB_SG_PRIORITY)
			break;
	return nf_hook_slow(h->skb, state, e, i);
}

static void wlb_held_put(struct wlb_held *h)
{
	if (!h->is_clone) {
		dev_put(h->state.in);
		dev_put(h->state.out);
	}
	kfree(h);
}

/* BH off: the packet goes where it would have gone. */
static void wlb_held_release(struct wlb_hold *hold, struct wlb_held *h)
{
	rcu_read_lock();
	if (h->is_clone)
		wlb_count(hold->wn, wlb_clone_send(hold->wn, h->skb, &h->tunnel) ?
			  WLB_STAT_clone_failed : WLB_STAT_clone_sent);
	else if (wlb_held_hooks(h) == 1)
		h->state.okfn(h->state.net, h->state.sk, h->skb);
	rcu_read_unlock();
	wlb_held_put(h);
}

/* The earliest packet if it is due at @now; else the timer is set for it. */
static struct wlb_held *wlb_hold_next(struct wlb_hold *hold, ktime_t now)
{
	struct timerqueue_node *node;

	spin_lock_bh(&hold->lock);
	node = timerqueue_getnext(&hold->queue);
	if (node && node->expires <= now) {
		timerqueue_del(&hold->queue, node);
		WRITE_ONCE(hold->n, hold->n - 1);
	} else {
		if (node)
			hrtimer_start(&hold->timer, node->expires,
				      HRTIMER_MODE_ABS_SOFT);
		node = NULL;
	}
	spin_unlock_bh(&hold->lock);
	return node ? container_of(node, struct wlb_held, when) : NULL;
}

static enum hrtimer_restart wlb_hold_expire(struct hrtimer *timer)
{
	struct wlb_hold *hold = container_of(timer, struct wlb_hold, timer);
	struct wlb_held *h;

	while ((h = wlb_hold_next(hold, ktime_get())))
		wlb_held_release(hold, h);
	/* restarted above if need be: somebody else may have done so as well */
	return HRTIMER_NORESTART;
}

static bool wlb_hold_add(struct wlb_hold *hold, struct wlb_held *h, u32 us)
{
	bool room;

	timerqueue_init(&h->when);
	h->when.expires = ktime_add_us(ktime_get(), us);
	spin_lock_bh(&hold->lock);
	room = hold->n < WLB_HOLD_MAX;
	if (room) {
		WRITE_ONCE(hold->n, hold->n + 1);
		if (timerqueue_add(&hold->queue, &h->when))
			hrtimer_start(&hold->timer, h->when.expires,
				      HRTIMER_MODE_ABS_SOFT);
	}
	spin_unlock_bh(&hold->lock);
	return room;
}

bool wlb_hold_clone(struct wlb_hold *hold, struct sk_buff *skb,
		    const struct wlb_tunnel *tunnel, u32 us)
{
	struct wlb_held *h = kmalloc(sizeof(*h), GFP_ATOMIC);

	if (!h)
		return false;
	h->skb = skb;
	h->is_clone = true;
	h->tunnel = *tunnel;
	if (wlb_hold_add(hold, h, us))
		return true;
	kfree(h);
	wlb_count(hold->wn, WLB_STAT_hold_full);
	return false;
}

bool wlb_hold_original(struct wlb_hold *hold, struct sk_buff *skb,
		       const struct nf_hook_state *state, u32 us)
{
	struct wlb_held *h;

	/* what a bridge or an early socket lookup lends is theirs to keep */
	if (nf_bridge_info_exists(skb) || skb_sk_is_prefetched(skb))
		return false;
	/* a route that is being deleted cannot be held */
	if (skb_dst(skb) && !skb_dst_force(skb))
		return false;
	h = kmalloc(sizeof(*h), GFP_ATOMIC);
	if (!h)
		return false;
	h->skb = skb;
	h->is_clone = false;
	h->state = *state;
	dev_hold(state->in);
	dev_hold(state->out);
	if (wlb_hold_add(hold, h, us))
		return true;
	wlb_held_put(h);
	wlb_count(hold->wn, WLB_STAT_hold_full);
	return false;
}

u32 wlb_hold_count(const struct wlb_hold *hold)
{
	return hold ? READ_ONCE(hold->n) : 0;
}

struct wlb_hold *wlb_hold_alloc(struct wlb_net *wn)
{
	struct wlb_hold *hold = kzalloc(sizeof(*hold), GFP_KERNEL_ACCOUNT);

	if (!hold)
		return NULL;
	hold->wn = wn;
	spin_lock_init(&hold->lock);
	timerqueue_init_head(&hold->queue);
	wlb_hrtimer_setup(&hold->timer, wlb_hold_expire, CLOCK_MONOTONIC,
			  HRTIMER_MODE_ABS_SOFT);
	return hold;
}

void wlb_hold_flush(struct wlb_hold *hold)
{
	struct wlb_held *h;

	local_bh_disable();
	while ((h = wlb_hold_next(hold, KTIME_MAX)))
		wlb_held_release(hold, h);
	local_bh_enable();
}

void wlb_hold_free(struct wlb_hold *hold)
{
	if (!hold)
		return;
	wlb_hold_flush(hold);
	hrtimer_cancel(&hold->timer);
	kfree(hold);
}

void wlb_hold_dev_down(struct wlb_hold *hold, const struct net_device *dev)
{
	struct timerqueue_node *node, *next;
	struct wlb_held *h;

	spin_lock_bh(&hold->lock);
	for (node = timerqueue_getnext(&hold->queue); node; node = next) {
		next = timerqueue_iterate_next(node);
		h = container_of(node, struct wlb_held, when);
		if (h->is_clone || (h->state.in != dev && h->state.out != dev))
			continue;
		timerqueue_del(&hold->queue, node);
		WRITE_ONCE(hold->n, hold->n - 1);
		kfree_skb(h->skb);
		wlb_held_put(h);
		wlb_count(hold->wn, WLB_STAT_hold_dropped);
	}
	spin_unlock_bh(&hold->lock);
}
