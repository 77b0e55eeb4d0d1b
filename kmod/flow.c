// SPDX-License-Identifier: GPL-2.0-only
/* The translation table: its entries, their memory and their end. */
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "conf.h"
#include "flow.h"
#include "learned.h"
#include "live.h"
#include "race.h"
#include "trace.h"

#define WLB_TABLE_BITS		17
#define WLB_QUOTA_BUCKETS	4096
#define WLB_EVICT_RANGE		8	/* buckets searched for a racing flow */
#define WLB_DEAD_MANY		1024	/* wake the worker */
#define WLB_DEAD_MAX		65536	/* it cannot keep up: take no more */
#define WLB_SWEEPS		8	/* worker runs per pass over the table */
#define WLB_REAP_RUNS		40	/* and per look for idle winners */
#define WLB_AT_ONCE		64	/* flows and buckets before others' turn */

static unsigned int flow_table_bits = WLB_TABLE_BITS;
module_param(flow_table_bits, uint, 0444);
MODULE_PARM_DESC(flow_table_bits,
		 "log2 of hash buckets of a client gateway's flow table, 10..24 (17)");

static struct kmem_cache *wlb_flow_cache[2];	/* IPv4, IPv6 */

int wlb_flow_init(void)
{
	unsigned int size = sizeof(struct wlb_flow);

	flow_table_bits = clamp(flow_table_bits, 10U, 24U);
	wlb_flow_cache[0] = kmem_cache_create("wlb_flow4",
					      size + 2 * sizeof(__be32), 0,
					      SLAB_HWCACHE_ALIGN, NULL);
	wlb_flow_cache[1] = kmem_cache_create("wlb_flow6",
					      size + 8 * sizeof(__be32), 0,
					      SLAB_HWCACHE_ALIGN, NULL);
	if (wlb_flow_cache[0] && wlb_flow_cache[1])
		return 0;
	wlb_flow_exit();
	return -ENOMEM;
}

void wlb_flow_exit(void)
{
	kmem_cache_destroy(wlb_flow_cache[0]);
	kmem_cache_destroy(wlb_flow_cache[1]);
}

/* Half-open flows of a client, or of all whose hash is the same. */
static atomic_t *wlb_quota(struct wlb_table *t, const union wlb_addr *client,
			   bool v6)
{
	const u64 *k = t->flow_key;
	u64 sum = k[0] + k[2] * client->word[0] + (v6 ? k[3] * client->word[1] : 0);

	return &t->quota[(sum >> 32) % WLB_QUOTA_BUCKETS];
}

void wlb_flow_settled(struct wlb_table *t, const struct wlb_flow *f)
{
	atomic_dec(wlb_quota(t, wlb_flow_client(f), wlb_flow_is_v6(f)));
	atomic_dec(&t->racing);
}

static struct wlb_flow *wlb_flow_alloc(const struct wlb_flow_key *key,
				       const union wlb_addr *server, gfp_t gfp)
{
	struct wlb_flow *f = kmem_cache_zalloc(wlb_flow_cache[key->v6], gfp);
	unsigned int len = wlb_addr_len(key->v6);

	if (!f)
		return NULL;
	f->client_port = key->client_port;
	f->server_port = key->server_port;
	f->fsm.flags = key->v6 ? WLB_FSM_CALLER : 0;
	memcpy(f->addr, key->client, len);
	memcpy((u8 *)f->addr + len, server, len);
	return f;
}

static void wlb_flow_link(struct wlb_table *t, u32 hash, struct wlb_flow *f)
{
	hlist_add_head_rcu(&f->node, &t->heads[hash & t->mask]);
	atomic_inc(&t->flows);
}

