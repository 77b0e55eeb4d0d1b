# SPDX-License-Identifier: GPL-2.0-only
"""Which of the SYNs that the server gateway could clone it does, and how often: fan-out and pick,
limits (W30) and return-routability cookies (S1, S2)."""

import ipaddress
import struct
import time

import pytest

from wlblab import web
from wlblab.clones import (CLIENT, EXID, MSS, NOT_PERMITTED, OFFER_CLONED, OFFER_GRE, OFFER_NAT,
                           REPLICAS, SYN, SYN_ACK, Bench, Delta, Tap, Wire, checksums_right,
                           lab, no_checksum_offload, segment, tag)
from wlblab.packets import options_list

NEIGHBOUR = {4: "10.1.9.200", 6: "2001:db8:1:9:ffff::1"}
STRANGER = {4: "10.1.8.9", 6: "2001:db8:1:8::9"}
OFFERS = OFFER_NAT | OFFER_GRE
ANSWER = 2


@pytest.fixture(scope="module")
def net():
    with lab(clients=2, servers=2) as t0:
        for route in ("10.1.9.0/24", "10.1.8.0/24", "2001:db8:1:9::/64", "2001:db8:1:8::/64"):
            t0["core"].run("ip", "route", "add", "blackhole", route)
        for server in t0.servers:
            no_checksum_offload(t0[server], "lan0")
            # most clients here are nobody: their answers are not to come again, and be counted
            t0[server].sysctl(net__ipv4__tcp_synack_retries=0)
        yield t0


@pytest.fixture
def bench(net):
    it = Bench(net)
    yield it
    it.close()
    for host in ("sg", "s", "cg", *REPLICAS):
        net.wlb(host).apply("")


def shown(cookie, nonce=0x1234, state=1):
    return struct.pack("!BBHBBHQ", 253, 16, EXID, 1 << 4 | state, OFFERS, nonce, cookie)


def far(bench, family, **delay):
    """The replicas, so many ms away."""
    return [{"address": bench.net.address[r, family], "delay": f"{ms}ms"}
            for r, ms in delay.items()]


def clones_of(bench, family, count=1, **syn):
    """Of so many SYNs, who was sent clones of each."""
    syns = [bench.syn(family, **syn) for _ in range(count)]
    for _, packet in syns:
        bench.wire.send(packet)
    for sport, _ in syns:
        bench.arrived(sport, syn.get("to", "s"))
    names = {bench.net.address[r, family]: r for r in REPLICAS}
    return [sorted(names[c.dst] for c in bench.clones(sport)) for sport, _ in syns]


def test_fan_out(bench, family):
    """To the nearest ones, by their delay, or to others each time; and no clone is held for a
    replica that gets none."""
    distances = {"r1": 30, "r2": 10, "r3": 20}
    for origin, wanted in (({"fan-out": 2}, {"r2 r3"}), ({"fan-out": 1}, {"r2"}),
                           ({"fan-out": 3}, {"r1 r2 r3"}), ({}, {"r1 r2 r3"}),
                           ({"fan-out": 32, "pick": "random"}, {"r1 r2 r3"}),
                           ({"fan-out": 1, "pick": "random"}, {"r1", "r2", "r3"}),
                           ({"fan-out": 2, "pick": "random"}, {"r1 r2", "r1 r3", "r2 r3"})):
        bench.origins(family, {"replicas": far(bench, family, **distances), **origin})
        # One of three never: once in 7 million runs.
        got = clones_of(bench, family, 40 if "pick" in origin else 3)
        assert {" ".join(to) for to in got} == wanted, origin
    bench.origins(family, {"replicas": far(bench, family, **distances), "fan-out": 2,
                           "race": "equal"})
    sport, packet = bench.syn(family)
    bench.wire.send(packet)
    copy = bench.arrived(sport)
    when = {bench.net.address[r, family]: None for r in ("r2", "r3")}
    for clone in bench.clones(sport):
        when[clone.dst] = clone.time / 1e6
    at = list(when.values())
    assert at[0] - at[1] == pytest.approx(10, abs=0.5)
    assert copy.time / 1e6 - at[1] == pytest.approx(20, abs=0.5)


