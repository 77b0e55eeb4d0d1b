// SPDX-License-Identifier: GPL-2.0-only
/*
 * The replicas of an origin: those that it was configured with and those that a
 * daemon has set in their place, which outlive the daemon.
 */
#include <linux/slab.h>

#include "conf.h"
#include "genl.h"

static const struct nla_policy wlb_replica_nest[WLB_REPLICA_A_MAX + 1] = {
	[WLB_REPLICA_A_ADDRESS] = { .type = NLA_BINARY, .len = 16 },
	[WLB_REPLICA_A_VIA] = NLA_POLICY_MAX(NLA_U8, __WLB_VIA_MAX - 1),
	[WLB_REPLICA_A_DELAY] = { .type = NLA_U32 },
	[WLB_REPLICA_A_CLONES] = { .type = NLA_REJECT },
};

const struct nla_policy wlb_replica_set_policy[WLB_A_MAX + 1] = {
	[WLB_A_NAME] = { .type = NLA_NUL_STRING, .len = WLB_NAME_LEN - 1 },
	[WLB_A_REPLICA] = NLA_POLICY_NESTED(wlb_replica_nest),
	[WLB_A_CONFIGURED] = { .type = NLA_FLAG },
};

int wlb_nla_delay(const struct nlattr *attr, u32 *to,
		  struct netlink_ext_ack *extack)
{
	if (!attr)
		return 0;
	if (nla_get_u32(attr) > WLB_MAX_DELAY_US) {
		NL_SET_ERR_MSG_ATTR(extack, attr, "delay: at most 1000000 us");
		return -EINVAL;
	}
	*to = nla_get_u32(attr);
	return 0;
}

static bool wlb_origin_is_server(const struct wlb_origin *o,
				 const union wlb_addr *addr)
{
	unsigned int i;

	for (i = 0; i < o->servers.n; i++)
		if (wlb_addr_eq(&o->servers.addr[i], addr, o->servers.v6))
			return true;
	return false;
}

static struct wlb_origin_replica *
wlb_replicas_find(struct wlb_replicas *list, const union wlb_addr *addr, bool v6)
{
	unsigned int i;

	for (i = 0; i < list->n; i++)
		if (wlb_addr_eq(&list->replica[i].addr, addr, v6))
			return &list->replica[i];
	return NULL;
}

static int wlb_replica_parse(struct wlb_replicas *list,
			     const struct wlb_origin *o,
			     const struct nlattr *nest,
			     struct netlink_ext_ack *extack)
{
	struct wlb_origin_replica *r = &list->replica[list->n];
	struct nlattr *tb[WLB_REPLICA_A_MAX + 1];
	int err;
	bool v6;

	err = nla_parse_nested(tb, WLB_REPLICA_A_MAX, nest, wlb_replica_nest,
			       extack);
	if (err)
		return err;
	if (!tb[WLB_REPLICA_A_ADDRESS]) {
		NL_SET_ERR_MSG_ATTR(extack, nest, "replica: needs an address");
		return -EINVAL;
	}
	err = wlb_nla_addr(tb[WLB_REPLICA_A_ADDRESS], &r->addr, &v6, extack);
	if (err)
		return err;
	if (v6 != o->servers.v6) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_REPLICA_A_ADDRESS],
				    "replica: of the servers' address family");
		return -EINVAL;
	}
	if (wlb_origin_is_server(o, &r->addr)) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_REPLICA_A_ADDRESS],
				    "replica: must not be its own origin");
		return -EINVAL;
	}
	if (wlb_replicas_find(list, &r->addr, v6)) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_REPLICA_A_ADDRESS],
				    "replica: given twice");
		return -EINVAL;
	}
	if (tb[WLB_REPLICA_A_VIA])
		r->via = nla_get_u8(tb[WLB_REPLICA_A_VIA]);
	list->n++;
	return wlb_nla_delay(tb[WLB_REPLICA_A_DELAY], &r->delay_us, extack);
}

