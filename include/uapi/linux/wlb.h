/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * wlb: wide-area selection of the nearest replica of a web server.
 *
 * This file is the manual of the generic netlink family "wlb", version 1.
 *
 * One configuration per network namespace, in three roles. It is read whole
 * (WLB_CMD_CONF_GET, a dump of one object per message) and written whole
 * (WLB_CMD_CONF_SET: every role named in WLB_A_ROLES is replaced by the
 * objects in the same message, every other role stays as it is). A request is
 * validated before anything changes and then swapped in at once: a refused
 * request changes nothing, a packet sees the old configuration or the new one,
 * never a mix. Live flows outlive a change of configuration. Give
 * WLB_A_GENERATION as read by CONF_GET and a request that would overwrite
 * somebody else's change is refused with ESTALE.
 *
 * Refusals carry an extended ack: the attribute at fault and a sentence that
 * says what is allowed. Writing needs CAP_NET_ADMIN in the user namespace that
 * owns the network namespace; so does reading flows and races, as they name
 * clients.
 *
 * Byte order: addresses are in network order, 4 bytes (IPv4) or 16 (IPv6), the
 * length tells the family. Everything else, ports too, is in host order.
 * Units are in the attribute's comment.
 */
#ifndef _UAPI_LINUX_WLB_H
#define _UAPI_LINUX_WLB_H

#include <linux/types.h>

#define WLB_GENL_NAME		"wlb"
#define WLB_GENL_VERSION	1
#define WLB_GENL_MCGRP_RACE	"race"	/* WLB_CMD_RACE_EVENT */

#define WLB_NAME_LEN		32	/* with the terminating NUL */
#define WLB_MAX_SERVICES	1024	/* services, origins, served: each */
#define WLB_MAX_PORTS		16	/* per service or origin */
#define WLB_MAX_PREFIXES	64	/* per list */
#define WLB_MAX_SERVERS		16	/* addresses of one origin */
#define WLB_MAX_REPLICAS	32	/* of one origin */
#define WLB_MAX_INSIDE		16	/* interfaces */
#define WLB_MAX_DELAY_US	1000000	/* gateway to replica, one way */
#define WLB_MAX_ANSWERS		8	/* remembered per race */

#define WLB_MAX_GROUPS		256	/* of a cache router */
#define WLB_MAX_INTERFACES	64	/* names in all groups together */
#define WLB_MAX_RULES		512	/* of one redirect list */
#define WLB_MAX_CACHES		32	/* of one group and family */
#define WLB_MAX_MASKS		64	/* of one assignment */
#define WLB_MAX_MASK_BITS	32	/* of one mask */
#define WLB_MAX_VALUES		65536	/* of one assignment's masks together */
#define WLB_MAX_DRAIN		28800	/* s */
#define WLB_MIN_LEASE		1000	/* ms */
#define WLB_MAX_LEASE		3600000
#define WLB_MAX_DOORS		1024	/* groups times routers of a cache */
#define WLB_MAX_CACHE_PORTS	16	/* of proxies on a cache's host */
#define WLB_MAX_BYPASSES	65536	/* learned */
#define WLB_MAX_LIFETIME	604800	/* s, of such */
#define WLB_MAX_STATE		4096	/* bytes */
#define WLB_MAX_PROCESSES	64	/* rules for processing */
#define WLB_MAX_TAG		16	/* bytes that a rule tags with */
#define WLB_BUCKETS		256
#define WLB_BUCKET_NONE		0xff	/* no cache has it */
#define WLB_BUCKET_ALT		0x80	/* take the alternative bucket's cache */
#define WLB_WCCP_PORTS_LEN	8	/* ports of a service */

enum wlb_cmd {
	WLB_CMD_UNSPEC,
	/*
	 * Dump. First message: WLB_A_GENERATION, WLB_A_ROLES and, of roles that run,
	 * WLB_A_CLIENT_GATEWAY and WLB_A_SERVER_GATEWAY. Then one WLB_A_SERVICE, WLB_A_ORIGIN
	 * or WLB_A_SERVED per message, in the order in which they were given.
	 */
	WLB_CMD_CONF_GET,
	/*
	 * WLB_A_ROLES (required); WLB_A_GENERATION; WLB_A_CLIENT_GATEWAY,
	 * WLB_A_SERVER_GATEWAY, any number of WLB_A_SERVICE, WLB_A_ORIGIN and
	 * WLB_A_SERVED, each only if its role is named. A role that is named and has no
	 * service, origin or served object is taken off. Errors: EINVAL (see extended
	 * ack), ESTALE, ENOMEM, EPERM.
	 */
	WLB_CMD_CONF_SET,
	/*
	 * WLB_A_BUSY, optional WLB_A_NAME of one served origin (else all).
	 * A busy replica drops clones in silence and serves on what it has
	 * accepted. Kept when the configuration is replaced. Error: ENOENT.
	 */
	WLB_CMD_BUSY_SET,
	/* Dump of WLB_A_FLOW, one per message. */
	WLB_CMD_FLOW_GET,
	/*
	 * Forget flows: all, or those that match WLB_A_FLOW (WLB_FLOW_A_CLIENT
	 * and/or WLB_FLOW_A_SERVER and/or WLB_FLOW_A_WINNER). Reply:
	 * WLB_A_COUNT. A flow carried to a replica breaks when it is forgotten.
	 */
	WLB_CMD_FLOW_FLUSH,
	/* Reply: WLB_A_STATS and the gauges WLB_A_FLOWS, _RACING, _HELD. */
	WLB_CMD_STATS_GET,
	/* Dump of WLB_A_RACE, one per message, in no order (see WLB_RACE_A_ID). */
	WLB_CMD_RACE_GET,
	/* Notification to group "race": WLB_A_RACE with the answers so far. */
	WLB_CMD_RACE_EVENT,
	/*
	 * Puts back one flow of an earlier WLB_CMD_FLOW_GET, after the module
	 * was reloaded: WLB_A_FLOW with all that is there of a flow in its
	 * state. A flow in WLB_FLOW_RACING cannot be put back, and who won is
	 * not asked whether he may. Errors: EINVAL (see extended ack), ENOENT
	 * (no client gateway), ENOSPC (WLB_CG_A_MAX_FLOWS), EEXIST (a live flow
	 * of these addresses and ports), ENOMEM.
	 */
	WLB_CMD_FLOW_NEW,
	/*
	 * The cache router, WLB_ROLE_CACHE_ROUTER, is a daemon's: it is no part of
	 * CONF_SET and CONF_GET, and has this generation of its own.
	 * WLB_A_ROUTER and any number of WLB_A_GROUP replace all groups at once;
	 * no group: the role is off. A group of the same service type and id as
	 * before keeps its assignments and counters, under whatever name. Errors:
	 * EINVAL (see extended ack), ENOMEM, EPERM.
	 */
	WLB_CMD_GROUP_SET,
	/*
	 * Dump. First message: WLB_A_ROUTER. Then one WLB_A_GROUP per message
	 * with its counters, in the order in which they were given.
	 */
	WLB_CMD_GROUP_GET,
	/*
	 * Which cache of a group has which packets: WLB_A_NAME of the group,
	 * WLB_A_FAMILY and WLB_A_ASSIGNMENT, of method mask with any number of
	 * WLB_A_VALUES; swapped in at once. Without WLB_A_ASSIGNMENT the group is
	 * idle for that family. Errors: ENOENT (no such group), EINVAL, ENOMEM.
	 */
	WLB_CMD_ASSIGN_SET,
	/*
	 * Dump of the assignments, each as ASSIGN_SET would carry it, with the
	 * members' counters: a message with WLB_A_NAME, WLB_A_FAMILY and
	 * WLB_A_ASSIGNMENT, then messages with WLB_A_NAME, WLB_A_FAMILY and
	 * WLB_A_VALUES until there are no more.
	 */
	WLB_CMD_ASSIGN_GET,
	/*
	 * Who looks after the groups is alive: WLB_ROUTER_A_LEASE begins anew, as
	 * it does with each GROUP_SET and each ASSIGN_SET of an assignment. Errors:
	 * ENOENT (no group, or no lease), ESTALE (it has ended since the last
	 * GROUP_SET, and took assignments with it).
	 */
	WLB_CMD_LEASE_RENEW,
	/*
	 * The cache's host, WLB_ROLE_CACHE: a daemon's too. WLB_A_CACHE replaces
	 * all but what was learned; without it the role is off, and forgets that.
	 * A router of the same address as before keeps its counters. Errors:
	 * EINVAL (see extended ack), ENOMEM, EPERM.
	 */
	WLB_CMD_CACHE_SET,
	/* Dump of one message, WLB_A_CACHE as it was set, with counters. */
	WLB_CMD_CACHE_GET,
	/*
	 * WLB_A_BYPASS: packets that are to be returned for a while; known already:
	 * from now on for so long. Errors: EINVAL (see extended ack), ENOENT (the
	 * role is off), ENOSPC (WLB_MAX_BYPASSES), ENOMEM.
	 */
	WLB_CMD_BYPASS_ADD,
	/*
	 * Forgets the WLB_A_BYPASS of these addresses; without it all. Errors:
	 * EINVAL, ENOENT (there is none, or the role is off).
	 */
	WLB_CMD_BYPASS_DEL,
	/* Dump: one WLB_A_BYPASS per message, with what is left of its time. */
	WLB_CMD_BYPASS_GET,
	/*
	 * WLB_A_PROCESS: what is done to packets that caches return and to those that
	 * pass, WLB_ROLE_PROCESS; replaces all rules there were, and their counters.
	 * Without it, or without a rule, the role is off. Errors: EINVAL (see extended
	 * ack), EOPNOTSUPP (the kernel has no NFLOG), ENOMEM, EPERM.
	 */
	WLB_CMD_PROCESS_SET,
	/* Dump: one WLB_A_PROCESS of one rule per message, in their order. */
	WLB_CMD_PROCESS_GET,
	/*
	 * Dump: one WLB_A_LEARNED per message, of one origin that services with
	 * WLB_SERVICE_DIRECT have learned answerers for.
	 */
	WLB_CMD_LEARNED_GET,
	/*
	 * Forget what was learned: all, or of the server in WLB_A_LEARNED
	 * (WLB_LEARNED_A_SERVER), every port. Reply: WLB_A_COUNT of origins. Flows
	 * stay; the next SYN to such an origin is raced anew.
	 */
	WLB_CMD_LEARNED_FLUSH,
	/*
	 * The replicas of the origin WLB_A_NAME: from now on its SYNs are cloned to
	 * exactly any number of WLB_A_REPLICA, in place of those that CONF_SET gave it;
	 * with WLB_A_CONFIGURED to those again. What is set outlives who has set it, and
	 * a CONF_SET with an origin of that name and address family. Errors: EINVAL (see
	 * extended ack), ENOENT (no such origin), ENOSPC (WLB_MAX_REPLICAS), ENOMEM,
	 * EPERM.
	 */
	WLB_CMD_REPLICA_SET,
	/*
	 * Dump of the replicas in force: WLB_A_NAME of the origin, WLB_A_REPLICA with
	 * its counter, and WLB_A_CONFIGURED if they are those of CONF_SET; one replica
	 * per message, in the order in which they were given.
	 */
	WLB_CMD_REPLICA_GET,