def others(family, subnet):
    """Clients of one /24 or /64, without end."""
    net = ipaddress.ip_network({4: f"10.77.{subnet}.0/24", 6: f"2001:db8:77:{subnet}::/64"}[family])
    while True:
        yield from map(str, list(net.hosts() if family == 4 else map(net.__getitem__,
                                                                     range(1, 200))))


def cloned(bench, family, clients, count, to="s"):
    """How many of so many SYNs are cloned, and that the server gets all of them."""
    got = [clones_of(bench, family, to=to, client=next(clients))[0] for _ in range(count)]
    assert all(who in ([], REPLICAS) for who in got)
    return sum(who == REPLICAS for who in got)


def test_prefix_limit(bench, family):
    """W30: so many clones in a second for a source's /24 or /64 and a server, whoever of it asks;
    others and other servers are none the worse, and every SYN goes to its server."""
    of = bench.net.address
    bench.origins(family, {"server": [of["s", family], of["s2", family]],
                           "clones-per-prefix": 30})
    one, other = others(family, 1), others(family, 2)
    began = time.monotonic()
    first = cloned(bench, family, one, 40)
    # in 30 s of the beginning one more each 100 ms
    assert 10 <= first <= 11 + 10 * (time.monotonic() - began) < 40
    assert cloned(bench, family, other, 10) == 10
    assert cloned(bench, family, one, 10, "s2") == 10
    assert bench.delta() == {"syn_cloned": first + 20, "clone_sent": 3 * (first + 20),
                             "syn_prefix_limit": 40 - first}
    while time.monotonic() < began + 3:
        first += cloned(bench, family, one, 5)
        time.sleep(0.02)
    assert 38 <= first <= 11 + 10 * (time.monotonic() - began)


def test_limits(bench, family):
    """An origin's limit, and that of all origins together."""
    of = bench.net.address
    both = [{"server": of["s", family], "clones-per-second": 60},
            {"server": of["s2", family], "clones-per-second": 0}]
    bench.origins(family, *both, settings={"clones-per-second": 90})
    clients = others(family, 3)
    began = time.monotonic()
    one = cloned(bench, family, clients, 40)
    other = cloned(bench, family, clients, 40, "s2")
    # 20 in a second for this origin, 30 for both
    took = time.monotonic() - began
    assert 20 <= one <= 21 + 20 * took and 30 <= one + other <= 31 + 30 * took
    assert bench.delta() == {"syn_cloned": one + other, "clone_sent": 3 * (one + other),
                             "syn_origin_limit": 40 - one, "syn_clone_limit": 40 - other}
    # less than one SYN's clones in a second: one in three
    bench.origins(family, {"clones-per-second": 1})
    began, got = time.monotonic(), 0
    while time.monotonic() < began + 7:
        got += cloned(bench, family, clients, 1)
        time.sleep(0.1)
    assert got == 3


def answer(bench, family, sport):
    """The server's SYN-ACK to a port, as it leaves the gateway; its tag."""
    packet = bench.wan.wait(lambda p: p.out and p.is_tcp and p.ports == (80, sport) and
                            p.flags == SYN_ACK)[0]
    assert checksums_right(packet.data)
    ours = [o for kind, o in options_list(packet.options) if kind == 253]
    assert len(ours) <= 1
    return ours[0] if ours else b""


def ask(bench, family, options, client=None, to="s", host="sg"):
    """(Is the SYN cloned? the tag of its answer)"""
    sport, packet = bench.syn(family, to, options=options, client=client)
    bench.wire.send(packet)
    copy = bench.arrived(sport, to)
    if host == "sg" and b"\xfd" in options:
        assert (253, tag(NOT_PERMITTED, 0, 0)) in options_list(copy.options)
    clones = bench.clones(sport)
    for clone in clones:
        assert tag(offers=OFFERS | OFFER_CLONED) in clone.inner.options
    return len(clones) == 3, answer(bench, family, sport)


