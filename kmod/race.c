// SPDX-License-Identifier: GPL-2.0-only
/* The log of races. */
#include <linux/slab.h>
#include <net/genetlink.h>

#include "conf.h"
#include "genl.h"
#include "race.h"

#define WLB_RACE_SLOTS	1024
#define WLB_RACE_FINDERS	4096

struct wlb_race_slot {
	spinlock_t lock;	/* of the rest; inside a flow bucket's */
	bool v6;
	u8 n_answers;
	__be16 client_port;
	__be16 server_port;
	u32 isn;
	u32 syn_us;
	u64 id;			/* 0: nothing here */
	u64 time_ns;
	union wlb_addr client;
	union wlb_addr server;
	struct {
		union wlb_addr addr;
		u32 delay_us;
		bool won;
	} answer[WLB_MAX_ANSWERS];
};

/* Slots by turns, so that the latest are all there; who answers later finds his by hash. */
struct wlb_races {
	atomic64_t last_id;
	u16 finder[WLB_RACE_FINDERS];	/* the slot of the latest race of this hash */
	struct wlb_race_slot slot[WLB_RACE_SLOTS];
};

struct wlb_races *wlb_races_alloc(void)
{
	struct wlb_races *races = kvzalloc(sizeof(*races), GFP_KERNEL_ACCOUNT);
	unsigned int i;

	for (i = 0; races && i < WLB_RACE_SLOTS; i++)
		spin_lock_init(&races->slot[i].lock);
	return races;
}

void wlb_races_free(struct wlb_races *races)
{
	kvfree(races);
}

static int wlb_race_put(struct sk_buff *msg, const struct wlb_race_slot *r)
{
	struct nlattr *nest = nla_nest_start(msg, WLB_A_RACE), *inner;
	unsigned int i;

	if (!nest ||
	    nla_put_u64_64bit(msg, WLB_RACE_A_ID, r->id, WLB_RACE_A_PAD) ||
	    wlb_put_addr(msg, WLB_RACE_A_CLIENT, &r->client, r->v6) ||
	    nla_put_u16(msg, WLB_RACE_A_CLIENT_PORT, ntohs(r->client_port)) ||
	    wlb_put_addr(msg, WLB_RACE_A_SERVER, &r->server, r->v6) ||
	    nla_put_u16(msg, WLB_RACE_A_SERVER_PORT, ntohs(r->server_port)) ||
	    nla_put_u64_64bit(msg, WLB_RACE_A_TIME, r->time_ns, WLB_RACE_A_PAD))
		return -EMSGSIZE;
	for (i = 0; i < r->n_answers; i++) {
		inner = nla_nest_start(msg, WLB_RACE_A_ANSWER);
		if (!inner ||
		    wlb_put_addr(msg, WLB_ANSWER_A_ADDRESS, &r->answer[i].addr,
				 r->v6) ||
		    nla_put_u32(msg, WLB_ANSWER_A_DELAY, r->answer[i].delay_us) ||
		    (r->answer[i].won && nla_put_flag(msg, WLB_ANSWER_A_WON)))
			return -EMSGSIZE;
		nla_nest_end(msg, inner);
	}
	nla_nest_end(msg, nest);
	return 0;
}

static void wlb_race_notify(struct wlb_net *wn, const struct wlb_race_slot *r)
{
	struct sk_buff *msg;
	void *hdr;

	if (!genl_has_listeners(&wlb_genl_family, wn->net, WLB_GENL_GRP_RACE))
		return;
	msg = genlmsg_new(NLMSG_GOODSIZE, GFP_ATOMIC);
	if (!msg)
		return;
	hdr = genlmsg_put(msg, 0, 0, &wlb_genl_family, 0, WLB_CMD_RACE_EVENT);
	if (!hdr || wlb_race_put(msg, r)) {
		nlmsg_free(msg);
		return;
	}
	genlmsg_end(msg, hdr);
	genlmsg_multicast_netns(&wlb_genl_family, wn->net, msg, 0,
				WLB_GENL_GRP_RACE, GFP_ATOMIC);
}

void wlb_race_answer(struct wlb_net *wn, const struct wlb_flow *f, u32 hash,
		     const union wlb_addr *from, bool won, u32 syn_us)
{
	u16 *finder = &wn->races->finder[hash % WLB_RACE_FINDERS];
	const union wlb_addr *client = wlb_flow_client(f);
	bool v6 = wlb_flow_is_v6(f);
	const union wlb_addr *server = wlb_flow_server(f, v6);
	struct wlb_race_slot *r;
	ktime_t now = ktime_get();
	u64 id = 0;

	if (won) {
		id = atomic64_inc_return(&wn->races->last_id);
		WRITE_ONCE(*finder, id % WLB_RACE_SLOTS);
	}
	r = &wn->races->slot[READ_ONCE(*finder)];
	spin_lock(&r->lock);
	if (won) {
		r->v6 = v6;
		r->n_answers = 0;
		r->client_port = f->client_port;
		r->server_port = f->server_port;
		r->isn = f->fsm.isn;
		r->syn_us = syn_us;
		r->id = id;
		r->time_ns = ktime_to_ns(ktime_mono_to_real(now));
		memcpy(&r->client, client, wlb_addr_len(v6));
		memcpy(&r->server, server, wlb_addr_len(v6));
	} else if (!r->id || r->isn != f->fsm.isn || r->v6 != v6 ||
		   r->client_port != f->client_port ||
		   r->server_port != f->server_port ||
		   !wlb_addr_eq(&r->client, client, v6) ||
		   !wlb_addr_eq(&r->server, server, v6)) {
		goto out;	/* a newer race has taken the slot, or the hash */
	}
	if (r->n_answers == WLB_MAX_ANSWERS)
		goto out;
	r->answer[r->n_answers].addr = *from;
	r->answer[r->n_answers].delay_us = (u32)ktime_to_us(now) - r->syn_us;
	r->answer[r->n_answers].won = won;
	r->n_answers++;
	wlb_race_notify(wn, r);
out:
	spin_unlock(&r->lock);
}

int wlb_race_dump(struct wlb_races *races, struct sk_buff *msg,
		  struct netlink_callback *cb)
{
	unsigned long *slot = &cb->args[0];
	void *hdr;
	int err;

	for (; *slot < WLB_RACE_SLOTS; (*slot)++) {
		struct wlb_race_slot *r = &races->slot[*slot];

		if (!READ_ONCE(r->id))
			continue;
		hdr = wlb_genl_put(msg, cb, WLB_CMD_RACE_GET);
		if (!hdr)
			break;
		spin_lock_bh(&r->lock);
		err = wlb_race_put(msg, r);
		spin_unlock_bh(&r->lock);
		if (err) {
			genlmsg_cancel(msg, hdr);
			break;
		}
		genlmsg_end(msg, hdr);
	}
	return msg->len;
}
