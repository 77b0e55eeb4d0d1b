/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Race mode `direct`: the client's gateway clones a SYN itself, straight to those who are
 * known to answer for its origin (FIG 3 at the other end, after one won race).
 */
#ifndef WLB_DIRECT_H
#define WLB_DIRECT_H

#include "conf.h"
#include "flow.h"

/* SYNs asked about of late: a fixed number, each the latest that fell into its slot. */
struct wlb_questions;

void wlb_questions_free(struct wlb_questions *questions);

/* Makes what some service of a client gateway needs to ask, for good; 0 or -ENOMEM. */
int wlb_direct_prepare(struct wlb_net *wn);

/* A client's SYN: with the same sequence number it is the same SYN, repeated. */
struct wlb_syn {
	const struct wlb_flow_key *key;
	const union wlb_addr *server;
	u32 isn;		/* host order */
};

/* Whom to clone a SYN to. */
struct wlb_ask {
	bool permit;		/* the server's gateway may, too */
	unsigned int n;
	struct {
		union wlb_addr addr;
		u8 via;		/* enum wlb_via */
	} to[WLB_MAX_ANSWERS];
};

/* Decides that for a SYN of a service with WLB_SERVICE_DIRECT, and counts it. RCU. */
void wlb_direct_ask(struct wlb_net *wn, const struct wlb_cg *cg,
		    const struct wlb_service *service, const struct wlb_syn *syn,
		    bool repeated, struct wlb_ask *ask);

/* Clones the tagged SYN @p so, with the race's tag. RCU, any context. */
void wlb_direct_send(struct wlb_net *wn, const struct sk_buff *skb,
		     const struct wlb_pkt *p, const struct wlb_tag *tag,
		     const struct wlb_ask *ask);

/*
 * A replica at @from that may answer has answered @syn; @via is how, -1 if not
 * encapsulated, @won: it is the first. True if it was asked by a clone of ours. RCU.
 */
bool wlb_direct_answered(struct wlb_net *wn, const struct wlb_cg *cg,
			 const struct wlb_syn *syn, const union wlb_addr *from, int via,
			 bool won);

#endif /* WLB_DIRECT_H */
