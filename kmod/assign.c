// SPDX-License-Identifier: GPL-2.0-only
/* Assignments, read from a request: who of a group's caches has which packets. */
#include <linux/slab.h>

#include "drain.h"
#include "group.h"

static const struct nla_policy wlb_member_policy[WLB_MEMBER_A_MAX + 1] = {
	[WLB_MEMBER_A_ADDRESS] = { .type = NLA_BINARY, .len = 16 },
	[WLB_MEMBER_A_FORWARD] = NLA_POLICY_MAX(NLA_U8, __WLB_FORWARD_MAX - 1),
	[WLB_MEMBER_A_RETURN] = NLA_POLICY_MAX(NLA_U8, __WLB_FORWARD_MAX - 1),
};

static const struct nla_policy wlb_mask_policy[WLB_MASK_A_MAX + 1] = {
	[WLB_MASK_A_SRC] = { .type = NLA_BINARY, .len = 16 },
	[WLB_MASK_A_DST] = { .type = NLA_BINARY, .len = 16 },
	[WLB_MASK_A_SPORT] = { .type = NLA_U16 },
	[WLB_MASK_A_DPORT] = { .type = NLA_U16 },
};

static const struct nla_policy wlb_assign_policy[WLB_ASSIGN_A_MAX + 1] = {
	[WLB_ASSIGN_A_PRIORITY] = { .type = NLA_U8 },
	[WLB_ASSIGN_A_PROTOCOL] = { .type = NLA_U8 },
	[WLB_ASSIGN_A_FLAGS] = { .type = NLA_U32 },
	[WLB_ASSIGN_A_PORTS] = NLA_POLICY_EXACT_LEN(2 * WLB_WCCP_PORTS_LEN),
	[WLB_ASSIGN_A_METHOD] = NLA_POLICY_MAX(NLA_U8, __WLB_ASSIGN_MAX - 1),
	[WLB_ASSIGN_A_MEMBER] = { .type = NLA_NESTED },
	[WLB_ASSIGN_A_BUCKETS] = NLA_POLICY_EXACT_LEN(WLB_BUCKETS),
	[WLB_ASSIGN_A_MASK] = { .type = NLA_NESTED },
	[WLB_ASSIGN_A_KEY_ADDRESS] = { .type = NLA_BINARY, .len = 16 },
	[WLB_ASSIGN_A_KEY_NUMBER] = { .type = NLA_U32 },
	[WLB_ASSIGN_A_CHANGE_NUMBER] = { .type = NLA_U32 },
	[WLB_ASSIGN_A_STATE] = { .type = NLA_BINARY, .len = WLB_MAX_STATE },
};

const struct nla_policy wlb_assign_set_policy[WLB_A_MAX + 1] = {
	[WLB_A_NAME] = { .type = NLA_NUL_STRING, .len = WLB_NAME_LEN - 1 },
	[WLB_A_FAMILY] = { .type = NLA_U8 },
	[WLB_A_ASSIGNMENT] = { .type = NLA_NESTED },
	[WLB_A_VALUES] = { .type = NLA_BINARY },
};

void wlb_mapping_put(struct wlb_mapping *mapping)
{
	if (!mapping || --mapping->users)
		return;
	kvfree(mapping->values);
	kvfree(mapping->set);
	kvfree(mapping);
}

void wlb_member_put(struct wlb_member *member)
{
	unsigned int cpu;

	if (--member->users)
		return;
	dst_cache_destroy(&member->dst[WLB_FORWARD_GRE]);
	dst_cache_destroy(&member->dst[WLB_FORWARD_L2]);
	for_each_possible_cpu(cpu)
		dst_release(per_cpu_ptr(member->cpu, cpu)->route.dst);
	free_percpu(member->cpu);
	kfree(member);
}

void wlb_assign_free(struct wlb_assign *assign)
{
	unsigned int i;

	if (!assign)
		return;
	for (i = 0; i < assign->n_seats; i++)
		wlb_member_put(assign->seat[i].member);
	wlb_drain_free(assign->drain);
	wlb_mapping_put(assign->mapping);
	kfree(assign->state);
	kfree(assign);
}

