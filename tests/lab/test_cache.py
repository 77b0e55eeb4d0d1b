# SPDX-License-Identifier: GPL-2.0-only
"""The host of a cache: what its router redirects is taken in by a proxy, or returned. Router
and cache are the module's; traffic is real."""

import errno
import hashlib
import random
import socket
import struct
import time

import pytest

from wlblab import netlink, packets
from wlblab.cachehost import PORT, CacheHost
from wlblab.farm import GRE, L2, group, octets, rule
from wlblab.host import wait_until
from wlblab.netlink import address, attr, u16s, u8

WAYS = pytest.mark.parametrize("way, back", [(GRE, GRE), (L2, L2), (L2, GRE), (GRE, L2)],
                               ids=["gre", "l2", "l2-gre", "gre-l2"])


@pytest.fixture(params=["tproxy", "nat"])
def deliver(request, k1):
    """How packets get to the proxy: what set() needs to know of it."""
    if request.param == "nat":
        yield {"nat": True, "port": 80}
        return
    with k1.tproxy():
        yield {}


def grown(before, after, *names):
    return tuple(after[f"cache_{name}"] - before[f"cache_{name}"] for name in names)


def page(sock):
    """Asks on a connection that is there already; whose page it is."""
    sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
    data = b""
    while more := sock.recv(4096):
        data += more
    return data.partition(b"\r\n\r\n")[2].decode().strip()


@WAYS
def test_taken(farm, family, k1, deliver, way, back):
    """C20: the proxy answers in the origin's name, without a tunnel's device."""
    farm.redirect(family, way, back)
    k1.set(k1.door(family, way, back), **deliver)
    before = k1.counters()
    assert [farm.who(family, origin) for origin in range(3)] == ["k1"] * 3
    taken, strange = grown(before, k1.counters(), "received", "strange")
    assert taken >= 12 and strange == 0
    k1.off()
    if way == GRE:              # what comes by L2 is forwarded like anything else
        with pytest.raises(OSError):
            farm["c"].connect(farm.origins[family][0], 80, timeout=1.5)


@WAYS
def test_rules(farm, family, k1, deliver, way, back):
    """C1-C3: what a rule speaks for reaches its origin as the client sent it, big packets and
    all; in GRE it has the redirect header that it came with."""
    farm.redirect(family, way, back)
    length = 32 if family == 4 else 128
    one = farm.origins[family][1]
    k1.set(k1.door(family, way, back), **deliver, rules=[
        rule(True, f"{farm.client[family]}/{length}", f"{farm.origins[family][0]}/{length}"),
        rule(False, None, f"{one}/{length}"), rule(True),
        rule(False, "10.0.0.0/8" if family == 4 else "2001:db8::/32")])
    before = k1.counters()
    with farm["r"].capture("k1", "ip proto 47 or ip6 proto 47") as loop, \
            farm["s"].capture("wan0", "tcp dst port 80") as arrived:
        assert [farm.who(family, origin) for origin in (0, 1, 2)] == ["k1", "s", "k1"]
    client = octets(farm.client[family])
    sources = {bytes(p)[26:30] if family == 4 else bytes(p)[22:38] for p in arrived.packets()}
    assert sources == {client}
    if way == back == GRE:
        off = 14 + (20 if family == 4 else 40) + 4
        at = {4: 26, 6: 22}[family]
        router = octets(farm.router["k1"][family])
        frames = [bytes(p) for p in loop.packets()]
        to = [f for f in frames if f[at:at + len(router)] == router and octets(one) in f]
        fro = [f for f in frames if f[at:at + len(router)] != router]
        assert len(fro) > 3 and [f[off:] for f in fro] == [f[off:] for f in to]
    data = random.Random(1).randbytes(3_000_000)
    assert farm.upload(family, data, 1) == ("s", hashlib.sha256(data).hexdigest())
    after = k1.counters()
    bypassed, strange, kept = grown(before, after, "bypassed", "strange", "kept")
    assert bypassed == 1 and strange > 3 and kept == 0     # port 81 is of no group
    (door,) = k1.shown()[1]
    assert struct.unpack("=Q", door[7])[0] == bypassed + strange


