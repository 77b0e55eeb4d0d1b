// SPDX-License-Identifier: GPL-2.0-only
#include <linux/skbuff.h>
#include <sanitizer/asan_interface.h>
#include <stdlib.h>

/* Buffers, all of exactly the size they were asked for. */

static u8 *buffer_of(const void *from, unsigned int len)
{
	/* even an empty one has a first byte that must not be read */
	u8 *buffer = malloc(len);

	if (len)
		memcpy(buffer, from, len);
	return buffer;
}

/* The room in front is the link layer's until skb_cow_head() gives it to us. */
static void close_room(struct sk_buff *skb)
{
	ASAN_POISON_MEMORY_REGION(skb->head, skb_headroom(skb));
}

struct sk_buff *shim_skb(const u8 *packet, unsigned int len, unsigned int linear,
			 unsigned int headroom, bool cloned)
{
	struct sk_buff *skb = calloc(1, sizeof(*skb));

	skb->head = malloc(headroom + linear);
	memset(skb->head, 0xa5, headroom);
	skb->data = skb->head + headroom;
	memcpy(skb->data, packet, linear);
	skb->page = buffer_of(packet + linear, len - linear);
	skb->len = len;
	skb->data_len = len - linear;
	skb_reset_network_header(skb);
	skb->cloned = cloned;
	if (cloned) {
		skb->other = skb->head;
		skb->other_len = headroom + linear;
		skb->other_was = buffer_of(skb->head, skb->other_len);
	}
	skb->memory = 1000;
	close_room(skb);
	return skb;
}

void shim_free(struct sk_buff *skb)
{
	if (skb->other) {
		ASAN_UNPOISON_MEMORY_REGION(skb->other, skb->other_len);
		if (memcmp(skb->other, skb->other_was, skb->other_len))
			abort();	/* a clone has been written to */
		if (skb->other != skb->head)
			free(skb->other);
		free(skb->other_was);
	}
	free(skb->head);
	free(skb->page);
	free(skb);
}

/* pskb_expand_head() and __pskb_pull_tail() in one: a new linear part. */
static int move(struct sk_buff *skb, unsigned int headroom, unsigned int linear)
{
	unsigned int had_room = skb_headroom(skb), had = skb_headlen(skb);
	u8 *head;

	if (!skb->memory)
		return -ENOMEM;
	skb->memory--;
	head = malloc(headroom + linear);
	memset(head, 0xa5, headroom);
	memcpy(head + headroom, skb->data, had);
	memcpy(head + headroom + had, skb->page + skb->page_off, linear - had);
	skb->page_off += linear - had;
	skb->data_len -= linear - had;
	if (skb->cloned)
		skb->cloned = false;	/* the other one keeps the old buffer */
	else
		free(skb->head);
	skb->head = head;
	skb->data = head + headroom;
	skb->network_header += headroom - had_room;
	skb->transport_header += headroom - had_room;
	if (skb->ip_summed == CHECKSUM_PARTIAL)
		skb->csum_start += headroom - had_room;
	close_room(skb);
	return 0;
}

int skb_copy_bits(const struct sk_buff *skb, int offset, void *to, int len)
{
	unsigned int linear = skb_headlen(skb), part = 0;

	if (offset < 0 || len < 0 || offset > (int)skb->len - len)
		return -EFAULT;
	if ((unsigned int)offset < linear) {
		part = min((unsigned int)len, linear - offset);
		memcpy(to, skb->data + offset, part);
	}
	if ((unsigned int)len > part)
		memcpy((u8 *)to + part,
		       skb->page + skb->page_off + offset + part - linear,
		       len - part);
	return 0;
}

bool pskb_may_pull(struct sk_buff *skb, unsigned int len)
{
	if (len <= skb_headlen(skb))
		return true;
	return len <= skb->len && !move(skb, skb_headroom(skb), len);
}

int skb_ensure_writable(struct sk_buff *skb, unsigned int write_len)
{
	if (!pskb_may_pull(skb, write_len))
		return -ENOMEM;
	return skb->cloned ? move(skb, skb_headroom(skb), skb_headlen(skb)) : 0;
}

int skb_cow_head(struct sk_buff *skb, unsigned int headroom)
{
	unsigned int room = skb_headroom(skb);

	if ((skb->cloned || room < headroom) &&
	    move(skb, room < headroom ? headroom : room, skb_headlen(skb)))
		return -ENOMEM;
	ASAN_UNPOISON_MEMORY_REGION(skb->data - headroom, headroom);
	return 0;
}

void *skb_push(struct sk_buff *skb, unsigned int len)
{
	if (skb_headroom(skb) < len)
		abort();		/* skb_under_panic() */
	skb->data -= len;
	skb->len += len;
	return skb->data;
}

void *skb_pull_rcsum(struct sk_buff *skb, unsigned int len)
{
	u8 *data = skb->data;

	if (len > skb_headlen(skb))
		abort();		/* BUG() */
	skb->data += len;
	skb->len -= len;
	if (skb->ip_summed == CHECKSUM_COMPLETE)
		skb->csum = csum_sub(skb->csum, csum_partial(data, len, 0));
	else if (skb->ip_summed == CHECKSUM_PARTIAL &&
		 skb_checksum_start_offset(skb) < 0)
		skb->ip_summed = CHECKSUM_NONE;
	close_room(skb);
	return skb->data;
}

