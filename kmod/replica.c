// SPDX-License-Identifier: GPL-2.0-only
/*
 * A replica, inwards: FIG 4A, 4B, 4C. Clones are cracked in place before
 * connection tracking (PRE_ROUTING), so that the host's routing, firewall and
 * TCP see an ordinary SYN, and the SYN-ACK that TCP sends at once is the
 * immediate acknowledgment of op 412. By the return mode `nat` the SYN is for
 * the replica's own address; by `spoof` and `tunnel` for the server's, which
 * the host has as well: its sockets then are all the state there is, and
 * reply.c sees to the way back.
 *
 * What is not a clone for us goes on to the host's own tunnels. From a listed
 * gateway to an address that we serve from, every unadorned GRE or IPIP packet
 * is taken for a clone.
 */
#include <linux/inetdevice.h>
#include <net/addrconf.h>
#include <net/inet6_hashtables.h>
#include <net/inet_hashtables.h>
#include <net/route.h>
#include <net/tcp.h>

#include "conf.h"
#include "crack.h"
#include "icmp.h"
#include "path.h"
#include "pkt.h"
#include "reply.h"
#include "segment.h"
#include "trace.h"
#include "tunnel.h"

static bool wlb_is_local(struct net *net, const union wlb_addr *addr, bool v6)
{
	if (v6)
		return ipv6_chk_addr(net, &addr->v6, NULL, 0);
	return inet_addr_type(net, addr->v4) == RTN_LOCAL;
}

/* Has the host a connection of the sender of @p with @local, in any state? */
static bool wlb_connected(struct net *net, const struct sk_buff *skb,
			  const struct wlb_pkt *p, const union wlb_addr *local)
{
	struct inet_hashinfo *hash = net->ipv4.tcp_death_row.hashinfo;
	int dif = skb->dev->ifindex;
	struct sock *sk;

	if (p->v6)
		sk = __inet6_lookup_established(net, hash, &p->src.v6,
						p->th.source, &local->v6,
						ntohs(p->th.dest), dif, 0);
	else
		sk = __inet_lookup_established(net, hash, p->src.v4,
					       p->th.source, local->v4,
					       ntohs(p->th.dest), dif, 0);
	if (sk)
		sock_gen_put(sk);
	return sk;
}

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
 * How the way back of a clone will be; -1 if none that is offered will do. Until
 * a probe has shown that spoofed packets arrive there, `spoof` is `tunnel`.
 */
static int wlb_clone_return(struct wlb_net *wn, const struct wlb_served *s,
			    const struct wlb_pkt *p, const struct wlb_opts *opts)
{
	u8 offers = opts->tags ? opts->tag.offers : WLB_OFFER_NAT, ret = s->ret;

	if (ret == WLB_RETURN_SPOOF && !s->trust_path &&
	    wlb_path_get(wn->paths, &p->src, p->v6) != WLB_PATH_GOOD)
		ret = WLB_RETURN_TUNNEL;
	if ((offers & (1U << s->ret)) && (offers & (1U << ret)) &&
	    (ret == WLB_RETURN_NAT || s->via != WLB_VIA_GRE ||
	     (offers & WLB_OFFER_GRE)))
		return ret;
	return offers & WLB_OFFER_NAT ? WLB_RETURN_NAT : -1;
}

/* A clone from a listed gateway: why it gets no answer. */
static int wlb_clone_refuse(struct sk_buff *skb, const struct wlb_pkt *p,
			    const struct wlb_served *s, int ret)
{
	struct net *net = dev_net(skb->dev);

	if (READ_ONCE(s->busy))
		return WLB_STAT_clone_busy;
	if (!wlb_pkt_csum_ok(skb, p))
		return WLB_STAT_clone_bad_checksum;
	if (ret < 0)
		return WLB_STAT_clone_not_offered;
	if (ret == WLB_RETURN_NAT)
		return wlb_listener(net, skb, p, &s->local);
	if (!wlb_is_local(net, &p->dst, p->v6))
		return WLB_STAT_clone_no_address;
	return wlb_listener(net, skb, p, &p->dst);
}

static int wlb_clone_crack(struct wlb_net *wn, struct sk_buff *skb,
			   struct wlb_pkt *p, const struct wlb_outer *o,
			   const struct wlb_served *s, int ret,
			   const struct wlb_opts *opts)
{
	unsigned int mtu = max_t(unsigned int, READ_ONCE(skb->dev->mtu),
				 IPV6_MIN_MTU);
	int err;

	if (ret == WLB_RETURN_NAT)
		return wlb_crack(skb, p, o, &s->local);
	wlb_nonce_note(wn->nonces, p, opts->tag.nonce, ret);
	err = wlb_crack(skb, p, o, NULL);
	if (err || ret != WLB_RETURN_TUNNEL)
		return err;
	/* what reply.c will put around the server's data */
	mtu -= wlb_tunnel_overhead(p->v6, s->via) + p->off + WLB_TCP_HDR_LEN;
	return wlb_pkt_clamp_mss(skb, p, mtu);
}

