// SPDX-License-Identifier: GPL-2.0-only
/* Service groups: read from a request, dumped, and put in the order of trial. */
#include <linux/netdevice.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "../include/wlb/wccp_service.h"
#include "drain.h"
#include "group.h"

/* more than the policy itself has bits for; const from 6.7 on only */
static struct netlink_range_validation wlb_lease_range = {
	.min = WLB_MIN_LEASE,
	.max = WLB_MAX_LEASE,
};

static const struct nla_policy wlb_router_policy[WLB_ROUTER_A_MAX + 1] = {
	[WLB_ROUTER_A_CHECK_ALL] = { .type = NLA_FLAG },
	[WLB_ROUTER_A_LEASE] = NLA_POLICY_FULL_RANGE(NLA_U32, &wlb_lease_range),
};

static const struct nla_policy wlb_rule_policy[WLB_RULE_A_MAX + 1] = {
	[WLB_RULE_A_DENY] = { .type = NLA_FLAG },
	[WLB_RULE_A_SOURCE] = NLA_POLICY_NESTED(wlb_prefix_policy),
	[WLB_RULE_A_DESTINATION] = NLA_POLICY_NESTED(wlb_prefix_policy),
};

static const struct nla_policy wlb_group_policy[WLB_GROUP_A_MAX + 1] = {
	[WLB_GROUP_A_NAME] = { .type = NLA_NUL_STRING, .len = WLB_NAME_LEN - 1 },
	[WLB_GROUP_A_TYPE] = NLA_POLICY_MAX(NLA_U8, __WLB_GROUP_TYPE_MAX - 1),
	[WLB_GROUP_A_ID] = { .type = NLA_U8 },
	[WLB_GROUP_A_IN] = { .type = NLA_NUL_STRING, .len = IFNAMSIZ - 1 },
	[WLB_GROUP_A_OUT] = { .type = NLA_NUL_STRING, .len = IFNAMSIZ - 1 },
	[WLB_GROUP_A_EXCLUDE] = { .type = NLA_NUL_STRING, .len = IFNAMSIZ - 1 },
	[WLB_GROUP_A_RULE] = { .type = NLA_NESTED },
	[WLB_GROUP_A_CLOSED] = { .type = NLA_FLAG },
	[WLB_GROUP_A_HOOK] = NLA_POLICY_MAX(NLA_U8, __WLB_HOOK_MAX - 1),
	[WLB_GROUP_A_SOURCE4] = { .type = NLA_BINARY, .len = 16 },
	[WLB_GROUP_A_SOURCE6] = { .type = NLA_BINARY, .len = 16 },
	[WLB_GROUP_A_DRAIN] = NLA_POLICY_MAX(NLA_U32, WLB_MAX_DRAIN),
};

const struct nla_policy wlb_group_set_policy[WLB_A_MAX + 1] = {
	[WLB_A_ROUTER] = NLA_POLICY_NESTED(wlb_router_policy),
	[WLB_A_GROUP] = { .type = NLA_NESTED },
};

static void wlb_groups_free(const struct wlb_groups *groups)
{
	unsigned int i;

	for (i = 0; groups && i < groups->n; i++)
		kvfree(groups->group[i].rules.rule);
	kvfree(groups);
}

static void wlb_group_state_free(struct wlb_group_state *state)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		wlb_assign_free(state->assign[i]);
		wlb_flights_free(state->flights[i]);
	}
	free_percpu(state->stats);
	kfree(state);
}

static struct wlb_group_state *wlb_group_state_new(u8 type, u8 id)
{
	struct wlb_group_state *state = kzalloc(sizeof(*state),
						GFP_KERNEL_ACCOUNT);

	if (!state)
		return NULL;
	state->stats = alloc_percpu_gfp(struct wlb_group_stats,
					GFP_KERNEL_ACCOUNT);
	if (!state->stats) {
		kfree(state);
		return NULL;
	}
	state->type = type;
	state->id = id;
	return state;
}

