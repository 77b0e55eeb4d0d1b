# SPDX-License-Identifier: GPL-2.0-only
"""The fast path: which packets of carried flows take it, that they are what the ordinary
path would have made of them, and what takes a flow off it. A counter tells them apart."""

import json
import time

import pytest

from wlblab import firewall, kernel, packets, web
from wlblab.bulk import both_ways
from wlblab.ghosts import Counted
from wlblab.host import wait_until
from wlblab.packets import ACK, FIN, PSH, RST
from wlblab.t0 import T0

PORTS = [80, 8080]
# One in a second and direction takes the ordinary path: of three, two do not.
SOME = 3
# The module's may be as long as this.
SECOND = 1.3


@pytest.fixture(scope="module")
def net():
    kernel.load()
    with T0(delays=False, clients=1, replicas=1) as t0:
        t0.build()
        t0.own_origin()
        t0.configure(ports=PORTS)
        t0.warm_up()
        yield t0
    kernel.unload()


@pytest.fixture(autouse=True)
def settled(net):
    yield
    net["cg"].run("nft", "flush", "ruleset")
    net.configure(ports=PORTS)
    net.wlb("cg").run("flow", "flush")


def forward(*rules):
    """These rules in a forward chain, and a counter that they may use."""
    return "\n".join(("table inet some {", "counter count { }", "chain forward {",
                      "type filter hook forward priority filter", *rules, "}", "}"))


class Flow:
    """A connection of the ghosts', won by a replica; segments of it, one by one."""

    def __init__(self, ghosts):
        self.ghosts, self.ctl = ghosts, ghosts.ctl
        self.winner = ghosts.replica[1]
        self.race = ghosts.race()
        assert len(self.race.answer(self.winner)) == 1
        assert len(ghosts.out(self.race.from_client(self.winner))) == 1

    def data(self, out, **kwargs):
        make = self.race.from_client if out else self.race.from_far
        kwargs.setdefault("payload", b"x" * 100)
        return make(self.winner, ACK | PSH, **kwargs)

    def pass_one(self, out, wait=5.0, **kwargs):
        """Sends a segment; it, and what has come of it on the other side."""
        return self.pass_raw(out, self.data(out, **kwargs), wait)

    def pass_raw(self, out, raw, wait):
        port = self.race.sport
        wire, other = self.ghosts.lan, self.ghosts.wan
        if not out:
            wire, other = other, wire
        wire.send(raw)
        return raw, other.receive(
            lambda p: port in (p.sport, p.dport) and p.family == self.ghosts.family,
            timeout=wait)

    def fast(self, out, count=SOME):
        """How many of so many segments took the fast path; all arrive as they should."""
        counted = Counted(self.ctl)
        for _ in range(count):
            raw, (came,) = self.pass_one(out)
            expected = (self.race.translated(raw, dst=self.winner) if out else
                        self.race.translated(raw, src=self.ghosts.server))
            assert came.raw == expected
        grown = counted.grown()
        assert grown["translated_out" if out else "translated_in"] == count
        return grown.get("fast", 0)

    def becomes_fast(self):
        for out in (True, False):
            wait_until("segments take the fast path", lambda o=out: self.fast(o) > 0)


@pytest.fixture
def flow(ghosts):
    return Flow(ghosts)


@pytest.mark.parametrize("wall", ["no", "tracked"])
def test_same(net, flow, wall):
    """Byte for byte what the ordinary path makes, a hop more; most of them."""
    if wall == "tracked":
        firewall.stateful(net["cg"])
        flow = Flow(flow.ghosts)
    for out in (True, False):
        flow.becomes_fast()
        # a second may begin in between, and end
        assert flow.fast(out, 20) >= 14
    if wall == "tracked":
        assert firewall.counted(net["cg"]) == {}


@pytest.mark.parametrize("way", [("nat", None), ("spoof", "gre"), ("tunnel", "gre"),
                                 ("tunnel", "ipip")], ids=lambda way: "-".join(filter(None, way)))
