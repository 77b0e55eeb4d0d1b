# SPDX-License-Identifier: GPL-2.0-only
"""Replicas of an origin that a daemon sets at run time: who gets clones and when, what outlives
what, and what is refused."""

import errno
import socket
import struct

import pytest

from wlblab.clones import MSS, Delta, Tap, Wire, lab, segment, tag
from wlblab.netlink import (CONF_SET, CONFIGURED, NAME, REPLICA, REPLICA_GET, REPLICA_SET, ROLE_SG,
                            ROLES, Refused, Wlb, address, attr, u8, values)
from wlblab.wlb import table

BOTH = pytest.mark.parametrize("family", [4, 6])
CLIENT = {4: "10.1.9.9", 6: "2001:db8:1:9::9"}
REPLICAS = ["r1", "r2", "r3"]
GRE, IPIP = 0, 1
HOLD = 300000           # us: a clock may have steps of 10 ms, and the machine be busy


def held(first, last, hold=HOLD):
    """Is the time between two packets what it should be? How exact: test_hold.py."""
    return hold - 15000 < (last.time - first.time) / 1000 < hold + 200000


@pytest.fixture(scope="module")
def net():
    with lab(clients=1, servers=2) as t0:
        for route in ("10.1.9.0/24", "2001:db8:1:9::/64"):
            t0["core"].run("ip", "route", "add", "blackhole", route)
        yield t0


class Bench:
    """A gateway with a wire on which SYNs come and a tap where clones leave."""

    _last = 31000

    def __init__(self, net):
        self.net = net
        self.wire = Wire(net, "core", "sg")
        self.wan = Tap(net["sg"], "wan0")
        self.server = Tap(net["s"], "lan0")
        self.ctl = Wlb(net["sg"])
        self.delta = Delta(net.wlb("sg"))

    def close(self):
        for part in (self.wire, self.wan, self.server, self.ctl):
            part.__exit__()
        self.net.wlb("sg").apply("")

    def origins(self, *origins):
        """Each has the server s, port 80 and r1 as its only replica unless it says so."""
        text = ""
        for i, (family, keys) in enumerate(origins):
            text += table("server-gateway.origin", array=True, **{
                "name": f"o{i}", "server": self.net.address["s", family], "ports": [80],
                "replicas": [{"address": self.net.address["r1", family]}], **keys})
        self.net.wlb("sg").apply(text)
        self.delta.reset()

    def replica(self, name, family, via=GRE, delay=0):
        return attr(REPLICA, [address(1, self.net.address[name, family]), u8(2, via),
                              attr(3, delay)])

    def set(self, *replicas, name="o0"):
        self.ctl.request(REPLICA_SET, [attr(NAME, name), *replicas])

    def unset(self, name="o0"):
        self.ctl.request(REPLICA_SET, [attr(NAME, name), attr(CONFIGURED, b"")])

    def get(self, name="o0"):
        """[(address, via, delay, clones, configured)]"""
        found = []
        for reply in self.ctl.request(REPLICA_GET, dump=True):
            top = values(reply)
            if top[NAME].rstrip(b"\0").decode() != name:
                continue
            one = values(top[REPLICA])
            kind = socket.AF_INET if len(one[1]) == 4 else socket.AF_INET6
            found.append((socket.inet_ntop(kind, one[1]), one[2][0],
                          struct.unpack("=I", one[3])[0], struct.unpack("=Q", one[4])[0],
                          CONFIGURED in top))
        return found

    def race(self, family):
        """{replica: its clone} of one SYN, and the SYN as the server got it."""
        Bench._last += 1
        sport = Bench._last
        self.wire.send(segment(CLIENT[family], self.net.address["s", family], sport,
                               options=MSS + tag()))
        got = self.server.wait(lambda p: not p.out and p.is_tcp and p.sport == sport)[0]
        clones = self.wan.seen(lambda p: p.out and p.proto in (4, 41, 47) and
                               p.inner.is_tcp and p.inner.sport == sport)
        names = {self.net.address[r, family]: r for r in REPLICAS}
        assert len({c.dst for c in clones}) == len(clones)
        return {names[c.dst]: c for c in clones}, got


@pytest.fixture
def bench(net):
    it = Bench(net)
    yield it
    it.close()


@BOTH
def test_set(bench, family):
    """Clones go to exactly what is set, none too, in its encapsulation; then to what is
    configured again. Who stays keeps its counter."""
    of = bench.net.address
    bench.origins((family, {}), (10 - family, {}))
    assert bench.race(family)[0].keys() == {"r1"}
    assert bench.get() == [(of["r1", family], GRE, 0, 1, True)]
    bench.set(bench.replica("r2", family, IPIP), bench.replica("r1", family, delay=7))
    clones, _ = bench.race(family)
    assert clones.keys() == {"r1", "r2"}
    assert (clones["r1"].proto, clones["r2"].proto) == (47, 4 if family == 4 else 41)
    assert bench.get() == [(of["r2", family], IPIP, 0, 1, False),
                           (of["r1", family], GRE, 7, 2, False)]
    bench.set()
    assert not bench.race(family)[0]
    assert not bench.get()
    bench.set(bench.replica("r3", family))
    assert bench.race(family)[0].keys() == {"r3"}
    assert bench.get("o1") == [(of["r1", 10 - family], GRE, 0, 0, True)]
    bench.unset()
    assert bench.race(family)[0].keys() == {"r1"}
    bench.unset()
    assert bench.get()[0][4]
    assert bench.delta() == {"syn_cloned": 5, "clone_sent": 5}


