/* SPDX-License-Identifier: GPL-2.0-only */
/* Keyed hashes of what tables of several roles are found by. */
#ifndef WLB_HASH_H
#define WLB_HASH_H

#include <linux/siphash.h>

#include "net.h"

/* Of the site that @client is in, and a server. */
static inline u64 wlb_site_hash(const siphash_key_t *secret,
				const union wlb_addr *client,
				const union wlb_addr *server, bool v6)
{
	struct {
		union wlb_addr client, server;
	} __aligned(8) key = {};

	wlb_addr_site(&key.client, client, v6);
	memcpy(&key.server, server, wlb_addr_len(v6));
	return siphash(&key, sizeof(key), secret);
}

/* Of one SYN; @isn in host order. */
static inline u64 wlb_syn_hash(const siphash_key_t *secret,
			       const union wlb_addr *client,
			       const union wlb_addr *server, bool v6,
			       __be16 client_port, __be16 server_port, u32 isn)
{
	struct {
		union wlb_addr client, server;
		__be16 port[2];
		u32 isn;
	} __aligned(8) key = { .port = { client_port, server_port }, .isn = isn };

	memcpy(&key.client, client, wlb_addr_len(v6));
	memcpy(&key.server, server, wlb_addr_len(v6));
	return siphash(&key, sizeof(key), secret);
}

#endif /* WLB_HASH_H */