	__WLB_CMD_MAX,
#define WLB_CMD_MAX (__WLB_CMD_MAX - 1)
};

enum wlb_attr {
	WLB_A_UNSPEC,
	WLB_A_GENERATION,	/* u32, changes with every CONF_SET */
	WLB_A_ROLES,		/* u32, WLB_ROLE_* */
	WLB_A_CLIENT_GATEWAY,	/* nest, enum wlb_cg_attr */
	WLB_A_SERVICE,		/* nest, enum wlb_service_attr; repeats */
	WLB_A_ORIGIN,		/* nest, enum wlb_origin_attr; repeats */
	WLB_A_SERVED,		/* nest, enum wlb_served_attr; repeats */
	WLB_A_NAME,		/* string, WLB_NAME_LEN */
	WLB_A_BUSY,		/* u8, 0 or 1 */
	WLB_A_FLOW,		/* nest, enum wlb_flow_attr */
	WLB_A_COUNT,		/* u32 */
	WLB_A_STATS,		/* nest of u64, attribute type = enum wlb_stat + 1 */
	WLB_A_FLOWS,		/* u32, entries in the translation table */
	WLB_A_RACING,		/* u32, of which without a winner yet */
	WLB_A_HELD,		/* u32, packets held for `equal` */
	WLB_A_RACE,		/* nest, enum wlb_race_attr */
	WLB_A_PAD,
	WLB_A_ROUTER,		/* nest, enum wlb_router_attr */
	WLB_A_GROUP,		/* nest, enum wlb_group_attr; repeats */
	WLB_A_FAMILY,		/* u8, AF_INET or AF_INET6 */
	WLB_A_ASSIGNMENT,	/* nest, enum wlb_assign_attr */
	WLB_A_VALUES,		/* array of struct wlb_value; repeats, ascending by
				 * set, then number, each pair once, at most
				 * WLB_MAX_VALUES in all
				 */
	WLB_A_CACHE,		/* nest, enum wlb_cache_attr */
	WLB_A_BYPASS,		/* nest, enum wlb_bypass_attr */
	WLB_A_PROCESS,		/* nest, enum wlb_process_attr */
	WLB_A_LEARNED,		/* nest, enum wlb_learned_attr */
	WLB_A_REPLICA,		/* nest, enum wlb_replica_attr; repeats, at most
				 * WLB_MAX_REPLICAS
				 */
	WLB_A_CONFIGURED,	/* flag, not with REPLICA in a request */
	WLB_A_SERVER_GATEWAY,	/* nest, enum wlb_sg_attr */

	__WLB_A_MAX,
#define WLB_A_MAX (__WLB_A_MAX - 1)
};

#define WLB_ROLE_CLIENT_GATEWAY	(1U << 0)	/* FIG 2, 5A, 6A */
#define WLB_ROLE_SERVER_GATEWAY	(1U << 1)	/* FIG 3 */
#define WLB_ROLE_REPLICA	(1U << 2)	/* FIG 4A, 4B, 4C */
#define WLB_ROLE_ALL		(WLB_ROLE_CLIENT_GATEWAY | \
				 WLB_ROLE_SERVER_GATEWAY | WLB_ROLE_REPLICA)
/* not in WLB_A_ROLES: see WLB_CMD_GROUP_SET */
#define WLB_ROLE_CACHE_ROUTER	(1U << 3)
#define WLB_ROLE_CACHE		(1U << 4)
#define WLB_ROLE_PROCESS	(1U << 5)

