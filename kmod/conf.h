/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The configuration of the three roles. Objects are built from one netlink
 * request, never change once published, are read under RCU and freed after a
 * grace period. What changes at run time (busy) is marked so.
 */
#ifndef WLB_CONF_H
#define WLB_CONF_H

#include <linux/bitmap.h>
#include <linux/rcupdate.h>
#include <net/genetlink.h>

#include "../include/wlb/fsm.h"
#include "limit.h"
#include "net.h"

/* Which packets concern a role at all: one bit per port, one cache line read. */
struct wlb_portmap {
	DECLARE_BITMAP(bit, 65536);
};

static inline bool wlb_portmap_has(const struct wlb_portmap *map, __be16 port)
{
	return test_bit(ntohs(port), map->bit);
}

struct wlb_ports {
	u16 n;
	u16 port[WLB_MAX_PORTS];	/* host order */
};

static inline bool wlb_ports_has(const struct wlb_ports *ports, u16 port)
{
	unsigned int i;

	for (i = 0; i < ports->n; i++)
		if (ports->port[i] == port)
			return true;
	return false;
}

struct wlb_prefix {
	union wlb_addr addr;
	u8 len;
	bool v6;
};

struct wlb_prefixes {
	u16 n;
	struct wlb_prefix *prefix;
};

bool wlb_prefix_match(const struct wlb_prefix *prefix,
		      const union wlb_addr *addr, bool v6);
bool wlb_prefixes_match(const struct wlb_prefixes *list,
			const union wlb_addr *addr, bool v6);

/* Client gateway: service.c */

#define WLB_MAX_FLOWS_DEFAULT	131072
#define WLB_MAX_LEARNED_DEFAULT	4096

/* seconds: half of what 32 bits of jiffies hold at the highest HZ */
#define WLB_TIMEOUT_MAX		(24 * 24 * 3600)

struct wlb_service {
	char name[WLB_NAME_LEN];
	struct wlb_ports ports;
	bool all_ports;
	bool any_replica;
	struct wlb_prefixes replicas;
	struct wlb_prefixes never;
	u32 sticky;			/* seconds, 0: not at all */
	u32 explore;			/* seconds, 0: never */
	u8 race;			/* enum wlb_service_race */
	u8 fan_out;
	u8 fastpath;			/* enum wlb_fastpath */
};

struct wlb_by_port {
	u16 port;
	u16 service;
};

struct wlb_cg {
	struct wlb_portmap map;	/* grows with flows that are put back */
	struct wlb_portmap fast;	/* of these, where the fast path may be taken */
	u32 max_flows;
	u32 client_quota;
	u32 returns;		/* 1 << enum wlb_return: offered */
	u32 carried;		/* and those of flows from before; grows */
	u32 max_learned;
	bool notrack;
	bool direct;		/* some service is */
	struct wlb_timeouts timeouts;	/* seconds, as the next three */
	u32 untagged;			/* servers behind a path that drops tags */
	u32 dead;			/* winners that are silent; 0: never */
	u32 learned;			/* answerers that are silent */
	unsigned int n_inside;
	char inside[WLB_MAX_INSIDE][IFNAMSIZ];
	struct wlb_service *fallback;	/* the one with all_ports */
	unsigned int n_by_port;
	struct wlb_by_port *by_port;	/* sorted */
	unsigned int n_services;
	struct wlb_service service[];
};

/* NULL unless some service covers @port (host order). */
const struct wlb_service *wlb_cg_service(const struct wlb_cg *cg, u16 port);
/* May @addr answer? */
static inline bool wlb_service_lists(const struct wlb_service *service,
				     const union wlb_addr *addr, bool v6)
{
	return service->any_replica ||
	       wlb_prefixes_match(&service->replicas, addr, v6);
}

/* @dev is NULL for what the host sends itself. */
bool wlb_cg_inside(const struct wlb_cg *cg, const struct net_device *dev);

/* Objects found by server address: origins and served origins. */

struct wlb_index_entry {
	struct hlist_node node;
	union wlb_addr addr;
	bool v6;
	u16 object;
};

struct wlb_index {
	u32 mask;
	u64 filter;			/* wlb_addr_bit() of all there are */
	struct hlist_head *heads;
	struct wlb_index_entry *entries;
	unsigned int n_entries;
};

