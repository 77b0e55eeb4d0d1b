// SPDX-License-Identifier: GPL-2.0-only
/* What a client gateway remembers beyond its flows. */
#include <linux/jiffies.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "hash.h"
#include "hint.h"

#define WLB_HINT_SLOTS	4096
#define WLB_HINT_SURE	(30 * HZ)	/* a path does not change in that time */
#define WLB_HINT_PLAIN	3

/* Of a server alone, the client is all zeroes; so no hint of both is. */
struct wlb_hint_key {
	union wlb_addr client, server;
	u64 v6;
};

struct wlb_hint {
	spinlock_t lock;	/* of the rest */
	bool used;
	u32 expires;		/* jiffies, low half */
	struct wlb_hint_key key;
	union {
		union wlb_addr winner;
		struct {
			bool untagged;
			bool passed;	/* tagged SYNs, until `since` */
			u8 plain;	/* answers to untagged ones since */
			u32 since;	/* jiffies, low half */
		};
	};
};

struct wlb_hints {
	struct wlb_pair_key key;
	bool untagged;		/* some server is, or was */
	struct wlb_hint slot[WLB_HINT_SLOTS];
};

struct wlb_hints *wlb_hints_alloc(void)
{
	struct wlb_hints *hints = kvzalloc(sizeof(*hints), GFP_KERNEL_ACCOUNT);
	unsigned int i;

	if (!hints)
		return NULL;
	get_random_bytes(&hints->key, sizeof(hints->key));
	for (i = 0; i < WLB_HINT_SLOTS; i++)
		spin_lock_init(&hints->slot[i].lock);
	return hints;
}

void wlb_hints_free(struct wlb_hints *hints)
{
	kvfree(hints);
}

/* Where such a hint is, if it is anywhere. */
static struct wlb_hint *wlb_hint_slot(struct wlb_hints *hints,
				      const union wlb_addr *client,
				      const union wlb_addr *server, bool v6,
				      struct wlb_hint_key *key)
{
	memset(key, 0, sizeof(*key));
	if (client)
		memcpy(&key->client, client, wlb_addr_len(v6));
	memcpy(&key->server, server, wlb_addr_len(v6));
	key->v6 = v6;
	return &hints->slot[wlb_pair_hash_fast(&hints->key, client, server, v6) %
			    WLB_HINT_SLOTS];
}

static bool wlb_hint_is(const struct wlb_hint *h, const struct wlb_hint_key *key)
{
	return h->used && (s32)(h->expires - (u32)jiffies) > 0 &&
	       h->key.v6 == key->v6 &&
	       wlb_addr_eq(&h->key.server, &key->server, key->v6) &&
	       wlb_addr_eq(&h->key.client, &key->client, key->v6);
}

void wlb_hint_answered(struct wlb_hints *hints, const union wlb_addr *server,
		       bool v6, bool plain, u32 ttl)
{
	struct wlb_hint_key key;
	struct wlb_hint *h = wlb_hint_slot(hints, NULL, server, v6, &key);
	u32 now = (u32)jiffies;

	spin_lock(&h->lock);
	if (!wlb_hint_is(h, &key)) {
		h->used = true;
		h->key = key;
		h->untagged = false;
		h->passed = false;
	}
	if (!plain) {
		h->passed = true;
		h->plain = 0;
		h->since = now;
		h->untagged = false;
		h->expires = now + ttl * HZ;
	} else if (!h->passed || (now - h->since >= WLB_HINT_SURE &&
				  ++h->plain >= WLB_HINT_PLAIN)) {
		h->untagged = true;
		h->expires = now + ttl * HZ;
		WRITE_ONCE(hints->untagged, true);
	}
	spin_unlock(&h->lock);
}

bool wlb_hint_is_untagged(struct wlb_hints *hints, const union wlb_addr *server,
			  bool v6)
{
	struct wlb_hint_key key;
	struct wlb_hint *h;
	bool found;

	if (!READ_ONCE(hints->untagged))
		return false;
	h = wlb_hint_slot(hints, NULL, server, v6, &key);
	spin_lock_bh(&h->lock);
	found = wlb_hint_is(h, &key) && h->untagged;
	spin_unlock_bh(&h->lock);
	return found;
}

void wlb_hint_winner(struct wlb_hints *hints, const union wlb_addr *client,
		     const union wlb_addr *server, bool v6,
		     const union wlb_addr *winner, u32 ttl)
{
	struct wlb_hint_key key;
	struct wlb_hint *h = wlb_hint_slot(hints, client, server, v6, &key);

	spin_lock(&h->lock);
	h->used = true;
	h->expires = (u32)jiffies + ttl * HZ;
	h->key = key;
	memcpy(&h->winner, winner, wlb_addr_len(v6));
	spin_unlock(&h->lock);
}

bool wlb_hint_preferred(struct wlb_hints *hints, const union wlb_addr *client,
			const union wlb_addr *server, bool v6,
			union wlb_addr *winner)
{
	struct wlb_hint_key key;
	struct wlb_hint *h = wlb_hint_slot(hints, client, server, v6, &key);
	bool found;

	spin_lock_bh(&h->lock);
	found = wlb_hint_is(h, &key);
	if (found)
		memcpy(winner, &h->winner, wlb_addr_len(v6));
	spin_unlock_bh(&h->lock);
	return found;
}

bool wlb_hint_prefers_other(struct wlb_hints *hints,
			    const union wlb_addr *client,
			    const union wlb_addr *server, bool v6,
			    const union wlb_addr *from)
{
	union wlb_addr winner;

	return wlb_hint_preferred(hints, client, server, v6, &winner) &&
	       !wlb_addr_eq(&winner, from, v6);
}
