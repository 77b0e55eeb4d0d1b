// SPDX-License-Identifier: GPL-2.0-only
/* A namespace's roles: their whole configuration, put in place of the one before. */
#include <net/genetlink.h>

#include "conf.h"
#include "cookie.h"
#include "direct.h"
#include "fast.h"
#include "flow.h"
#include "genl.h"
#include "hint.h"
#include "hold.h"
#include "learned.h"
#include "path.h"
#include "race.h"
#include "reply.h"

const struct nla_policy wlb_conf_policy[WLB_A_MAX + 1] = {
	[WLB_A_GENERATION] = { .type = NLA_U32 },
	[WLB_A_ROLES] = NLA_POLICY_MASK(NLA_U32, WLB_ROLE_ALL),
	[WLB_A_CLIENT_GATEWAY] = { .type = NLA_NESTED },
	[WLB_A_SERVER_GATEWAY] = { .type = NLA_NESTED },
	[WLB_A_SERVICE] = { .type = NLA_NESTED },
	[WLB_A_ORIGIN] = { .type = NLA_NESTED },
	[WLB_A_SERVED] = { .type = NLA_NESTED },
};

/* The roles that are configured. */
static u32 wlb_conf_roles(const struct wlb_net *wn)
{
	return (rcu_access_pointer(wn->cg) ? WLB_ROLE_CLIENT_GATEWAY : 0) |
	       (rcu_access_pointer(wn->sg) ? WLB_ROLE_SERVER_GATEWAY : 0) |
	       (rcu_access_pointer(wn->rep) ? WLB_ROLE_REPLICA : 0);
}

/* An object of a role that the request does not mean to replace is a mistake. */
static int wlb_conf_stray(struct genl_info *info, u32 roles)
{
	static const struct {
		u32 role;
		int attr;
	} parts[] = {
		{ WLB_ROLE_CLIENT_GATEWAY, WLB_A_CLIENT_GATEWAY },
		{ WLB_ROLE_CLIENT_GATEWAY, WLB_A_SERVICE },
		{ WLB_ROLE_SERVER_GATEWAY, WLB_A_SERVER_GATEWAY },
		{ WLB_ROLE_SERVER_GATEWAY, WLB_A_ORIGIN },
		{ WLB_ROLE_REPLICA, WLB_A_SERVED },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		struct nlattr *attr = info->attrs[parts[i].attr];

		if (!attr || (roles & parts[i].role))
			continue;
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "its role is not among the roles to replace");
		return -EINVAL;
	}
	return 0;
}

/* What a client gateway needs besides its configuration, for good. */
static int wlb_cg_prepare(struct wlb_net *wn, struct wlb_cg *cg,
			  struct netlink_ext_ack *extack)
{
	const struct wlb_cg *old =
		rcu_dereference_protected(wn->cg, lockdep_is_held(&wn->lock));

	/* entries are made in softirq: no memory cgroup bounds them */
	if (wn->net->user_ns != &init_user_ns &&
	    cg->max_flows > WLB_MAX_FLOWS_DEFAULT) {
		NL_SET_ERR_MSG(extack,
			       "max-flows: at most 131072 in a user's own namespace");
		return -EPERM;
	}
	if (wn->net->user_ns != &init_user_ns &&
	    cg->max_learned > WLB_MAX_LEARNED_DEFAULT) {
		NL_SET_ERR_MSG(extack,
			       "max-learned: at most 4096 in a user's own namespace");
		return -EPERM;
	}
	/* live flows of ports and return modes that are no more are still carried */
	if (old && atomic_read(&wn->table->flows)) {
		bitmap_or(cg->map.bit, cg->map.bit, old->map.bit, 65536);
		cg->carried |= old->carried;
	}
	if (!wn->races)
		wn->races = wlb_races_alloc();
	if (!wn->peers)
		wn->peers = wlb_peers_alloc();
	if (!wn->hints)
		wn->hints = wlb_hints_alloc();
	if (!wn->jar)
		wn->jar = wlb_jar_alloc();
	if (!wn->ways)
		wn->ways = wlb_ways_alloc();
	if (!wn->races || !wn->peers || !wn->hints || !wn->jar || !wn->ways ||
	    (cg->direct && wlb_direct_prepare(wn)))
		return -ENOMEM;
	if (!wn->table) {
		struct wlb_table *table = wlb_table_alloc(wn);

		if (!table)
			return -ENOMEM;
		WRITE_ONCE(wn->table, table);
	}
	return 0;
}