def test_learned(farm, family, k1, deliver):
    """C2: a learned pair is returned for its time; connections from before stay."""
    farm.redirect(family)
    k1.set(k1.door(family), **deliver)
    first, second = farm.origins[family][:2]
    assert farm.who(family) == "k1"
    with farm["c"].connect(first, 80) as old:
        k1.bypass(first, 60)
        k1.bypass(second, 60, farm.client[family])
        k1.bypass(farm.origins[family][2], 60, farm.origins[family][0])
        assert [farm.who(family, origin) for origin in range(4)] == ["s", "s", "k1", "k1"]
        assert page(old) == "k1"
    left = k1.bypasses()
    assert left.keys() == {(None, first), (farm.client[family], second),
                           (first, farm.origins[family][2])}
    assert all(50 <= seconds <= 60 for seconds in left.values())
    k1.forget(first)
    assert farm.who(family) == "k1" and farm.who(family, 1) == "s"
    with pytest.raises(netlink.Refused) as refused:
        k1.forget(first)
    assert refused.value.code == errno.ENOENT
    k1.bypass(second, 1, farm.client[family])          # the same, with less time
    wait_until("it is over", lambda: farm.who(family, 1) == "k1", 5)
    assert k1.bypasses().keys() == {(first, farm.origins[family][2])}
    k1.forget()
    assert k1.bypasses() == {}
    k1.bypass(first, 60)
    k1.off()
    k1.set(k1.door(family), **deliver)
    assert farm.who(family) == "k1"                 # what was learned went with the role


def test_overload(farm, family, k1, deliver):
    """C2: a share of new connections is returned; those that there are stay where they are,
    when it grows and when it shrinks."""
    farm.redirect(family)
    door = k1.door(family)
    k1.set(door, **deliver)
    server = farm.origins[family][0]
    with farm["c"].connect(server, 80) as taken:
        k1.set(door, share=1000, **deliver)
        with farm["c"].connect(server, 80) as returned:
            assert farm.who(family) == "s"
            assert page(taken) == "k1"
            k1.set(door, **deliver)
            assert farm.who(family) == "k1"
            assert page(returned) == "s"
    k1.set(door, share=500, **deliver)
    before = k1.counters()
    served = [farm.who(family, sport % 8, sport) for sport in range(20000, 20040)]
    assert 8 < served.count("s") < 32
    assert grown(before, k1.counters(), "overload")[0] == served.count("s")


@WAYS
def test_deserted(farm, family, k1, way, back):
    """A proxy that is dead gets nothing new: no client is refused, not even once. One that
    listens for the host's own address alone is not dead."""
    farm.redirect(family, way, back)
    own = farm.caches["k1"][family]
    door = k1.door(family, way, back, source=own)
    with k1.tproxy():
        k1.set(door)
        assert farm.who(family) == "k1"
        before = k1.counters()
        k1.set(door, port=3130)
        assert farm.who(family) == "s"
        assert grown(before, k1.counters(), "deserted") == (1,)
        k1.set(door, port=[3130, PORT])
        assert farm.who(family) == "k1"
        k1.set(k1.door(family, way, back), port=3130)   # whose own address is not known
        assert farm.who(family) == "k1"
        listener = socket.AF_INET6 if family == 6 else socket.AF_INET
        with farm["k1"].entered():
            sock = socket.socket(listener)
        with sock:
            sock.bind((own, 3130))
            sock.listen()
            k1.set(door, port=3130)
            assert farm.who(family) == "k1"
    assert farm.who(family) == "s"


def test_begun_elsewhere(farm, family, k1, deliver):
    """A connection from before the cache was there goes on with its server."""
    k1.set(k1.door(family), **deliver)
    with farm["c"].connect(farm.origins[family][0], 80) as old:
        farm.redirect(family)
        assert farm.who(family) == "k1"
        before = k1.counters()
        assert page(old) == "s"
    assert grown(before, k1.counters(), "strange")[0] >= 2


