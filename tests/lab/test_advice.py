# SPDX-License-Identifier: GPL-2.0-only
"""What a client gateway learns from one race for the next: paths that drop tags, and clients
that stay with their winner."""

import time

import pytest

from wlblab import packets, web, wlb
from wlblab.clones import Delta, Tap, lab
from wlblab.host import wait_until
from wlblab.packets import SYN

DROP_TAGS = """table inet hostile {
    chain forward {
        type filter hook forward priority filter
        iifname "cg" tcp flags & (syn | ack) == syn @th,160,8 253 counter drop
    }
}"""

MUTE = """table inet mute {
    chain input {
        type filter hook input priority filter
        tcp dport 80 drop
    }
}"""


@pytest.fixture(scope="module")
def net():
    with lab(clients=2) as t0:
        yield t0


@pytest.fixture(autouse=True)
def settled(net):
    nearest(net, "r1")
    yield
    net["core"].run("nft", "flush", "ruleset")
    for replica in net.replicas:
        net.wlb(replica).run("replica", "busy", "off")
    net.wlb("cg").run("flow", "flush")
    assert wlb.unaccounted(net.wlb("cg").stats()) == 0


def nearest(net, name):
    for host in ("s", *net.replicas):
        net.netem(host, "sg" if host == "s" else "core", "" if host == name else "delay 60ms")


def timed(net, family, client="c1"):
    start = time.monotonic()
    who, _ = web.fetch(net[client], net.address["s", family], timeout=20)
    return who, time.monotonic() - start


def test_hostile_path(net, family):
    """W17: a router drops tagged SYNs. The client's third SYN goes without and is answered
    by the server; the next connections go without at once, until the time is up."""
    net.configure(client_gateway={"timeouts": {"untagged": "6s"}})
    grown = Delta(net.wlb("cg"))
    net["core"].run("nft", "-f", "-", stdin=DROP_TAGS)
    who, seconds = timed(net, family)
    assert who == "s" and 2.5 < seconds < 5, seconds
    assert (grown()["syn_tagged"], grown()["syn_retagged"], grown()["syn_plain"]) == (1, 1, 1)
    learned = time.monotonic()
    with Tap(net["core"], "cg") as wire:
        for client in ("c1", "c2"):
            who, seconds = timed(net, family, client)
            assert who == "s" and seconds < 1, seconds
        syns = [packets.Packet(p.data) for p in wire.seen(
            lambda p: not p.out and p.is_tcp and p.flags == SYN)]
    assert len(syns) == 2 and not any(syn.tags() for syn in syns)
    assert grown()["syn_untagged"] == 2 and grown()["race_won_server"] == 1
    net["core"].run("nft", "flush", "ruleset")
    time.sleep(max(0, learned + 6.2 - time.monotonic()))
    assert timed(net, family)[0] == "r1"


def test_loss(net, family):
    """Nor is loss one: where tagged SYNs were answered lately, they go on with their tags."""
    net.configure(client_gateway={"timeouts": {"untagged": "60s"}})
    assert timed(net, family)[0] == "r1"
    grown = Delta(net.wlb("cg"))
    net["core"].run("nft", "-f", "-", stdin=DROP_TAGS)
    assert timed(net, family)[0] == "s"
    net["core"].run("nft", "flush", "ruleset")
    assert grown()["syn_plain"] == 1
    assert timed(net, family)[0] == "r1"
    assert "syn_untagged" not in grown()


def test_nobody_there(net, family):
    """Silence is no proof against tags: replicas that come back late are still asked."""
    net.configure(client_gateway={"timeouts": {"untagged": "60s"}})
    grown = Delta(net.wlb("cg"))
    net["s"].run("nft", "-f", "-", stdin=MUTE)
    for replica in net.replicas:
        net.wlb(replica).run("replica", "busy", "on")
    try:
        child = net["c1"].popen("curl", "-sf", "--max-time", 20, "-w", "%header{x-who}", "-o",
                                "/dev/null", web.url(net.address["s", family]), stdout=-1)
        wait_until("a SYN without a tag", lambda: grown().get("syn_plain"))
        net.wlb("r2").run("replica", "busy", "off")
        assert child.communicate(timeout=30)[0] == "r2"
        assert (grown()["syn_plain"], grown()["syn_retagged"]) == (1, 2)
        net.wlb("r1").run("replica", "busy", "off")
        assert timed(net, family)[0] == "r1"
        assert "syn_untagged" not in grown()
    finally:
        net["s"].run("nft", "flush", "ruleset")


def test_sticky(net, family):
    """W111: a client's connections to one server stay together, though another replica is
    nearer by now; another client's do not. A winner that is silent is left after a second."""
    net.configure(service={"sticky": "60s"})
    grown = Delta(net.wlb("cg"))
    assert timed(net, family)[0] == "r1"
    nearest(net, "r2")
    pages = web.pages(net["c1"], net.address["s", family], 6, parallel=6)
    assert [p.who for p in pages] == 6 * ["r1"]
    assert grown()["answer_not_preferred"] >= 6
    assert timed(net, family, "c2")[0] == "r2"
    for replica in net.replicas:
        wait_until(f"{replica} is not half open", lambda h=replica: not net[h].half_open())
    net.wlb("r1").run("replica", "busy", "on")
    who, seconds = timed(net, family)
    assert who == "r2" and 0.9 < seconds < 3, seconds
    who, seconds = timed(net, family)
    assert who == "r2" and seconds < 0.9, seconds


def test_not_sticky(net, family):
    """Unless it is asked for, each race is its own."""
    net.configure()
    assert timed(net, family)[0] == "r1"
    nearest(net, "r2")
    assert timed(net, family)[0] == "r2"


def test_begins_to_drop(net):
    """A path that tags have passed begins to drop them: three connections find that out, later
    than 30 s after the last tag that was answered. The next goes without at once.
    What the gateway learns here it keeps for a minute: this is the last test."""
    net.configure(client_gateway={"timeouts": {"untagged": "60s"}})
    assert timed(net, 4)[0] == "r1"
    grown = Delta(net.wlb("cg"))
    net["core"].run("nft", "-f", "-", stdin=DROP_TAGS)
    time.sleep(30.5)
    for _ in range(3):
        assert timed(net, 4)[0] == "s"
    assert grown()["syn_plain"] == 3 and "syn_untagged" not in grown()
    assert timed(net, 4)[0] == "s"
    assert grown()["syn_plain"] == 3 and grown()["syn_untagged"] == 1