struct wlb_member *wlb_member_new(struct wlb_net *wn,
				  const union wlb_addr *addr, bool v6)
{
	struct wlb_member *member = kzalloc(sizeof(*member), GFP_KERNEL_ACCOUNT);

	if (!member)
		return NULL;
	member->cpu = alloc_percpu_gfp(struct wlb_member_cpu, GFP_KERNEL_ACCOUNT);
	if (!member->cpu)
		goto err_member;
	if (dst_cache_init(&member->dst[WLB_FORWARD_GRE], GFP_KERNEL_ACCOUNT))
		goto err_stats;
	if (dst_cache_init(&member->dst[WLB_FORWARD_L2], GFP_KERNEL_ACCOUNT))
		goto err_dst;
	member->addr = *addr;
	member->v6 = v6;
	do {
		member->id = ++wn->member_id;
	} while (member->id == WLB_MEMBER_FREE || member->id == WLB_MEMBER_NONE);
	return member;

err_dst:
	dst_cache_destroy(&member->dst[WLB_FORWARD_GRE]);
err_stats:
	free_percpu(member->cpu);
err_member:
	kfree(member);
	return NULL;
}

static struct wlb_member *wlb_member_of(const struct wlb_assign *assign,
					const union wlb_addr *addr)
{
	unsigned int i;

	for (i = 0; assign && i < assign->n_seats; i++)
		if (wlb_addr_eq(&assign->seat[i].member->addr, addr,
				assign->v6))
			return assign->seat[i].member;
	return NULL;
}

static int wlb_nla_member(struct wlb_net *wn, const struct nlattr *attr,
			  struct wlb_assign *assign,
			  const struct wlb_assign *old,
			  struct netlink_ext_ack *extack)
{
	struct wlb_seat *seat = &assign->seat[assign->n_seats];
	struct nlattr *tb[WLB_MEMBER_A_MAX + 1];
	union wlb_addr addr;
	bool v6;
	int err;

	err = nla_parse_nested(tb, WLB_MEMBER_A_MAX, attr, wlb_member_policy,
			       extack);
	if (err)
		return err;
	if (!tb[WLB_MEMBER_A_ADDRESS] || !tb[WLB_MEMBER_A_FORWARD] ||
	    !tb[WLB_MEMBER_A_RETURN]) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "member: needs address, forward and return");
		return -EINVAL;
	}
	err = wlb_nla_addr(tb[WLB_MEMBER_A_ADDRESS], &addr, &v6, extack);
	if (err)
		return err;
	if (v6 != assign->v6) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_MEMBER_A_ADDRESS],
				    "address: not of the assignment's family");
		return -EINVAL;
	}
	if (wlb_member_of(assign, &addr)) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_MEMBER_A_ADDRESS],
				    "address: given twice");
		return -EINVAL;
	}
	seat->member = wlb_member_of(old, &addr) ?: wlb_member_new(wn, &addr, v6);
	if (!seat->member)
		return -ENOMEM;
	seat->member->users++;
	seat->forward = nla_get_u8(tb[WLB_MEMBER_A_FORWARD]);
	seat->ret = nla_get_u8(tb[WLB_MEMBER_A_RETURN]);
	assign->l2_return |= seat->ret == WLB_FORWARD_L2;
	assign->mapping->id[assign->n_seats] = seat->member->id;
	assign->mapping->n_seats = ++assign->n_seats;
	return 0;
}

static int wlb_nla_members(struct wlb_net *wn, const struct nlattr *nest,
			   struct wlb_assign *assign,
			   const struct wlb_assign *old,
			   struct netlink_ext_ack *extack)
{
	const struct nlattr *attr;
	int rem, err;

	wlb_for_each_nested(attr, nest, WLB_ASSIGN_A_MEMBER, rem) {
		if (assign->n_seats == WLB_MAX_CACHES) {
			NL_SET_ERR_MSG_ATTR(extack, attr, "member: at most 32");
			return -EINVAL;
		}
		err = wlb_nla_member(wn, attr, assign, old, extack);
		if (err)
			return err;
	}
	return 0;
}

static int wlb_nla_buckets(const struct nlattr *attr,
			   struct wlb_mapping *mapping,
			   struct netlink_ext_ack *extack)
{
	unsigned int i;

	nla_memcpy(mapping->bucket, attr, WLB_BUCKETS);
	for (i = 0; i < WLB_BUCKETS; i++) {
		u8 bucket = mapping->bucket[i];

		if (bucket == WLB_BUCKET_NONE ||
		    (bucket & ~WLB_BUCKET_ALT) < mapping->n_seats)
			continue;
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "buckets: a member's number, or 255");
		return -EINVAL;
	}
	return 0;
}

static int wlb_nla_mask_field(const struct nlattr *attr, u8 *field, bool v6,
			      struct netlink_ext_ack *extack)
{
	if (!attr)
		return 0;
	if (nla_len(attr) != wlb_addr_len(v6)) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "mask: as long as the family's addresses");
		return -EINVAL;
	}
	memcpy(field, nla_data(attr), nla_len(attr));
	return 0;
}

