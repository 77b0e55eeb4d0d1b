// SPDX-License-Identifier: GPL-2.0-only
/* wlb: wide-area selection of the nearest replica. Life of module and namespace. */
#include <linux/module.h>
#include <linux/netdevice.h>
#include <net/net_namespace.h>

#include "cache.h"
#include "conf.h"
#include "direct.h"
#include "fast.h"
#include "flow.h"
#include "group.h"
#include "hint.h"
#include "cookie.h"
#include "hold.h"
#include "learned.h"
#include "path.h"
#include "process.h"
#include "race.h"
#include "reply.h"

unsigned int wlb_net_id;

/* not assigned by IANA, and neither Fast Open's, SMC's nor HOST_ID's */
unsigned short wlb_exid = 0x574c;
module_param_named(exid, wlb_exid, ushort, 0444);
MODULE_PARM_DESC(exid,
		 "experiment identifier of the tag, TCP option kind 253 (0x574c)");

static int __net_init wlb_net_init(struct net *net)
{
	struct wlb_net *wn = wlb_pernet(net);

	wn->net = net;
	mutex_init(&wn->lock);
	INIT_DELAYED_WORK(&wn->lease, wlb_lease_over);
	INIT_RCU_WORK(&wn->retire, wlb_routers_retire);
	wn->stats = alloc_percpu(struct wlb_stats);
	return wn->stats ? 0 : -ENOMEM;
}

static void __net_exit wlb_net_pre_exit(struct net *net)
{
	struct wlb_net *wn = wlb_pernet(net);

	mutex_lock(&wn->lock);
	wlb_hooks_update(wn, 0);
	wlb_rewrite_off(wn);
	mutex_unlock(&wn->lock);
}

/* After a grace period: no hook runs any more. */
static void __net_exit wlb_net_exit(struct net *net)
{
	struct wlb_net *wn = wlb_pernet(net);

	cancel_delayed_work_sync(&wn->lease);
	wlb_hold_free(wn->hold);
	wlb_table_free(wn->table);
	wlb_peers_free(wn->peers);
	wlb_ways_free(wn->ways);
	wlb_races_free(wn->races);
	wlb_hints_free(wn->hints);
	wlb_jar_free(wn->jar);
	wlb_cookies_free(wn->cookies);
	wlb_learned_free(wn->learned);
	wlb_questions_free(wn->questions);
	wlb_nonces_free(wn->nonces);
	wlb_paths_free(wn->paths);
	wlb_cg_free(rcu_dereference_protected(wn->cg, true));
	wlb_sg_free(rcu_dereference_protected(wn->sg, true));
	wlb_rep_free(rcu_dereference_protected(wn->rep, true));
	wlb_router_free_all(wn);
	wlb_cache_free(rcu_dereference_protected(wn->cache, true));
	wlb_bypasses_free(wn->bypasses);
	kvfree(wn->fars);
	wlb_process_free(rcu_dereference_protected(wn->process, true));
	free_percpu(wn->stats);
}

static struct pernet_operations wlb_net_ops = {
	.init = wlb_net_init,
	.pre_exit = wlb_net_pre_exit,
	.exit = wlb_net_exit,
	.id = &wlb_net_id,
	.size = sizeof(struct wlb_net),
};

/* Taking off the notifier tells it that every device goes down. */
static bool wlb_exiting;

static int wlb_dev_event(struct notifier_block *nb, unsigned long event,
			 void *ptr)
{
	struct net_device *dev = netdev_notifier_info_to_dev(ptr);
	struct wlb_net *wn = wlb_pernet(dev_net(dev));

	if ((event == NETDEV_DOWN || event == NETDEV_UNREGISTER) &&
	    READ_ONCE(wn->hold) && !wlb_exiting)
		wlb_hold_dev_down(wn->hold, dev);
	return NOTIFY_DONE;
}

static struct notifier_block wlb_dev_notifier = {
	.notifier_call = wlb_dev_event,
};

static int __init wlb_init(void)
{
	int err;

	err = wlb_flow_init();
	if (err)
		return err;
	err = register_pernet_subsys(&wlb_net_ops);
	if (err)
		goto err_flow;
	err = register_netdevice_notifier(&wlb_dev_notifier);
	if (err)
		goto err_pernet;
	err = wlb_genl_init();
	if (err)
		goto err_notifier;
	return 0;

err_notifier:
	unregister_netdevice_notifier(&wlb_dev_notifier);
err_pernet:
	unregister_pernet_subsys(&wlb_net_ops);
	rcu_barrier();
err_flow:
	wlb_flow_exit();
	return err;
}

static void __exit wlb_exit(void)
{
	wlb_genl_exit();
	wlb_exiting = true;
	unregister_netdevice_notifier(&wlb_dev_notifier);
	unregister_pernet_subsys(&wlb_net_ops);
	/* peers are freed by call_rcu() with code of ours */
	rcu_barrier();
	wlb_flow_exit();
}

module_init(wlb_init);
module_exit(wlb_exit);

MODULE_DESCRIPTION("wide-area selection of the nearest replica by SYN race");
MODULE_LICENSE("GPL");
MODULE_VERSION(WLB_VERSION);
