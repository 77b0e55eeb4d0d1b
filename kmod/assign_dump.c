// SPDX-License-Identifier: GPL-2.0-only
/* Assignments, as a daemon that starts anew or an administrator reads them. */
#include "genl.h"
#include "group.h"

#define WLB_VALUES_PER_MESSAGE	1024

static int wlb_put_member(struct sk_buff *msg, const struct wlb_seat *seat)
{
	struct nlattr *nest = nla_nest_start(msg, WLB_ASSIGN_A_MEMBER);
	u64 packets = 0, bytes = 0, returned = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct wlb_member_cpu *stats =
			per_cpu_ptr(seat->member->cpu, cpu);

		packets += READ_ONCE(stats->packets);
		bytes += READ_ONCE(stats->bytes);
		returned += READ_ONCE(stats->returned);
	}
	if (!nest ||
	    wlb_put_addr(msg, WLB_MEMBER_A_ADDRESS, &seat->member->addr,
			 seat->member->v6) ||
	    nla_put_u8(msg, WLB_MEMBER_A_FORWARD, seat->forward) ||
	    nla_put_u8(msg, WLB_MEMBER_A_RETURN, seat->ret) ||
	    nla_put_u64_64bit(msg, WLB_MEMBER_A_PACKETS, packets,
			      WLB_MEMBER_A_PAD) ||
	    nla_put_u64_64bit(msg, WLB_MEMBER_A_BYTES, bytes,
			      WLB_MEMBER_A_PAD) ||
	    nla_put_u64_64bit(msg, WLB_MEMBER_A_RETURNED, returned,
			      WLB_MEMBER_A_PAD))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int wlb_put_mask(struct sk_buff *msg, const struct wlb_wccp_mask *mask,
			bool v6)
{
	struct nlattr *nest = nla_nest_start(msg, WLB_ASSIGN_A_MASK);

	if (!nest ||
	    nla_put(msg, WLB_MASK_A_SRC, wlb_addr_len(v6), mask->src) ||
	    nla_put(msg, WLB_MASK_A_DST, wlb_addr_len(v6), mask->dst) ||
	    nla_put_u16(msg, WLB_MASK_A_SPORT, mask->sport) ||
	    nla_put_u16(msg, WLB_MASK_A_DPORT, mask->dport))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int wlb_put_tables(struct sk_buff *msg, const struct wlb_assign *a)
{
	unsigned int i;

	for (i = 0; i < a->n_seats; i++)
		if (wlb_put_member(msg, &a->seat[i]))
			return -EMSGSIZE;
	if (a->mapping->method == WLB_ASSIGN_HASH)
		return nla_put(msg, WLB_ASSIGN_A_BUCKETS, WLB_BUCKETS,
			       a->mapping->bucket);
	for (i = 0; i < a->mapping->n_sets; i++)
		if (wlb_put_mask(msg, &a->mapping->set[i].mask, a->v6))
			return -EMSGSIZE;
	return 0;
}

static int wlb_put_assign(struct sk_buff *msg, const struct wlb_assign *a)
{
	struct nlattr *nest = nla_nest_start(msg, WLB_A_ASSIGNMENT);

	if (!nest || nla_put_u8(msg, WLB_ASSIGN_A_PRIORITY, a->priority) ||
	    nla_put_u8(msg, WLB_ASSIGN_A_PROTOCOL, a->protocol) ||
	    nla_put_u32(msg, WLB_ASSIGN_A_FLAGS, a->mapping->flags) ||
	    nla_put(msg, WLB_ASSIGN_A_PORTS, sizeof(a->port), a->port) ||
	    nla_put_u8(msg, WLB_ASSIGN_A_METHOD, a->mapping->method) ||
	    wlb_put_tables(msg, a) ||
	    (a->has_key && wlb_put_addr(msg, WLB_ASSIGN_A_KEY_ADDRESS,
					&a->key_address, a->key_v6)) ||
	    nla_put_u32(msg, WLB_ASSIGN_A_KEY_NUMBER, a->key_number) ||
	    nla_put_u32(msg, WLB_ASSIGN_A_CHANGE_NUMBER, a->change_number) ||
	    (a->state_len &&
	     nla_put(msg, WLB_ASSIGN_A_STATE, a->state_len, a->state)))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

/* So many values as one message takes; the mask of each is found by counting. */
static int wlb_put_values(struct sk_buff *msg, const struct wlb_mapping *mapping,
			  unsigned int from)
{
	unsigned int n = min_t(unsigned int, mapping->n_values - from,
			       WLB_VALUES_PER_MESSAGE);
	struct nlattr *attr = nla_reserve(msg, WLB_A_VALUES,
					  n * sizeof(struct wlb_value));
	unsigned int i, mask = 0, end = mapping->set[0].n_values;
	char *data;

	if (!attr)
		return -EMSGSIZE;
	data = nla_data(attr);
	for (i = from; i < from + n; i++) {
		struct wlb_value value = {
			.number = mapping->values[i].number,
			.member = mapping->values[i].seat,
		};

		while (i >= end)
			end += mapping->set[++mask].n_values;
		value.mask = mask;
		memcpy(data + (i - from) * sizeof(value), &value, sizeof(value));
	}
	return 0;
}

/* The @part-th message about an assignment; -ENOENT behind the last. */
static int wlb_put_part(struct sk_buff *msg, const struct wlb_group *group,
			bool v6, unsigned long part)
{
	const struct wlb_assign *a = group->state->assign[v6];
	unsigned long from = (part - 1) * WLB_VALUES_PER_MESSAGE;

	if (!a || (part && from >= a->mapping->n_values))
		return -ENOENT;
	if (nla_put_string(msg, WLB_A_NAME, group->name) ||
	    nla_put_u8(msg, WLB_A_FAMILY, v6 ? AF_INET6 : AF_INET))
		return -EMSGSIZE;
	return part ? wlb_put_values(msg, a->mapping, from) :
		      wlb_put_assign(msg, a);
}

/* Dump state: args[0] group and family, args[1] part. */
int wlb_assign_get(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct wlb_net *wn = wlb_pernet(sock_net(msg->sk));
	const struct wlb_groups *groups;
	void *hdr;
	int err = 0;

	mutex_lock(&wn->lock);
	groups = wn->groups;
	cb->seq = wn->router_generation + 1;	/* 0 would mean no check */
	while (groups && cb->args[0] < groups->n * 2) {
		hdr = wlb_genl_put(msg, cb, WLB_CMD_ASSIGN_GET);
		if (!hdr) {
			err = -EMSGSIZE;
			break;
		}
		err = wlb_put_part(msg, &groups->group[cb->args[0] / 2],
				   cb->args[0] % 2, cb->args[1]);
		if (!err) {
			genlmsg_end(msg, hdr);
			cb->args[1]++;
			continue;
		}
		genlmsg_cancel(msg, hdr);
		if (err != -ENOENT)
			break;
		err = 0;
		cb->args[0]++;
		cb->args[1] = 0;
	}
	mutex_unlock(&wn->lock);
	return msg->len ?: err;
}