static void wlb_count_clone(struct wlb_net *wn, const struct wlb_pkt *p,
			    const struct wlb_outer *o, int stat)
{
	struct wlb_flow_key key;

	wlb_count(wn, stat);
	if (trace_wlb_clone_in_enabled()) {
		key = wlb_trace_key(p);
		trace_wlb_clone_in(wn, &key, &p->dst, &o->src, wlb_trace_stat(stat));
	}
}

static unsigned int wlb_clone_in(struct wlb_net *wn, struct sk_buff *skb,
				 struct wlb_pkt *p, const struct wlb_outer *o,
				 const struct wlb_served *s)
{
	u8 buf[WLB_TCP_HDR_MAX];
	struct wlb_opts opts;
	int ret, stat;

	wlb_pkt_options(skb, p, buf, &opts);
	ret = wlb_clone_return(wn, s, p, &opts);
	stat = wlb_crack_congested(skb, p->v6, o) ? WLB_STAT_tunnel_congested :
	       wlb_clone_refuse(skb, p, s, ret);
	if (stat == WLB_NO_STAT) {
		if (!wlb_clone_crack(wn, skb, p, o, s, ret, &opts)) {
			wlb_count_clone(wn, p, o, WLB_STAT_clone_cracked);
			return NF_ACCEPT;
		}
		stat = WLB_STAT_clone_malformed;
	}
	wlb_count_clone(wn, p, o, stat);
	return NF_DROP;
}

/*
 * A client's segment, of a connection that would rather spoof. True if it is no
 * client's but the echo of a probe.
 */
static bool wlb_probe_in(struct wlb_net *wn, const struct sk_buff *skb,
			 const struct wlb_pkt *p)
{
	u8 buf[WLB_TCP_HDR_MAX];
	struct wlb_opts opts;
	u16 nonce;

	if (wlb_pkt_control(p) != WLB_TCP_ACK ||
	    !wlb_nonce_of_client(wn->nonces, p, &nonce))
		return false;
	wlb_pkt_options(skb, p, buf, &opts);
	if (opts.tags && opts.tag.state == WLB_TAG_ANSWER) {
		if (opts.tag.nonce == nonce &&
		    (opts.tag.offers & WLB_OFFER_SPOOF)) {
			wlb_path_set(wn->paths, &p->src, p->v6, WLB_PATH_GOOD);
			wlb_count(wn, WLB_STAT_probe_passed);
		}
		return true;
	}
	/*
	 * Under the server's address; the client has acknowledged what it
	 * repeats, so that nobody minds if it finds no gateway.
	 */
	if (wlb_path_ask(wn->paths, &p->src, p->v6) &&
	    !wlb_probe_send(wn, p, NULL, nonce))
		wlb_count(wn, WLB_STAT_probe_sent);
	return false;
}

/* Does a start packet's tag say that it is a clone? */
static bool wlb_says_clone(const struct sk_buff *skb, const struct wlb_pkt *p)
{
	u8 buf[WLB_TCP_HDR_MAX];
	struct wlb_opts opts;

	if (!wlb_pkt_is_syn(p))
		return false;
	wlb_pkt_options(skb, p, buf, &opts);
	return opts.tags && (opts.tag.offers & WLB_OFFER_CLONED);
}

/*
 * What a client's gateway sends by tunnel for a connection that began with a
 * clone: FIG 6C. A repeated SYN too, but no first one: that only a listed gateway
 * may bring.
 */
static unsigned int wlb_client_in(struct wlb_net *wn, struct sk_buff *skb,
				  struct wlb_pkt *p, const struct wlb_outer *o,
				  const struct wlb_served *s)
{
	if (wlb_crack_congested(skb, p->v6, o)) {
		wlb_count(wn, WLB_STAT_tunnel_congested);
		return NF_DROP;
	}
	/* without the address here it would be forwarded, whoever sent it */
	if (!wlb_is_local(dev_net(skb->dev), &p->dst, p->v6) ||
	    (wlb_pkt_is_syn(p) &&
	     !wlb_connected(dev_net(skb->dev), skb, p, &p->dst))) {
		wlb_count(wn, WLB_STAT_client_stray);
		return NF_DROP;
	}
	if (s->ret == WLB_RETURN_SPOOF && !s->trust_path &&
	    wlb_probe_in(wn, skb, p))
		return NF_DROP;
	if (wlb_crack(skb, p, o, NULL)) {
		wlb_count(wn, WLB_STAT_client_stray);
		return NF_DROP;
	}
	wlb_count(wn, WLB_STAT_client_cracked);
	return NF_ACCEPT;
}

