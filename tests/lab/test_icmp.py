# SPDX-License-Identifier: GPL-2.0-only
"""What routers say about carried flows, in all return modes: packets that are too big, ports
that are not reached, quotes of the least length. r1 wins all races."""

import struct
import time

import pytest

from wlblab import packets, wlb
from wlblab.bulk import both_ways
from wlblab.clones import Delta, Tap, Wire, encapsulate, lab, segment
from wlblab.host import wait_until
from wlblab.packets import ACK

WAYS = [("nat", None), ("spoof", "gre"), ("tunnel", "gre"), ("tunnel", "ipip")]
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(filter(None, way)))
SIZE = 1 << 20
NARROW = 1400
ROUTER = {4: "10.9.1.2", 6: "2001:db8:9:1::2"}


@pytest.fixture(scope="module")
def net():
    with lab(clients=1, replicas=1) as t0:
        t0.own_origin()
        for name in t0.hosts:
            # What one scenario has taught a route, the next does not know.
            t0[name].sysctl(net__ipv4__route__mtu_expires=1, net__ipv6__route__mtu_expires=1,
                            net__ipv4__tcp_mtu_probing=0, net__ipv4__icmp_ratelimit=0,
                            net__ipv6__icmp__ratelimit=0)
        t0.netem("s", "sg", "delay 300ms")
        yield t0


@pytest.fixture(autouse=True)
def settled(net):
    yield
    wait_until("r1 has closed", lambda: not net["r1"].sockets(
        "state", "connected", "exclude", "time-wait"))
    net.wlb("cg").run("flow", "flush")
    assert wlb.unaccounted(net.wlb("cg").stats()) == 0
    for host in net.hosts:
        for family in ("-4", "-6"):
            net[host].run("ip", family, "route", "flush", "cache")
    time.sleep(1.1)


def configure(net, mode, via):
    net.configure(ports=[80, 8080], served={"return_": mode, "via": via})


class Narrow:
    """Routes of a router that take no more than mtu bytes towards r1 and the client."""

    def __init__(self, net, routes, mtu):
        self._net, self._routes, self._mtu = net, routes, mtu

    def _set(self, *mtu):
        for host, prefix, *rest in self._routes:
            self._net[host].run("ip", "-6" if ":" in prefix else "-4", "route", "replace", prefix,
                                *rest, *mtu)

    def __enter__(self):
        self._set("mtu", self._mtu)

    def __exit__(self, *_):
        self._set()


def fragments(net):
    return {name: [net[name].counters().get(key, 0) for key in
                   ("IpFragCreates", "Ip6FragCreates", "IpReasmReqds", "Ip6ReasmReqds")]
            for name in net.hosts}


# The least that IPv6 allows is the case in which a tunnel has to be cut into fragments.
mtus = pytest.mark.parametrize("family,mtu", [(4, NARROW), (6, NARROW), (6, 1280)])


@ways
@mtus
def test_narrow_path(net, family, mtu, way):
    """W100, W102 to W104, W106: a link between the gateway and the replica takes 1400 bytes,
    or 1280, in both directions: everybody who sends learns it, whatever address the error
    comes under, and nothing is cut into fragments but a tunnel of IPv6."""
    mode = way[0]
    configure(net, *way)
    ctl = {name: Delta(net.wlb(name)) for name in ("cg", "sg", "r1")}
    before = fragments(net)
    routes = {4: [("core", "198.51.100.0/28", "dev", "r1"),
                  ("core", "10.1.0.0/16", "via", "10.9.1.1")],
              6: [("core", "2001:db8:b:1::/64", "dev", "r1", "metric", "256"),
                  ("core", "2001:db8:1::/48", "via", "2001:db8:9:1::1")]}[family]
    with Narrow(net, routes, mtu):
        both_ways(net["c1"], net.address["s", family], net["r1"], 8080, SIZE)
    grown = {name: delta() for name, delta in ctl.items()}
    if mode == "tunnel":
        assert grown["cg"]["icmp_tunnel"] and grown["cg"]["too_big_out"]
        assert grown["r1"]["icmp_tunnel"]
    else:
        assert grown["cg"]["icmp_in"]
        assert ("icmp_relayed" in grown["sg"]) == (mode == "spoof")
    if not (mode == "tunnel" and family == 6):
        assert fragments(net) == before
    elif mtu == 1280:
        assert fragments(net) != before