/* The bits of one octet of a wlb_mask_key, the lowest first. */
static void wlb_mask_octet(struct wlb_mask_set *set, unsigned int octet, u8 mask)
{
	unsigned int bit;

	for (bit = 0; bit < 8; bit++) {
		if (!(mask >> bit & 1))
			continue;
		set->octet[set->n_bits] = octet;
		set->bit[set->n_bits++] = bit;
	}
}

static int wlb_nla_mask(const struct nlattr *attr, struct wlb_mask_set *set,
			bool v6, struct netlink_ext_ack *extack)
{
	struct nlattr *tb[WLB_MASK_A_MAX + 1];
	struct wlb_wccp_mask *m = &set->mask;
	int err, i;

	err = nla_parse_nested(tb, WLB_MASK_A_MAX, attr, wlb_mask_policy,
			       extack) ?:
	      wlb_nla_mask_field(tb[WLB_MASK_A_SRC], m->src, v6, extack) ?:
	      wlb_nla_mask_field(tb[WLB_MASK_A_DST], m->dst, v6, extack);
	if (err)
		return err;
	if (tb[WLB_MASK_A_SPORT])
		m->sport = nla_get_u16(tb[WLB_MASK_A_SPORT]);
	if (tb[WLB_MASK_A_DPORT])
		m->dport = nla_get_u16(tb[WLB_MASK_A_DPORT]);
	if (wlb_wccp_mask_bits(m, wlb_addr_len(v6)) > WLB_MAX_MASK_BITS) {
		NL_SET_ERR_MSG_ATTR(extack, attr, "mask: at most 32 bits");
		return -EINVAL;
	}
	wlb_mask_octet(set, WLB_KEY_DPORT + 1, m->dport);
	wlb_mask_octet(set, WLB_KEY_DPORT, m->dport >> 8);
	wlb_mask_octet(set, WLB_KEY_SPORT + 1, m->sport);
	wlb_mask_octet(set, WLB_KEY_SPORT, m->sport >> 8);
	for (i = wlb_addr_len(v6) - 1; i >= 0; i--)
		wlb_mask_octet(set, WLB_KEY_DST + i, m->dst[i]);
	for (i = wlb_addr_len(v6) - 1; i >= 0; i--)
		wlb_mask_octet(set, WLB_KEY_SRC + i, m->src[i]);
	return 0;
}

static int wlb_nla_masks(const struct nlattr *nest, struct wlb_assign *assign,
			 struct netlink_ext_ack *extack)
{
	struct wlb_mapping *mapping = assign->mapping;
	const struct nlattr *attr;
	unsigned int n = 0;
	int rem, err;

	wlb_for_each_nested(attr, nest, WLB_ASSIGN_A_MASK, rem)
		n++;
	if (n > WLB_MAX_MASKS) {
		NL_SET_ERR_MSG_ATTR(extack, nest, "mask: at most 64");
		return -EINVAL;
	}
	if (!n)
		return 0;
	mapping->set = kvcalloc(n, sizeof(*mapping->set), GFP_KERNEL_ACCOUNT);
	if (!mapping->set)
		return -ENOMEM;
	wlb_for_each_nested(attr, nest, WLB_ASSIGN_A_MASK, rem) {
		err = wlb_nla_mask(attr, &mapping->set[mapping->n_sets++],
				   assign->v6, extack);
		if (err)
			return err;
	}
	return 0;
}

/* Behind the one before, of a mask and a member that are there, within the mask. */
static bool wlb_value_sane(const struct wlb_mapping *mapping,
			   const struct wlb_value *value, u64 before)
{
	const struct wlb_mask_set *set;

	if (value->mask >= mapping->n_sets || value->member >= mapping->n_seats ||
	    value->pad ||
	    ((u64)value->mask << 32 | value->number) + 1 <= before)
		return false;
	set = &mapping->set[value->mask];
	return !((u64)value->number >> set->n_bits);
}

static int wlb_nla_values(const struct nlattr *attr,
			  struct wlb_mapping *mapping, u64 *before,
			  struct netlink_ext_ack *extack)
{
	const char *data = nla_data(attr);
	int at;

	for (at = 0; at < nla_len(attr); at += sizeof(struct wlb_value)) {
		struct wlb_value value;

		/* attributes are aligned to 4 bytes, no more */
		memcpy(&value, data + at, sizeof(value));
		if (!wlb_value_sane(mapping, &value, *before)) {
			NL_SET_ERR_MSG_ATTR(extack, attr,
					    "values: ascending, of a mask and a member there are");
			return -EINVAL;
		}
		*before = ((u64)value.mask << 32 | value.number) + 1;
		mapping->values[mapping->n_values].number = value.number;
		mapping->values[mapping->n_values].seat = value.member;
		mapping->set[value.mask].n_values++;
		mapping->n_values++;
	}
	return 0;
}