static unsigned int wlb_replica_tunnelled(struct wlb_net *wn,
					  struct wlb_rep *rep,
					  struct sk_buff *skb, bool v6,
					  const struct wlb_outer *o)
{
	const struct wlb_served *local = wlb_rep_local(rep, &o->dst, v6), *s;
	int parsed, stat = WLB_NO_STAT;
	struct wlb_pkt p = {};
	bool listed;

	if (!local)
		return NF_ACCEPT;
	parsed = wlb_crack_inner(skb, v6, o, &p);
	s = parsed > 0 ? wlb_rep_served(rep, &p.dst, v6, ntohs(p.th.dest)) : NULL;
	if (s && !wlb_addr_eq(&s->local, &o->dst, v6))
		s = NULL;
	listed = wlb_prefixes_match(s ? &s->from : &local->from, &o->src, v6);
	/* a client's gateway that clones may be the client, or hide it */
	if (s && s->ret != WLB_RETURN_NAT && wlb_addr_eq(&o->src, &p.src, v6) &&
	    !(listed && wlb_says_clone(skb, &p)))
		return wlb_client_in(wn, skb, &p, o, s);
	if (!listed) {
		/* a tunnel of the host's own, unless it aims at what we serve */
		if (s && wlb_pkt_is_syn(&p))
			stat = WLB_STAT_clone_unlisted;
	} else if (parsed < 0) {
		stat = WLB_STAT_clone_malformed;
	} else if (!parsed) {
		stat = WLB_STAT_clone_not_syn;
	} else if (!s) {
		stat = WLB_STAT_clone_not_served;
	} else if (!wlb_pkt_is_syn(&p)) {
		stat = WLB_STAT_clone_not_syn;
	} else {
		return wlb_clone_in(wn, skb, &p, o, s);
	}
	if (stat == WLB_NO_STAT)
		return NF_ACCEPT;
	wlb_count(wn, stat);
	return NF_DROP;
}

/*
 * FIG 6B: what the client's gateway has turned to our own address belongs to a
 * connection with the server's, unless the host has one with its own. Without
 * either, a SYN cookie is the connection, and that of a clone.
 */
static unsigned int wlb_replica_translated(struct wlb_net *wn,
					   struct wlb_rep *rep,
					   struct sk_buff *skb, bool v6)
{
	const struct wlb_served *s;
	struct wlb_pkt p;

	if (wlb_pkt_parse(skb, 0, v6, &p) <= 0 || wlb_pkt_is_syn(&p))
		return NF_ACCEPT;
	s = wlb_rep_spoofer(rep, &p.dst, v6, ntohs(p.th.dest));
	if (!s || wlb_connected(dev_net(skb->dev), skb, &p, &s->local) ||
	    !wlb_is_local(dev_net(skb->dev), &s->servers.addr[0], v6))
		return NF_ACCEPT;
	if (wlb_pkt_set_addr(skb, &p, false, &s->servers.addr[0]))
		return NF_DROP;
	wlb_count(wn, WLB_STAT_client_translated);
	return NF_ACCEPT;
}

/*
 * An error about a tunnel of ours to a client. Its route learns what is left for
 * the packets inside; see reply.c.
 */
static unsigned int wlb_replica_icmp(struct wlb_net *wn,
				     const struct wlb_rep *rep,
				     struct sk_buff *skb,
				     const struct wlb_quote *q)
{
	if (q->proto == IPPROTO_TCP || !q->too_big ||
	    !wlb_rep_local(rep, &q->src, q->v6))
		return NF_ACCEPT;
	wlb_icmp_learn(wn->net, skb, q, q->mtu - wlb_quote_overhead(q));
	wlb_count(wn, WLB_STAT_icmp_tunnel);
	return NF_DROP;
}

/* Op 402 to 412. */
static __always_inline unsigned int wlb_replica_hook(struct wlb_net *wn,
						     struct sk_buff *skb,
						     const bool v6)
{
	struct wlb_rep *rep = rcu_dereference(wn->rep);
	struct wlb_outer o;
	struct wlb_quote q;

	if (!rep)
		return NF_ACCEPT;
	if ((rep->returns & ~(1U << WLB_RETURN_NAT)) &&
	    wlb_icmp_quote(skb, v6, &q))
		return wlb_replica_icmp(wn, rep, skb, &q);
	if (wlb_crack_outer(skb, v6, &o))
		return wlb_replica_tunnelled(wn, rep, skb, v6, &o);
	if (rep->returns & (1U << WLB_RETURN_SPOOF))
		return wlb_replica_translated(wn, rep, skb, v6);
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
