// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the roles hang in the stack, registered per namespace only while a role
 * is on. A namespace without one pays nothing.
 */
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <net/netfilter/ipv4/nf_defrag_ipv4.h>
#include <net/netfilter/ipv6/nf_defrag_ipv6.h>

#include "far.h"
#include "hold.h"
#include "net.h"

#define WLB_HOOK(role_, fn_, hook_, priority_)				       \
	{ role_, { .hook = fn_##4, .pf = NFPROTO_IPV4, .hooknum = hook_,       \
		   .priority = priority_ } },				       \
	{ role_, { .hook = fn_##6, .pf = NFPROTO_IPV6, .hooknum = hook_,       \
		   .priority = priority_ } }

static const struct {
	u32 role;
	struct nf_hook_ops ops;
} wlb_hooks[] = {
	/* behind defragmentation, before raw and connection tracking */
	WLB_HOOK(WLB_ROLE_CLIENT_GATEWAY, wlb_cg_in, NF_INET_PRE_ROUTING,
		 NF_IP_PRI_RAW - 1),
	/* in its place for what the host sends itself */
	WLB_HOOK(WLB_ROLE_CLIENT_GATEWAY, wlb_cg_local, NF_INET_LOCAL_OUT,
		 NF_IP_PRI_RAW - 1),
	/* behind source NAT: with the hooks above, outside all of the rest */
	WLB_HOOK(WLB_ROLE_CLIENT_GATEWAY, wlb_cg_out, NF_INET_POST_ROUTING,
		 NF_IP_PRI_CONNTRACK_HELPER + 1),
	WLB_HOOK(WLB_ROLE_SERVER_GATEWAY, wlb_sg_clone, NF_INET_FORWARD,
		 WLB_SG_PRIORITY),
	WLB_HOOK(WLB_ROLE_SERVER_GATEWAY, wlb_sg_clone, NF_INET_LOCAL_IN,
		 WLB_SG_PRIORITY),
	/* answers of a server that is this host */
	WLB_HOOK(WLB_ROLE_SERVER_GATEWAY, wlb_sg_local, NF_INET_LOCAL_OUT,
		 WLB_SG_PRIORITY),
	WLB_HOOK(WLB_ROLE_REPLICA, wlb_replica_crack, NF_INET_PRE_ROUTING,
		 NF_IP_PRI_RAW - 1),
	/* behind the host's own NAT, as above */
	WLB_HOOK(WLB_ROLE_REPLICA, wlb_replica_reply, NF_INET_POST_ROUTING,
		 NF_IP_PRI_CONNTRACK_HELPER + 1),
	/* before routing: what is redirected costs no more of the way */
	WLB_HOOK(WLB_ROLE_CACHE_ROUTER, wlb_redirect_in, NF_INET_PRE_ROUTING,
		 NF_IP_PRI_RAW - 1),
	/*
	 * Behind the forward chain and source NAT. The packet goes on from here,
	 * so that connection tracking, which is last, knows its flow.
	 */
	WLB_HOOK(WLB_ROLE_CACHE_ROUTER, wlb_redirect_out, NF_INET_POST_ROUTING,
		 NF_IP_PRI_CONNTRACK_HELPER + 1),
	/* what is returned is no flow of this host's; the rest is one from here on */
	WLB_HOOK(WLB_ROLE_CACHE, wlb_cache_in, NF_INET_PRE_ROUTING,
		 NF_IP_PRI_RAW - 1),
	/* behind what sends packets to caches: those do not pass */
	WLB_HOOK(WLB_ROLE_PROCESS, wlb_process_out, NF_INET_POST_ROUTING,
		 NF_IP_PRI_CONNTRACK_HELPER + 2),
};

#define WLB_ROLE_HOOKED		(WLB_ROLE_ALL | WLB_ROLE_CACHE_ROUTER | \
				 WLB_ROLE_CACHE | WLB_ROLE_PROCESS)

static unsigned int wlb_hooks_of(struct wlb_net *wn, u32 role,
				 struct nf_hook_ops *ops)
{
	unsigned int i, n = 0;

	for (i = 0; i < ARRAY_SIZE(wlb_hooks); i++) {
		if (wlb_hooks[i].role != role)
			continue;
		ops[n] = wlb_hooks[i].ops;
		ops[n].priv = wn;
		n++;
	}
	return n;
}

static int wlb_role_on(struct wlb_net *wn, u32 role)
{
	struct nf_hook_ops *ops;
	unsigned int n;
	int err;

	if (!wn->fars && role & (WLB_ROLE_CACHE_ROUTER | WLB_ROLE_CACHE |
				 WLB_ROLE_PROCESS)) {
		wn->fars = kvzalloc(sizeof(*wn->fars), GFP_KERNEL_ACCOUNT);
		if (!wn->fars)
			return -ENOMEM;
	}
	/* ports are in the first fragment only */
	err = nf_defrag_ipv4_enable(wn->net);
	if (err)
		return err;
	err = nf_defrag_ipv6_enable(wn->net);
	if (err)
		goto err_defrag4;
	ops = wn->ops[ilog2(role)];
	n = wlb_hooks_of(wn, role, ops);
	err = nf_register_net_hooks(wn->net, ops, n);
	if (err)
		goto err_defrag6;
	wn->hooked |= role;
	return 0;

err_defrag6:
	nf_defrag_ipv6_disable(wn->net);
err_defrag4:
	nf_defrag_ipv4_disable(wn->net);
	return err;
}

static void wlb_role_off(struct wlb_net *wn, u32 role)
{
	struct nf_hook_ops *ops = wn->ops[ilog2(role)];
	unsigned int n = 0;

	while (n < WLB_HOOKS_PER_ROLE && ops[n].hook)
		n++;
	nf_unregister_net_hooks(wn->net, ops, n);
	nf_defrag_ipv6_disable(wn->net);
	nf_defrag_ipv4_disable(wn->net);
	wn->hooked &= ~role;
}

int wlb_hooks_update(struct wlb_net *wn, u32 roles)
{
	u32 role;
	int err;

	for (role = 1; role & WLB_ROLE_HOOKED; role <<= 1) {
		if (!(roles & role) || (wn->hooked & role))
			continue;
		err = wlb_role_on(wn, role);
		if (err)
			return err;
	}
	for (role = 1; role & WLB_ROLE_HOOKED; role <<= 1)
		if (!(roles & role) && (wn->hooked & role))
			wlb_role_off(wn, role);
	return 0;
}
