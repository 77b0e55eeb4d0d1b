// SPDX-License-Identifier: GPL-2.0-only
/*
 * What routers redirect to a cache's host: taken in or returned. A connection of the
 * proxy's is never touched. What belongs to none, and does not begin one, was begun
 * elsewhere: with its server before it was redirected here, with another cache, or
 * here and returned. The proxy could but reset it.
 */
#include <linux/inetdevice.h>
#include <linux/jhash.h>
#include <net/inet6_hashtables.h>
#include <net/ipv6.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_core.h>
#include <net/netfilter/nf_conntrack_zones.h>
#include <net/tcp.h>

#include "cache.h"
#include "process.h"
#include "redirect.h"
#include "tunnel.h"

/* A packet that was redirected, by whom and how. */
struct wlb_visit {
	const struct wlb_door *door;
	struct wlb_redirect_hdr header;
	struct wlb_passer p;
	const struct nf_hook_state *state;
};

/* The group that the redirect header names, else any of the router's. */
static const struct wlb_door *wlb_door_of(const struct wlb_cache *cache,
					  const union wlb_addr *src, bool v6,
					  const struct wlb_redirect_hdr *h)
{
	u8 type = h->flags & WLB_REDIRECT_DYNAMIC ? WLB_GROUP_DYNAMIC :
						    WLB_GROUP_STANDARD;
	const struct wlb_door *any = NULL;
	const struct wlb_index_entry *e;

	wlb_index_for_each(e, &cache->by_addr, src, v6) {
		any = &cache->door[e->object];
		if (any->type == type && any->id == h->service)
			break;
	}
	return any;
}

bool wlb_cache_knows(struct wlb_net *wn, const union wlb_addr *src, bool v6)
{
	const struct wlb_cache *cache = rcu_dereference(wn->cache);
	const struct wlb_index_entry *e;

	if (!cache)
		return false;
	wlb_index_for_each(e, &cache->by_addr, src, v6)
		return true;
	return false;
}

/* A connection of the packet's own addresses, as TPROXY makes them. */
static bool wlb_has_socket(struct net *net, const struct wlb_passer *p, int dif)
{
	struct inet_hashinfo *hash = net->ipv4.tcp_death_row.hashinfo;
	struct sock *sk;
	bool live;

	if (p->v6)
		sk = __inet6_lookup_established(net, hash, &p->src.v6,
						htons(p->sport), &p->dst.v6,
						p->dport, dif, 0);
	else
		sk = __inet_lookup_established(net, hash, p->src.v4,
					       htons(p->sport), p->dst.v4,
					       p->dport, dif, 0);
	if (!sk)
		return false;
	/* a SYN may take the place of one that is over */
	live = sk->sk_state != TCP_TIME_WAIT || !wlb_passer_opens(p);
	sock_gen_put(sk);
	return live;
}

/* @diverted: by rewrite.c, which alone translates both addresses. */
static bool wlb_has_entry(struct net *net, const struct wlb_passer *p,
			  bool diverted)
{
	struct nf_conntrack_tuple tuple = {
		.src.l3num = p->v6 ? NFPROTO_IPV6 : NFPROTO_IPV4,
		.src.u.tcp.port = htons(p->sport),
		.dst.u.tcp.port = htons(p->dport),
		.dst.protonum = IPPROTO_TCP,
		.dst.dir = IP_CT_DIR_ORIGINAL,
	};
	struct nf_conntrack_tuple_hash *h;
	struct nf_conn *ct;
	bool live;

	if (p->v6) {
		tuple.src.u3.in6 = p->src.v6;
		tuple.dst.u3.in6 = p->dst.v6;
	} else {
		tuple.src.u3.ip = p->src.v4;
		tuple.dst.u3.ip = p->dst.v4;
	}
	h = nf_conntrack_find_get(net, &nf_ct_zone_dflt, &tuple);
	if (!h)
		return false;
	ct = nf_ct_tuplehash_to_ctrack(h);
	live = (!wlb_passer_opens(p) ||
		READ_ONCE(ct->proto.tcp.state) <= TCP_CONNTRACK_ESTABLISHED) &&
	       (!diverted ||
		(READ_ONCE(ct->status) & IPS_NAT_MASK) == IPS_NAT_MASK);
	nf_ct_put(ct);
	return live;
}

/*
 * A stamp of 0 means never. tcp_synq_no_recent_overflow() takes it for a time, which
 * jiffies come to pass five minutes after boot.
 */
