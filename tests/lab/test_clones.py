# SPDX-License-Identifier: GPL-2.0-only
"""The server gateway, FIG 3: which start packets it clones, and what a clone is."""

import contextlib
import itertools
import socket
import struct

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6

from wlblab import web
from wlblab.clones import (ACK, CLIENT, EXID, FIN, MSS, NOT_PERMITTED, OFFER_CLONED, OFFER_GRE,
                           OFFER_NAT, PERMITTED, REPLICAS, RST, SYN, Bench, Delta,
                           checksums_right, ip, lab, tag)
from wlblab.host import wait_until
from wlblab.wlb import table

BOTH = pytest.mark.parametrize("family", [4, 6])
OFFERS = OFFER_NAT | OFFER_GRE


@pytest.fixture(scope="module")
def net():
    with lab(clients=1, servers=2) as t0:
        for route in ("10.1.9.0/24", "2001:db8:1:9::/64"):
            t0["core"].run("ip", "route", "add", "blackhole", route)
        yield t0


@pytest.fixture
def bench(net):
    it = Bench(net)
    yield it
    it.close()
    for host in ("sg", "s", "cg"):
        net.wlb(host).apply("")


def changed(packet, hops=1, old=b"", new=b""):
    """The packet after so many routers and with some bytes replaced, checksums right."""
    assert packet.count(old) == 1 or not old
    packet = bytearray(packet.replace(old, new) if old else packet)
    packet[7 if packet[0] >> 4 == 6 else 8] -= hops
    parsed = (IPv6 if packet[0] >> 4 == 6 else IP)(bytes(packet))
    if IP in parsed:
        del parsed[IP].chksum
    if old:
        del parsed[TCP].chksum
    return bytes(parsed)


@BOTH
def test_truth_table(bench, family):
    """W20, W25: cloned if and only if it is a start packet, its tag permits the race
    and its destination is replicable; what is not, goes on as it came."""
    bench.origins(family)
    sent = []
    for flags, options, to in itertools.product(
            (SYN, SYN | 0xc0, ACK, SYN | ACK, SYN | FIN),
            (MSS + tag(PERMITTED), MSS + tag(NOT_PERMITTED, 0, 0), MSS), ("s", "s2")):
        sport, packet = bench.syn(family, to, options=options, flags=flags)
        bench.wire.send(packet)
        sent.append((flags, options, to, sport, packet))
    for flags, options, to, sport, packet in sent:
        got = bench.arrived(sport, to).data
        wanted = flags & 0x3f == SYN and options == MSS + tag(PERMITTED) and to == "s"
        what = f"flags {flags:#x}, options {options.hex()}, to {to}"
        assert len(bench.clones(sport)) == (3 if wanted else 0), what
        if not wanted:
            assert got == changed(packet), what
    assert bench.delta() == {"syn_cloned": 2, "clone_sent": 6, "syn_race_refused": 2,
                             "syn_not_replicable": 4}


@BOTH
def test_by_address_and_port(bench, family):
    """W21: an origin is a server address and a port, each with replicas of its own."""
    of = bench.net.address
    bench.origins(family, {"ports": [80], "replicas": [{"address": of["r1", family]}]},
                  {"ports": [8080], "server": of["s2", family],
                   "replicas": [{"address": of["r2", family]}, {"address": of["r3", family]}]})
    for to, port, replicas in (("s", 80, ["r1"]), ("s", 8080, []), ("s2", 80, []),
                               ("s2", 8080, ["r2", "r3"]), ("s", 443, [])):
        sport, packet = bench.syn(family, to, dport=port)
        bench.wire.send(packet)
        bench.arrived(sport, to)
        assert {c.dst for c in bench.clones(sport)} == {of[r, family] for r in replicas}, (to, port)


