// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is done to packets on their way out: DSCP, labels, copies. A cache's host does
 * it to a packet before the headers of its way back are put around it, a router behind
 * everything else; the server gets the same from either. The latter sees a packet as
 * it leaves, and asks connection tracking how it came in.
 */
#include <net/dsfield.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_log.h>

#include "../include/wlb/label.h"
#include "pkt.h"
#include "process.h"
#include "redirect.h"

const struct wlb_process_rule *
wlb_process_find(const struct wlb_process *process, const struct wlb_passer *p,
		 u8 on)
{
	unsigned int i;

	for (i = 0; i < process->n; i++) {
		const struct wlb_process_rule *rule = &process->rule[i];

		if ((rule->on & on) &&
		    (!rule->has_to || rule->to_v6 == p->v6) &&
		    (!rule->proto || rule->proto == p->proto) &&
		    (!rule->port || rule->port == p->dport) &&
		    wlb_ends_match(&rule->ends, p))
			return rule;
	}
	return NULL;
}

static int wlb_process_dscp(struct sk_buff *skb, bool v6, u8 dscp)
{
	u8 dsfield = dscp << 2;

	if (skb_ensure_writable(skb, v6 ? sizeof(struct ipv6hdr) :
					  sizeof(struct iphdr)))
		return -ENOMEM;
	if (v6)
		ipv6_change_dsfield(ipv6_hdr(skb), INET_ECN_MASK, dsfield);
	else
		ipv4_change_dsfield(ip_hdr(skb), INET_ECN_MASK, dsfield);
	return 0;
}

/* The options of a SYN whose options may be changed, as wlb_pkt_options(); NULL if not. */
static const u8 *wlb_process_syn(const struct sk_buff *skb, bool v6,
				 struct wlb_pkt *pkt, u8 *buf)
{
	const u8 *options;
	struct wlb_opts opts;

	if (wlb_pkt_parse(skb, 0, v6, pkt) <= 0 || !wlb_pkt_sane(pkt) ||
	    pkt->len > wlb_pkt_hlen(pkt))
		return NULL;
	options = wlb_pkt_options(skb, pkt, buf, &opts);
	return opts.malformed || opts.is_signed ? NULL : options;
}

/* Which counter it is for; WLB_NO_STAT: there was nothing to do. */
static int wlb_process_untag(struct sk_buff *skb, bool v6)
{
	u8 buf[WLB_TCP_HDR_MAX - WLB_TCP_HDR_LEN];
	struct wlb_pkt pkt;
	const u8 *options = wlb_process_syn(skb, v6, &pkt, buf);

	if (!options || !wlb_labels(options, wlb_pkt_hlen(&pkt) - WLB_TCP_HDR_LEN))
		return WLB_NO_STAT;
	return wlb_pkt_relabel(skb, &pkt, NULL, 0) < 0 ?
	       WLB_STAT_process_failed : WLB_STAT_process_untagged;
}

/* @mtu: of its way. A label that says something else is not left standing. */
static int wlb_process_tag(struct sk_buff *skb, bool v6,
			   const struct wlb_process_rule *rule, unsigned int mtu)
{
	u8 buf[WLB_TCP_HDR_MAX - WLB_TCP_HDR_LEN];
	unsigned int room = wlb_label_room(rule->tag_len);
	struct wlb_pkt pkt;
	const u8 *options = wlb_process_syn(skb, v6, &pkt, buf);
	int said;

	if (!options)
		return WLB_STAT_process_no_room;
	if (wlb_labels(options, wlb_pkt_hlen(&pkt) - WLB_TCP_HDR_LEN)) {
		said = wlb_pkt_relabel(skb, &pkt, rule->tag, rule->tag_len);
		if (said)
			return said < 0 ? WLB_STAT_process_failed :
					  WLB_STAT_process_tagged;
	}
	if (wlb_pkt_hlen(&pkt) + room > WLB_TCP_HDR_MAX || skb->len + room > mtu)
		return WLB_STAT_process_no_room;
	return wlb_pkt_insert_label(skb, &pkt, rule->tag, rule->tag_len) ?
	       WLB_STAT_process_failed : WLB_STAT_process_tagged;
}

