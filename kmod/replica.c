// SPDX-License-Identifier: GPL-2.0-only
/*
 * A replica: FIG 4A. Clones are cracked in place before connection tracking
 * (PRE_ROUTING), so that the host's routing, firewall and TCP see an ordinary
 * SYN of the client to the replica's own address, and the SYN-ACK that TCP
 * sends at once is the immediate acknowledgment of op 412.
 *
 * What is not a clone for us goes on to the host's own tunnels. From a listed
 * gateway to an address that we serve from, every unadorned GRE or IPIP packet
 * is taken for a clone.
 */
#include <net/inet6_hashtables.h>
#include <net/inet_hashtables.h>
#include <net/tcp.h>

#include "conf.h"
#include "crack.h"
#include "pkt.h"

/* Would the host accept a connection now? The reason if not. */
static int wlb_listener(struct net *net, struct sk_buff *skb,
			const struct wlb_pkt *p, const union wlb_addr *local)
{
	struct inet_hashinfo *hash = net->ipv4.tcp_death_row.hashinfo;
	int dif = skb->dev->ifindex, stat = WLB_NO_STAT;
	struct sock *sk;

	if (p->v6)
		sk = inet6_lookup_listener(net, hash, NULL, 0, &p->src.v6,
					   p->th.source, &local->v6,
					   ntohs(p->th.dest), dif, 0);
	else
		sk = inet_lookup_listener(net, hash, NULL, 0, p->src.v4,
					  p->th.source, local->v4, p->th.dest,
					  dif, 0);
	/* a RST would be the fastest answer of all: be silent instead */
	if (!sk)
		return WLB_STAT_clone_no_listener;
	if (sk_acceptq_is_full(sk))
		stat = WLB_STAT_clone_accept_full;
	return stat;
}

/*
 * What to do with a packet that may be a clone: its object in @served, or a
 * reason to drop it in @stat, or neither: it is not for us.
 */
static void wlb_clone_judge(struct wlb_rep *rep, struct sk_buff *skb, bool v6,
			    const struct wlb_outer *o, struct wlb_pkt *p,
			    struct wlb_served **served, int *stat)
{
	const struct wlb_served *local = wlb_rep_local(rep, &o->dst, v6);
	bool listed;
	int parsed;

	*served = NULL;
	*stat = WLB_NO_STAT;
	if (!local)
		return;
	parsed = wlb_crack_inner(skb, v6, o, p);
	if (parsed > 0)
		*served = wlb_rep_served(rep, &p->dst, v6, ntohs(p->th.dest));
	if (*served && !wlb_addr_eq(&(*served)->local, &o->dst, v6))
		*served = NULL;
	listed = wlb_prefixes_match(*served ? &(*served)->from : &local->from,
				    &o->src, v6);
	if (!listed) {
		/* a tunnel of the host's own, unless it aims at what we serve */
		if (*served && wlb_pkt_is_syn(p))
			*stat = WLB_STAT_clone_unlisted;
	} else if (parsed < 0) {
		*stat = WLB_STAT_clone_malformed;
	} else if (!parsed) {
		*stat = WLB_STAT_clone_not_syn;
	} else if (!*served) {
		*stat = WLB_STAT_clone_not_served;
	} else if (!wlb_pkt_is_syn(p)) {
		*stat = WLB_STAT_clone_not_syn;
	} else if (READ_ONCE((*served)->busy)) {
		*stat = WLB_STAT_clone_busy;
	} else if (!wlb_pkt_csum_ok(skb, p)) {
		*stat = WLB_STAT_clone_bad_checksum;
	} else {
		*stat = wlb_listener(dev_net(skb->dev), skb, p,
				     &(*served)->local);
		return;
	}
	if (*stat == WLB_NO_STAT)
		*served = NULL;
}

/* Op 402 to 412. */
static __always_inline unsigned int wlb_replica_hook(struct wlb_net *wn,
						     struct sk_buff *skb,
						     const bool v6)
{
	struct wlb_rep *rep = rcu_dereference(wn->rep);
	struct wlb_served *served;
	struct wlb_pkt p = {};
	struct wlb_outer o;
	int stat;

	if (!rep || !wlb_crack_outer(skb, v6, &o))
		return NF_ACCEPT;
	wlb_clone_judge(rep, skb, v6, &o, &p, &served, &stat);
	if (stat != WLB_NO_STAT) {
		wlb_count(wn, stat);
		return NF_DROP;
	}
	if (!served)
		return NF_ACCEPT;
	if (wlb_crack(skb, &p, &o, &served->local)) {
		wlb_count(wn, WLB_STAT_clone_malformed);
		return NF_DROP;
	}
	wlb_count(wn, WLB_STAT_clone_cracked);
	return NF_ACCEPT;
}

unsigned int wlb_replica_crack4(void *priv, struct sk_buff *skb,
				const struct nf_hook_state *state)
{
	return wlb_replica_hook(priv, skb, false);
}

unsigned int wlb_replica_crack6(void *priv, struct sk_buff *skb,
				const struct nf_hook_state *state)
{
	return wlb_replica_hook(priv, skb, true);
}
