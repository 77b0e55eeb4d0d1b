// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client's gateway, outwards, behind source NAT (POST_ROUTING): FIG 2 for
 * start packets, FIG 6A, 6B and 6C for the rest of a flow. Between here and
 * answer.c the gateway's own firewall and NAT see a client that talks to the
 * server.
 */
#include "conf.h"
#include "cookie.h"
#include "direct.h"
#include "fast.h"
#include "flow.h"
#include "hint.h"
#include "icmp.h"
#include "plain.h"
#include "race.h"
#include "segment.h"
#include "trace.h"
#include "tunnel.h"

static __always_inline int wlb_route_out(struct wlb_net *wn, struct wlb_peer *peer,
					 struct sk_buff *skb,
					 const union wlb_addr *src, bool v6)
{
	/* the gateway's own packets come here in process context */
	bool process = wlb_bh_disable();
	int err = wlb_peer_route(peer, wn->net, skb, src, v6);

	wlb_bh_restore(process);
	return err;
}

/* FIG 6C, op 656. */
static unsigned int wlb_carry_tunnel(struct wlb_net *wn, struct sk_buff *skb,
				     struct wlb_peer *peer, bool v6)
{
	struct wlb_tunnel tunnel = {
		.to = peer->addr, .v6 = v6, .via = peer->via,
	};
	unsigned int mtu;

	memcpy(&tunnel.from, wlb_plain_src(skb, v6), wlb_addr_len(v6));
	if (wlb_route_out(wn, peer, skb, &tunnel.from, v6))
		goto failed;
	mtu = wlb_tunnel_mtu(skb_dst(skb), v6, peer->via);
	if (!wlb_tunnel_fits(skb, v6, mtu)) {
		wlb_tunnel_too_big(skb, v6, mtu);
		wlb_count(wn, WLB_STAT_too_big_out);
		return NF_DROP;
	}
	if (wlb_tunnel_push(skb, &tunnel, wlb_tunnel_tos(skb, v6)))
		goto failed;
	wlb_count(wn, WLB_STAT_tunnelled_out);
	return NF_ACCEPT;

failed:
	wlb_count(wn, WLB_STAT_translate_failed);
	return NF_DROP;
}

/* The packet goes to the winner. */
static __always_inline unsigned int wlb_carry_out(struct wlb_net *wn,
						  struct sk_buff *skb,
						  const struct wlb_pkt *p,
						  const struct wlb_flow *f)
{
	struct wlb_peer *peer = wlb_flow_winner(wn, f);

	/* a SYN to a spoofing replica's own address is for that address */
	if (peer->ret == WLB_RETURN_TUNNEL ||
	    (peer->ret == WLB_RETURN_SPOOF && wlb_pkt_is_syn(p)))
		return wlb_carry_tunnel(wn, skb, peer, p->v6);
	if (wlb_pkt_set_addr(skb, p, false, &peer->addr) ||
	    wlb_route_out(wn, peer, skb, &p->src, p->v6)) {
		wlb_count(wn, WLB_STAT_translate_failed);
		return NF_DROP;
	}
	wlb_count(wn, WLB_STAT_translated_out);
	return NF_ACCEPT;
}

/*
 * A SYN that we do not race must not ask others to: a tag that the client set
 * itself is turned to @tag, or taken out.
 */
static unsigned int wlb_syn_pass(struct sk_buff *skb, const struct wlb_pkt *p,
				 const struct wlb_opts *opts,
				 const struct wlb_tag *tag)
{
	if (opts->tags && wlb_pkt_retag(skb, p, tag))
		return NF_DROP;
	return NF_ACCEPT;
}

/* Gets what wlb_syn_tag() needs, so that it cannot fail. */
static bool wlb_syn_prepare(struct sk_buff *skb, const struct wlb_pkt *p,
			    const struct wlb_opts *opts)
{
	unsigned int len = p->off + wlb_pkt_hlen(p);

	if (opts->tags)
		return wlb_pkt_writable(skb, len);
	return pskb_may_pull(skb, len) && !skb_cow_head(skb, WLB_TAG_LEN_LONG);
}

