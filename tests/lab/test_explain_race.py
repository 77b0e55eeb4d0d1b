# SPDX-License-Identifier: GPL-2.0-only
"""wlbctl explain of the roles of wide-area selection: whom a SYN is offered to and who has a
connection, as it says, and as real packets of exactly these ends fare."""

import contextlib
import itertools

import pytest

from wlblab import packets, web
from wlblab.clones import CLIENT, MSS, REPLICAS, SYN, Bench, Delta, Tap, lab, settle, tag
from wlblab.host import wait_until
from wlblab.netlink import CONFIGURED, NAME, REPLICA, REPLICA_SET, Wlb, address, attr
from wlblab.packets import NOT_PERMITTED, PERMITTED
from wlblab.wlb import table

_ports = itertools.count(31000)
ALL = 0x0f              # every way back, as client gateways offer
SERVED = {"passed": None, "raced": PERMITTED, "not-permitted": NOT_PERMITTED}


@pytest.fixture(scope="module")
def net():
    with lab() as t0:
        for route in ("10.1.9.0/24", "2001:db8:1:9::/64"):
            t0["core"].run("ip", "route", "add", "blackhole", route)
        yield t0


@pytest.fixture(autouse=True)
def settled(net):
    yield
    settle(net)
    net.unconfigure()


@pytest.fixture
def bench(net):
    it = Bench(net)
    yield it
    it.close()


