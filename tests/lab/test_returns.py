# SPDX-License-Identifier: GPL-2.0-only
"""The return modes: nat, spoof and tunnel, packet by packet and with real servers. r1 wins
unless a scenario says otherwise: everybody else answers late."""

import contextlib
import socket
import struct
import time

import pytest

from wlblab import packets, web
from wlblab.bulk import both_ways
from wlblab.clones import (MSS, OFFER_CLONED, OFFER_GRE, SYN_ACK, Delta, Tap, Wire, encapsulate,
                           lab, no_checksum_offload, segment, settle, tag)
from wlblab.host import wait_until
from wlblab.packets import ACK, ANSWER, RST, SYN

PORTS = [80, 8080]
PART = 1 << 20
WAYS = [("nat", None), ("spoof", "gre"), ("spoof", "ipip"), ("tunnel", "gre"),
        ("tunnel", "ipip")]
OUTER = WAYS[1:]
OFFER = {"nat": 1, "spoof": 2, "tunnel": 4}
UNLISTED = {4: "198.51.200.9", 6: "2001:db8:dd::9"}


@pytest.fixture(scope="module")
def net():
    with lab(clients=1) as t0:
        t0.own_origin()
        for name in t0.replicas:
            no_checksum_offload(t0[name], "wan0")
        yield t0


@pytest.fixture(autouse=True)
def settled(net):
    late(net, "s", "r2", "r3")
    yield
    settle(net)


def late(net, *hosts):
    for host in ("s", "r1", "r2", "r3"):
        peer = "sg" if host == "s" else "core"
        net.netem(host, peer, "delay 100ms" if host in hosts else "")


def configure(net, mode, via, **kwargs):
    served = {"return_": mode, "via": via}
    net.configure(ports=PORTS, served=served, **kwargs)


def ids(way):
    return "-".join(filter(None, way))


ways = pytest.mark.parametrize("way", WAYS, ids=ids)
outer_ways = pytest.mark.parametrize("way", OUTER, ids=ids)


def quiet(net):
    """Nobody is left half open."""
    for host in ("s", *net.replicas):
        wait_until(f"{host} is not half open", lambda h=host: not net[h].half_open(), timeout=5)


@ways
def test_walk(net, family, way):
    """W46, W47, W62 to W66, W82, W84: who says what under which address, on the way and at
    the client; losers are reset the way that they answered, and believe it."""
    mode, via = way
    configure(net, mode, via)
    client, s = net.address["c1", family], net.address["s", family]
    r = {name: net.address[name, family] for name in net.replicas}
    before = Delta(net.wlb("cg"))
    with Tap(net["core"], "cg") as core, Tap(net["c1"], "lan0") as at_client:
        assert web.fetch(net["c1"], s) == ("r1", b"r1\n")
        wait_until("three resets", lambda: before().get("reset_sent") == 3)
        quiet(net)
        on_wire = core.seen(lambda p: True)
        heard = at_client.seen(lambda p: not p.out and p.is_tcp)
    assert {(p.src, p.dst) for p in heard} == {(s, client)}
    assert all(packets.Packet(p.data).sound() for p in heard)
    (tagged,) = [p for p in on_wire if not p.out and p.is_tcp and p.flags & SYN]
    assert tagged.dst == s
    nonce = packets.Packet(tagged.data).tag()[1]

    back = [p for p in on_wire if p.out and p.src == r["r1"]]
    (synack,) = [p for p in heard if p.flags & SYN]
    assert not packets.Packet(synack.data).tags()
    if mode == "nat":
        assert all(p.is_tcp and p.dst == client for p in back)
    else:
        answers = [p for p in back if p.inner and p.inner.is_tcp and p.inner.flags & SYN]
        (answer,) = answers
        assert (answer.dst, answer.inner.src, answer.inner.dst) == (client, s, client)
        assert answer.proto == {"gre": 47, "ipip": 4 if family == 4 else 41}[via]
        assert packets.Packet(answer.inner.data).tags() == [
            packets.tag(ANSWER, nonce, OFFER[mode])]
        assert packets.Packet(answer.inner.data).sound()
        data = [p for p in on_wire if p.out and p.is_tcp and p.src == s and not p.flags & SYN]
        assert bool(data) == (mode == "spoof")
        assert (len(back) > 1) == (mode == "tunnel")
        assert all((p.inner.src, p.inner.dst) == (s, client) for p in back)
    forth = [p for p in on_wire if not p.out and p.dst == r["r1"]]
    assert len(forth) >= 3
    assert all((p.inner is not None) == (mode == "tunnel") for p in forth)
    assert all((p.inner or p).src == client for p in forth)
    for name in ("r2", "r3"):
        (reset,) = [p for p in on_wire if not p.out and p.dst == r[name]]
        assert (reset.inner is None) == (mode == "nat")
        assert (reset.inner or reset).flags == RST
        assert (reset.inner or reset).dst == (r[name] if mode == "nat" else s)
    (reset,) = [p for p in on_wire if not p.out and p.dst == s and p.is_tcp and p.flags & RST]
    (flow,) = net.wlb("cg").flows()
    assert (flow["winner"], flow["return"], flow["via"]) == (r["r1"], mode, via)