static bool wlb_has_overflown(const struct sock *sk)
{
	const struct sock_reuseport *reuse = sk->sk_reuseport ?
		rcu_dereference(sk->sk_reuseport_cb) : NULL;
	u32 stamp = reuse ? READ_ONCE(reuse->synq_overflow_ts) :
			    READ_ONCE(tcp_sk(sk)->rx_opt.ts_recent_stamp);

	return stamp && !tcp_synq_no_recent_overflow(sk);
}

static struct sock *wlb_listener(struct net *net, const struct wlb_passer *p,
				 u16 port, int dif)
{
	struct inet_hashinfo *hash = net->ipv4.tcp_death_row.hashinfo;

	if (p->v6)
		return inet6_lookup_listener(net, hash, NULL, 0, &p->src.v6,
					     htons(p->sport), &p->dst.v6, port,
					     dif, 0);
	return inet_lookup_listener(net, hash, NULL, 0, p->src.v4,
				    htons(p->sport), p->dst.v4, htons(port), dif,
				    0);
}

/* A proxy's connections may be in SYN cookies: nobody knows which there are. */
static bool wlb_has_cookies(struct net *net, struct sk_buff *skb,
			    const struct wlb_cache *cache,
			    const struct wlb_passer *p)
{
	unsigned int i;

	if (!(p->tcp_flags & WLB_TCP_ACK))
		return false;
	for (i = 0; i < cache->n_ports; i++) {
		const struct sock *sk = wlb_listener(net, p, cache->port[i],
						     skb->dev->ifindex);

		if (sk && wlb_has_overflown(sk))
			return true;
	}
	return false;
}

/*
 * The proxies have died, and no router has heard of it. Proxies listen for the packets'
 * addresses or for the host's own, of which the door's is the one that is known.
 */
static bool wlb_is_deserted(struct net *net, struct sk_buff *skb,
			    const struct wlb_cache *cache,
			    const struct wlb_visit *v)
{
	const int dif = skb->dev->ifindex;
	struct wlb_passer own = v->p;
	unsigned int i;

	if (!cache->n_ports || !v->door->has_source)
		return false;
	own.dst = v->door->source;
	for (i = 0; i < cache->n_ports; i++)
		if (wlb_listener(net, &v->p, cache->port[i], dif) ||
		    wlb_listener(net, &own, cache->port[i], dif))
			return false;
	return true;
}

static bool wlb_is_connected(struct net *net, struct sk_buff *skb,
			     const struct wlb_cache *cache,
			     const struct wlb_passer *p)
{
	return wlb_has_socket(net, p, skb->dev->ifindex) ||
	       (cache->nat && wlb_has_entry(net, p, false));
}

static bool wlb_is_shared(const struct wlb_net *wn,
			  const struct wlb_cache *cache,
			  const struct wlb_passer *p)
{
	u32 hash = jhash_3words(wlb_addr_hash(&p->src, p->v6),
				wlb_addr_hash(&p->dst, p->v6),
				(u32)p->sport << 16 | p->dport, 0);

	return reciprocal_scale(hash, 1000) < cache->share;
}

/* Why the packet is not for the proxy; WLB_NO_STAT if it is. */
static int wlb_cache_refuse(struct wlb_net *wn, struct sk_buff *skb,
			    const struct wlb_cache *cache,
			    const struct wlb_visit *v)
{
	const struct wlb_passer *p = &v->p;
	bool tcp = p->proto == IPPROTO_TCP;

	if (tcp && wlb_is_connected(wn->net, skb, cache, p))
		return WLB_NO_STAT;
	if (tcp && !wlb_passer_opens(p))
		return wlb_has_cookies(wn->net, skb, cache, p) ?
		       WLB_NO_STAT : WLB_STAT_cache_strange;
	if (wlb_rules_permit(&cache->rules, p, false))
		return WLB_STAT_cache_bypassed;
	if (wlb_bypass_knows(wn->bypasses, p))
		return WLB_STAT_cache_learned;
	if (tcp && wlb_is_shared(wn, cache, p))
		return WLB_STAT_cache_overload;
	return tcp && wlb_is_deserted(wn->net, skb, cache, v) ?
	       WLB_STAT_cache_deserted : WLB_NO_STAT;
}