def end(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def explain(net, host, role, client, server, *options):
    """What a host's role says of a packet of TCP; each end is (address, port)."""
    answer = net.wlb(host).json("explain", "tcp", end(*client), end(*server), *options)
    return next(one for one in answer["roles"] if one["role"] == role)


def sent(net, tap, client, family, port, sport):
    """The state of the tag of a SYN that a host sends, behind the gateway; None without one."""
    with contextlib.suppress(OSError):
        net[client].connect(net.address["s", family], port, sport, timeout=3).close()
    (syn,) = tap.wait(lambda p: not p.out and p.is_tcp and p.sport == sport and p.flags == SYN)
    syn = packets.Packet(syn.data)
    return syn.tag()[0] if syn.tags() else None


def test_client_gateway(net, family):
    """By interface, port, list, and whether this host sends it: the tag is what was said."""
    length = 32 if family == 4 else 128
    server = net.address["s", family]
    seen = []
    with Tap(net["core"], "cg") as tap:
        for gateway, service, who, port in (
                ({}, {}, "c1", 80), ({}, {}, "c1", 81), ({}, {}, "c2", 80), ({}, {}, "cg", 80),
                ({"inside": ["lan1"]}, {}, "c1", 80), ({"inside": ["lan1"]}, {}, "c2", 80),
                ({"inside": []}, {}, "c1", 80), ({"inside": []}, {}, "cg", 80),
                ({"inside": ["lo"]}, {}, "cg", 80), ({"inside": ["lo"]}, {}, "c1", 80),
                ({"inside": ["lan0", "wan0"]}, {}, "c1", 80),
                ({}, {"never": [f"{server}/{length}"]}, "c1", 80),
                ({}, {"never": [f"{net.address['c1', family]}/{length}"]}, "c1", 80),
                ({}, {"never": [f"{net.address['c1', family]}/{length}"]}, "c2", 80)):
            net.configure(ports=(80,), client_gateway=gateway, service=service)
            client = net.address[who, family] if who != "cg" else {
                4: "10.9.1.1", 6: "2001:db8:9:1::1"}[family]
            sport = next(_ports)
            role = explain(net, "cg", "client-gateway", (client, sport), (server, port))
            state = sent(net, tap, who, family, port, sport)
            assert SERVED[role["verdict"]] == state, (gateway, service, who, port, role)
            seen.append(role["verdict"])
    assert set(seen) == set(SERVED)


def test_flow(net, family):
    """A connection that a replica has won, one that the server has: where what the client sends
    goes, and what comes back from whom."""
    net.netem("s", "sg", "delay 100ms")
    net.configure(ports=(80,))
    server, client = (net.address["s", family], 80), net.address["c1", family]
    for busy, winner in (("off", "r"), ("on", "s")):
        for replica in net.replicas:
            net.wlb(replica).run("replica", "busy", busy)
        with Tap(net["core"], "cg") as tap, net["c1"].connect(server[0], 80) as sock:
            ends = ((client, sock.getsockname()[1]), server)
            role = explain(net, "cg", "client-gateway", *ends, "--segment")
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            data = tap.wait(lambda p: not p.out and p.is_tcp and p.sport == ends[0][1] and
                            p.flags & 8)[0]
            assert role["verdict"] == ("carried" if winner == "r" else "passed")
            assert data.dst == role.get("winner", server[0])
            assert (data.dst == server[0]) == (winner == "s")
            again = explain(net, "cg", "client-gateway", *ends)
            assert again["verdict"] == ("carried" if winner == "r" else "raced")
            back = explain(net, "cg", "client-gateway", (data.dst, 80), ends[0], "--segment",
                           "--in", "wan0")
            assert back["verdict"] == ("carried" if winner == "r" else "passed")
            if winner == "r":
                stray = explain(net, "cg", "client-gateway", server, ends[0], "--segment", "--in",
                                "wan0")
                assert stray["verdict"] == "dropped"
                assert role["fastpath"] is True
            assert sock.recv(100).startswith(b"HTTP/")
    none = explain(net, "cg", "client-gateway", (client, next(_ports)), server, "--segment")
    assert none["verdict"] == "passed" and "flow" not in none


def test_direct(net, family):
    """Whom the gateway clones a SYN to itself: nobody at first, then who was said, and not one
    that is silent."""
    net.netem("s", "sg", "delay 100ms")
    net.configure(ports=(80,), service={"race": "direct", "explore": "0s"})
    server = net.address["s", family], 80
    cg = net.wlb("cg")

    def known():
        return sum(len(origin["answerers"]) for origin in cg.json("race", "learned"))

    def clones():
        """Who was said to be asked, and who was."""
        sport = next(_ports)
        role = explain(net, "cg", "client-gateway", (net.address["c1", family], sport), server)
        with Tap(net["core"], "cg") as tap:
            net["c1"].connect(*server, sport).close()
            (syn,) = tap.wait(lambda p: not p.out and p.is_tcp and p.sport == sport and
                              p.flags == SYN)
            asked = {p.dst for p in tap.seen(lambda p: not p.out and p.inner and p.inner.is_tcp and
                                             p.inner.sport == sport and p.inner.flags == SYN)}
        assert set(role["asked"]) == asked, role
        assert packets.Packet(syn.data).tag()[0] == (NOT_PERMITTED if asked else PERMITTED)
        return asked

    assert clones() == set()
    wait_until("the replicas are known", lambda: known() == 3)
    assert clones() == {net.address[r, family] for r in net.replicas}
    net.wlb("r3").run("replica", "busy", "on")
    silent = net.address["r3", family]

    def is_silent():
        web.fetch(net["c1"], server[0])
        return any(one["silent_ms"] for origin in cg.json("race", "learned")
                   for one in origin["answerers"] if one["address"] == silent)
    wait_until("r3 is silent", is_silent, 20)
    assert clones() == {net.address[r, family] for r in ("r1", "r2")}


def test_server_gateway(net, bench, family):
    """By tag, port, fan-out and limits: the clones on the wire are those that were said."""
    server = net.address["s", family]
    replicas = [{"address": net.address[r, family], "delay": f"{ms}ms"}
                for r, ms in zip(REPLICAS, (3, 1, 2))]

    def clones(*options, tagged=True, port=80):
        sport, syn = bench.syn(family, options=None if tagged else MSS, dport=port)
        role = explain(net, "sg", "server-gateway", (CLIENT[family], sport), (server, port),
                       *(["--tagged"] if tagged else []), "--in", "wan0", *options)
        bench.wire.send(syn)
        bench.arrived(sport)
        seen = {p.dst for p in bench.clones(sport)}
        return role, seen

    for keys in ({}, {"race": "equal"}, {"fan_out": 2}, {"fan_out": 1, "race": "equal"}):
        bench.origins(family, {"replicas": replicas, **keys})
        role, seen = clones()
        assert role["verdict"] == "cloned" and set(role["asked"]) == seen, (keys, role)
        assert len(seen) == keys.get("fan_out", 3)
    bench.origins(family, {"replicas": replicas, "fan_out": 2, "pick": "random"})
    role, seen = clones()
    assert len(seen) == role["clones"] == 2 and seen < set(role["asked"])
    for more in ({"tagged": False}, {"port": 81}):
        role, seen = clones(**more)
        assert role["verdict"] == "passed" and not seen, (more, role)
    bench.origins(family, {"replicas": replicas, "cookie": "1h"})
    role, seen = clones()
    assert role["cookie"] and not seen
    # A daemon has taken one out.
    bench.origins(family, {"replicas": replicas})
    with Wlb(net["sg"]) as ctl:
        ctl.request(REPLICA_SET, [attr(NAME, "o0"), *(
            attr(REPLICA, [address(1, net.address[r, family])]) for r in ("r1", "r3"))])
        role, seen = clones()
        assert set(role["asked"]) == seen == {net.address[r, family] for r in ("r1", "r3")}
        assert f"{net.address['r2', family]}: not in force" in [s["says"] for s in role["steps"]]
        ctl.request(REPLICA_SET, [attr(NAME, "o0"), attr(CONFIGURED, b"")])
    assert clones()[1] == {net.address[r, family] for r in REPLICAS}


def test_replica(net, bench, family):
    """A clone is answered or not, and by whom it is said to be: free, busy, of a stranger, of
    another port, without a server, without the address."""
    gateway = {4: "10.9.2.1", 6: "2001:db8:9:2::1"}[family]
    own, server = net.address["r1", family], net.address["s", family]
    r1 = net.wlb("r1")
    seen = []
    for ports, sources, mode, busy, port, why in (
            ((80,), gateway, "nat", "off", 80, "answered at once"),
            ((80,), gateway, "nat", "on", 80, "busy"),
            ((80,), "192.0.2.1" if family == 4 else "2001:db8:f::1", "nat", "off", 80,
             "is no gateway"),
            ((81,), gateway, "nat", "off", 80, "no origin served here"),
            ((79, 80), gateway, "nat", "off", 79, "nobody listens"),
            ((80,), gateway, "tunnel", "off", 80, "is no address of this host")):
        r1.apply(table("replica.origin", array=True, server=server, ports=list(ports), local=own,
                       clones_from=[sources], return_=mode))
        r1.run("replica", "busy", busy)
        bench.origins(family, {"replicas": [{"address": own}], "ports": [79, 80]})
        counted = Delta(r1)
        sport, syn = bench.syn(family, dport=port, options=MSS + tag(offers=ALL))
        role = explain(net, "r1", "replica", (CLIENT[family], sport), (server, port), "--from",
                       gateway)
        bench.wire.send(syn)
        bench.arrived(sport)
        wait_until("the clone has arrived",
                   lambda was=counted: sum(v for k, v in was().items() if k.startswith("clone_")))
        taken = counted().get("clone_cracked", 0)
        assert role["verdict"] == ("answered" if taken else "dropped"), role
        assert why in role["text"]
        seen.append(taken)
    assert seen == [1, 0, 0, 0, 0, 0]


def test_words(net, family):
    """Bad input is refused before anything is asked, with what is allowed."""
    net.configure(ports=(80,))
    client, server = end(net.address["c1", family], 40000), end(net.address["s", family], 80)
    cg = net.wlb("cg")
    for args, status, words in ((("tcp", client), 2, "SERVER is missing"),
                                (("icmp", client, server), 2, "must be tcp, udp or a number"),
                                (("udp", client, server, "--tagged"), 2, "of tcp only"),
                                (("tcp", client, server, "--in", "nodev"), 1, "nodev")):
        done = cg.run("explain", *args, check=False)
        assert (done.returncode, done.stdout) == (status, "") and words in done.stderr
    said = cg.run("explain", "tcp", client, server).stdout.splitlines()
    assert said[0] == f"SYN, tcp {client} -> {server}, in by lan0, out by wan0"
    assert said[1].startswith("client-gateway: tagged: ")
    assert "    service: web has port 80" in said
