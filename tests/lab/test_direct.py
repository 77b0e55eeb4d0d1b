# SPDX-License-Identifier: GPL-2.0-only
"""Race mode direct (F1, R-direct): once a race has shown the client's gateway who answers, it
clones SYNs to them itself, and the server's gateway does not. Delays as T0 has them: round
trips of 12, 42 and 72 ms to r1, r2 and r3, 102 ms to the server."""

import contextlib
import subprocess
import time

import pytest

from wlblab import firewall, kernel, packets, web, wlb
from wlblab.clones import OFFER_CLONED, SYN, Delta, Tap, no_checksum_offload
from wlblab.host import wait_until
from wlblab.packets import NOT_PERMITTED, OFFERS, PERMITTED
from wlblab.t0 import DELAYS, T0

WAYS = [("nat", None), ("spoof", "gre"), ("spoof", "ipip"), ("tunnel", "gre"),
        ("tunnel", "ipip")]
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(filter(None, way)))
three_ways = pytest.mark.parametrize("way", WAYS[::2], ids=lambda way: way[0])
RTT = {"r1": 12, "r2": 42, "r3": 72, "s": 102}
COUNT = 10
GATEWAY = {4: "10.9.1.1", 6: "2001:db8:9:1::1"}


@pytest.fixture(scope="module")
def net():
    # The counted clock does not wait for a module's file.
    subprocess.run(["modprobe", "-a", "nf_tables", "nft_ct", "nft_masq", "nft_chain_nat"],
                   check=True)
    kernel.load()
    with T0(clients=2) as t0:
        t0.build()
        t0.own_origin()
        no_checksum_offload(t0["c1"], "lan0")
        yield t0
        for name in t0.hosts:
            assert wlb.unaccounted(t0.wlb(name).stats()) == 0
    kernel.unload()


@pytest.fixture(autouse=True)
def settled(net):
    net.warm_up()
    yield
    for replica in net.replicas:
        net.wlb(replica).run("replica", "busy", "off", check=False)
    distance(net)
    cg = net.wlb("cg")
    quiet(net)
    assert balance(net) == 0
    cg.apply("")
    assert learned(net) == {}
    counters = cg.counters()
    assert counters["learned_new"] == sum(counters[f"learned_{why}"] for why in (
        "full", "expired", "flushed"))
    assert not counters["direct_failed"] and not counters["learned_failed"]
    assert not counters["translate_failed"] and wlb.unaccounted(cg.stats()) == 0


def quiet(net):
    """Losers' connections are gone, once and for all."""
    for host in ("s", *net.replicas):
        wait_until(f"{host} is not half open", lambda h=host: not net[h].half_open(), timeout=5)


def distance(net, **ms):
    """One way from core to a host; as it was for those who are not named."""
    for host in ("s", *net.replicas):
        delay = f"delay {ms.get(host, DELAYS[host])}ms"
        net.netem(host, "sg" if host == "s" else "core", "" if host == "s" else delay)
        if host != "s":
            net.netem("core", host, delay)


def configure(net, way=("nat", None), service=None, **kwargs):
    mode, via = way
    net.configure(served={"return_": mode, "via": via},
                  service={"race": "direct", "explore": "0s", **(service or {})}, **kwargs)


def learned(net):
    """{address of the answerer: what is known of it}, of all origins."""
    return {a["address"]: a for origin in net.wlb("cg").json("race", "learned")
            for a in origin["answerers"]}


def balance(net):
    """Answerers that were learned and neither forgotten nor known; and direct races."""
    counters = net.wlb("cg").counters()
    lost = counters["learned_new"] - len(learned(net)) - sum(
        counters[f"learned_{why}"] for why in ("full", "expired", "flushed"))
    begun = sum(counters[name] for name in ("syn_direct", "direct_explored", "direct_unknown",
                                            "direct_fallback"))
    return abs(lost) + abs(counters["syn_tagged"] - begun)


def connect(net, family, client="c1", port=80):
    return web.connect(net[client], net.address["s", family], port)


def learn(net, family):
    """The race that everything begins with: the server wins it, the replicas answer too."""
    assert connect(net, family)[0] == "s"
    known = {net.address[r, family] for r in net.replicas}
    wait_until("the replicas are known", lambda: set(learned(net)) == known)
    quiet(net)


def all_by(net, family, who, count=COUNT):
    """So many connections, every one served by this one, the fastest of them as fast as
    the way there and back."""
    got = [connect(net, family) for _ in range(count)]
    assert {name for name, _ in got} == {who}, got
    best = min(ms for _, ms in got)
    print(f"{who}: {RTT[who]} ms there and back, connected in {best:.2f} ms at best, "
          f"{sorted(ms for _, ms in got)[count // 2]:.2f} median")
    assert RTT[who] - 0.5 <= best <= RTT[who] + 1
    quiet(net)


