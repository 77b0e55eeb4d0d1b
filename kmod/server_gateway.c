// SPDX-License-Identifier: GPL-2.0-only
/*
 * The server's gateway: FIG 3. Right behind the filter rules of FORWARD (the
 * server is behind us) and LOCAL_IN (we are the server, or its switch), so that
 * a SYN that the firewall drops is never cloned.
 */
#include <linux/netfilter_ipv4.h>
#include <linux/random.h>

#include "clone.h"
#include "conf.h"
#include "hold.h"
#include "icmp.h"
#include "pkt.h"

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

/* Op 304 to 314. */
static unsigned int wlb_sg_syn(struct wlb_net *wn, const struct wlb_sg *sg,
			       struct sk_buff *skb, const struct wlb_pkt *p,
			       const struct nf_hook_state *state)
{
	const struct wlb_origin *origin;
	struct wlb_replicas *replicas;
	struct wlb_tag in_clone;
	u8 buf[WLB_TCP_HDR_MAX];
	struct wlb_opts opts;
	unsigned int i, first;

	if (!wlb_pkt_sane(p))
		return NF_ACCEPT;
	wlb_pkt_options(skb, p, buf, &opts);
	if (!opts.tags)
		return NF_ACCEPT;
	origin = wlb_sg_origin(sg, &p->dst, p->v6, ntohs(p->th.dest));
	if (!origin) {
		wlb_count(wn, WLB_STAT_syn_not_replicable);
		return NF_ACCEPT;
	}
	if (opts.tag.offers & WLB_OFFER_CLONED) {
		/* somebody cracked a clone and sent it on to the origin */
		wlb_count(wn, WLB_STAT_syn_loop);
		return NF_DROP;
	}
	if (opts.tag.state != WLB_TAG_PERMITTED) {
		wlb_count(wn, WLB_STAT_syn_race_refused);
		return NF_ACCEPT;
	}
	if (opts.malformed || opts.bad_tag) {
		wlb_count(wn, opts.malformed ? WLB_STAT_syn_malformed :
					       WLB_STAT_syn_bad_tag);
		return NF_ACCEPT;
	}
	/* replicas do not walk them: their stack has not seen the inner header */
	if (p->v6 && p->off != sizeof(struct ipv6hdr)) {
		wlb_count(wn, WLB_STAT_syn_extension);
		return NF_ACCEPT;
	}
	if (opts.fast_open || p->len > wlb_pkt_hlen(p)) {
		wlb_count(wn, WLB_STAT_syn_payload);
		return NF_ACCEPT;
	}
	if (!wlb_pkt_csum_ok(skb, p)) {
		wlb_count(wn, WLB_STAT_syn_bad_checksum);
		return NF_ACCEPT;
	}

	in_clone = opts.tag;
	in_clone.offers |= WLB_OFFER_CLONED;
	/* nobody is always first */
	replicas = rcu_dereference(origin->replicas);
	first = replicas->n ? get_random_u32() % replicas->n : 0;
	for (i = 0; i < replicas->n; i++)
		wlb_sg_clone_to(wn, origin,
				&replicas->replica[(first + i) % replicas->n],
				skb, p, &in_clone);
	wlb_count(wn, WLB_STAT_syn_cloned);

	/* the server's copy must not be cloned by the next gateway */
	if (wlb_pkt_retag(skb, p, origin->strip ? NULL : &wlb_tag_never))
		return NF_ACCEPT;
	if (replicas->hold_us &&
	    wlb_hold_original(wn->hold, skb, state, replicas->hold_us))
		return NF_STOLEN;
	return NF_ACCEPT;
}

/*
 * An error about a packet of the server's may be about one that a replica has
 * sent under its address (FIG 6B): each gets a copy, and its sockets tell.
 */
static unsigned int wlb_sg_icmp(struct wlb_net *wn, const struct wlb_sg *sg,
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
	const struct wlb_sg *sg = rcu_dereference(wn->sg);
	struct wlb_pkt p;
	int ok;

	if (!sg)
		return NF_ACCEPT;
	ok = wlb_pkt_parse(skb, 0, v6, &p);
	if (!ok)
		return wlb_sg_icmp(wn, sg, skb, v6);
	if (ok < 0 || !wlb_portmap_has(&sg->map, p.th.dest) ||
	    !wlb_pkt_is_syn(&p))
		return NF_ACCEPT;
	return wlb_sg_syn(wn, sg, skb, &p, state);
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
