// SPDX-License-Identifier: GPL-2.0-only
/* What was learned, as netlink attributes: listed and forgotten. */
#include "conf.h"
#include "genl.h"
#include "learned.h"

static const struct nla_policy wlb_learned_policy[WLB_LEARNED_A_MAX + 1] = {
	[WLB_LEARNED_A_SERVER] = { .type = NLA_BINARY, .len = 16 },
};

const struct nla_policy wlb_learned_forget_policy[WLB_A_MAX + 1] = {
	[WLB_A_LEARNED] = NLA_POLICY_NESTED(wlb_learned_policy),
};

static int wlb_answerer_put(struct sk_buff *msg, const struct wlb_answerer *a, bool v6)
{
	struct nlattr *nest = nla_nest_start(msg, WLB_LEARNED_A_ANSWERER);
	s32 left = (s32)(a->until - (u32)jiffies);
	u32 age = (u32)jiffies - a->heard;

	if (!nest ||
	    wlb_put_addr(msg, WLB_ANSWERER_A_ADDRESS, &a->addr, v6) ||
	    nla_put_u8(msg, WLB_ANSWERER_A_VIA, a->via) ||
	    nla_put_u32(msg, WLB_ANSWERER_A_RTT, a->rtt_us ?: a->race_us) ||
	    (!a->rtt_us && nla_put_flag(msg, WLB_ANSWERER_A_RACED)) ||
	    nla_put_u32(msg, WLB_ANSWERER_A_AGE, jiffies_to_msecs(age)) ||
	    nla_put_u32(msg, WLB_ANSWERER_A_ANSWERS, a->answers) ||
	    nla_put_u32(msg, WLB_ANSWERER_A_WINS, a->wins) ||
	    nla_put_u32(msg, WLB_ANSWERER_A_ASKED, a->asked) ||
	    nla_put_u32(msg, WLB_ANSWERER_A_MISSED, a->missed) ||
	    (a->silent && nla_put_u32(msg, WLB_ANSWERER_A_SILENT,
				      jiffies_to_msecs(max(left, 0)))))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int wlb_known_put(struct sk_buff *msg, const struct wlb_known *k)
{
	struct nlattr *nest = nla_nest_start(msg, WLB_A_LEARNED);
	unsigned int i;

	if (!nest || wlb_put_addr(msg, WLB_LEARNED_A_SERVER, &k->server, k->v6) ||
	    nla_put_u16(msg, WLB_LEARNED_A_SERVER_PORT, ntohs(k->port)))
		return -EMSGSIZE;
	for (i = 0; i < WLB_MAX_ANSWERS; i++)
		if (k->answerer[i].used &&
		    wlb_answerer_put(msg, &k->answerer[i], k->v6))
			return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

/* args[0] the bucket, args[1] how many of it are done. */
static int wlb_learned_dump(struct wlb_learned *l, struct sk_buff *msg,
			    struct netlink_callback *cb)
{
	const struct wlb_known *k;
	long done;
	void *hdr;

	cb->seq = READ_ONCE(l->generation) + 1;	/* 0 would mean no check */
	for (; cb->args[0] < WLB_KNOWN_HEADS; cb->args[0]++, cb->args[1] = 0) {
		if (hlist_empty(&l->head[cb->args[0]].chain))
			continue;
		done = 0;
		wlb_known_lock(l, cb->args[0]);
		hlist_for_each_entry(k, &l->head[cb->args[0]].chain, node) {
			if (done++ < cb->args[1])
				continue;
			hdr = wlb_genl_put(msg, cb, WLB_CMD_LEARNED_GET);
			if (!hdr)
				goto full;
			if (wlb_known_put(msg, k)) {
				genlmsg_cancel(msg, hdr);
				goto full;
			}
			genlmsg_end(msg, hdr);
			cb->args[1] = done;
		}
		wlb_known_unlock(l, cb->args[0]);
	}
	return msg->len;

full:
	wlb_known_unlock(l, cb->args[0]);
	return msg->len;
}

int wlb_learned_get(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct wlb_net *wn = wlb_pernet(sock_net(msg->sk));
	struct wlb_learned *l = READ_ONCE(wn->learned);

	return l ? wlb_learned_dump(l, msg, cb) : 0;
}

int wlb_learned_forget(struct sk_buff *skb, struct genl_info *info)
{
	struct wlb_net *wn = wlb_pernet(genl_info_net(info));
	struct nlattr *tb[WLB_LEARNED_A_MAX + 1] = {};
	struct wlb_learned *l = READ_ONCE(wn->learned);
	union wlb_addr server, *of = NULL;
	struct sk_buff *msg;
	bool v6 = false;
	void *hdr;
	int err;

	if (info->attrs[WLB_A_LEARNED]) {
		err = nla_parse_nested(tb, WLB_LEARNED_A_MAX,
				       info->attrs[WLB_A_LEARNED],
				       wlb_learned_policy, info->extack);
		if (err)
			return err;
	}
	if (tb[WLB_LEARNED_A_SERVER]) {
		err = wlb_nla_addr(tb[WLB_LEARNED_A_SERVER], &server, &v6,
				   info->extack);
		if (err)
			return err;
		of = &server;
	}
	msg = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!msg)
		return -ENOMEM;
	hdr = genlmsg_put_reply(msg, info, &wlb_genl_family, 0,
				WLB_CMD_LEARNED_FLUSH);
	if (!hdr || nla_put_u32(msg, WLB_A_COUNT,
				l ? wlb_learned_flush(l, of, v6) : 0)) {
		nlmsg_free(msg);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, hdr);
	return genlmsg_reply(msg, info);
}
