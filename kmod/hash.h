/* SPDX-License-Identifier: GPL-2.0-only */
/* Keyed hashes of what tables of several roles are found by. */
#ifndef WLB_HASH_H
#define WLB_HASH_H

#include <linux/siphash.h>

#include "net.h"

/* Of two addresses; @a may be NULL, which is as no address. */
static inline u64 wlb_pair_hash(const siphash_key_t *secret,
				const union wlb_addr *a, const union wlb_addr *b,
				bool v6)
{
	if (v6) {
		struct {
			union wlb_addr a, b;
		} __aligned(8) key = {};

		if (a)
			key.a = *a;
		key.b = *b;
		return siphash(&key, sizeof(key), secret);
	}
	return siphash_2u32(a ? a->word[0] : 0, b->word[0], secret);
}

/*
 * Of two addresses too, for tables of which nobody learns what collides: as wlb_flow_hash(),
 * a tenth of SipHash's cost.
 */
struct wlb_pair_key {
	u64 factor[9];
};

static inline u32 wlb_pair_hash_fast(const struct wlb_pair_key *key,
				     const union wlb_addr *a, const union wlb_addr *b,
				     bool v6)
{
	const u64 *k = key->factor;
	u64 sum = k[0] + k[1] * b->word[0] + (a ? k[2] * a->word[0] : 0);
	unsigned int i;

	if (v6)
		for (i = 1; i < 4; i++)
			sum += k[2 * i + 1] * b->word[i] + (a ? k[2 * i + 2] * a->word[i] : 0);
	return sum >> 32;
}

/* Of the site that @client is in, and a server. */
static inline u64 wlb_site_hash(const siphash_key_t *secret,
				const union wlb_addr *client,
				const union wlb_addr *server, bool v6)
{
	union wlb_addr site;

	wlb_addr_site(&site, client, v6);
	return wlb_pair_hash(secret, &site, server, v6);
}

/* Of one SYN, or with @isn 0 of a connection; @isn in host order. */
static inline u64 wlb_syn_hash(const siphash_key_t *secret,
			       const union wlb_addr *client,
			       const union wlb_addr *server, bool v6,
			       __be16 client_port, __be16 server_port, u32 isn)
{
	u64 one = (u64)(__force u16)client_port << 48 |
		  (u64)(__force u16)server_port << 32 | isn;

	if (v6) {
		struct {
			union wlb_addr client, server;
			u64 one;
		} __aligned(8) key = { *client, *server, one };

		return siphash(&key, sizeof(key), secret);
	}
	return siphash_2u64((u64)client->word[0] << 32 | server->word[0], one,
			    secret);
}

#endif /* WLB_HASH_H */