struct wlb_flow *wlb_flow_add(struct wlb_table *t, u32 hash,
			      const struct wlb_flow_key *key,
			      const union wlb_addr *server, u32 isn,
			      u32 timeout, u32 quota, int *stat)
{
	atomic_t *half_open = wlb_quota(t, key->client, key->v6);
	struct wlb_flow *f;

	if (atomic_read(half_open) >= quota) {
		*stat = WLB_STAT_syn_client_quota;
		return NULL;
	}
	f = wlb_flow_alloc(key, server, GFP_ATOMIC);
	if (!f) {
		*stat = WLB_STAT_syn_no_memory;
		return NULL;
	}
	wlb_fsm_start(&f->fsm, isn, get_random_u16(), wlb_now_us());
	f->expires = (u32)jiffies + timeout * HZ;
	wlb_flow_link(t, hash, f);
	atomic_inc(half_open);
	atomic_inc(&t->racing);
	return f;
}

int wlb_flow_restore(struct wlb_table *t, const struct wlb_flow_key *key,
		     const union wlb_addr *server, const struct wlb_fsm *fsm,
		     struct wlb_peer *winner, u32 ms)
{
	struct wlb_flow *f = wlb_flow_alloc(key, server, GFP_KERNEL);
	u32 hash = wlb_flow_hash(t, key);

	if (!f)
		return -ENOMEM;
	f->fsm = *fsm;
	f->fsm.flags |= key->v6 ? WLB_FSM_CALLER : 0;
	f->expires = (u32)jiffies + (u32)msecs_to_jiffies(ms);
	f->winner = winner ? winner->id : 0;
	wlb_flow_lock(t, hash);
	if (wlb_flow_to_server(t, hash, key, server)) {
		wlb_flow_unlock(t, hash);
		kmem_cache_free(wlb_flow_cache[key->v6], f);
		return -EEXIST;
	}
	wlb_flow_link(t, hash, f);
	wlb_flow_unlock(t, hash);
	return 0;
}

static void wlb_flow_trace_end(const struct wlb_net *wn, const struct wlb_flow *f,
			       const char *why)
{
	const bool v6 = wlb_flow_is_v6(f);
	const struct wlb_flow_key key = {
		.client = wlb_flow_client(f), .client_port = f->client_port,
		.server_port = f->server_port, .v6 = v6,
	};
	const struct wlb_peer *winner = wlb_flow_winner(wn, f);

	trace_wlb_flow_end(wn, &key, wlb_flow_server(f, v6), winner ? &winner->addr : NULL,
			   why);
}

void wlb_flow_del(struct wlb_table *t, struct wlb_flow *f, const char *why)
{
	bool many;

	if (trace_wlb_flow_end_enabled())
		wlb_flow_trace_end(t->wn, f, why);
	hlist_del_rcu(&f->node);
	if (f->fsm.state == WLB_FLOW_RACING)
		wlb_flow_settled(t, f);
	atomic_dec(&t->flows);
	/* readers follow ->next only: ->pprev is free to chain the dead */
	spin_lock_bh(&t->dead_lock);
	f->node.pprev = (struct hlist_node **)t->dead;
	t->dead = &f->node;
	WRITE_ONCE(t->n_dead, t->n_dead + 1);
	many = t->n_dead == WLB_DEAD_MANY;
	spin_unlock_bh(&t->dead_lock);
	if (many)
		mod_delayed_work(system_power_efficient_wq, &t->gc, 0);
}

static void wlb_table_bury(struct wlb_table *t)
{
	struct hlist_node *dead, *next;
	unsigned int n = 0;

	spin_lock_bh(&t->dead_lock);
	dead = t->dead;
	t->dead = NULL;
	WRITE_ONCE(t->n_dead, 0);
	spin_unlock_bh(&t->dead_lock);
	if (!dead)
		return;
	synchronize_rcu();
	for (; dead; dead = next) {
		struct wlb_flow *f = hlist_entry(dead, struct wlb_flow, node);

		next = (struct hlist_node *)dead->pprev;
		wlb_peer_put(wlb_flow_winner(t->wn, f));
		kmem_cache_free(wlb_flow_cache[wlb_flow_is_v6(f)], f);
		if (!(++n % WLB_AT_ONCE))
			cond_resched();
	}
}