static struct wlb_group_state *wlb_group_state_of(const struct wlb_groups *groups,
						  u8 type, u8 id)
{
	unsigned int i;

	for (i = 0; groups && i < groups->n; i++) {
		struct wlb_group_state *state = groups->group[i].state;

		if (state && state->type == type && state->id == id)
			return state;
	}
	return NULL;
}

/* States of @groups that @other has not. */
static void wlb_group_states_free(const struct wlb_groups *groups,
				  const struct wlb_groups *other)
{
	unsigned int i;

	for (i = 0; groups && i < groups->n; i++) {
		struct wlb_group_state *state = groups->group[i].state;

		if (state && wlb_group_state_of(other, state->type,
						state->id) != state)
			wlb_group_state_free(state);
	}
}

/* Interface names, as bits: a packet's device is compared with each name once. */
static int wlb_nla_interfaces(struct wlb_groups *groups,
			      const struct nlattr *nest, int type, u64 *bits,
			      struct netlink_ext_ack *extack)
{
	const struct nlattr *attr;
	char name[IFNAMSIZ];
	unsigned int i;
	int rem;

	wlb_for_each_nested(attr, nest, type, rem) {
		nla_strscpy(name, attr, sizeof(name));
		if (!dev_valid_name(name)) {
			NL_SET_ERR_MSG_ATTR(extack, attr,
					    "interface: not a name of one");
			return -EINVAL;
		}
		for (i = 0; i < groups->n_interfaces; i++)
			if (!strcmp(groups->interface[i], name))
				break;
		if (i == WLB_MAX_INTERFACES) {
			NL_SET_ERR_MSG_ATTR(extack, attr,
					    "interface: at most 64 names in all groups");
			return -EINVAL;
		}
		if (i == groups->n_interfaces)
			strscpy(groups->interface[groups->n_interfaces++], name,
				IFNAMSIZ);
		*bits |= 1ULL << i;
	}
	return 0;
}

int wlb_nla_ends(const struct nlattr *src, const struct nlattr *dst,
		 const struct nlattr *nest, struct wlb_ends *ends,
		 struct netlink_ext_ack *extack)
{
	int err = 0;

	ends->has_src = src;
	ends->has_dst = dst;
	if (src)
		err = wlb_nla_prefix(src, &ends->src, extack);
	if (!err && dst)
		err = wlb_nla_prefix(dst, &ends->dst, extack);
	if (err)
		return err;
	if (src && dst && ends->src.v6 != ends->dst.v6) {
		NL_SET_ERR_MSG_ATTR(extack, nest,
				    "rule: prefixes of one address family");
		return -EINVAL;
	}
	return 0;
}

static int wlb_nla_rule(const struct nlattr *attr, struct wlb_rule *rule,
			struct netlink_ext_ack *extack)
{
	struct nlattr *tb[WLB_RULE_A_MAX + 1];
	int err;

	err = nla_parse_nested(tb, WLB_RULE_A_MAX, attr, wlb_rule_policy,
			       extack);
	if (err)
		return err;
	rule->deny = nla_get_flag(tb[WLB_RULE_A_DENY]);
	return wlb_nla_ends(tb[WLB_RULE_A_SOURCE], tb[WLB_RULE_A_DESTINATION],
			    attr, &rule->ends, extack);
}

int wlb_nla_rules(const struct nlattr *nest, int type, struct wlb_rules *rules,
		  struct netlink_ext_ack *extack)
{
	const struct nlattr *attr;
	unsigned int n = 0;
	int rem, err;

	wlb_for_each_nested(attr, nest, type, rem)
		n++;
	if (n > WLB_MAX_RULES) {
		NL_SET_ERR_MSG_ATTR(extack, nest, "rules: at most 512");
		return -EINVAL;
	}
	if (!n)
		return 0;
	rules->rule = kvcalloc(n, sizeof(*rules->rule), GFP_KERNEL_ACCOUNT);
	if (!rules->rule)
		return -ENOMEM;
	wlb_for_each_nested(attr, nest, type, rem) {
		err = wlb_nla_rule(attr, &rules->rule[rules->n++], extack);
		if (err)
			return err;
	}
	return 0;
}