/* The role is off, and no hook runs any more. */
static void wlb_cg_stop(struct wlb_net *wn)
{
	wlb_table_stop(wn->table);
	/* they hold on to devices */
	wlb_ways_flush(wn->ways);
}

static int wlb_sg_prepare(struct wlb_net *wn, const struct wlb_sg *sg)
{
	struct wlb_hold *hold;

	/* whoever sees @sg sees them */
	if (sg->cookies && !wn->cookies)
		wn->cookies = wlb_cookies_alloc();
	if (sg->cookies && !wn->cookies)
		return -ENOMEM;
	if (wn->hold)
		return 0;
	hold = wlb_hold_alloc(wn);
	if (!hold)
		return -ENOMEM;
	WRITE_ONCE(wn->hold, hold);
	return 0;
}

static int wlb_rep_prepare(struct wlb_net *wn, const struct wlb_rep *rep)
{
	if (!(rep->returns & ~(1U << WLB_RETURN_NAT)))
		return 0;
	/* whoever sees @rep sees them */
	if (!wn->nonces)
		wn->nonces = wlb_nonces_alloc();
	if (!wn->paths)
		wn->paths = wlb_paths_alloc();
	return wn->nonces && wn->paths ? 0 : -ENOMEM;
}

int wlb_conf_set(struct sk_buff *skb, struct genl_info *info)
{
	struct wlb_net *wn = wlb_pernet(genl_info_net(info));
	struct wlb_rep *rep = NULL;
	struct wlb_cg *cg = NULL;
	struct wlb_sg *sg = NULL;
	u32 roles, on;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, WLB_A_ROLES)) {
		NL_SET_ERR_MSG(info->extack, "roles: which ones to replace");
		return -EINVAL;
	}
	roles = nla_get_u32(info->attrs[WLB_A_ROLES]);
	err = wlb_conf_stray(info, roles);
	if (err)
		return err;

	mutex_lock(&wn->lock);
	if (info->attrs[WLB_A_GENERATION] &&
	    nla_get_u32(info->attrs[WLB_A_GENERATION]) != wn->generation) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[WLB_A_GENERATION],
				    "the configuration has changed since it was read");
		err = -ESTALE;
		goto unlock;
	}
	if (roles & WLB_ROLE_CLIENT_GATEWAY) {
		cg = wlb_cg_build(info);
		err = IS_ERR(cg) ? PTR_ERR(cg) :
		      cg ? wlb_cg_prepare(wn, cg, info->extack) : 0;
		if (err)
			goto free;
	}
	if (roles & WLB_ROLE_SERVER_GATEWAY) {
		struct wlb_sg *old =
			rcu_dereference_protected(wn->sg,
						  lockdep_is_held(&wn->lock));

		sg = wlb_sg_build(info, old);
		err = IS_ERR(sg) ? PTR_ERR(sg) : sg ? wlb_sg_prepare(wn, sg) : 0;
		if (err)
			goto free;
	}
	if (roles & WLB_ROLE_REPLICA) {
		const struct wlb_rep *old =
			rcu_dereference_protected(wn->rep,
						  lockdep_is_held(&wn->lock));

		rep = wlb_rep_build(info, old);
		err = IS_ERR(rep) ? PTR_ERR(rep) :
		      rep ? wlb_rep_prepare(wn, rep) : 0;
		if (err)
			goto free;
	}
	on = (wn->hooked & ~roles) | (cg ? WLB_ROLE_CLIENT_GATEWAY : 0) |
	     (sg ? WLB_ROLE_SERVER_GATEWAY : 0) | (rep ? WLB_ROLE_REPLICA : 0);
	/* the last thing that can fail; hooks without configuration let pass */
	err = wlb_hooks_update(wn, on | wn->hooked);
	if (err) {
		NL_SET_ERR_MSG(info->extack, "hooks cannot be registered");
		wlb_hooks_update(wn, wlb_conf_roles(wn) |
				     (wn->hooked & ~WLB_ROLE_ALL));
		goto free;
	}
	if (roles & WLB_ROLE_CLIENT_GATEWAY)
		cg = rcu_replace_pointer(wn->cg, cg, lockdep_is_held(&wn->lock));
	if (roles & WLB_ROLE_SERVER_GATEWAY)
		sg = rcu_replace_pointer(wn->sg, sg, lockdep_is_held(&wn->lock));
	if (roles & WLB_ROLE_REPLICA)
		rep = rcu_replace_pointer(wn->rep, rep,
					  lockdep_is_held(&wn->lock));
	wlb_hooks_update(wn, on);
	wn->generation++;
	if (roles & WLB_ROLE_SERVER_GATEWAY)
		wn->replica_generation++;
	/* now the old ones are what is to be freed */
	synchronize_rcu();
	if (roles & WLB_ROLE_SERVER_GATEWAY) {
		struct wlb_sg *new =
			rcu_dereference_protected(wn->sg,
						  lockdep_is_held(&wn->lock));

		wlb_sg_inherit(new, sg);
	}
	if (on & WLB_ROLE_CLIENT_GATEWAY)
		wlb_table_start(wn->table);
	else if (wn->table)
		wlb_cg_stop(wn);
	if (!(on & WLB_ROLE_CLIENT_GATEWAY) && wn->learned)
		wlb_learned_flush(wn->learned, NULL, false);
	if (!(on & WLB_ROLE_SERVER_GATEWAY) && wn->hold)
		wlb_hold_flush(wn->hold);
