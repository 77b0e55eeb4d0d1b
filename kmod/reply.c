// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a replica sends under the server's address, behind its own firewall and
 * NAT (POST_ROUTING): FIG 4B, op 442, and FIG 4C, op 462. Whatever has that
 * address as its source belongs to a connection that began with a clone: nobody
 * else reaches it here.
 */
#include <linux/slab.h>

#include <net/tcp.h>

#include "conf.h"
#include "hash.h"
#include "path.h"
#include "reply.h"
#include "segment.h"
#include "tunnel.h"

#define WLB_NONCE_SLOTS	65536

/* Upper half: of the hash; then, from the lowest bit: used, spoofs, the nonce. */
#define WLB_NONCE_USED	1U
#define WLB_NONCE_SPOOF	2U
#define WLB_NONCE_SHIFT	2

struct wlb_nonces {
	siphash_key_t key;
	u64 slot[WLB_NONCE_SLOTS];
};

struct wlb_nonces *wlb_nonces_alloc(void)
{
	struct wlb_nonces *nonces = kvzalloc(sizeof(*nonces),
					     GFP_KERNEL_ACCOUNT);

	if (nonces)
		get_random_bytes(&nonces->key, sizeof(nonces->key));
	return nonces;
}

void wlb_nonces_free(struct wlb_nonces *nonces)
{
	kvfree(nonces);
}

static u64 wlb_nonce_hash(const struct wlb_nonces *nonces,
			  const union wlb_addr *client, __be16 client_port,
			  const union wlb_addr *server, __be16 server_port,
			  bool v6)
{
	return wlb_syn_hash(&nonces->key, client, server, v6, client_port,
			    server_port, 0);
}

static void wlb_nonce_write(struct wlb_nonces *nonces, u64 hash, u32 note)
{
	WRITE_ONCE(nonces->slot[hash % WLB_NONCE_SLOTS],
		   (hash & GENMASK_ULL(63, 32)) | note);
}

void wlb_nonce_note(struct wlb_nonces *nonces, const struct wlb_pkt *p,
		    u16 nonce, u8 ret)
{
	u64 hash = wlb_nonce_hash(nonces, &p->src, p->th.source, &p->dst,
				  p->th.dest, p->v6);
	u32 note = (u32)nonce << WLB_NONCE_SHIFT | WLB_NONCE_USED;

	if (ret == WLB_RETURN_SPOOF)
		note |= WLB_NONCE_SPOOF;
	wlb_nonce_write(nonces, hash, note);
}

/* The note of a connection, 0 if it is forgotten. */
static u32 wlb_nonce_slot(const struct wlb_nonces *nonces, u64 hash)
{
	u64 slot = READ_ONCE(nonces->slot[hash % WLB_NONCE_SLOTS]);

	return slot >> 32 == hash >> 32 ? (u32)slot : 0;
}

/* Of the connection that the server's packet @p belongs to. */
static u64 wlb_nonce_hash_reply(const struct wlb_nonces *nonces,
				const struct wlb_pkt *p)
{
	return wlb_nonce_hash(nonces, &p->dst, p->th.dest, &p->src,
			      p->th.source, p->v6);
}

bool wlb_nonce_of_client(const struct wlb_nonces *nonces,
			 const struct wlb_pkt *p, u16 *nonce)
{
	u32 note = wlb_nonce_slot(nonces,
				  wlb_nonce_hash(nonces, &p->src, p->th.source,
						 &p->dst, p->th.dest, p->v6));

	*nonce = note >> WLB_NONCE_SHIFT;
	return note;
}

/*
 * Data of a connection that spoofs is repeated for want of an acknowledgment;
 * twice, if some has arrived before: then it may be no more than lost.
 */
static bool wlb_spoof_unheard(const struct sk_buff *skb)
{
	const struct sock *sk = skb->sk;

	return sk && sk_fullsock(sk) && sk->sk_protocol == IPPROTO_TCP &&
	       inet_csk(sk)->icsk_retransmits > !!tcp_sk(sk)->bytes_acked;
}

static bool wlb_tag_fits(const struct wlb_pkt *p)
{
	return wlb_pkt_hlen(p) + WLB_TAG_LEN <= WLB_TCP_HDR_MAX;
}

/*
 * How a packet of the server goes back: as was decided for its clone, or by tunnel,
 * which is what the client's gateway takes an answer without a tag for.
 */
static u8 wlb_reply_mode(struct wlb_net *wn, const struct sk_buff *skb,
			 const struct wlb_pkt *p, const struct wlb_served *s,
			 u32 *note)
{
	if (s->ret != WLB_RETURN_SPOOF)
		return s->ret;
	if (!(*note & WLB_NONCE_SPOOF))
		return WLB_RETURN_TUNNEL;
	if (p->th.syn && !wlb_tag_fits(p)) {
		*note &= ~WLB_NONCE_SPOOF;
		wlb_nonce_write(wn->nonces, wlb_nonce_hash_reply(wn->nonces, p),
				*note);
		return WLB_RETURN_TUNNEL;
	}
	if (s->trust_path)
		return WLB_RETURN_SPOOF;
	if (wlb_path_get(wn->paths, &p->dst, p->v6) == WLB_PATH_BAD)
		return WLB_RETURN_TUNNEL;
	if (!wlb_spoof_unheard(skb))
		return WLB_RETURN_SPOOF;
	wlb_path_set(wn->paths, &p->dst, p->v6, WLB_PATH_BAD);
	wlb_count(wn, WLB_STAT_spoof_lost);
	return WLB_RETURN_TUNNEL;
}

