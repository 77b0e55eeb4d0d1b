/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The few kernel types and helpers that the packet code in this directory
 * needs, so that the module, the unit tests and the fuzzers compile the same
 * lines.
 */
#ifndef WLB_TYPES_H
#define WLB_TYPES_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/compiler.h>
#include <linux/string.h>
#else
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
#endif

/* TCP sequence space (RFC 9293 3.4): is a before b, modulo 2^32? */
static inline bool wlb_before(u32 a, u32 b)
{
	return (u32)(a - b) > 0x7fffffffU;
}

static inline bool wlb_after(u32 a, u32 b)
{
	return wlb_before(b, a);
}

#endif /* WLB_TYPES_H */