/* Settings of the client gateway. Absent ones take the default. */
enum wlb_cg_attr {
	WLB_CG_A_UNSPEC,
	WLB_CG_A_INSIDE,	/* string, interface name; repeats, at most
				 * WLB_MAX_INSIDE. Only SYNs that came in by
				 * one of them are tagged, "lo" stands for the
				 * host's own; none given: any interface, and
				 * the host's own.
				 */
	WLB_CG_A_MAX_FLOWS,	/* u32, 1024..16777216, default 131072 */
	WLB_CG_A_CLIENT_QUOTA,	/* u32, half-open flows per client (IPv6: per
				 * /64), 1.., default 4096
				 */
	WLB_CG_A_T_RACING,	/* u32 s, no answer yet, default 70 */
	WLB_CG_A_T_TOMBSTONE,	/* u32 s, the server won, default 70: longer
				 * than SYN-ACKs are repeated (63 s)
				 */
	WLB_CG_A_T_ESTABLISHED,	/* u32 s, default 7440 (RFC 5382 REQ-5) */
	WLB_CG_A_T_CLOSING,	/* u32 s, after both FINs, default 60 */
	WLB_CG_A_T_RESET,	/* u32 s, after a RST, default 10 */
	WLB_CG_A_RETURNS,	/* u32, 1 << enum wlb_return of each mode that is
				 * offered to replicas, at least one; default all
				 */
	WLB_CG_A_T_UNTAGGED,	/* u32 s, default 600: a server that has answered
				 * a SYN without a tag, and none with, gets none
				 * for as long; 0: tags again at once
				 */
	WLB_CG_A_T_DEAD,	/* u32 s, default 30: a winner that is silent for
				 * as long, asked or not, is dead and its clients
				 * are told; 0: TCP's own timers find out
				 */
	WLB_CG_A_CONNTRACK,	/* u8, enum wlb_conntrack, default outside */
	WLB_CG_A_T_LEARNED,	/* u32 s, 1.., default 600: an answerer of
				 * WLB_SERVICE_DIRECT that is not heard of for as
				 * long is forgotten
				 */
	WLB_CG_A_MAX_LEARNED,	/* u32, 16..65536, default 4096: origins whose
				 * answerers are remembered; one more and the one
				 * that was not heard of for longest is forgotten
				 */

	__WLB_CG_A_MAX,
#define WLB_CG_A_MAX (__WLB_CG_A_MAX - 1)
};

/* What the gateway's connection tracking sees of the services' packets. */
enum wlb_conntrack {
	WLB_CONNTRACK_OUTSIDE,	/* clients that speak with servers */
	WLB_CONNTRACK_NOTRACK,	/* nothing: what clients inside send to a
				 * service's port, and what comes back of a flow
				 * or an error about it, is untracked
				 */
	__WLB_CONNTRACK_MAX,
};

/* What a client gateway tags: FIG 2, op 208. */
enum wlb_service_attr {
	WLB_SERVICE_A_UNSPEC,
	WLB_SERVICE_A_NAME,	/* string, WLB_NAME_LEN, unique */
	WLB_SERVICE_A_PORTS,	/* u16[1..WLB_MAX_PORTS], in no other service */
	WLB_SERVICE_A_ALL_PORTS,/* flag, every port that no other service has;
				 * in one service only, instead of PORTS
				 */
	WLB_SERVICE_A_REPLICA,	/* nest, enum wlb_prefix_attr; repeats, at most
				 * WLB_MAX_PREFIXES: who may answer
				 */
	WLB_SERVICE_A_ANY_REPLICA, /* flag, anybody may answer; instead of REPLICA */
	WLB_SERVICE_A_NEVER,	/* nest, enum wlb_prefix_attr; repeats: clients
				 * and servers whose SYNs are tagged
				 * "redirection not permitted"
				 */
	WLB_SERVICE_A_STICKY,	/* u32 s, default 0: for as long after a win the
				 * same client's races for the same server are the
				 * same winner's, unless it is silent
				 */
	WLB_SERVICE_A_RACE,	/* u8, enum wlb_service_race, default join */
	WLB_SERVICE_A_FAN_OUT,	/* u8, 1..WLB_MAX_ANSWERS, default 4: to so many
				 * known answerers, the nearest ones, a SYN is
				 * cloned directly
				 */
	WLB_SERVICE_A_EXPLORE,	/* u32 s, default 10: so often at most an origin's
				 * SYN that is cloned directly is left to the
				 * server's gateway as well, to learn of other
				 * answerers; 0: never
				 */
	WLB_SERVICE_A_FASTPATH,	/* u8, enum wlb_fastpath, default auto */

	__WLB_SERVICE_A_MAX,
#define WLB_SERVICE_A_MAX (__WLB_SERVICE_A_MAX - 1)
};

/*
 * Whether a flow's packets, but for one a second and direction, pass by route lookup and
 * everything behind the first of PRE_ROUTING's rules.
 */
enum wlb_fastpath {
	WLB_FASTPATH_AUTO,	/* if connection tracking is sure of the flow, or not there */
	WLB_FASTPATH_ON,	/* even if it is not sure yet */
	WLB_FASTPATH_OFF,

	__WLB_FASTPATH_MAX
};

/* Who clones the SYNs of a service. */
enum wlb_service_race {
	WLB_SERVICE_JOIN,	/* the server's gateway: its races are taken part in */
	WLB_SERVICE_DIRECT,	/* this gateway, once such a race has shown who answers
				 * for an origin: straight to them, while the server's
				 * copy is tagged "redirection not permitted"
				 */
	__WLB_SERVICE_RACE_MAX,
};

enum wlb_prefix_attr {
	WLB_PREFIX_A_UNSPEC,
	WLB_PREFIX_A_ADDRESS,	/* 4 or 16 bytes, bits past LENGTH zero */
	WLB_PREFIX_A_LENGTH,	/* u8, 0..32 or 0..128 */

	__WLB_PREFIX_A_MAX,
#define WLB_PREFIX_A_MAX (__WLB_PREFIX_A_MAX - 1)
};

/* Settings of the server gateway. Absent ones take the default. */
enum wlb_sg_attr {
	WLB_SG_A_UNSPEC,
	WLB_SG_A_RATE,		/* u32, default 0: clones in a second of all origins
				 * together, as WLB_ORIGIN_A_RATE
				 */

	__WLB_SG_A_MAX,
#define WLB_SG_A_MAX (__WLB_SG_A_MAX - 1)
};

/* A replicated server behind a server gateway: FIG 3, op 310. */
enum wlb_origin_attr {
	WLB_ORIGIN_A_UNSPEC,
	WLB_ORIGIN_A_NAME,	/* string, WLB_NAME_LEN, unique */
	WLB_ORIGIN_A_SERVER,	/* address; repeats, 1..WLB_MAX_SERVERS; all of
				 * one family; (server, port) in one origin only
				 */
	WLB_ORIGIN_A_PORTS,	/* u16[1..WLB_MAX_PORTS] */
	WLB_ORIGIN_A_RACE,	/* u8, enum wlb_race, default raw */
	WLB_ORIGIN_A_MAX_HOLD,	/* u32 us, cap of the hold time, 0..WLB_MAX_DELAY_US,
				 * default 200000
				 */
	WLB_ORIGIN_A_REPLICA,	/* nest, enum wlb_replica_attr; repeats, at most
				 * WLB_MAX_REPLICAS, of the servers' family
				 */
	WLB_ORIGIN_A_SOURCE,	/* address, outer source of clones; default: the
				 * gateway's own by its routing table
				 */
	WLB_ORIGIN_A_STRIP,	/* flag, the server's copy loses the tag; else
				 * its tag says "not permitted"
				 */
	WLB_ORIGIN_A_FAN_OUT,	/* u8, 1..WLB_MAX_REPLICAS, default all: to so many
				 * replicas a SYN is cloned
				 */
	WLB_ORIGIN_A_PICK,	/* u8, enum wlb_pick, default nearest: to which, if
				 * not to all
				 */
	WLB_ORIGIN_A_RATE,	/* u32, default 0: clones in a second, at the most;
				 * 0: any number. A SYN for which not all of its
				 * clones are left goes to the server alone, as
				 * for the next two
				 */
	WLB_ORIGIN_A_PREFIX_RATE, /* u32, default 0, likewise: of SYNs from one
				   * /24 or /64 to one server
				   */
	WLB_ORIGIN_A_COOKIE,	/* u32 s, at most 24 days, default 0: SYNs are cloned
				 * only if their tag has a cookie that this gateway
				 * has given to their source's /24 or /64 with an
				 * answer of the server; good for so long, at most
				 * twice. 0: none is asked for
				 */