def test_mixed(net, family):
    """W112: three replicas, three modes; each in turn is the nearest."""
    texts = {name: net.config(ports=PORTS, served={"return_": mode, "via": via})[name]
             for name, (mode, via) in zip(net.replicas, (WAYS[0], WAYS[2], WAYS[3]))}
    configure(net, "nat", None)
    for name, text in texts.items():
        net.wlb(name).apply(text)
    for name in net.replicas:
        late(net, "s", *set(net.replicas) - {name})
        head, body = web.Download(net["c1"], net.address["s", family], 0, PART).finish()
        assert f"X-Who: {name}".encode() in head and body == web.big_file().read_bytes()[:PART]
    quiet(net)
    assert sorted(f["return"] for f in net.wlb("cg").flows()) == ["nat", "spoof", "tunnel"]


@outer_ways
def test_repeated_syn(net, family, way):
    """W8, W67: answers are lost behind the gateway, so the client repeats its SYN: it goes
    to the winner alone, which repeats its answer."""
    configure(net, *way)
    before = Delta(net.wlb("sg"))
    net.netem("cg", "c1", "loss 100%")
    child = net["c1"].popen("curl", "-sf", "--max-time", 20, "-w", "%header{x-who}", "-o",
                            "/dev/null", web.url(net.address["s", family]), stdout=-1)
    time.sleep(0.5)
    net.netem("cg", "c1", "")
    assert child.communicate(timeout=30)[0] == "r1" and child.returncode == 0
    assert before()["syn_cloned"] == 1
    assert net.wlb("cg").counters()["syn_to_winner"]


@outer_ways
def test_own_address(net, family, way):
    """W48: the replica has the server's address and tells nobody; its own address serves
    who asks it, while a connection that was raced goes on."""
    configure(net, *way)
    s, r1 = net.address["s", family], net.address["r1", family]
    download = web.Download(net["c1"], s)
    download.read(1 << 16)
    for host in ("core", "c1"):
        assert web.fetch(net[host], r1) == ("r1", b"r1\n")
    head, body = download.finish()
    assert b"X-Who: r1" in head and body == web.big_file().read_bytes()
    length = 32 if family == 4 else 128
    core = net["core"]
    core.run("ip", "route", "replace", f"{s}/{length}", "dev", "r1")
    try:
        assert core.run("ping", "-n", "-c", "2", "-i", "0.3", "-W", "1", s, check=False).returncode
    finally:
        core.run("ip", "route", "del", f"{s}/{length}", "dev", "r1")


@outer_ways
def test_syn_cookies(net, family, way):
    """W50: the replica keeps nothing of a SYN."""
    configure(net, *way)
    net["r1"].sysctl(net__ipv4__tcp_syncookies=2)
    try:
        before = net["r1"].counters()["TcpExtSyncookiesRecv"]
        both_ways(net["c1"], net.address["s", family], net["r1"], 8080, 1 << 20)
        assert net["r1"].counters()["TcpExtSyncookiesRecv"] > before
    finally:
        net["r1"].sysctl(net__ipv4__tcp_syncookies=1)


@pytest.mark.parametrize("rp_filter", [0, 1, 2])
def test_reverse_path(net, family, rp_filter):
    """W52: the replica asks that a packet come by the way that leads back."""
    net["r1"].sysctl(net__ipv4__conf__all__rp_filter=rp_filter,
                     net__ipv4__conf__wan0__rp_filter=rp_filter)
    try:
        for way in OUTER:
            configure(net, *way)
            assert web.fetch(net["c1"], net.address["s", family])[0] == "r1"
    finally:
        net["r1"].sysctl(net__ipv4__conf__all__rp_filter=0, net__ipv4__conf__wan0__rp_filter=0)


@contextlib.contextmanager
def rules(host, text):
    host.run("nft", "-f", "-", stdin=f"table inet scenario {{\n{text}\n}}\n")
    try:
        yield
    finally:
        host.run("nft", "delete", "table", "inet", "scenario")


