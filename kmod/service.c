// SPDX-License-Identifier: GPL-2.0-only
/* Configuration of the client gateway: settings and services. */
#include <linux/bsearch.h>
#include <linux/netdevice.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "conf.h"

static struct netlink_range_validation wlb_max_flows = {
	.min = 1024,
	.max = 16777216,
};

static struct netlink_range_validation wlb_max_learned = {
	.min = 16,
	.max = 65536,
};

static const struct nla_policy wlb_cg_policy[WLB_CG_A_MAX + 1] = {
	[WLB_CG_A_INSIDE] = { .type = NLA_NUL_STRING, .len = IFNAMSIZ - 1 },
	[WLB_CG_A_MAX_FLOWS] = NLA_POLICY_FULL_RANGE(NLA_U32, &wlb_max_flows),
	[WLB_CG_A_CLIENT_QUOTA] = NLA_POLICY_MIN(NLA_U32, 1),
	[WLB_CG_A_T_RACING] = NLA_POLICY_MIN(NLA_U32, 1),
	[WLB_CG_A_T_TOMBSTONE] = NLA_POLICY_MIN(NLA_U32, 1),
	[WLB_CG_A_T_ESTABLISHED] = NLA_POLICY_MIN(NLA_U32, 1),
	[WLB_CG_A_T_CLOSING] = NLA_POLICY_MIN(NLA_U32, 1),
	[WLB_CG_A_T_RESET] = NLA_POLICY_MIN(NLA_U32, 1),
	[WLB_CG_A_RETURNS] = NLA_POLICY_RANGE(NLA_U32, 1, WLB_RETURN_ALL),
	[WLB_CG_A_T_UNTAGGED] = { .type = NLA_U32 },
	[WLB_CG_A_T_DEAD] = { .type = NLA_U32 },
	[WLB_CG_A_CONNTRACK] = { .type = NLA_U8 },
	[WLB_CG_A_T_LEARNED] = NLA_POLICY_MIN(NLA_U32, 1),
	[WLB_CG_A_MAX_LEARNED] = NLA_POLICY_FULL_RANGE(NLA_U32, &wlb_max_learned),
};

static const struct nla_policy wlb_service_policy[WLB_SERVICE_A_MAX + 1] = {
	[WLB_SERVICE_A_NAME] = { .type = NLA_NUL_STRING, .len = WLB_NAME_LEN - 1 },
	[WLB_SERVICE_A_PORTS] = { .type = NLA_BINARY,
				  .len = WLB_MAX_PORTS * sizeof(u16) },
	[WLB_SERVICE_A_ALL_PORTS] = { .type = NLA_FLAG },
	[WLB_SERVICE_A_REPLICA] = NLA_POLICY_NESTED(wlb_prefix_policy),
	[WLB_SERVICE_A_ANY_REPLICA] = { .type = NLA_FLAG },
	[WLB_SERVICE_A_NEVER] = NLA_POLICY_NESTED(wlb_prefix_policy),
	[WLB_SERVICE_A_STICKY] = { .type = NLA_U32 },
	[WLB_SERVICE_A_RACE] = { .type = NLA_U8 },
	[WLB_SERVICE_A_FAN_OUT] = { .type = NLA_U8 },
	[WLB_SERVICE_A_FASTPATH] = { .type = NLA_U8 },
	[WLB_SERVICE_A_EXPLORE] = { .type = NLA_U32 },
};

static int wlb_by_port_cmp(const void *a, const void *b)
{
	return (int)((const struct wlb_by_port *)a)->port -
	       (int)((const struct wlb_by_port *)b)->port;
}

const struct wlb_service *wlb_cg_service(const struct wlb_cg *cg, u16 port)
{
	struct wlb_by_port key = { .port = port }, *found;

	found = __inline_bsearch(&key, cg->by_port, cg->n_by_port, sizeof(key),
				 wlb_by_port_cmp);
	return found ? &cg->service[found->service] : cg->fallback;
}