	__WLB_ORIGIN_A_MAX,
#define WLB_ORIGIN_A_MAX (__WLB_ORIGIN_A_MAX - 1)
};

enum wlb_pick {
	WLB_PICK_NEAREST,	/* by WLB_REPLICA_A_DELAY */
	WLB_PICK_RANDOM,	/* others for each SYN */
	__WLB_PICK_MAX,
};

enum wlb_race {
	WLB_RACE_RAW,		/* clone at once: the origin wins on ordinary
				 * topologies
				 */
	WLB_RACE_EQUAL,		/* hold clone i for D - delay(i) and the
				 * origin's copy for D = max delay, capped
				 */
	__WLB_RACE_MAX,
};

enum wlb_replica_attr {
	WLB_REPLICA_A_UNSPEC,
	WLB_REPLICA_A_ADDRESS,	/* address, not the origin's, unique in it */
	WLB_REPLICA_A_VIA,	/* u8, enum wlb_via, default gre */
	WLB_REPLICA_A_DELAY,	/* u32 us, gateway to replica one way,
				 * 0..WLB_MAX_DELAY_US, default 0
				 */
	/* read only */
	WLB_REPLICA_A_CLONES,	/* u64, made for it; goes on while it stays in force */
	WLB_REPLICA_A_PAD,

	__WLB_REPLICA_A_MAX,
#define WLB_REPLICA_A_MAX (__WLB_REPLICA_A_MAX - 1)
};

enum wlb_via {
	WLB_VIA_GRE,		/* IP protocol 47, RFC 2784, no options */
	WLB_VIA_IPIP,		/* IP protocol 4 (RFC 2003), IPv6: 41 (RFC 2473) */
	__WLB_VIA_MAX,
};

/* How a replica's packets get back to the client. */
enum wlb_return {
	WLB_RETURN_NAT,		/* configuration A: from its own address, which
				 * the client's gateway translates
				 */
	WLB_RETURN_SPOOF,	/* B: from the server's address; the answer alone
				 * is encapsulated and names the replica
				 */
	WLB_RETURN_TUNNEL,	/* C: encapsulated, replica to client */
	__WLB_RETURN_MAX,
};

#define WLB_RETURN_ALL		((1U << __WLB_RETURN_MAX) - 1)

/* An origin whose content this host serves: FIG 4A, 4B, 4C. */
enum wlb_served_attr {
	WLB_SERVED_A_UNSPEC,
	WLB_SERVED_A_NAME,	/* string, WLB_NAME_LEN, unique */
	WLB_SERVED_A_SERVER,	/* address of the origin; repeats, 1..WLB_MAX_SERVERS */
	WLB_SERVED_A_PORTS,	/* u16[1..WLB_MAX_PORTS] */
	WLB_SERVED_A_LOCAL,	/* address of this host to serve from, of the
				 * servers' family and none of them
				 */
	WLB_SERVED_A_FROM,	/* nest, enum wlb_prefix_attr; repeats, 1..
				 * WLB_MAX_PREFIXES: outer sources of clones
				 */
	WLB_SERVED_A_BUSY,	/* u8, read only: see WLB_CMD_BUSY_SET */
	WLB_SERVED_A_RETURN,	/* u8, enum wlb_return, default nat. Others need
				 * the servers' addresses on this host, and clones
				 * whose tag offers the mode (else nat, if offered)
				 */
	WLB_SERVED_A_VIA,	/* u8, enum wlb_via, default gre: encapsulation
				 * towards the client
				 */
	WLB_SERVED_A_TRUST_PATH,/* flag, spoof without a probe: else a client's
				 * gateway gets what tunnel would send until a
				 * packet with the server's address has reached it
				 */

	__WLB_SERVED_A_MAX,
#define WLB_SERVED_A_MAX (__WLB_SERVED_A_MAX - 1)
};

/* One entry of the translation table: FIG 2, op 212; FIG 5A, op 510. */
enum wlb_flow_attr {
	WLB_FLOW_A_UNSPEC,
	WLB_FLOW_A_CLIENT,	/* address */
	WLB_FLOW_A_CLIENT_PORT,	/* u16 */
	WLB_FLOW_A_SERVER,	/* address */
	WLB_FLOW_A_SERVER_PORT,	/* u16 */
	WLB_FLOW_A_WINNER,	/* address; absent while racing */
	WLB_FLOW_A_STATE,	/* u8, enum wlb_flow_state */
	WLB_FLOW_A_EXPIRES,	/* u32 ms from now */
	WLB_FLOW_A_ISN,		/* u32, the client's initial sequence number */
	WLB_FLOW_A_RETURN,	/* u8, enum wlb_return; if a replica has won */
	WLB_FLOW_A_VIA,		/* u8, enum wlb_via; if it is not nat */
	/* the rest only if a replica has won, all of it then */
	WLB_FLOW_A_CLIENT_END,	/* u32, next sequence number of the client */
	WLB_FLOW_A_CLIENT_ACK,	/* u32, what the client has acknowledged */
	WLB_FLOW_A_SERVER_END,	/* u32, next sequence number of the winner */
	WLB_FLOW_A_SERVER_ACK,	/* u32, what the winner has acknowledged */
	WLB_FLOW_A_FLAGS,	/* u8, of WLB_FLOW_F_ALL: closing has both FINs
				 * or RST, won has not
				 */
	WLB_FLOW_A_NEW_ISN,	/* u16, low half of the SYN's sequence number
				 * that WLB_FLOW_F_ASKED is about, else 0
				 */

	__WLB_FLOW_A_MAX,
#define WLB_FLOW_A_MAX (__WLB_FLOW_A_MAX - 1)
};

#define WLB_FLOW_F_FIN_CLIENT	(1U << 0)	/* the client has sent a FIN */
#define WLB_FLOW_F_FIN_SERVER	(1U << 1)	/* the winner has */
#define WLB_FLOW_F_RST		(1U << 2)	/* closing by a RST */
#define WLB_FLOW_F_REOPEN	(1U << 5)	/* no word of the winner since ASKED */
#define WLB_FLOW_F_ASKED	(1U << 6)	/* the client sent it a new SYN */
#define WLB_FLOW_F_ALL		(WLB_FLOW_F_FIN_CLIENT | \
				 WLB_FLOW_F_FIN_SERVER | WLB_FLOW_F_RST | \
				 WLB_FLOW_F_REOPEN | WLB_FLOW_F_ASKED)

enum wlb_flow_state {
	WLB_FLOW_RACING,	/* SYN tagged, no good answer yet */
	WLB_FLOW_WON,		/* a replica won: packets are translated */
	WLB_FLOW_TOMBSTONE,	/* the server won: nothing is translated, late
				 * answers are reset
				 */
	WLB_FLOW_CLOSING,	/* as WON, after both FINs or a RST */
	__WLB_FLOW_STATE_MAX,
};

enum wlb_race_attr {
	WLB_RACE_A_UNSPEC,
	WLB_RACE_A_ID,		/* u64, grows with every race that was answered */
	WLB_RACE_A_CLIENT,	/* address */
	WLB_RACE_A_CLIENT_PORT,	/* u16 */
	WLB_RACE_A_SERVER,	/* address */
	WLB_RACE_A_SERVER_PORT,	/* u16 */
	WLB_RACE_A_TIME,	/* u64 ns, CLOCK_REALTIME of the first answer */
	WLB_RACE_A_ANSWER,	/* nest, enum wlb_answer_attr; repeats, in order
				 * of arrival, at most WLB_MAX_ANSWERS
				 */
	WLB_RACE_A_PAD,

	__WLB_RACE_A_MAX,
#define WLB_RACE_A_MAX (__WLB_RACE_A_MAX - 1)
};

