/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a client gateway remembers beyond its flows: servers behind a path that
 * drops tags, and who has won a client's last race for a server. A fixed number
 * of slots, each of the latest that fell into it; what is forgotten early costs
 * a race its advice, nothing else. Any context; who writes has BH off, as with a
 * flow's lock.
 */
#ifndef WLB_HINT_H
#define WLB_HINT_H

#include "net.h"

struct wlb_hints;

struct wlb_hints *wlb_hints_alloc(void);
void wlb_hints_free(struct wlb_hints *hints);

/*
 * A SYN to @server was answered; @plain: by the server, right after the client's
 * second repetition, which had no tag. That says that the path drops tags, unless
 * a tagged one was answered within half a minute, or within @ttl s and this is
 * not the third of its kind since: then it was loss. SYNs go untagged for @ttl s.
 */
void wlb_hint_answered(struct wlb_hints *hints, const union wlb_addr *server,
		       bool v6, bool plain, u32 ttl);
bool wlb_hint_is_untagged(struct wlb_hints *hints, const union wlb_addr *server,
			  bool v6);

/* Remembers for @ttl s that @winner (the server too) is who @client got. */
void wlb_hint_winner(struct wlb_hints *hints, const union wlb_addr *client,
		     const union wlb_addr *server, bool v6,
		     const union wlb_addr *winner, u32 ttl);
/* Who that is, if it is not forgotten. */
bool wlb_hint_preferred(struct wlb_hints *hints, const union wlb_addr *client,
			const union wlb_addr *server, bool v6,
			union wlb_addr *winner);
/* Has somebody but @from won lately? */
bool wlb_hint_prefers_other(struct wlb_hints *hints,
			    const union wlb_addr *client,
			    const union wlb_addr *server, bool v6,
			    const union wlb_addr *from);

#endif /* WLB_HINT_H */