bool wlb_flow_full(const struct wlb_table *t, u32 max_flows)
{
	return atomic_read(&t->flows) >= max_flows ||
	       READ_ONCE(t->n_dead) >= WLB_DEAD_MAX;
}

bool wlb_flow_over_quota(struct wlb_table *t, const union wlb_addr *client,
			 bool v6, u32 quota)
{
	return atomic_read(wlb_quota(t, client, v6)) >= quota;
}

static bool wlb_flow_older(const struct wlb_flow *a, const struct wlb_flow *b)
{
	return (s32)(READ_ONCE(a->expires) - READ_ONCE(b->expires)) < 0;
}

/* Forgets the oldest flow in @state of the first bucket that has one. */
static bool wlb_flow_evict_state(struct wlb_table *t, u32 hash,
				 enum wlb_flow_state state, enum wlb_stat stat)
{
	unsigned int i;

	for (i = 0; i < WLB_EVICT_RANGE; i++, hash++) {
		struct wlb_flow *f, *oldest = NULL;

		wlb_flow_lock(t, hash);
		hlist_for_each_entry(f, &t->heads[hash & t->mask], node)
			if (f->fsm.state == state &&
			    (!oldest || wlb_flow_older(f, oldest)))
				oldest = f;
		if (oldest) {
			wlb_flow_del(t, oldest, "evicted");
			wlb_count(t->wn, stat);
		}
		wlb_flow_unlock(t, hash);
		if (oldest)
			return true;
	}
	return false;
}

void wlb_flow_evict(struct wlb_table *t, u32 hash)
{
	/* the worker is behind: one more dead flow would make no room */
	if (READ_ONCE(t->n_dead) >= WLB_DEAD_MAX)
		return;
	/* without its tombstone a late answer is reset by the client itself */
	if (!wlb_flow_evict_state(t, hash, WLB_FLOW_RACING,
				  WLB_STAT_race_evicted))
		wlb_flow_evict_state(t, hash, WLB_FLOW_TOMBSTONE,
				     WLB_STAT_tombstone_evicted);
}

static void wlb_table_expire(struct wlb_table *t, u32 bucket)
{
	struct hlist_node *next;
	struct wlb_flow *f;

	if (hlist_empty(&t->heads[bucket]))
		return;
	wlb_flow_lock(t, bucket);
	hlist_for_each_entry_safe(f, next, &t->heads[bucket], node) {
		if (!wlb_flow_expired(f))
			continue;
		if (f->fsm.state == WLB_FLOW_RACING)
			wlb_count(t->wn, WLB_STAT_race_unanswered);
		wlb_flow_del(t, f, "expired");
	}
	wlb_flow_unlock(t, bucket);
}

/* The worker's other chore, by the settings of now. */
static void wlb_table_reap(struct wlb_net *wn)
{
	struct wlb_learned *learned = READ_ONCE(wn->learned);
	u32 ttl = 0, max = 0;
	struct wlb_cg *cg;

	rcu_read_lock();
	cg = rcu_dereference(wn->cg);
	if (cg) {
		ttl = cg->learned;
		max = cg->max_learned;
	}
	rcu_read_unlock();
	if (learned && ttl)
		wlb_learned_reap(learned, ttl, max);
}

static void wlb_table_gc(struct work_struct *work)
{
	struct wlb_table *t = container_of(work, struct wlb_table, gc.work);
	u32 n = (t->mask + 1) / WLB_SWEEPS;

	for (; n && atomic_read(&t->flows); n--) {
		wlb_table_expire(t, t->gc_bucket);
		wlb_live_watch(t, t->gc_bucket);
		t->gc_bucket = (t->gc_bucket + 1) & t->mask;
		if (!(n % WLB_AT_ONCE))
			cond_resched();
	}
	wlb_table_bury(t);
	wlb_table_reap(t->wn);
	if (!(++t->gc_runs % WLB_REAP_RUNS))
		wlb_peers_reap(t->wn->peers, false);
	queue_delayed_work(system_power_efficient_wq, &t->gc, HZ / 4);
}

