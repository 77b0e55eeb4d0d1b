// SPDX-License-Identifier: GPL-2.0-only
/* Configuration of the server gateway: origins. */
#include <linux/slab.h>

#include "conf.h"

#define WLB_MAX_HOLD_US	200000	/* default of WLB_ORIGIN_A_MAX_HOLD */

static const struct nla_policy wlb_origin_policy[WLB_ORIGIN_A_MAX + 1] = {
	[WLB_ORIGIN_A_NAME] = { .type = NLA_NUL_STRING, .len = WLB_NAME_LEN - 1 },
	[WLB_ORIGIN_A_SERVER] = { .type = NLA_BINARY, .len = 16 },
	[WLB_ORIGIN_A_PORTS] = { .type = NLA_BINARY,
				 .len = WLB_MAX_PORTS * sizeof(u16) },
	[WLB_ORIGIN_A_RACE] = NLA_POLICY_MAX(NLA_U8, __WLB_RACE_MAX - 1),
	[WLB_ORIGIN_A_MAX_HOLD] = { .type = NLA_U32 },
	[WLB_ORIGIN_A_REPLICA] = { .type = NLA_NESTED },
	[WLB_ORIGIN_A_SOURCE] = { .type = NLA_BINARY, .len = 16 },
	[WLB_ORIGIN_A_STRIP] = { .type = NLA_FLAG },
	[WLB_ORIGIN_A_FAN_OUT] = { .type = NLA_U8 },
	[WLB_ORIGIN_A_PICK] = { .type = NLA_U8 },
	[WLB_ORIGIN_A_RATE] = { .type = NLA_U32 },
	[WLB_ORIGIN_A_PREFIX_RATE] = { .type = NLA_U32 },
	[WLB_ORIGIN_A_COOKIE] = { .type = NLA_U32 },
};

static const struct nla_policy wlb_sg_policy[WLB_SG_A_MAX + 1] = {
	[WLB_SG_A_RATE] = { .type = NLA_U32 },
};

struct wlb_origin *wlb_sg_origin(struct wlb_sg *sg,
				 const union wlb_addr *server, bool v6, u16 port)
{
	const struct wlb_index_entry *e;

	wlb_index_for_each(e, &sg->index, server, v6)
		if (wlb_ports_has(&sg->origin[e->object].servers.ports, port))
			return &sg->origin[e->object];
	return NULL;
}

/* How many clones there may be, and of which SYNs. */
static int wlb_origin_limits(struct wlb_sg *sg, struct wlb_origin *o,
			     struct nlattr **tb, struct netlink_ext_ack *extack)
{
	o->fan_out = WLB_MAX_REPLICAS;
	if (tb[WLB_ORIGIN_A_FAN_OUT])
		o->fan_out = nla_get_u8(tb[WLB_ORIGIN_A_FAN_OUT]);
	if (!o->fan_out || o->fan_out > WLB_MAX_REPLICAS) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_ORIGIN_A_FAN_OUT],
				    "fan-out: 1 to 32");
		return -EINVAL;
	}
	if (tb[WLB_ORIGIN_A_PICK])
		o->pick = nla_get_u8(tb[WLB_ORIGIN_A_PICK]);
	if (o->pick >= __WLB_PICK_MAX) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_ORIGIN_A_PICK],
				    "pick: nearest or random");
		return -EINVAL;
	}
	if (tb[WLB_ORIGIN_A_RATE])
		o->rate = nla_get_u32(tb[WLB_ORIGIN_A_RATE]);
	if (tb[WLB_ORIGIN_A_PREFIX_RATE])
		o->prefix_rate = nla_get_u32(tb[WLB_ORIGIN_A_PREFIX_RATE]);
	if (o->prefix_rate && !sg->limits) {
		sg->limits = wlb_limits_alloc();
		if (!sg->limits)
			return -ENOMEM;
	}
	if (!tb[WLB_ORIGIN_A_COOKIE])
		return 0;
	o->cookie = nla_get_u32(tb[WLB_ORIGIN_A_COOKIE]);
	if (o->cookie > WLB_TIMEOUT_MAX) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_ORIGIN_A_COOKIE],
				    "cookie: at most 2073600 s");
		return -EINVAL;
	}
	sg->cookies |= o->cookie;
	return 0;
}

static int wlb_origin_parse(struct wlb_sg *sg, const struct nlattr *nest,
			    struct netlink_ext_ack *extack)
{
	struct wlb_origin *o = &sg->origin[sg->n_origins];
	struct nlattr *tb[WLB_ORIGIN_A_MAX + 1];
	unsigned int i;
	bool v6;
	int err;

