/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Options and packets once more, by the plainest means: bytes in one flat buffer,
 * sums modulo 65535. Shares no line with the code that it is held against.
 */
#ifndef WLB_FUZZ_MODEL_H
#define WLB_FUZZ_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define MODEL_EXID 0x574c
#define MODEL_MAX 600 /* bytes of a packet */

static inline unsigned model_be16(const uint8_t *p)
{
	return p[0] * 256u + p[1];
}

static inline void model_put16(uint8_t *p, unsigned value)
{
	p[0] = (uint8_t)(value / 256);
	p[1] = (uint8_t)(value % 256);
}

/* One option list, cut into its options. */
struct model_options {
	unsigned n, at[40], len[40];
	bool malformed;
};

static inline void model_cut(const uint8_t *list, unsigned len, struct model_options *o)
{
	unsigned i = 0;

	memset(o, 0, sizeof(*o));
	while (i < len && list[i] != 0) {
		unsigned size = 1;

		if (list[i] != 1) {
			if (i + 1 == len || list[i + 1] < 2 || i + list[i + 1] > len) {
				o->malformed = true;
				return;
			}
			size = list[i + 1];
		}
		o->at[o->n] = i;
		o->len[o->n++] = size;
		i += size;
	}
}

static inline bool model_is_tag(const uint8_t *option, unsigned len)
{
	return option[0] == 253 && (len == 8 || len == 16) &&
	       model_be16(option + 2) == MODEL_EXID && option[4] / 16 == 1;
}

/* Of 16 bytes, or without @cookie of 8. */
static inline void model_tag(uint8_t *option, unsigned state, unsigned offers, unsigned nonce,
			     uint64_t cookie)
{
	unsigned i;

	option[0] = 253;
	option[1] = cookie ? 16 : 8;
	for (i = 0; cookie && i < 8; i++)
		option[8 + i] = (uint8_t)(cookie >> (56 - 8 * i));
	model_put16(option + 2, MODEL_EXID);
	option[4] = (uint8_t)(16 + state % 16);
	option[5] = (uint8_t)offers;
	model_put16(option + 6, nonce);
}

/*
 * The first tag becomes the one at @tag (0: none), in a place of 8 bytes without its cookie;
 * all others NOPs.
 */
static inline void model_rewrite(uint8_t *list, unsigned len, const uint8_t *tag)
{
	struct model_options o;
	unsigned i, j, size;

	model_cut(list, len, &o);
	for (i = 0; i < o.n; i++) {
		if (!model_is_tag(list + o.at[i], o.len[i]))
			continue;
		size = !tag ? 0 : tag[1] > o.len[i] ? 8 : tag[1];
		for (j = 0; j < o.len[i]; j++)
			list[o.at[i] + j] = j < size ? tag[j] : 1;
		if (tag)
			list[o.at[i] + 1] = (uint8_t)size;
		tag = 0;
	}
}

/* A packet; @off: where its IP header begins. */
struct model_packet {
	uint8_t byte[MODEL_MAX];
	unsigned len;
	bool v6;
	unsigned off;
	/* by model_parse() */
	int verdict; /* as wlb_pkt_parse(), -1 for any error */
	unsigned tcp, tcp_len;
};

static inline unsigned model_sum(const uint8_t *p, unsigned len)
{
	unsigned long sum = 0;
	unsigned i;

	for (i = 0; i < len; i++)
		sum += i % 2 ? p[i] : p[i] * 256ul;
	return (unsigned)(sum % 65535);
}

static inline const uint8_t *model_addresses(const struct model_packet *m)
{
	return m->byte + m->off + (m->v6 ? 8 : 12);
}

static inline unsigned model_pseudo(const struct model_packet *m)
{
	return (model_sum(model_addresses(m), m->v6 ? 32 : 8) + 6 + m->tcp_len) % 65535;
}

/* What is wrong with the checksums: 0 if they are right. */
static inline unsigned model_tcp_error(const struct model_packet *m)
{
	return (model_pseudo(m) + model_sum(m->byte + m->tcp, m->tcp_len)) % 65535;
}

static inline unsigned model_ip_error(const struct model_packet *m)
{
	const uint8_t *ip = m->byte + m->off;

	return m->v6 ? 0 : model_sum(ip, ip[0] % 16 * 4);
}

static inline void model_find_tcp(struct model_packet *m, unsigned *next, bool *whole)
{
	unsigned at = m->off + 40;

	*next = m->byte[m->off + 6];
	*whole = true;
	/* nothing with an authentication header may be changed, no fragment is parsed */
	while (*next == 0 || *next == 43 || *next == 44 || *next == 51 || *next == 60) {
		*whole = *next != 44 && *next != 51 && at + 2 <= m->len;
		if (!*whole)
			return;
		*next = m->byte[at];
		at += m->byte[at + 1] * 8u + 8;
	}
	m->tcp = at;
}

static inline void model_parse(struct model_packet *m, bool gso)
{
	const uint8_t *ip = m->byte + m->off;
	unsigned rest = m->len - m->off, end, next;
	bool whole;

	m->verdict = 0;
	if (m->v6) {
		if (rest < 40 || ip[0] / 16 != 6)
			return;
		model_find_tcp(m, &next, &whole);
		if (!whole || next != 6)
			return;
		end = gso ? m->len : m->off + 40 + model_be16(ip + 4);
	} else {
		if (rest < 20 || ip[9] != 6 || ip[0] / 16 != 4 || ip[0] % 16 < 5 ||
		    model_be16(ip + 6) % 0x4000)
			return;
		m->tcp = m->off + ip[0] % 16 * 4;
		end = m->off + model_be16(ip + 2);
		if (gso && end == m->off)
			end = m->len;
	}
	m->verdict = -1;
	if (end > m->len || end < m->tcp + 20)
		return;
	m->verdict = 1;
	m->tcp_len = end - m->tcp;
}

static inline unsigned model_hlen(const struct model_packet *m)
{
	return m->byte[m->tcp + 12] / 16 * 4;
}

static inline bool model_sane(const struct model_packet *m)
{
	return model_hlen(m) >= 20 && model_hlen(m) <= m->tcp_len;
}

/* Writes what a sender would: the checksum over everything, never 65535. */
static inline void model_sign_ip(struct model_packet *m)
{
	uint8_t *ip = m->byte + m->off;

	if (m->v6)
		return;
	model_put16(ip + 10, 0);
	model_put16(ip + 10, (65535 - model_ip_error(m)) % 65535);
}

static inline void model_sign_tcp(struct model_packet *m)
{
	model_put16(m->byte + m->tcp + 16, 0);
	model_put16(m->byte + m->tcp + 16, (65535 - model_tcp_error(m)) % 65535);
}

#endif
