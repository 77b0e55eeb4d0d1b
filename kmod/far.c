// SPDX-License-Identifier: GPL-2.0-only
/* Destinations that are other hosts'. */
#include "far.h"

bool wlb_far_lookup(struct wlb_fars *fars, struct net *net,
		    const struct net_device *dev, __be32 addr)
{
	u64 word = wlb_far_word(net, dev, addr);

	/* not after the lookup: tables that change meanwhile make the word old */
	smp_rmb();
	if (inet_addr_type_dev_table(net, dev, addr) != RTN_UNICAST)
		return false;
	WRITE_ONCE(*wlb_far_slot(fars, addr), word);
	return true;
}
