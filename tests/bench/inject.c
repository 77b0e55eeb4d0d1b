// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packets from nowhere, for benchmarks: whoever writes a struct inject and a frame
 * behind it to /proc/wlb-inject has the frame received so many times by a device of
 * his namespace, as by a driver, in a loop without a pause, or until a time. Reading tells
 * how long that took, in ns, how many there were, and how long the median took of the
 * pieces that they may be measured by: what a machine that is busy took of some is not in
 * that. What comes of a packet, up to its being freed, is part of it.
 * Each who has opened the file has his own of it all: several may inject at a time, each
 * on a processor of his own.
 */
#include <linux/etherdevice.h>
#include <linux/ip.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/nsproxy.h>
#include <linux/proc_fs.h>
#include <linux/sort.h>
#include <linux/tcp.h>
#include <linux/uaccess.h>
#include <net/ip.h>
#include <net/net_namespace.h>

#define INJECT_FRAME_MAX	2048
#define INJECT_FILL_MAX		65000
#define INJECT_PIECES_MAX	1024

enum inject_csum { INJECT_NONE, INJECT_UNNECESSARY, INJECT_PARTIAL };

/* All in host order. Offsets are bytes from the Ethernet header; 0: there is none. */
struct inject {
	char dev[16];
	u64 until;	/* of the monotonic clock, in ns; 0: all that there are */
	u32 count;	/* packets, or GSO packets */
	u32 flows;	/* packet i is of flow (from + i) % flows */
	u32 from;
	u32 burst;	/* handed over together; 1: one by one */
	u32 piece;	/* packets of each, a multiple of burst; 0: there are none */
	u32 fill;	/* bytes of payload behind the frame, in pages */
	u16 gso_size;
	u16 gso_type;	/* SKB_GSO_* */
	u16 port_at;	/* big-endian word, + flow % 16384 */
	u16 host_at;	/* big-endian word, + flow / 16384 */
	u16 ip_at[2];	/* IPv4 headers whose checksum is to be filled in */
	u16 tcp_at;
	u16 csum;	/* enum inject_csum */
	u16 profile;	/* hot.c counts this one */
	u16 zero[3];
};

/* An instruction that does nothing, by which hot.c knows where a run begins and ends. */
#ifdef CONFIG_X86
#define INJECT_MARK(which) \
	asm volatile(".byte 0x0f, 0x1f, 0x80, " which ", 0x62, 0x6c, 0x77")
#else
#define INJECT_MARK(which)	do { } while (0)
#endif

struct inject_file {
	struct mutex lock;	/* of all below */
	u64 ns;
	u32 count;
	u32 pieces;
	u32 piece_ns[INJECT_PIECES_MAX];
	u8 frame[INJECT_FRAME_MAX];
};

static void inject_add(u8 *data, u16 at, u16 n)
{
	__be16 *word = (__be16 *)(data + at);

	if (at)
		*word = htons(ntohs(*word) + n);
}

static struct sk_buff *inject_make(struct net_device *dev, const struct inject *in,
				   const u8 *frame, unsigned int len, u32 flow,
				   struct page *page)
{
	struct sk_buff *skb = netdev_alloc_skb_ip_align(dev, 64 + len);
	unsigned int i;
	u8 *data;

	if (!skb)
		return NULL;
	skb_reserve(skb, 64);
	data = skb_put_data(skb, frame, len);
	inject_add(data, in->port_at, flow & 0x3fff);
	inject_add(data, in->host_at, flow >> 14);
	for (i = 0; i < ARRAY_SIZE(in->ip_at); i++) {
		struct iphdr *ip = (struct iphdr *)(data + in->ip_at[i]);

		if (in->ip_at[i])
			ip->check = ip_fast_csum(ip, ip->ihl);
	}
	if (page) {
		get_page(page);
		skb_add_rx_frag(skb, 0, page, 0, in->fill, in->fill);
	}
	if (in->csum == INJECT_PARTIAL) {
		skb->ip_summed = CHECKSUM_PARTIAL;
		skb->csum_start = skb_headroom(skb) + in->tcp_at;
		skb->csum_offset = offsetof(struct tcphdr, check);
	} else if (in->csum == INJECT_UNNECESSARY) {
		skb->ip_summed = CHECKSUM_UNNECESSARY;
	}
	if (in->gso_size) {
		skb_shinfo(skb)->gso_size = in->gso_size;
		skb_shinfo(skb)->gso_type = in->gso_type;
		skb_shinfo(skb)->gso_segs = DIV_ROUND_UP(in->fill, in->gso_size);
	}
	ether_addr_copy(data, dev->dev_addr);
	skb->protocol = eth_type_trans(skb, dev);
	return skb;
}