/* The way by which it came is wide enough, or its parts are put together again. */
static int wlb_return_gre(struct wlb_net *wn, struct sk_buff *skb,
			  const struct wlb_visit *v, struct dst_entry *dst,
			  const union wlb_addr *from)
{
	const bool v6 = v->p.v6;
	struct wlb_tunnel tunnel = {
		.to = v->door->seat.member->addr, .from = *from,
		.has_from = true, .v6 = v6, .via = WLB_VIA_GRE,
		.redirect = &v->header,
	};
	u8 tos = wlb_tunnel_tos(skb, v6);

	wlb_make_own(skb);
	skb_dst_drop(skb);
	skb_dst_set(skb, dst);
	if (v6)
		memset(IP6CB(skb), 0, sizeof(*IP6CB(skb)));
	else
		memset(IPCB(skb), 0, sizeof(*IPCB(skb)));
	if (wlb_tunnel_push(skb, &tunnel, tos))
		return -ENOMEM;
	skb->ignore_df = 1;
	if (v6)
		ip6_local_out(wn->net, NULL, skb);
	else
		ip_local_out(wn->net, NULL, skb);
	return 0;
}

static int wlb_return_l2(struct sk_buff *skb, const struct wlb_visit *v,
			 struct dst_entry *dst)
{
	if (skb_cow_head(skb, LL_RESERVED_SPACE(dst->dev))) {
		dst_release(dst);
		return -ENOMEM;
	}
	skb_forward_csum(skb);
	skb_ext_reset(skb);
	skb_clear_tstamp(skb);
	skb_orphan(skb);
	skb_dst_drop(skb);
	skb->dev = dst->dev;
	neigh_xmit(v->p.v6 ? NEIGH_ND_TABLE : NEIGH_ARP_TABLE, dst->dev,
		   &v->door->seat.member->addr, skb);
	dst_release(dst);
	return 0;
}

static bool wlb_is_forwarding(struct net *net, const struct net_device *dev,
			      bool v6)
{
	struct in_device *in_dev = __in_dev_get_rcu(dev);

	return v6 ? READ_ONCE(net->ipv6.devconf_all->forwarding) :
		    in_dev && IN_DEV_FORWARD(in_dev);
}

/* What would be returned begins a connection that a rule has go to another server? */
static bool wlb_cache_diverts(struct wlb_net *wn, const struct sk_buff *skb,
			      const struct wlb_passer *p)
{
	const struct wlb_process *process = rcu_dereference(wn->process);
	const struct wlb_process_rule *rule;

	if (!process || !process->rewrites || !wlb_passer_begins(p))
		return false;
	rule = wlb_process_find(process, p, WLB_PROCESS_RETURNED);
	if (!rule || !rule->has_to)
		return false;
	if (wlb_is_forwarding(wn->net, skb->dev, p->v6))
		return true;
	wlb_count(wn, WLB_STAT_process_failed);
	return false;
}

/* To the router; NF_ACCEPT if there is no way. */
static unsigned int wlb_cache_return(struct wlb_net *wn, struct sk_buff *skb,
				     const struct wlb_visit *v, int stat)
{
	const struct wlb_seat *seat = &v->door->seat;
	bool gre = seat->forward == WLB_FORWARD_GRE;
	union wlb_addr from = {};
	struct dst_entry *dst;

	if (gre && v->door->has_source)
		from = v->door->source;
	dst = wlb_seat_route(wn->net, seat, &from, v->p.v6);
	if (dst && !gre && !wlb_seat_adjacent(dst, v->p.v6)) {
		dst_release(dst);
		dst = NULL;
	}
	if (!dst) {
		wlb_count(wn, WLB_STAT_cache_kept);
		return NF_ACCEPT;
	}
	wlb_process_returned(wn, skb, &v->p, v->state);
	wlb_member_count(seat->member, skb);
	wlb_count(wn, stat);
	if (gre ? wlb_return_gre(wn, skb, v, dst, &from) :
		  wlb_return_l2(skb, v, dst)) {
		wlb_count(wn, WLB_STAT_cache_failed);
		return NF_DROP;
	}
	return NF_STOLEN;
}

/* From here on it is forwarded like any other, and NAT sees to the rest. */
static unsigned int wlb_cache_divert(struct wlb_net *wn, struct sk_buff *skb)
{
	wlb_settle(skb, WLB_DIVERTED);
	wlb_count(wn, WLB_STAT_process_diverted);
	return NF_ACCEPT;
}

static unsigned int wlb_cache_decide(struct wlb_net *wn, struct sk_buff *skb,
				     const struct wlb_cache *cache,
				     struct wlb_visit *v, bool v6)
{
	unsigned int verdict;
	int stat;

