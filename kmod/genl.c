// SPDX-License-Identifier: GPL-2.0-only
/* The generic netlink family: see include/uapi/linux/wlb.h. */
#include <net/genetlink.h>

#include "cache.h"
#include "conf.h"
#include "flow.h"
#include "genl.h"
#include "group.h"
#include "hold.h"
#include "learned.h"
#include "process.h"
#include "race.h"

static const struct nla_policy wlb_flow_filter_policy[WLB_FLOW_A_MAX + 1] = {
	[WLB_FLOW_A_CLIENT] = { .type = NLA_BINARY, .len = 16 },
	[WLB_FLOW_A_SERVER] = { .type = NLA_BINARY, .len = 16 },
	[WLB_FLOW_A_WINNER] = { .type = NLA_BINARY, .len = 16 },
};

static const struct nla_policy wlb_busy_policy[WLB_A_MAX + 1] = {
	[WLB_A_NAME] = { .type = NLA_NUL_STRING, .len = WLB_NAME_LEN - 1 },
	[WLB_A_BUSY] = NLA_POLICY_MAX(NLA_U8, 1),
};

static const struct nla_policy wlb_flush_policy[WLB_A_MAX + 1] = {
	[WLB_A_FLOW] = NLA_POLICY_NESTED(wlb_flow_filter_policy),
};

static const struct nla_policy wlb_flow_new_policy[WLB_A_MAX + 1] = {
	[WLB_A_FLOW] = NLA_POLICY_NESTED(wlb_flow_policy),
};

static const struct nla_policy wlb_empty_policy[WLB_A_MAX + 1] = {};

void *wlb_genl_put(struct sk_buff *msg, struct netlink_callback *cb, u8 cmd)
{
	void *hdr;

	hdr = genlmsg_put(msg, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			  &wlb_genl_family, NLM_F_MULTI, cmd);
	if (hdr)
		genl_dump_check_consistent(cb, hdr);
	return hdr;
}

int wlb_genl_dump(struct sk_buff *msg, struct netlink_callback *cb, u8 cmd,
		  struct wlb_net *wn, const u32 *generation,
		  wlb_put_object_t *put)
{
	void *hdr;
	int err;

	mutex_lock(&wn->lock);
	cb->seq = *generation + 1;	/* 0 would mean no check */
	for (;; cb->args[0]++) {
		hdr = wlb_genl_put(msg, cb, cmd);
		if (!hdr) {
			err = -EMSGSIZE;
			break;
		}
		err = put(msg, wn, cb->args[0]);
		if (err) {
			genlmsg_cancel(msg, hdr);
			break;
		}
		genlmsg_end(msg, hdr);
	}
	mutex_unlock(&wn->lock);
	/* nothing at all would be taken for the end */
	return msg->len ?: err == -ENOENT ? 0 : err;
}

static int wlb_busy_set(struct sk_buff *skb, struct genl_info *info)
{
	struct wlb_net *wn = wlb_pernet(genl_info_net(info));
	struct nlattr *name = info->attrs[WLB_A_NAME];
	struct wlb_rep *rep;
	unsigned int i, n = 0;

	if (GENL_REQ_ATTR_CHECK(info, WLB_A_BUSY)) {
		NL_SET_ERR_MSG(info->extack, "busy: 0 or 1");
		return -EINVAL;
	}
	mutex_lock(&wn->lock);
	rep = rcu_dereference_protected(wn->rep, lockdep_is_held(&wn->lock));
	for (i = 0; rep && i < rep->n_served; i++) {
		if (name && nla_strcmp(name, rep->served[i].name))
			continue;
		WRITE_ONCE(rep->served[i].busy,
			   nla_get_u8(info->attrs[WLB_A_BUSY]));
		n++;
	}
	mutex_unlock(&wn->lock);
	if (n)
		return 0;
	if (name)
		NL_SET_ERR_MSG_ATTR(info->extack, name,
				    "name: of no origin that is served here");
	else
		NL_SET_ERR_MSG(info->extack, "no origin is served here");
	return -ENOENT;
}

