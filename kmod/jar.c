// SPDX-License-Identifier: GPL-2.0-only
/* Cookies that servers' gateways have given to this client gateway. */
#include <linux/random.h>
#include <linux/slab.h>

#include "cookie.h"
#include "hash.h"

#define WLB_JAR_PLACES	8192

/*
 * Neither readers nor writers take a lock: @check is the hash of whose cookie it is,
 * xor the cookie, so that two halves of different writers are nobody's. Nothing
 * expires here: a cookie that is too old gets a new one in the next answer.
 */
struct wlb_jar {
	siphash_key_t key;
	bool used;		/* most have no cookie to keep */
	struct {
		u64 check;
		u64 cookie;
	} place[WLB_JAR_PLACES];
};

struct wlb_jar *wlb_jar_alloc(void)
{
	struct wlb_jar *jar = kvzalloc(sizeof(*jar), GFP_KERNEL_ACCOUNT);

	if (jar)
		get_random_bytes(&jar->key, sizeof(jar->key));
	return jar;
}

void wlb_jar_free(struct wlb_jar *jar)
{
	kvfree(jar);
}

void wlb_jar_put(struct wlb_jar *jar, const union wlb_addr *client,
		 const union wlb_addr *server, bool v6, u64 cookie)
{
	u64 hash = wlb_site_hash(&jar->key, client, server, v6);

	WRITE_ONCE(jar->place[hash % WLB_JAR_PLACES].check, hash ^ cookie);
	WRITE_ONCE(jar->place[hash % WLB_JAR_PLACES].cookie, cookie);
	if (!READ_ONCE(jar->used))
		WRITE_ONCE(jar->used, true);
}

u64 wlb_jar_get(const struct wlb_jar *jar, const union wlb_addr *client,
		const union wlb_addr *server, bool v6)
{
	u64 hash, check, cookie;

	if (!READ_ONCE(jar->used))
		return 0;
	hash = wlb_site_hash(&jar->key, client, server, v6);
	check = READ_ONCE(jar->place[hash % WLB_JAR_PLACES].check);
	cookie = READ_ONCE(jar->place[hash % WLB_JAR_PLACES].cookie);
	return (check ^ cookie) == hash ? cookie : 0;
}