	err = nla_parse_nested(tb, WLB_ORIGIN_A_MAX, nest, wlb_origin_policy,
			       extack);
	if (err)
		return err;
	sg->n_origins++;
	if (!tb[WLB_ORIGIN_A_NAME]) {
		NL_SET_ERR_MSG_ATTR(extack, nest, "origin: needs a name");
		return -EINVAL;
	}
	err = wlb_nla_name(tb[WLB_ORIGIN_A_NAME], o->name, extack);
	if (err)
		return err;
	for (i = 0; i + 1 < sg->n_origins; i++) {
		if (strcmp(sg->origin[i].name, o->name))
			continue;
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_ORIGIN_A_NAME],
				    "origin: name given twice");
		return -EINVAL;
	}
	err = wlb_nla_servers(nest, WLB_ORIGIN_A_SERVER, tb[WLB_ORIGIN_A_PORTS],
			      &o->servers, extack);
	if (err)
		return err;
	if (tb[WLB_ORIGIN_A_RACE])
		o->race = nla_get_u8(tb[WLB_ORIGIN_A_RACE]);
	o->strip = tb[WLB_ORIGIN_A_STRIP];
	err = wlb_origin_limits(sg, o, tb, extack);
	if (err)
		return err;
	o->max_hold_us = WLB_MAX_HOLD_US;
	err = wlb_nla_delay(tb[WLB_ORIGIN_A_MAX_HOLD], &o->max_hold_us, extack);
	if (err)
		return err;
	if (tb[WLB_ORIGIN_A_SOURCE]) {
		err = wlb_nla_addr(tb[WLB_ORIGIN_A_SOURCE], &o->source, &v6,
				   extack);
		if (err)
			return err;
		if (v6 != o->servers.v6) {
			NL_SET_ERR_MSG_ATTR(extack, tb[WLB_ORIGIN_A_SOURCE],
					    "source: of the servers' address family");
			return -EINVAL;
		}
		o->has_source = true;
	}
	o->configured = wlb_replicas_build(o, nla_data(nest), nla_len(nest),
					   WLB_ORIGIN_A_REPLICA, extack);
	if (IS_ERR(o->configured)) {
		err = PTR_ERR(o->configured);
		o->configured = NULL;
		return err == -ENOSPC ? -EINVAL : err;
	}
	rcu_assign_pointer(o->replicas, o->configured);
	return 0;
}

static struct wlb_origin *wlb_sg_named(struct wlb_sg *sg, const char *name)
{
	unsigned int i;

	for (i = 0; sg && i < sg->n_origins; i++)
		if (!strcmp(sg->origin[i].name, name))
			return &sg->origin[i];
	return NULL;
}

/* What a daemon has set outlives a change of configuration, by name. */
static int wlb_sg_keep(struct wlb_sg *sg, struct wlb_sg *old)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < sg->n_origins && !err; i++) {
		const struct wlb_origin *was = wlb_sg_named(old, sg->origin[i].name);

		if (was)
			err = wlb_replicas_keep(&sg->origin[i], was);
	}
	return err;
}

void wlb_sg_inherit(struct wlb_sg *sg, struct wlb_sg *old)
{
	unsigned int i;

	for (i = 0; sg && i < sg->n_origins; i++) {
		struct wlb_origin *o = &sg->origin[i];
		struct wlb_origin *was = wlb_sg_named(old, o->name);

		if (was && was->servers.v6 == o->servers.v6)
			wlb_replicas_inherit(rcu_dereference_raw(o->replicas),
					     rcu_dereference_raw(was->replicas),
					     o->servers.v6);
	}
}

static int wlb_sg_index(struct wlb_sg *sg, struct netlink_ext_ack *extack)
{
	unsigned int n = 0, i, j, k;

	for (i = 0; i < sg->n_origins; i++)
		n += sg->origin[i].servers.n;
	if (wlb_index_alloc(&sg->index, n))
		return -ENOMEM;
	for (i = 0; i < sg->n_origins; i++) {
		const struct wlb_servers *s = &sg->origin[i].servers;

		for (j = 0; j < s->ports.n; j++) {
			for (k = 0; k < s->n; k++) {
				if (!wlb_sg_origin(sg, &s->addr[k], s->v6,
						   s->ports.port[j]))
					continue;
				NL_SET_ERR_MSG(extack,
					       "origin: a server and port are in two origins");
				return -EINVAL;
			}
			set_bit(s->ports.port[j], sg->map.bit);
		}
		for (k = 0; k < s->n; k++)
			wlb_index_add(&sg->index, &s->addr[k], s->v6, i);
	}
	return 0;
}