@ways
def test_replica_forgot(net, family, way):
    """W94: the replica knows the connection no more: its reset reaches the client as the
    server's, and the next connection races."""
    configure(net, *way)
    s = net.address["s", family]
    with net["r1"].entered():
        listener = socket.create_server(("", 8080), family=socket.AF_INET6, dualstack_ipv6=True)
    with listener, net["c1"].connect(s, 8080) as sock:
        server, _ = listener.accept()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with rules(net["r1"], """chain out {
                                     type filter hook output priority 0
                                     tcp flags & (rst|fin) != 0 drop
                                 }"""):
            server.close()
        sock.sendall(b"are you there?")
        with pytest.raises(ConnectionResetError):
            sock.recv(4096)
    assert web.fetch(net["c1"], s)[0] == "r1"


def test_no_address(net, family):
    """The server's address has left the replica: it is silent, and says why."""
    configure(net, "tunnel", "ipip")
    late(net, "r1", "r2", "r3")
    s, length = net.address["s", family], 32 if family == 4 else 128
    before = Delta(net.wlb("r1"))
    net["r1"].run("ip", "address", "del", f"{s}/{length}", "dev", "lo")
    try:
        assert web.fetch(net["c1"], s)[0] == "s"
        wait_until("counted", lambda: before() == {"clone_no_address": 1})
        # Nor does it forward what is encapsulated for that address.
        client, r1 = net.address["c1", family], net.address["r1", family]
        with Wire(net, "core", "r1") as wire:
            wire.send(encapsulate(segment(client, s, 40125, 80, ACK, b""), client, r1, "ipip"))
            wait_until("dropped", lambda: before() == {"clone_no_address": 1, "client_stray": 1})
    finally:
        net["r1"].run("ip", "address", "add", f"{s}/{length}", "dev", "lo",
                      *(["nodad"] if family == 6 else []))


@pytest.mark.parametrize("offered,mode,result", [
    (["nat"], "tunnel", "nat"), (["nat", "tunnel"], "spoof", "nat"), (["spoof"], "spoof", "spoof"),
    (["tunnel"], "nat", None), (["spoof"], "tunnel", None)], ids=str)
def test_offers(net, family, offered, mode, result):
    """W112: a replica takes what the tag offers: its own mode, else nat, else it keeps
    silent."""
    via = None if mode == "nat" else "gre"
    configure(net, mode, via, client_gateway={"returns": offered})
    before = Delta(net.wlb("r1"))
    who = web.fetch(net["c1"], net.address["s", family])[0]
    if result:
        assert who == "r1"
        assert net.wlb("cg").flows()[0]["return"] == result
    else:
        assert who == "s" and before() == {"clone_not_offered": 1}


@pytest.mark.parametrize("way", OUTER[2:], ids=ids)
def test_offer_withdrawn(net, family, way):
    """W113: the gateway offers nat alone from now on; what is carried by tunnel goes on."""
    configure(net, *way)
    download = web.Download(net["c1"], net.address["s", family])
    download.read(1 << 16)
    net.wlb("cg").apply(net.config(ports=PORTS, client_gateway={"returns": ["nat"]})["cg"])
    head, body = download.finish()
    assert b"X-Who: r1" in head and body == web.big_file().read_bytes()


@pytest.mark.parametrize("way", OUTER[2:], ids=ids)
def test_strangers(net, family, way):
    """W85, S10: what is encapsulated reaches the client only if the winner sent it, from the
    server, for this flow; other tunnels through the gateway are left alone."""
    mode, via = way
    configure(net, mode, via)
    client, s = net.address["c1", family], net.address["s", family]
    r1, r2 = net.address["r1", family], net.address["r2", family]
    ctl = net.wlb("cg")
    began = Delta(ctl)
    with net["c1"].connect(s, 80) as sock, Wire(net, "core", "cg") as wire, \
            Tap(net["c1"], "lan0") as tap:
        wait_until("losers are gone", lambda: began().get("reset_sent") == 3)
        port = sock.getsockname()[1]

        def sent(source, inner_src=s, other=0, inner_dst=client, flags=ACK, **kwargs):
            before = Delta(ctl)
            wire.send(encapsulate(segment(inner_src, inner_dst, 80, port + other, flags, b"",
                                          payload=b"evil", **kwargs), source, client, via))
            time.sleep(0.1)
            return before()

        assert sent(r2) == {"tunnel_stray": 1}
        assert sent(UNLISTED[family]) == {"tunnel_stray": 1}
        assert sent(UNLISTED[family], flags=RST) == {"tunnel_stray": 1}
        assert sent(r1, inner_src=r2) == {"tunnel_no_flow": 1}
        assert sent(r1, other=1) == {"tunnel_no_flow": 1}
        assert sent(r1, flags=SYN_ACK, other=1) == {"tunnel_no_flow": 1}
        assert not tap.seen(lambda p: not p.out and b"evil" in p.data)
        # A tunnel of the client's own.
        assert sent(r1, inner_dst=UNLISTED[family]) == {}
        assert tap.wait(lambda p: not p.out and b"evil" in p.data)[0].src == r1
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"X-Who: r1" in sock.recv(4096)


