// SPDX-License-Identifier: GPL-2.0-only
/*
 * kmod/pkt.h and kmod/pkt.c: a packet is parsed, its tag inserted, rewritten,
 * taken out, its addresses translated. Input: struct control, then the packet.
 */
#include "packet.h"

unsigned short wlb_exid = MODEL_EXID;

struct run {
	struct sk_buff *skb;
	struct model_packet now;	/* what the skb holds */
	struct wlb_pkt p;
};

static void check_reading(const struct run *r)
{
	const u8 *th = r->now.byte + r->now.tcp;
	unsigned int hlen = model_hlen(&r->now), header = min(hlen, r->now.tcp_len);
	u8 buf[WLB_TCP_HDR_MAX - WLB_TCP_HDR_LEN];
	struct model_options cut;
	struct wlb_opts opts;
	struct wlb_seg seg;
	const u8 *list;

	wlb_pkt_seg(&r->p, &seg);
	CHECK(seg.seq == (model_be16(th + 4) << 16 | model_be16(th + 6)));
	CHECK(seg.ack == (model_be16(th + 8) << 16 | model_be16(th + 10)));
	CHECK(seg.flags == th[13] && !seg.has_nonce);
	CHECK(seg.len == r->now.tcp_len - header + th[13] / 2 % 2 + th[13] % 2);
	CHECK(wlb_pkt_csum_ok(r->skb, &r->p) ==
	      (r->skb->ip_summed == CHECKSUM_PARTIAL || r->skb->ip_summed == CHECKSUM_UNNECESSARY ||
	       !model_tcp_error(&r->now)));
	if (!wlb_pkt_sane(&r->p))
		return;
	list = wlb_pkt_options(r->skb, &r->p, buf, &opts);
	CHECK(list && !memcmp(list, th + 20, hlen - 20));
	model_cut(th + 20, hlen - 20, &cut);
	CHECK(opts.malformed == cut.malformed);
}

static void parse(struct run *r)
{
	int verdict = wlb_pkt_parse(r->skb, 0, r->now.v6, &r->p);

	CHECK((verdict < 0 ? -1 : verdict) == r->now.verdict);
	if (verdict <= 0)
		return;
	check_parsed(&r->p, &r->now);
	check_reading(r);
}

/* Of two tries the second has memory; the first may not have changed a byte. */
#define TRY(r, call)								\
	do {									\
		int err = (call);						\
										\
		if (err) {							\
			struct model_packet same;				\
										\
			CHECK(err == -ENOMEM && (r)->skb->memory < 2);		\
			take_bytes((r)->skb, &same);				\
			CHECK(same.len == (r)->now.len);			\
			CHECK(!memcmp(same.byte, (r)->now.byte, same.len));	\
			check_sums((r)->skb, &(r)->now);			\
			(r)->skb->memory = 1000;				\
			CHECK(!(call));						\
		}								\
	} while (0)

static void take_change(struct run *r, struct model_packet *want)
{
	struct model_packet was = r->now;

	take_bytes(r->skb, &r->now);
	check_change(r->skb, &was, want, &r->now);
	parse(r);
}

static void insert(struct run *r, const struct wlb_tag *tag)
{
	struct model_packet want = r->now, before = r->now;
	u8 *option = want.byte + want.tcp + 20;
	unsigned int size = tag->cookie ? 16 : 8;

	memmove(option + size, option, want.len - want.tcp - 20);
	model_tag(option, tag->state, tag->offers, tag->nonce, tag->cookie);
	option[-8] += size / 4 << 4;
	want.len += size;
	want.tcp_len += size;
	if (want.v6)
		model_put16(want.byte + 4, model_be16(want.byte + 4) + size);
	else
		model_put16(want.byte + 2, model_be16(want.byte + 2) + size);
	TRY(r, wlb_pkt_insert_tag(r->skb, &r->p, tag));
	CHECK(ip_hdr(r->skb) == (void *)r->skb->data);
	CHECK(r->skb->transport_header == skb_headroom(r->skb) + r->p.off);
	take_change(r, &want);

	/* taken out again, all is as before, but for NOPs where it was */
	want = r->now;
	memset(want.byte + want.tcp + 20, 1, size);
	TRY(r, wlb_pkt_retag(r->skb, &r->p, NULL));
	take_change(r, &want);
	CHECK(!memcmp(r->now.byte + r->now.tcp + 20 + size, before.byte + before.tcp + 20,
		      before.len - before.tcp - 20));
}

