// SPDX-License-Identifier: GPL-2.0-only
/*
 * Flows as netlink attributes: the table listed, and flows put back that were listed
 * before the module was reloaded.
 */
#include <linux/rcupdate_wait.h>

#include "conf.h"
#include "flow.h"
#include "genl.h"

/* Ranges are told in words: wlb_flow_values(). */
const struct nla_policy wlb_flow_policy[WLB_FLOW_A_MAX + 1] = {
	[WLB_FLOW_A_CLIENT] = { .type = NLA_BINARY, .len = 16 },
	[WLB_FLOW_A_CLIENT_PORT] = { .type = NLA_U16 },
	[WLB_FLOW_A_SERVER] = { .type = NLA_BINARY, .len = 16 },
	[WLB_FLOW_A_SERVER_PORT] = { .type = NLA_U16 },
	[WLB_FLOW_A_WINNER] = { .type = NLA_BINARY, .len = 16 },
	[WLB_FLOW_A_STATE] = { .type = NLA_U8 },
	[WLB_FLOW_A_EXPIRES] = { .type = NLA_U32 },
	[WLB_FLOW_A_ISN] = { .type = NLA_U32 },
	[WLB_FLOW_A_RETURN] = { .type = NLA_U8 },
	[WLB_FLOW_A_VIA] = { .type = NLA_U8 },
	[WLB_FLOW_A_CLIENT_END] = { .type = NLA_U32 },
	[WLB_FLOW_A_CLIENT_ACK] = { .type = NLA_U32 },
	[WLB_FLOW_A_SERVER_END] = { .type = NLA_U32 },
	[WLB_FLOW_A_SERVER_ACK] = { .type = NLA_U32 },
	[WLB_FLOW_A_FLAGS] = { .type = NLA_U8 },
	[WLB_FLOW_A_NEW_ISN] = { .type = NLA_U16 },
};

/* State and flags belong together: both of one moment. */
static void wlb_flow_snapshot(struct wlb_table *t, u32 bucket,
			      const struct wlb_flow *f, struct wlb_fsm *fsm)
{
	unsigned int dir;

	wlb_flow_lock(t, bucket);
	fsm->isn = f->fsm.isn;
	fsm->nonce = f->fsm.nonce;
	fsm->state = f->fsm.state;
	fsm->flags = f->fsm.flags;
	wlb_flow_unlock(t, bucket);
	for (dir = WLB_DIR_CLIENT; dir <= WLB_DIR_SERVER; dir++) {
		fsm->end[dir] = READ_ONCE(f->fsm.end[dir]);
		fsm->ack[dir] = READ_ONCE(f->fsm.ack[dir]);
	}
}

/* What only a flow has that is carried. */
static int wlb_flow_put_carried(struct sk_buff *msg, const struct wlb_fsm *fsm,
				const struct wlb_peer *peer)
{
	u16 new_isn = fsm->flags & WLB_FSM_ASKED ? fsm->nonce : 0;

	if (nla_put_u8(msg, WLB_FLOW_A_RETURN, peer->ret) ||
	    (peer->ret != WLB_RETURN_NAT &&
	     nla_put_u8(msg, WLB_FLOW_A_VIA, peer->via)) ||
	    nla_put_u32(msg, WLB_FLOW_A_CLIENT_END, fsm->end[WLB_DIR_CLIENT]) ||
	    nla_put_u32(msg, WLB_FLOW_A_CLIENT_ACK, fsm->ack[WLB_DIR_CLIENT]) ||
	    nla_put_u32(msg, WLB_FLOW_A_SERVER_END, fsm->end[WLB_DIR_SERVER]) ||
	    nla_put_u32(msg, WLB_FLOW_A_SERVER_ACK, fsm->ack[WLB_DIR_SERVER]) ||
	    nla_put_u8(msg, WLB_FLOW_A_FLAGS, fsm->flags & WLB_FLOW_F_ALL) ||
	    nla_put_u16(msg, WLB_FLOW_A_NEW_ISN, new_isn))
		return -EMSGSIZE;
	return 0;
}