static int wlb_flow_get(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct wlb_net *wn = wlb_pernet(sock_net(msg->sk));
	struct wlb_table *table = READ_ONCE(wn->table);

	return table ? wlb_flow_dump(table, msg, cb) : 0;
}

static int wlb_flow_flush(struct sk_buff *skb, struct genl_info *info)
{
	struct wlb_net *wn = wlb_pernet(genl_info_net(info));
	struct wlb_table *table = READ_ONCE(wn->table);
	const union wlb_addr *by[WLB_FLOW_A_MAX + 1] = {};
	union wlb_addr addr[WLB_FLOW_A_MAX + 1];
	struct nlattr *tb[WLB_FLOW_A_MAX + 1] = {};
	bool v6 = false, one, first = true;
	struct sk_buff *msg;
	void *hdr;
	int err, i;

	if (info->attrs[WLB_A_FLOW]) {
		err = nla_parse_nested(tb, WLB_FLOW_A_MAX,
				       info->attrs[WLB_A_FLOW],
				       wlb_flow_filter_policy, info->extack);
		if (err)
			return err;
	}
	for (i = 0; i <= WLB_FLOW_A_MAX; i++) {
		if (!tb[i])
			continue;
		err = wlb_nla_addr(tb[i], &addr[i], &one, info->extack);
		if (err)
			return err;
		if (!first && one != v6) {
			NL_SET_ERR_MSG_ATTR(info->extack, tb[i],
					    "flow: addresses of one family");
			return -EINVAL;
		}
		v6 = one;
		first = false;
		by[i] = &addr[i];
	}
	msg = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!msg)
		return -ENOMEM;
	hdr = genlmsg_put_reply(msg, info, &wlb_genl_family, 0,
				WLB_CMD_FLOW_FLUSH);
	if (!hdr ||
	    nla_put_u32(msg, WLB_A_COUNT, !table ? 0 :
			wlb_table_flush(table, by[WLB_FLOW_A_CLIENT],
					by[WLB_FLOW_A_SERVER],
					by[WLB_FLOW_A_WINNER], v6))) {
		nlmsg_free(msg);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, hdr);
	return genlmsg_reply(msg, info);
}

static int wlb_flow_new(struct sk_buff *skb, struct genl_info *info)
{
	struct wlb_net *wn = wlb_pernet(genl_info_net(info));
	int err;

	if (GENL_REQ_ATTR_CHECK(info, WLB_A_FLOW)) {
		NL_SET_ERR_MSG(info->extack, "flow: which one to put back");
		return -EINVAL;
	}
	mutex_lock(&wn->lock);
	err = wlb_flow_read(wn, info->attrs[WLB_A_FLOW], info->extack);
	mutex_unlock(&wn->lock);
	return err;
}

static unsigned long wlb_stat_sum(const struct wlb_net *wn, unsigned int stat)
{
	unsigned long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(wn->stats, cpu)->count[stat]);
	return sum;
}

static int wlb_stats_put(struct sk_buff *msg, const struct wlb_net *wn)
{
	const struct wlb_table *table = READ_ONCE(wn->table);
	struct nlattr *nest = nla_nest_start(msg, WLB_A_STATS);
	unsigned int i;

	if (!nest)
		return -EMSGSIZE;
	for (i = 0; i < __WLB_STAT_MAX; i++) {
		u64 sum = wlb_stat_sum(wn, i);

		/* type 0 is the padding in front of u64 */
		if (nla_put_u64_64bit(msg, i + 1, sum, 0))
			return -EMSGSIZE;
	}
	nla_nest_end(msg, nest);
	if (nla_put_u32(msg, WLB_A_FLOWS,
			table ? atomic_read(&table->flows) : 0) ||
	    nla_put_u32(msg, WLB_A_RACING,
			table ? atomic_read(&table->racing) : 0) ||
	    nla_put_u32(msg, WLB_A_HELD, wlb_hold_count(READ_ONCE(wn->hold))))
		return -EMSGSIZE;
	return 0;
}

static int wlb_stats_get(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *msg = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	void *hdr;

	if (!msg)
		return -ENOMEM;
	hdr = genlmsg_put_reply(msg, info, &wlb_genl_family, 0,
				WLB_CMD_STATS_GET);
	if (!hdr || wlb_stats_put(msg, wlb_pernet(genl_info_net(info)))) {
		nlmsg_free(msg);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, hdr);
	return genlmsg_reply(msg, info);
}