static void retag(struct run *r, const struct wlb_tag *tag)
{
	struct model_packet want = r->now;
	u8 option[16];

	if (tag)
		model_tag(option, tag->state, tag->offers, tag->nonce, tag->cookie);
	model_rewrite(want.byte + want.tcp + 20, model_hlen(&want) - 20, tag ? option : NULL);
	TRY(r, wlb_pkt_retag(r->skb, &r->p, tag));
	take_change(r, &want);
}

static void set_addr(struct run *r, bool source, const u8 *to)
{
	struct model_packet want = r->now, before = r->now;
	unsigned int len = want.v6 ? 16 : 4, at = (want.v6 ? 8 : 12) + (source ? 0 : len);
	union wlb_addr old = source ? r->p.src : r->p.dst, addr;

	memcpy(&addr, to, 16);
	memcpy(want.byte + at, to, len);
	TRY(r, wlb_pkt_set_addr(r->skb, &r->p, source, &addr));
	take_change(r, &want);

	want = r->now;
	memcpy(want.byte + at, &old, len);
	TRY(r, wlb_pkt_set_addr(r->skb, &r->p, source, &old));
	take_change(r, &want);
	CHECK(r->now.len == before.len);
	memcpy(want.byte + at, to, len);
	TRY(r, wlb_pkt_set_addr(r->skb, &r->p, source, &addr));
	take_change(r, &want);
}

static void op(struct run *r, const struct control *c, u8 op)
{
	const struct wlb_tag tag = { .state = c->tag[0] % 16, .offers = c->tag[1],
				     .nonce = model_be16(c->tag + 2),
				     .cookie = c->tag[0] & 16 ? 0x8000000000000001 + c->tag[1] : 0 };
	u8 buf[WLB_TCP_HDR_MAX - WLB_TCP_HDR_LEN];
	struct wlb_opts opts;

	if (op % 8 == 1 || op % 8 == 2) {
		set_addr(r, op % 2, c->addr);
		return;
	}
	/* what the callers make sure of before they touch options */
	if (!wlb_pkt_sane(&r->p))
		return;
	wlb_pkt_options(r->skb, &r->p, buf, &opts);
	if (opts.malformed)
		return;
	if (op % 8 == 3 || op % 8 == 4)
		retag(r, op % 2 ? &tag : NULL);
	else if (op % 8 > 4 && !opts.tags && wlb_pkt_hlen(&r->p) + wlb_tag_len(&tag) <= WLB_TCP_HDR_MAX &&
		 !r->skb->gso && r->now.len + wlb_tag_len(&tag) <= MODEL_MAX)
		insert(r, &tag);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct run r = {};
	struct control c;
	unsigned int i;

	if (size < sizeof(c) || size - sizeof(c) > MODEL_MAX - 64)
		return 0;
	memcpy(&c, data, sizeof(c));
	r.now.len = size - sizeof(c);
	memcpy(r.now.byte, data + sizeof(c), r.now.len);
	r.now.v6 = c.flags & CONTROL_V6;
	/* hooks get whole IP headers only, and linear ones */
	if (r.now.len < (r.now.v6 ? 40 : 20))
		return 0;
	if (c.summed & 0x10)
		fill_lengths(&r.now);
	model_parse(&r.now, c.flags & CONTROL_GSO);
	if (c.summed & 0x20 && r.now.verdict > 0)
		model_sign_tcp(&r.now);
	r.skb = packet_skb(&r.now, &c, r.now.v6 ? 40 : 20);
	parse(&r);
	for (i = 0; i < sizeof(c.ops) && r.now.verdict > 0; i++)
		op(&r, &c, c.ops[i]);
	shim_free(r.skb);
	return 0;
}
