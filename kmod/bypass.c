// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pairs of addresses whose packets are returned for a while: an origin that wants to
 * see its client's own address, say (C2). What is over is forgotten when there is no
 * room, or when its slot is looked at to be written.
 */
#include <linux/jhash.h>
#include <linux/slab.h>

#include "cache.h"
#include "genl.h"

#define WLB_BYPASS_HEADS	4096

struct wlb_bypass {
	struct hlist_node node;
	struct rcu_head rcu;
	union wlb_addr src, dst;	/* src zero: any */
	u64 until;			/* jiffies */
	bool v6;
};

struct wlb_bypasses {
	u32 seed;
	unsigned int n;
	struct hlist_head heads[WLB_BYPASS_HEADS];
};

static const struct nla_policy wlb_bypass_nest[WLB_BYPASS_A_MAX + 1] = {
	[WLB_BYPASS_A_SOURCE] = { .type = NLA_BINARY, .len = 16 },
	[WLB_BYPASS_A_DESTINATION] = { .type = NLA_BINARY, .len = 16 },
	[WLB_BYPASS_A_LIFETIME] = { .type = NLA_U32 },
};

const struct nla_policy wlb_bypass_policy[WLB_A_MAX + 1] = {
	[WLB_A_BYPASS] = NLA_POLICY_NESTED(wlb_bypass_nest),
};

struct wlb_bypasses *wlb_bypasses_alloc(void)
{
	struct wlb_bypasses *b = kvzalloc(sizeof(*b), GFP_KERNEL_ACCOUNT);

	if (b)
		b->seed = get_random_u32();
	return b;
}

static void wlb_bypass_drop(struct wlb_bypasses *b, struct wlb_bypass *entry)
{
	hlist_del_rcu(&entry->node);
	kfree_rcu(entry, rcu);
	WRITE_ONCE(b->n, b->n - 1);
}

void wlb_bypasses_flush(struct wlb_bypasses *b)
{
	struct wlb_bypass *entry;
	struct hlist_node *tmp;
	unsigned int i;

	for (i = 0; b && i < WLB_BYPASS_HEADS; i++)
		hlist_for_each_entry_safe(entry, tmp, &b->heads[i], node)
			wlb_bypass_drop(b, entry);
}

void wlb_bypasses_free(struct wlb_bypasses *b)
{
	wlb_bypasses_flush(b);
	kvfree(b);
}

/* By destination: those of any source are where those of one are. */
static const struct hlist_head *wlb_bypass_head(const struct wlb_bypasses *b,
						const union wlb_addr *dst,
						bool v6)
{
	u32 hash = v6 ? jhash2(dst->word, 4, b->seed) :
			jhash_1word(dst->word[0], b->seed);

	return &b->heads[hash % WLB_BYPASS_HEADS];
}

static bool wlb_bypass_over(const struct wlb_bypass *entry)
{
	return time_after_eq64(get_jiffies_64(), READ_ONCE(entry->until));
}

bool wlb_bypass_knows(const struct wlb_bypasses *b, const struct wlb_passer *p)
{
	static const union wlb_addr any;
	const struct wlb_bypass *entry;

	if (!b || !READ_ONCE(b->n))
		return false;
	hlist_for_each_entry_rcu(entry, wlb_bypass_head(b, &p->dst, p->v6), node)
		if (entry->v6 == p->v6 &&
		    wlb_addr_eq(&entry->dst, &p->dst, p->v6) &&
		    (wlb_addr_eq(&entry->src, &any, p->v6) ||
		     wlb_addr_eq(&entry->src, &p->src, p->v6)) &&
		    !wlb_bypass_over(entry))
			return true;
	return false;
}

/* The entry of exactly this pair, under the lock; forgets what is over on its way. */
static struct wlb_bypass *wlb_bypass_find(struct wlb_bypasses *b,
					  const struct wlb_bypass *like,
					  struct hlist_head *head)
{
	struct wlb_bypass *entry, *found = NULL;
	struct hlist_node *tmp;

	hlist_for_each_entry_safe(entry, tmp, head, node) {
		if (wlb_bypass_over(entry))
			wlb_bypass_drop(b, entry);
		else if (entry->v6 == like->v6 &&
			 wlb_addr_eq(&entry->dst, &like->dst, like->v6) &&
			 wlb_addr_eq(&entry->src, &like->src, like->v6))
			found = entry;
	}
	return found;
}

static int wlb_bypass_read(const struct nlattr *nest, struct wlb_bypass *entry,
			   u32 *lifetime, struct netlink_ext_ack *extack)
{
	struct nlattr *tb[WLB_BYPASS_A_MAX + 1];
	bool v6;
	int err;

	err = nla_parse_nested(tb, WLB_BYPASS_A_MAX, nest, wlb_bypass_nest,
			       extack);
	if (err)
		return err;
	if (!tb[WLB_BYPASS_A_DESTINATION]) {
		NL_SET_ERR_MSG_ATTR(extack, nest, "bypass: needs a destination");
		return -EINVAL;
	}
	err = wlb_nla_addr(tb[WLB_BYPASS_A_DESTINATION], &entry->dst, &entry->v6,
			   extack);
	if (!err && tb[WLB_BYPASS_A_SOURCE]) {
		err = wlb_nla_addr(tb[WLB_BYPASS_A_SOURCE], &entry->src, &v6,
				   extack);
		if (!err && v6 != entry->v6) {
			NL_SET_ERR_MSG_ATTR(extack, tb[WLB_BYPASS_A_SOURCE],
					    "source: of the destination's family");
			err = -EINVAL;
		}
	}
	if (err || !lifetime)
		return err;
	*lifetime = tb[WLB_BYPASS_A_LIFETIME] ?
		    nla_get_u32(tb[WLB_BYPASS_A_LIFETIME]) : 0;
	if (*lifetime && *lifetime <= WLB_MAX_LIFETIME)
		return 0;
	NL_SET_ERR_MSG_ATTR(extack, tb[WLB_BYPASS_A_LIFETIME] ?: nest,
			    "lifetime: 1..604800 s");
	return -EINVAL;
}

