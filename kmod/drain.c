// SPDX-License-Identifier: GPL-2.0-only
/* Which cache: see drain.h. */
#include <linux/bsearch.h>
#include <linux/slab.h>

#include "drain.h"
#include "hash.h"

#define WLB_FLIGHT_SETS		8192
#define WLB_FLIGHT_WAYS		8

/*
 * A slot is one word, so that nobody needs a lock: the hash of addresses and ports
 * without its lowest 16 bits, and the member's id in these. The set comes from bits
 * of the hash that are cut off.
 */
struct wlb_flights {
	siphash_key_t key;
	u64 slot[WLB_FLIGHT_SETS][WLB_FLIGHT_WAYS];
};

struct wlb_drain {
	struct wlb_mapping *base;	/* when it began; NULL: no cache had any */
	unsigned long until;		/* jiffies */
	struct wlb_flights *flights;	/* the group's */
	/* buckets, or values modulo 256, whose new flows found no room */
	DECLARE_BITMAP(ended, WLB_BUCKETS);
};

void wlb_flights_free(struct wlb_flights *flights)
{
	kvfree(flights);
}

void wlb_drain_free(struct wlb_drain *drain)
{
	if (!drain)
		return;
	wlb_mapping_put(drain->base);
	kfree(drain);
}

/* Word by word: who thinks that the last drain is not over yet may look and write. */
static void wlb_flights_forget(struct wlb_flights *flights)
{
	unsigned int i, j;

	for (i = 0; i < WLB_FLIGHT_SETS; i++)
		for (j = 0; j < WLB_FLIGHT_WAYS; j++)
			WRITE_ONCE(flights->slot[i][j], 0);
}

static bool wlb_drain_live(const struct wlb_drain *drain)
{
	return drain && time_before(jiffies, drain->until);
}

int wlb_drain_begin(struct wlb_group_state *state, struct wlb_assign *assign,
		    const struct wlb_assign *old, u32 seconds)
{
	struct wlb_flights *flights = state->flights[assign->v6];
	bool goes_on = old && wlb_drain_live(old->drain);
	struct wlb_drain *drain;

	if (!flights) {
		flights = kvzalloc(sizeof(*flights), GFP_KERNEL_ACCOUNT);
		if (!flights)
			return -ENOMEM;
		get_random_bytes(&flights->key, sizeof(flights->key));
		state->flights[assign->v6] = flights;
	} else if (!goes_on) {
		wlb_flights_forget(flights);
	}
	drain = kzalloc(sizeof(*drain), GFP_KERNEL_ACCOUNT);
	if (!drain)
		return -ENOMEM;
	drain->flights = flights;
	drain->until = jiffies + seconds * HZ;
	drain->base = goes_on ? old->drain->base : old ? old->mapping : NULL;
	if (drain->base)
		drain->base->users++;
	if (goes_on)
		bitmap_copy(drain->ended, old->drain->ended, WLB_BUCKETS);
	assign->drain = drain;
	return 0;
}

static int wlb_value_cmp(const void *key, const void *elt)
{
	u32 number = *(const u32 *)key;
	const struct wlb_mask_value *value = elt;

	return number < value->number ? -1 : number > value->number;
}

static void wlb_mask_key(const struct wlb_passer *p, u8 *key)
{
	wlb_put_be16(key + WLB_KEY_DPORT, p->dport);
	wlb_put_be16(key + WLB_KEY_SPORT, p->sport);
	memcpy(key + WLB_KEY_DST, &p->dst, sizeof(p->dst));
	memcpy(key + WLB_KEY_SRC, &p->src, sizeof(p->src));
}

/* R1 3.11.2, in numbers: @slot gets the value's lowest octet. */
static u8 wlb_choose_mask(const struct wlb_mapping *m,
			  const struct wlb_passer *p, u8 *slot)
{
	const struct wlb_mask_value *value;
	u8 key[WLB_KEY_LEN];
	unsigned int i, bit;

	wlb_mask_key(p, key);
	for (i = 0; i < m->n_sets; i++) {
		const struct wlb_mask_set *set = &m->set[i];
		u32 number = 0;

		for (bit = 0; bit < set->n_bits; bit++)
			number |= (u32)(key[set->octet[bit]] >> set->bit[bit] & 1)
				  << bit;
		/* all there can be are there, as a rule */
		value = set->n_values == 1U << set->n_bits ? &set->value[number] :
			bsearch(&number, set->value, set->n_values,
				sizeof(*value), wlb_value_cmp);
		if (value) {
			*slot = number;
			return value->seat;
		}
	}
	return WLB_SEAT_NONE;
}

