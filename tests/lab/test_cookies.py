# SPDX-License-Identifier: GPL-2.0-only
"""A cache's host whose proxy answers, or does not answer, with SYN cookies."""

import time


def test_cookies(farm, family, k1):
    """While the proxy answers with SYN cookies nobody knows its connections: what may be one
    is taken in."""
    farm.redirect(family)
    with k1.tproxy():
        k1.host.sysctl(net__ipv4__tcp_syncookies=2)
        try:
            k1.set(k1.door(family))
            before = k1.counters()
            assert farm.who(family) == "k1"
            assert k1.counters()["cache_strange"] == before["cache_strange"]
        finally:
            k1.host.sysctl(net__ipv4__tcp_syncookies=1)


def test_none_so_far(farm, k1):
    """Five minutes after boot jiffies are 0, and the kernel takes "never" for "just now"."""
    with open("/proc/uptime", encoding="utf-8") as uptime:
        time.sleep(max(0, 310 - float(uptime.read().split()[0])))
    farm.redirect(4)
    with k1.tproxy():
        k1.set(k1.door(4), share=1000)
        assert farm.who(4) == "s"
