// SPDX-License-Identifier: GPL-2.0-only
/* The configuration of a cache's host: read from a request, and dumped. */
#include <linux/slab.h>

#include "cache.h"
#include "genl.h"

static const struct nla_policy wlb_door_policy[WLB_DOOR_A_MAX + 1] = {
	[WLB_DOOR_A_ADDRESS] = { .type = NLA_BINARY, .len = 16 },
	[WLB_DOOR_A_FORWARD] = NLA_POLICY_MAX(NLA_U8, __WLB_FORWARD_MAX - 1),
	[WLB_DOOR_A_RETURN] = NLA_POLICY_MAX(NLA_U8, __WLB_FORWARD_MAX - 1),
	[WLB_DOOR_A_TYPE] = NLA_POLICY_MAX(NLA_U8, __WLB_GROUP_TYPE_MAX - 1),
	[WLB_DOOR_A_ID] = { .type = NLA_U8 },
	[WLB_DOOR_A_SOURCE] = { .type = NLA_BINARY, .len = 16 },
};

static const struct nla_policy wlb_cache_policy[WLB_CACHE_A_MAX + 1] = {
	[WLB_CACHE_A_DOOR] = { .type = NLA_NESTED },
	[WLB_CACHE_A_RULE] = { .type = NLA_NESTED },
	[WLB_CACHE_A_SHARE] = NLA_POLICY_MAX(NLA_U32, 1000),
	[WLB_CACHE_A_MARK] = { .type = NLA_U32 },
	[WLB_CACHE_A_NAT] = { .type = NLA_FLAG },
	[WLB_CACHE_A_PORT] = NLA_POLICY_MIN(NLA_U16, 1),
};

const struct nla_policy wlb_cache_set_policy[WLB_A_MAX + 1] = {
	[WLB_A_CACHE] = NLA_POLICY_NESTED(wlb_cache_policy),
};

void wlb_cache_free(struct wlb_cache *cache)
{
	unsigned int i;

	if (!cache)
		return;
	for (i = 0; i < cache->n_doors; i++)
		wlb_member_put(cache->door[i].seat.member);
	wlb_index_free(&cache->by_addr);
	kvfree(cache->rules.rule);
	kvfree(cache);
}

static struct wlb_member *wlb_door_member(const struct wlb_cache *cache,
					  const union wlb_addr *addr, bool v6)
{
	unsigned int i;

	for (i = 0; cache && i < cache->n_doors; i++) {
		struct wlb_member *member = cache->door[i].seat.member;

		if (member->v6 == v6 && wlb_addr_eq(&member->addr, addr, v6))
			return member;
	}
	return NULL;
}

static int wlb_door_source(const struct nlattr *attr, struct wlb_door *door,
			   bool v6, struct netlink_ext_ack *extack)
{
	bool is_v6;
	int err;

	if (!attr)
		return 0;
	err = wlb_nla_addr(attr, &door->source, &is_v6, extack);
	if (err)
		return err;
	if (is_v6 != v6) {
		NL_SET_ERR_MSG_ATTR(extack, attr, "source: of the router's family");
		return -EINVAL;
	}
	door->has_source = true;
	return 0;
}

static int wlb_nla_door(struct wlb_net *wn, const struct nlattr *nest,
			struct wlb_cache *cache, const struct wlb_cache *old,
			struct netlink_ext_ack *extack)
{
	struct wlb_door *door = &cache->door[cache->n_doors];
	struct nlattr *tb[WLB_DOOR_A_MAX + 1];
	struct wlb_member *member;
	union wlb_addr addr;
	bool v6;
	int err;

	err = nla_parse_nested(tb, WLB_DOOR_A_MAX, nest, wlb_door_policy, extack);
	if (err)
		return err;
	if (!tb[WLB_DOOR_A_ADDRESS] || !tb[WLB_DOOR_A_FORWARD] ||
	    !tb[WLB_DOOR_A_RETURN]) {
		NL_SET_ERR_MSG_ATTR(extack, nest,
				    "door: needs address, forward and return");
		return -EINVAL;
	}
	err = wlb_nla_addr(tb[WLB_DOOR_A_ADDRESS], &addr, &v6, extack) ?:
	      wlb_door_source(tb[WLB_DOOR_A_SOURCE], door, v6, extack);
	if (err)
		return err;
	if (tb[WLB_DOOR_A_TYPE])
		door->type = nla_get_u8(tb[WLB_DOOR_A_TYPE]);
	if (tb[WLB_DOOR_A_ID])
		door->id = nla_get_u8(tb[WLB_DOOR_A_ID]);
	door->in = nla_get_u8(tb[WLB_DOOR_A_FORWARD]);
	door->seat.forward = nla_get_u8(tb[WLB_DOOR_A_RETURN]);
	member = wlb_door_member(cache, &addr, v6) ?:
		 wlb_door_member(old, &addr, v6) ?: wlb_member_new(wn, &addr, v6);
	if (!member)
		return -ENOMEM;
	member->users++;
	door->seat.member = member;
	cache->n_doors++;
	cache->l2 |= door->in == WLB_FORWARD_L2;
	return 0;
}

