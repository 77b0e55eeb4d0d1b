// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client's gateway, inwards, before connection tracking (PRE_ROUTING): FIG
 * 5A, 5B and 5C for answers, FIG 6 for the rest. What a replica has sent, under
 * its own address or encapsulated, becomes the server's. Of any packet; carry_in.c
 * has the plain ones.
 */
#include "answer.h"
#include "conf.h"
#include "cookie.h"
#include "crack.h"
#include "direct.h"
#include "flow.h"
#include "hint.h"
#include "icmp.h"
#include "live.h"
#include "race.h"
#include "segment.h"
#include "trace.h"
#include "track.h"

/* A packet from the far side; @o is NULL unless it came encapsulated. */
struct wlb_far {
	struct wlb_pkt p;
	const struct wlb_outer *o;
	const union wlb_addr *from;	/* who really sent it */
	struct wlb_flow_key key;
	u32 hash;
};

static __always_inline void wlb_far_init(struct wlb_far *a,
					 const struct wlb_table *t,
					 const struct wlb_outer *o)
{
	a->o = o;
	a->from = o ? &o->src : &a->p.src;
	a->key.client = &a->p.dst;
	a->key.client_port = a->p.th.dest;
	a->key.server_port = a->p.th.source;
	a->key.v6 = a->p.v6;
	a->hash = wlb_flow_hash(t, &a->key);
}

static __always_inline bool wlb_far_server(const struct wlb_far *a,
					   const struct wlb_flow *f)
{
	return wlb_addr_eq(wlb_flow_server(f, a->p.v6), &a->p.src, a->p.v6);
}

/*
 * The flow that an answer is about. Several flows of a client port may await
 * one from this address (two servers, one replica): the acknowledged sequence
 * number tells them apart; what is encapsulated names the server itself.
 */
static struct wlb_flow *wlb_flow_answered(struct wlb_net *wn,
					  const struct wlb_far *a)
{
	struct wlb_flow *f, *by_addr = NULL, *any = NULL;
	struct wlb_table *t = wn->table;
	u32 isn = ntohl(a->p.th.ack_seq) - 1;

	if (a->o)
		return wlb_flow_to_server(t, a->hash, &a->key, &a->p.src);
	wlb_flow_for_each(f, t, a->hash, &a->key) {
		if (a->p.th.ack && READ_ONCE(f->fsm.isn) == isn)
			return f;
		if (wlb_flow_won_by(wn, f, a->from, a->p.v6) || wlb_far_server(a, f))
			by_addr = f;
		any = f;
	}
	return by_addr ?: any;
}

/* A SYN-ACK, or the RST to a SYN: RFC 9293 3.10.7.1. */
static bool wlb_answers_syn(const struct wlb_pkt *p)
{
	return p->th.ack && (p->th.syn || (p->th.rst && !p->th.seq));
}

static enum wlb_from wlb_answerer(const struct wlb_net *wn,
				  const struct wlb_service *service,
				  const struct wlb_flow *f,
				  const struct wlb_far *a)
{
	/* of a spoofing winner's flow, the server only ever answers the SYN */
	if (!a->o && wlb_far_server(a, f))
		return wlb_flow_spoofed(wn, f) && !wlb_answers_syn(&a->p) ?
		       WLB_FROM_WINNER : WLB_FROM_SERVER;
	if (wlb_flow_won_by(wn, f, a->from, a->p.v6))
		return WLB_FROM_WINNER;
	if (service && wlb_service_lists(service, a->from, a->p.v6))
		return WLB_FROM_REPLICA;
	return WLB_FROM_STRANGER;
}

static void wlb_answer_nonce(const struct wlb_opts *opts, struct wlb_seg *seg)
{
	/* a mirrored tag of the SYN proves nothing */
	seg->has_nonce = opts->tags && opts->tag.state == WLB_TAG_ANSWER;
	seg->nonce = opts->tag.nonce;
}

