// SPDX-License-Identifier: GPL-2.0-only
/*
 * The server's gateway: FIG 3. Right behind the filter rules of FORWARD (the
 * server is behind us) and LOCAL_IN (we are the server, or its switch), so that
 * a SYN that the firewall drops is never cloned. There, and behind those of LOCAL_OUT,
 * the server's answers are given the cookies that they owe.
 */
#include <linux/netfilter_ipv4.h>
#include <linux/random.h>

#include "clone.h"
#include "conf.h"
#include "cookie.h"
#include "hold.h"
#include "icmp.h"
#include "pkt.h"
#include "trace.h"

static void wlb_sg_clone_to(struct wlb_net *wn, const struct wlb_origin *origin,
			    struct wlb_origin_replica *replica,
			    struct sk_buff *skb, const struct wlb_pkt *p,
			    const struct wlb_tag *tag)
{
	struct wlb_tunnel tunnel = {
		.to = replica->addr, .from = origin->source,
		.has_from = origin->has_source, .v6 = p->v6,
		.via = replica->via,
	};
	struct sk_buff *clone = wlb_clone_make(skb, p, tag);

	if (!clone) {
		wlb_count(wn, WLB_STAT_clone_failed);
		return;
	}
	atomic64_inc(&replica->clones);
	if (!replica->hold_us ||
	    !wlb_hold_clone(wn->hold, clone, &tunnel, replica->hold_us))
		wlb_count(wn, wlb_clone_send(wn, clone, &tunnel) ?
			  WLB_STAT_clone_failed : WLB_STAT_clone_sent);
}

/* Reasons to leave the tagged SYN @p to the server alone that its own bytes give. */
static int wlb_sg_unfit(const struct sk_buff *skb, const struct wlb_pkt *p,
			const struct wlb_opts *opts)
{
	if (opts->tag.state != WLB_TAG_PERMITTED)
		return WLB_STAT_syn_race_refused;
	if (opts->malformed)
		return WLB_STAT_syn_malformed;
	if (opts->bad_tag)
		return WLB_STAT_syn_bad_tag;
	/* replicas do not walk them: their stack has not seen the inner header */
	if (p->v6 && p->off != sizeof(struct ipv6hdr))
		return WLB_STAT_syn_extension;
	if (opts->fast_open || p->len > wlb_pkt_hlen(p))
		return WLB_STAT_syn_payload;
	if (!wlb_pkt_csum_ok(skb, p))
		return WLB_STAT_syn_bad_checksum;
	return WLB_NO_STAT;
}

/* Is there a reason to make no clones of a SYN that could be cloned @n times? */
static int wlb_sg_refuse(struct wlb_net *wn, struct wlb_sg *sg,
			 struct wlb_origin *origin, const struct wlb_pkt *p,
			 const struct wlb_tag *tag, unsigned int n)
{
	enum wlb_cookie_grade grade = WLB_COOKIE_GOOD;
	u64 now;

	if (origin->cookie)
		grade = wlb_cookie_grade(wn->cookies, p, tag, origin->cookie);
	if (grade != WLB_COOKIE_GOOD)
		wlb_cookie_owe(wn->cookies, p, tag->nonce);
	if (grade == WLB_COOKIE_NONE)
		return WLB_STAT_syn_no_cookie;
	if (grade == WLB_COOKIE_BAD)
		return WLB_STAT_syn_bad_cookie;
	if (!n || !(origin->prefix_rate | origin->rate | sg->rate))
		return WLB_NO_STAT;
	now = ktime_get_ns();
	if (origin->prefix_rate &&
	    !wlb_limits_take(sg->limits, &p->src, &p->dst, p->v6,
			     origin->prefix_rate, n, now))
		return WLB_STAT_syn_prefix_limit;
	if (origin->rate &&
	    !wlb_limit_take(&origin->limit, origin->rate, n, now))
		return WLB_STAT_syn_origin_limit;
	if (sg->rate && !wlb_limit_take(&sg->limit, sg->rate, n, now))
		return WLB_STAT_syn_clone_limit;
	return WLB_NO_STAT;
}

/* To @n of the replicas, in an order by which nobody is always first. */
static void wlb_sg_clone_all(struct wlb_net *wn, const struct wlb_origin *origin,
			     struct wlb_replicas *replicas, unsigned int n,
			     struct sk_buff *skb, const struct wlb_pkt *p,
			     const struct wlb_tag *tag)
{
	struct wlb_tag in_clone = *tag;
	u8 order[WLB_MAX_REPLICAS];
	unsigned int i, other;

	in_clone.offers |= WLB_OFFER_CLONED;
	in_clone.cookie = 0;
	memcpy(order, replicas->order, sizeof(order));
	for (i = 0; i < n; i++) {
		other = i + get_random_u32() % (replicas->pool - i);
		swap(order[i], order[other]);
		wlb_sg_clone_to(wn, origin, &replicas->replica[order[i]], skb, p,
				&in_clone);
	}
	wlb_count_syn(wn, p, WLB_STAT_syn_cloned);
}