static int inject_less(const void *a, const void *b)
{
	const u32 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int inject_run(struct inject_file *file, struct net_device *dev,
		      const struct inject *in, unsigned int len, struct page *page)
{
	u32 i, flow = in->from % in->flows;
	LIST_HEAD(list);
	u64 began, last;

	if (in->profile)
		INJECT_MARK("0x00");
	file->pieces = 0;
	began = ktime_get_ns();
	last = began;
	for (i = 0; i < in->count; i++) {
		struct sk_buff *skb = inject_make(dev, in, file->frame, len, flow, page);

		if (!skb)
			return -ENOMEM;
		if (++flow == in->flows)
			flow = 0;
		if (in->burst > 1) {
			list_add_tail(&skb->list, &list);
			if ((i + 1) % in->burst && i + 1 < in->count)
				continue;
		}
		local_bh_disable();
		if (in->burst > 1)
			netif_receive_skb_list(&list);
		else
			netif_receive_skb(skb);
		local_bh_enable();
		INIT_LIST_HEAD(&list);
		if (!(i & 1023))
			cond_resched();
		if (in->piece && !((i + 1) % in->piece)) {
			u64 now = ktime_get_ns();

			if (file->pieces < INJECT_PIECES_MAX)
				file->piece_ns[file->pieces++] = now - last;
			last = now;
		}
		if (in->until && !(i & 15) && ktime_get_ns() >= in->until) {
			i++;
			break;
		}
	}
	file->ns = ktime_get_ns() - began;
	file->count = i;
	sort(file->piece_ns, file->pieces, sizeof(u32), inject_less, NULL);
	if (in->profile)
		INJECT_MARK("0x01");
	return 0;
}

static bool inject_offset_ok(u16 at, size_t room, unsigned int len)
{
	return !(at & 1) && at + room <= len;
}

static bool inject_ok(const struct inject *in, unsigned int len)
{
	return strnlen(in->dev, sizeof(in->dev)) < sizeof(in->dev) && in->flows &&
	       in->burst && in->fill <= INJECT_FILL_MAX &&
	       in->csum <= INJECT_PARTIAL && len >= ETH_HLEN &&
	       !memchr_inv(in->zero, 0, sizeof(in->zero)) &&
	       inject_offset_ok(in->port_at, 2, len) &&
	       inject_offset_ok(in->host_at, 2, len) &&
	       inject_offset_ok(in->ip_at[0], sizeof(struct iphdr), len) &&
	       inject_offset_ok(in->ip_at[1], sizeof(struct iphdr), len) &&
	       inject_offset_ok(in->tcp_at, sizeof(struct tcphdr), len);
}

static ssize_t inject_write(struct file *filp, const char __user *from, size_t n,
			    loff_t *pos)
{
	struct inject_file *file = filp->private_data;
	struct page *page = NULL;
	struct net_device *dev;
	struct inject in;
	unsigned int len;
	int err;

	if (n < sizeof(in) || n > sizeof(in) + sizeof(file->frame))
		return -EINVAL;
	len = n - sizeof(in);
	if (copy_from_user(&in, from, sizeof(in)))
		return -EFAULT;
	if (!inject_ok(&in, len))
		return -EINVAL;
	mutex_lock(&file->lock);
	err = -EFAULT;
	if (copy_from_user(file->frame, from + sizeof(in), len))
		goto unlock;
	err = -ENODEV;
	dev = dev_get_by_name(current->nsproxy->net_ns, in.dev);
	if (!dev)
		goto unlock;
	err = -ENOMEM;
	if (in.fill) {
		page = alloc_pages(GFP_KERNEL | __GFP_COMP | __GFP_ZERO,
				   get_order(in.fill));
		if (!page)
			goto put;
	}
	err = inject_run(file, dev, &in, len, page);
	if (page)
		put_page(page);
put:
	dev_put(dev);
unlock:
	mutex_unlock(&file->lock);
	return err ?: n;
}

static ssize_t inject_read(struct file *filp, char __user *to, size_t n, loff_t *pos)
{
	struct inject_file *file = filp->private_data;
	char text[64];
	int len = scnprintf(text, sizeof(text), "%llu %u %u\n", file->ns, file->count,
			    file->pieces ? file->piece_ns[file->pieces / 2] : 0);

	return simple_read_from_buffer(to, n, pos, text, len);
}

static int inject_open(struct inode *inode, struct file *filp)
{
	struct inject_file *file = kzalloc(sizeof(*file), GFP_KERNEL);

	if (!file)
		return -ENOMEM;
	mutex_init(&file->lock);
	filp->private_data = file;
	return 0;
}

static int inject_release(struct inode *inode, struct file *filp)
{
	kfree(filp->private_data);
	return 0;
}

static const struct proc_ops inject_ops = {
	.proc_open = inject_open, .proc_release = inject_release,
	.proc_write = inject_write, .proc_read = inject_read,
};

static int __init inject_init(void)
{
	return proc_create("wlb-inject", 0600, NULL, &inject_ops) ? 0 : -ENOMEM;
}

static void __exit inject_exit(void)
{
	remove_proc_entry("wlb-inject", NULL);
}

module_init(inject_init);
module_exit(inject_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Injects packets for the benchmarks of wlb");
