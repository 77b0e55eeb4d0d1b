// SPDX-License-Identifier: GPL-2.0-only
/* Routes that packets have taken. */
#include <net/xfrm.h>

#include "route.h"

bool wlb_route_keep(struct wlb_route *route, struct dst_entry *dst, bool v6)
{
	if (route->dst != dst) {
		/* one that nobody else holds may be on its way out */
		if (!dst_hold_safe(dst))
			return false;
		dst_release(route->dst);
		route->dst = dst;
	}
	route->cookie = v6 ? rt6_get_cookie(wlb_rt6(dst)) : 0;
	return true;
}

bool wlb_route_is_plain(const struct dst_entry *dst, bool v6)
{
	if (dst_xfrm(dst) || dst->lwtstate || (dst->dev->flags & IFF_LOOPBACK) ||
	    netif_is_l3_slave(dst->dev))
		return false;
	return v6 ? !(wlb_rt6(dst)->rt6i_flags & (RTF_LOCAL | RTF_ANYCAST | RTF_REJECT)) :
		    wlb_rt4(dst)->rt_type == RTN_UNICAST;
}
