# SPDX-License-Identifier: GPL-2.0-only
"""The lab itself, without the module: what later scenarios compare with."""

import hashlib
import statistics

import pytest

from wlblab import kernel, web
from wlblab.t0 import DELAYS

# Forwarding, netem and the echo itself under emulation, both ways.
SLACK_MS = 6


def test_topology(t0):
    """Delays are as configured; the origin serves both families; the module is absent."""
    assert not kernel.loaded()
    c1 = t0["c1"]
    t0.warm_up()
    for family in (4, 6):
        for name in ("s", "r1", "r2", "r3"):
            # The least: what the links take; the rest is the emulation's noise.
            rtt = min(c1.ping(t0.address[name, family], count=5, interval=0.1))
            expected = 2 * (DELAYS["cg"] + DELAYS[name])
            assert expected <= rtt <= expected + SLACK_MS, f"{name}, IPv{family}"
        who, body = web.fetch(c1, t0.address["s", family])
        assert (who, body) == ("s", b"s\n")
        who, _ = web.fetch(t0["c2"], t0.address["r2", family])
        assert who == "r2"
    pages = web.pages(c1, t0.address["s", 4], 8, parallel=2)
    assert all(p.ok and p.who == "s" for p in pages)
    connect = statistics.median(p.connect_ms for p in pages)
    assert 0 <= connect - t0.connect_ms("s") <= SLACK_MS
    assert t0["s"].half_open() == 0


@pytest.mark.parametrize("family", [4, 6])
def test_download(t0, family):
    """10 MB arrive whole."""
    _, body = web.fetch(t0["c1"], t0.address["s", family], "10M")
    assert hashlib.sha256(body).digest() == hashlib.sha256(web.big_file().read_bytes()).digest()


def test_capture_and_netem(make_t0):
    """The tools that scenarios judge by: capture, counters, netem, a cable pulled."""
    net = make_t0(delays=False, clients=1, https=True)
    c1, s = net["c1"], net["s"]
    before = s.counters()
    with s.capture("lan0", "tcp port 80") as capture:
        web.fetch(c1, net.address["s", 4])
    syns = capture.fields(["ip.src", "tcp.dstport"], "tcp.flags.syn == 1 && tcp.flags.ack == 0")
    assert syns == [{"ip.src": ["10.1.1.2"], "tcp.dstport": ["80"]}]
    assert s.counters()["TcpPassiveOpens"] - before["TcpPassiveOpens"] == 1
    assert web.fetch(c1, net.address["s", 6], scheme="https")[0] == "s"
    net.netem("core", "r1", "delay 30ms")
    assert min(c1.ping(net.address["r1", 4])) >= 30
    net.netem("core", "r1", "")
    assert min(c1.ping(net.address["r1", 4])) < 30
    net.link_down("r1", "core")
    assert not web.pages(c1, net.address["r1", 4], 1, connect_timeout=1)[0].ok
    net.link_up("r1", "core")
    for family in (4, 6):
        assert web.fetch(c1, net.address["r1", family])[0] == "r1"


def test_variants(make_t0):
    """Two server gateways in series and a second server, for scenarios that ask."""
    net = make_t0(delays=False, gateways=2, servers=2, replicas=1, clients=1)
    for family in (4, 6):
        for server in ("s", "s2"):
            assert web.fetch(net["c1"], net.address[server, family])[0] == server
        net["r1"].ping({4: "10.9.3.1", 6: "2001:db8:9:3::1"}[family], count=1)