@BOTH
def test_equal(bench, family):
    """Hold times are those of what is set, capped as ever."""
    bench.origins((family, {"race": "equal", "max-hold": "600ms"}))
    bench.set(bench.replica("r1", family, delay=0), bench.replica("r2", family, delay=HOLD))
    clones, got = bench.race(family)
    assert held(clones["r2"], clones["r1"]) and held(clones["r2"], got)
    bench.set(bench.replica("r1", family, delay=0), bench.replica("r2", family, delay=1000000))
    clones, got = bench.race(family)
    assert held(clones["r2"], got, 600000)
    bench.unset()
    clones, got = bench.race(family)
    assert held(clones["r1"], got, 0)


@BOTH
def test_kept(bench, family):
    """A change of configuration keeps what is set, and its counters, with the hold times of the
    new one; another address family, name or server at that address does not."""
    of = bench.net.address
    bench.origins((family, {}))
    bench.set(bench.replica("r2", family, delay=HOLD), bench.replica("r3", family))
    bench.race(family)
    bench.origins((family, {"race": "equal", "max-hold": "1s", "ports": [80, 81]}))
    assert bench.get() == [(of["r2", family], GRE, HOLD, 1, False),
                           (of["r3", family], GRE, 0, 1, False)]
    clones, got = bench.race(family)
    assert clones.keys() == {"r2", "r3"}
    assert held(clones["r2"], got)
    bench.origins((family, {"server": [of["s", family], of["r3", family]]}))
    assert [r[0] for r in bench.get()] == [of["r2", family]]
    bench.origins((10 - family, {}))
    assert bench.get() == [(of["r1", 10 - family], GRE, 0, 0, True)]
    bench.set(name="o0")
    bench.origins((10 - family, {"name": "other"}))
    assert bench.get("other") == [(of["r1", 10 - family], GRE, 0, 0, True)]
    bench.origins((family, {}))
    bench.race(family)
    bench.origins((family, {"ports": [80, 81]}))
    assert bench.get() == [(of["r1", family], GRE, 0, 1, True)]


def test_refusals(bench):
    """Each with its errno, a sentence and the attribute at fault; nothing changes."""
    bench.origins((4, {}))
    bench.set(bench.replica("r2", 4))
    before = bench.get()
    name = attr(NAME, "o0")
    wrong = []
    for attrs, code, words, path in (
            ([], errno.EINVAL, "name", ()),
            ([attr(NAME, "nobody")], errno.ENOENT, "no origin", (NAME,)),
            ([attr(NAME, "x" * 32)], errno.EINVAL, "", (NAME,)),
            ([name, attr(CONFIGURED, b""), bench.replica("r1", 4)], errno.EINVAL,
             "not with configured", (REPLICA,)),
            ([name, attr(REPLICA, [u8(2, 0)])], errno.EINVAL, "address", (REPLICA,)),
            ([name, attr(REPLICA, [address(1, "0.0.0.0")])], errno.EINVAL, "one host",
             (REPLICA, 1)),
            ([name, bench.replica("r1", 6)], errno.EINVAL, "family", (REPLICA, 1)),
            ([name, bench.replica("s", 4)], errno.EINVAL, "own origin", (REPLICA, 1)),
            ([name, bench.replica("r1", 4), bench.replica("r1", 4)], errno.EINVAL, "twice",
             (REPLICA, 1)),
            ([name, bench.replica("r1", 4, via=2)], errno.ERANGE, "", (REPLICA, 2)),
            ([name, bench.replica("r1", 4, delay=1000001)], errno.EINVAL, "1000000",
             (REPLICA, 3)),
            ([name, attr(REPLICA, [address(1, "192.0.2.1"), attr(4, bytes(8))])], errno.EINVAL,
             "", (REPLICA, 4)),
            ([name] + [attr(REPLICA, [address(1, f"192.0.2.{i}")]) for i in range(1, 34)],
             errno.ENOSPC, "32", (REPLICA,)),
            ([name, attr(ROLES, ROLE_SG)], errno.EINVAL, "", (ROLES,))):
        try:
            bench.ctl.request(REPLICA_SET, attrs)
            wrong.append(f"{words}: done")
        except Refused as refused:
            if (refused.code, refused.path) != (code, path) or words not in refused.text or \
                    not refused.text:
                wrong.append(f"{words!r}, {code}, {path}: {refused}")
        assert bench.get() == before
    assert not wrong, "\n".join(wrong)
    bench.set(*(attr(REPLICA, [address(1, f"192.0.2.{i}")]) for i in range(1, 33)))
    assert len(bench.get()) == 32
    bench.ctl.request(CONF_SET, [attr(ROLES, ROLE_SG)])
    with pytest.raises(Refused) as refused:
        bench.set()
    assert refused.value.code == errno.ENOENT
    assert not bench.get()