static int wlb_sg_settings(struct wlb_sg *sg, struct genl_info *info)
{
	struct nlattr *tb[WLB_SG_A_MAX + 1];
	int err;

	if (!info->attrs[WLB_A_SERVER_GATEWAY])
		return 0;
	err = nla_parse_nested(tb, WLB_SG_A_MAX, info->attrs[WLB_A_SERVER_GATEWAY],
			       wlb_sg_policy, info->extack);
	if (!err && tb[WLB_SG_A_RATE])
		sg->rate = nla_get_u32(tb[WLB_SG_A_RATE]);
	return err;
}

struct wlb_sg *wlb_sg_build(struct genl_info *info, struct wlb_sg *old)
{
	unsigned int n = wlb_count_attrs(info, WLB_A_ORIGIN);
	const struct nlattr *attr;
	struct wlb_sg *sg;
	int err, rem;

	if (!n)
		return NULL;
	if (n > WLB_MAX_SERVICES) {
		NL_SET_ERR_MSG(info->extack, "origin: at most 1024");
		return ERR_PTR(-EINVAL);
	}
	sg = kvzalloc(struct_size(sg, origin, n), GFP_KERNEL_ACCOUNT);
	if (!sg)
		return ERR_PTR(-ENOMEM);
	err = wlb_sg_settings(sg, info);
	if (err)
		goto err_free;
	wlb_for_each_attr(attr, info, WLB_A_ORIGIN, rem) {
		err = wlb_origin_parse(sg, attr, info->extack);
		if (err)
			goto err_free;
	}
	err = wlb_sg_index(sg, info->extack);
	if (!err)
		err = wlb_sg_keep(sg, old);
	if (err)
		goto err_free;
	return sg;

err_free:
	wlb_sg_free(sg);
	return ERR_PTR(err);
}

void wlb_sg_free(struct wlb_sg *sg)
{
	unsigned int i;

	if (!sg)
		return;
	for (i = 0; i < sg->n_origins; i++) {
		struct wlb_origin *o = &sg->origin[i];
		struct wlb_replicas *list = rcu_dereference_raw(o->replicas);

		if (list != o->configured)
			kfree(list);
		kfree(o->configured);
	}
	wlb_limits_free(sg->limits);
	wlb_index_free(&sg->index);
	kvfree(sg);
}

int wlb_sg_put(struct sk_buff *msg, const struct wlb_sg *sg)
{
	struct nlattr *nest = nla_nest_start(msg, WLB_A_SERVER_GATEWAY);

	if (!nest || nla_put_u32(msg, WLB_SG_A_RATE, sg->rate))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

int wlb_origin_put(struct sk_buff *msg, const struct wlb_origin *origin)
{
	struct nlattr *nest = nla_nest_start(msg, WLB_A_ORIGIN);
	bool v6 = origin->servers.v6;
	unsigned int i;

	if (!nest || nla_put_string(msg, WLB_ORIGIN_A_NAME, origin->name) ||
	    wlb_put_servers(msg, WLB_ORIGIN_A_SERVER, WLB_ORIGIN_A_PORTS,
			    &origin->servers) ||
	    nla_put_u8(msg, WLB_ORIGIN_A_RACE, origin->race) ||
	    nla_put_u32(msg, WLB_ORIGIN_A_MAX_HOLD, origin->max_hold_us) ||
	    (origin->has_source &&
	     wlb_put_addr(msg, WLB_ORIGIN_A_SOURCE, &origin->source, v6)) ||
	    (origin->strip && nla_put_flag(msg, WLB_ORIGIN_A_STRIP)) ||
	    nla_put_u8(msg, WLB_ORIGIN_A_FAN_OUT, origin->fan_out) ||
	    nla_put_u8(msg, WLB_ORIGIN_A_PICK, origin->pick) ||
	    nla_put_u32(msg, WLB_ORIGIN_A_RATE, origin->rate) ||
	    nla_put_u32(msg, WLB_ORIGIN_A_PREFIX_RATE, origin->prefix_rate) ||
	    nla_put_u32(msg, WLB_ORIGIN_A_COOKIE, origin->cookie))
		return -EMSGSIZE;
	for (i = 0; i < origin->configured->n; i++)
		if (wlb_put_replica(msg, WLB_ORIGIN_A_REPLICA,
				    &origin->configured->replica[i], v6, false))
			return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}