free:
	if (!IS_ERR(cg))
		wlb_cg_free(cg);
	if (!IS_ERR(sg))
		wlb_sg_free(sg);
	if (!IS_ERR(rep))
		wlb_rep_free(rep);
unlock:
	mutex_unlock(&wn->lock);
	return err;
}

/* Object 0 is the header, then services, origins, served, counted through. */
static int wlb_conf_object(struct sk_buff *msg, struct wlb_net *wn,
			   unsigned long n)
{
	const struct wlb_cg *cg = rcu_dereference_protected(wn->cg,
						lockdep_is_held(&wn->lock));
	const struct wlb_sg *sg = rcu_dereference_protected(wn->sg,
						lockdep_is_held(&wn->lock));
	const struct wlb_rep *rep = rcu_dereference_protected(wn->rep,
						lockdep_is_held(&wn->lock));

	if (!n) {
		if (nla_put_u32(msg, WLB_A_GENERATION, wn->generation) ||
		    nla_put_u32(msg, WLB_A_ROLES, wlb_conf_roles(wn)))
			return -EMSGSIZE;
		if (cg && wlb_cg_put(msg, cg))
			return -EMSGSIZE;
		return sg ? wlb_sg_put(msg, sg) : 0;
	}
	n--;
	if (cg && n < cg->n_services)
		return wlb_service_put(msg, &cg->service[n]);
	n -= cg ? cg->n_services : 0;
	if (sg && n < sg->n_origins)
		return wlb_origin_put(msg, &sg->origin[n]);
	n -= sg ? sg->n_origins : 0;
	if (rep && n < rep->n_served)
		return wlb_served_put(msg, &rep->served[n]);
	return -ENOENT;
}

/* A service with all its prefixes is larger than a page. */
int wlb_conf_get_start(struct netlink_callback *cb)
{
	cb->min_dump_alloc = 16384;
	return 0;
}

int wlb_conf_get(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct wlb_net *wn = wlb_pernet(sock_net(msg->sk));

	return wlb_genl_dump(msg, cb, WLB_CMD_CONF_GET, wn, &wn->generation,
			     wlb_conf_object);
}