static int wlb_race_get(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct wlb_net *wn = wlb_pernet(sock_net(msg->sk));
	struct wlb_races *races = READ_ONCE(wn->races);

	return races ? wlb_race_dump(races, msg, cb) : 0;
}

/* Reading flows and races is for administrators too: they name clients. */
static const struct genl_ops wlb_genl_ops[] = {
	{
		.cmd = WLB_CMD_CONF_GET,
		.start = wlb_conf_get_start,
		.dumpit = wlb_conf_get,
		.policy = wlb_empty_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_CONF_SET,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = wlb_conf_set,
		.policy = wlb_conf_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_BUSY_SET,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = wlb_busy_set,
		.policy = wlb_busy_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_FLOW_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.dumpit = wlb_flow_get,
		.policy = wlb_empty_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_FLOW_FLUSH,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = wlb_flow_flush,
		.policy = wlb_flush_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_STATS_GET,
		.doit = wlb_stats_get,
		.policy = wlb_empty_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_RACE_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.dumpit = wlb_race_get,
		.policy = wlb_empty_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_FLOW_NEW,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = wlb_flow_new,
		.policy = wlb_flow_new_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_GROUP_SET,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = wlb_group_set,
		.policy = wlb_group_set_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_GROUP_GET,
		.start = wlb_group_get_start,
		.dumpit = wlb_group_get,
		.policy = wlb_empty_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_ASSIGN_SET,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = wlb_assign_set,
		.policy = wlb_assign_set_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_ASSIGN_GET,
		.start = wlb_conf_get_start,
		.dumpit = wlb_assign_get,
		.policy = wlb_empty_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_LEASE_RENEW,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = wlb_lease_renew,
		.policy = wlb_empty_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_CACHE_SET,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = wlb_cache_set,
		.policy = wlb_cache_set_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_CACHE_GET,
		.start = wlb_group_get_start,
		.dumpit = wlb_cache_get,
		.policy = wlb_empty_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_BYPASS_ADD,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = wlb_bypass_add,
		.policy = wlb_bypass_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_BYPASS_DEL,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = wlb_bypass_del,
		.policy = wlb_bypass_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_BYPASS_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.dumpit = wlb_bypass_get,
		.policy = wlb_empty_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_PROCESS_SET,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = wlb_process_set,
		.policy = wlb_process_set_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_PROCESS_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.dumpit = wlb_process_get,
		.policy = wlb_empty_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_LEARNED_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.dumpit = wlb_learned_get,
		.policy = wlb_empty_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_LEARNED_FLUSH,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = wlb_learned_forget,
		.policy = wlb_learned_forget_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_REPLICA_SET,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = wlb_replica_set,
		.policy = wlb_replica_set_policy,
		.maxattr = WLB_A_MAX,
	}, {
		.cmd = WLB_CMD_REPLICA_GET,
		.dumpit = wlb_replica_get,
		.policy = wlb_empty_policy,
		.maxattr = WLB_A_MAX,
	},
};

static const struct genl_multicast_group wlb_genl_groups[] = {
	[WLB_GENL_GRP_RACE] = {
		.name = WLB_GENL_MCGRP_RACE,
		.flags = GENL_MCAST_CAP_NET_ADMIN,
	},
};

struct genl_family wlb_genl_family __ro_after_init = {
	.name = WLB_GENL_NAME,
	.version = WLB_GENL_VERSION,
	.maxattr = WLB_A_MAX,
	.netnsok = true,
	.module = THIS_MODULE,
	.ops = wlb_genl_ops,
	.n_ops = ARRAY_SIZE(wlb_genl_ops),
	.resv_start_op = WLB_CMD_CONF_GET,
	.mcgrps = wlb_genl_groups,
	.n_mcgrps = ARRAY_SIZE(wlb_genl_groups),
};

int __init wlb_genl_init(void)
{
	return genl_register_family(&wlb_genl_family);
}

void wlb_genl_exit(void)
{
	genl_unregister_family(&wlb_genl_family);
}
