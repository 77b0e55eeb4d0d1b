/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints: what became of a SYN, a clone, an answer, a flow, or a packet of a service
 * group, and why. None is on the way of a packet that is only carried. Reasons are names
 * of counters. Addresses are IPv6's, those of IPv4 mapped into it; ports are in host
 * order; netns is the inode number of the network namespace: wlb(7), TRACEPOINTS.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM wlb

#if !defined(WLB_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define WLB_TRACE_H

#include <linux/tracepoint.h>

#include "flow.h"
#include "passer.h"
#include "pkt.h"

#define WLB_TRACE_REASON	32

#ifndef WLB_TRACE_HELPERS
#define WLB_TRACE_HELPERS

/* The name of a counter, of a namespace or of a group. */
const char *wlb_trace_stat(int stat);
const char *wlb_trace_group_stat(enum wlb_group_stat stat);

static inline void wlb_trace_addr(u8 *to, const union wlb_addr *addr, bool v6)
{
	if (!addr)
		memset(to, 0, sizeof(struct in6_addr));
	else if (v6)
		memcpy(to, &addr->v6, sizeof(addr->v6));
	else
		ipv6_addr_set_v4mapped(addr->v4, (struct in6_addr *)to);
}

#endif /* WLB_TRACE_HELPERS */

/* @peer: the gateway or replica that it is about; NULL if none is */
DECLARE_EVENT_CLASS(wlb_race,
	TP_PROTO(const struct wlb_net *wn, const struct wlb_flow_key *key,
		 const union wlb_addr *server, const union wlb_addr *peer, const char *reason),
	TP_ARGS(wn, key, server, peer, reason),
	TP_STRUCT__entry(
		__field(u32, netns)
		__array(u8, client, 16)
		__array(u8, server, 16)
		__array(u8, peer, 16)
		__field(u16, client_port)
		__field(u16, server_port)
		__array(char, reason, WLB_TRACE_REASON)
	),
	TP_fast_assign(
		__entry->netns = wn->net->ns.inum;
		wlb_trace_addr(__entry->client, key->client, key->v6);
		wlb_trace_addr(__entry->server, server, key->v6);
		wlb_trace_addr(__entry->peer, peer, key->v6);
		__entry->client_port = ntohs(key->client_port);
		__entry->server_port = ntohs(key->server_port);
		strscpy(__entry->reason, reason, WLB_TRACE_REASON);
	),
	TP_printk("netns=%u client=[%pI6c]:%u server=[%pI6c]:%u peer=%pI6c reason=%s",
		  __entry->netns, __entry->client, __entry->client_port,
		  __entry->server, __entry->server_port, __entry->peer,
		  __entry->reason)
);

/* A client's SYN at its own gateway or the server's: raced, cloned, or why not. */
DEFINE_EVENT(wlb_race, wlb_syn,
	TP_PROTO(const struct wlb_net *wn, const struct wlb_flow_key *key,
		 const union wlb_addr *server, const union wlb_addr *peer, const char *reason),
	TP_ARGS(wn, key, server, peer, reason)
);

/* A clone leaves a gateway for the replica @peer. */
DEFINE_EVENT(wlb_race, wlb_clone_out,
	TP_PROTO(const struct wlb_net *wn, const struct wlb_flow_key *key,
		 const union wlb_addr *server, const union wlb_addr *peer, const char *reason),
	TP_ARGS(wn, key, server, peer, reason)
);

/* A clone at a replica, from the gateway @peer: taken, or why not. */
DEFINE_EVENT(wlb_race, wlb_clone_in,
	TP_PROTO(const struct wlb_net *wn, const struct wlb_flow_key *key,
		 const union wlb_addr *server, const union wlb_addr *peer, const char *reason),
	TP_ARGS(wn, key, server, peer, reason)
);

/* What @peer, replica or server, has answered, or has sent that ends a flow. */
DEFINE_EVENT(wlb_race, wlb_answer,
	TP_PROTO(const struct wlb_net *wn, const struct wlb_flow_key *key,
		 const union wlb_addr *server, const union wlb_addr *peer, const char *reason),
	TP_ARGS(wn, key, server, peer, reason)
);

/*
 * A flow is "expired", "replaced" by a new SYN, "evicted" or "flushed"; @peer: the replica
 * that had won it, if any.
 */
DEFINE_EVENT(wlb_race, wlb_flow_end,
	TP_PROTO(const struct wlb_net *wn, const struct wlb_flow_key *key,
		 const union wlb_addr *server, const union wlb_addr *peer, const char *reason),
	TP_ARGS(wn, key, server, peer, reason)
);

/* A packet of a group's service; @cache: which has it if @stat is gre or l2, else who was to. */
TRACE_EVENT(wlb_redirect,
	TP_PROTO(const struct wlb_net *wn, const struct wlb_passer *p,
		 const struct wlb_group *group, const union wlb_addr *cache, u8 bucket,
		 enum wlb_group_stat stat),
	TP_ARGS(wn, p, group, cache, bucket, stat),
	TP_STRUCT__entry(
		__field(u32, netns)
		__array(u8, source, 16)
		__array(u8, destination, 16)
		__array(u8, cache, 16)
		__field(u16, source_port)
		__field(u16, destination_port)
		__field(u8, protocol)
		__field(u8, bucket)
		__array(char, group, WLB_NAME_LEN)
		__array(char, reason, WLB_TRACE_REASON)
	),
	TP_fast_assign(
		__entry->netns = wn->net->ns.inum;
		wlb_trace_addr(__entry->source, &p->src, p->v6);
		wlb_trace_addr(__entry->destination, &p->dst, p->v6);
		wlb_trace_addr(__entry->cache, cache, p->v6);
		__entry->source_port = p->sport;
		__entry->destination_port = p->dport;
		__entry->protocol = p->proto;
		__entry->bucket = bucket;
		strscpy(__entry->group, group->name, WLB_NAME_LEN);
		strscpy(__entry->reason, wlb_trace_group_stat(stat), WLB_TRACE_REASON);
	),
	TP_printk("netns=%u protocol=%u source=[%pI6c]:%u destination=[%pI6c]:%u group=%s cache=%pI6c bucket=%u reason=%s",
		  __entry->netns, __entry->protocol, __entry->source,
		  __entry->source_port, __entry->destination,
		  __entry->destination_port, __entry->group, __entry->cache,
		  __entry->bucket, __entry->reason)
);

#ifndef WLB_TRACE_COUNTS
#define WLB_TRACE_COUNTS

static inline struct wlb_flow_key wlb_trace_key(const struct wlb_pkt *p)
{
	return (struct wlb_flow_key){
		.client = &p->src, .client_port = p->th.source,
		.server_port = p->th.dest, .v6 = p->v6,
	};
}

/* Counts what becomes of the client's SYN @p, and tells of it. */
static inline void wlb_count_syn(struct wlb_net *wn, const struct wlb_pkt *p, int stat)
{
	struct wlb_flow_key key;

	wlb_count(wn, stat);
	if (trace_wlb_syn_enabled()) {
		key = wlb_trace_key(p);
		trace_wlb_syn(wn, &key, &p->dst, NULL, wlb_trace_stat(stat));
	}
}

#endif /* WLB_TRACE_COUNTS */

#endif /* WLB_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