static int wlb_flow_put(struct sk_buff *msg, struct wlb_table *t, u32 bucket,
			const struct wlb_flow *f)
{
	struct nlattr *nest = nla_nest_start(msg, WLB_A_FLOW);
	s32 left = (s32)(READ_ONCE(f->expires) - (u32)jiffies);
	bool v6 = wlb_flow_is_v6(f);
	const union wlb_addr *winner = NULL;
	const struct wlb_peer *peer;
	struct wlb_fsm fsm;

	wlb_flow_snapshot(t, bucket, f, &fsm);
	peer = wlb_flow_winner(t->wn, f);
	if (fsm.state == WLB_FLOW_TOMBSTONE)
		winner = wlb_flow_server(f, v6);
	else if (fsm.state == WLB_FLOW_RACING)
		peer = NULL;
	if (peer)
		winner = &peer->addr;

	if (!nest ||
	    wlb_put_addr(msg, WLB_FLOW_A_CLIENT, wlb_flow_client(f), v6) ||
	    nla_put_u16(msg, WLB_FLOW_A_CLIENT_PORT, ntohs(f->client_port)) ||
	    wlb_put_addr(msg, WLB_FLOW_A_SERVER, wlb_flow_server(f, v6), v6) ||
	    nla_put_u16(msg, WLB_FLOW_A_SERVER_PORT, ntohs(f->server_port)) ||
	    (winner && wlb_put_addr(msg, WLB_FLOW_A_WINNER, winner, v6)) ||
	    nla_put_u8(msg, WLB_FLOW_A_STATE, fsm.state) ||
	    nla_put_u32(msg, WLB_FLOW_A_EXPIRES, jiffies_to_msecs(max(left, 1))) ||
	    nla_put_u32(msg, WLB_FLOW_A_ISN, fsm.isn) ||
	    (peer && wlb_flow_put_carried(msg, &fsm, peer)))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

int wlb_flow_dump(struct wlb_table *t, struct sk_buff *msg,
		  struct netlink_callback *cb)
{
	unsigned long *bucket = &cb->args[0], *skip = &cb->args[1];
	struct wlb_flow *f;
	unsigned long i;
	void *hdr;

	cb->seq = READ_ONCE(t->generation);
	rcu_read_lock();
	for (; *bucket <= t->mask; (*bucket)++, *skip = 0) {
		if (!(*bucket % 4096))
			cond_resched_rcu();
		i = 0;
		hlist_for_each_entry_rcu(f, &t->heads[*bucket], node) {
			if (i++ < *skip || wlb_flow_expired(f))
				continue;
			hdr = wlb_genl_put(msg, cb, WLB_CMD_FLOW_GET);
			if (!hdr)
				goto out;
			if (wlb_flow_put(msg, t, *bucket, f)) {
				genlmsg_cancel(msg, hdr);
				goto out;
			}
			genlmsg_end(msg, hdr);
			*skip = i;
		}
	}
out:
	rcu_read_unlock();
	return msg->len;
}

/* A flow as somebody tells of it. */
struct wlb_flow_told {
	struct wlb_flow_key key;
	union wlb_addr client, server, winner;
	struct wlb_fsm fsm;
	u32 ms;
	bool carried;
	u8 ret, via;
};

static int wlb_flow_addresses(struct nlattr **tb, struct wlb_flow_told *told,
			      struct netlink_ext_ack *extack)
{
	const struct nlattr *winner = tb[WLB_FLOW_A_WINNER];
	bool v6;
	int err;

	err = wlb_nla_addr(tb[WLB_FLOW_A_CLIENT], &told->client, &told->key.v6,
			   extack);
	if (err)
		return err;
	err = wlb_nla_addr(tb[WLB_FLOW_A_SERVER], &told->server, &v6, extack);
	if (err)
		return err;
	if (v6 != told->key.v6) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_FLOW_A_SERVER],
				    "server: of the client's address family");
		return -EINVAL;
	}
	if (!winner)
		return 0;
	err = wlb_nla_addr(winner, &told->winner, &v6, extack);
	if (err)
		return err;
	if (v6 != told->key.v6) {
		NL_SET_ERR_MSG_ATTR(extack, winner,
				    "winner: of the client's address family");
		return -EINVAL;
	}
	if (wlb_addr_eq(&told->winner, &told->server, v6) == told->carried) {
		NL_SET_ERR_MSG_ATTR(extack, winner,
				    "winner: the server in state tombstone, else another");
		return -EINVAL;
	}
	return 0;
}