@BOTH
@pytest.mark.parametrize("via", ["gre", "ipip"])
def test_form(bench, family, via):
    """W22: outer and inner header of a clone, bit by bit; the source option."""
    net = bench.net
    gateway = {4: "10.9.2.1", 6: "2001:db8:9:2::1"}[family]
    for source in (None, net.address["s", family]):
        bench.origins(family, {"source": source, "replicas": [
            {"address": net.address["r1", family], "via": via}]})
        field = {"tos": 0xB9} if family == 4 else {"tc": 0xB9}     # DSCP EF, ECT(1)
        header = ip(CLIENT[family], net.address["s", family], **field)
        if family == 4:
            header.id, header.flags = 0x1234, "DF"
        sport, packet = bench.syn(family, header=header, options=tag() + MSS + b"\x04\x02\x01\x01",
                                  window=12345, urgptr=7)
        bench.wire.send(packet)
        bench.arrived(sport)
        clone, = bench.clones(sport)
        assert clone.src == (source or gateway)
        assert clone.dst == net.address["r1", family]
        assert clone.proto == {"gre": 47, "ipip": 4 if family == 4 else 41}[via]
        if family == 4:
            outer = IP(clone.data)
            assert (outer.flags, outer.ttl, outer.tos, outer.frag) == ("DF", 64, 0xB8, 0)
            assert outer.ihl == 5 and outer.len == len(clone.data)
            checksum = outer.chksum
            del outer.chksum
            assert IP(bytes(outer)).chksum == checksum
        else:
            outer = IPv6(clone.data)
            assert (outer.hlim, outer.tc, outer.plen) == (64, 0xB8, len(clone.data) - 40)
        if via == "gre":
            start = clone.header
            assert clone.data[start:start + 4] == {4: b"\0\0\x08\0", 6: b"\0\0\x86\xdd"}[family]
        assert clone.inner.data == changed(packet, 1, tag(), tag(offers=OFFERS | OFFER_CLONED))


@BOTH
def test_every_replica(bench, family):
    """W23: each replica gets one clone of each SYN, however many there are; nobody is
    always first."""
    base = {4: "198.51.100.{}", 6: "2001:db8:b:1::{}"}[family]
    for n in (0, 1, 3, 16, 32):
        addresses = [base.format(100 + i) for i in range(n)]
        bench.origins(family, {"replicas": [{"address": a, "via": ("gre", "ipip")[i % 2]}
                                            for i, a in enumerate(addresses)]})
        for _ in range(2):
            sport, packet = bench.syn(family)
            bench.wire.send(packet)
            bench.arrived(sport)
            assert sorted(c.dst for c in bench.clones(sport)) == sorted(addresses)
        assert bench.delta().get("clone_sent", 0) == 2 * n
    bench.origins(family)
    # All the same, or one never first: once in 3 million runs.
    syns = [bench.syn(family) for _ in range(40)]
    for _, packet in syns:
        bench.wire.send(packet)
    for sport, _ in syns:
        bench.arrived(sport)
    first = {bench.clones(sport)[0].dst for sport, _ in syns}
    assert first == {bench.net.address[r, family] for r in REPLICAS}


@BOTH
def test_tag_toward_server(bench, family):
    """W27: the server's copy says "not permitted", or nothing if strip-tag is set; a
    second tag and a long one leave no trace; the rest is as it came."""
    long_tag = struct.pack("!BBHBBH8s", 253, 16, EXID, 0x11, OFFERS, 0x1234, b"\xa5" * 8)
    refused, nothing = tag(NOT_PERMITTED, 0, 0), b"\x01" * 8
    for strip, first in ((False, refused), (True, nothing)):
        bench.origins(family, {"strip-tag": strip})
        for options, expected in (
                (tag() + MSS, first + MSS),
                (MSS + tag() + tag(nonce=9), MSS + first + nothing),
                (long_tag + MSS, first + nothing + MSS)):
            sport, packet = bench.syn(family, options=options)
            bench.wire.send(packet)
            assert bench.arrived(sport).data == changed(packet, 1, options, expected)
            assert len(bench.clones(sport)) == 3


@BOTH
def test_on_the_server(bench, family):
    """W24, W27: the server may be its own gateway; behind another one it clones no
    more."""
    net = bench.net
    address = net.address["s", family]
    bench.origins(family, host="s")
    net.wlb("sg").apply("")
    sport, packet = bench.syn(family)
    bench.wire.send(packet)
    tap = bench.server["s"]
    tap.wait(lambda p: p.out and p.is_tcp and p.ports[1] == sport)     # it answers
    clones = tap.seen(lambda p: p.out and p.proto == 47 and p.inner.sport == sport)
    assert {(c.src, c.dst) for c in clones} == {(address, net.address[r, family])
                                                for r in REPLICAS}
    assert all(c.inner.data == changed(packet, 1, tag(), tag(offers=OFFERS | OFFER_CLONED))
               for c in clones)

    second = Delta(net.wlb("s"))
    bench.origins(family)
    sport, packet = bench.syn(family)
    bench.wire.send(packet)
    tap.wait(lambda p: p.out and p.is_tcp and p.ports[1] == sport)
    assert len(bench.clones(sport)) == 3
    assert tap.seen(lambda p: p.out and p.proto == 47 and p.inner.sport == sport) == []
    assert bench.delta() == {"syn_cloned": 1, "clone_sent": 3}
    assert second() == {"syn_race_refused": 1}


_IP_VS_BASE_CTL = 1152