static int wlb_nla_doors(struct wlb_net *wn, const struct nlattr *nest,
			 struct wlb_cache *cache, const struct wlb_cache *old,
			 struct netlink_ext_ack *extack)
{
	const struct nlattr *attr;
	unsigned int i;
	int rem, err;

	wlb_for_each_nested(attr, nest, WLB_CACHE_A_DOOR, rem) {
		err = wlb_nla_door(wn, attr, cache, old, extack);
		if (err)
			return err;
	}
	if (wlb_index_alloc(&cache->by_addr, cache->n_doors))
		return -ENOMEM;
	for (i = 0; i < cache->n_doors; i++) {
		const struct wlb_member *member = cache->door[i].seat.member;

		wlb_index_add(&cache->by_addr, &member->addr, member->v6, i);
	}
	return 0;
}

static int wlb_nla_cache_ports(const struct nlattr *nest, struct wlb_cache *cache,
			       struct netlink_ext_ack *extack)
{
	const struct nlattr *attr;
	int rem;

	wlb_for_each_nested(attr, nest, WLB_CACHE_A_PORT, rem) {
		if (cache->n_ports == ARRAY_SIZE(cache->port)) {
			NL_SET_ERR_MSG_ATTR(extack, attr, "port: at most 16");
			return -EINVAL;
		}
		cache->port[cache->n_ports++] = nla_get_u16(attr);
	}
	return 0;
}

static struct wlb_cache *wlb_cache_build(struct wlb_net *wn,
					 const struct nlattr *nest,
					 const struct wlb_cache *old,
					 struct netlink_ext_ack *extack)
{
	struct nlattr *tb[WLB_CACHE_A_MAX + 1];
	const struct nlattr *attr;
	struct wlb_cache *cache;
	unsigned int n = 0;
	int rem, err;

	err = nla_parse_nested(tb, WLB_CACHE_A_MAX, nest, wlb_cache_policy,
			       extack);
	if (err)
		return ERR_PTR(err);
	wlb_for_each_nested(attr, nest, WLB_CACHE_A_DOOR, rem)
		n++;
	if (n > WLB_MAX_DOORS) {
		NL_SET_ERR_MSG_ATTR(extack, nest, "door: at most 1024");
		return ERR_PTR(-EINVAL);
	}
	cache = kvzalloc(struct_size(cache, door, n), GFP_KERNEL_ACCOUNT);
	if (!cache)
		return ERR_PTR(-ENOMEM);
	if (tb[WLB_CACHE_A_SHARE])
		cache->share = nla_get_u32(tb[WLB_CACHE_A_SHARE]);
	cache->has_mark = tb[WLB_CACHE_A_MARK];
	if (cache->has_mark)
		cache->mark = nla_get_u32(tb[WLB_CACHE_A_MARK]);
	cache->nat = nla_get_flag(tb[WLB_CACHE_A_NAT]);
	err = wlb_nla_cache_ports(nest, cache, extack) ?:
	      wlb_nla_rules(nest, WLB_CACHE_A_RULE, &cache->rules, extack) ?:
	      wlb_nla_doors(wn, nest, cache, old, extack);
	if (!err)
		return cache;
	wlb_cache_free(cache);
	return ERR_PTR(err);
}

static int wlb_cache_on(struct wlb_net *wn, struct netlink_ext_ack *extack)
{
	int err;

	if (!wn->bypasses)
		wn->bypasses = wlb_bypasses_alloc();
	if (!wn->bypasses)
		return -ENOMEM;
	err = wlb_hooks_update(wn, wn->hooked | WLB_ROLE_CACHE);
	if (err)
		NL_SET_ERR_MSG(extack, "hooks cannot be registered");
	return err;
}