static int wlb_nla_source(const struct nlattr *attr, struct wlb_group *group,
			  bool v6, struct netlink_ext_ack *extack)
{
	bool is_v6;
	int err;

	if (!attr)
		return 0;
	err = wlb_nla_addr(attr, &group->source[v6], &is_v6, extack);
	if (err)
		return err;
	if (is_v6 != v6) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "source: an address of its family");
		return -EINVAL;
	}
	group->has_source[v6] = true;
	return 0;
}

/* Unique by name and by identity, among those before. */
static int wlb_group_unique(const struct wlb_groups *groups,
			    const struct wlb_group *group, u8 type, u8 id,
			    const struct nlattr *nest,
			    struct netlink_ext_ack *extack)
{
	const struct wlb_group *g;

	for (g = groups->group; g < group; g++) {
		if (!strcmp(g->name, group->name)) {
			NL_SET_ERR_MSG_ATTR(extack, nest, "name: given twice");
			return -EINVAL;
		}
		if (g->state->type == type && g->state->id == id) {
			NL_SET_ERR_MSG_ATTR(extack, nest,
					    "service: two groups of one type and id");
			return -EINVAL;
		}
	}
	return 0;
}

static int wlb_group_read(const struct nlattr *nest, struct wlb_groups *groups,
			  const struct wlb_groups *old,
			  struct netlink_ext_ack *extack)
{
	struct wlb_group *group = &groups->group[groups->n];
	struct nlattr *tb[WLB_GROUP_A_MAX + 1];
	u8 type, id;
	int err;

	err = nla_parse_nested(tb, WLB_GROUP_A_MAX, nest, wlb_group_policy,
			       extack);
	if (err)
		return err;
	if (!tb[WLB_GROUP_A_NAME] || !tb[WLB_GROUP_A_TYPE] ||
	    !tb[WLB_GROUP_A_ID]) {
		NL_SET_ERR_MSG_ATTR(extack, nest, "group: needs name, type and id");
		return -EINVAL;
	}
	type = nla_get_u8(tb[WLB_GROUP_A_TYPE]);
	id = nla_get_u8(tb[WLB_GROUP_A_ID]);
	err = wlb_nla_name(tb[WLB_GROUP_A_NAME], group->name, extack) ?:
	      wlb_group_unique(groups, group, type, id, nest, extack);
	if (err)
		return err;
	group->state = wlb_group_state_of(old, type, id) ?:
		       wlb_group_state_new(type, id);
	if (!group->state)
		return -ENOMEM;
	/* from here on it is the set's to free */
	groups->n++;
	if (tb[WLB_GROUP_A_HOOK])
		group->hook = nla_get_u8(tb[WLB_GROUP_A_HOOK]);
	if (tb[WLB_GROUP_A_DRAIN])
		group->drain = nla_get_u32(tb[WLB_GROUP_A_DRAIN]);
	group->closed = nla_get_flag(tb[WLB_GROUP_A_CLOSED]);
	return wlb_nla_interfaces(groups, nest, WLB_GROUP_A_IN, &group->in,
				  extack) ?:
	       wlb_nla_interfaces(groups, nest, WLB_GROUP_A_OUT, &group->out,
				  extack) ?:
	       wlb_nla_interfaces(groups, nest, WLB_GROUP_A_EXCLUDE,
				  &group->exclude, extack) ?:
	       wlb_nla_source(tb[WLB_GROUP_A_SOURCE4], group, false, extack) ?:
	       wlb_nla_source(tb[WLB_GROUP_A_SOURCE6], group, true, extack) ?:
	       wlb_nla_rules(nest, WLB_GROUP_A_RULE, &group->rules, extack);
}

static int wlb_nla_router(const struct nlattr *nest, struct wlb_groups *groups,
			  struct netlink_ext_ack *extack)
{
	struct nlattr *tb[WLB_ROUTER_A_MAX + 1];
	int err;

	err = nla_parse_nested(tb, WLB_ROUTER_A_MAX, nest, wlb_router_policy,
			       extack);
	if (err)
		return err;
	groups->check_all = nla_get_flag(tb[WLB_ROUTER_A_CHECK_ALL]);
	if (tb[WLB_ROUTER_A_LEASE])
		groups->lease = nla_get_u32(tb[WLB_ROUTER_A_LEASE]);
	return 0;
}

