// SPDX-License-Identifier: GPL-2.0-only
/* Where spoofed packets arrive. */
#include <linux/siphash.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "path.h"

#define WLB_PATH_SLOTS	4096

/*
 * One word per slot, so that readers take no lock: the hash's upper half, two
 * bits of what is known, and since when, in seconds.
 */
#define WLB_PATH_ASKED	3
#define WLB_PATH_TIME	GENMASK(29, 0)

static const u32 wlb_path_ttl[] = {
	[WLB_PATH_GOOD] = 600, [WLB_PATH_BAD] = 60, [WLB_PATH_ASKED] = 1,
};

struct wlb_paths {
	siphash_key_t key;
	u64 slot[WLB_PATH_SLOTS];
};

struct wlb_paths *wlb_paths_alloc(void)
{
	struct wlb_paths *paths = kvzalloc(sizeof(*paths), GFP_KERNEL_ACCOUNT);

	if (paths)
		get_random_bytes(&paths->key, sizeof(paths->key));
	return paths;
}

void wlb_paths_free(struct wlb_paths *paths)
{
	kvfree(paths);
}

static u64 wlb_path_hash(const struct wlb_paths *paths,
			 const union wlb_addr *client, bool v6)
{
	return v6 ? siphash_2u32(client->word[0], client->word[1], &paths->key) :
		    siphash_1u32(client->word[0] & (__force u32)htonl(~0xffU),
				 &paths->key);
}

/* What the slot says of that hash, WLB_PATH_UNKNOWN once it is too old. */
static unsigned int wlb_path_read(const struct wlb_paths *paths, u64 hash)
{
	u64 slot = READ_ONCE(paths->slot[hash % WLB_PATH_SLOTS]);
	unsigned int path = (slot >> 30) & 3;
	u32 age = ((u32)ktime_get_seconds() - (u32)slot) & WLB_PATH_TIME;

	if (slot >> 32 != hash >> 32 || age >= wlb_path_ttl[path])
		return WLB_PATH_UNKNOWN;
	return path;
}

static void wlb_path_write(struct wlb_paths *paths, u64 hash, unsigned int path)
{
	WRITE_ONCE(paths->slot[hash % WLB_PATH_SLOTS],
		   (hash & GENMASK_ULL(63, 32)) | (u64)path << 30 |
		   ((u32)ktime_get_seconds() & WLB_PATH_TIME));
}

enum wlb_path wlb_path_get(const struct wlb_paths *paths,
			   const union wlb_addr *client, bool v6)
{
	unsigned int path = wlb_path_read(paths,
					  wlb_path_hash(paths, client, v6));

	return path == WLB_PATH_ASKED ? WLB_PATH_UNKNOWN : path;
}

void wlb_path_set(struct wlb_paths *paths, const union wlb_addr *client,
		  bool v6, enum wlb_path path)
{
	wlb_path_write(paths, wlb_path_hash(paths, client, v6), path);
}

bool wlb_path_ask(struct wlb_paths *paths, const union wlb_addr *client,
		  bool v6)
{
	u64 hash = wlb_path_hash(paths, client, v6);

	if (wlb_path_read(paths, hash) != WLB_PATH_UNKNOWN)
		return false;
	wlb_path_write(paths, hash, WLB_PATH_ASKED);
	return true;
}
