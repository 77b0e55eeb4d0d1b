// SPDX-License-Identifier: GPL-2.0-only
/* The rules for processing: read from a request, and dumped. */
#include <linux/kmod.h>
#include <linux/slab.h>
#include <net/netfilter/nf_log.h>

#include "genl.h"
#include "process.h"

static const struct nla_policy
wlb_process_rule_policy[WLB_PROCESS_RULE_A_MAX + 1] = {
	[WLB_PROCESS_RULE_A_ON] = NLA_POLICY_MASK(NLA_U32, WLB_PROCESS_ALL),
	[WLB_PROCESS_RULE_A_SOURCE] = NLA_POLICY_NESTED(wlb_prefix_policy),
	[WLB_PROCESS_RULE_A_DESTINATION] = NLA_POLICY_NESTED(wlb_prefix_policy),
	[WLB_PROCESS_RULE_A_PROTO] = NLA_POLICY_MIN(NLA_U8, 1),
	[WLB_PROCESS_RULE_A_PORT] = NLA_POLICY_MIN(NLA_U16, 1),
	[WLB_PROCESS_RULE_A_DSCP] = NLA_POLICY_MAX(NLA_U8, 63),
	[WLB_PROCESS_RULE_A_REWRITE] = { .type = NLA_BINARY, .len = 16 },
	[WLB_PROCESS_RULE_A_TAG] = { .type = NLA_BINARY, .len = WLB_MAX_TAG },
	[WLB_PROCESS_RULE_A_UNTAG] = { .type = NLA_FLAG },
	[WLB_PROCESS_RULE_A_COPY_GROUP] = { .type = NLA_U16 },
	[WLB_PROCESS_RULE_A_COPY_LEN] = { .type = NLA_U32 },
};

static const struct nla_policy wlb_process_policy[WLB_PROCESS_A_MAX + 1] = {
	[WLB_PROCESS_A_RULE] = { .type = NLA_NESTED },
};

const struct nla_policy wlb_process_set_policy[WLB_A_MAX + 1] = {
	[WLB_A_PROCESS] = NLA_POLICY_NESTED(wlb_process_policy),
};

void wlb_process_free(struct wlb_process *process)
{
	unsigned int i;

	if (!process)
		return;
	for (i = 0; i < process->n; i++)
		free_percpu(process->rule[i].packets);
	if (process->copies)
		nf_logger_put(NFPROTO_INET, NF_LOG_TYPE_ULOG);
	kvfree(process);
}

/* Which packets. */
static int wlb_nla_process_match(struct nlattr **tb, const struct nlattr *nest,
				 struct wlb_process_rule *rule,
				 struct netlink_ext_ack *extack)
{
	if (tb[WLB_PROCESS_RULE_A_ON])
		rule->on = nla_get_u32(tb[WLB_PROCESS_RULE_A_ON]);
	if (!rule->on) {
		NL_SET_ERR_MSG_ATTR(extack, nest,
				    "on: which packets, returned (1), passing (2) or both");
		return -EINVAL;
	}
	if (tb[WLB_PROCESS_RULE_A_PROTO])
		rule->proto = nla_get_u8(tb[WLB_PROCESS_RULE_A_PROTO]);
	if (tb[WLB_PROCESS_RULE_A_PORT]) {
		rule->port = nla_get_u16(tb[WLB_PROCESS_RULE_A_PORT]);
		if (rule->proto != IPPROTO_TCP && rule->proto != IPPROTO_UDP) {
			NL_SET_ERR_MSG_ATTR(extack,
					    tb[WLB_PROCESS_RULE_A_PORT],
					    "port: of proto 6 or 17 only");
			return -EINVAL;
		}
	}
	return wlb_nla_ends(tb[WLB_PROCESS_RULE_A_SOURCE],
			    tb[WLB_PROCESS_RULE_A_DESTINATION], nest,
			    &rule->ends, extack);
}

/* Behind wlb_nla_process_match(). */
static int wlb_nla_process_rewrite(const struct nlattr *attr,
				   struct wlb_process_rule *rule,
				   struct netlink_ext_ack *extack)
{
	const struct wlb_ends *ends = &rule->ends;
	int err;

	if (!attr)
		return 0;
	err = wlb_nla_addr(attr, &rule->to, &rule->to_v6, extack);
	if (err)
		return err;
	if ((ends->has_src && ends->src.v6 != rule->to_v6) ||
	    (ends->has_dst && ends->dst.v6 != rule->to_v6)) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "rewrite: of the prefixes' address family");
		return -EINVAL;
	}
	rule->has_to = true;
	return 0;
}