static struct wlb_groups *wlb_groups_build(struct genl_info *info,
					   const struct wlb_groups *old)
{
	unsigned int n = wlb_count_attrs(info, WLB_A_GROUP);
	struct nlattr *router = info->attrs[WLB_A_ROUTER];
	struct wlb_groups *groups;
	const struct nlattr *attr;
	int rem, err = 0;

	if (!n)
		return NULL;
	if (n > WLB_MAX_GROUPS) {
		NL_SET_ERR_MSG(info->extack, "group: at most 256");
		return ERR_PTR(-EINVAL);
	}
	groups = kvzalloc(struct_size(groups, group, n), GFP_KERNEL_ACCOUNT);
	if (!groups)
		return ERR_PTR(-ENOMEM);
	if (router)
		err = wlb_nla_router(router, groups, info->extack);
	if (err)
		goto err_groups;
	wlb_for_each_attr(attr, info, WLB_A_GROUP, rem) {
		err = wlb_group_read(attr, groups, old, info->extack);
		if (err)
			goto err_groups;
	}
	return groups;

err_groups:
	wlb_group_states_free(groups, old);
	wlb_groups_free(groups);
	return ERR_PTR(err);
}

static struct wlb_wccp_rank wlb_redirect_rank(const struct wlb_redirect *r)
{
	return (struct wlb_wccp_rank){
		.priority = r->assign->priority, .type = r->group->state->type,
		.id = r->group->state->id,
	};
}

static int wlb_redirect_cmp(const void *a, const void *b)
{
	struct wlb_wccp_rank x = wlb_redirect_rank(a);
	struct wlb_wccp_rank y = wlb_redirect_rank(b);

	return wlb_wccp_order(&x, &y);
}

static int wlb_router_build_family(struct wlb_router_family *f,
				   const struct wlb_groups *groups, bool v6)
{
	unsigned int i, j, n_members = 0;

	f->redirect = kvcalloc(groups->n, sizeof(*f->redirect),
			       GFP_KERNEL_ACCOUNT);
	if (!f->redirect)
		return -ENOMEM;
	for (i = 0; i < groups->n; i++) {
		const struct wlb_group *group = &groups->group[i];
		const struct wlb_assign *assign = group->state->assign[v6];

		if (!assign)
			continue;
		f->redirect[f->n].group = group;
		f->redirect[f->n++].assign = assign;
		n_members += assign->n_seats;
		if (group->hook == WLB_HOOK_PREROUTING)
			f->pre |= group->in;
		else
			f->post_in |= group->in;
		f->post_out |= group->out;
	}
	sort(f->redirect, f->n, sizeof(*f->redirect), wlb_redirect_cmp, NULL);
	if (wlb_index_alloc(&f->members, n_members))
		return -ENOMEM;
	for (i = 0; i < f->n; i++) {
		const struct wlb_assign *assign = f->redirect[i].assign;

		for (j = 0; j < assign->n_seats; j++)
			wlb_index_add(&f->members, &assign->seat[j].member->addr,
				      v6, i << WLB_MEMBER_SHIFT | j);
	}
	return 0;
}

static void wlb_router_free(struct wlb_router *router)
{
	unsigned int i;

	for (i = 0; router && i < 2; i++) {
		kvfree(router->by_family[i].redirect);
		wlb_index_free(&router->by_family[i].members);
	}
	kfree(router);
}

struct wlb_router *wlb_router_build(const struct wlb_groups *groups)
{
	struct wlb_router *router = kzalloc(sizeof(*router), GFP_KERNEL_ACCOUNT);
	unsigned int i;

	if (!router)
		return NULL;
	router->groups = groups;
	for (i = 0; i < 2; i++) {
		if (!wlb_router_build_family(&router->by_family[i], groups, i))
			continue;
		wlb_router_free(router);
		return NULL;
	}
	return router;
}