/* To whoever reads; nothing ever gets to the kernel's log. */
static void wlb_process_copy(struct wlb_net *wn, const struct sk_buff *skb,
			     bool v6, const struct wlb_process_rule *rule,
			     const struct nf_hook_state *state)
{
	struct nf_loginfo to = {
		.type = NF_LOG_TYPE_ULOG,
		.u.ulog = {
			.group = rule->copy_group,
			.copy_len = rule->copy_len,
			.flags = rule->copy_len ? NF_LOG_F_COPY_LEN : 0,
		},
	};

	nf_log_packet(wn->net, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4, state->hook,
		      skb, state->in, state->out, &to, "wlb");
	wlb_count(wn, WLB_STAT_process_copied);
}

static void wlb_process_apply(struct wlb_net *wn, struct sk_buff *skb,
			      const struct wlb_process_rule *rule,
			      const struct wlb_passer *p, unsigned int mtu,
			      const struct nf_hook_state *state)
{
	const bool v6 = p->v6;
	int stat = WLB_NO_STAT;

	this_cpu_inc(*rule->packets);
	if (p->proto == IPPROTO_TCP && wlb_passer_opens(p)) {
		if (rule->untag)
			stat = wlb_process_untag(skb, v6);
		else if (rule->tag_len)
			stat = wlb_process_tag(skb, v6, rule, mtu);
		if (stat != WLB_NO_STAT)
			wlb_count(wn, stat);
	}
	if (rule->has_dscp)
		wlb_count(wn, wlb_process_dscp(skb, v6, rule->dscp) ?
			      WLB_STAT_process_failed : WLB_STAT_process_marked);
	if (rule->has_copy)
		wlb_process_copy(wn, skb, v6, rule, state);
}

void wlb_process_returned(struct wlb_net *wn, struct sk_buff *skb,
			  const struct wlb_passer *p,
			  const struct nf_hook_state *state)
{
	const struct wlb_process *process = rcu_dereference(wn->process);
	const struct wlb_process_rule *rule;

	rule = process ? wlb_process_find(process, p, WLB_PROCESS_RETURNED) :
			 NULL;
	/* every way but a very odd one takes a SYN that large */
	if (rule)
		wlb_process_apply(wn, skb, rule, p, IPV6_MIN_MTU, state);
}

/* What it was before this host's NAT; what errors quote is not theirs. */
static void wlb_process_first(const struct sk_buff *skb, struct wlb_passer *p)
{
	enum ip_conntrack_info ctinfo;
	const struct nf_conn *ct = nf_ct_get(skb, &ctinfo);
	const struct nf_conntrack_tuple *tuple;

	if (!ct || ctinfo == IP_CT_RELATED || ctinfo == IP_CT_RELATED_REPLY)
		return;
	tuple = &ct->tuplehash[CTINFO2DIR(ctinfo)].tuple;
	if (p->v6) {
		p->src.v6 = tuple->src.u3.in6;
		p->dst.v6 = tuple->dst.u3.in6;
	} else {
		p->src.v4 = tuple->src.u3.ip;
		p->dst.v4 = tuple->dst.u3.ip;
	}
	if (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP) {
		p->sport = ntohs(tuple->src.u.all);
		p->dport = ntohs(tuple->dst.u.all);
	}
}

static __always_inline unsigned int wlb_process_out(struct wlb_net *wn,
						    struct sk_buff *skb,
						    const struct nf_hook_state *state,
						    const bool v6)
{
	const struct wlb_process *process = rcu_dereference(wn->process);
	enum wlb_settled settled = wlb_settled(skb);
	const struct wlb_process_rule *rule;
	struct wlb_passer p = {};
	u8 on;

	if (settled)
		wlb_settle(skb, WLB_UNSETTLED);
	/* what the host sends itself has come in by no interface */
	if (!process || settled == WLB_SENT || !skb->skb_iif || !state->in)
		return NF_ACCEPT;
	if (!wlb_passer_read(skb, v6, &p))
		return NF_ACCEPT;
	wlb_process_first(skb, &p);
	on = settled || wlb_is_returned_l2(wn, skb, state->in, &p) ?
	     WLB_PROCESS_RETURNED : WLB_PROCESS_PASSING;
	rule = process->on & on ? wlb_process_find(process, &p, on) : NULL;
	if (rule)
		wlb_process_apply(wn, skb, rule, &p, dst_mtu(skb_dst(skb)),
				  state);
	return NF_ACCEPT;
}

unsigned int wlb_process_out4(void *priv, struct sk_buff *skb,
			      const struct nf_hook_state *state)
{
	return wlb_process_out(priv, skb, state, false);
}

unsigned int wlb_process_out6(void *priv, struct sk_buff *skb,
			      const struct nf_hook_state *state)
{
	return wlb_process_out(priv, skb, state, true);
}
