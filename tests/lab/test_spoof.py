# SPDX-License-Identifier: GPL-2.0-only
"""S9: a replica that would spoof the server's address does so only where that arrives. r1 is
the nearest, and asks by itself; everybody else answers late."""

import time

import pytest

from wlblab import packets, web, wlb
from wlblab.clones import Delta, Tap, Wire, encapsulate, lab, no_checksum_offload, segment
from wlblab.host import wait_until
from wlblab.packets import ACK, ANSWER, SYN

SPOOF = 2
PART = 1 << 20
FILTER = """table inet upstream {
    chain forward {
        type filter hook forward priority filter
        iifname "r1" %s saddr %s counter drop
    }
}"""


@pytest.fixture(scope="module")
def net():
    with lab(clients=1) as t0:
        t0.own_origin()
        no_checksum_offload(t0["r1"], "wan0")
        yield t0


@pytest.fixture(autouse=True)
def settled(net):
    for name in ("s", "r2", "r3"):
        net.netem(name, "sg" if name == "s" else "core", "delay 100ms")
    net.wlb("cg").run("flow", "flush")
    yield
    net["core"].run("nft", "flush", "ruleset")
    assert wlb.unaccounted(net.wlb("cg").stats()) == 0


@pytest.fixture
def spoofs(net):
    """Puts the roles in their place; each scenario has clients of a prefix of its own, for
    what is known of a prefix outlives a configuration."""
    def configure(via="gre", **kwargs):
        net.configure(served={"return_": "spoof", "via": via, "trust_path": False}, **kwargs)
        return Delta(net.wlb("r1")), Delta(net.wlb("cg"))
    return configure


@pytest.fixture
def client(net, family):
    """c1 under an address that no scenario had before."""
    client.number = getattr(client, "number", 0) + 1
    number = client.number
    address = f"10.77.{number}.2" if family == 4 else f"2001:db8:77:{number}::2"
    prefix = f"10.77.{number}.0/24" if family == 4 else f"2001:db8:77:{number}::/64"
    length = 32 if family == 4 else 128
    six = "-6" if family == 6 else "-4"
    net["c1"].run("ip", six, "address", "add", f"{address}/{length}", "dev", "lan0", *(
        ["nodad"] if family == 6 else []))
    gateway = net.address["c1", family]
    net["cg"].run("ip", six, "route", "add", prefix, "via", gateway)
    net["core"].run("ip", six, "route", "add", prefix, "via",
                    {4: "10.9.1.1", 6: "2001:db8:9:1::1"}[family])
    default = net["c1"].out("ip", six, "route", "show", "default").split()
    net["c1"].run("ip", six, "route", "replace", *default[:5], "src", address)
    yield address
    net["c1"].run("ip", six, "route", "replace", *default[:5])
    net["core"].run("ip", six, "route", "del", prefix)
    net["cg"].run("ip", six, "route", "del", prefix)
    net["c1"].run("ip", six, "address", "del", f"{address}/{length}", "dev", "lan0")


def page(net, family):
    """How r1's page came: the flow's return mode."""
    net.wlb("cg").run("flow", "flush")
    assert web.fetch(net["c1"], net.address["s", family], timeout=20) == ("r1", b"r1\n")
    (flow,) = net.wlb("cg").flows()
    return flow["return"]


def drop_spoofed(net, family):
    net["core"].run("nft", "-f", "-", stdin=FILTER % ("ip" if family == 4 else "ip6",
                                                      net.address["s", family]))


def raw(net, family, client):
    """Of a tap before the gateway: what r1 sends to the client under the server's address;
    the server itself has lost, and says no more than its SYN-ACK."""
    return lambda p: p.out and p.is_tcp and not p.flags & SYN and (p.src, p.dst) == (
        net.address["s", family], client)


@pytest.mark.parametrize("via", ["gre", "ipip"])
def test_probe(net, spoofs, client, family, via):
    """The first connection is a tunnel and sends one probe; once it came back, connections
    spoof. The client never hears of it."""
    at_replica, at_gateway = spoofs(via)
    with Tap(net["core"], "cg") as core, Tap(net["c1"], "lan0") as heard:
        assert page(net, family) == "tunnel"
        wait_until("the echo", lambda: at_replica().get("probe_passed"))
        assert at_replica()["probe_sent"] == at_gateway()["probe_echoed"] == 1
        (probe,) = core.seen(raw(net, family, client))
        (option,) = packets.Packet(probe.data).tags()
        assert option[4:6] == packets.tag(ANSWER, 0, SPOOF)[4:6] and probe.flags == ACK
        assert packets.Packet(probe.data).sound()
        assert page(net, family) == "spoof"
        assert len(core.seen(raw(net, family, client))) > 3
        told = heard.seen(lambda p: not p.out and p.is_tcp)
        assert all(not packets.Packet(p.data).tags() for p in told)
    assert at_replica()["probe_sent"] == 1
    assert "spoof_lost" not in at_replica()


