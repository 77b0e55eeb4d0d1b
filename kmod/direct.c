// SPDX-License-Identifier: GPL-2.0-only
/* Whom the client's gateway asks directly, and what their answers tell. */
#include <linux/random.h>
#include <linux/slab.h>

#include "clone.h"
#include "direct.h"
#include "hash.h"
#include "hint.h"
#include "learned.h"
#include "race.h"

#define WLB_QUESTIONS		4096
#define WLB_DIRECT_MISSES	3	/* in a row, and its answers are late as well */
#define WLB_DIRECT_BACKOFF	30	/* s, doubled each time */
#define WLB_DIRECT_OTHERS	16	/* one SYN in so many asks one that is farther */
#define WLB_DIRECT_TRY		2	/* s, the same where that costs nobody his nearest */
#define WLB_DIRECT_CROWD	4	/* one newcomer in so many displaces the farthest */

struct wlb_question {
	spinlock_t lock;	/* of the rest; inside a bucket's of wlb_learned */
	u32 sent_us;
	u64 who;		/* hash of the SYN; 0: nothing here */
	u8 asked;		/* 1 << place among the origin's answerers */
	u8 answered;
	bool repeated;
	bool sole;		/* nobody else has cloned it */
};

struct wlb_questions {
	siphash_key_t key;
	struct wlb_question slot[WLB_QUESTIONS];
};

static struct wlb_questions *wlb_questions_alloc(void)
{
	struct wlb_questions *q = kvzalloc(sizeof(*q), GFP_KERNEL_ACCOUNT);
	unsigned int i;

	BUILD_BUG_ON(WLB_MAX_ANSWERS > 8);
	if (!q)
		return NULL;
	get_random_bytes(&q->key, sizeof(q->key));
	for (i = 0; i < WLB_QUESTIONS; i++)
		spin_lock_init(&q->slot[i].lock);
	return q;
}

int wlb_direct_prepare(struct wlb_net *wn)
{
	struct wlb_learned *learned;

	/* whoever sees the configuration sees them */
	if (!wn->questions)
		wn->questions = wlb_questions_alloc();
	if (wn->learned || !wn->questions)
		return wn->questions ? 0 : -ENOMEM;
	learned = wlb_learned_alloc(wn);
	if (!learned)
		return -ENOMEM;
	WRITE_ONCE(wn->learned, learned);
	return 0;
}

void wlb_questions_free(struct wlb_questions *questions)
{
	kvfree(questions);
}

/* Never 0, which is nobody. */
static u64 wlb_question_hash(const struct wlb_questions *q, const struct wlb_syn *syn)
{
	return wlb_syn_hash(&q->key, syn->key->client, syn->server, syn->key->v6,
			    syn->key->client_port, syn->key->server_port,
			    syn->isn) ?: 1;
}

static void wlb_question_note(struct wlb_questions *questions,
			      const struct wlb_syn *syn, u8 asked, bool repeated,
			      bool sole)
{
	u64 who = wlb_question_hash(questions, syn);
	struct wlb_question *q = &questions->slot[who % WLB_QUESTIONS];

	spin_lock_bh(&q->lock);
	if (q->who != who) {
		q->who = who;
		q->asked = 0;
		q->answered = 0;
	}
	q->asked |= asked;
	q->repeated = repeated;
	q->sole = sole;
	q->sent_us = wlb_now_us();
	spin_unlock_bh(&q->lock);
}

/* What is known of the SYN that the answerer at place @i answers. */
struct wlb_told {
	bool known;		/* else no more than that it is one of ours */
	bool again;		/* this answerer has answered before */
	bool asked;
	bool sole;
	bool repeated;
	u32 delay_us;
};

static void wlb_question_told(struct wlb_questions *questions,
			      const struct wlb_syn *syn, unsigned int i,
			      struct wlb_told *told)
{
	u64 who = wlb_question_hash(questions, syn);
	struct wlb_question *q = &questions->slot[who % WLB_QUESTIONS];

	memset(told, 0, sizeof(*told));
	spin_lock_bh(&q->lock);
	if (q->who == who) {
		told->known = true;
		told->again = q->answered & (1U << i);
		told->asked = q->asked & (1U << i);
		told->sole = q->sole;
		told->repeated = q->repeated;
		told->delay_us = max(wlb_now_us() - q->sent_us, 1U);
		q->answered |= 1U << i;
	}
	spin_unlock_bh(&q->lock);
}

