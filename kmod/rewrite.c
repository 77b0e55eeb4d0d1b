// SPDX-License-Identifier: GPL-2.0-only
/*
 * C7: another destination than the client's. The kernel's NAT does it, which knows of
 * answers, errors and fragments all that there is to know; a rule only says where a
 * connection goes that begins. One that was under way before the rule goes on as it is.
 */
#include <linux/netfilter_ipv4.h>
#include <net/ip6_route.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_nat.h>
#include <net/route.h>

#include "process.h"
#include "redirect.h"

/* This host's address on the way to @to. */
static int wlb_rewrite_source(struct net *net, const union wlb_addr *to, bool v6,
			      union nf_inet_addr *source)
{
	struct flowi4 fl4 = { .daddr = to->v4 };
	struct flowi6 fl6 = { .daddr = to->v6 };
	struct dst_entry *dst;
	struct rtable *rt;
	int err;

	memset(source, 0, sizeof(*source));
	if (v6) {
		err = ip6_dst_lookup(net, NULL, &dst, &fl6);
		if (err)
			return err;
		dst_release(dst);
		source->in6 = fl6.saddr;
		return 0;
	}
	rt = ip_route_output_key(net, &fl4);
	if (IS_ERR(rt))
		return PTR_ERR(rt);
	ip_rt_put(rt);
	source->ip = fl4.saddr;
	return 0;
}

/* @hidden: behind this host, which else would not see the answers. */
static unsigned int wlb_rewrite(struct wlb_net *wn, struct nf_conn *ct,
				const struct wlb_process_rule *rule, bool hidden)
{
	struct nf_nat_range2 range = { .flags = NF_NAT_RANGE_MAP_IPS };
	unsigned int verdict = NF_ACCEPT;

	if (hidden) {
		if (wlb_rewrite_source(wn->net, &rule->to, rule->to_v6,
				       &range.min_addr)) {
			wlb_count(wn, WLB_STAT_process_failed);
			return NF_ACCEPT;
		}
		range.max_addr = range.min_addr;
		verdict = nf_nat_setup_info(ct, &range, NF_NAT_MANIP_SRC);
	}
	if (rule->to_v6)
		range.min_addr.in6 = rule->to.v6;
	else
		range.min_addr.ip = rule->to.v4;
	range.max_addr = range.min_addr;
	if (verdict == NF_ACCEPT)
		verdict = nf_nat_setup_info(ct, &range, NF_NAT_MANIP_DST);
	wlb_count(wn, verdict == NF_ACCEPT ? WLB_STAT_process_rewritten :
					     WLB_STAT_process_failed);
	return verdict;
}

/* The first packet that connection tracking sees, by NAT's own hook for such. */
static __always_inline unsigned int wlb_rewrite_in(struct wlb_net *wn,
						   struct sk_buff *skb,
						   const struct nf_hook_state *state,
						   const bool v6)
{
	const struct wlb_process *process = rcu_dereference(wn->process);
	enum wlb_settled settled = wlb_settled(skb);
	const struct wlb_process_rule *rule;
	enum ip_conntrack_info ctinfo;
	struct wlb_passer p = {};
	struct nf_conn *ct;
	u8 on;

	ct = nf_ct_get(skb, &ctinfo);
	if (!process || !process->rewrites || ctinfo != IP_CT_NEW ||
	    !wlb_passer_read(skb, v6, &p) || !wlb_passer_begins(&p) ||
	    (!settled && !wlb_is_far(wn, state->in, &p.dst, v6)))
		return NF_ACCEPT;
	on = settled || wlb_is_returned_l2(wn, skb, state->in, &p) ?
	     WLB_PROCESS_RETURNED : WLB_PROCESS_PASSING;
	rule = process->on & on ? wlb_process_find(process, &p, on) : NULL;
	if (!rule || !rule->has_to)
		return NF_ACCEPT;
	return wlb_rewrite(wn, ct, rule, settled == WLB_DIVERTED);
}

static unsigned int wlb_rewrite_in4(void *priv, struct sk_buff *skb,
				    const struct nf_hook_state *state)
{
	return wlb_rewrite_in(priv, skb, state, false);
}

static unsigned int wlb_rewrite_in6(void *priv, struct sk_buff *skb,
				    const struct nf_hook_state *state)
{
	return wlb_rewrite_in(priv, skb, state, true);
}

/*
 * To a bridge that calls the IP hooks, what was returned is as it has come in, and is
 * routed: there is no Ethernet header in front of it any more to bridge it by.
 */
static unsigned int wlb_rewritten4(void *priv, struct sk_buff *skb,
				   const struct nf_hook_state *state)
{
	if (wlb_settled(skb))
		wlb_bridge_settle(skb, false);
	return NF_ACCEPT;
}

static unsigned int wlb_rewritten6(void *priv, struct sk_buff *skb,
				   const struct nf_hook_state *state)
{
	if (wlb_settled(skb))
		wlb_bridge_settle(skb, true);
	return NF_ACCEPT;
}

#define WLB_REWRITE_OP(fn, pf_, priority_)				       \
	{ .hook = fn, .pf = pf_, .hooknum = NF_INET_PRE_ROUTING,	       \
	  .priority = priority_ }

/* before the administrator's own, and behind it */
static const struct nf_hook_ops wlb_rewrite_ops[] = {
	WLB_REWRITE_OP(wlb_rewrite_in4, NFPROTO_IPV4, NF_IP_PRI_NAT_DST - 1),
	WLB_REWRITE_OP(wlb_rewrite_in6, NFPROTO_IPV6, NF_IP_PRI_NAT_DST - 1),
	WLB_REWRITE_OP(wlb_rewritten4, NFPROTO_IPV4, NF_IP_PRI_NAT_DST + 1),
	WLB_REWRITE_OP(wlb_rewritten6, NFPROTO_IPV6, NF_IP_PRI_NAT_DST + 1),
};

int wlb_rewrite_on(struct wlb_net *wn)
{
	struct nf_hook_ops *ops = wn->nat_ops;
	unsigned int i;
	int err;

	if (wn->rewrites)
		return 0;
	for (i = 0; i < ARRAY_SIZE(wlb_rewrite_ops); i++) {
		ops[i] = wlb_rewrite_ops[i];
		ops[i].priv = wn;
	}
	err = nf_ct_netns_get(wn->net, NFPROTO_INET);
	if (err)
		return err;
	err = nf_register_net_hooks(wn->net, &ops[2], 2);
	if (err)
		goto err_conntrack;
	err = nf_nat_ipv4_register_fn(wn->net, &ops[0]);
	if (err)
		goto err_hooks;
	err = nf_nat_ipv6_register_fn(wn->net, &ops[1]);
	if (err)
		goto err_nat4;
	WRITE_ONCE(wn->rewrites, true);
	return 0;

err_nat4:
	nf_nat_ipv4_unregister_fn(wn->net, &ops[0]);
err_hooks:
	nf_unregister_net_hooks(wn->net, &ops[2], 2);
err_conntrack:
	nf_ct_netns_put(wn->net, NFPROTO_INET);
	return err;
}

void wlb_rewrite_off(struct wlb_net *wn)
{
	struct nf_hook_ops *ops = wn->nat_ops;

	if (!wn->rewrites)
		return;
	nf_nat_ipv6_unregister_fn(wn->net, &ops[1]);
	nf_nat_ipv4_unregister_fn(wn->net, &ops[0]);
	nf_unregister_net_hooks(wn->net, &ops[2], 2);
	nf_ct_netns_put(wn->net, NFPROTO_INET);
}