/* By one mapping; the slot that "ended" is about. */
static __always_inline u8 wlb_choose_by(const struct wlb_mapping *m,
					const struct wlb_passer *p,
					struct wlb_choice *choice)
{
	struct wlb_redirect_key key = {
		.src = (const u8 *)&p->src, .dst = (const u8 *)&p->dst,
		.addr_len = wlb_addr_len(p->v6),
		.sport = p->sport, .dport = p->dport,
	};
	struct wlb_wccp_choice c;
	u8 slot = 0;

	choice->primary = 0;
	choice->alt = 0;
	choice->alt_used = false;
	if (m->method == WLB_ASSIGN_MASK) {
		choice->seat = wlb_choose_mask(m, p, &slot);
		return slot;
	}
	wlb_wccp_choose(&key, m->flags, m->bucket, &c);
	choice->primary = c.primary;
	choice->alt = c.alt;
	choice->alt_used = c.alt_used;
	choice->seat = c.cache;
	return c.alt_used ? c.alt : c.primary;
}

static u16 wlb_seat_id(const struct wlb_mapping *m, u8 seat)
{
	return seat == WLB_SEAT_NONE ? WLB_MEMBER_NONE : m->id[seat];
}

/* The seat of member @id, if it is one still. */
static bool wlb_seat_of(const struct wlb_mapping *m, u16 id, u8 *seat)
{
	unsigned int i;

	if (id == WLB_MEMBER_NONE) {
		*seat = WLB_SEAT_NONE;
		return true;
	}
	for (i = 0; i < m->n_seats; i++) {
		if (m->id[i] != id)
			continue;
		*seat = i;
		return true;
	}
	return false;
}

static u64 wlb_flight_hash(const struct wlb_flights *flights,
			   const struct wlb_passer *p)
{
	return wlb_syn_hash(&flights->key, &p->src, &p->dst, p->v6,
			    htons(p->sport), htons(p->dport), 0);
}

/* The slot that has the flow, or NULL and in @empty one that it may have. */
static u64 *wlb_flight_find(struct wlb_flights *flights, u64 hash, u64 **empty)
{
	u64 *set = flights->slot[hash % WLB_FLIGHT_SETS];
	unsigned int i;

	*empty = NULL;
	for (i = 0; i < WLB_FLIGHT_WAYS; i++) {
		u64 slot = READ_ONCE(set[i]);

		if (!slot)
			*empty = *empty ?: &set[i];
		else if ((slot ^ hash) >> 16 == 0)
			return &set[i];
	}
	return NULL;
}

/*
 * Where a TCP segment goes while the assignment drains: where it is remembered to
 * go, else where its flow's beginning was seen or must have been.
 */
static void wlb_choose_draining(const struct wlb_assign *assign,
				const struct wlb_passer *p,
				struct wlb_choice *choice, u8 bucket)
{
	struct wlb_drain *drain = assign->drain;
	u16 id, id_now = wlb_seat_id(assign->mapping, choice->seat);
	bool syn = (p->tcp_flags & (WLB_TCP_SYN | WLB_TCP_ACK)) == WLB_TCP_SYN;
	struct wlb_choice before = { .seat = WLB_SEAT_NONE };
	u64 hash = wlb_flight_hash(drain->flights, p);
	u64 *slot, *empty;
	u8 seat;

	slot = wlb_flight_find(drain->flights, hash, &empty);
	if (slot) {
		id = READ_ONCE(*slot) & 0xffff;
		if (p->tcp_flags & WLB_TCP_RST)
			WRITE_ONCE(*slot, 0);
		if (wlb_seat_of(assign->mapping, id, &seat)) {
			choice->kept = id != id_now;
			choice->seat = seat;
			return;
		}
		if (syn)
			WRITE_ONCE(*slot, (hash & ~0xffffULL) | id_now);
		return;
	}
	if (drain->base)
		wlb_choose_by(drain->base, p, &before);
	id = drain->base ? wlb_seat_id(drain->base, before.seat) :
			   WLB_MEMBER_NONE;
	if (id == id_now || test_bit(bucket, drain->ended))
		return;
	if (syn) {
		/* who comes too late to the slot is as one that found no room */
		if (!empty ||
		    cmpxchg(empty, 0ULL, (hash & ~0xffffULL) | id_now))
			choice->full = !test_and_set_bit(bucket, drain->ended);
		return;
	}
	if (!wlb_seat_of(assign->mapping, id, &seat))
		return;
	choice->kept = true;
	choice->seat = seat;
}

void wlb_choose(const struct wlb_assign *assign, const struct wlb_passer *p,
		struct wlb_choice *choice)
{
	u8 bucket;

	choice->kept = false;
	choice->full = false;
	bucket = wlb_choose_by(assign->mapping, p, choice);
	if (p->proto == IPPROTO_TCP && wlb_drain_live(assign->drain))
		wlb_choose_draining(assign, p, choice, bucket);
}