/* How long an answer may be under way before a question counts as missed. */
static u32 wlb_answerer_patience(const struct wlb_answerer *a)
{
	return usecs_to_jiffies(clamp(wlb_answerer_us(a), 50000U, 250000U) * 4);
}

static void wlb_answerer_rest(struct wlb_answerer *a, u32 ttl)
{
	u32 s = min_t(u64, (u64)WLB_DIRECT_BACKOFF << a->backoffs, ttl);

	if (s < ttl && a->backoffs < 30)
		a->backoffs++;
	a->silent = true;
	a->until = (u32)jiffies + s * HZ;
}

/* May it be asked now? Who has just missed too many may not for a while. */
static bool wlb_answerer_awake(struct wlb_answerer *a, u32 ttl)
{
	if (a->silent)
		return (s32)((u32)jiffies - a->until) >= 0;
	if (a->missed < WLB_DIRECT_MISSES ||
	    (u32)jiffies - a->since < wlb_answerer_patience(a))
		return true;
	wlb_answerer_rest(a, ttl);
	return false;
}

/* It is asked. Only a SYN that nobody else has cloned can be missed for sure. */
static void wlb_answerer_asked(struct wlb_answerer *a, bool sole, u32 ttl)
{
	a->asked++;
	if (a->silent)
		wlb_answerer_rest(a, ttl);
	if (!sole)
		return;
	if (!a->missed)
		a->since = (u32)jiffies;
	if (a->missed < U8_MAX)
		a->missed++;
}

/* Who was silent, and is asked to see whether he still is, is nobody's nearest. */
static u32 wlb_answerer_rank(const struct wlb_answerer *a)
{
	return a->silent ? U32_MAX : wlb_answerer_us(a);
}

/* Places of those who may be asked, the nearest first. */
static unsigned int wlb_known_rank(struct wlb_known *k,
				   const struct wlb_service *service, u32 ttl,
				   u8 *rank)
{
	unsigned int i, j, n = 0;

	for (i = 0; i < WLB_MAX_ANSWERS; i++) {
		struct wlb_answerer *a = &k->answerer[i];

		if (!a->used || !wlb_service_lists(service, &a->addr, k->v6) ||
		    !wlb_answerer_awake(a, ttl))
			continue;
		for (j = n++; j && wlb_answerer_rank(a) <
		     wlb_answerer_rank(&k->answerer[rank[j - 1]]); j--)
			rank[j] = rank[j - 1];
		rank[j] = i;
	}
	return n;
}

/*
 * Of @n in their ranks the first @fan_out, but for the last of them: somebody whose
 * distance is not measured yet, or who was silent, at once if that costs nobody his
 * nearest, and now and then any other, so that ranks stay true.
 */
static unsigned int wlb_known_choose(struct wlb_known *k, unsigned int fan_out,
				     bool explore, u8 *rank, unsigned int n)
{
	bool now = explore || !(get_random_u32() % WLB_DIRECT_OTHERS) ||
		   (fan_out > 1 &&
		    (u32)jiffies - k->tried >= WLB_DIRECT_TRY * HZ);
	unsigned int i;

	if (n <= fan_out)
		return n;
	for (i = fan_out; i < n; i++) {
		const struct wlb_answerer *a = &k->answerer[rank[i]];

		if ((!a->rtt_us || a->silent) && (now || fan_out > 1))
			break;
	}
	if (i == n && now)
		i = fan_out + get_random_u32() % (n - fan_out);
	if (i < n) {
		rank[fan_out - 1] = rank[i];
		k->tried = (u32)jiffies;
	}
	return fan_out;
}

/*
 * Whom the client had last, and whose answer alone counts for it, is among those asked,
 * silent or not. False if he is nobody that we know how to ask.
 */