@ways
def test_direct(net, family, way):
    """F1: the first connection is raced, and the server wins; all others are r1's, in r1's
    round trip, with no clone of the server's gateway. What goes where, byte by byte."""
    configure(net, way)
    cg, sg = Delta(net.wlb("cg")), Delta(net.wlb("sg"))
    learn(net, family)
    assert cg()["direct_unknown"] == 1 and cg()["learned_new"] == 3
    assert sg()["syn_cloned"] == 1
    raced = learned(net)
    assert all(a["raced"] and not a["asked"] for a in raced.values())
    # There and back by the server's gateway: no nearer than by no gateway at all.
    for name in net.replicas:
        ms = raced[net.address[name, family]]["rtt_us"] / 1000
        assert RTT["s"] + 2 * DELAYS[name] <= ms <= RTT["s"] + 2 * DELAYS[name] + 9
    cg.reset()
    sg.reset()
    client, s = net.address["c1", family], net.address["s", family]
    with Tap(net["core"], "cg") as tap:
        who, ms = connect(net, family)
        assert who == "r1" and ms < RTT["r2"]
        wait_until("three resets", lambda: cg().get("reset_sent") == 3)
        quiet(net)
        wire = tap.seen(lambda p: not p.out)
    (origin,) = [p for p in wire if p.is_tcp and p.flags == SYN]
    origin = packets.Packet(origin.data)
    assert (origin.src, origin.dst, origin.tag()) == (client, s, (NOT_PERMITTED, 0))
    assert origin.sound()
    clones = [p for p in wire if p.inner and p.inner.is_tcp and p.inner.flags == SYN]
    assert {p.dst for p in clones} == {net.address[r, family] for r in net.replicas}
    assert len(clones) == 3 and {p.src for p in clones} == {GATEWAY[family]}
    # As they answered, which nat does not tell.
    proto = 47 if way[1] != "ipip" else 4 if family == 4 else 41
    assert {p.proto for p in clones} == {proto}
    nonces = set()
    for clone in clones:
        inner = packets.Packet(clone.inner.data)
        assert inner.sound() and inner.hop(0) == inner.raw
        assert (inner.src, inner.dst) == (client, s)
        assert (inner.sport, inner.seq) == (origin.sport, origin.seq)
        (tag,) = inner.tags()
        assert tag[:6] == packets.tag(PERMITTED, 0, OFFERS | OFFER_CLONED)[:6]
        nonces.add(tag[6:])
        assert [o for o in packets.options_list(inner.options) if o[0] != 253] == [
            o for o in packets.options_list(origin.options) if o[0] != 253]
    assert len(nonces) == 1
    assert sg()["syn_race_refused"] == 1
    assert "syn_cloned" not in sg() and "clone_sent" not in sg()
    now = cg()
    assert (now["syn_tagged"], now["syn_direct"], now["direct_clones"], now["race_won_replica"],
            now["answer_lost"]) == (1, 1, 3, 1, 3)
    (flow,) = [f for f in net.wlb("cg").flows() if f["winner"] == net.address["r1", family]]
    assert (flow["return"], flow["via"]) == way
    all_by(net, family, "r1")
    known = learned(net)
    for name in net.replicas:
        answerer = known[net.address[name, family]]
        assert not answerer["raced"] and answerer["missed"] == 0
        assert RTT[name] - 0.5 <= answerer["rtt_us"] / 1000 <= RTT[name] + 3
        assert (answerer["asked"], answerer["answers"]) == (COUNT + 1, COUNT + 2)
        assert answerer["wins"] == (COUNT + 1 if name == "r1" else 0)
    assert "syn_cloned" not in sg()


@ways
def test_carried(net, family, way):
    """A connection that was cloned directly carries what any other does."""
    configure(net, way)
    learn(net, family)
    head, body = web.Download(net["c1"], net.address["s", family], 0, 1 << 20).finish()
    assert b"X-Who: r1" in head and body == web.big_file().read_bytes()[:1 << 20]


@three_ways
def test_hidden(net, family, way):
    """The gateway hides its clients: what it clones has its own address inside too, and is
    no packet of a client's for a replica that takes tunnels."""
    firewall.stateful(net["cg"], masquerade=True)
    try:
        configure(net, way)
        learn(net, family)
        all_by(net, family, "r1", 4)
        assert net.wlb("r1").counters()["client_stray"] == 0
        head, body = web.Download(net["c1"], net.address["s", family], 0, 1 << 18).finish()
        assert b"X-Who: r1" in head and body == web.big_file().read_bytes()[:1 << 18]
    finally:
        net["cg"].run("nft", "flush", "ruleset")