static void wlb_syn_tag(struct sk_buff *skb, const struct wlb_pkt *p,
			const struct wlb_opts *opts, const struct wlb_tag *tag)
{
	if (opts->tags)
		WARN_ON_ONCE(wlb_pkt_retag(skb, p, tag));
	else
		WARN_ON_ONCE(wlb_pkt_insert_tag(skb, p, tag));
}

/* Reasons to leave a start packet alone that its own bytes give. */
static int wlb_syn_unfit(const struct sk_buff *skb, const struct wlb_pkt *p,
			 const struct wlb_opts *opts)
{
	if (opts->malformed)
		return WLB_STAT_syn_malformed;
	if (opts->bad_tag)
		return WLB_STAT_syn_bad_tag;
	if (!wlb_pkt_csum_ok(skb, p))
		return WLB_STAT_syn_bad_checksum;
	return WLB_NO_STAT;
}

/* Reasons to send it untagged. */
static int wlb_syn_unraced(const struct wlb_pkt *p, const struct wlb_opts *opts)
{
	/* the signature covers addresses, and with TCP-AO the options */
	if (opts->is_signed)
		return WLB_STAT_syn_signed;
	if (!opts->tags && wlb_pkt_hlen(p) + WLB_TAG_LEN > WLB_TCP_HDR_MAX)
		return WLB_STAT_syn_no_room;
	return WLB_NO_STAT;
}

/*
 * Adds a flow for a SYN. One that is not to be raced gets a tombstone: the
 * server may have had its payload already when the client repeats the SYN
 * without it (RFC 7413 4.2.1), so that nobody else may get the request.
 */
static struct wlb_flow *wlb_syn_add(struct wlb_net *wn, const struct wlb_cg *cg,
				    const struct wlb_flow_key *key, u32 hash,
				    const union wlb_addr *server, u32 isn,
				    bool race, int *stat)
{
	struct wlb_table *t = wn->table;
	struct wlb_flow *f;

	if (wlb_flow_full(t, cg->max_flows)) {
		*stat = WLB_STAT_syn_table_full;
		return NULL;
	}
	f = wlb_flow_add(t, hash, key, server, isn, cg->timeouts.racing,
			 cg->client_quota, stat);
	if (!f)
		return NULL;
	if (race) {
		*stat = WLB_STAT_syn_tagged;
	} else {
		wlb_fsm_to(&f->fsm, WLB_FLOW_TOMBSTONE);
		wlb_flow_settled(t, f);
		*stat = WLB_STAT_syn_payload;
	}
	return f;
}

/*
 * The SYN of a race goes to the server, and by the server's gateway to replicas: by the
 * race's tag. In race mode `direct` straight to those that are known, and then maybe by
 * nobody else: the server's copy says so.
 */
static void wlb_syn_offer(struct wlb_net *wn, const struct wlb_cg *cg,
			  const struct wlb_service *service, struct sk_buff *skb,
			  const struct wlb_pkt *p, const struct wlb_opts *opts,
			  const struct wlb_tag *tag, const struct wlb_syn *syn,
			  bool repeated)
{
	struct wlb_ask ask = { .permit = true };
	struct wlb_tag shown = *tag;
	struct wlb_pkt tagged;

	/* nor would replicas walk extension headers: see server_gateway.c */
	if (service->race == WLB_SERVICE_DIRECT &&
	    !(p->v6 && p->off != sizeof(struct ipv6hdr)))
		wlb_direct_ask(wn, cg, service, syn, repeated, &ask);
	if (ask.permit && wlb_pkt_hlen(p) + WLB_TAG_LEN_LONG <= WLB_TCP_HDR_MAX)
		shown.cookie = wlb_jar_get(wn->jar, &p->src, &p->dst, p->v6);
	wlb_syn_tag(skb, p, opts, ask.permit ? &shown : &wlb_tag_never);
	if (ask.n && wlb_pkt_parse(skb, 0, p->v6, &tagged) > 0)
		wlb_direct_send(wn, skb, &tagged, tag, &ask);
}

