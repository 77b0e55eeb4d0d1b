/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The label: a TCP option of a SYN by which whoever processes packets tells servers
 * something about the client, such as where it is. What it says is the
 * administrator's.
 *
 *   0: 254   1: length   2-3: ExID   4-: 1 to 16 octets
 *
 * The second experiment of ours, by RFC 6994: of the other kind, so that it is never
 * taken for the tag of a race, and with the identifier behind the tag's own, which
 * IANA has not assigned either.
 */
#ifndef WLB_LABEL_H
#define WLB_LABEL_H

#include "tag.h"

#define WLB_LABEL_EXID		0x574d
#define WLB_LABEL_DATA_MAX	16
#define WLB_LABEL_HDR_LEN	4
#define WLB_LABEL_LEN_MAX	(WLB_LABEL_HDR_LEN + WLB_LABEL_DATA_MAX)

/* What it takes in an option list, with the NOPs that keep words aligned. */
static inline unsigned int wlb_label_room(unsigned int len)
{
	return (WLB_LABEL_HDR_LEN + len + 3) & ~3U;
}

/* Writes wlb_label_room(@len) bytes. */
static inline void wlb_label_write(u8 *p, const u8 *data, unsigned int len)
{
	p[0] = WLB_TCPOPT_EXP2;
	p[1] = (u8)(WLB_LABEL_HDR_LEN + len);
	wlb_put_be16(p + 2, WLB_LABEL_EXID);
	memcpy(p + WLB_LABEL_HDR_LEN, data, len);
	memset(p + WLB_LABEL_HDR_LEN + len, WLB_TCPOPT_NOP,
	       wlb_label_room(len) - WLB_LABEL_HDR_LEN - len);
}

static inline bool wlb_opt_is_label(const u8 *opt, int len)
{
	return opt[0] == WLB_TCPOPT_EXP2 && len >= WLB_LABEL_HDR_LEN &&
	       wlb_get_be16(opt + 2) == WLB_LABEL_EXID;
}

/* How many labels the @len bytes of options at @opt have. */
static inline unsigned int wlb_labels(const u8 *opt, unsigned int len)
{
	unsigned int off = 0, count = 0;
	int n;

	while ((n = wlb_opt_len(opt + off, len - off)) > 0) {
		count += wlb_opt_is_label(opt + off, n);
		off += (unsigned int)n;
	}
	return count;
}

/*
 * Rewrites the labels of a well-formed option list in place: the first that is as
 * long says @data from now on, all others become NOPs. The list keeps its length.
 * Without @data all do. True if one says it.
 */
static inline bool wlb_labels_rewrite(u8 *opt, unsigned int len, const u8 *data,
				      unsigned int data_len)
{
	unsigned int off = 0;
	bool said = false;
	int n;

	while ((n = wlb_opt_len(opt + off, len - off)) > 0) {
		if (!wlb_opt_is_label(opt + off, n)) {
			off += (unsigned int)n;
			continue;
		}
		if (data && !said &&
		    (unsigned int)n == WLB_LABEL_HDR_LEN + data_len) {
			memcpy(opt + off + WLB_LABEL_HDR_LEN, data, data_len);
			said = true;
		} else {
			memset(opt + off, WLB_TCPOPT_NOP, (size_t)n);
		}
		off += (unsigned int)n;
	}
	return said;
}

#endif /* WLB_LABEL_H */