bool wlb_cg_inside(const struct wlb_cg *cg, const struct net_device *dev)
{
	const char *name = dev ? dev->name : "lo";
	unsigned int i;

	for (i = 0; i < cg->n_inside; i++)
		if (!strcmp(cg->inside[i], name))
			return true;
	return !cg->n_inside;
}

static int wlb_timeout(struct nlattr *attr, u32 *to,
		       struct netlink_ext_ack *extack)
{
	if (!attr)
		return 0;
	if (nla_get_u32(attr) > WLB_TIMEOUT_MAX) {
		NL_SET_ERR_MSG_ATTR(extack, attr, "timeout: at most 24 days");
		return -EINVAL;
	}
	*to = nla_get_u32(attr);
	return 0;
}

static int wlb_cg_settings(struct wlb_cg *cg, const struct nlattr *nest,
			   struct netlink_ext_ack *extack)
{
	static const struct {
		int attr;
		size_t field;
	} timeouts[] = {
		{ WLB_CG_A_T_RACING, offsetof(struct wlb_cg, timeouts.racing) },
		{ WLB_CG_A_T_TOMBSTONE, offsetof(struct wlb_cg, timeouts.tombstone) },
		{ WLB_CG_A_T_ESTABLISHED, offsetof(struct wlb_cg, timeouts.established) },
		{ WLB_CG_A_T_CLOSING, offsetof(struct wlb_cg, timeouts.closing) },
		{ WLB_CG_A_T_RESET, offsetof(struct wlb_cg, timeouts.reset) },
		{ WLB_CG_A_T_UNTAGGED, offsetof(struct wlb_cg, untagged) },
		{ WLB_CG_A_T_DEAD, offsetof(struct wlb_cg, dead) },
		{ WLB_CG_A_T_LEARNED, offsetof(struct wlb_cg, learned) },
	};
	struct nlattr *tb[WLB_CG_A_MAX + 1];
	const struct nlattr *attr;
	int err, rem, i;

	if (!nest)
		return 0;
	err = nla_parse_nested(tb, WLB_CG_A_MAX, nest, wlb_cg_policy, extack);
	if (err)
		return err;
	wlb_for_each_nested(attr, nest, WLB_CG_A_INSIDE, rem) {
		if (cg->n_inside == WLB_MAX_INSIDE) {
			NL_SET_ERR_MSG_ATTR(extack, attr,
					    "inside: at most 16 interfaces");
			return -EINVAL;
		}
		nla_strscpy(cg->inside[cg->n_inside], attr, IFNAMSIZ);
		if (!dev_valid_name(cg->inside[cg->n_inside])) {
			NL_SET_ERR_MSG_ATTR(extack, attr,
					    "inside: not an interface name");
			return -EINVAL;
		}
		cg->n_inside++;
	}
	if (tb[WLB_CG_A_MAX_FLOWS])
		cg->max_flows = nla_get_u32(tb[WLB_CG_A_MAX_FLOWS]);
	if (tb[WLB_CG_A_CLIENT_QUOTA])
		cg->client_quota = nla_get_u32(tb[WLB_CG_A_CLIENT_QUOTA]);
	if (tb[WLB_CG_A_RETURNS])
		cg->returns = nla_get_u32(tb[WLB_CG_A_RETURNS]);
	if (tb[WLB_CG_A_MAX_LEARNED])
		cg->max_learned = nla_get_u32(tb[WLB_CG_A_MAX_LEARNED]);
	if (tb[WLB_CG_A_CONNTRACK]) {
		u8 mode = nla_get_u8(tb[WLB_CG_A_CONNTRACK]);

		if (mode >= __WLB_CONNTRACK_MAX) {
			NL_SET_ERR_MSG_ATTR(extack, tb[WLB_CG_A_CONNTRACK],
					    "conntrack: outside or notrack");
			return -EINVAL;
		}
		cg->notrack = mode == WLB_CONNTRACK_NOTRACK;
	}
	for (i = 0; i < ARRAY_SIZE(timeouts); i++) {
		err = wlb_timeout(tb[timeouts[i].attr],
				  (void *)cg + timeouts[i].field,
				  extack);
		if (err)
			return err;
	}
	/* the worker asks silent winners every other second */
	if (cg->dead && cg->dead < 8) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_CG_A_T_DEAD],
				    "timeouts.dead: 0 for never, or at least 8 s");
		return -EINVAL;
	}
	return 0;
}