/*
 * The peer of a replica that answers so. An encapsulated answer says by its tag
 * which mode it begins; without one everything goes by tunnel, which a replica
 * takes in both.
 */
static struct wlb_peer *wlb_answer_peer(struct wlb_net *wn,
					const struct wlb_far *a,
					const struct wlb_opts *opts)
{
	u8 ret = WLB_RETURN_NAT, via = 0;

	if (a->o) {
		bool spoofs = opts->tags && opts->tag.state == WLB_TAG_ANSWER &&
			      (opts->tag.offers & WLB_OFFER_SPOOF);

		ret = spoofs ? WLB_RETURN_SPOOF : WLB_RETURN_TUNNEL;
		via = a->o->via;
	}
	return wlb_peer_get(wn->peers, a->from, a->p.v6, ret, via);
}

/* The winner's packet becomes the server's. */
static __always_inline unsigned int wlb_carry_in(struct wlb_net *wn,
						 const struct wlb_cg *cg,
						 struct sk_buff *skb,
						 struct wlb_far *a,
						 const struct wlb_flow *f)
{
	const bool raw = !a->o && wlb_far_server(a, f);
	int err = 0;

	wlb_live_heard(wlb_flow_winner(wn, f));
	if (a->o)
		err = wlb_crack(skb, &a->p, a->o, NULL);
	else if (!raw)
		err = wlb_pkt_set_addr(skb, &a->p, true,
				       wlb_flow_server(f, a->p.v6));
	if (err) {
		wlb_count(wn, WLB_STAT_translate_failed);
		return NF_DROP;
	}
	wlb_untrack(cg, skb);
	wlb_count(wn, a->o ? WLB_STAT_tunnelled_in :
		  raw ? WLB_STAT_passed_in : WLB_STAT_translated_in);
	return NF_ACCEPT;
}

/* Ours has done its work, and a mirrored one confuses. */
static int wlb_answer_untag(struct wlb_net *wn, struct sk_buff *skb,
			    const struct wlb_pkt *p, const struct wlb_opts *opts)
{
	if (!opts->tags)
		return 0;
	if (opts->tag.state != WLB_TAG_ANSWER)
		wlb_count(wn, WLB_STAT_answer_mirrored);
	return wlb_pkt_retag(skb, p, NULL);
}

/* What nobody carries on: a raw packet passes as it came, no other does. */
static unsigned int wlb_far_alien(struct wlb_net *wn, const struct wlb_far *a,
				  enum wlb_stat stat)
{
	if (!a->o)
		return NF_ACCEPT;
	wlb_count(wn, stat);
	return NF_DROP;
}

/*
 * Another than the one that this client had last, who may still answer. Once
 * the client repeats its SYN, he has had his time.
 */
static bool wlb_not_preferred(struct wlb_net *wn,
			      const struct wlb_service *service,
			      const struct wlb_flow *f, const struct wlb_far *a,
			      const struct wlb_seg *seg, enum wlb_from from)
{
	return service && service->sticky &&
	       (from == WLB_FROM_REPLICA || from == WLB_FROM_SERVER) &&
	       wlb_fsm_may_win(&f->fsm, seg) &&
	       !(f->fsm.flags & WLB_FSM_REPEATED) &&
	       wlb_hint_prefers_other(wn->hints, a->key.client,
				      wlb_flow_server(f, a->p.v6), a->p.v6,
				      a->from);
}

/*
 * Is it an answer to trust from somebody who may be asked directly the next time? As for
 * a win, of losers too. Before the state machine has it.
 */
static bool wlb_answer_teaches(const struct wlb_service *service,
			       const struct wlb_flow *f, const struct wlb_far *a,
			       const struct wlb_seg *seg, enum wlb_from from)
{
	return service && service->race == WLB_SERVICE_DIRECT &&
	       from == WLB_FROM_REPLICA && seg->ack == f->fsm.isn + 1 &&
	       (!seg->has_nonce || (seg->nonce == f->fsm.nonce &&
				    !(f->fsm.flags & WLB_FSM_ASKED))) &&
	       !wlb_addr_eq(a->from, wlb_flow_server(f, a->p.v6), a->p.v6);
}