@ways
@mtus
def test_narrow_client(net, family, mtu, way):
    """W102, W106: behind the gateway the client's link takes 1400 bytes, or 1280: what the
    gateway says to the server about it reaches the replica."""
    configure(net, *way)
    before, cut = Delta(net.wlb("cg")), fragments(net)
    routes = {4: [("cg", "10.1.1.0/24", "dev", "lan0")],
              6: [("cg", "2001:db8:1:1::/64", "dev", "lan0", "metric", "256")]}[family]
    with Narrow(net, routes, mtu):
        both_ways(net["c1"], net.address["s", family], net["r1"], 8080, SIZE)
    assert before()["icmp_out"]
    if not (way[0] == "tunnel" and family == 6):
        assert fragments(net) == cut


def icmp(family, dst, quoted, mtu=NARROW, code=None, broken=False):
    """An ICMP error of the router; code: a port that is not reached."""
    if family == 4:
        head = struct.pack("!BBHHH", 3, 4 if code is None else code, 0, 0,
                           mtu if code is None else 0)
        total = packets.fold(head + quoted) ^ 0xffff
        proto = 1
    else:
        head = struct.pack("!BBHI", *((2, 0) if code is None else (1, code)), 0,
                           mtu if code is None else 0)
        pseudo = packets.pack(ROUTER[6]) + packets.pack(dst) + struct.pack(
            "!II", len(head + quoted), 58)
        total = packets.fold(pseudo + head + quoted) ^ 0xffff
        proto = 58
    head = head[:2] + struct.pack("!H", total ^ broken) + head[4:]
    return packets.ip(ROUTER[family], dst, head + quoted, proto)


@ways
def test_least_quote(net, family, way):
    """W104, W105: the IP header and 8 bytes are enough; an error that is broken, or about
    nobody's packet, changes nothing and reaches nobody under a wrong name."""
    mode, via = way
    configure(net, *way)
    client, s, r1 = (net.address[name, family] for name in ("c1", "s", "r1"))
    head = 40 if family == 6 else 20
    ctl = net.wlb("cg")
    began = Delta(ctl)
    with net["c1"].connect(s, 80) as sock, Wire(net, "core", "cg") as wire, \
            Tap(net["c1"], "lan0") as tap:
        port = sock.getsockname()[1]
        wait_until("the server's reset", lambda: began().get("reset_sent"))

        def about(sport=port, dst=r1, **kwargs):
            """An error about what the gateway sends to r1 for this flow."""
            if mode == "tunnel":
                inner = segment(client, s, sport, 80, ACK, b"")
                quoted = encapsulate(inner, client, dst, via)
            else:
                quoted = segment(client, dst, sport, 80, ACK, b"")
            before = Delta(ctl)
            wire.send(icmp(family, client, quoted[:head + 8], **kwargs))
            time.sleep(0.2)
            return before()

        def heard():
            return tap.seen(lambda p: not p.out and p.proto == (58 if family == 6 else 1)
                            and p.src == ROUTER[family])

        assert about(dst=net.address["s", family].replace("10", "99")) == {}
        strangers = len(heard())
        if mode == "tunnel":
            assert about() == {"icmp_tunnel": 1}
            assert len(heard()) == strangers
            # The client hears of it by its next packet that is too big. What a route has
            # learned, it forgets after a second here, and this machine may be slow.
            before = Delta(ctl)
            sock.sendall(b"GET / HTTP/1.0\r\n")

            def told():
                about()
                sock.sendall(b"X: " + b"x" * 1450 + b"\r\n")
                return before().get("too_big_out")
            wait_until("the client is told", told)
            sock.sendall(b"\r\n")
            assert b"X-Who: r1" in sock.recv(4096)
            return
        assert about(broken=True) == {"icmp_bad_checksum": 1}
        assert about(sport=port ^ 1) == {}
        strangers = len(heard())
        for code in (None, 3 if family == 4 else 4):
            assert about(code=code) == {"icmp_in": 1}
        for packet in heard()[strangers:]:
            quoted = packet.data[packet.header + 8:]
            assert packets.pack(s) == quoted[head - len(packets.pack(s)):head]
            assert packets.fold(packet.data[:packet.header]) == 0xffff or family == 6
        assert len(heard()) == strangers + 2
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"X-Who: r1" in sock.recv(4096)