static bool wlb_known_prefer(struct wlb_net *wn, struct wlb_known *k,
			     const struct wlb_service *service,
			     const struct wlb_syn *syn, u8 *rank, unsigned int *n)
{
	union wlb_addr last = {};
	struct wlb_answerer *a;
	unsigned int i;

	if (!service->sticky ||
	    !wlb_hint_preferred(wn->hints, syn->key->client, syn->server, k->v6,
				&last) ||
	    wlb_addr_eq(&last, syn->server, k->v6))
		return true;
	a = wlb_known_answerer(k, &last);
	if (!a || !wlb_service_lists(service, &last, k->v6))
		return false;
	for (i = 0; i < *n; i++)
		if (rank[i] == a - k->answerer)
			return true;
	*n = min_t(unsigned int, *n + 1, service->fan_out);
	rank[*n - 1] = a - k->answerer;
	return true;
}

/* Of a known origin. What it counts as, if it is no repeated SYN. */
static enum wlb_stat wlb_known_ask(struct wlb_net *wn, const struct wlb_cg *cg,
				   const struct wlb_service *service,
				   struct wlb_known *k, const struct wlb_syn *syn,
				   bool repeated, struct wlb_ask *ask, u8 *asked)
{
	bool explore = service->explore && (u32)jiffies - k->explored >=
					   service->explore * HZ;
	bool reached, live = false;
	u8 rank[WLB_MAX_ANSWERS];
	unsigned int i;

	ask->n = wlb_known_rank(k, service, cg->learned, rank);
	ask->n = wlb_known_choose(k, service->fan_out, explore, rank, ask->n);
	reached = wlb_known_prefer(wn, k, service, syn, rank, &ask->n);
	for (i = 0; i < ask->n; i++)
		live |= !k->answerer[rank[i]].silent;
	ask->permit = repeated || explore || !live || !reached;
	if (ask->permit)
		k->explored = (u32)jiffies;
	for (i = 0; i < ask->n; i++) {
		struct wlb_answerer *a = &k->answerer[rank[i]];

		ask->to[i].addr = a->addr;
		ask->to[i].via = a->via;
		*asked |= 1U << rank[i];
		wlb_answerer_asked(a, !ask->permit, cg->learned);
	}
	if (!live)
		return WLB_STAT_direct_fallback;
	return ask->permit ? WLB_STAT_direct_explored : WLB_STAT_syn_direct;
}

void wlb_direct_ask(struct wlb_net *wn, const struct wlb_cg *cg,
		    const struct wlb_service *service, const struct wlb_syn *syn,
		    bool repeated, struct wlb_ask *ask)
{
	enum wlb_stat stat = WLB_STAT_direct_unknown;
	struct wlb_learned *l = wn->learned;
	bool v6 = syn->key->v6;
	struct wlb_known *k;
	u8 asked = 0;
	u32 hash;

	ask->n = 0;
	ask->permit = true;
	hash = wlb_known_hash(l, syn->server, syn->key->server_port, v6);
	k = wlb_known_find(l, hash, syn->server, syn->key->server_port, v6);
	if (!k) {
		wlb_question_note(wn->questions, syn, 0, repeated, false);
		goto count;
	}
	wlb_known_lock(l, hash);
	k = wlb_known_find(l, hash, syn->server, syn->key->server_port, v6);
	if (k && !wlb_known_prune(l, k, cg->learned)) {
		wlb_known_del(l, k, WLB_STAT_learned_expired);
		k = NULL;
	}
	if (k)
		stat = wlb_known_ask(wn, cg, service, k, syn, repeated, ask, &asked);
	/* nobody may answer before it is noted */
	wlb_question_note(wn->questions, syn, asked, repeated, !ask->permit);
	wlb_known_unlock(l, hash);
count:
	if (!repeated)
		wlb_count(wn, stat);
	else if (ask->n)
		wlb_count(wn, WLB_STAT_direct_repeated);
}

void wlb_direct_send(struct wlb_net *wn, const struct sk_buff *skb,
		     const struct wlb_pkt *p, const struct wlb_tag *tag,
		     const struct wlb_ask *ask)
{
	struct wlb_tag in_clone = *tag;
	unsigned int i;

	in_clone.offers |= WLB_OFFER_CLONED;
	/* the host's own SYNs come here in process context */
	local_bh_disable();
	for (i = 0; i < ask->n; i++) {
		struct wlb_tunnel tunnel = {
			.to = ask->to[i].addr, .v6 = p->v6, .via = ask->to[i].via,
		};
		struct sk_buff *clone = wlb_clone_make(skb, p, &in_clone);

		wlb_count(wn, !clone || wlb_clone_send(wn, clone, &tunnel) ?
			  WLB_STAT_direct_failed : WLB_STAT_direct_clones);
	}
	local_bh_enable();
}

