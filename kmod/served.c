// SPDX-License-Identifier: GPL-2.0-only
/* Configuration of a replica: the origins that it serves. */
#include <linux/slab.h>

#include "conf.h"

static const struct nla_policy wlb_served_policy[WLB_SERVED_A_MAX + 1] = {
	[WLB_SERVED_A_NAME] = { .type = NLA_NUL_STRING, .len = WLB_NAME_LEN - 1 },
	[WLB_SERVED_A_SERVER] = { .type = NLA_BINARY, .len = 16 },
	[WLB_SERVED_A_PORTS] = { .type = NLA_BINARY,
				 .len = WLB_MAX_PORTS * sizeof(u16) },
	[WLB_SERVED_A_LOCAL] = { .type = NLA_BINARY, .len = 16 },
	[WLB_SERVED_A_FROM] = NLA_POLICY_NESTED(wlb_prefix_policy),
	[WLB_SERVED_A_BUSY] = { .type = NLA_REJECT },
	[WLB_SERVED_A_RETURN] = NLA_POLICY_MAX(NLA_U8, __WLB_RETURN_MAX - 1),
	[WLB_SERVED_A_VIA] = NLA_POLICY_MAX(NLA_U8, __WLB_VIA_MAX - 1),
	[WLB_SERVED_A_TRUST_PATH] = { .type = NLA_FLAG },
};

struct wlb_served *wlb_rep_served(struct wlb_rep *rep,
				  const union wlb_addr *server, bool v6,
				  u16 port)
{
	const struct wlb_index_entry *e;

	wlb_index_for_each(e, &rep->index, server, v6)
		if (wlb_ports_has(&rep->served[e->object].servers.ports, port))
			return &rep->served[e->object];
	return NULL;
}

const struct wlb_served *wlb_rep_local(const struct wlb_rep *rep,
				       const union wlb_addr *local, bool v6)
{
	const struct wlb_index_entry *e;

	wlb_index_for_each(e, &rep->locals, local, v6)
		return &rep->served[e->object];
	return NULL;
}

static int wlb_served_parse(struct wlb_rep *rep, const struct nlattr *nest,
			    struct netlink_ext_ack *extack)
{
	struct wlb_served *s = &rep->served[rep->n_served];
	struct nlattr *tb[WLB_SERVED_A_MAX + 1];
	unsigned int i;
	bool v6;
	int err;

	err = nla_parse_nested(tb, WLB_SERVED_A_MAX, nest, wlb_served_policy,
			       extack);
	if (err)
		return err;
	rep->n_served++;
	if (!tb[WLB_SERVED_A_NAME] || !tb[WLB_SERVED_A_LOCAL] ||
	    !tb[WLB_SERVED_A_FROM]) {
		NL_SET_ERR_MSG_ATTR(extack, nest,
				    "served: needs name, local and from");
		return -EINVAL;
	}
	err = wlb_nla_name(tb[WLB_SERVED_A_NAME], s->name, extack);
	if (err)
		return err;
	for (i = 0; i + 1 < rep->n_served; i++) {
		if (strcmp(rep->served[i].name, s->name))
			continue;
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_SERVED_A_NAME],
				    "served: name given twice");
		return -EINVAL;
	}
	err = wlb_nla_servers(nest, WLB_SERVED_A_SERVER, tb[WLB_SERVED_A_PORTS],
			      &s->servers, extack);
	if (!err)
		err = wlb_nla_addr(tb[WLB_SERVED_A_LOCAL], &s->local, &v6,
				   extack);
	if (err)
		return err;
	if (v6 != s->servers.v6) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_SERVED_A_LOCAL],
				    "local: of the servers' address family");
		return -EINVAL;
	}
	for (i = 0; i < s->servers.n; i++) {
		if (!wlb_addr_eq(&s->servers.addr[i], &s->local, v6))
			continue;
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_SERVED_A_LOCAL],
				    "local: must not be the origin's address");
		return -EINVAL;
	}
	if (tb[WLB_SERVED_A_RETURN])
		s->ret = nla_get_u8(tb[WLB_SERVED_A_RETURN]);
	if (tb[WLB_SERVED_A_VIA]) {
		s->via = nla_get_u8(tb[WLB_SERVED_A_VIA]);
		if (s->ret == WLB_RETURN_NAT) {
			NL_SET_ERR_MSG_ATTR(extack, tb[WLB_SERVED_A_VIA],
					    "via: only with return spoof or tunnel");
			return -EINVAL;
		}
	}
	if (s->ret == WLB_RETURN_SPOOF && s->servers.n > 1) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_SERVED_A_RETURN],
				    "return: spoof allows one server address per object");
		return -EINVAL;
	}
	s->trust_path = tb[WLB_SERVED_A_TRUST_PATH];
	if (s->trust_path && s->ret != WLB_RETURN_SPOOF) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_SERVED_A_TRUST_PATH],
				    "trust-path: only with return spoof");
		return -EINVAL;
	}
	rep->returns |= 1U << s->ret;
	return wlb_nla_prefixes(nest, WLB_SERVED_A_FROM, &s->from, extack);
}