/* Room for one more, by what is over if need be. */
static bool wlb_bypass_room(struct wlb_bypasses *b)
{
	struct wlb_bypass nobody = {};
	unsigned int i;

	for (i = 0; b->n >= WLB_MAX_BYPASSES && i < WLB_BYPASS_HEADS; i++)
		wlb_bypass_find(b, &nobody, &b->heads[i]);
	return b->n < WLB_MAX_BYPASSES;
}

static int wlb_bypass_put(struct wlb_bypasses *b, const struct wlb_bypass *like)
{
	struct hlist_head *head = (struct hlist_head *)
				  wlb_bypass_head(b, &like->dst, like->v6);
	struct wlb_bypass *entry = wlb_bypass_find(b, like, head);

	if (entry) {
		WRITE_ONCE(entry->until, like->until);
		return 0;
	}
	if (!wlb_bypass_room(b))
		return -ENOSPC;
	entry = kmemdup(like, sizeof(*like), GFP_KERNEL_ACCOUNT);
	if (!entry)
		return -ENOMEM;
	hlist_add_head_rcu(&entry->node, head);
	WRITE_ONCE(b->n, b->n + 1);
	return 0;
}

int wlb_bypass_add(struct sk_buff *skb, struct genl_info *info)
{
	struct wlb_net *wn = wlb_pernet(genl_info_net(info));
	struct wlb_bypass entry = {};
	u32 lifetime;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, WLB_A_BYPASS)) {
		NL_SET_ERR_MSG(info->extack, "bypass: which packets");
		return -EINVAL;
	}
	err = wlb_bypass_read(info->attrs[WLB_A_BYPASS], &entry, &lifetime,
			      info->extack);
	if (err)
		return err;
	entry.until = get_jiffies_64() + (u64)lifetime * HZ;
	mutex_lock(&wn->lock);
	if (!rcu_access_pointer(wn->cache)) {
		NL_SET_ERR_MSG(info->extack, "cache: the role is off");
		err = -ENOENT;
	} else {
		err = wlb_bypass_put(wn->bypasses, &entry);
		if (err == -ENOSPC)
			NL_SET_ERR_MSG(info->extack, "bypass: at most 65536");
	}
	mutex_unlock(&wn->lock);
	return err;
}

int wlb_bypass_del(struct sk_buff *skb, struct genl_info *info)
{
	struct wlb_net *wn = wlb_pernet(genl_info_net(info));
	struct wlb_bypass like = {}, *entry;
	int err = 0;

	if (info->attrs[WLB_A_BYPASS])
		err = wlb_bypass_read(info->attrs[WLB_A_BYPASS], &like, NULL,
				      info->extack);
	if (err)
		return err;
	mutex_lock(&wn->lock);
	if (!rcu_access_pointer(wn->cache)) {
		NL_SET_ERR_MSG(info->extack, "cache: the role is off");
		err = -ENOENT;
	} else if (!info->attrs[WLB_A_BYPASS]) {
		wlb_bypasses_flush(wn->bypasses);
	} else {
		entry = wlb_bypass_find(wn->bypasses, &like,
					(struct hlist_head *)
					wlb_bypass_head(wn->bypasses, &like.dst,
							like.v6));
		if (entry) {
			wlb_bypass_drop(wn->bypasses, entry);
		} else {
			NL_SET_ERR_MSG_ATTR(info->extack,
					    info->attrs[WLB_A_BYPASS],
					    "bypass: not known");
			err = -ENOENT;
		}
	}
	mutex_unlock(&wn->lock);
	return err;
}

static int wlb_put_bypass(struct sk_buff *msg, const struct wlb_bypass *entry)
{
	struct nlattr *nest = nla_nest_start(msg, WLB_A_BYPASS);
	static const union wlb_addr any;
	u64 now = get_jiffies_64();
	u64 left = entry->until > now ? entry->until - now : 0;

	if (!nest ||
	    (!wlb_addr_eq(&entry->src, &any, entry->v6) &&
	     wlb_put_addr(msg, WLB_BYPASS_A_SOURCE, &entry->src, entry->v6)) ||
	    wlb_put_addr(msg, WLB_BYPASS_A_DESTINATION, &entry->dst,
			 entry->v6) ||
	    nla_put_u32(msg, WLB_BYPASS_A_LIFETIME, div_u64(left, HZ)))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

/* args[0] the slot, args[1] how many of it are done. What changes meanwhile may be missed. */
int wlb_bypass_get(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct wlb_net *wn = wlb_pernet(sock_net(msg->sk));
	const struct wlb_bypass *entry;
	long done;
	void *hdr;

	mutex_lock(&wn->lock);
	for (; wn->bypasses && cb->args[0] < WLB_BYPASS_HEADS; cb->args[0]++) {
		done = 0;
		hlist_for_each_entry(entry, &wn->bypasses->heads[cb->args[0]],
				     node) {
			if (done++ < cb->args[1] || wlb_bypass_over(entry))
				continue;
			hdr = wlb_genl_put(msg, cb, WLB_CMD_BYPASS_GET);
			if (!hdr)
				goto full;
			if (wlb_put_bypass(msg, entry)) {
				genlmsg_cancel(msg, hdr);
				goto full;
			}
			genlmsg_end(msg, hdr);
			cb->args[1] = done;
		}
		cb->args[1] = 0;
	}
full:
	mutex_unlock(&wn->lock);
	return msg->len;
}