enum wlb_answer_attr {
	WLB_ANSWER_A_UNSPEC,
	WLB_ANSWER_A_ADDRESS,	/* address */
	WLB_ANSWER_A_DELAY,	/* u32 us after the latest tagged SYN */
	WLB_ANSWER_A_WON,	/* flag */

	__WLB_ANSWER_A_MAX,
#define WLB_ANSWER_A_MAX (__WLB_ANSWER_A_MAX - 1)
};

/* An origin and who is known to answer for it. */
enum wlb_learned_attr {
	WLB_LEARNED_A_UNSPEC,
	WLB_LEARNED_A_SERVER,	/* address */
	WLB_LEARNED_A_SERVER_PORT, /* u16 */
	WLB_LEARNED_A_ANSWERER,	/* nest, enum wlb_answerer_attr; repeats, at most
				 * WLB_MAX_ANSWERS
				 */

	__WLB_LEARNED_A_MAX,
#define WLB_LEARNED_A_MAX (__WLB_LEARNED_A_MAX - 1)
};

enum wlb_answerer_attr {
	WLB_ANSWERER_A_UNSPEC,
	WLB_ANSWERER_A_ADDRESS,	/* address */
	WLB_ANSWERER_A_VIA,	/* u8, enum wlb_via: of clones to it */
	WLB_ANSWERER_A_RTT,	/* u32 us: smoothed, of SYNs that were cloned to it
				 * directly; with RACED the least delay of its
				 * answers in races so far
				 */
	WLB_ANSWERER_A_RACED,	/* flag: it has answered in races only */
	WLB_ANSWERER_A_AGE,	/* u32 ms since its latest answer */
	WLB_ANSWERER_A_ANSWERS,	/* u32, SYNs answered */
	WLB_ANSWERER_A_WINS,	/* u32, of those first */
	WLB_ANSWERER_A_ASKED,	/* u32, SYNs cloned to it directly */
	WLB_ANSWERER_A_MISSED,	/* u32, the latest of these in a row that it has not
				 * answered, or not yet
				 */
	WLB_ANSWERER_A_SILENT,	/* u32 ms: is not asked for so long yet, as it has
				 * missed too many; absent: is asked
				 */

	__WLB_ANSWERER_A_MAX,
#define WLB_ANSWERER_A_MAX (__WLB_ANSWERER_A_MAX - 1)
};

/*
 * The cache router: the data plane of WCCP version 2. D01 is
 * draft-wilson-wrec-wccp-v2-03, R1 is draft-mclaggan-wccp-v2rev1-00.
 *
 * A packet is tried against the groups whose interface it came in by
 * (WLB_GROUP_A_IN) or goes out by (_OUT), the highest WLB_ASSIGN_A_PRIORITY
 * first, among equals standard services before dynamic ones and then the lower
 * id. The first whose service it belongs to has it; but a group is passed over if
 * the packet came in by its WLB_GROUP_A_EXCLUDE, comes from or goes to one of its
 * caches, or has the source MAC address of one that returns by L2. Packets that
 * are no host's, to or from the router itself, multicast, broadcast, link-local,
 * of TTL 1, or returned by a cache in GRE are never redirected.
 */

enum wlb_router_attr {
	WLB_ROUTER_A_UNSPEC,
	WLB_ROUTER_A_CHECK_ALL,	/* flag: what a redirect list denies is tried
				 * against the next group; else it is forwarded
				 */
	WLB_ROUTER_A_LEASE,	/* u32 ms, WLB_MIN_LEASE..WLB_MAX_LEASE: without a
				 * sign of life for so long the groups that are not
				 * closed lose their assignments; default: never
				 */

	__WLB_ROUTER_A_MAX,
#define WLB_ROUTER_A_MAX (__WLB_ROUTER_A_MAX - 1)
};

/* One service group, as the administrator wants it. */
enum wlb_group_attr {
	WLB_GROUP_A_UNSPEC,
	WLB_GROUP_A_NAME,	/* string, WLB_NAME_LEN, unique */
	WLB_GROUP_A_TYPE,	/* u8, enum wlb_group_type; with ID unique */
	WLB_GROUP_A_ID,		/* u8 */
	WLB_GROUP_A_IN,		/* string, interface name; repeats: what comes in
				 * by it is redirected. A name need not exist yet
				 */
	WLB_GROUP_A_OUT,	/* string, repeats: what goes out by it is */
	WLB_GROUP_A_EXCLUDE,	/* string, repeats: what came in by it is not, by
				 * this group
				 */
	WLB_GROUP_A_RULE,	/* nest, enum wlb_rule_attr; repeats, at most
				 * WLB_MAX_RULES: the redirect list. The first rule
				 * that matches decides, none denies; no rule at
				 * all: every packet is permitted
				 */
	WLB_GROUP_A_CLOSED,	/* flag: packets of the service that no cache can be
				 * given are dropped; else they are forwarded
				 */
	WLB_GROUP_A_HOOK,	/* u8, enum wlb_group_hook, default prerouting */
	WLB_GROUP_A_SOURCE4,	/* address, 4 bytes: outer source of GRE; default:
				 * the router's own by its routing table
				 */
	WLB_GROUP_A_SOURCE6,	/* address, 16 bytes */
	WLB_GROUP_A_DRAIN,	/* u32 s, 0..WLB_MAX_DRAIN, default 0: for as long
				 * after a reassignment TCP flows from before stay
				 * with their cache if that is still a member
				 */
	WLB_GROUP_A_STATS,	/* nest of u64, attribute type = enum
				 * wlb_group_stat + 1; read only
				 */

	__WLB_GROUP_A_MAX,
#define WLB_GROUP_A_MAX (__WLB_GROUP_A_MAX - 1)
};

enum wlb_group_type {
	WLB_GROUP_STANDARD,
	WLB_GROUP_DYNAMIC,
	__WLB_GROUP_TYPE_MAX,
};

/* Where what comes in by WLB_GROUP_A_IN is taken. */
enum wlb_group_hook {
	WLB_HOOK_PREROUTING,	/* before routing, connection tracking and the
				 * forward chain's rules: none of them sees it
				 */
	WLB_HOOK_FORWARD,	/* behind the forward chain's rules and source NAT,
				 * as what goes out by WLB_GROUP_A_OUT
				 */
	__WLB_HOOK_MAX,
};

/*
 * The host of a cache. What its routers redirect to it is freed of outer headers and
 * goes on as if it had come in so, for a rule of the host's to hand it to the proxy:
 * TPROXY, or NAT. A packet of TCP that belongs to no connection here is returned to
 * the router that has sent it; so is a SYN, or a packet of another protocol, that a
 * rule, something learned or, TCP only, the share for overload speaks for.
 */
enum wlb_cache_attr {
	WLB_CACHE_A_UNSPEC,
	WLB_CACHE_A_DOOR,	/* nest, enum wlb_door_attr; repeats, at most
				 * WLB_MAX_DOORS: whom packets are taken from
				 */
	WLB_CACHE_A_RULE,	/* nest, enum wlb_rule_attr; repeats, at most
				 * WLB_MAX_RULES: the first that matches decides, and
				 * has the packet returned unless it denies
				 */
	WLB_CACHE_A_SHARE,	/* u32, 0..1000: so many of a thousand new connections
				 * are returned
				 */
	WLB_CACHE_A_MARK,	/* u32: the mark of what is taken in; default: as is */
	WLB_CACHE_A_NAT,	/* flag: the proxy's sockets have other addresses than
				 * the packets (NAT), so that connection tracking is
				 * asked for connections too
				 */
	WLB_CACHE_A_PORT,	/* u16, host order, 1..; repeats, at most
				 * WLB_MAX_CACHE_PORTS: where proxies listen. While
				 * SYN cookies are in use at one of them, what belongs
				 * to no connection is taken in; if nobody listens at
				 * any of them, for all addresses or for a door's
				 * SOURCE, new connections by that door are returned
				 */