static void wlb_replicas_order(struct wlb_replicas *list,
			       const struct wlb_origin *o)
{
	unsigned int i, j;

	for (i = 0; i < list->n; i++) {
		for (j = i; j && list->replica[i].delay_us <
		     list->replica[list->order[j - 1]].delay_us; j--)
			list->order[j] = list->order[j - 1];
		list->order[j] = i;
	}
	list->pool = list->n;
	if (o->pick == WLB_PICK_NEAREST)
		list->pool = min_t(unsigned int, list->n, o->fan_out);
}

/*
 * Whom SYNs are cloned to. All answers leave as if everybody of those were as far as
 * the farthest.
 */
static void wlb_replicas_hold(struct wlb_replicas *list,
			      const struct wlb_origin *o)
{
	unsigned int i;

	wlb_replicas_order(list, o);
	if (o->race != WLB_RACE_EQUAL)
		return;
	if (list->pool)
		list->hold_us = list->replica[list->order[list->pool - 1]].delay_us;
	list->hold_us = min(list->hold_us, o->max_hold_us);
	for (i = 0; i < list->n; i++)
		list->replica[i].hold_us = list->hold_us -
			min(list->hold_us, list->replica[i].delay_us);
}

struct wlb_replicas *wlb_replicas_build(const struct wlb_origin *o,
					const struct nlattr *first, int len,
					int type,
					struct netlink_ext_ack *extack)
{
	struct wlb_replicas *list;
	const struct nlattr *attr;
	unsigned int n = 0;
	int rem, err;

	nla_for_each_attr(attr, first, len, rem) {
		if (nla_type(attr) != type || n++ < WLB_MAX_REPLICAS)
			continue;
		NL_SET_ERR_MSG_ATTR(extack, attr, "replica: at most 32");
		return ERR_PTR(-ENOSPC);
	}
	list = kzalloc(struct_size(list, replica, n), GFP_KERNEL_ACCOUNT);
	if (!list)
		return ERR_PTR(-ENOMEM);
	nla_for_each_attr(attr, first, len, rem) {
		if (nla_type(attr) != type)
			continue;
		err = wlb_replica_parse(list, o, attr, extack);
		if (err) {
			kfree(list);
			return ERR_PTR(err);
		}
	}
	wlb_replicas_hold(list, o);
	return list;
}

int wlb_replicas_keep(struct wlb_origin *o, const struct wlb_origin *old)
{
	const struct wlb_replicas *set = rcu_dereference_raw(old->replicas);
	struct wlb_replicas *list;
	unsigned int i;

	if (set == old->configured || old->servers.v6 != o->servers.v6)
		return 0;
	list = kzalloc(struct_size(list, replica, set->n), GFP_KERNEL_ACCOUNT);
	if (!list)
		return -ENOMEM;
	for (i = 0; i < set->n; i++) {
		struct wlb_origin_replica *r = &list->replica[list->n];

		/* a replica that has become a server clones to nobody */
		if (wlb_origin_is_server(o, &set->replica[i].addr))
			continue;
		r->addr = set->replica[i].addr;
		r->via = set->replica[i].via;
		r->delay_us = set->replica[i].delay_us;
		list->n++;
	}
	wlb_replicas_hold(list, o);
	rcu_assign_pointer(o->replicas, list);
	return 0;
}

void wlb_replicas_inherit(struct wlb_replicas *to, struct wlb_replicas *from,
			  bool v6)
{
	struct wlb_origin_replica *r;
	unsigned int i;

	for (i = 0; i < from->n; i++) {
		r = wlb_replicas_find(to, &from->replica[i].addr, v6);
		if (r)
			atomic64_add(atomic64_xchg(&from->replica[i].clones, 0),
				     &r->clones);
	}
}

static struct wlb_origin *wlb_origin_named(struct wlb_sg *sg,
					   const struct nlattr *name)
{
	unsigned int i;

	for (i = 0; sg && i < sg->n_origins; i++)
		if (!nla_strcmp(name, sg->origin[i].name))
			return &sg->origin[i];
	return NULL;
}

static int wlb_replicas_swap(struct wlb_net *wn, struct wlb_origin *o,
			     struct genl_info *info)
{
	struct wlb_replicas *list = o->configured, *old;

