// SPDX-License-Identifier: GPL-2.0-only
/*
 * kmod/crack.c: a replica takes the outer headers off what a gateway sent, or
 * leaves it. Input: struct control, then the outer packet.
 */
#include "../../kmod/crack.h"
#include "packet.h"

unsigned short wlb_exid = MODEL_EXID;

/* Length of the outer headers, 0 if this is no encapsulation of ours. */
static unsigned int outer_len(const struct model_packet *m)
{
	unsigned int len = m->v6 ? 40 : m->byte[0] % 16 * 4;
	unsigned int proto = m->byte[m->v6 ? 6 : 9];
	const u8 gre[] = { 0, 0, m->v6 ? 0x86 : 0x08, m->v6 ? 0xdd : 0x00 };

	if (!m->v6 && model_be16(m->byte + 6) % 0x4000)
		return 0;
	if (proto == (m->v6 ? 41 : 4))
		return len;
	if (proto == 47 && m->len >= len + 4 && !memcmp(m->byte + len, gre, 4))
		return len + 4;
	return 0;
}

/* Into m->verdict: 1, 0, -1, as wlb_crack_inner(). */
static void parse_inner(struct model_packet *m)
{
	const u8 *ip = m->byte + m->off;
	unsigned int rest = m->len - m->off;

	m->verdict = -1;
	if (m->v6 ? rest < 40 :
		    rest < 20 || ip[0] / 16 != 4 || ip[0] % 16 < 5 || ip[0] % 16 * 4u > rest ||
		    model_ip_error(m) || model_be16(ip + 2) > rest)
		return;
	model_parse(m, false);
	if (m->verdict > 0 && (!model_sane(m) || (m->v6 && m->tcp != m->off + 40)))
		m->verdict = -1;
}

/* RFC 6040 4.2, figure 4; what is marked outside and cannot be inside is the caller's. */
static void mark(struct model_packet *want, const struct model_packet *outer)
{
	static const u8 figure[4][4] = {	/* [inner][outer]: not-ECT, ECT(1), ECT(0), CE */
		{ 0, 0, 0, 0 }, { 1, 1, 1, 3 }, { 2, 1, 2, 3 }, { 3, 3, 3, 3 },
	};
	unsigned int shift = want->v6 ? 4 : 0;
	u8 *inner = want->byte + want->off + 1;
	u8 was = *inner >> shift & 3, out = outer->byte[1] >> shift & 3;

	*inner = (*inner & ~(3 << shift)) | figure[was][out] << shift;
}

static void check_cracked(const struct sk_buff *skb, const struct wlb_pkt *p,
			  const struct model_packet *outer, const u8 *local)
{
	struct model_packet was = *outer, want, got;

	was.len = outer->tcp + outer->tcp_len - outer->off;
	was.tcp -= outer->off;
	was.off = 0;
	memmove(was.byte, outer->byte + outer->off, was.len);
	want = was;
	memcpy(want.byte + (was.v6 ? 24 : 16), local, was.v6 ? 16 : 4);
	mark(&want, outer);

	got = want;
	take_bytes(skb, &got);
	check_change(skb, &was, &want, &got);
	CHECK(skb_network_offset(skb) == 0 && !skb->encapsulation);
	CHECK(skb->transport_header == skb_headroom(skb) + got.tcp && p->off == got.tcp);
	/* TCP reads the headers where they are */
	CHECK(skb_headlen(skb) >= got.tcp + model_hlen(&got));
	CHECK((got.v6 ? IP6CB(skb)->iif : IPCB(skb)->iif) == 7);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct model_packet m = {};
	struct wlb_outer o;
	struct control c;
	struct sk_buff *skb;
	union wlb_addr local;
	struct wlb_pkt p = {};
	int parsed;

	if (size < sizeof(c) || size - sizeof(c) > MODEL_MAX)
		return 0;
	memcpy(&c, data, sizeof(c));
	c.flags &= ~CONTROL_GSO;	/* a clone is one SYN */
	m.len = size - sizeof(c);
	memcpy(m.byte, data + sizeof(c), m.len);
	m.v6 = c.flags & CONTROL_V6;
	if (m.len < (m.v6 ? 40 : 20))
		return 0;
	/* the stack has checked the outer header, cut off what is behind the packet */
	fill_lengths(&m);
	m.off = outer_len(&m);
	if (m.off) {
		if (c.summed & 0x10)
			fill_lengths(&m);
		if (c.summed & 0x40 && !m.v6 && m.len - m.off >= 20 &&
		    m.byte[m.off] % 16 * 4u <= m.len - m.off)
			model_sign_ip(&m);
		parse_inner(&m);
		if (c.summed & 0x20 && m.verdict > 0)
			model_sign_tcp(&m);
	}
	skb = packet_skb(&m, &c, m.v6 ? 40 : m.byte[0] % 16 * 4);
	skb->encapsulation = true;
	memset(skb->cb, 0xee, sizeof(skb->cb));
	*(m.v6 ? &IP6CB(skb)->iif : &IPCB(skb)->iif) = 7;

	CHECK(wlb_crack_outer(skb, m.v6, &o) == (m.off != 0));
	if (m.off) {
		CHECK(o.len == m.off);
		CHECK(!memcmp(&o.src, m.byte + (m.v6 ? 8 : 12), m.v6 ? 16 : 4));
		CHECK(!memcmp(&o.dst, m.byte + (m.v6 ? 24 : 16), m.v6 ? 16 : 4));
		parsed = wlb_crack_inner(skb, m.v6, &o, &p);
		CHECK((parsed < 0 ? -1 : parsed) == m.verdict);
	}
	if (m.off && m.verdict > 0) {
		check_parsed(&p, &m);
		memcpy(&local, c.addr, sizeof(local));
		/* a checksum that is not linear cannot be left to a device any more */
		if (!wlb_crack(skb, &p, &o, &local))
			check_cracked(skb, &p, &m, c.addr);
		else
			CHECK(skb->memory < 2 || skb->ip_summed == CHECKSUM_PARTIAL);
	}
	shim_free(skb);
	return 0;
}