@three_ways
def test_own(net, family, way):
    """W13: the gateway is the client, whose SYN comes in process context."""
    configure(net, way, client_gateway={"inside": ["lo"]})
    for _ in range(2):
        who = web.fetch(net["cg"], net.address["s", family])[0]
        wait_until("the replicas are known", lambda: len(learned(net)) == 3)
        quiet(net)
    assert who == "r1" and learned(net)[net.address["r1", family]]["wins"] == 1
    assert net.wlb("cg").counters()["direct_clones"] >= 3


def test_fan_out(net, family):
    """Only so many are asked: the nearest, and now and then another in the last place."""
    configure(net, service={"fan-out": 2})
    learn(net, family)
    # Nobody's distance is known yet: the last place is each one's in turn.
    all_by(net, family, "r1", 3)
    cg = Delta(net.wlb("cg"))
    before = learned(net)
    all_by(net, family, "r1", 30)
    assert cg()["direct_clones"] == 60
    asked = {name: learned(net)[net.address[name, family]]["asked"] -
             before[net.address[name, family]]["asked"] for name in net.replicas}
    print(f"asked: {asked}")
    assert asked["r1"] == 30 and asked["r2"] + asked["r3"] == 30
    assert asked["r2"] > 20


def test_explore(net, family):
    """A nearer replica comes up: within the time between explorations it is known, and wins
    from then on. Meanwhile each exploration costs the server's gateway one race."""
    distance(net, r3=1)
    configure(net, service={"explore": "10s"})
    net.wlb("r3").run("replica", "busy", "on")
    assert connect(net, family)[0] == "s"
    wait_until("two are known", lambda: len(learned(net)) == 2)
    assert connect(net, family)[0] == "r1"
    net.wlb("r3").run("replica", "busy", "off")
    cg, sg = Delta(net.wlb("cg")), Delta(net.wlb("sg"))
    began = time.monotonic()
    while connect(net, family)[0] != "r3":
        assert time.monotonic() - began < 30
        time.sleep(0.5)
    took = time.monotonic() - began
    races = sg()["syn_cloned"]
    print(f"r3 wins {took:.1f} s after it came up, {races} races of the server gateway's")
    assert races == cg()["direct_explored"] <= 1 + took / 10
    ms = [connect(net, family) for _ in range(5)]
    assert {who for who, _ in ms} == {"r3"} and min(m for _, m in ms) <= 5


def test_comes_nearer(net, family):
    """F1: a replica that is known and not among those asked comes nearer: it wins from then on
    within half a minute, at two connections a second."""
    configure(net, service={"fan-out": 2})
    learn(net, family)
    all_by(net, family, "r1", 3)
    quiet(net)
    for _ in range(20):         # all are measured
        connect(net, family)
    before = learned(net)[net.address["r3", family]]
    assert before["rtt_us"] > 60000 and not before["raced"]
    distance(net, r3=1)
    began, row = time.monotonic(), 0
    while row < 5:
        assert time.monotonic() - began < 30
        row = row + 1 if connect(net, family)[0] == "r3" else 0
        time.sleep(0.5)
    print(f"r3 wins {time.monotonic() - began - 2.5:.1f} s after it came nearer")


def test_never_explores(net, family):
    """With explore = 0s nobody is asked who is not known."""
    configure(net)
    net.wlb("r1").run("replica", "busy", "on")
    assert connect(net, family)[0] == "s"
    wait_until("two are known", lambda: len(learned(net)) == 2)
    net.wlb("r1").run("replica", "busy", "off")
    sg = Delta(net.wlb("sg"))
    all_by(net, family, "r2", 5)
    time.sleep(11)
    all_by(net, family, "r2", 2)
    assert "syn_cloned" not in sg()


@contextlib.contextmanager
def silent(net, how, *replicas):
    for name in replicas:
        if how == "busy":
            net.wlb(name).run("replica", "busy", "on")
        else:
            net.link_down(name, "core")
    try:
        yield
    finally:
        for name in replicas:
            if how == "busy":
                net.wlb(name).run("replica", "busy", "off")
            else:
                net.link_up(name, "core")
                net.restore("core")
        net.warm_up()


@pytest.mark.parametrize("how", ["busy", "down"])
def test_failover(net, family, how):
    """M8: r1 says nothing any more. The very next SYN is r2's, in r2's round trip. After
    three questions r1 is not asked for half a minute; then it is, and is back."""
    configure(net)
    learn(net, family)
    all_by(net, family, "r1", 3)
    r1 = net.address["r1", family]
    asked = learned(net)[r1]["asked"]
    with silent(net, how, "r1"):
        all_by(net, family, "r2", 8)
        missed = learned(net)[r1]
        assert missed["missed"] >= 3 and 20000 < missed["silent_ms"] <= 30000
        assert missed["asked"] - asked == missed["missed"] < 8
        count = missed["asked"]
        all_by(net, family, "r2", 2)
        assert learned(net)[r1]["asked"] == count
    time.sleep(31)
    # Nobody's nearest until it has answered once more.
    assert connect(net, family)[0] == "r1"
    assert learned(net)[r1]["silent_ms"] is None and learned(net)[r1]["missed"] == 0
    all_by(net, family, "r1", 3)