/* Op 304 to 314. */
static unsigned int wlb_sg_syn(struct wlb_net *wn, struct wlb_sg *sg,
			       struct sk_buff *skb, const struct wlb_pkt *p,
			       const struct nf_hook_state *state)
{
	struct wlb_replicas *replicas;
	struct wlb_origin *origin;
	u8 buf[WLB_TCP_HDR_MAX];
	struct wlb_opts opts;
	unsigned int n;
	int stat;

	if (!wlb_pkt_sane(p))
		return NF_ACCEPT;
	wlb_pkt_options(skb, p, buf, &opts);
	if (!opts.tags)
		return NF_ACCEPT;
	origin = wlb_sg_origin(sg, &p->dst, p->v6, ntohs(p->th.dest));
	if (!origin) {
		wlb_count_syn(wn, p, WLB_STAT_syn_not_replicable);
		return NF_ACCEPT;
	}
	if (opts.tag.offers & WLB_OFFER_CLONED) {
		/* somebody cracked a clone and sent it on to the origin */
		wlb_count_syn(wn, p, WLB_STAT_syn_loop);
		return NF_DROP;
	}
	stat = wlb_sg_unfit(skb, p, &opts);
	if (stat != WLB_NO_STAT) {
		wlb_count_syn(wn, p, stat);
		return NF_ACCEPT;
	}
	replicas = rcu_dereference(origin->replicas);
	n = min(replicas->pool, origin->fan_out);
	stat = wlb_sg_refuse(wn, sg, origin, p, &opts.tag, n);
	if (stat != WLB_NO_STAT)
		wlb_count_syn(wn, p, stat);
	else
		wlb_sg_clone_all(wn, origin, replicas, n, skb, p, &opts.tag);

	/* the server's copy must not be cloned by the next gateway */
	if (wlb_pkt_retag(skb, p, origin->strip ? NULL : &wlb_tag_never))
		return NF_ACCEPT;
	if (stat == WLB_NO_STAT && replicas->hold_us &&
	    wlb_hold_original(wn->hold, skb, state, replicas->hold_us))
		return NF_STOLEN;
	return NF_ACCEPT;
}

/* The server answers: maybe it owes a cookie. */
static void wlb_sg_answer(struct wlb_net *wn, struct wlb_sg *sg,
			  struct sk_buff *skb, const struct wlb_pkt *p)
{
	const struct wlb_origin *origin;

	if (!p->th.syn || !p->th.ack || p->th.rst || p->th.fin)
		return;
	origin = wlb_sg_origin(sg, &p->src, p->v6, ntohs(p->th.source));
	if (origin && origin->cookie)
		wlb_cookie_give(wn, skb, p, origin->cookie);
}

/*
 * An error about a packet of the server's may be about one that a replica has
 * sent under its address (FIG 6B): each gets a copy, and its sockets tell.
 */
static unsigned int wlb_sg_icmp(struct wlb_net *wn, struct wlb_sg *sg,
				struct sk_buff *skb, bool v6)
{
	const struct wlb_replicas *replicas;
	const struct wlb_origin *origin;
	struct wlb_quote q;
	unsigned int i;

	if (!wlb_icmp_quote(skb, v6, &q) || q.proto != IPPROTO_TCP || !q.too_big)
		return NF_ACCEPT;
	origin = wlb_sg_origin(sg, &q.src, v6, ntohs(q.sport));
	if (!origin)
		return NF_ACCEPT;
	replicas = rcu_dereference(origin->replicas);
	for (i = 0; i < replicas->n; i++)
		if (!wlb_icmp_relay(wn->net, skb, &q, &replicas->replica[i].addr))
			wlb_count(wn, WLB_STAT_icmp_relayed);
	return NF_ACCEPT;
}

static __always_inline unsigned int wlb_sg_hook(struct wlb_net *wn,
						struct sk_buff *skb,
						const struct nf_hook_state *state,
						const bool v6)
{
	struct wlb_sg *sg = rcu_dereference(wn->sg);
	struct wlb_pkt p;
	int ok;

	if (!sg)
		return NF_ACCEPT;
	ok = wlb_pkt_parse(skb, 0, v6, &p);
	if (!ok)
		return wlb_sg_icmp(wn, sg, skb, v6);
	if (ok < 0)
		return NF_ACCEPT;
	if (wlb_portmap_has(&sg->map, p.th.dest) && wlb_pkt_is_syn(&p))
		return wlb_sg_syn(wn, sg, skb, &p, state);
	if (sg->cookies && wlb_portmap_has(&sg->map, p.th.source))
		wlb_sg_answer(wn, sg, skb, &p);
	return NF_ACCEPT;
}

unsigned int wlb_sg_clone4(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state)
{
	return wlb_sg_hook(priv, skb, state, false);
}

unsigned int wlb_sg_clone6(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state)
{
	return wlb_sg_hook(priv, skb, state, true);
}

static __always_inline unsigned int wlb_sg_local(struct wlb_net *wn,
						 struct sk_buff *skb,
						 const bool v6)
{
	struct wlb_sg *sg = rcu_dereference(wn->sg);
	struct wlb_pkt p;

	if (sg && sg->cookies && wlb_pkt_parse(skb, 0, v6, &p) > 0 &&
	    wlb_portmap_has(&sg->map, p.th.source))
		wlb_sg_answer(wn, sg, skb, &p);
	return NF_ACCEPT;
}

unsigned int wlb_sg_local4(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state)
{
	return wlb_sg_local(priv, skb, false);
}

unsigned int wlb_sg_local6(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state)
{
	return wlb_sg_local(priv, skb, true);
}
