// SPDX-License-Identifier: GPL-2.0-only
/* Service groups and their counters, as they run. */
#include "genl.h"
#include "group.h"

static int wlb_put_interfaces(struct sk_buff *msg, int type,
			      const struct wlb_groups *groups, u64 bits)
{
	unsigned int i;

	for (i = 0; i < groups->n_interfaces; i++)
		if ((bits >> i & 1) &&
		    nla_put_string(msg, type, groups->interface[i]))
			return -EMSGSIZE;
	return 0;
}

int wlb_put_ends(struct sk_buff *msg, int src_type, int dst_type,
		 const struct wlb_ends *ends)
{
	if ((ends->has_src && wlb_put_prefix(msg, src_type, &ends->src)) ||
	    (ends->has_dst && wlb_put_prefix(msg, dst_type, &ends->dst)))
		return -EMSGSIZE;
	return 0;
}

static int wlb_put_rule(struct sk_buff *msg, int type,
			const struct wlb_rule *rule)
{
	struct nlattr *nest = nla_nest_start(msg, type);

	if (!nest || (rule->deny && nla_put_flag(msg, WLB_RULE_A_DENY)) ||
	    wlb_put_ends(msg, WLB_RULE_A_SOURCE, WLB_RULE_A_DESTINATION,
			 &rule->ends))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

int wlb_put_rules(struct sk_buff *msg, int type, const struct wlb_rules *rules)
{
	unsigned int i;

	for (i = 0; i < rules->n; i++)
		if (wlb_put_rule(msg, type, &rules->rule[i]))
			return -EMSGSIZE;
	return 0;
}

static int wlb_put_group_stats(struct sk_buff *msg,
			       const struct wlb_group_state *state)
{
	struct nlattr *nest = nla_nest_start(msg, WLB_GROUP_A_STATS);
	unsigned int i;
	int cpu;

	if (!nest)
		return -EMSGSIZE;
	for (i = 0; i < __WLB_GROUP_STAT_MAX; i++) {
		u64 sum = 0;

		for_each_possible_cpu(cpu)
			sum += READ_ONCE(per_cpu_ptr(state->stats, cpu)->count[i]);
		if (nla_put_u64_64bit(msg, i + 1, sum, 0))
			return -EMSGSIZE;
	}
	nla_nest_end(msg, nest);
	return 0;
}

static int wlb_put_group(struct sk_buff *msg, const struct wlb_groups *groups,
			 const struct wlb_group *g)
{
	struct nlattr *nest = nla_nest_start(msg, WLB_A_GROUP);

	if (!nest || nla_put_string(msg, WLB_GROUP_A_NAME, g->name) ||
	    nla_put_u8(msg, WLB_GROUP_A_TYPE, g->state->type) ||
	    nla_put_u8(msg, WLB_GROUP_A_ID, g->state->id) ||
	    wlb_put_interfaces(msg, WLB_GROUP_A_IN, groups, g->in) ||
	    wlb_put_interfaces(msg, WLB_GROUP_A_OUT, groups, g->out) ||
	    wlb_put_interfaces(msg, WLB_GROUP_A_EXCLUDE, groups, g->exclude))
		return -EMSGSIZE;
	if (wlb_put_rules(msg, WLB_GROUP_A_RULE, &g->rules) ||
	    (g->closed && nla_put_flag(msg, WLB_GROUP_A_CLOSED)) ||
	    nla_put_u8(msg, WLB_GROUP_A_HOOK, g->hook) ||
	    (g->has_source[0] &&
	     wlb_put_addr(msg, WLB_GROUP_A_SOURCE4, &g->source[0], false)) ||
	    (g->has_source[1] &&
	     wlb_put_addr(msg, WLB_GROUP_A_SOURCE6, &g->source[1], true)) ||
	    nla_put_u32(msg, WLB_GROUP_A_DRAIN, g->drain) ||
	    wlb_put_group_stats(msg, g->state))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

/* The header is number 0, then the groups. */
static int wlb_put_router(struct sk_buff *msg, struct wlb_net *wn,
			  unsigned long n)
{
	const struct wlb_groups *groups = wn->groups;
	struct nlattr *nest;

	if (n)
		return groups && n <= groups->n ?
		       wlb_put_group(msg, groups, &groups->group[n - 1]) :
		       -ENOENT;
	nest = nla_nest_start(msg, WLB_A_ROUTER);
	if (!nest)
		return -EMSGSIZE;
	if (groups && ((groups->check_all &&
			nla_put_flag(msg, WLB_ROUTER_A_CHECK_ALL)) ||
		       (groups->lease && nla_put_u32(msg, WLB_ROUTER_A_LEASE,
						     groups->lease))))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

/* A redirect list of 512 rules takes 40 KB. */
int wlb_group_get_start(struct netlink_callback *cb)
{
	cb->min_dump_alloc = 65535;
	return 0;
}

int wlb_group_get(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct wlb_net *wn = wlb_pernet(sock_net(msg->sk));

	return wlb_genl_dump(msg, cb, WLB_CMD_GROUP_GET, wn,
			     &wn->router_generation, wlb_put_router);
}
