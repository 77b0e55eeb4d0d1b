// SPDX-License-Identifier: GPL-2.0-only
/* Winners that die. */
#include "conf.h"
#include "live.h"
#include "segment.h"

#define WLB_LIVE_ASKED	2	/* questions without an answer before it is dead */

/* A segment in the name of one of the flow's ends, to the other. */
static int wlb_live_send(struct wlb_net *wn, const struct wlb_flow *f,
			 const struct wlb_peer *to, struct wlb_own *own)
{
	bool v6 = wlb_flow_is_v6(f);
	struct wlb_pkt p = {
		.v6 = v6, .th.source = f->server_port,
		.th.dest = f->client_port,
	};
	struct wlb_outer o;

	/* an entry has no more of them than its family has */
	memcpy(&p.src, wlb_flow_server(f, v6), wlb_addr_len(v6));
	memcpy(&p.dst, wlb_flow_client(f), wlb_addr_len(v6));
	own->to = &p;
	if (!to) {
		swap(p.src, p.dst);
		swap(p.th.source, p.th.dest);
	} else if (to->ret == WLB_RETURN_TUNNEL) {
		o = (struct wlb_outer){
			.src = to->addr, .dst = p.dst, .via = to->via,
		};
		own->o = &o;
	} else {
		p.src = to->addr;
	}
	return wlb_own_send(wn, own);
}

/* RFC 9293 3.8.4: whoever has the connection acknowledges, whoever has not resets it. */
static void wlb_live_ask(struct wlb_net *wn, const struct wlb_flow *f,
			 struct wlb_peer *peer)
{
	struct wlb_own own = {
		.seq = READ_ONCE(f->fsm.end[WLB_DIR_CLIENT]) - 1,
		.ack = READ_ONCE(f->fsm.ack[WLB_DIR_CLIENT]),
		.flags = WLB_TCP_ACK,
	};

	if (peer->asked_since != READ_ONCE(peer->heard)) {
		peer->asked_since = READ_ONCE(peer->heard);
		peer->unanswered = 0;
	}
	peer->asked = (u32)jiffies;
	/* without a way to it, it is as good as dead */
	wlb_live_send(wn, f, peer, &own);
	peer->unanswered = min(peer->unanswered + 1, 255);
	wlb_count(wn, WLB_STAT_winner_asked);
}

/* The entry lives on for a while as after any RST, and comes back if that was wrong. */
static void wlb_live_end(struct wlb_net *wn, const struct wlb_cg *cg,
			 struct wlb_flow *f, u32 bucket)
{
	struct wlb_own own = {
		.flags = WLB_TCP_RST | WLB_TCP_ACK, .tracked = !cg->notrack,
	};
	bool won;

	wlb_flow_lock(wn->table, bucket);
	won = f->fsm.state == WLB_FLOW_WON;
	if (won) {
		own.seq = READ_ONCE(f->fsm.ack[WLB_DIR_CLIENT]);
		own.ack = READ_ONCE(f->fsm.end[WLB_DIR_CLIENT]);
		wlb_fsm_mark(&f->fsm, 0, WLB_FSM_RST);
		wlb_fsm_to(&f->fsm, WLB_FLOW_CLOSING);
		wlb_flow_touch(f, cg->timeouts.reset);
	}
	wlb_flow_unlock(wn->table, bucket);
	if (!won)	/* a packet on another processor was faster */
		return;
	wlb_live_send(wn, f, NULL, &own);
	wlb_count(wn, WLB_STAT_winner_dead);
}

void wlb_live_watch(struct wlb_table *t, u32 bucket)
{
	const struct wlb_cg *cg;
	struct wlb_flow *f;
	u32 dead;

	if (hlist_empty(&t->heads[bucket]))
		return;
	local_bh_disable();
	rcu_read_lock();
	cg = rcu_dereference(t->wn->cg);
	if (!cg || !cg->dead)
		goto out;
	dead = cg->dead * HZ;
	hlist_for_each_entry_rcu(f, &t->heads[bucket], node) {
		struct wlb_peer *peer = wlb_flow_winner(t->wn, f);
		u32 silent;

		if (!peer || READ_ONCE(f->fsm.state) != WLB_FLOW_WON)
			continue;
		silent = (u32)jiffies - READ_ONCE(peer->heard);
		if (silent < dead / 2)
			continue;
		if (silent >= dead && peer->unanswered >= WLB_LIVE_ASKED &&
		    peer->asked_since == READ_ONCE(peer->heard))
			wlb_live_end(t->wn, cg, f, bucket);
		else if ((u32)jiffies - peer->asked >= dead / 8)
			wlb_live_ask(t->wn, f, peer);
	}
out:
	rcu_read_unlock();
	local_bh_enable();
}