/* The server's gateway may give a cookie with an answer of the server's, who wins or not. */
static void wlb_answer_cookie(struct wlb_net *wn, const struct wlb_flow *f,
			      const struct wlb_far *a, const struct wlb_seg *seg,
			      const struct wlb_opts *opts, enum wlb_from from)
{
	if (from != WLB_FROM_SERVER || a->o || !opts->tag.cookie ||
	    !seg->has_nonce || seg->nonce != f->fsm.nonce ||
	    seg->ack != f->fsm.isn + 1)
		return;
	wlb_jar_put(wn->jar, a->key.client, wlb_flow_server(f, a->p.v6), a->p.v6,
		    opts->tag.cookie);
	wlb_count(wn, WLB_STAT_cookie_kept);
}

/* True if a clone of ours had asked it. */
static bool wlb_answer_learn(struct wlb_net *wn, const struct wlb_cg *cg,
			     const struct wlb_flow *f, const struct wlb_far *a,
			     bool won)
{
	struct wlb_syn syn = {
		.key = &a->key, .server = wlb_flow_server(f, a->p.v6),
		.isn = f->fsm.isn,
	};

	return wlb_direct_answered(wn, cg, &syn, a->from, a->o ? a->o->via : -1,
				   won);
}

/*
 * What the outcome of a race tells for the next one. @direct: the winner was asked by a
 * clone of ours, which tells nothing of the path to the server.
 */
static void wlb_race_learn(struct wlb_net *wn, const struct wlb_cg *cg,
			   const struct wlb_service *service,
			   const struct wlb_flow *f, const struct wlb_far *a,
			   bool plain, bool direct)
{
	const union wlb_addr *server = wlb_flow_server(f, a->p.v6);

	if (service && service->sticky)
		wlb_hint_winner(wn->hints, a->key.client, server, a->p.v6,
				a->from, service->sticky);
	if (cg->untagged && !direct)
		wlb_hint_answered(wn->hints, server, a->p.v6, plain,
				  cg->untagged);
}

/*
 * A replica that would spoof asks whether that arrives: RFC 2827 may be in the
 * way. A segment under the server's address with the race's nonce, which only
 * those that were asked know, at the place where the winner is, which only the
 * winner does.
 */
static struct wlb_peer *wlb_probed(const struct wlb_net *wn,
				   const struct wlb_flow *f,
				   const struct wlb_opts *opts,
				   const struct wlb_seg *seg)
{
	struct wlb_peer *peer = wlb_flow_winner(wn, f);

	if (!opts->tags || opts->tag.state != WLB_TAG_ANSWER ||
	    !(opts->tag.offers & WLB_OFFER_SPOOF) ||
	    seg->flags != WLB_TCP_ACK || seg->len || !peer ||
	    peer->ret != WLB_RETURN_TUNNEL ||
	    (f->fsm.flags & WLB_FSM_ASKED) ||
	    opts->tag.nonce != f->fsm.nonce ||
	    seg->seq != READ_ONCE(f->fsm.ack[WLB_DIR_CLIENT]))
		return NULL;
	return peer;
}

static void wlb_probe_echo(struct wlb_net *wn, const struct wlb_far *a,
			   const struct wlb_peer *peer, u16 nonce)
{
	struct wlb_outer o = {
		.src = peer->addr, .dst = *a->key.client, .via = peer->via,
	};

	if (!wlb_probe_send(wn, &a->p, &o, nonce))
		wlb_count(wn, WLB_STAT_probe_echoed);
}

/*
 * A segment that may change a flow's state, from the far side. The winner's
 * peer is made before the state machine is asked, which cannot be asked twice.
 */