int pskb_trim_rcsum(struct sk_buff *skb, unsigned int len)
{
	unsigned int linear = skb_headlen(skb);

	if (len >= skb->len)
		return 0;
	if (skb->ip_summed == CHECKSUM_COMPLETE) {
		__wsum cut = skb_checksum(skb, len, skb->len - len, 0);

		/* a sum that starts at an odd byte is the other way round */
		if (len & 1)
			cut = cut << 8 | cut >> 24;
		skb->csum = csum_sub(skb->csum, cut);
	} else if (skb->ip_summed == CHECKSUM_PARTIAL &&
		   skb_checksum_start_offset(skb) + skb->csum_offset + 2 >
			   (int)min(len, linear)) {
		return -EINVAL;
	}
	/* what is cut off may be given away: nobody is to read it again */
	if (len < linear) {
		ASAN_POISON_MEMORY_REGION(skb->data + len, linear - len);
		linear = len;
	}
	skb->len = len;
	skb->data_len = len - linear;
	return 0;
}

/* RFC 1071, plainly. Not folded to 16 bits, as the kernel's. */
__wsum csum_partial(const void *buff, int len, __wsum sum)
{
	const u8 *byte = buff;
	u64 total = sum;
	u16 word;

	for (; len >= 2; len -= 2, byte += 2) {
		memcpy(&word, byte, 2);
		total += word;
	}
	if (len)
		total += *byte;		/* little-endian, padded with zero */
	total = (total & 0xffffffff) + (total >> 32);
	return (total & 0xffffffff) + (total >> 32);
}

__sum16 csum_fold(__wsum sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

__wsum skb_checksum(const struct sk_buff *skb, int offset, int len, __wsum csum)
{
	u8 *copy = malloc(len);

	if (skb_copy_bits(skb, offset, copy, len))
		abort();		/* BUG() */
	csum = csum_partial(copy, len, csum);
	free(copy);
	return csum;
}

__sum16 csum_tcpudp_magic(__be32 saddr, __be32 daddr, u32 len, u8 proto,
			  __wsum sum)
{
	const __be32 rest = htonl((u32)proto << 16 | (len & 0xffff));

	sum = csum_partial(&saddr, 4, sum);
	sum = csum_partial(&daddr, 4, sum);
	return csum_fold(csum_partial(&rest, 4, sum));
}

__sum16 csum_ipv6_magic(const struct in6_addr *saddr,
			const struct in6_addr *daddr, u32 len, u8 proto,
			__wsum sum)
{
	const __be32 rest[2] = { htonl(len), htonl(proto) };

	sum = csum_partial(saddr, 16, sum);
	sum = csum_partial(daddr, 16, sum);
	return csum_fold(csum_partial(rest, 8, sum));
}

/* IPv6 extension headers, step by step as net/ipv6/exthdrs_core.c walks them. */

static bool is_ext(u8 nexthdr)
{
	return nexthdr == NEXTHDR_HOP || nexthdr == NEXTHDR_ROUTING ||
	       nexthdr == NEXTHDR_FRAGMENT || nexthdr == NEXTHDR_AUTH ||
	       nexthdr == NEXTHDR_NONE || nexthdr == NEXTHDR_DEST;
}

static unsigned int ext_len(u8 nexthdr, const u8 *hdr)
{
	if (nexthdr == NEXTHDR_FRAGMENT)
		return 8;
	return nexthdr == NEXTHDR_AUTH ? (hdr[1] + 2) * 4 : (hdr[1] + 1) * 8;
}

int ipv6_skip_exthdr(const struct sk_buff *skb, int start, u8 *nexthdrp,
		     __be16 *frag_offp)
{
	u8 nexthdr = *nexthdrp, buf[2], *hdr;

	*frag_offp = 0;
	while (is_ext(nexthdr)) {
		if (nexthdr == NEXTHDR_NONE)
			return -1;
		hdr = skb_header_pointer(skb, start, 2, buf);
		if (!hdr)
			return -1;
		if (nexthdr == NEXTHDR_FRAGMENT) {
			if (skb_copy_bits(skb, start + 2, frag_offp, 2))
				return -1;
			if (ntohs(*frag_offp) & ~7)
				break;
		}
		start += ext_len(nexthdr, hdr);
		nexthdr = hdr[0];
	}
	*nexthdrp = nexthdr;
	return start;
}

/* For a target and without flags, as we call it. */
int ipv6_find_hdr(const struct sk_buff *skb, unsigned int *offset, int target,
		  unsigned short *fragoff, int *flags)
{
	unsigned int start = skb_network_offset(skb) + sizeof(struct ipv6hdr);
	u8 nexthdr = ipv6_hdr(skb)->nexthdr, buf[2], *hdr;

	if (target < 0 || fragoff || flags)
		abort();
	if (*offset) {
		struct ipv6hdr ip6_buf, *ip6;

		ip6 = skb_header_pointer(skb, *offset, sizeof(ip6_buf), &ip6_buf);
		if (!ip6 || ip6->version != 6)
			return -EBADMSG;
		start = *offset + sizeof(struct ipv6hdr);
		nexthdr = ip6->nexthdr;
	}
	for (;;) {
		__be16 frag = 0;

		if (!is_ext(nexthdr) || nexthdr == NEXTHDR_NONE) {
			if (nexthdr != target)
				return -ENOENT;
			break;
		}
		hdr = skb_header_pointer(skb, start, 2, buf);
		if (!hdr || (nexthdr == NEXTHDR_FRAGMENT &&
			     skb_copy_bits(skb, start + 2, &frag, 2)))
			return -EBADMSG;
		if (ntohs(frag) & ~7 && nexthdr != target)
			return -ENOENT;
		if (nexthdr == target)
			break;
		if (skb->len - start < ext_len(nexthdr, hdr))
			return -EBADMSG;
		start += ext_len(nexthdr, hdr);
		nexthdr = hdr[0];
	}
	*offset = start;
	return nexthdr;
}