	if (!info->attrs[WLB_A_CONFIGURED])
		list = wlb_replicas_build(o, nlmsg_attrdata(info->nlhdr, GENL_HDRLEN),
					  nlmsg_attrlen(info->nlhdr, GENL_HDRLEN),
					  WLB_A_REPLICA, info->extack);
	if (IS_ERR(list))
		return PTR_ERR(list);
	old = rcu_replace_pointer(o->replicas, list, lockdep_is_held(&wn->lock));
	if (old == list)
		return 0;
	wn->replica_generation++;
	/* nobody counts in the old one any more */
	synchronize_rcu();
	wlb_replicas_inherit(list, old, o->servers.v6);
	if (old != o->configured)
		kfree(old);
	return 0;
}

int wlb_replica_set(struct sk_buff *skb, struct genl_info *info)
{
	struct wlb_net *wn = wlb_pernet(genl_info_net(info));
	struct nlattr *name = info->attrs[WLB_A_NAME];
	struct wlb_origin *o;
	int err;

	if (!name) {
		NL_SET_ERR_MSG(info->extack, "name: of an origin");
		return -EINVAL;
	}
	if (info->attrs[WLB_A_CONFIGURED] && info->attrs[WLB_A_REPLICA]) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[WLB_A_REPLICA],
				    "replica: not with configured");
		return -EINVAL;
	}
	mutex_lock(&wn->lock);
	o = wlb_origin_named(rcu_dereference_protected(wn->sg,
						       lockdep_is_held(&wn->lock)),
			     name);
	if (o) {
		err = wlb_replicas_swap(wn, o, info);
	} else {
		NL_SET_ERR_MSG_ATTR(info->extack, name,
				    "name: of no origin of this gateway");
		err = -ENOENT;
	}
	mutex_unlock(&wn->lock);
	return err;
}

int wlb_put_replica(struct sk_buff *msg, int type,
		    const struct wlb_origin_replica *r, bool v6, bool counted)
{
	struct nlattr *nest = nla_nest_start(msg, type);

	if (!nest || wlb_put_addr(msg, WLB_REPLICA_A_ADDRESS, &r->addr, v6) ||
	    nla_put_u8(msg, WLB_REPLICA_A_VIA, r->via) ||
	    nla_put_u32(msg, WLB_REPLICA_A_DELAY, r->delay_us) ||
	    (counted &&
	     nla_put_u64_64bit(msg, WLB_REPLICA_A_CLONES,
			       atomic64_read(&r->clones), WLB_REPLICA_A_PAD)))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int wlb_replica_put(struct sk_buff *msg, struct netlink_callback *cb,
			   const struct wlb_origin *o,
			   const struct wlb_replicas *list, unsigned int n)
{
	void *hdr = wlb_genl_put(msg, cb, WLB_CMD_REPLICA_GET);

	if (!hdr)
		return -EMSGSIZE;
	if (nla_put_string(msg, WLB_A_NAME, o->name) ||
	    (list == o->configured && nla_put_flag(msg, WLB_A_CONFIGURED)) ||
	    wlb_put_replica(msg, WLB_A_REPLICA, &list->replica[n],
			    o->servers.v6, true)) {
		genlmsg_cancel(msg, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, hdr);
	return 0;
}

/* args[0] the origin, args[1] which of its replicas is next. */
int wlb_replica_get(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct wlb_net *wn = wlb_pernet(sock_net(msg->sk));
	const struct wlb_sg *sg;

	mutex_lock(&wn->lock);
	cb->seq = wn->replica_generation + 1;	/* 0 would mean no check */
	sg = rcu_dereference_protected(wn->sg, lockdep_is_held(&wn->lock));
	for (; sg && cb->args[0] < sg->n_origins; cb->args[0]++) {
		const struct wlb_origin *o = &sg->origin[cb->args[0]];
		const struct wlb_replicas *list =
			rcu_dereference_protected(o->replicas,
						  lockdep_is_held(&wn->lock));

		for (; cb->args[1] < list->n; cb->args[1]++)
			if (wlb_replica_put(msg, cb, o, list, cb->args[1]))
				goto full;
		cb->args[1] = 0;
	}
full:
	mutex_unlock(&wn->lock);
	return msg->len;
}