static unsigned int wlb_cg_far_control(struct wlb_net *wn,
				       const struct wlb_cg *cg,
				       struct sk_buff *skb, struct wlb_far *a)
{
	const struct wlb_service *service;
	struct wlb_peer *peer = NULL, *probed = NULL;
	enum wlb_verdict verdict = WLB_PASS;
	struct wlb_pkt *p = &a->p;
	bool synack = p->th.syn && p->th.ack;
	struct wlb_opts opts = {};
	struct wlb_table *t = wn->table;
	u8 buf[WLB_TCP_HDR_MAX];
	int stat = WLB_NO_STAT;
	bool racing, plain, teaches, direct = false;
	enum wlb_from from;
	struct wlb_flow *f;
	struct wlb_seg seg;
	unsigned int out;
	u32 syn_us;

	if (!wlb_flow_answered(wn, a) || !wlb_pkt_sane(p))
		return wlb_far_alien(wn, a, WLB_STAT_tunnel_no_flow);
	if (!wlb_pkt_csum_ok(skb, p)) {
		wlb_count(wn, WLB_STAT_answer_bad_checksum);
		return a->o ? NF_DROP : NF_ACCEPT;
	}
	service = wlb_cg_service(cg, ntohs(p->th.source));
	wlb_pkt_seg(p, &seg);
	if (synack || (!a->o && wlb_pkt_control(p) == WLB_TCP_ACK))
		wlb_pkt_options(skb, p, buf, &opts);
	if (synack)
		wlb_answer_nonce(&opts, &seg);

	wlb_flow_lock(t, a->hash);
	f = wlb_flow_answered(wn, a);
	if (!f)
		goto unlock;
	from = wlb_answerer(wn, service, f, a);
	if (synack)
		wlb_answer_cookie(wn, f, a, &seg, &opts, from);
	racing = f->fsm.state == WLB_FLOW_RACING;
	plain = racing && (f->fsm.flags & WLB_FSM_UNTAGGED);
	/* of a flow that is carried it is end[], which moves without the lock */
	syn_us = READ_ONCE(f->fsm.syn_us);
	teaches = synack && wlb_answer_teaches(service, f, a, &seg, from);
	if (synack && wlb_not_preferred(wn, service, f, a, &seg, from)) {
		if (teaches)
			wlb_answer_learn(wn, cg, f, a, false);
		stat = WLB_STAT_answer_not_preferred;
		verdict = WLB_RESET;
		goto unlock;
	}
	if (synack && from == WLB_FROM_REPLICA && wlb_fsm_may_win(&f->fsm, &seg)) {
		peer = wlb_answer_peer(wn, a, &opts);
		if (!peer) {
			/* the replica repeats its answer in a second */
			stat = WLB_STAT_translate_failed;
			verdict = WLB_DROP;
			goto unlock;
		}
	}
	if (from == WLB_FROM_SERVER && !synack)
		probed = wlb_probed(wn, f, &opts, &seg);
	verdict = wlb_fsm_segment(&f->fsm, &seg, from, &stat);
	if (verdict == WLB_WIN) {
		/* the peer and the state, for wlb_flow_winner() */
		smp_store_release(&f->winner, peer->id);
		peer = NULL;
	}
	if (racing && f->fsm.state != WLB_FLOW_RACING)
		wlb_flow_settled(t, f);
	if (verdict == WLB_WIN || verdict == WLB_WIN_SERVER ||
	    verdict == WLB_RESET)
		wlb_race_answer(wn, f, a->hash, a->from, verdict != WLB_RESET,
				syn_us);
	if (teaches && (verdict == WLB_WIN || verdict == WLB_RESET))
		direct = wlb_answer_learn(wn, cg, f, a, verdict == WLB_WIN);
	if (verdict == WLB_WIN || verdict == WLB_WIN_SERVER)
		wlb_race_learn(wn, cg, service, f, a,
			       plain && verdict == WLB_WIN_SERVER, direct);
	if (verdict == WLB_CARRY || verdict == WLB_WIN ||
	    (racing && f->fsm.state == WLB_FLOW_TOMBSTONE))
		wlb_flow_touch(f, wlb_fsm_timeout(&f->fsm, &cg->timeouts));
unlock:
	wlb_flow_unlock(t, a->hash);
	wlb_peer_put(peer);
	if (probed) {
		wlb_probe_echo(wn, a, probed, opts.tag.nonce);
		return NF_DROP;
	}
	if (stat != WLB_NO_STAT) {
		wlb_count(wn, stat);
		if (f)
			trace_wlb_answer(wn, &a->key, wlb_flow_server(f, p->v6), a->from,
					 wlb_trace_stat(stat));
	}