/* What every flow has. */
static int wlb_flow_values(struct nlattr **tb, struct wlb_flow_told *told,
			   struct netlink_ext_ack *extack)
{
	told->key.client_port = htons(nla_get_u16(tb[WLB_FLOW_A_CLIENT_PORT]));
	told->key.server_port = htons(nla_get_u16(tb[WLB_FLOW_A_SERVER_PORT]));
	told->ms = nla_get_u32(tb[WLB_FLOW_A_EXPIRES]);
	told->fsm.isn = nla_get_u32(tb[WLB_FLOW_A_ISN]);
	told->fsm.state = nla_get_u8(tb[WLB_FLOW_A_STATE]);
	if (!told->key.client_port) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_FLOW_A_CLIENT_PORT],
				    "client-port: 1 to 65535");
		return -EINVAL;
	}
	if (!told->key.server_port) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_FLOW_A_SERVER_PORT],
				    "server-port: 1 to 65535");
		return -EINVAL;
	}
	if (!told->ms || told->ms > WLB_TIMEOUT_MAX * MSEC_PER_SEC) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_FLOW_A_EXPIRES],
				    "expires: 1 ms to 24 days");
		return -EINVAL;
	}
	if (told->fsm.state == WLB_FLOW_RACING ||
	    told->fsm.state >= __WLB_FLOW_STATE_MAX) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_FLOW_A_STATE],
				    "state: won, tombstone or closing");
		return -EINVAL;
	}
	told->carried = told->fsm.state != WLB_FLOW_TOMBSTONE;
	return 0;
}

/* The way back, of a flow that is carried. */
static int wlb_flow_way(struct nlattr **tb, struct wlb_flow_told *told,
			struct netlink_ext_ack *extack)
{
	told->ret = nla_get_u8(tb[WLB_FLOW_A_RETURN]);
	if (told->ret >= __WLB_RETURN_MAX) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_FLOW_A_RETURN],
				    "return: nat, spoof or tunnel");
		return -EINVAL;
	}
	if (told->ret == WLB_RETURN_NAT) {
		if (!tb[WLB_FLOW_A_VIA])
			return 0;
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_FLOW_A_VIA],
				    "via: none with return nat");
		return -EINVAL;
	}
	if (!tb[WLB_FLOW_A_VIA]) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_FLOW_A_RETURN],
				    "return: spoof and tunnel need via");
		return -EINVAL;
	}
	told->via = nla_get_u8(tb[WLB_FLOW_A_VIA]);
	if (told->via >= __WLB_VIA_MAX) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_FLOW_A_VIA],
				    "via: gre or ipip");
		return -EINVAL;
	}
	return 0;
}

/* What its state machine knows, of a flow that is carried. */
static int wlb_flow_track(struct nlattr **tb, struct wlb_flow_told *told,
			  struct netlink_ext_ack *extack)
{
	struct wlb_fsm *m = &told->fsm;
	bool closing;

	BUILD_BUG_ON((1U << WLB_DIR_CLIENT) != WLB_FLOW_F_FIN_CLIENT);
	BUILD_BUG_ON((1U << WLB_DIR_SERVER) != WLB_FLOW_F_FIN_SERVER);
	m->end[WLB_DIR_CLIENT] = nla_get_u32(tb[WLB_FLOW_A_CLIENT_END]);
	m->ack[WLB_DIR_CLIENT] = nla_get_u32(tb[WLB_FLOW_A_CLIENT_ACK]);
	m->end[WLB_DIR_SERVER] = nla_get_u32(tb[WLB_FLOW_A_SERVER_END]);
	m->ack[WLB_DIR_SERVER] = nla_get_u32(tb[WLB_FLOW_A_SERVER_ACK]);
	m->flags = nla_get_u8(tb[WLB_FLOW_A_FLAGS]);
	m->nonce = nla_get_u16(tb[WLB_FLOW_A_NEW_ISN]);
	closing = (m->flags & WLB_FSM_RST) ||
		  (m->flags & WLB_FSM_FIN_BOTH) == WLB_FSM_FIN_BOTH;
	if (m->state == WLB_FLOW_WON)
		closing = !closing;
	if (!closing || (m->flags & ~WLB_FLOW_F_ALL)) {
		NL_SET_ERR_MSG_ATTR(extack, tb[WLB_FLOW_A_FLAGS],
				    "flags: both FINs or RST in state closing, not in won");
		return -EINVAL;
	}
	return 0;
}