static unsigned int wlb_syn_race(struct wlb_net *wn, const struct wlb_cg *cg,
				 const struct wlb_service *service,
				 struct sk_buff *skb, const struct wlb_pkt *p,
				 const struct wlb_opts *opts, bool race)
{
	struct wlb_flow_key key = {
		.client = &p->src, .client_port = p->th.source,
		.server_port = p->th.dest, .v6 = p->v6,
	};
	struct wlb_tag tag = {
		.state = WLB_TAG_PERMITTED,
		.offers = cg->returns | WLB_OFFER_GRE,
	};
	struct wlb_syn syn = { .key = &key, .server = &p->dst };
	enum wlb_verdict verdict = WLB_RENEW;
	struct wlb_table *t = wn->table;
	u32 hash = wlb_flow_hash(t, &key);
	int stat = WLB_NO_STAT;
	bool repeated = false;
	struct wlb_seg seg;
	struct wlb_flow *f;

	wlb_pkt_seg(p, &seg);
	syn.isn = seg.seq;
	/* its own lock, so before ours; a flow that is there needs no room */
	if (wlb_flow_full(t, cg->max_flows) &&
	    !wlb_flow_to_server(t, hash, &key, &p->dst) &&
	    !wlb_flow_over_quota(t, &p->src, p->v6, cg->client_quota))
		wlb_flow_evict(t, hash);

	wlb_flow_lock(t, hash);
	f = wlb_flow_to_server(t, hash, &key, &p->dst);
	if (f)
		verdict = wlb_fsm_segment(&f->fsm, &seg, WLB_FROM_CLIENT, &stat);
	if (verdict == WLB_RENEW) {
		if (f)
			wlb_flow_del(t, f, "replaced");
		if (stat != WLB_NO_STAT)
			wlb_count(wn, stat);
		f = wlb_syn_add(wn, cg, &key, hash, &p->dst, seg.seq, race,
				&stat);
		verdict = f && race ? WLB_RACE : WLB_PASS;
	} else if (verdict == WLB_RACE || verdict == WLB_RACE_PLAIN) {
		/* end[], to a dump that takes no lock for it */
		WRITE_ONCE(f->fsm.syn_us, wlb_now_us());
		repeated = true;
		if (!race) {
			stat = WLB_STAT_syn_payload;
			verdict = WLB_PASS;
		}
	}
	if (f) {
		tag.nonce = f->fsm.nonce;
		wlb_flow_touch(f, wlb_fsm_timeout(&f->fsm, &cg->timeouts));
	}
	wlb_flow_unlock(t, hash);

	if (stat != WLB_NO_STAT)
		wlb_count_syn(wn, p, stat);
	switch (verdict) {
	case WLB_RACE:
		wlb_syn_offer(wn, cg, service, skb, p, opts, &tag, &syn, repeated);
		return NF_ACCEPT;
	case WLB_RACE_PLAIN:
		return wlb_syn_pass(skb, p, opts, NULL);
	case WLB_CARRY:
		/* hooks run under RCU: the flow is there until we leave */
		return wlb_carry_out(wn, skb, p, f);
	default:
		return wlb_syn_pass(skb, p, opts, &wlb_tag_never);
	}
}

