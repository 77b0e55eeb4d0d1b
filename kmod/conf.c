// SPDX-License-Identifier: GPL-2.0-only
/* What the three roles' configurations have in common: attributes, indexes. */
#include <linux/ctype.h>
#include <linux/jhash.h>
#include <linux/log2.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "conf.h"

u32 wlb_addr_hash(const union wlb_addr *addr, bool v6)
{
	static u32 seed __read_mostly;

	net_get_random_once(&seed, sizeof(seed));
	return v6 ? jhash2(addr->word, 4, seed) :
		    jhash_1word(addr->word[0], seed);
}

bool wlb_prefix_match(const struct wlb_prefix *prefix,
		      const union wlb_addr *addr, bool v6)
{
	if (prefix->v6 != v6)
		return false;
	if (v6)
		return ipv6_prefix_equal(&addr->v6, &prefix->addr.v6,
					 prefix->len);
	return !prefix->len ||
	       !((addr->v4 ^ prefix->addr.v4) &
		 htonl(~0U << (32 - prefix->len)));
}

bool wlb_prefixes_match(const struct wlb_prefixes *list,
			const union wlb_addr *addr, bool v6)
{
	unsigned int i;

	for (i = 0; i < list->n; i++)
		if (wlb_prefix_match(&list->prefix[i], addr, v6))
			return true;
	return false;
}

int wlb_nla_name(const struct nlattr *attr, char *name,
		 struct netlink_ext_ack *extack)
{
	const char *c;

	nla_strscpy(name, attr, WLB_NAME_LEN);
	for (c = name; *c; c++)
		if (!(isascii(*c) && isalnum(*c)) && !strchr("_.-", *c))
			break;
	if (*c || c == name) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "name: 1 to 31 letters, digits, '_', '.' or '-'");
		return -EINVAL;
	}
	return 0;
}

int wlb_nla_addr(const struct nlattr *attr, union wlb_addr *addr, bool *v6,
		 struct netlink_ext_ack *extack)
{
	int len = nla_len(attr);
	bool host;

	memset(addr, 0, sizeof(*addr));
	if (len != sizeof(__be32) && len != sizeof(struct in6_addr)) {
		NL_SET_ERR_MSG_ATTR(extack, attr, "address: 4 or 16 bytes");
		return -EINVAL;
	}
	memcpy(addr, nla_data(attr), len);
	*v6 = len == sizeof(struct in6_addr);
	if (*v6)
		host = !ipv6_addr_any(&addr->v6) &&
		       !ipv6_addr_is_multicast(&addr->v6) &&
		       !ipv6_addr_v4mapped(&addr->v6);
	else
		host = !ipv4_is_zeronet(addr->v4) &&
		       !ipv4_is_multicast(addr->v4) &&
		       !ipv4_is_lbcast(addr->v4);
	if (!host) {
		NL_SET_ERR_MSG_ATTR(extack, attr, "address: of one host");
		return -EINVAL;
	}
	return 0;
}

int wlb_nla_ports(const struct nlattr *attr, struct wlb_ports *ports,
		  struct netlink_ext_ack *extack)
{
	unsigned int len = nla_len(attr), i, j;

	if (!len || len % sizeof(u16) || len > sizeof(ports->port)) {
		NL_SET_ERR_MSG_ATTR(extack, attr, "ports: 1 to 16 of them");
		return -EINVAL;
	}
	memcpy(ports->port, nla_data(attr), len);
	ports->n = len / sizeof(u16);
	for (i = 0; i < ports->n; i++) {
		for (j = 0; j < i && ports->port[j] != ports->port[i]; j++)
			;
		if (!ports->port[i] || j < i) {
			NL_SET_ERR_MSG_ATTR(extack, attr,
					    "ports: 1 to 65535, each once");
			return -EINVAL;
		}
	}
	return 0;
}

const struct nla_policy wlb_prefix_policy[WLB_PREFIX_A_MAX + 1] = {
	[WLB_PREFIX_A_ADDRESS] = { .type = NLA_BINARY, .len = 16 },
	[WLB_PREFIX_A_LENGTH] = NLA_POLICY_MAX(NLA_U8, 128),
};

int wlb_nla_prefix(const struct nlattr *attr, struct wlb_prefix *prefix,
		   struct netlink_ext_ack *extack)
{
	struct nlattr *tb[WLB_PREFIX_A_MAX + 1];
	union wlb_addr masked = {};
	unsigned int len;
	int err;

	err = nla_parse_nested(tb, WLB_PREFIX_A_MAX, attr, wlb_prefix_policy,
			       extack);
	if (err)
		return err;
	if (!tb[WLB_PREFIX_A_ADDRESS] || !tb[WLB_PREFIX_A_LENGTH]) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "prefix: needs address and length");
		return -EINVAL;
	}
	len = nla_len(tb[WLB_PREFIX_A_ADDRESS]);
	prefix->len = nla_get_u8(tb[WLB_PREFIX_A_LENGTH]);
	if ((len != 4 && len != 16) || prefix->len > len * 8) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "prefix: 4 bytes and 0..32, or 16 bytes and 0..128");
		return -EINVAL;
	}
	memset(&prefix->addr, 0, sizeof(prefix->addr));
	memcpy(&prefix->addr, nla_data(tb[WLB_PREFIX_A_ADDRESS]), len);
	prefix->v6 = len == 16;
	ipv6_addr_prefix(&masked.v6, &prefix->addr.v6, prefix->len);
	if (!ipv6_addr_equal(&masked.v6, &prefix->addr.v6)) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "prefix: bits past its length must be zero");
		return -EINVAL;
	}
	return 0;
}

