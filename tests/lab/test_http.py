# SPDX-License-Identifier: GPL-2.0-only
"""What wlb-routerd serves by HTTP: the kernel's counters and its own as metrics, a group as
/status.json and as a page. What is served here tests/page shows to promtool and a browser."""

import contextlib
import socket
import time
from http.client import HTTPException

import pytest

from wlblab import wccp
from wlblab.host import wait_until
from wlblab.http import Http, values
from wlblab.processd import Processd, file_of

GROUP = {"service": "web-cache", "redirect_in": ["lan0"],
         "group_list": ["10.2.0.0/24", "10.3.0.0/24"]}
NAMES = ("k1", "k2", "k3")


def of_ipv4(status):
    (found,) = [g for g in status["own"]["groups"] if g["family"] == "IPv4"]
    return found


@pytest.fixture
def router(farm):
    router = wccp.Routerd(farm["r"])
    router.caches = []
    yield router
    for cache in router.caches:
        cache.stop()
    if router.child:
        router.kill(15)


@pytest.mark.whole
def test_routerd(router, farm):
    """Three caches share the buckets, of which one is refused at first; every number that is
    served is wlbctl's."""
    router.start(GROUP)
    http = Http(farm["r"], "routerd")
    router.caches = [wccp.Cache(farm[name], farm.caches[name][4], farm.router[name][4],
                                **({"forwarding": wccp.L2} if name == "k3" else {}))
                     for name in NAMES]
    own = {farm.caches[name][4] for name in NAMES}

    def states():
        return {cache["address"]: cache["state"] for cache in of_ipv4(http.status())["caches"]}
    wait_until("two are ready, and k3, behind a router, is not for L2",
               lambda: sorted(states().values()) == ["not on link", "ready", "ready"], 30)
    for origin in range(8):
        farm.who(4, origin)
    http.keep("refused")
    group = of_ipv4(http.status())
    assert {c["why"] for c in group["caches"] if c["state"] == "not on link"} != {""}
    router.caches.pop().stop()
    router.caches.append(wccp.Cache(farm["k3"], farm.caches["k3"][4], farm.router["k3"][4]))
    wait_until("all have buckets", lambda: router.shares().keys() == own, 30)
    for pages in (8, 24, 16):       # a history of several samples
        for page in range(pages):
            farm.who(4, page % 8)
        time.sleep(5)

    group = of_ipv4(http.status())
    assert set(group["map"]["caches"]) == own
    assert len(group["map"]["buckets"]) == 256 and min(group["map"]["buckets"]) == 0
    metrics = http.metrics()
    for address, share in router.shares().items():
        labels = f'{{group="web-cache",family="IPv4",cache="{address}"}}'
        assert metrics[f"wlb_wccp_cache_share{labels}"] == share
        assert metrics[f"wlb_cache_buckets{labels}"] == share
    shown = router.show()
    assert metrics['wlb_redirected_packets_total{way="gre"}'] == shown["packets"]["gre"] > 200
    assert metrics['wlb_group_packets_total{group="web-cache",outcome="gre"}'] == \
        shown["packets"]["gre"]
    assert sum(v for k, v in metrics.items() if k.startswith("wlb_member_packets_total")) > 100
    assert 0 < metrics['wlb_wccp_messages_total{group="web-cache",family="IPv4",'
                       'kind="here-i-am"}'] <= shown["messages"]["here-i-am"]
    assert metrics['wlb_wccp_caches{group="web-cache",family="IPv4",state="ready"}'] == 3
    assert metrics["wlb_module_up"] == metrics['wlb_role{role="cache-router"}'] == 1
    by_hand = values(router.ctl.run("metrics").stdout)
    kernel = {k: v for k, v in metrics.items() if k in by_hand}
    assert kernel.keys() == by_hand.keys()
    assert {k for k in by_hand if by_hand[k] != kernel[k]} == set()
    history = http.status()["history"]["counters"]
    assert sum(history["redirect_gre"]) > 100
    http.keep()


def test_reads_only(router, farm):
    """GET and HEAD by a name of the loopback interface, and nothing else."""
    router.start(GROUP)
    http = Http(farm["r"], "routerd")
    for method, host, status in (("HEAD", "localhost:2062", 200), ("GET", "[::1]:2062", 200),
                                 ("POST", "localhost", 405), ("DELETE", "localhost", 405),
                                 ("GET", "evil.example", 421)):
        assert http.ask("/", method, host)[0] == status, (method, host)
    assert http.ask("/etc/wlb/wlb.toml")[0] == http.ask("/../status.json")[0] == 404
    assert "default-src 'none'" in http.ask("/")[1]["Content-Security-Policy"]
    # Nobody else's packets get there.
    with farm["c"].entered(), socket.socket() as sock:
        sock.settimeout(5)
        with pytest.raises(OSError):
            sock.connect((farm.router["k1"][4], http.port))


def test_fails_open(router, farm):
    """A port that is taken, idle readers and slow ones are nothing to the group."""
    http = Http(farm["r"], "routerd")
    with farm["r"].entered():
        taken = socket.create_server(("127.0.0.1", http.port))
    router.start(GROUP)
    assert "no HTTP: 127.0.0.1:2062: Address already in use" in router.log()
    router.kill(15)
    taken.close()
    router.start(GROUP)
    crowd = [farm["r"].connect("127.0.0.1", http.port) for _ in range(40)]
    for sock in crowd[::2]:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 10)
    router.caches = [wccp.Cache(farm["k1"], farm.caches["k1"][4], farm.router["k1"][4])]
    wait_until("k1 has all buckets",
               lambda: router.shares() == {farm.caches["k1"][4]: 256}, 20)

    def is_served():
        with contextlib.suppress(OSError, HTTPException):   # one too many is just closed
            return http.ask("/metrics")[0] == 200
    wait_until("those who were idle are gone", is_served, 30)
    for sock in crowd:
        sock.close()


@pytest.mark.whole
def test_processd(farm):
    with Processd(farm["r"]) as daemon:
        daemon.start({"on": ["passing"], "protocol": "tcp", "port": 80, "dscp": "ef",
                      "copy": "watch"},
                     copies=[{"name": "watch", "file": str(file_of("http")), "length": 64}])
        assert farm.who(4) == "s"
        http = Http(farm["r"], "processd")
        wait_until("copies have come", lambda: http.metrics().get(
            'wlb_copied_packets_total{copy="watch"}', 0) > 3, 20)
        metrics = http.metrics()
        assert metrics['wlb_process_rule_packets_total{rule="1"}'] > 3
        assert metrics['wlb_process_actions_total{action="marked"}'] > 3
        http.keep()