/* FIG 2, op 204 to 214. */
static unsigned int wlb_cg_syn(struct wlb_net *wn, const struct wlb_cg *cg,
			       struct sk_buff *skb, const struct wlb_pkt *p,
			       const struct nf_hook_state *state)
{
	const struct wlb_service *service;
	u8 buf[WLB_TCP_HDR_MAX];
	struct wlb_opts opts;
	int stat;

	/* only what comes from the clients' side and leaves it, and the host */
	if (!wlb_cg_inside(cg, state->in) ||
	    (cg->n_inside && wlb_cg_inside(cg, state->out)) ||
	    (state->out->flags & IFF_LOOPBACK))
		return NF_ACCEPT;
	if (!wlb_pkt_sane(p)) {
		wlb_count_syn(wn, p, WLB_STAT_syn_malformed);
		return NF_ACCEPT;
	}
	service = wlb_cg_service(cg, ntohs(p->th.dest));
	if (!service)
		return NF_ACCEPT;
	wlb_pkt_options(skb, p, buf, &opts);
	stat = wlb_syn_unfit(skb, p, &opts);
	if (stat != WLB_NO_STAT) {
		wlb_count_syn(wn, p, stat);
		return NF_ACCEPT;
	}
	if (opts.tags && opts.tag.state == WLB_TAG_NOT_PERMITTED) {
		wlb_count_syn(wn, p, WLB_STAT_syn_opted_out);
		/* collapses duplicates to the most restrictive */
		return opts.tags > 1 ? wlb_syn_pass(skb, p, &opts, &wlb_tag_never) : NF_ACCEPT;
	}
	if (wlb_hint_is_untagged(wn->hints, &p->dst, p->v6)) {
		wlb_count_syn(wn, p, WLB_STAT_syn_untagged);
		return wlb_syn_pass(skb, p, &opts, NULL);
	}
	stat = wlb_syn_unraced(p, &opts);
	if (stat != WLB_NO_STAT) {
		wlb_count_syn(wn, p, stat);
		return wlb_syn_pass(skb, p, &opts, &wlb_tag_never);
	}
	/* each replica would execute the request */
	if (p->len > wlb_pkt_hlen(p) || opts.fast_open)
		return wlb_syn_race(wn, cg, service, skb, p, &opts, false);
	if (!wlb_syn_prepare(skb, p, &opts)) {
		wlb_count_syn(wn, p, WLB_STAT_syn_no_memory);
		return NF_ACCEPT;
	}
	if (wlb_prefixes_match(&service->never, &p->src, p->v6) ||
	    wlb_prefixes_match(&service->never, &p->dst, p->v6)) {
		wlb_count_syn(wn, p, WLB_STAT_syn_not_permitted);
		wlb_syn_tag(skb, p, &opts, &wlb_tag_never);
		return NF_ACCEPT;
	}
	return wlb_syn_race(wn, cg, service, skb, p, &opts, true);
}

/* A segment of the client that may change its flow's state. */
static unsigned int wlb_cg_client_control(struct wlb_net *wn,
					  const struct wlb_cg *cg,
					  struct sk_buff *skb,
					  const struct wlb_pkt *p,
					  const struct wlb_flow_key *key,
					  u32 hash)
{
	enum wlb_verdict verdict = WLB_PASS;
	struct wlb_table *t = wn->table;
	int stat = WLB_NO_STAT;
	struct wlb_flow *f;
	struct wlb_seg seg;

	wlb_pkt_seg(p, &seg);
	wlb_flow_lock(t, hash);
	f = wlb_flow_to_server(t, hash, key, &p->dst);
	if (f) {
		verdict = wlb_fsm_segment(&f->fsm, &seg, WLB_FROM_CLIENT, &stat);
		if (verdict == WLB_CARRY)
			wlb_flow_touch(f, wlb_fsm_timeout(&f->fsm,
							  &cg->timeouts));
	}
	wlb_flow_unlock(t, hash);
	if (stat != WLB_NO_STAT)
		wlb_count(wn, stat);
	return verdict == WLB_CARRY ? wlb_carry_out(wn, skb, p, f) : NF_ACCEPT;
}

/*
 * An error of the client, or of a router before it, about what the winner has
 * sent. In the modes spoof and tunnel the replica knows that packet as it is
 * quoted.
 */