@pytest.mark.parametrize("offload", ["on", "off"])
def test_both_ways(net, family, way, offload):
    """10 MB each way by each return mode, and no packet is invalid to a stateful firewall."""
    mode, via = way
    served = {"return_": mode, **({"via": via} if via else {})}
    net.configure(ports=PORTS, served=served)
    net.netem("s", "sg", "delay 200ms")
    net.offloads(offload)
    firewall.stateful(net["cg"])
    counted = Counted(net.wlb("cg"))
    bad = [net[name].counters()["TcpInCsumErrors"] for name in ("c1", "r1")]
    try:
        both_ways(net["c1"], net.address["s", family], net["r1"], 8080)
    finally:
        net.offloads("on")
        net.no_netem()
    grown = counted.grown()
    carried = sum(grown.get(name, 0) for name in ("translated_out", "translated_in", "passed_in",
                                                  "tunnelled_out", "tunnelled_in"))
    assert "translate_failed" not in grown
    assert grown["fast"] > carried / 2, grown
    assert firewall.counted(net["cg"]) == {}
    assert [net[name].counters()["TcpInCsumErrors"] for name in ("c1", "r1")] == bad


def seen(host):
    """How many packets that counter has seen."""
    (counter,) = (item["counter"] for item in json.loads(
        host.out("nft", "-j", "list", "counters"))["nftables"] if "counter" in item)
    return counter["packets"]


def test_rules_see_one_a_second(net, flow):
    """A rule behind PRE_ROUTING's counts a packet a second of each direction."""
    net["cg"].run("nft", "-f", "-", stdin=forward(
        "tcp dport 80 counter name count", "tcp sport 80 counter name count"))
    flow.becomes_fast()
    before = seen(net["cg"])
    counted = Counted(flow.ctl)
    start = time.monotonic()
    for _ in range(200):
        for out in (True, False):
            assert len(flow.pass_one(out)[1]) == 1
    seconds = time.monotonic() - start
    ordinary = 400 - counted.grown()["fast"]
    assert seen(net["cg"]) - before == ordinary <= 2 * (seconds + 2)


@pytest.mark.parametrize("out", [True, False], ids=["out", "in"])
def test_rule_added(net, flow, out):
    """A rule that drops is obeyed within a second, for as long as it is there."""
    flow.becomes_fast()
    ports = "tcp dport" if out else "tcp sport"
    net["cg"].run("nft", "-f", "-", stdin=forward(f"{ports} 80 drop"))
    start = time.monotonic()
    wait_until("nothing passes", lambda: not flow.pass_one(out, 0.1)[1], timeout=5)
    assert time.monotonic() - start < 2.5
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        assert flow.pass_one(out, 0.1)[1] == []
    net["cg"].run("nft", "flush", "ruleset")
    flow.becomes_fast()


def test_route_changed(net, flow):
    """The next packet takes the new route, or finds that there is none."""
    cg, far = net["cg"], flow.winner
    flow.becomes_fast()
    cg.run("ip", "route", "add", "blackhole", far)
    try:
        assert flow.pass_one(True, 0.3)[1] == []
        assert len(flow.pass_one(False)[1]) == 1
    finally:
        cg.run("ip", "route", "del", "blackhole", far)
    flow.becomes_fast()
    near = flow.ghosts.client
    cg.run("ip", "route", "add", "blackhole", near)
    try:
        assert flow.pass_one(False, 0.3)[1] == []
    finally:
        cg.run("ip", "route", "del", "blackhole", near)
    flow.becomes_fast()


@pytest.mark.parametrize("where", ["link", "route"])
def test_mtu_changed(net, flow, family, where):
    """What does not fit any more is not sent; its sender is told, as by forwarding."""
    cg = net["cg"]
    change = {"link": ["ip", "link", "set", "lan0"],
              "route": {4: ["ip", "route", "replace", "10.1.1.0/24", "dev", "lan0"],
                        6: ["ip", "-6", "route", "replace", "2001:db8:1:1::/64", "dev", "lan0",
                            "metric", "256"]}[family]}[where]
    flow.becomes_fast()
    cg.run(*change, "mtu", 1300)
    try:
        flow.ghosts.wan.forget()
        big = packets.Packet(flow.data(False, payload=b"y" * 1350))
        raw = packets.ip(big.src, big.dst, big.tcp, fragment=0x4000)
        for _ in range(2):
            assert flow.pass_raw(False, raw, 0.3)[1] == []
        told = [p for p in flow.ghosts.wan.drain(0.5) if p.family == family and p.tcp is None
                and p.proto == {4: 1, 6: 58}[family]]
        kinds = {p.raw[{4: 20, 6: 40}[family]] for p in told}
        assert {4: 3, 6: 2}[family] in kinds
        assert flow.fast(False) > 0
    finally:
        cg.run(*change, "mtu", 1500)


