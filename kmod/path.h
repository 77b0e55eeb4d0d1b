/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Do packets with a server's address reach the clients of a prefix (/24, /64)
 * from this replica, or does a router drop them as spoofed (RFC 2827)? Known from
 * probes that a client's gateway echoes, and from what is never acknowledged. A
 * fixed number of slots, each of the latest prefix that fell into it: who is
 * forgotten is unknown, and gets tunnels.
 */
#ifndef WLB_PATH_H
#define WLB_PATH_H

#include "net.h"

enum wlb_path {
	WLB_PATH_UNKNOWN,
	WLB_PATH_GOOD,		/* a probe has arrived, for 10 minutes */
	WLB_PATH_BAD,		/* data has not, for one minute */
};

struct wlb_paths;

struct wlb_paths *wlb_paths_alloc(void);
void wlb_paths_free(struct wlb_paths *paths);

enum wlb_path wlb_path_get(const struct wlb_paths *paths,
			   const union wlb_addr *client, bool v6);
void wlb_path_set(struct wlb_paths *paths, const union wlb_addr *client,
		  bool v6, enum wlb_path path);

/* Is it unknown, and nobody has asked within a second? Then the caller has. */
bool wlb_path_ask(struct wlb_paths *paths, const union wlb_addr *client,
		  bool v6);

#endif /* WLB_PATH_H */