void wlb_table_start(struct wlb_table *t)
{
	queue_delayed_work(system_power_efficient_wq, &t->gc, HZ);
}

void wlb_table_stop(struct wlb_table *t)
{
	wlb_table_flush(t, NULL, NULL, NULL, false);
	cancel_delayed_work_sync(&t->gc);
	wlb_table_bury(t);
	/* their routes hold on to devices */
	wlb_peers_reap(t->wn->peers, true);
}

struct wlb_table *wlb_table_alloc(struct wlb_net *wn)
{
	struct wlb_table *t = kzalloc(sizeof(*t), GFP_KERNEL_ACCOUNT);
	unsigned int i;

	if (!t)
		return NULL;
	t->wn = wn;
	t->mask = (1U << flow_table_bits) - 1;
	get_random_bytes(t->flow_key, sizeof(t->flow_key));
	spin_lock_init(&t->dead_lock);
	INIT_DELAYED_WORK(&t->gc, wlb_table_gc);
	t->heads = kvcalloc(t->mask + 1, sizeof(*t->heads), GFP_KERNEL_ACCOUNT);
	t->quota = kcalloc(WLB_QUOTA_BUCKETS, sizeof(*t->quota), GFP_KERNEL_ACCOUNT);
	t->locks = kcalloc(WLB_FLOW_LOCKS, sizeof(*t->locks), GFP_KERNEL_ACCOUNT);
	if (!t->heads || !t->quota || !t->locks)
		goto err_free;
	for (i = 0; i < WLB_FLOW_LOCKS; i++)
		spin_lock_init(&t->locks[i]);
	return t;

err_free:
	kvfree(t->heads);
	kfree(t->quota);
	kfree(t->locks);
	kfree(t);
	return NULL;
}

void wlb_table_free(struct wlb_table *t)
{
	if (!t)
		return;
	wlb_table_stop(t);
	kvfree(t->heads);
	kfree(t->quota);
	kfree(t->locks);
	kfree(t);
}

static bool wlb_flow_fits(const struct wlb_net *wn, const struct wlb_flow *f,
			  const union wlb_addr *client, const union wlb_addr *server,
			  const union wlb_addr *winner, bool v6)
{
	const struct wlb_peer *peer = wlb_flow_winner(wn, f);

	if (!client && !server && !winner)
		return true;
	if (wlb_flow_is_v6(f) != v6)
		return false;
	return (!client || wlb_addr_eq(wlb_flow_client(f), client, v6)) &&
	       (!server || wlb_addr_eq(wlb_flow_server(f, v6), server, v6)) &&
	       (!winner || (peer && wlb_addr_eq(&peer->addr, winner, v6)));
}

u32 wlb_table_flush(struct wlb_table *t, const union wlb_addr *client,
		    const union wlb_addr *server, const union wlb_addr *winner,
		    bool v6)
{
	struct hlist_node *next;
	struct wlb_flow *f;
	u32 bucket, n = 0;

	for (bucket = 0; bucket <= t->mask; bucket++) {
		if (!(bucket % 1024))
			cond_resched();
		if (hlist_empty(&t->heads[bucket]))
			continue;
		wlb_flow_lock(t, bucket);
		hlist_for_each_entry_safe(f, next, &t->heads[bucket], node) {
			if (!wlb_flow_fits(t->wn, f, client, server, winner, v6))
				continue;
			if (f->fsm.state == WLB_FLOW_RACING)
				wlb_count(t->wn, WLB_STAT_race_flushed);
			wlb_flow_del(t, f, "flushed");
			n++;
		}
		wlb_flow_unlock(t, bucket);
	}
	WRITE_ONCE(t->generation, t->generation + 1);
	return n;
}