static unsigned int wlb_count_nested(const struct nlattr *nest, int type)
{
	const struct nlattr *attr;
	unsigned int n = 0;
	int rem;

	wlb_for_each_nested(attr, nest, type, rem)
		n++;
	return n;
}

unsigned int wlb_count_attrs(const struct genl_info *info, int type)
{
	const struct nlattr *attr;
	unsigned int n = 0;
	int rem;

	wlb_for_each_attr(attr, info, type, rem)
		n++;
	return n;
}

int wlb_nla_prefixes(const struct nlattr *nest, int type,
		     struct wlb_prefixes *list, struct netlink_ext_ack *extack)
{
	unsigned int n = wlb_count_nested(nest, type);
	const struct nlattr *attr;
	int rem, err;

	if (n > WLB_MAX_PREFIXES) {
		NL_SET_ERR_MSG_ATTR(extack, nest, "prefixes: at most 64 in a list");
		return -EINVAL;
	}
	if (!n)
		return 0;
	list->prefix = kcalloc(n, sizeof(*list->prefix), GFP_KERNEL_ACCOUNT);
	if (!list->prefix)
		return -ENOMEM;
	wlb_for_each_nested(attr, nest, type, rem) {
		err = wlb_nla_prefix(attr, &list->prefix[list->n], extack);
		if (err)
			return err;
		list->n++;
	}
	return 0;
}

int wlb_nla_servers(const struct nlattr *nest, int type,
		    const struct nlattr *ports, struct wlb_servers *servers,
		    struct netlink_ext_ack *extack)
{
	const struct nlattr *attr;
	int rem, err, i;
	bool v6;

	wlb_for_each_nested(attr, nest, type, rem) {
		if (servers->n == WLB_MAX_SERVERS) {
			NL_SET_ERR_MSG_ATTR(extack, attr, "server: at most 16");
			return -EINVAL;
		}
		err = wlb_nla_addr(attr, &servers->addr[servers->n], &v6,
				   extack);
		if (err)
			return err;
		if (servers->n && v6 != servers->v6) {
			NL_SET_ERR_MSG_ATTR(extack, attr,
					    "server: all of one address family");
			return -EINVAL;
		}
		for (i = 0; i < servers->n; i++) {
			if (!wlb_addr_eq(&servers->addr[i],
					 &servers->addr[servers->n], v6))
				continue;
			NL_SET_ERR_MSG_ATTR(extack, attr, "server: given twice");
			return -EINVAL;
		}
		servers->v6 = v6;
		servers->n++;
	}
	if (!servers->n || !ports) {
		NL_SET_ERR_MSG_ATTR(extack, nest, "needs server and ports");
		return -EINVAL;
	}
	return wlb_nla_ports(ports, &servers->ports, extack);
}

int wlb_put_addr(struct sk_buff *msg, int type, const union wlb_addr *addr,
		 bool v6)
{
	return nla_put(msg, type, wlb_addr_len(v6), addr);
}

int wlb_put_prefix(struct sk_buff *msg, int type,
		   const struct wlb_prefix *prefix)
{
	struct nlattr *nest = nla_nest_start(msg, type);

	if (!nest ||
	    wlb_put_addr(msg, WLB_PREFIX_A_ADDRESS, &prefix->addr,
			 prefix->v6) ||
	    nla_put_u8(msg, WLB_PREFIX_A_LENGTH, prefix->len))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

int wlb_put_prefixes(struct sk_buff *msg, int type,
		     const struct wlb_prefixes *list)
{
	unsigned int i;

	for (i = 0; i < list->n; i++)
		if (wlb_put_prefix(msg, type, &list->prefix[i]))
			return -EMSGSIZE;
	return 0;
}

int wlb_put_servers(struct sk_buff *msg, int type, int ports_type,
		    const struct wlb_servers *servers)
{
	unsigned int i;

	for (i = 0; i < servers->n; i++)
		if (wlb_put_addr(msg, type, &servers->addr[i], servers->v6))
			return -EMSGSIZE;
	return nla_put(msg, ports_type, servers->ports.n * sizeof(u16),
		       servers->ports.port);
}

const struct hlist_head wlb_index_nobody = HLIST_HEAD_INIT;

int wlb_index_alloc(struct wlb_index *index, unsigned int n_entries)
{
	u32 size = roundup_pow_of_two(max(n_entries, 8U));

	index->heads = kvcalloc(size, sizeof(*index->heads), GFP_KERNEL_ACCOUNT);
	index->entries = kvcalloc(n_entries, sizeof(*index->entries),
				  GFP_KERNEL_ACCOUNT);
	index->mask = size - 1;
	/* whoever frees the object frees what there is */
	return index->heads && index->entries ? 0 : -ENOMEM;
}

void wlb_index_add(struct wlb_index *index, const union wlb_addr *addr,
		   bool v6, u16 object)
{
	struct wlb_index_entry *e = &index->entries[index->n_entries++];

	e->addr = *addr;
	e->v6 = v6;
	e->object = object;
	index->filter |= wlb_addr_bit(addr, v6);
	hlist_add_head(&e->node,
		       &index->heads[wlb_addr_hash(addr, v6) & index->mask]);
}

void wlb_index_free(struct wlb_index *index)
{
	kvfree(index->heads);
	kvfree(index->entries);
}
