/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A struct sk_buff in userspace: a linear part and one page, each in a buffer of
 * exactly its size, so that the address sanitizer sees every byte read beyond.
 * Functions are called as in the kernel and hold to what it promises, at its
 * worst: whatever may move the packet does, old buffers are freed at once, and
 * room in front cannot be touched before it has been asked for.
 */
#ifndef WLB_SHIM_SKBUFF_H
#define WLB_SHIM_SKBUFF_H

#include <linux/compiler.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

/* no bridge */
#define IS_ENABLED(option)	0

#define CHECKSUM_NONE		0
#define CHECKSUM_UNNECESSARY	1
#define CHECKSUM_COMPLETE	2
#define CHECKSUM_PARTIAL	3

struct sk_buff {
	unsigned char *head, *data;
	unsigned int len, data_len;	/* as in the kernel: data_len is paged */
	u8 *page;
	unsigned int page_off;		/* what has been pulled out of it */
	u16 network_header, transport_header;
	u8 ip_summed;
	bool csum_valid, encapsulation, gso;
	union {
		__wsum csum;
		struct {
			u16 csum_start;	/* from head */
			u16 csum_offset;
		};
	};
	char cb[48] __attribute__((aligned(8)));

	/* of the shim */
	bool cloned;			/* somebody else has the same buffer */
	u8 *other, *other_was;		/* that buffer, and what it held */
	unsigned int other_len;
	unsigned int memory;		/* so many more allocations succeed */
};

/* @len bytes at @packet, @linear of them linear, behind @headroom bytes. */
struct sk_buff *shim_skb(const u8 *packet, unsigned int len, unsigned int linear,
			 unsigned int headroom, bool cloned);
/* Aborts if somebody has written to the buffer that was shared. */
void shim_free(struct sk_buff *skb);

int skb_copy_bits(const struct sk_buff *skb, int offset, void *to, int len);
bool pskb_may_pull(struct sk_buff *skb, unsigned int len);
int skb_ensure_writable(struct sk_buff *skb, unsigned int write_len);
int skb_cow_head(struct sk_buff *skb, unsigned int headroom);
void *skb_push(struct sk_buff *skb, unsigned int len);
void *skb_pull_rcsum(struct sk_buff *skb, unsigned int len);
int pskb_trim_rcsum(struct sk_buff *skb, unsigned int len);
__wsum skb_checksum(const struct sk_buff *skb, int offset, int len, __wsum csum);

static inline unsigned int skb_headlen(const struct sk_buff *skb)
{
	return skb->len - skb->data_len;
}

/* Signed, as the kernel's: an offset past the linear part goes to copy_bits. */
static inline void *skb_header_pointer(const struct sk_buff *skb, int offset,
				       int len, void *buffer)
{
	if ((int)skb_headlen(skb) - offset >= len)
		return skb->data + offset;
	return skb_copy_bits(skb, offset, buffer, len) < 0 ? NULL : buffer;
}

static inline bool skb_is_gso(const struct sk_buff *skb)
{
	return skb->gso;
}

static inline unsigned int skb_headroom(const struct sk_buff *skb)
{
	return skb->data - skb->head;
}

static inline int skb_network_offset(const struct sk_buff *skb)
{
	return skb->head + skb->network_header - skb->data;
}

static inline void skb_reset_network_header(struct sk_buff *skb)
{
	skb->network_header = skb->data - skb->head;
}

static inline void skb_set_transport_header(struct sk_buff *skb, int offset)
{
	skb->transport_header = skb->data - skb->head + offset;
}

static inline struct iphdr *ip_hdr(const struct sk_buff *skb)
{
	return (struct iphdr *)(skb->head + skb->network_header);
}

static inline struct ipv6hdr *ipv6_hdr(const struct sk_buff *skb)
{
	return (struct ipv6hdr *)(skb->head + skb->network_header);
}

static inline int skb_checksum_start_offset(const struct sk_buff *skb)
{
	return skb->csum_start - (int)skb_headroom(skb);
}

static inline bool skb_csum_unnecessary(const struct sk_buff *skb)
{
	return skb->ip_summed == CHECKSUM_UNNECESSARY || skb->csum_valid ||
	       (skb->ip_summed == CHECKSUM_PARTIAL &&
		skb_checksum_start_offset(skb) >= 0);
}

/* routes, connection tracking and IPsec are none of a packet's bytes */
static inline void skb_clear_hash(struct sk_buff *skb) {}
static inline void skb_dst_drop(struct sk_buff *skb) {}
static inline void secpath_reset(struct sk_buff *skb) {}
static inline void nf_reset_ct(struct sk_buff *skb) {}

static inline int iptunnel_pull_offloads(struct sk_buff *skb)
{
	skb->encapsulation = false;
	return 0;
}

struct inet_skb_parm {
	int iif;
	unsigned char opt[20];
};

struct inet6_skb_parm {
	int iif;
	u16 nhoff;
};

#define IPCB(skb) ((struct inet_skb_parm *)(skb)->cb)
#define IP6CB(skb) ((struct inet6_skb_parm *)(skb)->cb)

struct gre_base_hdr {
	__be16 flags;
	__be16 protocol;
};

/* the one's complement */
__wsum csum_partial(const void *buff, int len, __wsum sum);
__sum16 csum_fold(__wsum sum);
__sum16 csum_tcpudp_magic(__be32 saddr, __be32 daddr, u32 len, u8 proto,
			  __wsum sum);
__sum16 csum_ipv6_magic(const struct in6_addr *saddr,
			const struct in6_addr *daddr, u32 len, u8 proto,
			__wsum sum);

static inline __wsum csum_add(__wsum sum, __wsum other)
{
	sum += other;
	return sum + (sum < other);
}

static inline __wsum csum_sub(__wsum sum, __wsum other)
{
	return csum_add(sum, ~other);
}

static inline __sum16 ip_fast_csum(const void *ih, unsigned int ihl)
{
	return csum_fold(csum_partial(ih, ihl * 4, 0));
}

static inline void csum_replace2(__sum16 *sum, __be16 from, __be16 to)
{
	*sum = csum_fold(csum_add(csum_sub(~(u32)*sum & 0xffff, from), to));
}

/* IP */
#define IP_OFFSET	0x1fff
#define IP_MF		0x2000

static inline bool ip_is_fragment(const struct iphdr *ih)
{
	return (ih->frag_off & htons(IP_MF | IP_OFFSET)) != 0;
}

static inline bool ipv6_addr_equal(const struct in6_addr *a,
				   const struct in6_addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

#define NEXTHDR_HOP		0
#define NEXTHDR_ROUTING		43
#define NEXTHDR_FRAGMENT	44
#define NEXTHDR_AUTH		51
#define NEXTHDR_NONE		59
#define NEXTHDR_DEST		60

int ipv6_skip_exthdr(const struct sk_buff *skb, int start, u8 *nexthdrp,
		     __be16 *frag_offp);
int ipv6_find_hdr(const struct sk_buff *skb, unsigned int *offset, int target,
		  unsigned short *fragoff, int *flags);

#endif