/* How its SYNs are cloned. */
static int wlb_service_race(struct wlb_service *s, struct nlattr **tb,
			    struct netlink_ext_ack *extack)
{
	s->fan_out = 4;
	s->explore = 10;
	if (tb[WLB_SERVICE_A_RACE])
		s->race = nla_get_u8(tb[WLB_SERVICE_A_RACE]);
	if (s->race >= __WLB_SERVICE_RACE_MAX) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_SERVICE_A_RACE],
				    "race: race or direct");
		return -EINVAL;
	}
	if (tb[WLB_SERVICE_A_FAN_OUT])
		s->fan_out = nla_get_u8(tb[WLB_SERVICE_A_FAN_OUT]);
	if (!s->fan_out || s->fan_out > WLB_MAX_ANSWERS) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_SERVICE_A_FAN_OUT],
				    "fan-out: 1 to 8");
		return -EINVAL;
	}
	return wlb_timeout(tb[WLB_SERVICE_A_EXPLORE], &s->explore, extack);
}

static int wlb_service_fastpath(struct wlb_service *s, const struct nlattr *attr,
				struct netlink_ext_ack *extack)
{
	if (attr)
		s->fastpath = nla_get_u8(attr);
	if (s->fastpath < __WLB_FASTPATH_MAX)
		return 0;
	NL_SET_ERR_MSG_ATTR(extack, attr, "fastpath: auto, on or off");
	return -EINVAL;
}

static int wlb_service_parse(struct wlb_cg *cg, const struct nlattr *nest,
			     struct netlink_ext_ack *extack)
{
	struct wlb_service *s = &cg->service[cg->n_services];
	struct nlattr *tb[WLB_SERVICE_A_MAX + 1];
	unsigned int i;
	int err;

	err = nla_parse_nested(tb, WLB_SERVICE_A_MAX, nest, wlb_service_policy,
			       extack);
	if (err)
		return err;
	/* counted from here on, so that a failure frees its lists too */
	cg->n_services++;
	if (!tb[WLB_SERVICE_A_NAME]) {
		NL_SET_ERR_MSG_ATTR(extack, nest, "service: needs a name");
		return -EINVAL;
	}
	err = wlb_nla_name(tb[WLB_SERVICE_A_NAME], s->name, extack);
	if (err)
		return err;
	for (i = 0; i + 1 < cg->n_services; i++) {
		if (strcmp(cg->service[i].name, s->name))
			continue;
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_SERVICE_A_NAME],
				    "service: name given twice");
		return -EINVAL;
	}
	if (!tb[WLB_SERVICE_A_PORTS] == !tb[WLB_SERVICE_A_ALL_PORTS]) {
		NL_SET_ERR_MSG_ATTR(extack, nest,
				    "service: needs either ports or all ports");
		return -EINVAL;
	}
	if (tb[WLB_SERVICE_A_ALL_PORTS]) {
		if (cg->fallback) {
			NL_SET_ERR_MSG_ATTR(extack, tb[WLB_SERVICE_A_ALL_PORTS],
					    "service: all ports are another service's");
			return -EINVAL;
		}
		s->all_ports = true;
		cg->fallback = s;
		bitmap_fill(cg->map.bit, 65536);
	} else {
		err = wlb_nla_ports(tb[WLB_SERVICE_A_PORTS], &s->ports, extack);
		if (err)
			return err;
	}
	for (i = 0; i < s->ports.n; i++) {
		struct wlb_by_port *e = &cg->by_port[cg->n_by_port++];

		e->port = s->ports.port[i];
		e->service = s - cg->service;
		set_bit(e->port, cg->map.bit);
	}
	s->any_replica = tb[WLB_SERVICE_A_ANY_REPLICA];
	err = wlb_timeout(tb[WLB_SERVICE_A_STICKY], &s->sticky, extack);
	if (!err)
		err = wlb_service_race(s, tb, extack);
	if (!err)
		err = wlb_service_fastpath(s, tb[WLB_SERVICE_A_FASTPATH], extack);
	if (!err)
		err = wlb_nla_prefixes(nest, WLB_SERVICE_A_REPLICA, &s->replicas,
				       extack);
	if (!err)
		err = wlb_nla_prefixes(nest, WLB_SERVICE_A_NEVER, &s->never,
				       extack);
	if (err)
		return err;
	if (!s->replicas.n == !s->any_replica) {
		NL_SET_ERR_MSG_ATTR(extack, nest,
				    "service: needs either replicas or any replica");
		return -EINVAL;
	}
	cg->direct |= s->race == WLB_SERVICE_DIRECT;
	return 0;
}