static int wlb_nla_process_tag(struct nlattr **tb,
			       struct wlb_process_rule *rule,
			       struct netlink_ext_ack *extack)
{
	const struct nlattr *tag = tb[WLB_PROCESS_RULE_A_TAG];
	const struct nlattr *untag = tb[WLB_PROCESS_RULE_A_UNTAG];

	rule->untag = untag;
	if ((tag || untag) && rule->proto && rule->proto != IPPROTO_TCP) {
		NL_SET_ERR_MSG_ATTR(extack, tag ?: untag,
				    "tag, untag: of proto 6 only");
		return -EINVAL;
	}
	if (!tag)
		return 0;
	if (untag || !nla_len(tag)) {
		NL_SET_ERR_MSG_ATTR(extack, tag,
				    "tag: 1 to 16 bytes, and not with untag");
		return -EINVAL;
	}
	rule->tag_len = nla_len(tag);
	memcpy(rule->tag, nla_data(tag), rule->tag_len);
	return 0;
}

static int wlb_process_logger(void)
{
	if (!nf_logger_find_get(NFPROTO_INET, NF_LOG_TYPE_ULOG))
		return 0;
	request_module("nf-logger-%u-%u", NFPROTO_IPV4, NF_LOG_TYPE_ULOG);
	return nf_logger_find_get(NFPROTO_INET, NF_LOG_TYPE_ULOG);
}

static int wlb_nla_process_copy(struct nlattr **tb, struct wlb_process *process,
				struct wlb_process_rule *rule,
				struct netlink_ext_ack *extack)
{
	const struct nlattr *group = tb[WLB_PROCESS_RULE_A_COPY_GROUP];
	const struct nlattr *len = tb[WLB_PROCESS_RULE_A_COPY_LEN];

	if (!group && len) {
		NL_SET_ERR_MSG_ATTR(extack, len, "copy-len: needs a copy-group");
		return -EINVAL;
	}
	if (!group)
		return 0;
	if (!process->copies && wlb_process_logger()) {
		NL_SET_ERR_MSG_ATTR(extack, group,
				    "copy-group: this kernel has no NFLOG");
		return -EOPNOTSUPP;
	}
	process->copies = true;
	rule->has_copy = true;
	rule->copy_group = nla_get_u16(group);
	if (len)
		rule->copy_len = nla_get_u32(len);
	return 0;
}

static int wlb_nla_process_rule(const struct nlattr *nest,
				struct wlb_process *process,
				struct netlink_ext_ack *extack)
{
	struct wlb_process_rule *rule = &process->rule[process->n];
	struct nlattr *tb[WLB_PROCESS_RULE_A_MAX + 1];
	int err;

	err = nla_parse_nested(tb, WLB_PROCESS_RULE_A_MAX, nest,
			       wlb_process_rule_policy, extack);
	if (err)
		return err;
	rule->packets = alloc_percpu_gfp(unsigned long, GFP_KERNEL_ACCOUNT);
	if (!rule->packets)
		return -ENOMEM;
	/* from here on it is the set's to free */
	process->n++;
	rule->has_dscp = tb[WLB_PROCESS_RULE_A_DSCP];
	if (rule->has_dscp)
		rule->dscp = nla_get_u8(tb[WLB_PROCESS_RULE_A_DSCP]);
	err = wlb_nla_process_match(tb, nest, rule, extack) ?:
	      wlb_nla_process_rewrite(tb[WLB_PROCESS_RULE_A_REWRITE], rule,
				      extack) ?:
	      wlb_nla_process_tag(tb, rule, extack) ?:
	      wlb_nla_process_copy(tb, process, rule, extack);
	process->on |= rule->on;
	process->rewrites |= rule->has_to;
	return err;
}

/* NULL: there is no rule. */
static struct wlb_process *wlb_process_build(const struct nlattr *nest,
					     struct netlink_ext_ack *extack)
{
	struct wlb_process *process;
	const struct nlattr *attr;
	unsigned int n = 0;
	int rem, err;