def cookie_in(option, nonce=0x1234):
    assert option[:8] == struct.pack("!BBHBBH", 253, 16, EXID, 1 << 4 | ANSWER, 0, nonce)
    return struct.unpack("!Q", option[8:])[0]


@pytest.mark.parametrize("host", ["sg", "s"])
def test_cookie(bench, family, host):
    """S2: a SYN is cloned if its tag has the cookie that an answer has brought to its source's
    /24 or /64, at the gateway and on the server alike; nobody else's answers change."""
    of = bench.net.address
    bench.origins(family, {"server": [of["s", family]] + [of["s2", family]] * (host == "sg"),
                           "cookie": "1h"}, host=host)
    bench.delta = Delta(bench.net.wlb(host))
    assert ask(bench, family, MSS, host=host) == (False, b"")
    assert ask(bench, family, MSS + tag(NOT_PERMITTED, 0, 0), host=host) == (False, b"")
    is_cloned, option = ask(bench, family, MSS + tag(nonce=0xbeef), host=host)
    cookie = cookie_in(option, 0xbeef)
    assert not is_cloned
    # the same for all its SYNs, whatever their nonce; good from now on, and not owed again
    is_cloned, option = ask(bench, family, MSS + tag(), host=host)
    assert not is_cloned and cookie_in(option) == cookie
    for client in (None, NEIGHBOUR[family]):
        assert ask(bench, family, MSS + shown(cookie), client, host=host) == (True, b"")
    assert bench.delta() == {"syn_race_refused": 1, "syn_no_cookie": 2, "cookie_given": 2,
                             "syn_cloned": 2, "clone_sent": 6}
    bench.delta.reset()
    # bits flipped, another prefix, another server
    wrong = [{"options": MSS + shown(cookie ^ 1 << bit)} for bit in (0, 1, 31, 32, 63)]
    wrong.append({"options": MSS + shown(cookie), "client": STRANGER[family]})
    if host == "sg":
        wrong.append({"options": MSS + shown(cookie), "to": "s2"})
    for syn in wrong:
        is_cloned, option = ask(bench, family, host=host, **syn)
        assert not is_cloned
        assert (cookie_in(option) == cookie) == (len(syn) == 1)
    # of all zeroes it is none
    is_cloned, option = ask(bench, family, MSS + shown(0), host=host)
    assert not is_cloned and cookie_in(option) == cookie
    assert bench.delta() == {"syn_bad_cookie": len(wrong), "syn_no_cookie": 1,
                             "cookie_given": len(wrong) + 1}


def test_cookie_ages(bench, family):
    """S2: good for its time, at most twice; in the second half an answer brings the next one, so
    that who goes on asking never has a SYN that is not raced."""
    bench.origins(family, {"cookie": "2s"})
    first = cookie = cookie_in(ask(bench, family, MSS + tag())[1])
    began, kept, fresh = time.monotonic(), [], []
    while time.monotonic() < began + 7:
        is_cloned, option = ask(bench, family, MSS + shown(cookie))
        assert is_cloned
        if option:
            cookie = cookie_in(option)
            fresh.append(time.monotonic() - began)
        is_cloned, _ = ask(bench, family, MSS + shown(first))
        kept.append((time.monotonic() - began, is_cloned))
        time.sleep(0.1)
    assert len(fresh) in (3, 4) and cookie != first
    good = [at for at, is_cloned in kept if is_cloned]
    assert good == [at for at, _ in kept][:len(good)] and 1.7 <= good[-1] <= 4


def test_no_room(bench, family):
    """An answer that has no room for it goes without, as it is."""
    of = bench.net.address
    bench.origins(family, {"cookie": "1h"})
    with Wire(bench.net, "s", "sg") as server:
        for size, has_room in ((24, True), (28, False)):
            sport, packet = bench.syn(family)
            bench.wire.send(packet)
            bench.arrived(sport)
            own = MSS + bytes([1] * (size - 4))
            server.send(segment(of["s", family], CLIENT[family], 80, sport, flags=SYN_ACK, seq=7,
                                ack=1001, options=own))
            packet = bench.wan.wait(lambda p, to=sport: p.out and p.is_tcp and
                                    p.ports == (80, to) and p.seq == 7)[0]
            assert checksums_right(packet.data) and packet.options.endswith(own)
            assert len(packet.options) == size + 16 * has_room
            answer(bench, family, sport)
    assert bench.delta() == {"syn_no_cookie": 2, "cookie_given": 3, "cookie_no_room": 1}