void wlb_router_publish(struct wlb_net *wn, struct wlb_router *router)
{
	router = rcu_replace_pointer(wn->router, router,
				     lockdep_is_held(&wn->lock));
	wn->router_generation++;
	synchronize_rcu();
	wlb_router_free(router);
}

static void wlb_routers_begin_retiring(struct wlb_net *wn)
{
	wn->retiring = wn->retired;
	wn->retired = NULL;
	queue_rcu_work(system_wq, &wn->retire);
}

void wlb_router_replace(struct wlb_net *wn, struct wlb_router *router,
			struct wlb_assign *old)
{
	router = rcu_replace_pointer(wn->router, router,
				     lockdep_is_held(&wn->lock));
	wn->router_generation++;
	router->old = old;
	router->next = wn->retired;
	wn->retired = router;
	/* those that come meanwhile are the next grace period's */
	if (!wn->retiring)
		wlb_routers_begin_retiring(wn);
}

void wlb_routers_retire(struct work_struct *work)
{
	struct wlb_net *wn = container_of(to_rcu_work(work), struct wlb_net,
					  retire);
	struct wlb_router *router, *next;

	mutex_lock(&wn->lock);
	for (router = wn->retiring; router; router = next) {
		next = router->next;
		wlb_assign_free(router->old);
		wlb_router_free(router);
		cond_resched();
	}
	wn->retiring = NULL;
	if (wn->retired)
		wlb_routers_begin_retiring(wn);
	mutex_unlock(&wn->lock);
}

static void wlb_member_forget_routes(struct wlb_member *member)
{
	unsigned int cpu;

	dst_cache_reset(&member->dst[WLB_FORWARD_GRE]);
	dst_cache_reset(&member->dst[WLB_FORWARD_L2]);
	for_each_possible_cpu(cpu)
		WRITE_ONCE(per_cpu_ptr(member->cpu, cpu)->second, 0);
}

/* Routes that are remembered have the source that a group had. */
static void wlb_groups_forget_routes(const struct wlb_groups *groups)
{
	unsigned int i, j, v6;

	for (i = 0; i < groups->n; i++) {
		for (v6 = 0; v6 < 2; v6++) {
			struct wlb_assign *a = groups->group[i].state->assign[v6];

			for (j = 0; a && j < a->n_seats; j++)
				wlb_member_forget_routes(a->seat[j].member);
		}
	}
}

int wlb_group_set(struct sk_buff *skb, struct genl_info *info)
{
	struct wlb_net *wn = wlb_pernet(genl_info_net(info));
	struct wlb_router *router = NULL;
	struct wlb_groups *groups;
	const struct wlb_groups *old;
	int err;

	mutex_lock(&wn->lock);
	old = wn->groups;
	groups = wlb_groups_build(info, old);
	if (IS_ERR(groups)) {
		err = PTR_ERR(groups);
		goto unlock;
	}
	if (groups) {
		err = -ENOMEM;
		router = wlb_router_build(groups);
		if (!router)
			goto refuse;
		err = wlb_hooks_update(wn, wn->hooked | WLB_ROLE_CACHE_ROUTER);
		if (err) {
			NL_SET_ERR_MSG(info->extack,
				       "hooks cannot be registered");
			goto refuse;
		}
	}
	wn->groups = groups;
	wn->lease_ended = false;
	wlb_lease_begin(wn);
	wlb_router_publish(wn, router);
	if (groups)
		wlb_groups_forget_routes(groups);
	else
		wlb_hooks_update(wn, wn->hooked & ~WLB_ROLE_CACHE_ROUTER);
	wlb_group_states_free(old, groups);
	wlb_groups_free(old);
	err = 0;
	goto unlock;

refuse:
	wlb_router_free(router);
	wlb_group_states_free(groups, old);
	wlb_groups_free(groups);
unlock:
	mutex_unlock(&wn->lock);
	return err;
}

void wlb_router_free_all(struct wlb_net *wn)
{
	while (wn->retiring)
		flush_rcu_work(&wn->retire);
	wlb_router_free(rcu_dereference_protected(wn->router, true));
	wlb_group_states_free(wn->groups, NULL);
	wlb_groups_free(wn->groups);
}