static unsigned int wlb_cg_icmp_out(struct wlb_net *wn, struct sk_buff *skb,
				    bool v6)
{
	struct wlb_icmp_change c = {};
	struct wlb_flow_key key;
	struct wlb_peer *peer;
	struct wlb_quote q;
	struct wlb_flow *f;
	int err;

	if (!wlb_icmp_quote(skb, v6, &q) || q.proto != IPPROTO_TCP)
		return NF_ACCEPT;
	key = (struct wlb_flow_key){
		.client = &q.dst, .client_port = q.dport,
		.server_port = q.sport, .v6 = v6,
	};
	f = wlb_flow_to_server(wn->table, wlb_flow_hash(wn->table, &key), &key,
			       &q.src);
	peer = f ? wlb_flow_winner(wn, f) : NULL;
	if (!peer)
		return NF_ACCEPT;
	c.dst = &peer->addr;
	if (peer->ret == WLB_RETURN_NAT)
		c.quoted_src = &peer->addr;
	err = wlb_icmp_change(skb, &q, &c);
	if (!err)
		err = wlb_route_out(wn, peer, skb, &q.from, v6);
	if (err) {
		wlb_count(wn, err == -EBADMSG ? WLB_STAT_icmp_bad_checksum :
						WLB_STAT_translate_failed);
		return NF_DROP;
	}
	wlb_count(wn, WLB_STAT_icmp_out);
	return NF_ACCEPT;
}

/* FIG 2 and the client's half of FIG 6, of any packet. */
static noinline unsigned int wlb_cg_out_any(struct wlb_net *wn,
					    const struct wlb_cg *cg,
					    struct sk_buff *skb,
					    const struct nf_hook_state *state,
					    bool v6)
{
	struct wlb_flow_key key = { .v6 = v6 };
	struct wlb_flow *f;
	struct wlb_seg seg;
	struct wlb_pkt p;
	u32 hash;
	int ok;

	ok = wlb_pkt_parse(skb, 0, v6, &p);
	if (!ok)
		return wlb_cg_icmp_out(wn, skb, v6);
	if (ok < 0) {
		wlb_count(wn, WLB_STAT_tcp_truncated);
		return NF_ACCEPT;
	}
	if (!wlb_portmap_has(&cg->map, p.th.dest))
		return NF_ACCEPT;
	if (wlb_pkt_is_syn(&p))
		return wlb_cg_syn(wn, cg, skb, &p, state);

	key.client = &p.src;
	key.client_port = p.th.source;
	key.server_port = p.th.dest;
	hash = wlb_flow_hash(wn->table, &key);
	f = wlb_flow_to_server(wn->table, hash, &key, &p.dst);
	/* nothing but a SYN concerns a flow that no replica has won */
	if (!f || !wlb_flow_winner(wn, f) || !wlb_pkt_sane(&p))
		return NF_ACCEPT;
	if ((wlb_pkt_flags(&p) & WLB_TCP_CONTROL) ||
	    READ_ONCE(f->fsm.state) != WLB_FLOW_WON)
		return wlb_cg_client_control(wn, cg, skb, &p, &key, hash);

	wlb_pkt_seg(&p, &seg);
	wlb_fsm_track(&f->fsm, &seg, WLB_DIR_CLIENT);
	wlb_flow_touch(f, cg->timeouts.established);
	return wlb_carry_out(wn, skb, &p, f);
}

/* What comes from a service's port has passed everything; is it a winner's? */
static noinline void wlb_cg_passed(struct wlb_net *wn, const struct wlb_cg *cg,
				   const struct sk_buff *skb, const struct tcphdr *th,
				   const struct nf_hook_state *state, const bool v6)
{
	struct wlb_flow_key key = {
		.client = wlb_plain_dst(skb, v6), .client_port = th->dest,
		.server_port = th->source, .v6 = v6,
	};
	struct wlb_flow *f;

	f = wlb_flow_to_server(wn->table, wlb_flow_hash(wn->table, &key), &key,
			       wlb_plain_src(skb, v6));
	if (f && READ_ONCE(f->fsm.state) == WLB_FLOW_WON)
		wlb_fast_pass(wn, cg, f, WLB_DIR_SERVER, skb, state->in, key.client, v6);
}