/* Has @tb all that a flow of its state has, and nothing else? */
static int wlb_flow_complete(struct nlattr **tb, const struct nlattr *nest,
			     struct netlink_ext_ack *extack)
{
	bool carried;
	int i;

	for (i = 1; i <= WLB_FLOW_A_ISN; i++)
		if (!tb[i] && i != WLB_FLOW_A_WINNER) {
			NL_SET_ERR_MSG_ATTR(extack, nest,
					    "flow: needs client, server, ports, state, expires and isn");
			return -EINVAL;
		}
	carried = nla_get_u8(tb[WLB_FLOW_A_STATE]) != WLB_FLOW_TOMBSTONE;
	if (carried && !tb[WLB_FLOW_A_WINNER]) {
		NL_SET_ERR_MSG_ATTR(extack, nest, "flow: needs a winner");
		return -EINVAL;
	}
	for (i = WLB_FLOW_A_RETURN; i <= WLB_FLOW_A_NEW_ISN; i++) {
		if (!tb[i] == !carried || (carried && i == WLB_FLOW_A_VIA))
			continue;
		NL_SET_ERR_MSG_ATTR(extack, tb[i] ?: nest,
				    "flow: return, ends, acks, flags and new-isn if a replica won, else none");
		return -EINVAL;
	}
	return 0;
}

static int wlb_flow_tell(const struct nlattr *nest, struct wlb_flow_told *told,
			 struct netlink_ext_ack *extack)
{
	struct nlattr *tb[WLB_FLOW_A_MAX + 1];
	int err;

	err = nla_parse_nested(tb, WLB_FLOW_A_MAX, nest, wlb_flow_policy,
			       extack);
	if (!err)
		err = wlb_flow_complete(tb, nest, extack);
	if (!err)
		err = wlb_flow_values(tb, told, extack);
	if (!err)
		err = wlb_flow_addresses(tb, told, extack);
	if (!err && told->carried)
		err = wlb_flow_way(tb, told, extack) ?:
		      wlb_flow_track(tb, told, extack);
	return err;
}

int wlb_flow_read(struct wlb_net *wn, const struct nlattr *nest,
		  struct netlink_ext_ack *extack)
{
	struct wlb_cg *cg = rcu_dereference_protected(wn->cg,
						      lockdep_is_held(&wn->lock));
	struct wlb_flow_told told = {};
	struct wlb_peer *winner = NULL;
	int err;

	if (!cg) {
		NL_SET_ERR_MSG(extack, "no client gateway is configured here");
		return -ENOENT;
	}
	told.key.client = &told.client;
	err = wlb_flow_tell(nest, &told, extack);
	if (err)
		return err;
	if (wlb_flow_full(wn->table, cg->max_flows)) {
		NL_SET_ERR_MSG(extack, "the table is full: max-flows");
		return -ENOSPC;
	}
	if (told.carried) {
		rcu_read_lock();
		winner = wlb_peer_get(wn->peers, &told.winner, told.key.v6,
				      told.ret, told.via);
		rcu_read_unlock();
		if (!winner)
			return -ENOMEM;
	}
	err = wlb_flow_restore(wn->table, &told.key, &told.server, &told.fsm,
			       winner, told.ms);
	if (err) {
		wlb_peer_put(winner);
		if (err == -EEXIST)
			NL_SET_ERR_MSG_ATTR(extack, nest,
					    "flow: a live one has these addresses and ports");
		return err;
	}
	/* as after a change of configuration, whatever it says now */
	set_bit(ntohs(told.key.server_port), cg->map.bit);
	if (told.carried)
		WRITE_ONCE(cg->carried, cg->carried | 1U << told.ret);
	wlb_count(wn, WLB_STAT_flow_restored);
	return 0;
}