/* Which ports' flows may take the fast path. */
static void wlb_cg_fast(struct wlb_cg *cg)
{
	unsigned int i;

	if (cg->fallback && cg->fallback->fastpath != WLB_FASTPATH_OFF)
		bitmap_fill(cg->fast.bit, 65536);
	for (i = 0; i < cg->n_by_port; i++)
		__assign_bit(cg->by_port[i].port, cg->fast.bit,
			     cg->service[cg->by_port[i].service].fastpath !=
			     WLB_FASTPATH_OFF);
}

struct wlb_cg *wlb_cg_build(struct genl_info *info)
{
	unsigned int n = wlb_count_attrs(info, WLB_A_SERVICE), i;
	const struct nlattr *attr;
	struct wlb_cg *cg;
	int err, rem;

	if (!n)
		return NULL;
	if (n > WLB_MAX_SERVICES) {
		NL_SET_ERR_MSG(info->extack, "service: at most 1024");
		return ERR_PTR(-EINVAL);
	}
	cg = kvzalloc(struct_size(cg, service, n), GFP_KERNEL_ACCOUNT);
	if (!cg)
		return ERR_PTR(-ENOMEM);
	cg->max_flows = WLB_MAX_FLOWS_DEFAULT;
	cg->client_quota = 4096;
	cg->returns = WLB_RETURN_ALL;
	cg->timeouts = (struct wlb_timeouts){
		.racing = 70, .tombstone = 70, .established = 7440,
		.closing = 60, .reset = 10,
	};
	cg->max_learned = WLB_MAX_LEARNED_DEFAULT;
	cg->untagged = 600;
	cg->dead = 30;
	cg->learned = 600;
	err = -ENOMEM;
	cg->by_port = kvcalloc(n * WLB_MAX_PORTS, sizeof(*cg->by_port),
			       GFP_KERNEL_ACCOUNT);
	if (!cg->by_port)
		goto err_free;
	err = wlb_cg_settings(cg, info->attrs[WLB_A_CLIENT_GATEWAY],
			      info->extack);
	if (err)
		goto err_free;
	wlb_for_each_attr(attr, info, WLB_A_SERVICE, rem) {
		err = wlb_service_parse(cg, attr, info->extack);
		if (err)
			goto err_free;
	}
	sort(cg->by_port, cg->n_by_port, sizeof(*cg->by_port), wlb_by_port_cmp,
	     NULL);
	for (i = 1; i < cg->n_by_port; i++) {
		if (cg->by_port[i].port != cg->by_port[i - 1].port)
			continue;
		NL_SET_ERR_MSG(info->extack, "service: a port is in two services");
		err = -EINVAL;
		goto err_free;
	}
	wlb_cg_fast(cg);
	cg->carried = cg->returns;
	return cg;

err_free:
	wlb_cg_free(cg);
	return ERR_PTR(err);
}