int wlb_cache_set(struct sk_buff *skb, struct genl_info *info)
{
	struct wlb_net *wn = wlb_pernet(genl_info_net(info));
	struct wlb_cache *cache = NULL, *old;
	unsigned int i;
	int err = 0;

	mutex_lock(&wn->lock);
	old = rcu_dereference_protected(wn->cache, lockdep_is_held(&wn->lock));
	if (info->attrs[WLB_A_CACHE]) {
		cache = wlb_cache_build(wn, info->attrs[WLB_A_CACHE], old,
					info->extack);
		err = IS_ERR(cache) ? PTR_ERR(cache) :
				      wlb_cache_on(wn, info->extack);
		if (err) {
			if (!IS_ERR(cache))
				wlb_cache_free(cache);
			goto unlock;
		}
	}
	for (i = 0; cache && i < cache->n_doors; i++) {
		struct wlb_door *door = &cache->door[i];

		/* routes that are remembered have the source that a door had */
		dst_cache_reset(&door->seat.member->dst[door->seat.forward]);
	}
	rcu_assign_pointer(wn->cache, cache);
	wn->cache_generation++;
	synchronize_rcu();
	wlb_cache_free(old);
	if (!cache) {
		wlb_hooks_update(wn, wn->hooked & ~WLB_ROLE_CACHE);
		wlb_bypasses_flush(wn->bypasses);
	}
unlock:
	mutex_unlock(&wn->lock);
	return err;
}

static int wlb_put_door(struct sk_buff *msg, const struct wlb_door *door)
{
	struct nlattr *nest = nla_nest_start(msg, WLB_CACHE_A_DOOR);
	const struct wlb_member *member = door->seat.member;
	u64 packets = 0, bytes = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct wlb_member_cpu *stats =
			per_cpu_ptr(member->cpu, cpu);

		packets += READ_ONCE(stats->packets);
		bytes += READ_ONCE(stats->bytes);
	}
	if (!nest ||
	    wlb_put_addr(msg, WLB_DOOR_A_ADDRESS, &member->addr, member->v6) ||
	    nla_put_u8(msg, WLB_DOOR_A_FORWARD, door->in) ||
	    nla_put_u8(msg, WLB_DOOR_A_RETURN, door->seat.forward) ||
	    nla_put_u8(msg, WLB_DOOR_A_TYPE, door->type) ||
	    nla_put_u8(msg, WLB_DOOR_A_ID, door->id) ||
	    (door->has_source &&
	     wlb_put_addr(msg, WLB_DOOR_A_SOURCE, &door->source, member->v6)) ||
	    nla_put_u64_64bit(msg, WLB_DOOR_A_PACKETS, packets, WLB_DOOR_A_PAD) ||
	    nla_put_u64_64bit(msg, WLB_DOOR_A_BYTES, bytes, WLB_DOOR_A_PAD))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int wlb_put_words(struct sk_buff *msg, const struct wlb_cache *cache)
{
	unsigned int i;

	if (nla_put_u32(msg, WLB_CACHE_A_SHARE, cache->share) ||
	    (cache->has_mark &&
	     nla_put_u32(msg, WLB_CACHE_A_MARK, cache->mark)) ||
	    (cache->nat && nla_put_flag(msg, WLB_CACHE_A_NAT)))
		return -EMSGSIZE;
	for (i = 0; i < cache->n_ports; i++)
		if (nla_put_u16(msg, WLB_CACHE_A_PORT, cache->port[i]))
			return -EMSGSIZE;
	return wlb_put_rules(msg, WLB_CACHE_A_RULE, &cache->rules);
}

/* The words first, then a door per message, each a nest of its own. */
static int wlb_put_cache(struct sk_buff *msg, struct wlb_net *wn,
			 unsigned long n)
{
	const struct wlb_cache *cache =
		rcu_dereference_protected(wn->cache,
					  lockdep_is_held(&wn->lock));
	struct nlattr *nest;

	if (!cache || n > cache->n_doors)
		return -ENOENT;
	nest = nla_nest_start(msg, WLB_A_CACHE);
	if (!nest)
		return -EMSGSIZE;
	if (n ? wlb_put_door(msg, &cache->door[n - 1]) : wlb_put_words(msg, cache))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

int wlb_cache_get(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct wlb_net *wn = wlb_pernet(sock_net(msg->sk));

	return wlb_genl_dump(msg, cb, WLB_CMD_CACHE_GET, wn,
			     &wn->cache_generation, wlb_put_cache);
}