/* The same of a service's plain packets, straight on with what is a winner's. */
static __always_inline unsigned int wlb_cg_out_plain(struct wlb_net *wn,
						     const struct wlb_cg *cg,
						     struct sk_buff *skb,
						     const struct tcphdr *th,
						     const struct nf_hook_state *state,
						     const bool v6)
{
	struct wlb_flow_key key = {
		.client = wlb_plain_src(skb, v6), .client_port = th->source,
		.server_port = th->dest, .v6 = v6,
	};
	struct wlb_peer *peer;
	struct wlb_flow *f;
	struct wlb_seg seg;

	if (!wlb_plain_data(skb, th, v6))
		return wlb_cg_out_any(wn, cg, skb, state, v6);
	f = wlb_flow_to_server(wn->table, wlb_flow_hash(wn->table, &key), &key,
			       wlb_plain_dst(skb, v6));
	peer = f ? wlb_flow_winner(wn, f) : NULL;
	if (!peer) {
		/* its source may be a service's port as well */
		if (wlb_fast_port(cg, th->source))
			wlb_cg_passed(wn, cg, skb, th, state, v6);
		return NF_ACCEPT;
	}
	if (READ_ONCE(f->fsm.state) != WLB_FLOW_WON)
		return wlb_cg_out_any(wn, cg, skb, state, v6);

	wlb_plain_seg(skb, th, v6, &seg);
	wlb_fsm_track(&f->fsm, &seg, WLB_DIR_CLIENT);
	wlb_flow_touch(f, cg->timeouts.established);
	if (peer->ret == WLB_RETURN_TUNNEL) {
		if (wlb_carry_tunnel(wn, skb, peer, v6) != NF_ACCEPT)
			return NF_DROP;
		wlb_fast_pass(wn, cg, f, WLB_DIR_CLIENT, skb, state->in, &peer->addr, v6);
		return NF_ACCEPT;
	}
	if (wlb_plain_set_addr(skb, v6, false, &peer->addr) ||
	    wlb_route_out(wn, peer, skb, wlb_plain_src(skb, v6), v6)) {
		wlb_count(wn, WLB_STAT_translate_failed);
		return NF_DROP;
	}
	wlb_count(wn, WLB_STAT_translated_out);
	wlb_fast_pass(wn, cg, f, WLB_DIR_CLIENT, skb, state->in, &peer->addr, v6);
	return NF_ACCEPT;
}

static noinline unsigned int wlb_cg_out_plain4(struct wlb_net *wn,
					       const struct wlb_cg *cg,
					       struct sk_buff *skb,
					       const struct tcphdr *th,
					       const struct nf_hook_state *state)
{
	return wlb_cg_out_plain(wn, cg, skb, th, state, false);
}

static noinline unsigned int wlb_cg_out_plain6(struct wlb_net *wn,
					       const struct wlb_cg *cg,
					       struct sk_buff *skb,
					       const struct tcphdr *th,
					       const struct nf_hook_state *state)
{
	return wlb_cg_out_plain(wn, cg, skb, th, state, true);
}

/* What is of no service, as most is, costs no more than to see that. */
static __always_inline unsigned int wlb_cg_out(struct wlb_net *wn,
					       struct sk_buff *skb,
					       const struct nf_hook_state *state,
					       const bool v6)
{
	const struct wlb_cg *cg = rcu_dereference(wn->cg);
	const struct tcphdr *th;

	if (!cg)
		return NF_ACCEPT;
	th = wlb_plain_tcp(skb, v6);
	if (th && !wlb_portmap_has(&cg->map, th->dest)) {
		if (wlb_fast_port(cg, th->source) && wlb_plain_data(skb, th, v6))
			wlb_cg_passed(wn, cg, skb, th, state, v6);
		return NF_ACCEPT;
	}
	if (wlb_is_own())
		return NF_ACCEPT;
	if (!th)
		return wlb_cg_out_any(wn, cg, skb, state, v6);
	return v6 ? wlb_cg_out_plain6(wn, cg, skb, th, state) :
		    wlb_cg_out_plain4(wn, cg, skb, th, state);
}

unsigned int wlb_cg_out4(void *priv, struct sk_buff *skb,
			 const struct nf_hook_state *state)
{
	return wlb_cg_out(priv, skb, state, false);
}

unsigned int wlb_cg_out6(void *priv, struct sk_buff *skb,
			 const struct nf_hook_state *state)
{
	return wlb_cg_out(priv, skb, state, true);
}
