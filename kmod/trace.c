// SPDX-License-Identifier: GPL-2.0-only
#define CREATE_TRACE_POINTS
#include "trace.h"

#define WLB_TRACE_NAME(name, text) #name,

static const char *const wlb_trace_stats[] = { WLB_STATS(WLB_TRACE_NAME) };
static const char *const wlb_trace_group_stats[] = {
	WLB_GROUP_STATS(WLB_TRACE_NAME)
};

const char *wlb_trace_stat(int stat)
{
	return wlb_trace_stats[stat];
}

const char *wlb_trace_group_stat(enum wlb_group_stat stat)
{
	return wlb_trace_group_stats[stat];
}