/* A place for a newcomer: a free one, a silent one's, or by chance that of the farthest. */
static struct wlb_answerer *wlb_known_place(struct wlb_net *wn, struct wlb_known *k)
{
	struct wlb_answerer *far = NULL;
	unsigned int i;

	for (i = 0; i < WLB_MAX_ANSWERS; i++) {
		struct wlb_answerer *a = &k->answerer[i];

		if (!a->used)
			return a;
		if (!far || a->silent > far->silent ||
		    (a->silent == far->silent &&
		     wlb_answerer_us(a) > wlb_answerer_us(far)))
			far = a;
	}
	if (!far->silent && get_random_u32() % WLB_DIRECT_CROWD)
		return NULL;
	wlb_count(wn, WLB_STAT_learned_full);
	return far;
}

static struct wlb_answerer *wlb_known_learn(struct wlb_net *wn, struct wlb_known *k,
					    const union wlb_addr *from)
{
	struct wlb_answerer *a = wlb_known_place(wn, k);

	if (!a)
		return NULL;
	memset(a, 0, sizeof(*a));
	memcpy(&a->addr, from, wlb_addr_len(k->v6));
	a->via = WLB_VIA_GRE;
	a->used = true;
	wlb_count(wn, WLB_STAT_learned_new);
	return a;
}

static void wlb_answerer_answered(struct wlb_answerer *a, const struct wlb_told *told,
				  bool won)
{
	/* who is seldom asked may have come nearer meanwhile */
	u32 weight = (u32)jiffies - a->heard >= HZ ? 2 : 8;
	bool sure = told->asked && told->sole;
	u32 us = told->delay_us;

	a->heard = (u32)jiffies;
	if (!told->again) {
		a->answers++;
		a->wins += won;
	}
	/* whose SYN was repeated answers either (Karn) */
	if (told->known && !told->again && !told->repeated) {
		if (!sure)
			a->race_us = min(a->race_us ?: us, us);
		else if (a->rtt_us)
			a->rtt_us += ((s32)us - (s32)a->rtt_us) / (s32)weight;
		else
			a->rtt_us = us;
	}
	if (sure) {
		a->missed = 0;
		a->backoffs = 0;
		a->silent = false;
	} else if (a->missed >= WLB_DIRECT_MISSES) {
		/* alive, but maybe deaf to us: one more question will tell */
		a->missed = WLB_DIRECT_MISSES - 1;
		a->since = (u32)jiffies;
		a->silent = false;
	}
}

bool wlb_direct_answered(struct wlb_net *wn, const struct wlb_cg *cg,
			 const struct wlb_syn *syn, const union wlb_addr *from, int via,
			 bool won)
{
	struct wlb_learned *l = wn->learned;
	__be16 port = syn->key->server_port;
	struct wlb_answerer *a = NULL;
	struct wlb_told told = {};
	bool v6 = syn->key->v6;
	struct wlb_known *k;
	u32 hash;

	hash = wlb_known_hash(l, syn->server, port, v6);
	if (!wlb_known_find(l, hash, syn->server, port, v6))
		wlb_learned_room(l, cg->learned, cg->max_learned);
	wlb_known_lock(l, hash);
	k = wlb_known_find(l, hash, syn->server, port, v6) ?:
	    wlb_known_add(l, hash, syn->server, port, v6, cg->max_learned);
	if (k)
		a = wlb_known_answerer(k, from) ?: wlb_known_learn(wn, k, from);
	if (a) {
		wlb_question_told(wn->questions, syn, a - k->answerer, &told);
		wlb_answerer_answered(a, &told, won);
		if (via >= 0)
			a->via = via;
		wlb_known_heard(l, k);
	}
	wlb_known_unlock(l, hash);
	if (!k)
		wlb_count(wn, WLB_STAT_learned_failed);
	return told.asked;
}