def test_all_silent(net, family):
    """Nobody answers but the server: never later than without us. Then races are the server
    gateway's again, and who is back is found at the first."""
    configure(net)
    learn(net, family)
    all_by(net, family, "r1", 3)
    cg, sg = Delta(net.wlb("cg")), Delta(net.wlb("sg"))
    with silent(net, "busy", *net.replicas):
        all_by(net, family, "s", 3)
        assert cg()["syn_direct"] == 3 and "syn_cloned" not in sg()
        time.sleep(1.1)     # the last answers could have been on their way
        with Tap(net["core"], "cg") as tap:
            all_by(net, family, "s", 3)
            syns = [packets.Packet(p.data) for p in tap.seen(
                lambda p: not p.out and p.is_tcp and p.flags == SYN)]
        assert [syn.tag()[0] for syn in syns] == [PERMITTED] * 3
        assert cg()["direct_fallback"] == 3 and sg()["syn_cloned"] == 3
        assert cg()["direct_clones"] == 9
        assert cg()["race_won_server"] == 6
    # They still answer too late for the first, which is raced; but they do.
    assert connect(net, family)[0] == "s"
    wait_until("all are back", lambda: all(
        a["silent_ms"] is None for a in learned(net).values()))
    quiet(net)
    all_by(net, family, "r1", 3)


def test_strangers(net, family):
    """Who may not answer is not learned, and not asked once he may not any more."""
    r = [net.address[name, family] for name in net.replicas]
    configure(net, service={"replicas": r[:2]})
    assert connect(net, family)[0] == "s"
    wait_until("r3 has answered", lambda: net.wlb("cg").counters()["answer_unlisted"])
    quiet(net)
    assert set(learned(net)) == set(r[:2])
    all_by(net, family, "r1", 3)
    # Kept over a change, but for what it forbids.
    configure(net, service={"replicas": r[1:]})
    assert set(learned(net)) == set(r[:2])
    asked = learned(net)[r[0]]["asked"]
    all_by(net, family, "r2", 3)
    assert learned(net)[r[0]]["asked"] == asked


def test_sticky(net, family):
    """A client stays with its winner, who is asked though another is nearer by now and only
    one may be."""
    configure(net, service={"sticky": "60s", "fan-out": 1})
    net.wlb("r1").run("replica", "busy", "on")
    distance(net, r1=2, r2=4)
    learn_some(net, family, 2)
    # For the first one the server has won: another client, whose first is a replica's.
    assert connect(net, family)[0] == "s"
    # Where one is asked, that is a farther one by chance, once in 16.
    winner = connect(net, family, "c2")[0]
    assert winner in ("r2", "r3")
    net.wlb("r1").run("replica", "busy", "off")
    net.wlb("cg").run("race", "forget", net.address["s", family])
    learn_some(net, family, 3)
    for _ in range(10):
        assert connect(net, family, "c2")[0] == winner
        quiet(net)


def learn_some(net, family, count):
    assert connect(net, family)[0] == "s"
    wait_until(f"{count} are known", lambda: len(learned(net)) == count)
    quiet(net)


def test_forget(net):
    """What is known is known for as long as was said, or until somebody says so: of one
    server, or all; and goes with the role."""
    configure(net, client_gateway={"timeouts": {"learned": "5s"}})
    for family in (4, 6):
        assert connect(net, family)[0] == "s"
    wait_until("all are known", lambda: len(learned(net)) == 6)
    cg = net.wlb("cg")
    assert [(o["server"], o["server_port"]) for o in cg.json("race", "learned")] == [
        (net.address["s", family], 80) for family in (4, 6)]
    text = cg.run("race", "learned", net.address["s", 4]).stdout.splitlines()
    assert len(text) == 3 and all(line.startswith(net.address["s", 4] + ":80 ") for line in text)
    assert cg.json("race", "forget", net.address["s", 6]) == {"forgotten": 1}
    assert set(learned(net)) == {net.address[r, 4] for r in net.replicas}
    for _ in range(4):
        time.sleep(2)
        assert connect(net, 4)[0] == "r1"
    assert len(learned(net)) == 3       # asked, so heard of
    time.sleep(6)
    assert learned(net) == {}
    assert cg.counters()["learned_expired"] >= 3
    assert connect(net, 4)[0] == "s"
    wait_until("all are known", lambda: len(learned(net)) == 3)
    assert cg.run("race", "forget").stdout == "forgot 1\n"
    assert learned(net) == {} and cg.json("race", "forget") == {"forgotten": 0}