	if (!wlb_passer_read(skb, v6, &v->p)) {
		wlb_count(wn, WLB_STAT_cache_malformed);
		return NF_DROP;
	}
	/* maybe by a rule that is no more */
	if (READ_ONCE(wn->rewrites) && v->p.proto == IPPROTO_TCP &&
	    wlb_has_entry(wn->net, &v->p, true))
		return wlb_cache_divert(wn, skb);
	stat = wlb_cache_refuse(wn, skb, cache, v);
	if (stat != WLB_NO_STAT) {
		if (wlb_cache_diverts(wn, skb, &v->p))
			return wlb_cache_divert(wn, skb);
		verdict = wlb_cache_return(wn, skb, v, stat);
		if (verdict != NF_ACCEPT)
			return verdict;
	}
	wlb_count(wn, WLB_STAT_cache_received);
	if (cache->has_mark)
		skb->mark = cache->mark;
	return NF_ACCEPT;
}

static unsigned int wlb_cache_gre_in(struct wlb_net *wn, struct sk_buff *skb,
				     const struct wlb_cache *cache,
				     const struct nf_hook_state *state,
				     unsigned int off, bool v6)
{
	u8 tos = v6 ? ipv6_get_dsfield(ipv6_hdr(skb)) : ip_hdr(skb)->tos;
	struct wlb_visit v = {
		.header.flags = WLB_REDIRECT_NULL, .state = state,
	};
	union wlb_addr src = {};
	u8 buf[WLB_REDIRECT_LEN];
	const u8 *data;
	int err;

	if (v6)
		src.v6 = ipv6_hdr(skb)->saddr;
	else
		src.v4 = ip_hdr(skb)->saddr;
	off += sizeof(struct gre_base_hdr);
	data = skb_header_pointer(skb, off, sizeof(buf), buf);
	if (data && wlb_redirect_read(data, &v.header))
		off += WLB_REDIRECT_LEN;
	v.door = wlb_door_of(cache, &src, v6, &v.header);
	if (!v.door) {
		wlb_count(wn, WLB_STAT_cache_stranger);
		return NF_ACCEPT;
	}
	err = data ? wlb_redirect_crack(skb, v6, off, tos) : -EBADMSG;
	if (err) {
		wlb_count(wn, err == -ENOBUFS ? WLB_STAT_cache_congested :
						WLB_STAT_cache_malformed);
		return NF_DROP;
	}
	return wlb_cache_decide(wn, skb, cache, &v, v6);
}

static unsigned int wlb_cache_l2_in(struct wlb_net *wn, struct sk_buff *skb,
				    const struct wlb_cache *cache,
				    const struct nf_hook_state *state, bool v6)
{
	struct wlb_visit v = {
		.header.flags = WLB_REDIRECT_NULL, .state = state,
	};
	unsigned int i;

	for (i = 0; i < cache->n_doors && !v.door; i++) {
		const struct wlb_door *door = &cache->door[i];

		if (door->in == WLB_FORWARD_L2 && door->seat.member->v6 == v6 &&
		    wlb_is_from(skb, skb->dev, &door->seat.member->addr, v6))
			v.door = door;
	}
	return v.door ? wlb_cache_decide(wn, skb, cache, &v, v6) : NF_ACCEPT;
}

static __always_inline unsigned int wlb_cache_in(struct wlb_net *wn,
						 struct sk_buff *skb,
						 const struct nf_hook_state *state,
						 const bool v6)
{
	const struct wlb_cache *cache = rcu_dereference(wn->cache);
	unsigned int off = v6 ? sizeof(struct ipv6hdr) : ip_hdrlen(skb);
	union wlb_addr dst = {};
	bool gre;

	if (!cache || skb->pkt_type != PACKET_HOST || wlb_is_bridged(skb))
		return NF_ACCEPT;
	gre = wlb_ip_proto(skb, v6) == IPPROTO_GRE &&
	      (v6 || !ip_is_fragment(ip_hdr(skb))) && wlb_is_redirect_gre(skb, off);
	if (!gre && !cache->l2)
		return NF_ACCEPT;
	if (v6)
		dst.v6 = ipv6_hdr(skb)->daddr;
	else
		dst.v4 = ip_hdr(skb)->daddr;
	if (wlb_is_far(wn, skb->dev, &dst, v6))
		return cache->l2 ? wlb_cache_l2_in(wn, skb, cache, state, v6) :
				   NF_ACCEPT;
	return gre ? wlb_cache_gre_in(wn, skb, cache, state, off, v6) :
		     NF_ACCEPT;
}

unsigned int wlb_cache_in4(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state)
{
	return wlb_cache_in(priv, skb, state, false);
}

unsigned int wlb_cache_in6(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state)
{
	return wlb_cache_in(priv, skb, state, true);
}