	if (!nest)
		return NULL;
	wlb_for_each_nested(attr, nest, WLB_PROCESS_A_RULE, rem)
		n++;
	if (!n)
		return NULL;
	if (n > WLB_MAX_PROCESSES) {
		NL_SET_ERR_MSG_ATTR(extack, nest, "rule: at most 64");
		return ERR_PTR(-EINVAL);
	}
	process = kvzalloc(struct_size(process, rule, n), GFP_KERNEL_ACCOUNT);
	if (!process)
		return ERR_PTR(-ENOMEM);
	wlb_for_each_nested(attr, nest, WLB_PROCESS_A_RULE, rem) {
		err = wlb_nla_process_rule(attr, process, extack);
		if (err) {
			wlb_process_free(process);
			return ERR_PTR(err);
		}
	}
	return process;
}

int wlb_process_set(struct sk_buff *skb, struct genl_info *info)
{
	struct wlb_net *wn = wlb_pernet(genl_info_net(info));
	struct wlb_process *process;
	int err = 0;

	process = wlb_process_build(info->attrs[WLB_A_PROCESS], info->extack);
	if (IS_ERR(process))
		return PTR_ERR(process);
	mutex_lock(&wn->lock);
	if (process && process->rewrites)
		err = wlb_rewrite_on(wn);
	if (process && !err)
		err = wlb_hooks_update(wn, wn->hooked | WLB_ROLE_PROCESS);
	if (err) {
		NL_SET_ERR_MSG(info->extack, "hooks cannot be registered");
		goto unlock;
	}
	wn->process_generation++;
	if (!process)
		wlb_hooks_update(wn, wn->hooked & ~WLB_ROLE_PROCESS);
	process = rcu_replace_pointer(wn->process, process,
				      lockdep_is_held(&wn->lock));
	synchronize_rcu();
unlock:
	mutex_unlock(&wn->lock);
	wlb_process_free(process);
	return err;
}

static u64 wlb_process_packets(const struct wlb_process_rule *rule)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*per_cpu_ptr(rule->packets, cpu));
	return sum;
}

static int wlb_put_process_rule(struct sk_buff *msg,
				const struct wlb_process_rule *rule)
{
	if (nla_put_u32(msg, WLB_PROCESS_RULE_A_ON, rule->on) ||
	    wlb_put_ends(msg, WLB_PROCESS_RULE_A_SOURCE,
			 WLB_PROCESS_RULE_A_DESTINATION, &rule->ends) ||
	    (rule->proto &&
	     nla_put_u8(msg, WLB_PROCESS_RULE_A_PROTO, rule->proto)) ||
	    (rule->port &&
	     nla_put_u16(msg, WLB_PROCESS_RULE_A_PORT, rule->port)) ||
	    (rule->has_dscp &&
	     nla_put_u8(msg, WLB_PROCESS_RULE_A_DSCP, rule->dscp)) ||
	    (rule->has_to && wlb_put_addr(msg, WLB_PROCESS_RULE_A_REWRITE,
					  &rule->to, rule->to_v6)) ||
	    (rule->tag_len &&
	     nla_put(msg, WLB_PROCESS_RULE_A_TAG, rule->tag_len, rule->tag)) ||
	    (rule->untag && nla_put_flag(msg, WLB_PROCESS_RULE_A_UNTAG)) ||
	    (rule->has_copy &&
	     (nla_put_u16(msg, WLB_PROCESS_RULE_A_COPY_GROUP,
			  rule->copy_group) ||
	      nla_put_u32(msg, WLB_PROCESS_RULE_A_COPY_LEN, rule->copy_len))) ||
	    nla_put_u64_64bit(msg, WLB_PROCESS_RULE_A_PACKETS,
			      wlb_process_packets(rule),
			      WLB_PROCESS_RULE_A_PAD))
		return -EMSGSIZE;
	return 0;
}

static int wlb_put_process(struct sk_buff *msg, struct wlb_net *wn,
			   unsigned long n)
{
	const struct wlb_process *process =
		rcu_dereference_protected(wn->process,
					  lockdep_is_held(&wn->lock));
	struct nlattr *nest, *rule;

	if (!process || n >= process->n)
		return -ENOENT;
	nest = nla_nest_start(msg, WLB_A_PROCESS);
	rule = nla_nest_start(msg, WLB_PROCESS_A_RULE);
	if (!nest || !rule || wlb_put_process_rule(msg, &process->rule[n]))
		return -EMSGSIZE;
	nla_nest_end(msg, rule);
	nla_nest_end(msg, nest);
	return 0;
}

int wlb_process_get(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct wlb_net *wn = wlb_pernet(sock_net(msg->sk));

	return wlb_genl_dump(msg, cb, WLB_CMD_PROCESS_GET, wn,
			     &wn->process_generation, wlb_put_process);
}