	switch (verdict) {
	case WLB_CARRY:
	case WLB_WIN:
		out = wlb_carry_in(wn, cg, skb, a, f);
		break;
	case WLB_RESET:
		return wlb_reset_send(wn, skb, p, a->o);
	case WLB_DROP:
		return NF_DROP;
	default:
		if (a->o)
			return stat == WLB_NO_STAT ?
			       wlb_far_alien(wn, a, WLB_STAT_tunnel_stray) :
			       NF_DROP;
		if (f && wlb_far_server(a, f))
			wlb_untrack(cg, skb);
		out = NF_ACCEPT;
	}
	if (out == NF_ACCEPT && f && synack &&
	    wlb_answer_untag(wn, skb, p, &opts))
		return NF_DROP;
	return out;
}

/* A segment of a flow that a replica has won, and nothing but data. */
static __always_inline unsigned int wlb_cg_far_data(struct wlb_net *wn,
						    const struct wlb_cg *cg,
						    struct sk_buff *skb,
						    struct wlb_far *a,
						    struct wlb_flow *f)
{
	struct wlb_seg seg;

	if (READ_ONCE(f->fsm.state) != WLB_FLOW_WON || !wlb_pkt_sane(&a->p) ||
	    (READ_ONCE(f->fsm.flags) & WLB_FSM_REOPEN))
		return wlb_cg_far_control(wn, cg, skb, a);
	wlb_pkt_seg(&a->p, &seg);
	wlb_fsm_track(&f->fsm, &seg, WLB_DIR_SERVER);
	wlb_flow_touch(f, cg->timeouts.established);
	return wlb_carry_in(wn, cg, skb, a, f);
}

/*
 * FIG 5B, 5C and 6C: is it in the name of a server, for a client's port that
 * has spoken to that server? Any other tunnel through us is none of ours.
 */
static unsigned int wlb_cg_tunnelled(struct wlb_net *wn, const struct wlb_cg *cg,
				     struct sk_buff *skb, bool v6)
{
	struct wlb_outer o;
	struct wlb_flow *f;
	struct wlb_far a;

	if (!(READ_ONCE(cg->carried) & ~(1U << WLB_RETURN_NAT)) ||
	    !wlb_crack_outer(skb, v6, &o) ||
	    wlb_crack_inner(skb, v6, &o, &a.p) <= 0 ||
	    !wlb_addr_eq(&a.p.dst, &o.dst, v6) ||
	    !wlb_portmap_has(&cg->map, a.p.th.source))
		return NF_ACCEPT;
	wlb_far_init(&a, wn->table, &o);
	if (wlb_crack_congested(skb, v6, &o))
		return wlb_far_alien(wn, &a, WLB_STAT_tunnel_congested);
	if (wlb_pkt_flags(&a.p) & WLB_TCP_CONTROL)
		return wlb_cg_far_control(wn, cg, skb, &a);
	f = wlb_flow_to_server(wn->table, a.hash, &a.key, &a.p.src);
	if (!f)
		return wlb_far_alien(wn, &a, WLB_STAT_tunnel_no_flow);
	if (!wlb_flow_won_by(wn, f, a.from, v6))
		return wlb_far_alien(wn, &a, WLB_STAT_tunnel_stray);
	return wlb_cg_far_data(wn, cg, skb, &a, f);
}