	__WLB_CACHE_A_MAX,
#define WLB_CACHE_A_MAX (__WLB_CACHE_A_MAX - 1)
};

/* A router of one service group. ADDRESS, FORWARD and RETURN are required. */
enum wlb_door_attr {
	WLB_DOOR_A_UNSPEC,
	WLB_DOOR_A_ADDRESS,	/* address: outer source of GRE, neighbour for L2 */
	WLB_DOOR_A_FORWARD,	/* u8, enum wlb_forward: how packets come */
	WLB_DOOR_A_RETURN,	/* u8, enum wlb_forward: how they go back */
	WLB_DOOR_A_TYPE,	/* u8, enum wlb_group_type */
	WLB_DOOR_A_ID,		/* u8, of the service */
	WLB_DOOR_A_SOURCE,	/* address: outer source of what goes back; default:
				 * the host's own by its routing table
				 */
	WLB_DOOR_A_PACKETS,	/* u64: returned; read only, with the two below */
	WLB_DOOR_A_BYTES,	/* u64: of these */
	WLB_DOOR_A_PAD,

	__WLB_DOOR_A_MAX,
#define WLB_DOOR_A_MAX (__WLB_DOOR_A_MAX - 1)
};

/* Addresses of one family. DESTINATION and LIFETIME are required to add it. */
enum wlb_bypass_attr {
	WLB_BYPASS_A_UNSPEC,
	WLB_BYPASS_A_SOURCE,	/* address; default: any */
	WLB_BYPASS_A_DESTINATION,	/* address */
	WLB_BYPASS_A_LIFETIME,	/* u32 s, 1..WLB_MAX_LIFETIME; of a dump: left */

	__WLB_BYPASS_A_MAX,
#define WLB_BYPASS_A_MAX (__WLB_BYPASS_A_MAX - 1)
};

/*
 * Processing, by a cache router, a cache's host, or any router. A packet falls under
 * the first rule that matches it as it came in: before address translation, and
 * without the headers that it was returned in. A rule without an action leaves it as
 * it is. Whatever cannot be done to a packet is left undone, and the packet goes on.
 */
enum wlb_process_attr {
	WLB_PROCESS_A_UNSPEC,
	WLB_PROCESS_A_RULE,	/* nest, enum wlb_process_rule_attr; repeats, at most
				 * WLB_MAX_PROCESSES
				 */

	__WLB_PROCESS_A_MAX,
#define WLB_PROCESS_A_MAX (__WLB_PROCESS_A_MAX - 1)
};

/* At a cache's host: what it returns to its routers. At a router: what it gets back. */
#define WLB_PROCESS_RETURNED	(1U << 0)
/* What is forwarded, and neither came back from a cache nor goes to one. */
#define WLB_PROCESS_PASSING	(1U << 1)
#define WLB_PROCESS_ALL		(WLB_PROCESS_RETURNED | WLB_PROCESS_PASSING)

enum wlb_process_rule_attr {
	WLB_PROCESS_RULE_A_UNSPEC,
	/* which packets; ON is required */
	WLB_PROCESS_RULE_A_ON,	/* u32, WLB_PROCESS_RETURNED, _PASSING or both */
	WLB_PROCESS_RULE_A_SOURCE,	/* nest, enum wlb_prefix_attr; default any */
	WLB_PROCESS_RULE_A_DESTINATION,	/* nest, enum wlb_prefix_attr; default any */
	WLB_PROCESS_RULE_A_PROTO,	/* u8, 1..255; default any */
	WLB_PROCESS_RULE_A_PORT,	/* u16, 1..65535: destination port, of PROTO 6
					 * or 17; default any
					 */
	/* what is done to them */
	WLB_PROCESS_RULE_A_DSCP,	/* u8, 0..63; ECN's bits stay */
	WLB_PROCESS_RULE_A_REWRITE,	/* address: where connections, and what else is
					 * told from the rest by its ends, go that begin
					 * under this rule, and as which what answers is
					 * let seem the one that was asked. Only packets
					 * of its family match. By connection tracking's
					 * NAT, which from then on is on until the
					 * namespace or the module is gone, and before
					 * groups of WLB_HOOK_FORWARD. A cache's host
					 * does not return them, as it would not see the
					 * answers: it forwards them from an address of
					 * its own, and must have forwarding on
					 */
	WLB_PROCESS_RULE_A_TAG,	/* 1..WLB_MAX_TAG bytes, which SYNs get in an option
				 * (include/wlb/label.h) in place of such that they
				 * have
				 */
	WLB_PROCESS_RULE_A_UNTAG,	/* flag, not with TAG: SYNs lose that option */
	WLB_PROCESS_RULE_A_COPY_GROUP,	/* u16: what becomes of them is copied to
					 * readers of this group of NFLOG; who does
					 * not read misses copies, and stops nothing
					 */
	WLB_PROCESS_RULE_A_COPY_LEN,	/* u32, with COPY_GROUP: so many bytes of each
					 * from its IP header on; 0, the default: all
					 */
	/* read only */
	WLB_PROCESS_RULE_A_PACKETS,	/* u64, that fell under it */
	WLB_PROCESS_RULE_A_PAD,

	__WLB_PROCESS_RULE_A_MAX,
#define WLB_PROCESS_RULE_A_MAX (__WLB_PROCESS_RULE_A_MAX - 1)
};

/* A rule without prefixes matches every packet, else those of their family. */
enum wlb_rule_attr {
	WLB_RULE_A_UNSPEC,
	WLB_RULE_A_DENY,	/* flag; else it permits */
	WLB_RULE_A_SOURCE,	/* nest, enum wlb_prefix_attr; default any */
	WLB_RULE_A_DESTINATION,	/* nest, enum wlb_prefix_attr; default any */

	__WLB_RULE_A_MAX,
#define WLB_RULE_A_MAX (__WLB_RULE_A_MAX - 1)
};

/*
 * What the caches of a group have agreed upon. The service's words and METHOD are
 * required; BUCKETS too for the method hash.
 */
enum wlb_assign_attr {
	WLB_ASSIGN_A_UNSPEC,
	/* the service: D01 5.6.2. Of standard service 0 what it means is given */
	WLB_ASSIGN_A_PRIORITY,	/* u8 */
	WLB_ASSIGN_A_PROTOCOL,	/* u8, 0: every one, unless FLAGS say otherwise */
	WLB_ASSIGN_A_FLAGS,	/* u32, as on the wire */
	WLB_ASSIGN_A_PORTS,	/* u16[WLB_WCCP_PORTS_LEN], the first 0 ends them */
	WLB_ASSIGN_A_METHOD,	/* u8, enum wlb_assign_method */
	WLB_ASSIGN_A_MEMBER,	/* nest, enum wlb_member_attr; repeats, at most
				 * WLB_MAX_CACHES, counted from 0; may be none
				 */
	WLB_ASSIGN_A_BUCKETS,	/* u8[WLB_BUCKETS], method hash only: a member,
				 * maybe with WLB_BUCKET_ALT, or WLB_BUCKET_NONE
				 */
	WLB_ASSIGN_A_MASK,	/* nest, enum wlb_mask_attr; repeats, at most
				 * WLB_MAX_MASKS, method mask only; tried in order,
				 * the first that has the packet's value decides
				 */
	/* not interpreted: for a daemon that starts anew */
	WLB_ASSIGN_A_KEY_ADDRESS,	/* address */
	WLB_ASSIGN_A_KEY_NUMBER,	/* u32 */
	WLB_ASSIGN_A_CHANGE_NUMBER,	/* u32 */
	WLB_ASSIGN_A_STATE,	/* at most WLB_MAX_STATE bytes */

