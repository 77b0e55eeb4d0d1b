/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The few words of the kernel that kmod/pkt.c and kmod/crack.c need beside
 * struct sk_buff, so that they can be compiled for a fuzzer as they are. Headers
 * of the packets themselves come from <linux/ip.h> and so on.
 */
#ifndef WLB_SHIM_COMPILER_H
#define WLB_SHIM_COMPILER_H

#include <asm/byteorder.h>
#include <errno.h>
#include <linux/in.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define __force
#define __percpu
#define __rcu
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define min(a, b) ((a) < (b) ? (a) : (b))
#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

#define htons(x) __cpu_to_be16(x)
#define htonl(x) __cpu_to_be32(x)
#define ntohs(x) __be16_to_cpu(x)
#define ntohl(x) __be32_to_cpu(x)

#define ETH_P_IP	0x0800
#define ETH_P_IPV6	0x86dd

/* for the prototypes and structs of kmod/net.h, which nothing here uses */
struct mutex { int unused; };
struct delayed_work { int unused; };
struct rcu_work { int unused; };

/* BH is off wherever packets are. */
#define softirq_count()		1
#define local_bh_disable()	do { } while (0)
#define local_bh_enable()	do { } while (0)

struct net;
struct nf_hook_ops { int unused; };
struct nf_hook_state;
void *net_generic(const struct net *net, unsigned int id);
#define this_cpu_inc(x) ((x)++)
#define this_cpu_add(x, n) ((x) += (n))

#endif