/*
 * The answer names its mode and its race. No room for the tag, or a nonce
 * forgotten: it goes without.
 */
static int wlb_answer_prepare(struct sk_buff *skb, struct wlb_pkt *p, u8 ret,
			      u32 note, unsigned int mtu)
{
	struct wlb_tag tag = {
		.state = WLB_TAG_ANSWER, .offers = 1U << ret,
		.nonce = note >> WLB_NONCE_SHIFT,
	};
	unsigned int headers = (p->v6 ? sizeof(struct ipv6hdr) :
					sizeof(struct iphdr)) + WLB_TCP_HDR_LEN;

	if (!wlb_pkt_sane(p))
		return -EINVAL;
	/* what the client's gateway puts around the client's data */
	if (ret == WLB_RETURN_TUNNEL &&
	    wlb_pkt_clamp_mss(skb, p, mtu - headers))
		return -ENOMEM;
	if (!note || !wlb_tag_fits(p))
		return 0;
	return wlb_pkt_insert_tag(skb, p, &tag);
}

static unsigned int wlb_reply(struct wlb_net *wn, struct sk_buff *skb,
			      struct wlb_pkt *p, const struct wlb_served *served)
{
	const struct net_device *dev = skb_dst(skb)->dev;
	bool answer = p->th.syn && p->th.ack;
	struct wlb_tunnel tunnel = {
		.to = p->dst, .from = served->local, .has_from = true,
		.v6 = p->v6, .via = served->via,
	};
	unsigned int mtu;
	u32 note = 0;
	u8 ret;

	if (dev->flags & IFF_LOOPBACK)
		return NF_ACCEPT;
	/* what goes by tunnel anyway needs it for its answer only */
	if (answer || served->ret == WLB_RETURN_SPOOF)
		note = wlb_nonce_slot(wn->nonces,
				      wlb_nonce_hash_reply(wn->nonces, p));
	ret = wlb_reply_mode(wn, skb, p, served, &note);
	if (ret == WLB_RETURN_SPOOF && !answer)
		return NF_ACCEPT;
	/*
	 * Not the route's: outside and inside have one destination, and what
	 * its route has learned is what the inside may have.
	 */
	mtu = max_t(unsigned int, READ_ONCE(dev->mtu), IPV6_MIN_MTU) -
	      wlb_tunnel_overhead(p->v6, served->via);
	if (answer) {
		if (wlb_answer_prepare(skb, p, ret, note, mtu))
			goto failed;
	} else if (!wlb_tunnel_fits(skb, p->v6, mtu)) {
		wlb_tunnel_too_big(skb, p->v6, mtu);
		wlb_count(wn, WLB_STAT_reply_too_big);
		return NF_DROP;
	}
	if (wlb_tunnel_push(skb, &tunnel, wlb_tunnel_tos(skb, p->v6)))
		goto failed;
	if (!p->v6)
		IPCB(skb)->flags |= IPSKB_FORWARDED;
	wlb_count(wn, answer ? WLB_STAT_answer_encapsulated :
			       WLB_STAT_reply_encapsulated);
	return NF_ACCEPT;

failed:
	wlb_count(wn, WLB_STAT_reply_failed);
	return NF_DROP;
}

static __always_inline unsigned int wlb_reply_hook(struct wlb_net *wn,
						   struct sk_buff *skb,
						   const bool v6)
{
	struct wlb_rep *rep = rcu_dereference(wn->rep);
	const struct wlb_served *served;
	struct wlb_pkt p;

	/* what the host forwards is not its own */
	if (!rep || !(rep->returns & ~(1U << WLB_RETURN_NAT)) || skb->skb_iif ||
	    wlb_is_own() || wlb_pkt_parse(skb, 0, v6, &p) <= 0)
		return NF_ACCEPT;
	served = wlb_rep_served(rep, &p.src, v6, ntohs(p.th.source));
	if (!served || served->ret == WLB_RETURN_NAT)
		return NF_ACCEPT;
	return wlb_reply(wn, skb, &p, served);
}

unsigned int wlb_replica_reply4(void *priv, struct sk_buff *skb,
				const struct nf_hook_state *state)
{
	return wlb_reply_hook(priv, skb, false);
}

unsigned int wlb_replica_reply6(void *priv, struct sk_buff *skb,
				const struct nf_hook_state *state)
{
	return wlb_reply_hook(priv, skb, true);
}