struct wlb_servers {
	u16 n;
	bool v6;
	union wlb_addr addr[WLB_MAX_SERVERS];
	struct wlb_ports ports;
};

/* Server gateway: origin.c */

struct wlb_origin_replica {
	union wlb_addr addr;
	u32 delay_us;			/* one way from here */
	u32 hold_us;			/* how long its clone is held */
	u8 via;				/* enum wlb_via */
	atomic64_t clones;		/* sent to it; changes at run time */
};

struct wlb_replicas {
	u32 hold_us;			/* how long the server's copy is held */
	u16 n;
	u8 pool;			/* of how many, by @order, some are chosen */
	u8 order[WLB_MAX_REPLICAS];	/* the nearest first */
	struct wlb_origin_replica replica[];
};

struct wlb_origin {
	char name[WLB_NAME_LEN];
	struct wlb_servers servers;
	u8 race;			/* enum wlb_race */
	bool strip;
	bool has_source;
	union wlb_addr source;
	u32 max_hold_us;
	u8 fan_out;			/* WLB_MAX_REPLICAS: all */
	u8 pick;			/* enum wlb_pick */
	u32 rate, prefix_rate;		/* clones in a second, 0: any number */
	u32 cookie;			/* its lifetime in s, 0: none is asked for */
	struct wlb_limit limit;		/* changes at run time */
	struct wlb_replicas *configured;
	/* in force: these, or what a daemon has set; changes at run time */
	struct wlb_replicas __rcu *replicas;
};

struct wlb_sg {
	struct wlb_portmap map;
	struct wlb_index index;
	bool cookies;			/* some origin asks for them */
	u32 rate;			/* clones in a second, 0: any number */
	struct wlb_limit limit;		/* changes at run time */
	struct wlb_limits *limits;	/* of prefixes; NULL if no origin has any */
	unsigned int n_origins;
	struct wlb_origin origin[];
};

struct wlb_origin *wlb_sg_origin(struct wlb_sg *sg,
				 const union wlb_addr *server, bool v6, u16 port);

/*
 * origin_replica.c. Of the attributes of @type among @len bytes from @first on;
 * ERR_PTR with @extack set if one is refused, -ENOSPC if they are too many. The
 * origin's servers, race and cap are read already.
 */
struct wlb_replicas *wlb_replicas_build(const struct wlb_origin *o,
					const struct nlattr *first, int len,
					int type,
					struct netlink_ext_ack *extack);
/* Sets again, in @o, what is set in @old; 0 or -ENOMEM. */
int wlb_replicas_keep(struct wlb_origin *o, const struct wlb_origin *old);
/* Moves the counters of those that are in both; nobody counts in @from any more. */
void wlb_replicas_inherit(struct wlb_replicas *to, struct wlb_replicas *from,
			  bool v6);
int wlb_put_replica(struct sk_buff *msg, int type,
		    const struct wlb_origin_replica *r, bool v6, bool counted);
int wlb_nla_delay(const struct nlattr *attr, u32 *to,
		  struct netlink_ext_ack *extack);

/* Replica: served.c */

struct wlb_served {
	char name[WLB_NAME_LEN];
	struct wlb_servers servers;
	union wlb_addr local;
	struct wlb_prefixes from;
	u8 ret;				/* enum wlb_return */
	u8 via;				/* enum wlb_via */
	bool trust_path;		/* spoof without a probe */
	bool busy;			/* changes at run time */
};

struct wlb_rep {
	struct wlb_index index;		/* by server */
	struct wlb_index locals;	/* by local address */
	u32 returns;			/* 1 << enum wlb_return of any */
	unsigned int n_served;
	struct wlb_served served[];
};

struct wlb_served *wlb_rep_served(struct wlb_rep *rep,
				  const union wlb_addr *server, bool v6,
				  u16 port);
/* Some object that serves from @local, NULL if none does. */
const struct wlb_served *wlb_rep_local(const struct wlb_rep *rep,
				       const union wlb_addr *local, bool v6);

/* The object that spoofs its server from @local and @port (host order). */
const struct wlb_served *wlb_rep_spoofer(const struct wlb_rep *rep,
					 const union wlb_addr *local, bool v6,
					 u16 port);

/*
 * Builders: from the objects of one request, ERR_PTR with @extack set if one of
 * them is refused; NULL if there are none, the role is off then. Dumpers put
 * one object as the request would have carried it; -EMSGSIZE if it does not
 * fit.
 */