@contextlib.contextmanager
def virtual_service(net, address):
    """An IPVS service of sg on port 80, round robin, by tunnel to s and s2: what
    ipvsadm -A and -a would do."""
    sg = net["sg"]
    sg.run("modprobe", "-a", "ip_vs", "ip_vs_rr", "ipip")
    sg.sysctl(net__ipv4__conf__all__accept_local=1)
    for host in ("sg", "s", "s2"):
        net[host].run("ip", "address", "add", f"{address}/32", "dev", "lo")
    for server in ("s", "s2"):
        net[server].run("ip", "link", "set", "tunl0", "up")
    service = struct.pack("@H2x4sH2xI16sII4s", 6, socket.inet_aton(address), socket.htons(80), 0,
                          b"rr", 0, 0, b"\xff" * 4)
    with sg.entered(), socket.socket(socket.AF_INET, socket.SOCK_RAW,
                                     socket.IPPROTO_RAW) as control:
        control.setsockopt(socket.IPPROTO_IP, _IP_VS_BASE_CTL + 2, service)
        for server in ("s", "s2"):
            control.setsockopt(socket.IPPROTO_IP, _IP_VS_BASE_CTL + 7, service + struct.pack(
                "@4sH2xIiII", socket.inet_aton(net.address[server, 4]), socket.htons(80), 2, 1, 0,
                0))
        try:
            yield
        finally:
            control.setsockopt(socket.IPPROTO_IP, _IP_VS_BASE_CTL + 4, service)
            for server in ("s", "s2"):
                net[server].run("ip", "link", "set", "tunl0", "down")
            for host in ("sg", "s", "s2"):
                net[host].run("ip", "address", "del", f"{address}/32", "dev", "lo")
            sg.sysctl(net__ipv4__conf__all__accept_local=0)


@pytest.fixture
def virtual_replica(net):
    """r1 has the virtual service's address, as the modes spoof and tunnel want it."""
    address, r1 = "203.0.113.50", net["r1"]
    r1.run("ip", "address", "add", f"{address}/32", "dev", "lo")
    yield address
    net.wlb("r1").apply("")
    net.no_netem()
    # what it has learned of a narrow path
    r1.run("ip", "route", "flush", "cache")
    r1.run("ip", "address", "del", f"{address}/32", "dev", "lo")


@pytest.mark.parametrize("mode", ["nat", "spoof", "tunnel"])
def test_in_front_of_ipvs(bench, virtual_replica, mode):
    """W24: on a switch that spreads connections over two servers by tunnel; the SYN goes
    on to one of them, after its hold, and the page comes. Where a replica wins, the page
    comes from there, and each server hears that it has lost."""
    net, address = bench.net, virtual_replica
    net.wlb("cg").apply(net.config()["cg"])
    bench.origins(4, {"server": address, "race": "equal", "replicas": [
        {"address": net.address["r1", 4], "delay": "20ms"}]})
    with virtual_service(net, address):
        assert {web.fetch(net["c1"], address)[0] for _ in range(2)} == {"s", "s2"}
        assert bench.delta() == {"syn_cloned": 2, "clone_sent": 2}
        for server in ("s", "s2"):
            syn, = bench.server[server].seen(
                lambda p: not p.out and p.proto == 4 and p.inner.flags & 0x3f == SYN)
            assert syn.inner.options[:8] == tag(NOT_PERMITTED, 0, 0)

        net.wlb("r1").apply(table("replica.origin", array=True, **{
            "name": "www", "server": address, "ports": [80], "local": net.address["r1", 4],
            "return_": mode, "trust_path": mode == "spoof" or None,
            "clones_from": ["10.9.2.1"]}))
        for server in ("s", "s2"):
            net.netem(server, "sg", "delay 100ms")
        won = Delta(net.wlb("cg"))
        assert [web.fetch(net["c1"], address)[0] for _ in range(2)] == ["r1", "r1"]
        wait_until("the servers' resets", lambda: won().get("reset_sent") == 2)
        for server in ("s", "s2"):
            bench.server[server].wait(
                lambda p: not p.out and p.proto == 4 and p.inner.flags & RST)
            # Other scenarios leave SYNs of clients who never were.
            wait_until("nobody is half open", lambda s=server: not net[s].sockets(
                "state", "syn-recv", "src", address))
        # What a router says about a packet under the service's address is the replica's
        # to know, not the service's.
        core = net["core"]
        core.run("ip", "route", "replace", "10.1.0.0/16", "via", "10.9.1.1", "mtu", "1400")
        try:
            assert web.fetch(net["c1"], address, "10M") == ("r1", web.big_file().read_bytes())
        finally:
            core.run("ip", "route", "replace", "10.1.0.0/16", "via", "10.9.1.1")
        assert ("icmp_relayed" in bench.delta()) == (mode == "spoof")
    returns = {f["return"] for f in net.wlb("cg").flows()
               if f["winner"] == net.address["r1", 4]}
    assert returns == {mode}