def test_last_hop(flow, family):
    """A segment without a hop left goes nowhere, and its sender is told."""
    flow.becomes_fast()
    flow.ghosts.lan.forget()
    assert flow.pass_one(True, 0.3, ttl=1)[1] == []
    kinds = {p.raw[{4: 20, 6: 40}[family]] for p in flow.ghosts.lan.drain(0.5)
             if p.family == family and p.tcp is None}
    assert {4: 11, 6: 3}[family] in kinds
    _, (came,) = flow.pass_one(True, ttl=2)
    assert came.ttl == 1


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_end(flow, how):
    """What ends a flow is not the fast path's, and nothing is behind it."""
    race, ghosts, winner = flow.race, flow.ghosts, flow.winner
    flow.becomes_fast()
    counted = Counted(flow.ctl)
    if how == "fin":
        assert len(ghosts.out(race.from_client(winner, FIN | ACK, seq=101, ack=101))) == 1
        assert len(ghosts.into(race.from_far(winner, FIN | ACK, seq=101, ack=102))) == 1
    else:
        assert len(ghosts.into(race.from_far(winner, RST, seq=101))) == 1
    assert race.flow()["state"] == "closing"
    assert len(ghosts.out(race.from_client(winner, seq=102, ack=102))) == 1
    assert "fast" not in counted.grown()


def test_another_interface(net, flow):
    """A winner's segments that come in elsewhere are not taken for those that have passed."""
    net["cg"].run("nft", "-f", "-", stdin=forward('iifname "lan0" tcp sport 80 counter name count',
                                                  'iifname "lan0" tcp sport 80 drop'))
    flow.becomes_fast()
    counted = Counted(flow.ctl)
    for _ in range(SOME):
        flow.ghosts.lan.send(flow.data(False))
    wait_until("the rule sees them all", lambda: seen(net["cg"]) == SOME)
    assert counted.grown() == {"translated_in": SOME}


def test_left(net, flow):
    """A service that has it off, and packets that rules mark."""
    def never(setting):
        counted = Counted(flow.ctl)
        time.sleep(SECOND)
        assert (flow.fast(True, 5), flow.fast(False, 5)) == (0, 0), setting
        assert counted.grown()["translated_out"] == 5

    cg, ctl = net["cg"], net.wlb("cg")
    flow.becomes_fast()
    ctl.apply(net.config(ports=PORTS, service={"fastpath": "off"})["cg"])
    never("fastpath off")
    ctl.apply(net.config(ports=PORTS)["cg"])
    flow.becomes_fast()
    cg.run("nft", "-f", "-", stdin=forward("meta mark set 7"))
    never("marked")


def test_not_assured(net, flow):
    """Connection tracking picks a flow up in the middle: `auto` waits until it is sure,
    `on` does not."""
    cg, ctl = net["cg"], net.wlb("cg")
    # from one side only, so that it never is
    cg.run("nft", "-f", "-", stdin=forward("ct state invalid drop"))

    def outwards(fastpath):
        ctl.apply(net.config(ports=PORTS, service={"fastpath": fastpath})["cg"])
        time.sleep(SECOND)
        return flow.fast(True, 5)
    assert outwards("auto") == 0
    assert outwards("on") > 0


def test_masquerade(net, family):
    """Whom the gateway translates goes the ordinary path, and is served as well."""
    net.netem("s", "sg", "delay 200ms")
    firewall.stateful(net["cg"], masquerade=True)
    counted = Counted(net.wlb("cg"))
    try:
        both_ways(net["c1"], net.address["s", family], net["r1"], 8080)
    finally:
        net.no_netem()
    grown = counted.grown()
    assert "fast" not in grown and grown["translated_in"] > 0
    assert firewall.counted(net["cg"]) == {}


def test_last(net):
    """Routes that are kept do not keep a device. The last one: there is no network then, and
    before that policy routing rules, which a namespace never forgets."""
    net.netem("s", "sg", "delay 200ms")
    cg = net["cg"]

    def fast(family):
        counted = Counted(net.wlb("cg"))
        assert web.fetch(net["c1"], net.address["s", family], "10M")[0] == "r1"
        return "fast" in counted.grown()
    assert fast(4) and fast(6)
    cg.run("ip", "-6", "rule", "add", "prio", 99, "to", "2001:db8:77::1", "lookup", "main")
    assert fast(4) and not fast(6)
    net.no_netem()
    start = time.monotonic()
    cg.run("ip", "link", "del", "wan0")
    assert time.monotonic() - start < 8