@outer_ways
def test_congested(net, family, way):
    """A client's packet that was marked on the way in a tunnel, and cannot say so, is dropped, as
    the mark wants it."""
    mode, via = way
    configure(net, mode, via)
    client, s, r1 = (net.address[host, family] for host in ("c1", "s", "r1"))
    before = Delta(net.wlb("r1"))
    with Wire(net, "core", "r1") as wire:
        outer = bytearray(encapsulate(segment(client, s, 40003, 80, ACK, b""), client, r1, via))
        if family == 4:
            outer[1] |= 3
            outer[10:12] = b"\0\0"
            outer[10:12] = struct.pack("!H", packets.fold(bytes(outer[:20])) ^ 0xffff)
        else:
            outer[1] |= 0x30
        wire.send(bytes(outer))
        wait_until("it is dropped", lambda: before() == {"tunnel_congested": 1})


@outer_ways
def test_gateway_is_client(net, family, way):
    """W13, S10: a listed gateway's own SYN in a tunnel is a clone if its tag says so, else a
    packet of a client's for a connection that is not there."""
    mode, via = way
    configure(net, mode, via)
    gateway = {4: "10.9.2.1", 6: "2001:db8:9:2::1"}[family]
    s, r1 = net.address["s", family], net.address["r1", family]
    before = Delta(net.wlb("r1"))
    with Wire(net, "core", "r1") as wire:
        def sent(flags=SYN, seq=1000, offers=OFFER[mode] | OFFER_GRE):
            options = MSS + tag(offers=offers) if flags == SYN else b""
            wire.send(encapsulate(segment(gateway, s, 40001, 80, flags, options, seq=seq),
                                  gateway, r1, via))
        sent()
        wait_until("it is no client's", lambda: before() == {"client_stray": 1})
        sent(offers=OFFER[mode] | OFFER_GRE | OFFER_CLONED)
        wait_until("it is answered", lambda: before().get("answer_encapsulated"))
        assert before()["clone_cracked"] == 1 and before()["client_stray"] == 1
        assert net["r1"].half_open() == 1
        sent(RST, 1001)
        quiet(net)
        assert before()["client_cracked"] == 1


@pytest.mark.parametrize("way", OUTER[2:], ids=ids)
def test_congestion(net, family, way):
    """W89, RFC 6040: a mark that a router sets on the outside arrives inside; on a packet
    that cannot carry it, the packet is dropped."""
    configure(net, *way)
    for host in ("c1", "r1"):
        net[host].sysctl(net__ipv4__tcp_ecn=1)
    ip = "ip6" if family == 6 else "ip"
    proto = {"gre": 47, "ipip": 4 if family == 4 else 41}[way[1]]
    marking = f"""chain forward {{{{
                      type filter hook forward priority 0
                      meta l4proto {proto} oifname "cg" {{}} {ip} ecn set ce
                  }}}}"""
    try:
        download = web.Download(net["c1"], net.address["s", family])
        download.read(1 << 16)
        marks = net["c1"].counters()["IpExtInCEPkts" if family == 4 else "Ip6InCEPkts"]
        with rules(net["core"], marking.format(f"{ip} ecn != not-ect")):
            head, body = download.finish()
            assert net["c1"].counters()[
                "IpExtInCEPkts" if family == 4 else "Ip6InCEPkts"] > marks + 10
            assert b"X-Who: r1" in head and body == web.big_file().read_bytes()
        before = Delta(net.wlb("cg"))
        with rules(net["core"], marking.format("")):
            # The server's: a SYN-ACK has no room for the mark.
            assert web.fetch(net["c1"], net.address["s", family])[0] == "s"
            assert before()["tunnel_congested"]
    finally:
        for host in ("c1", "r1"):
            net[host].sysctl(net__ipv4__tcp_ecn=2)