	__WLB_ASSIGN_A_MAX,
#define WLB_ASSIGN_A_MAX (__WLB_ASSIGN_A_MAX - 1)
};

enum wlb_assign_method {
	WLB_ASSIGN_HASH,	/* R1 3.11.1 */
	WLB_ASSIGN_MASK,	/* R1 3.11.2, and alternate masks by their numbers */
	__WLB_ASSIGN_MAX,
};

/* A cache. One that stays a member keeps its counters. */
enum wlb_member_attr {
	WLB_MEMBER_A_UNSPEC,
	WLB_MEMBER_A_ADDRESS,	/* address of WLB_A_FAMILY, unique in the group */
	WLB_MEMBER_A_FORWARD,	/* u8, enum wlb_forward: router to cache */
	WLB_MEMBER_A_RETURN,	/* u8, enum wlb_forward: cache to router */
	/* read only */
	WLB_MEMBER_A_PACKETS,	/* u64, redirected */
	WLB_MEMBER_A_BYTES,	/* u64, redirected, without outer headers */
	WLB_MEMBER_A_RETURNED,	/* u64, packets returned in GRE */
	WLB_MEMBER_A_PAD,

	__WLB_MEMBER_A_MAX,
#define WLB_MEMBER_A_MAX (__WLB_MEMBER_A_MAX - 1)
};

enum wlb_forward {
	WLB_FORWARD_GRE,	/* protocol type 0x883E and a redirect header */
	WLB_FORWARD_L2,		/* its MAC address: on a network of the router's */
	__WLB_FORWARD_MAX,
};

/* At most WLB_MAX_MASK_BITS set bits in all. Absent: none of that field. */
enum wlb_mask_attr {
	WLB_MASK_A_UNSPEC,
	WLB_MASK_A_SRC,		/* 4 or 16 bytes, as WLB_A_FAMILY says */
	WLB_MASK_A_DST,		/* the same */
	WLB_MASK_A_SPORT,	/* u16 */
	WLB_MASK_A_DPORT,	/* u16 */

	__WLB_MASK_A_MAX,
#define WLB_MASK_A_MAX (__WLB_MASK_A_MAX - 1)
};

/*
 * One value of a mask and the cache that has it. The value's number is its value
 * sequence number (R1 7): the bits that the mask selects side by side, the
 * lowest from the lowest bit of the destination port on over source port and
 * destination address to the highest bit of the source address.
 */
struct wlb_value {
	__u32 number;
	__u8 mask;		/* which WLB_ASSIGN_A_MASK, counted from 0 */
	__u8 member;		/* which WLB_ASSIGN_A_MEMBER */
	__u16 pad;		/* 0 */
};

/*
 * Counters of a group, both families together: X(name, what one count means).
 * Each has its twin redirect_name among WLB_STATS, in the same order.
 */
#define WLB_GROUP_STATS(X) \
	X(gre, "packets redirected by GRE") \
	X(l2, "packets redirected by L2") \
	X(unassigned, "packets that no cache is assigned, forwarded") \
	X(closed, "packets dropped: no cache for them, closed service") \
	X(denied, "packets left alone: the redirect list denies") \
	X(exempt, "packets left alone: by an excluded interface, from or to a cache") \
	X(too_big, "packets too big for the way to the cache, their sender told") \
	X(no_route, "packets not redirected: no route to the cache") \
	X(not_adjacent, "packets not redirected: L2, but the cache is behind a router") \
	X(no_neighbour, "packets not redirected: L2, and the cache does not answer") \
	X(failed, "packets lost on the way to the cache: no memory") \
	X(returned, "packets returned by caches, forwarded") \
	X(kept, "packets of flows from before a reassignment, to their old cache") \
	X(drain_full, "buckets reassigned at once: too many new flows")

enum wlb_group_stat {
#define WLB_GROUP_STAT_ENUM(name, text) WLB_GROUP_STAT_##name,
	WLB_GROUP_STATS(WLB_GROUP_STAT_ENUM)
#undef WLB_GROUP_STAT_ENUM
	__WLB_GROUP_STAT_MAX,
};

/*
 * Counters, per network namespace, never reset: X(name, what one count means).
 * races: syn_tagged = race_won_replica + race_won_server + race_unanswered +
 * race_refused + race_evicted + race_replaced + race_flushed + (WLB_A_RACING).
 * Of those, services with WLB_SERVICE_DIRECT have begun syn_direct + direct_explored +
 * direct_unknown + direct_fallback (but those whose IPv6 SYN has extension headers, which is
 * never cloned directly), and learned_new = learned_full + learned_expired +
 * learned_flushed + answerers that are known.
 */
