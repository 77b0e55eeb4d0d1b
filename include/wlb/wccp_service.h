/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which packets a WCCP service is about, and the order in which services are asked. D01 and
 * R1 are as in redirect.h.
 */
#ifndef WLB_WCCP_SERVICE_H
#define WLB_WCCP_SERVICE_H

#include "redirect.h"

#define WLB_PROTO_TCP	6
#define WLB_PROTO_UDP	17

/* A packet, as far as it matters whether a service is about it. */
struct wlb_wccp_packet {
	u8 protocol;
	u16 sport;		/* host order; both 0 if there are none to read */
	u16 dport;
};

/*
 * D01 5.6.2: protocol 0 is any, unless the service's flags say otherwise; the @n ports at
 * @port are of TCP and UDP only.
 */
static inline bool wlb_wccp_covers(u8 protocol, u32 flags, const u16 *port, unsigned int n,
				   const struct wlb_wccp_packet *p)
{
	unsigned int i;
	u16 own;

	if (protocol != p->protocol && (protocol || (flags & WLB_WCCP_ONLY_PROTO0)))
		return false;
	if (!(flags & WLB_WCCP_PORTS) || (protocol != WLB_PROTO_TCP && protocol != WLB_PROTO_UDP))
		return true;
	own = flags & WLB_WCCP_PORTS_SRC ? p->sport : p->dport;
	for (i = 0; i < n; i++)
		if (port[i] == own)
			return true;
	return false;
}

/* A service among those of a router. */
struct wlb_wccp_rank {
	u8 priority;
	u8 type;		/* a dynamic one's is the greater */
	u8 id;
};

/* Below 0 if @a is asked before @b: the highest priority, standard services, the lower id. */
static inline int wlb_wccp_order(const struct wlb_wccp_rank *a,
				 const struct wlb_wccp_rank *b)
{
	if (a->priority != b->priority)
		return (int)b->priority - (int)a->priority;
	if (a->type != b->type)
		return (int)a->type - (int)b->type;
	return (int)a->id - (int)b->id;
}

#endif /* WLB_WCCP_SERVICE_H */