def test_strangers(farm, family, k1, deliver):
    """GRE from others is left alone and counted, broken GRE dropped; what only passes, and the
    host's own traffic, is none of this."""
    farm.redirect(family)
    k1.set(k1.door(family), **deliver)
    inner = packets.tcp(farm.client[family], farm.origins[family][0], 33000, 80, packets.SYN,
                        options=packets.MSS)
    before = k1.counters()
    send_gre(farm, "k2", family, b"\0\0\0\0" + inner)
    whole = b"\0\0\0\0"
    portless = packets.ip(farm.client[family], farm.origins[family][0], inner[-24:-21])
    for broken in (b"", whole, whole + inner[:30], whole + b"\x55" + inner[1:], whole + portless):
        send_gre(farm, "r", family, broken)
    wait_until("all are counted", lambda: grown(
        before, k1.counters(), "stranger", "malformed", "received") == (1, 5, 0))
    assert farm.who(family) == "k1"
    k1.host.ping(farm.router["k1"][family], 1)


def send_gre(farm, host, family, payload):
    with farm[host].entered():
        sock = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6,
                             socket.SOCK_RAW, 47)
    with sock:
        sock.sendto(struct.pack("!HH", 0, 0x883e) + payload, (farm.caches["k1"][family], 0))


def test_no_way_back(farm, k1):
    """What cannot be returned is taken in: better a page from the proxy than none."""
    farm.redirect(4)
    with k1.tproxy():
        k1.set(k1.door(4, GRE, L2), k1.door(4, router="10.9.9.9"), share=1000)
        assert farm.who(4) == "s"
        k1.host.run("ip", "route", "add", "unreachable", farm.router["k1"][4])
        try:
            before = k1.counters()
            k1.set(k1.door(4, GRE, L2), share=1000)
            assert farm.who(4) == "k1"
            assert grown(before, k1.counters(), "kept", "overload") == (1, 0)
        finally:
            k1.host.run("ip", "route", "del", "unreachable", farm.router["k1"][4])


def test_router_behind_a_hop(farm, family):
    """By its link only a neighbour can be given anything back: the same for another router."""
    cache = CacheHost(farm, "k3")
    try:
        farm.set_groups(group())
        farm.assign(family, farm.one("k3", family, GRE, L2))
        with cache.tproxy():
            cache.set(cache.door(family, GRE, L2), share=1000)
            before = cache.counters()
            assert farm.who(family) == "k3"
            assert grown(before, cache.counters(), "kept", "overload") == (1, 0)
    finally:
        cache.close()


def test_both_roles(farm, family, k1):
    """A host that is a router with caches of its own, and a cache of another router."""
    farm.redirect(family)
    with k1.tproxy():
        k1.set(k1.door(family))
        with netlink.Wlb(k1.host) as ctl:
            ctl.request(netlink.GROUP_SET, [attr(netlink.ROUTER, []), group(into=("none0",))])
            farm.assign_by(ctl, family, farm.one("k2", family))
        try:
            assert farm.who(family) == "k1"
        finally:
            with netlink.Wlb(k1.host) as ctl:
                ctl.request(netlink.GROUP_SET, [attr(netlink.ROUTER, [])])