def test_filtered(net, spoofs, client, family):
    """A router drops what is spoofed: all pages come, none later than the others."""
    at_replica, at_gateway = spoofs()
    drop_spoofed(net, family)
    start = time.monotonic()
    assert page(net, family) == page(net, family) == "tunnel"
    pages = web.pages(net["c1"], net.address["s", family], 4)
    seconds = time.monotonic() - start
    # nothing was lost on its way: TCP would have waited for 200 ms at least
    assert all(p.who == "r1" and p.ttfb_ms < 190 for p in pages), pages
    # one in each second that the clock shows, the first and the last of them in part
    assert 1 <= at_replica()["probe_sent"] <= 2 + seconds
    assert "probe_passed" not in at_replica() and "probe_echoed" not in at_gateway()


def test_filter_comes_later(net, spoofs, client, family):
    """The path goes bad under a connection that spoofs: it goes on by tunnel, and so do
    those after it."""
    at_replica, at_gateway = spoofs()
    assert page(net, family) == "tunnel"
    wait_until("the echo", lambda: at_replica().get("probe_passed"))
    download = web.Download(net["c1"], net.address["s", family], 0, PART)
    download.read(1 << 14)
    (flow,) = [f for f in net.wlb("cg").flows() if f["state"] == "won"]
    assert flow["return"] == "spoof"
    drop_spoofed(net, family)
    head, body = download.finish()
    assert b"X-Who: r1" in head and body == web.big_file().read_bytes()[:PART]
    assert at_replica()["spoof_lost"] == 1
    assert at_gateway()["tunnelled_in"] > 10
    assert page(net, family) == "tunnel"


def test_not_offered(net, spoofs, client, family):
    """A gateway that takes no tunnels gets no probes either, and pages by nat."""
    at_replica, _ = spoofs(client_gateway={"returns": ["nat", "spoof"]})
    assert page(net, family) == page(net, family) == "nat"
    assert "probe_sent" not in at_replica()


def test_forged(net, spoofs, client, family):
    """Neither a probe of somebody else nor an echo of one says anything."""
    at_replica, at_gateway = spoofs()
    drop_spoofed(net, family)
    s, r1 = net.address["s", family], net.address["r1", family]
    with Tap(net["core"], "cg") as core, Wire(net, "core", "cg") as to_gateway, \
            Wire(net, "core", "r1") as to_replica, \
            net["c1"].connect(s, 80) as sock:
        answer, = core.wait(lambda p: p.out and p.inner and p.inner.flags == 0x12)
        port = sock.getsockname()[1]
        (option,) = packets.Packet(answer.inner.data).tags()
        nonce = int.from_bytes(option[6:], "big")
        seq, ack = answer.inner.seq + 1, answer.inner.ack

        def probe(seq=seq, **tag):
            tag = {"state": ANSWER, "nonce": nonce, "offers": SPOOF, **tag}
            to_gateway.send(segment(s, client, 80, port, ACK, seq=seq, ack=ack,
                                    options=packets.tag(**tag)))
        before = at_gateway()
        probe(nonce=nonce ^ 1)
        probe(seq=seq + 1)
        probe(state=1)
        probe(offers=1)
        wait_until("four strays", lambda: at_gateway().get("server_stray", 0) ==
                   before.get("server_stray", 0) + 4)
        assert "probe_echoed" not in at_gateway()
        for wrong in (nonce ^ 1, nonce ^ 0x8000):
            to_replica.send(encapsulate(
                segment(client, s, port, 80, ACK, seq=ack, ack=seq,
                        options=packets.tag(ANSWER, wrong, SPOOF)), client, r1))
        probe()
        wait_until("the right one", lambda: at_gateway().get("probe_echoed"))
        wait_until("its echo", lambda: at_replica().get("probe_passed"))
        assert at_replica()["probe_passed"] == 1
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"X-Who: r1" in sock.recv(4096)
