# SPDX-License-Identifier: GPL-2.0-only
"""W13: the client is its own gateway. Packets belong to sockets here, their checksums and
segments are left to the device, and the hook runs in the sender's context. r1 wins all
races: the server answers late."""

import pytest

from wlblab import firewall, packets, web, wlb
from wlblab.bulk import both_ways
from wlblab.clones import Delta, Tap, lab
from wlblab.host import wait_until
from wlblab.packets import SYN

WAYS = [("nat", None), ("spoof", "gre"), ("tunnel", "ipip")]
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(filter(None, way)))
PORTS = [80, 8080]
SIZE = 1 << 20
NARROW = 1400
TIMEOUTS = {"racing": "2s", "tombstone": "2s", "established": "30s", "closing": "1s",
            "reset": "1s"}


@pytest.fixture(scope="module")
def net():
    with lab(clients=1) as t0:
        t0.own_origin()
        for name in t0.hosts:
            t0[name].sysctl(net__ipv4__route__mtu_expires=1, net__ipv6__route__mtu_expires=1,
                            net__ipv4__tcp_mtu_probing=0, net__ipv4__icmp_ratelimit=0,
                            net__ipv6__icmp__ratelimit=0)
        for name in ("s", "r2", "r3"):
            t0.netem(name, "sg" if name == "s" else "core", "delay 200ms")
        web.serve(t0["c1"])
        yield t0


@pytest.fixture(autouse=True)
def settled(net):
    yield
    net.wlb("c1").run("flow", "flush")
    counters = net.wlb("c1").counters()
    assert not counters["translate_failed"] and wlb.unaccounted(net.wlb("c1").stats()) == 0


def configure(net, mode="nat", via=None, inside=None):
    """The role of cg is c1's."""
    texts = net.config(ports=PORTS, served={"return_": mode, "via": via}, timeouts=TIMEOUTS,
                       client_gateway={"inside": inside})
    texts["c1"] = texts.pop("cg")
    for host, text in texts.items():
        net.wlb(host).apply(text)


def bad_checksums(net):
    return [net[name].counters()["TcpInCsumErrors"] for name in ("c1", "r1", "s")]


def empties(net):
    wait_until("the table is empty", lambda: not net.wlb("c1").stats()["flows"], timeout=15,
               step=0.2)


@pytest.mark.parametrize("offload", ["on", "off"])
@ways
def test_both_ways(net, family, way, offload):
    """W80, W84, W91: 1 MB up and 1 MB down, byte-exact, large packets and checksums left to
    the device or not; the table empties."""
    configure(net, *way)
    net.offloads(offload)
    ctl, before = Delta(net.wlb("c1")), bad_checksums(net)
    try:
        both_ways(net["c1"], net.address["s", family], net["r1"], 8080, SIZE)
    finally:
        net.offloads("on")
    grown = ctl()
    assert grown["race_won_replica"] == grown["syn_tagged"] == 1
    assert bad_checksums(net) == before
    out = "tunnelled_out" if way[0] == "tunnel" else "translated_out"
    into = {"nat": "translated_in", "spoof": "passed_in", "tunnel": "tunnelled_in"}[way[0]]
    assert grown[out] > 2 and grown[into] > 2
    empties(net)


@ways
def test_pages(net, family, way):
    """W46, W62, W65: what a client's programs see is the server, be it or not; losers are
    reset and keep nothing; the table empties."""
    configure(net, *way)
    s, ctl = net.address["s", family], Delta(net.wlb("c1"))
    assert web.fetch(net["c1"], s) == ("r1", b"r1\n")
    wait_until("three resets", lambda: ctl().get("reset_sent") == 3)
    for host in ("s", *net.replicas):
        wait_until(f"{host} is not half open", lambda h=host: not net[h].half_open(), timeout=5)
    empties(net)
    with net["c1"].connect(s, 80) as sock:
        assert sock.getpeername()[0] == s
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"X-Who: r1" in sock.recv(4096)
    for name in net.replicas:
        net.wlb(name).run("replica", "busy", "on")
    try:
        assert web.fetch(net["c1"], s, "10M") == ("s", web.big_file().read_bytes())
    finally:
        for name in net.replicas:
            net.wlb(name).run("replica", "busy", "off")


@ways
def test_narrow_path(net, family, way):
    """W100, W101: a link to the replica takes 1400 bytes: the client's stack learns it, by
    the router's error or by our own."""
    configure(net, *way)
    prefix, rest = {4: ("198.51.100.0/28", ["dev", "r1"]),
                    6: ("2001:db8:b:1::/64", ["dev", "r1", "metric", "256"])}[family]
    ctl, core = Delta(net.wlb("c1")), net["core"]

    def route(*mtu):
        core.run("ip", f"-{family}", "route", "replace", prefix, *rest, *mtu)
    route("mtu", NARROW)
    try:
        both_ways(net["c1"], net.address["s", family], net["r1"], 8080, SIZE)
    finally:
        route()
        for host in net.hosts:
            net[host].run("ip", f"-{family}", "route", "flush", "cache")
    grown = ctl()
    if way[0] == "tunnel":
        assert grown["icmp_tunnel"] and grown["too_big_out"]
    else:
        assert grown["icmp_in"]


@ways
def test_firewall(net, family, way):
    """W115: the client's own stateful firewall sees nobody but the server."""
    configure(net, *way)
    firewall.own(net["c1"])
    try:
        both_ways(net["c1"], net.address["s", family], net["r1"], 8080, SIZE)
        assert web.fetch(net["c1"], net.address["s", family])[0] == "r1"
        assert firewall.counted(net["c1"]) == {}
    finally:
        firewall.remove(net["c1"])


@pytest.mark.parametrize("inside,tagged", [(None, True), (["lo"], True), (["lan0", "lo"], False),
                                           (["lan0"], False)], ids=str)
def test_inside(net, family, inside, tagged):
    """W12: the host's own SYNs are tagged if no interface is named, or "lo" is; never those
    to itself, nor those to the clients' side."""
    configure(net, inside=inside)
    before = Delta(net.wlb("c1"))
    with Tap(net["c1"], "lan0") as tap:
        assert web.fetch(net["c1"], net.address["s", family])[0] == ("r1" if tagged else "s")
        (syn, *_) = tap.wait(lambda p: p.out and p.is_tcp and p.flags & SYN)
    assert bool(packets.Packet(syn.data).tags()) == tagged
    assert before().get("syn_tagged", 0) == tagged
    before = Delta(net.wlb("c1"))
    assert web.fetch(net["c1"], net.address["c1", family]) == ("c1", b"c1\n")
    assert web.fetch(net["c1"], {4: "127.0.0.1", 6: "::1"}[family])[0] == "c1"
    assert "syn_tagged" not in before()