def test_configuration(farm, k1):
    """What was set is shown; a router that stays keeps its counters; what is wrong is refused
    by name and changes nothing."""
    farm.redirect(4)
    with k1.tproxy():
        k1.set(k1.door(4), share=1000, rules=[rule(False, None, "203.0.113.11/32")])
        assert farm.who(4) == "s"
        k1.set(k1.door(4), k1.door(6, L2, L2, 1, 80), rules=[rule(True, "10.0.0.0/8")],
               port=[80, 3129])
        words, (four, six) = k1.shown()
        assert struct.unpack("=I", words[3])[0] == 0 and struct.unpack("=I", words[4])[0] == 7
        assert 5 not in words
        first = netlink.values(k1.request(netlink.CACHE_GET, dump=True)[0])[netlink.CACHE]
        assert [struct.unpack("=H", value)[0] for _, kind, value in netlink.attributes(first)
                if kind == 6] == [80, 3129]
        assert struct.unpack("=Q", four[7])[0] > 3 and struct.unpack("=Q", six[7])[0] == 0
        assert six[1] == octets(farm.router["k1"][6])
        assert (six[2][0], six[3][0], six[4][0], six[5][0]) == (L2, L2, 1, 80)

        def cache(*parts):
            return netlink.CACHE_SET, [attr(netlink.CACHE, list(parts))]

        def bypass(*parts):
            return netlink.BYPASS_ADD, [attr(netlink.BYPASS, list(parts))]

        router = address(1, farm.router["k1"][4])
        many = [attr(2, [])] * 513
        for (command, attrs), path, text in (
                (cache(attr(1, [router, u8(2, 0)])), (22, 1), "needs address, forward and return"),
                (cache(attr(1, [router, u8(2, 2), u8(3, 0)])), (22, 1, 2), "range"),
                (cache(attr(1, [address(1, "224.0.0.1"), u8(2, 0), u8(3, 0)])), (22, 1, 1),
                 "one host"),
                (cache(attr(1, [router, u8(2, 0), u8(3, 0), address(6, "::1")])), (22, 1, 6), ""),
                (cache(attr(1, [router, u8(2, 0), u8(3, 0), address(6, "2001:db8::1")])),
                 (22, 1, 6), "family"),
                (cache(attr(3, 1001)), (22, 3), "range"),
                (cache(*many), (22,), "at most 512"),
                (cache(*[u16s(6, 80)] * 17), (22, 6), "at most 16"),
                (cache(u16s(6, 0)), (22, 6), "range"),
                (cache(*[attr(1, [router, u8(2, 0), u8(3, 0)])] * 1025), (22,), "at most 1024"),
                (bypass(attr(3, 5)), (23,), "needs a destination"),
                (bypass(router, address(2, "2001:db8::1"), attr(3, 5)), (23, 1), "family"),
                (bypass(address(2, "10.1.1.1")), (23,), "lifetime"),
                (bypass(address(2, "10.1.1.1"), attr(3, 0)), (23, 3), "lifetime"),
                (bypass(address(2, "10.1.1.1"), attr(3, 604801)), (23, 3), "lifetime"),
                ((netlink.BYPASS_ADD, []), (), "which packets")):
            with netlink.Wlb(k1.host) as ctl, pytest.raises(netlink.Refused) as refused:
                ctl.request(command, attrs)
            assert refused.value.path == path and text in refused.value.text, refused.value
        assert k1.shown()[1][0] == four and farm.who(4) == "k1"
        k1.off()
        assert k1.request(netlink.CACHE_GET, dump=True) == []
        for command in (netlink.BYPASS_ADD, netlink.BYPASS_DEL):
            with netlink.Wlb(k1.host) as ctl, pytest.raises(netlink.Refused) as refused:
                ctl.request(command, [attr(netlink.BYPASS, [address(2, "10.1.1.1"), attr(3, 5)])])
            assert refused.value.code == errno.ENOENT and "off" in refused.value.text


def test_many_learned(farm, k1):
    """At most so many; what is over makes room."""
    k1.set(k1.door(4))
    with netlink.Wlb(k1.host) as ctl:
        def add(number, lifetime):
            ctl.request(netlink.BYPASS_ADD, [attr(netlink.BYPASS, [
                attr(2, struct.pack("!I", 0x0b000000 + number)), attr(3, lifetime)])])
        for number in range(65536):
            add(number, 600 if number else 1)
        time.sleep(1.1)
        add(65536, 600)
        with pytest.raises(netlink.Refused) as refused:
            add(65537, 600)
        assert refused.value.code == errno.ENOSPC
        add(5, 600)
    assert len(k1.bypasses()) == 65536