static int wlb_nla_all_values(const struct genl_info *info,
			      struct wlb_mapping *mapping)
{
	struct wlb_mask_value *value;
	const struct nlattr *attr;
	unsigned int n = 0, i;
	u64 before = 0;
	int rem, err;

	wlb_for_each_attr(attr, info, WLB_A_VALUES, rem) {
		n += nla_len(attr) / sizeof(struct wlb_value);
		if (n <= WLB_MAX_VALUES &&
		    !(nla_len(attr) % sizeof(struct wlb_value)))
			continue;
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "values: whole ones, at most 65536");
		return -EINVAL;
	}
	if (!n)
		return 0;
	mapping->values = kvcalloc(n, sizeof(*mapping->values),
				   GFP_KERNEL_ACCOUNT);
	if (!mapping->values)
		return -ENOMEM;
	wlb_for_each_attr(attr, info, WLB_A_VALUES, rem) {
		err = wlb_nla_values(attr, mapping, &before, info->extack);
		if (err)
			return err;
	}
	value = mapping->values;
	for (i = 0; i < mapping->n_sets; i++) {
		mapping->set[i].value = value;
		value += mapping->set[i].n_values;
	}
	return 0;
}

static int wlb_nla_service(struct nlattr **tb, struct wlb_assign *assign,
			   const struct nlattr *nest,
			   struct netlink_ext_ack *extack)
{
	if (!tb[WLB_ASSIGN_A_PRIORITY] || !tb[WLB_ASSIGN_A_PROTOCOL] ||
	    !tb[WLB_ASSIGN_A_FLAGS] || !tb[WLB_ASSIGN_A_PORTS] ||
	    !tb[WLB_ASSIGN_A_METHOD]) {
		NL_SET_ERR_MSG_ATTR(extack, nest,
				    "assignment: needs priority, protocol, flags, ports and method");
		return -EINVAL;
	}
	assign->priority = nla_get_u8(tb[WLB_ASSIGN_A_PRIORITY]);
	assign->protocol = nla_get_u8(tb[WLB_ASSIGN_A_PROTOCOL]);
	assign->mapping->flags = nla_get_u32(tb[WLB_ASSIGN_A_FLAGS]);
	assign->mapping->method = nla_get_u8(tb[WLB_ASSIGN_A_METHOD]);
	nla_memcpy(assign->port, tb[WLB_ASSIGN_A_PORTS], sizeof(assign->port));
	while (assign->n_ports < WLB_WCCP_PORTS_LEN &&
	       assign->port[assign->n_ports])
		assign->n_ports++;
	if (tb[WLB_ASSIGN_A_KEY_NUMBER])
		assign->key_number = nla_get_u32(tb[WLB_ASSIGN_A_KEY_NUMBER]);
	if (tb[WLB_ASSIGN_A_CHANGE_NUMBER])
		assign->change_number =
			nla_get_u32(tb[WLB_ASSIGN_A_CHANGE_NUMBER]);
	if (tb[WLB_ASSIGN_A_STATE]) {
		assign->state_len = nla_len(tb[WLB_ASSIGN_A_STATE]);
		assign->state = nla_memdup(tb[WLB_ASSIGN_A_STATE],
					   GFP_KERNEL_ACCOUNT);
		if (!assign->state)
			return -ENOMEM;
	}
	if (!tb[WLB_ASSIGN_A_KEY_ADDRESS])
		return 0;
	assign->has_key = true;
	return wlb_nla_addr(tb[WLB_ASSIGN_A_KEY_ADDRESS], &assign->key_address,
			    &assign->key_v6, extack);
}

/* A table for the other method is a mistake. */
static int wlb_nla_method(const struct genl_info *info, struct nlattr **tb,
			  const struct nlattr *nest, u8 method)
{
	const struct nlattr *stray;

	if (method == WLB_ASSIGN_HASH) {
		stray = tb[WLB_ASSIGN_A_MASK] ?: info->attrs[WLB_A_VALUES];
		if (!tb[WLB_ASSIGN_A_BUCKETS]) {
			NL_SET_ERR_MSG_ATTR(info->extack, nest,
					    "assignment: needs buckets");
			return -EINVAL;
		}
	} else {
		stray = tb[WLB_ASSIGN_A_BUCKETS];
	}
	if (!stray)
		return 0;
	NL_SET_ERR_MSG_ATTR(info->extack, stray, "not of this method");
	return -EINVAL;
}