@BOTH
def test_server_won(bench, family):
    """W26: a real connection that the server wins: 10 MB whole, nothing but the SYN is
    cloned, and the clones of a SYN whose checksum the sender left open are right."""
    net = bench.net
    net.wlb("cg").apply(net.config()["cg"])
    bench.origins(family)
    who, body = web.fetch(net["c1"], net.address["s", family], "10M")
    assert who == "s"
    assert body == web.big_file().read_bytes()
    assert bench.delta() == {"syn_cloned": 1, "clone_sent": 3}
    clones = bench.wan.seen(lambda p: p.out and p.proto == 47)
    assert len(clones) == 3
    assert all(checksums_right(c.inner.data) for c in clones)
    syn, = bench.server["s"].seen(lambda p: not p.out and p.is_tcp and p.flags & 0x3f == SYN)
    assert syn.options[:8] == tag(NOT_PERMITTED, 0, 0)
    assert net.wlb("cg").races()[-1]["winner"] == net.address["s", family]


@BOTH
def test_loop(bench, family):
    """W27: a replica that is none cracks a clone with an ordinary tunnel and sends it on
    to the server: it comes back to the gateway and ends there."""
    net = bench.net
    r1, local = net["r1"], net.address["r1", family]
    gateway = {4: "10.9.2.1", 6: "2001:db8:9:2::1"}[family]
    bench.origins(family)
    r1.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
    r1.run("ip", "link", "add", "cracked", "type", "gre" if family == 4 else "ip6gre",
           "local", local, "remote", gateway)
    r1.run("ip", "link", "set", "cracked", "up")
    try:
        sport, packet = bench.syn(family)
        bench.wire.send(packet)
        bench.arrived(sport)
        expected = {"syn_cloned": 1, "clone_sent": 3, "syn_loop": 1}
        wait_until("the clone came back", lambda: bench.delta() == expected)
        assert bench.server["s"].nothing(
            lambda p: not p.out and p.is_tcp and OFFERS | OFFER_CLONED == p.options[9])
        assert bench.delta() == expected
    finally:
        r1.run("ip", "link", "del", "cracked")
        r1.sysctl(net__ipv4__ip_forward=0, net__ipv6__conf__all__forwarding=0)


@BOTH
def test_firewall(bench, family):
    """What the gateway's own filter drops is not cloned."""
    sg = bench.net["sg"]
    bench.origins(family)
    barred, packet = bench.syn(family)
    sg.run("nft", "-f", "-", stdin="table inet guard { chain forward { type filter hook forward "
           f"priority filter; tcp sport {barred} drop; }}; }}")
    try:
        bench.wire.send(packet)
        sport, packet = bench.syn(family)
        bench.wire.send(packet)
        bench.arrived(sport)
    finally:
        sg.run("nft", "delete", "table", "inet", "guard")
    assert len(bench.clones(sport)) == 3
    assert bench.clones(barred) == []
    assert bench.delta() == {"syn_cloned": 1, "clone_sent": 3}


@BOTH
def test_not_cloned(bench, family):
    """W14, W20: SYNs that are broken, or that a clone could do harm with, are not
    cloned, are counted under their reason and go on as they came."""
    bench.origins(family)
    wrong_length = struct.pack("!BBHBB", 253, 6, EXID, 0x11, OFFERS)
    cases = {
        "option of length 0": ({"options": tag() + b"\x08\x00\x01\x01"}, "syn_malformed"),
        "option of length 1": ({"options": tag() + b"\x08\x01\x01\x01"}, "syn_malformed"),
        "option past the end": ({"options": tag() + b"\x08\x0a\x01\x01"}, "syn_malformed"),
        "tag of wrong length beside": ({"options": tag() + wrong_length}, "syn_bad_tag"),
        "payload": ({"payload": b"GET / HTTP/1.0\r\n\r\n"}, "syn_payload"),
        "Fast Open request": ({"options": tag() + b"\x22\x02\x01\x01"}, "syn_payload"),
        "Fast Open of old": ({"options": tag() + b"\xfe\x04\xf9\x89"}, "syn_payload"),
        "checksum": ({"chksum": 0xBAD}, "syn_bad_checksum"),
    }
    for name, (kwargs, counter) in cases.items():
        sport, packet = bench.syn(family, **kwargs)
        bench.wire.send(packet)
        assert bench.arrived(sport).data == changed(packet), name
        assert bench.clones(sport) == [], name
        assert bench.delta() == {counter: 1}, name
        bench.delta.reset()