void wlb_cg_free(struct wlb_cg *cg)
{
	unsigned int i;

	if (!cg)
		return;
	for (i = 0; i < cg->n_services; i++) {
		kfree(cg->service[i].replicas.prefix);
		kfree(cg->service[i].never.prefix);
	}
	kvfree(cg->by_port);
	kvfree(cg);
}

int wlb_cg_put(struct sk_buff *msg, const struct wlb_cg *cg)
{
	struct nlattr *nest = nla_nest_start(msg, WLB_A_CLIENT_GATEWAY);
	unsigned int i;

	if (!nest)
		return -EMSGSIZE;
	for (i = 0; i < cg->n_inside; i++)
		if (nla_put_string(msg, WLB_CG_A_INSIDE, cg->inside[i]))
			return -EMSGSIZE;
	if (nla_put_u32(msg, WLB_CG_A_MAX_FLOWS, cg->max_flows) ||
	    nla_put_u32(msg, WLB_CG_A_CLIENT_QUOTA, cg->client_quota) ||
	    nla_put_u32(msg, WLB_CG_A_T_RACING, cg->timeouts.racing) ||
	    nla_put_u32(msg, WLB_CG_A_T_TOMBSTONE, cg->timeouts.tombstone) ||
	    nla_put_u32(msg, WLB_CG_A_T_ESTABLISHED, cg->timeouts.established) ||
	    nla_put_u32(msg, WLB_CG_A_T_CLOSING, cg->timeouts.closing) ||
	    nla_put_u32(msg, WLB_CG_A_T_RESET, cg->timeouts.reset) ||
	    nla_put_u32(msg, WLB_CG_A_RETURNS, cg->returns) ||
	    nla_put_u32(msg, WLB_CG_A_T_UNTAGGED, cg->untagged) ||
	    nla_put_u32(msg, WLB_CG_A_T_DEAD, cg->dead) ||
	    nla_put_u32(msg, WLB_CG_A_T_LEARNED, cg->learned) ||
	    nla_put_u32(msg, WLB_CG_A_MAX_LEARNED, cg->max_learned) ||
	    nla_put_u8(msg, WLB_CG_A_CONNTRACK, cg->notrack ?
		       WLB_CONNTRACK_NOTRACK : WLB_CONNTRACK_OUTSIDE))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

int wlb_service_put(struct sk_buff *msg, const struct wlb_service *service)
{
	struct nlattr *nest = nla_nest_start(msg, WLB_A_SERVICE);

	if (!nest || nla_put_string(msg, WLB_SERVICE_A_NAME, service->name))
		return -EMSGSIZE;
	if (service->all_ports ?
	    nla_put_flag(msg, WLB_SERVICE_A_ALL_PORTS) :
	    nla_put(msg, WLB_SERVICE_A_PORTS, service->ports.n * sizeof(u16),
		    service->ports.port))
		return -EMSGSIZE;
	if (service->any_replica ?
	    nla_put_flag(msg, WLB_SERVICE_A_ANY_REPLICA) :
	    wlb_put_prefixes(msg, WLB_SERVICE_A_REPLICA, &service->replicas))
		return -EMSGSIZE;
	if (wlb_put_prefixes(msg, WLB_SERVICE_A_NEVER, &service->never) ||
	    nla_put_u32(msg, WLB_SERVICE_A_STICKY, service->sticky) ||
	    nla_put_u8(msg, WLB_SERVICE_A_RACE, service->race) ||
	    nla_put_u8(msg, WLB_SERVICE_A_FAN_OUT, service->fan_out) ||
	    nla_put_u8(msg, WLB_SERVICE_A_FASTPATH, service->fastpath) ||
	    nla_put_u32(msg, WLB_SERVICE_A_EXPLORE, service->explore))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}