static int wlb_assign_read(struct wlb_net *wn, struct genl_info *info,
			   struct wlb_assign *assign,
			   const struct wlb_assign *old)
{
	const struct nlattr *nest = info->attrs[WLB_A_ASSIGNMENT];
	struct nlattr *tb[WLB_ASSIGN_A_MAX + 1];
	int err;

	err = nla_parse_nested(tb, WLB_ASSIGN_A_MAX, nest, wlb_assign_policy,
			       info->extack) ?:
	      wlb_nla_service(tb, assign, nest, info->extack) ?:
	      wlb_nla_method(info, tb, nest, assign->mapping->method) ?:
	      wlb_nla_members(wn, nest, assign, old, info->extack);
	if (err)
		return err;
	if (tb[WLB_ASSIGN_A_BUCKETS])
		return wlb_nla_buckets(tb[WLB_ASSIGN_A_BUCKETS], assign->mapping,
				       info->extack);
	return wlb_nla_masks(nest, assign, info->extack) ?:
	       wlb_nla_all_values(info, assign->mapping);
}

static struct wlb_assign *wlb_assign_build(struct wlb_net *wn,
					   struct genl_info *info, bool v6,
					   const struct wlb_group *group)
{
	struct wlb_group_state *state = group->state;
	const struct wlb_assign *old = state->assign[v6];
	struct wlb_assign *assign;
	int err = -ENOMEM;

	assign = kzalloc(sizeof(*assign), GFP_KERNEL_ACCOUNT);
	if (!assign)
		return ERR_PTR(-ENOMEM);
	assign->v6 = v6;
	assign->mapping = kvzalloc(sizeof(*assign->mapping), GFP_KERNEL_ACCOUNT);
	if (!assign->mapping)
		goto err_assign;
	assign->mapping->users = 1;
	err = wlb_assign_read(wn, info, assign, old);
	if (!err && group->drain)
		err = wlb_drain_begin(state, assign, old, group->drain);
	if (!err)
		return assign;
err_assign:
	wlb_assign_free(assign);
	return ERR_PTR(err);
}

static struct wlb_group *wlb_group_by_name(struct wlb_net *wn,
					   const struct nlattr *name)
{
	unsigned int i;

	for (i = 0; wn->groups && i < wn->groups->n; i++)
		if (!nla_strcmp(name, wn->groups->group[i].name))
			return (struct wlb_group *)&wn->groups->group[i];
	return NULL;
}

int wlb_assign_swap(struct wlb_net *wn, struct wlb_group_state *state, bool v6,
		    struct wlb_assign *assign)
{
	struct wlb_assign *old = state->assign[v6];
	struct wlb_router *router;

	state->assign[v6] = assign;
	router = wlb_router_build(wn->groups);
	if (!router) {
		state->assign[v6] = old;
		wlb_assign_free(assign);
		return -ENOMEM;
	}
	/* a daemon has many of these to set, and a grace period takes milliseconds */
	wlb_router_replace(wn, router, old);
	return 0;
}

int wlb_assign_set(struct sk_buff *skb, struct genl_info *info)
{
	struct wlb_net *wn = wlb_pernet(genl_info_net(info));
	struct wlb_assign *assign = NULL;
	const struct wlb_group *group;
	u8 family;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, WLB_A_NAME) ||
	    GENL_REQ_ATTR_CHECK(info, WLB_A_FAMILY)) {
		NL_SET_ERR_MSG(info->extack, "name and family: of which group");
		return -EINVAL;
	}
	family = nla_get_u8(info->attrs[WLB_A_FAMILY]);
	if (family != AF_INET && family != AF_INET6) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[WLB_A_FAMILY],
				    "family: 2 (IPv4) or 10 (IPv6)");
		return -EINVAL;
	}
	if (info->attrs[WLB_A_VALUES] && !info->attrs[WLB_A_ASSIGNMENT]) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[WLB_A_VALUES],
				    "values: of no assignment");
		return -EINVAL;
	}
	mutex_lock(&wn->lock);
	group = wlb_group_by_name(wn, info->attrs[WLB_A_NAME]);
	if (!group) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[WLB_A_NAME],
				    "name: of no group");
		err = -ENOENT;
		goto unlock;
	}
	if (info->attrs[WLB_A_ASSIGNMENT])
		assign = wlb_assign_build(wn, info, family == AF_INET6, group);
	err = IS_ERR(assign) ? PTR_ERR(assign) :
	      wlb_assign_swap(wn, group->state, family == AF_INET6, assign);
	if (!err && assign)
		wlb_lease_begin(wn);
unlock:
	mutex_unlock(&wn->lock);
	return err;
}