const struct wlb_served *wlb_rep_spoofer(const struct wlb_rep *rep,
					 const union wlb_addr *local, bool v6,
					 u16 port)
{
	const struct wlb_index_entry *e;

	wlb_index_for_each(e, &rep->locals, local, v6) {
		const struct wlb_served *s = &rep->served[e->object];

		if (s->ret == WLB_RETURN_SPOOF &&
		    wlb_ports_has(&s->servers.ports, port))
			return s;
	}
	return NULL;
}

/* Would a packet to the local address lead to this server or another? */
static bool wlb_spoofs_twice(const struct wlb_rep *rep,
			     const struct wlb_served *s)
{
	unsigned int i;

	for (i = 0; s->ret == WLB_RETURN_SPOOF && i < s->servers.ports.n; i++)
		if (wlb_rep_spoofer(rep, &s->local, s->servers.v6,
				    s->servers.ports.port[i]))
			return true;
	return false;
}

static int wlb_rep_index(struct wlb_rep *rep, struct netlink_ext_ack *extack)
{
	unsigned int n = 0, i, j, k;

	for (i = 0; i < rep->n_served; i++)
		n += rep->served[i].servers.n;
	if (wlb_index_alloc(&rep->index, n) ||
	    wlb_index_alloc(&rep->locals, rep->n_served))
		return -ENOMEM;
	for (i = 0; i < rep->n_served; i++) {
		const struct wlb_servers *s = &rep->served[i].servers;

		for (j = 0; j < s->ports.n; j++) {
			for (k = 0; k < s->n; k++) {
				if (!wlb_rep_served(rep, &s->addr[k], s->v6,
						    s->ports.port[j]))
					continue;
				NL_SET_ERR_MSG(extack,
					       "served: a server and port are served twice");
				return -EINVAL;
			}
		}
		if (wlb_spoofs_twice(rep, &rep->served[i])) {
			NL_SET_ERR_MSG(extack,
				       "served: two that spoof share a local address and port");
			return -EINVAL;
		}
		for (k = 0; k < s->n; k++)
			wlb_index_add(&rep->index, &s->addr[k], s->v6, i);
		wlb_index_add(&rep->locals, &rep->served[i].local, s->v6, i);
	}
	return 0;
}

/* An order to be busy outlives a change of configuration, by name. */
static void wlb_rep_keep_busy(struct wlb_rep *rep, const struct wlb_rep *old)
{
	unsigned int i, j;

	for (i = 0; i < rep->n_served; i++)
		for (j = 0; old && j < old->n_served; j++)
			if (!strcmp(rep->served[i].name, old->served[j].name))
				rep->served[i].busy = old->served[j].busy;
}

struct wlb_rep *wlb_rep_build(struct genl_info *info,
			      const struct wlb_rep *old)
{
	unsigned int n = wlb_count_attrs(info, WLB_A_SERVED);
	const struct nlattr *attr;
	struct wlb_rep *rep;
	int err, rem;

	if (!n)
		return NULL;
	if (n > WLB_MAX_SERVICES) {
		NL_SET_ERR_MSG(info->extack, "served: at most 1024");
		return ERR_PTR(-EINVAL);
	}
	rep = kvzalloc(struct_size(rep, served, n), GFP_KERNEL_ACCOUNT);
	if (!rep)
		return ERR_PTR(-ENOMEM);
	wlb_for_each_attr(attr, info, WLB_A_SERVED, rem) {
		err = wlb_served_parse(rep, attr, info->extack);
		if (err)
			goto err_free;
	}
	err = wlb_rep_index(rep, info->extack);
	if (err)
		goto err_free;
	wlb_rep_keep_busy(rep, old);
	return rep;

err_free:
	wlb_rep_free(rep);
	return ERR_PTR(err);
}

void wlb_rep_free(struct wlb_rep *rep)
{
	unsigned int i;

	if (!rep)
		return;
	for (i = 0; i < rep->n_served; i++)
		kfree(rep->served[i].from.prefix);
	wlb_index_free(&rep->index);
	wlb_index_free(&rep->locals);
	kvfree(rep);
}

int wlb_served_put(struct sk_buff *msg, const struct wlb_served *served)
{
	struct nlattr *nest = nla_nest_start(msg, WLB_A_SERVED);

	if (!nest || nla_put_string(msg, WLB_SERVED_A_NAME, served->name) ||
	    wlb_put_servers(msg, WLB_SERVED_A_SERVER, WLB_SERVED_A_PORTS,
			    &served->servers) ||
	    wlb_put_addr(msg, WLB_SERVED_A_LOCAL, &served->local,
			 served->servers.v6) ||
	    wlb_put_prefixes(msg, WLB_SERVED_A_FROM, &served->from) ||
	    nla_put_u8(msg, WLB_SERVED_A_BUSY, READ_ONCE(served->busy)) ||
	    nla_put_u8(msg, WLB_SERVED_A_RETURN, served->ret) ||
	    (served->ret != WLB_RETURN_NAT &&
	     nla_put_u8(msg, WLB_SERVED_A_VIA, served->via)) ||
	    (served->trust_path &&
	     nla_put_flag(msg, WLB_SERVED_A_TRUST_PATH)))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}