struct wlb_cg *wlb_cg_build(struct genl_info *info);
struct wlb_sg *wlb_sg_build(struct genl_info *info, struct wlb_sg *old);
struct wlb_rep *wlb_rep_build(struct genl_info *info,
			      const struct wlb_rep *old);
void wlb_cg_free(struct wlb_cg *cg);
/* Counters go on. Once @sg is in place and nobody reads @old; either may be NULL. */
void wlb_sg_inherit(struct wlb_sg *sg, struct wlb_sg *old);
void wlb_sg_free(struct wlb_sg *sg);
void wlb_rep_free(struct wlb_rep *rep);
int wlb_cg_put(struct sk_buff *msg, const struct wlb_cg *cg);
int wlb_service_put(struct sk_buff *msg, const struct wlb_service *service);
int wlb_sg_put(struct sk_buff *msg, const struct wlb_sg *sg);
int wlb_origin_put(struct sk_buff *msg, const struct wlb_origin *origin);
int wlb_served_put(struct sk_buff *msg, const struct wlb_served *served);

/* Reading attributes, conf.c: 0, or -EINVAL/-ENOMEM with @extack set. */

extern const struct nla_policy wlb_prefix_policy[WLB_PREFIX_A_MAX + 1];

int wlb_nla_name(const struct nlattr *attr, char *name,
		 struct netlink_ext_ack *extack);
int wlb_nla_addr(const struct nlattr *attr, union wlb_addr *addr, bool *v6,
		 struct netlink_ext_ack *extack);
int wlb_nla_ports(const struct nlattr *attr, struct wlb_ports *ports,
		  struct netlink_ext_ack *extack);
int wlb_nla_prefix(const struct nlattr *attr, struct wlb_prefix *prefix,
		   struct netlink_ext_ack *extack);
/* All prefixes of attribute type @type in @nest. */
int wlb_nla_prefixes(const struct nlattr *nest, int type,
		     struct wlb_prefixes *list, struct netlink_ext_ack *extack);
/* All addresses of type @type in @nest and, if not NULL, the ports in @ports. */
int wlb_nla_servers(const struct nlattr *nest, int type,
		    const struct nlattr *ports, struct wlb_servers *servers,
		    struct netlink_ext_ack *extack);
int wlb_put_addr(struct sk_buff *msg, int type, const union wlb_addr *addr,
		 bool v6);
int wlb_put_prefix(struct sk_buff *msg, int type,
		   const struct wlb_prefix *prefix);
int wlb_put_prefixes(struct sk_buff *msg, int type,
		     const struct wlb_prefixes *list);
int wlb_put_servers(struct sk_buff *msg, int type, int ports_type,
		    const struct wlb_servers *servers);
/* Number of top-level attributes of @type in a request. */
unsigned int wlb_count_attrs(const struct genl_info *info, int type);

int wlb_index_alloc(struct wlb_index *index, unsigned int n_entries);
void wlb_index_add(struct wlb_index *index, const union wlb_addr *addr,
		   bool v6, u16 object);
void wlb_index_free(struct wlb_index *index);

extern const struct hlist_head wlb_index_nobody;

/* Most addresses are of none of a few entries, and that is seen without a hash. */
static __always_inline const struct hlist_head *
wlb_index_head(const struct wlb_index *index, const union wlb_addr *addr, bool v6)
{
	return index->filter & wlb_addr_bit(addr, v6) ?
	       &index->heads[wlb_addr_hash(addr, v6) & index->mask] :
	       &wlb_index_nobody;
}

#define wlb_index_for_each(e, index, address, is_v6)			       \
	hlist_for_each_entry(e, wlb_index_head(index, address, is_v6), node)   \
		if ((e)->v6 == (is_v6) && wlb_addr_eq(&(e)->addr, address, is_v6))

#define wlb_for_each_attr(attr, info, type, rem)			       \
	nlmsg_for_each_attr(attr, (info)->nlhdr, GENL_HDRLEN, rem)	       \
		if (nla_type(attr) == (type))

#define wlb_for_each_nested(attr, nest, type, rem)			       \
	nla_for_each_nested(attr, nest, rem)				       \
		if (nla_type(attr) == (type))

#endif /* WLB_CONF_H */