#define WLB_STATS(X) \
	/* client gateway, SYN side */ \
	X(syn_tagged, "races started: SYNs tagged with a new entry") \
	X(syn_retagged, "retransmitted SYNs tagged again, same race") \
	X(syn_plain, "retransmitted SYNs untagged: nobody answered the tagged ones") \
	X(syn_untagged, "SYNs untagged: the path to the server drops tags") \
	X(syn_to_winner, "retransmitted SYNs sent to the winner only") \
	X(syn_not_permitted, "SYNs tagged not permitted by policy") \
	X(syn_opted_out, "SYNs that came tagged not permitted, left alone") \
	X(syn_no_room, "SYNs untagged: no room for the option") \
	X(syn_payload, "SYNs untagged: payload or TCP Fast Open") \
	X(syn_signed, "SYNs untagged: TCP-MD5 or TCP-AO") \
	X(syn_malformed, "SYNs untagged: broken option list or lengths") \
	X(syn_bad_tag, "SYNs left alone: a tag of wrong length") \
	X(tcp_truncated, "TCP packets left alone: shorter than they say") \
	X(syn_bad_checksum, "SYNs left alone: wrong checksum") \
	X(syn_table_full, "SYNs untagged: translation table full") \
	X(syn_client_quota, "SYNs untagged: too many half-open of one client") \
	X(syn_no_memory, "SYNs untagged: out of memory") \
	/* client gateway, races */ \
	X(race_won_replica, "races won by a replica") \
	X(race_won_server, "races won by the server") \
	X(race_unanswered, "races that nobody answered in time") \
	X(race_refused, "races ended by the server's refusal") \
	X(race_evicted, "races forgotten to make room") \
	X(tombstone_evicted, "tombstones forgotten to make room") \
	X(race_replaced, "races whose client tried anew from the same port") \
	X(race_flushed, "races flushed by request or end of the role") \
	X(answer_repeated, "answers repeated by the winner, passed") \
	X(answer_lost, "answers of losers") \
	X(answer_not_preferred, "answers of others than the sticky one, reset") \
	X(answer_bad_ack, "answers that acknowledge another SYN") \
	X(answer_unlisted, "answers of nobody who may answer") \
	X(answer_bad_nonce, "answers with another race's nonce") \
	X(answer_bad_checksum, "answers with a wrong checksum") \
	X(answer_mirrored, "tags mirrored in an answer, taken out") \
	X(cookie_kept, "cookies that came with servers' answers") \
	X(tunnel_no_flow, "encapsulated packets for a client, of no flow: dropped") \
	X(tunnel_stray, "encapsulated packets in a flow, not the winner's: dropped") \
	X(tunnel_congested, "encapsulated packets dropped: marked outside (RFC 6040)") \
	X(refusal_ignored, "RSTs of no winner during a race, dropped") \
	X(server_stray, "packets of the server in a replica's flow, dropped") \
	X(reset_sent, "resets sent to losers") \
	X(reset_failed, "resets not sent: no memory or no route") \
	X(rst_out_of_window, "RSTs outside the window: passed, entry kept") \
	/* client gateway, carried flows */ \
	X(translated_out, "packets translated, client to replica") \
	X(translated_in, "packets translated, replica to client") \
	X(passed_in, "packets of a spoofing winner, passed") \
	X(tunnelled_out, "packets encapsulated, client to replica") \
	X(tunnelled_in, "packets cracked, replica to client") \
	X(fast, "of all these, packets by the fast path") \
	X(winner_asked, "segments sent to silent winners, to see if they live") \
	X(winner_dead, "flows ended because their winner is dead") \
	X(probe_echoed, "probes of the spoofed path, echoed to the winner") \
	X(too_big_out, "packets too big for a tunnel, their sender told") \
	X(translate_failed, "packets of a flow lost: no memory or no route") \
	X(icmp_in, "ICMP errors about flows, translated for the client") \
	X(icmp_out, "ICMP errors about flows, translated for the replica") \
	X(icmp_tunnel, "ICMP errors about tunnels of ours, taken to heart") \
	X(icmp_bad_checksum, "ICMP errors about flows dropped: wrong checksum") \
	/* server gateway */ \
	X(syn_cloned, "tagged SYNs cloned") \
	X(syn_not_replicable, "tagged SYNs for no origin of ours") \
	X(syn_extension, "tagged IPv6 SYNs with extension headers, not cloned") \
	X(syn_race_refused, "tagged SYNs not permitted to race") \
	X(syn_loop, "clones that came back, dropped") \
	X(syn_no_cookie, "tagged SYNs not cloned: without a cookie") \
	X(syn_bad_cookie, "tagged SYNs not cloned: with a wrong or old cookie") \
	X(syn_prefix_limit, "tagged SYNs not cloned: their prefix's limit") \
	X(syn_origin_limit, "tagged SYNs not cloned: the origin's limit") \
	X(syn_clone_limit, "tagged SYNs not cloned: the limit of all origins") \
	X(cookie_given, "cookies given with the server's answers") \
	X(cookie_no_room, "cookies not given: an answer has no room") \
	X(cookie_no_memory, "cookies not given: no memory") \
	X(clone_sent, "clones sent") \
	X(clone_failed, "clones not sent: no memory or no route") \
	X(icmp_relayed, "ICMP errors about an origin's packets, to replicas") \
	X(hold_full, "packets not held: too many are") \
	X(hold_dropped, "held packets dropped: device or role gone") \
	/* replica */ \
	X(clone_cracked, "clones cracked and given to the server") \
	X(clone_busy, "clones dropped: busy by order") \
	X(clone_no_listener, "clones dropped: nobody listens") \
	X(clone_accept_full, "clones dropped: the listener's queue is full") \
	X(clone_unlisted, "clones dropped: not from a listed gateway") \
	X(clone_not_syn, "clones dropped: not a TCP SYN, or fragmented") \
	X(clone_not_served, "clones dropped: for no origin served here") \
	X(clone_malformed, "clones dropped: truncated or broken") \
	X(clone_bad_checksum, "clones dropped: wrong checksum") \
	X(clone_no_address, "clones dropped: the server's address is not ours") \
	X(clone_not_offered, "clones dropped: no way back is offered that we have") \
	X(client_cracked, "packets of a client cracked") \
	X(client_translated, "packets of a client turned to the server's address") \
	X(client_stray, "encapsulated packets of a client dropped: no connection") \
	X(answer_encapsulated, "answers encapsulated") \
	X(reply_encapsulated, "other packets encapsulated") \
	X(reply_too_big, "packets too big for a tunnel, the server told") \
	X(reply_failed, "packets not encapsulated: no memory") \
	X(probe_sent, "probes of the spoofed path to a client's gateway sent") \
	X(probe_passed, "probes of the spoofed path that came back") \
	X(spoof_lost, "connections whose spoofed packets do not arrive: encapsulated") \
	/* client gateway, again */ \
	X(flow_restored, "flows put back by request") \
	/* cache router; the first as in WLB_GROUP_STATS */ \
	X(redirect_gre, "packets redirected by GRE") \
	X(redirect_l2, "packets redirected by L2") \
	X(redirect_unassigned, "packets that no cache is assigned, forwarded") \
	X(redirect_closed, "packets dropped: no cache for them, closed service") \
	X(redirect_denied, "packets left alone: a redirect list denies") \
	X(redirect_exempt, "packets left alone: by an excluded interface, from or to a cache") \
	X(redirect_too_big, "packets too big for the way to the cache, their sender told") \
	X(redirect_no_route, "packets not redirected: no route to the cache") \
	X(redirect_not_adjacent, "packets not redirected: L2, but the cache is behind a router") \
	X(redirect_no_neighbour, "packets not redirected: L2, and the cache does not answer") \
	X(redirect_failed, "packets lost on the way to the cache: no memory") \
	X(redirect_returned, "packets returned by caches, forwarded") \
	X(redirect_kept, "packets of flows from before a reassignment, to their old cache") \
	X(redirect_drain_full, "buckets reassigned at once: too many new flows") \
	X(redirect_malformed, "packets left alone: shorter than they say") \
	X(return_stranger, "packets returned by nobody who is a cache, dropped") \
	X(return_malformed, "packets returned by caches dropped: truncated or broken") \
	X(return_congested, "packets returned dropped: marked outside (RFC 6040)") \
	X(redirect_icmp, "ICMP errors about redirected packets, taken to heart") \
	X(lease_ended, "times that groups went idle: their daemon was silent for too long") \
	/* cache's host */ \
	X(cache_received, "redirected packets taken in") \
	X(cache_bypassed, "redirected packets returned: a rule says so") \
	X(cache_learned, "redirected packets returned: learned") \
	X(cache_overload, "redirected packets of new connections returned: overload") \
	X(cache_deserted, "redirected packets of new connections returned: nobody listens") \
	X(cache_strange, "redirected packets returned: of no connection here") \
	X(cache_kept, "redirected packets taken in: there was no way to return them") \
	X(cache_stranger, "redirected packets left alone: from no router of ours") \
	X(cache_malformed, "redirected packets dropped: truncated or broken") \
	X(cache_congested, "redirected packets dropped: marked outside (RFC 6040)") \
	X(cache_failed, "redirected packets lost on their way back: no memory") \
	/* processing */ \
	X(process_rewritten, "connections whose destination a rule has rewritten") \
	X(process_marked, "packets whose DSCP was set") \
	X(process_tagged, "SYNs tagged by a rule for processing") \
	X(process_untagged, "SYNs that lost such a tag") \
	X(process_no_room, "SYNs not tagged so: no room, data, signed or broken options") \
	X(process_copied, "packets copied for readers of NFLOG") \
	X(process_failed, "packets that went on as they were: no memory to process them") \
	X(process_diverted, "packets not returned, for servers that a rule names") \
	/* client gateway, direct races */ \
	X(syn_direct, "races cloned by this gateway alone, the server's copy not permitted") \
	X(direct_explored, "races cloned by this gateway and left to the server's as well") \
	X(direct_unknown, "races left to the server's gateway: nobody known who answers") \
	X(direct_fallback, "races left to the server's gateway: all known are silent") \
	X(direct_repeated, "retransmitted SYNs cloned directly and left to the server's gateway") \
	X(direct_clones, "clones sent straight to replicas") \
	X(direct_failed, "clones not sent straight to replicas: no memory or no route") \
	X(learned_new, "answerers learned") \
	X(learned_full, "answerers forgotten to make room") \
	X(learned_expired, "answerers forgotten: not heard of for too long") \
	X(learned_flushed, "answerers forgotten by request or end of the role") \
	X(learned_failed, "answerers not learned: no memory")

enum wlb_stat {
#define WLB_STAT_ENUM(name, text) WLB_STAT_##name,
	WLB_STATS(WLB_STAT_ENUM)
#undef WLB_STAT_ENUM
	__WLB_STAT_MAX,
};

#endif /* _UAPI_LINUX_WLB_H */