def test_client_gateway(bench, family):
    """S2: the client's gateway keeps the cookie and shows it: the first connection is not raced,
    the next ones are; a cookie that is good no more costs one again."""
    net, of = bench.net, bench.net.address
    here = net.config(families=(family,))
    for host in ("cg", *REPLICAS):
        net.wlb(host).apply(here[host])
    cg, sg = Delta(net.wlb("cg")), Delta(net.wlb("sg"))
    for lifetime in ("60m", "61m"):
        bench.origins(family, {"cookie": lifetime})
        cg.reset()
        sg.reset()
        served = [web.connect(net["c1"], of["s", family])[0] for _ in range(4)]
        assert served[0] == "s" and set(served) <= {"s", *REPLICAS}
        why = "syn_no_cookie" if lifetime == "60m" else "syn_bad_cookie"
        assert sg() == {why: 1, "cookie_given": 1, "syn_cloned": 3, "clone_sent": 9}
        assert cg()["cookie_kept"] == 1 and cg()["syn_tagged"] == 4
    # c2 is in another prefix
    assert web.connect(net["c2"], of["s", family])[0] == "s"
    assert cg()["cookie_kept"] == 2
    status(net, of["s", family])


def status(net, server):
    """wlbctl status and race top tell the same as the counters."""
    shown = net.wlb("cg").json("status")["client_gateway"]
    (origin,) = [o for o in shown["origins"] if o["server"] == server]
    assert origin["races"] == sum(a["wins"] for a in origin["answerers"]) > 4
    for one in origin["answerers"]:
        assert one["answers"] == sum(bar["count"] for bar in one["histogram"]) >= one["wins"]
        assert 0 <= one["least_us"] <= one["median_us"] <= one["p99_us"]
    assert f"{server}" in net.wlb("cg").run("race", "top", "--count", "1").stdout
    counters = net.wlb("sg").counters()
    shown = net.wlb("sg").json("status")["server_gateway"]
    asked = counters["syn_cloned"] + sum(shown["not_cloned"].values())
    assert shown["tagged"] == asked and shown["not_cloned"]["syn_no_cookie"] > 0
    assert shown["answers_per_syn"] == pytest.approx(1 + counters["clone_sent"] / asked)
    shown = net.wlb("r1").json("status")["replica"]
    assert shown["taken"] == net.wlb("r1").counters()["clone_cracked"] > 0
    assert shown["busy_share"] == 0 and not any(o["busy"] for o in shown["origins"])


def test_amplification(bench, family):
    """S1: how many answers come to who has not asked, by SYNs in his name: with cookies no more
    than without us, else one of each replica more."""
    net, of = bench.net, bench.net.address
    here = net.config(families=(family,))
    for host in REPLICAS:
        net.wlb(host).apply(here[host])
    count, victim = 300, of["c2", family]
    figures = {}
    with Tap(net["c2"], "lan0") as tap:
        for cookie, port in (("1h", 20000), ("0s", 21000)):
            bench.origins(family, {"cookie": cookie})
            for sport in range(port, port + count):
                bench.wire.send(segment(victim, of["s", family], sport, flags=SYN,
                                        options=MSS + tag()))
                time.sleep(0.001)
            time.sleep(0.5)
            answers = tap.seen(lambda p, port=port: not p.out and p.is_tcp and
                               p.flags == SYN_ACK and port <= p.ports[1] < port + count)
            figures[cookie] = len(answers) / count
    print(f"answers per SYN at the victim: {figures['1h']:.2f} with cookies, "
          f"{figures['0s']:.2f} without")
    dropped = {r: {k: v for k, v in net.wlb(r).counters().items() if v and k.startswith("clone")}
               for r in REPLICAS}
    assert figures["1h"] == 1 and figures["0s"] == 4, dropped