/*
 * An error about what we have sent to a winner. About a translated packet, it is
 * the client's to know; about a tunnel it is ours, and the client learns of it
 * by its next packet.
 */
static unsigned int wlb_cg_icmp_in(struct wlb_net *wn, const struct wlb_cg *cg,
				   struct sk_buff *skb,
				   const struct wlb_quote *q)
{
	struct wlb_flow_key key = {
		.client = &q->src, .client_port = q->sport,
		.server_port = q->dport, .v6 = q->v6,
	};
	struct wlb_icmp_change c = {};
	struct wlb_flow *f;
	int err;

	if (q->proto != IPPROTO_TCP) {
		if (!wlb_peer_tunnelled(wn->peers, &q->dst, q->v6))
			return NF_ACCEPT;
		if (q->too_big)
			wlb_icmp_learn(wn->net, skb, q, q->mtu);
		wlb_count(wn, WLB_STAT_icmp_tunnel);
		return NF_DROP;
	}
	wlb_flow_for_each(f, wn->table, wlb_flow_hash(wn->table, &key), &key)
		if (wlb_flow_won_by(wn, f, &q->dst, q->v6))
			break;
	if (!f)
		return NF_ACCEPT;
	c.quoted_dst = wlb_flow_server(f, q->v6);
	if (wlb_addr_eq(&q->from, &q->dst, q->v6))
		c.src = c.quoted_dst;
	err = wlb_icmp_change(skb, q, &c);
	if (err) {
		wlb_count(wn, err == -EBADMSG ? WLB_STAT_icmp_bad_checksum :
						WLB_STAT_translate_failed);
		return NF_DROP;
	}
	wlb_untrack(cg, skb);
	wlb_count(wn, WLB_STAT_icmp_in);
	return NF_ACCEPT;
}

/* Neither TCP nor a fragment. */
static unsigned int wlb_cg_other(struct wlb_net *wn, const struct wlb_cg *cg,
				 struct sk_buff *skb, bool v6)
{
	struct wlb_quote q;

	if (wlb_icmp_quote(skb, v6, &q))
		return wlb_cg_icmp_in(wn, cg, skb, &q);
	return wlb_cg_tunnelled(wn, cg, skb, v6);
}

unsigned int wlb_cg_in_any(struct wlb_net *wn, const struct wlb_cg *cg,
			   struct sk_buff *skb, bool v6)
{
	struct wlb_flow *f;
	struct wlb_far a;
	int ok;

	ok = wlb_pkt_parse(skb, 0, v6, &a.p);
	if (!ok)
		return wlb_cg_other(wn, cg, skb, v6);
	if (ok < 0 || !wlb_portmap_has(&cg->map, a.p.th.source))
		return NF_ACCEPT;
	wlb_far_init(&a, wn->table, NULL);
	if (wlb_pkt_flags(&a.p) & WLB_TCP_CONTROL)
		return wlb_cg_far_control(wn, cg, skb, &a);

	wlb_flow_for_each(f, wn->table, a.hash, &a.key) {
		u8 state = READ_ONCE(f->fsm.state);

		if (wlb_flow_won_by(wn, f, &a.p.src, v6))
			return wlb_cg_far_data(wn, cg, skb, &a, f);
		if (!wlb_far_server(&a, f))
			continue;
		if (wlb_flow_spoofed(wn, f))
			return wlb_cg_far_data(wn, cg, skb, &a, f);
		if (state != WLB_FLOW_RACING && state != WLB_FLOW_TOMBSTONE)
			return wlb_cg_far_control(wn, cg, skb, &a);
		wlb_untrack(cg, skb);
	}
	return NF_ACCEPT;
}
