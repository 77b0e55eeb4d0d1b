/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a replica remembers of a clone: the nonce of the race, which the answer's
 * tag carries, and whether the connection spoofs the server's address. A fixed
 * number of slots, each of the latest connection attempt that fell into it; an
 * answer whose slot is taken by then goes without a tag, and whoever is forgotten
 * goes by tunnel, which a client's gateway takes in both modes.
 */
#ifndef WLB_REPLY_H
#define WLB_REPLY_H

#include "pkt.h"

struct wlb_nonces;

struct wlb_nonces *wlb_nonces_alloc(void);
void wlb_nonces_free(struct wlb_nonces *nonces);

/* The clone @p of a race with @nonce was given to the host, to return by @ret. */
void wlb_nonce_note(struct wlb_nonces *nonces, const struct wlb_pkt *p,
		    u16 nonce, u8 ret);

/* What was noted of the connection that a client's packet @p belongs to? */
bool wlb_nonce_of_client(const struct wlb_nonces *nonces,
			 const struct wlb_pkt *p, u16 *nonce);

#endif /* WLB_REPLY_H */
