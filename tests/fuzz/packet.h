/* SPDX-License-Identifier: GPL-2.0-only */
/* A model packet as struct sk_buff, and whether the two still say the same. */
#ifndef WLB_FUZZ_PACKET_H
#define WLB_FUZZ_PACKET_H

#include "../../kmod/pkt.h"
#include "check.h"
#include "model.h"

/* What a fuzzer's input begins with. */
struct control {
	u8 flags;	/* CONTROL_* */
	u8 summed;	/* CHECKSUM_*, and in the upper half what is put right */
	u8 linear;	/* bytes that are not paged, if so many may be */
	u8 room;	/* in front, and in the upper half the memory there is */
	u8 ops[4];
	u8 tag[4];	/* state, offers, nonce */
	u8 addr[16];
};

#define CONTROL_V6	1
#define CONTROL_CLONED	2
#define CONTROL_GSO	4

/* The model says @len bytes at @m->off are the packet: so do the bytes. */
static inline void fill_lengths(struct model_packet *m)
{
	u8 *ip = m->byte + m->off;
	unsigned int rest = m->len - m->off;

	if (rest < (m->v6 ? 40 : 20))
		return;
	ip[0] = m->v6 ? 0x60 | ip[0] % 16 : 0x40 | ip[0] % 16;
	if (m->v6) {
		model_put16(ip + 4, rest - 40);
		return;
	}
	if (ip[0] % 16 < 5 || ip[0] % 16 * 4u > rest)
		ip[0] = 0x45;
	model_put16(ip + 2, rest);
	model_sign_ip(m);
}

/*
 * The skb of a packet that has been parsed, with the checksum in the state that
 * the input asks for, as a device or the host's own TCP would have left it.
 */
static inline struct sk_buff *packet_skb(struct model_packet *m, const struct control *c,
					 unsigned int least)
{
	unsigned int summed = c->flags & CONTROL_GSO ? CHECKSUM_PARTIAL : c->summed % 4;
	unsigned int linear = c->linear < least ? least : c->linear;
	struct sk_buff *skb;

	if (summed == CHECKSUM_PARTIAL) {
		if (m->verdict > 0)
			model_put16(m->byte + m->tcp + 16, model_pseudo(m));
		else
			summed = CHECKSUM_NONE;
	}
	skb = shim_skb(m->byte, m->len, linear < m->len ? linear : m->len, c->room % 4 * 8,
		       c->flags & CONTROL_CLONED);
	skb->gso = c->flags & CONTROL_GSO;
	skb->ip_summed = summed;
	if (summed == CHECKSUM_COMPLETE)
		skb->csum = csum_partial(m->byte, m->len, 0);
	if (summed == CHECKSUM_PARTIAL) {
		skb->csum_start = skb_headroom(skb) + m->tcp;
		skb->csum_offset = 16;
	}
	if (c->room / 16 < 4)
		skb->memory = c->room / 16;
	return skb;
}

static inline void take_bytes(const struct sk_buff *skb, struct model_packet *m)
{
	CHECK(skb->len <= sizeof(m->byte));
	m->len = skb->len;
	CHECK(!skb_copy_bits(skb, 0, m->byte, skb->len));
}

/* What is true of a skb whatever has been done to it: @m is what it holds now. */
static inline void check_sums(const struct sk_buff *skb, const struct model_packet *m)
{
	if (skb->ip_summed == CHECKSUM_COMPLETE)
		CHECK(skb->csum % 65535 == csum_partial(m->byte, m->len, 0) % 65535);
	if (skb->ip_summed == CHECKSUM_PARTIAL) {
		CHECK(skb->csum_start == skb_headroom(skb) + m->tcp && skb->csum_offset == 16);
		CHECK(model_be16(m->byte + m->tcp + 16) % 65535 == model_pseudo(m));
	}
}

/*
 * @want is @was changed plainly, its checksums not mended; @got is what came.
 * All else must be the same, and the checksums as right or wrong as before; if
 * they were what a sender writes, they are what a sender would write now.
 */
static inline void check_change(const struct sk_buff *skb, const struct model_packet *was,
				struct model_packet *want, struct model_packet *got)
{
	bool partial = skb->ip_summed == CHECKSUM_PARTIAL;
	struct model_packet signed_ = *was;

	model_parse(got, skb->gso);
	CHECK(got->verdict == 1 && got->len == want->len);
	CHECK(got->tcp == want->tcp && got->tcp_len == want->tcp_len);
	check_sums(skb, got);
	CHECK(model_ip_error(got) == model_ip_error(was));
	if (!partial)
		CHECK(model_tcp_error(got) == model_tcp_error(was));

	model_sign_ip(&signed_);
	model_sign_tcp(&signed_);
	if (!was->v6 && !memcmp(signed_.byte + was->off + 10, was->byte + was->off + 10, 2))
		model_sign_ip(want);
	else
		memcpy(want->byte + want->off + 10, got->byte + got->off + 10, was->v6 ? 0 : 2);
	if (!partial && !memcmp(signed_.byte + was->tcp + 16, was->byte + was->tcp + 16, 2))
		model_sign_tcp(want);
	else
		memcpy(want->byte + want->tcp + 16, got->byte + got->tcp + 16, 2);
	CHECK(!memcmp(got->byte, want->byte, want->len));
}

static inline void check_parsed(const struct wlb_pkt *p, const struct model_packet *m)
{
	const u8 *addresses = model_addresses(m);
	unsigned int len = m->v6 ? 16 : 4;

	CHECK(p->v6 == m->v6 && p->off == m->tcp && p->len == m->tcp_len);
	CHECK(!memcmp(&p->src, addresses, len) && !memcmp(&p->dst, addresses + len, len));
	CHECK(!memcmp(&p->th, m->byte + m->tcp, sizeof(p->th)));
	CHECK(wlb_pkt_sane(p) == model_sane(m));
}

#endif
