# SPDX-License-Identifier: GPL-2.0-only
"""What a client gateway in race mode direct learns, and what it does not, from answers made
by hand; and what becomes of SYNs that are repeated."""

import random
import struct

import pytest

from wlblab import netlink, packets
from wlblab.clones import lab
from wlblab.ghosts import Counted
from wlblab.host import wait_until
from wlblab.netlink import Wlb, attr
from wlblab.packets import ACK, ANSWER, LINUX, NOT_PERMITTED, OFFERS, PERMITTED, RST, SYN

CLONED = 0x20
# SYNs of services that are not direct.
JOINED = []


@pytest.fixture(scope="module")
def net():
    with lab(clients=1) as t0:
        yield t0


@pytest.fixture
def r(ghosts):
    """Addresses that may answer, as they are written."""
    return ghosts.replica[1:]


@pytest.fixture(autouse=True)
def settled(net):
    configure(net)
    yield
    cg = net.wlb("cg")
    cg.run("flow", "flush")
    cg.run("race", "forget")
    counters = cg.counters()
    assert counters["learned_new"] == sum(counters[f"learned_{why}"] for why in (
        "full", "expired", "flushed"))
    assert counters["syn_tagged"] - len(JOINED) == sum(counters[name] for name in (
        "syn_direct", "direct_explored", "direct_unknown", "direct_fallback"))


def configure(net, client_gateway=None, **service):
    gateway = {4: ["198.51.100.192/26"], 6: ["2001:db8:b:ff::/64"]}
    net.wlb("cg").apply(net.config(
        ports="all", client_gateway={"returns": ["nat", "spoof", "tunnel"],
                                     **(client_gateway or {})},
        service={"race": "direct", "explore": "0s", "replicas": gateway[4] + gateway[6],
                 **service})["cg"])


class Syn:
    """A SYN of the ghosts' client, what became of it, and answers to it."""

    def __init__(self, ghosts, dport=80, sport=None):
        self.ghosts, self.dport = ghosts, dport
        self.sport = sport or random.randrange(20000, 60000)
        self.isn = random.getrandbits(32)
        self.send()

    def send(self):
        """The SYN itself, or once more. self.copy is what the server gets, self.clones are
        [(replica, SYN inside)]."""
        raw = self.ghosts.syn(self.sport, self.isn, dport=self.dport)
        self.ghosts.lan.send(raw)
        self.copy, self.clones = None, []
        for packet in self.ghosts.wan.drain(0.15):
            if packet.tcp is not None and packet.sport == self.sport:
                self.copy = packet
            elif packet.proto in (4, 41, 47):
                at = packet.offset + (4 if packet.proto == 47 else 0)
                inner = packets.Packet(packet.raw[at:])
                if inner.flags == SYN:      # else a reset to somebody who has lost
                    self.clones.append((packet.dst, inner))

    @property
    def state(self):
        return self.copy.tag()[0]

    @property
    def asked(self):
        return {to for to, _ in self.clones}

    def nonce(self):
        (tag,) = {packet.tags()[0] for _, packet in self.clones} or {self.copy.tags()[0]}
        return struct.unpack("!H", tag[6:])[0]

    def answer(self, source, flags=SYN | ACK, ack=1, **kwargs):
        kwargs.setdefault("options", LINUX)
        self.ghosts.wan.send(packets.tcp(source, self.ghosts.client, self.dport, self.sport,
                                         flags, random.getrandbits(32), self.isn + ack,
                                         **kwargs))

    def tunnel(self, source, tag, via=47, ack=1):
        """An answer as modes spoof and tunnel send it."""
        ghosts = self.ghosts
        inner = packets.tcp(ghosts.server, ghosts.client, self.dport, self.sport, SYN | ACK,
                            random.getrandbits(32), self.isn + ack, options=LINUX + tag)
        if via == 47:
            inner = struct.pack("!HH", 0, 0x0800 if ghosts.family == 4 else 0x86dd) + inner
        else:
            via = 4 if ghosts.family == 4 else 41
        ghosts.wan.send(packets.ip(source, ghosts.client, inner, proto=via))


def known(ghosts, port=None):
    return {(o["server_port"], a["address"]): a for o in ghosts.ctl.json("race", "learned")
            for a in o["answerers"] if port in (None, o["server_port"])}


def heard(ghosts, *replicas, port=80):
    wait_until("they are known", lambda: {a for _, a in known(ghosts, port)} == set(replicas))


def test_who_is_learned(ghosts, r):
    """The winner and losers; of others nothing: who may not answer, the server, who
    acknowledges something else or says another race's nonce."""
    first = Syn(ghosts)
    assert (first.state, first.clones) == (PERMITTED, [])
    grown = Counted(ghosts.ctl)
    first.answer(r[0], ack=2)
    first.answer(ghosts.stranger)
    first.answer(r[1], flags=RST | ACK)
    first.tunnel(r[2], packets.tag(ANSWER, first.nonce() ^ 1, 4))
    first.answer(r[3])
    first.answer(r[4])
    first.answer(r[4], ack=3)
    first.answer(ghosts.server)
    first.tunnel(r[5], packets.tag(ANSWER, first.nonce() ^ 1, 4))
    first.tunnel(r[6], packets.tag(ANSWER, first.nonce(), 4))
    first.tunnel(r[7], packets.tag(ANSWER, first.nonce(), 2), via=4)
    heard(ghosts, r[3], r[4], r[6], r[7])
    found = known(ghosts)
    assert [found[80, a]["via"] for a in (r[3], r[4], r[6], r[7])] == ["gre", "gre", "gre", "ipip"]
    assert [found[80, a]["wins"] for a in (r[3], r[4], r[6], r[7])] == [1, 0, 0, 0]
    assert all(a["raced"] and a["answers"] == 1 for a in found.values())
    assert grown.grown()["learned_new"] == 4
    second = Syn(ghosts)
    assert second.state == NOT_PERMITTED
    assert second.asked == {r[3], r[4], r[6], r[7]}
    tags = {clone.tags()[0] for _, clone in second.clones}
    assert len(tags) == 1 and tags.pop()[5] == OFFERS | CLONED


def test_answer_repeated(ghosts, r):
    """Who answers twice has answered once; an answer to a SYN that was repeated tells no
    distance (Karn), but that somebody is there."""
    Syn(ghosts).answer(r[0])
    heard(ghosts, r[0])
    second = Syn(ghosts)
    for _ in range(3):
        second.answer(r[0])
    wait_until("it is measured", lambda: not known(ghosts)[80, r[0]]["raced"])
    a = known(ghosts)[80, r[0]]
    assert (a["answers"], a["wins"], a["asked"], a["missed"]) == (2, 2, 1, 0)
    third = Syn(ghosts)
    third.send()
    rtt = a["rtt_us"]
    third.answer(r[0])
    wait_until("it is heard", lambda: known(ghosts)[80, r[0]]["answers"] == 3)
    a = known(ghosts)[80, r[0]]
    assert a["rtt_us"] == rtt and a["asked"] == 3


def test_syn_repeated(ghosts, r):
    """The first goes to who is known; the second everywhere; the third plain, as any that
    nobody answers."""
    Syn(ghosts).answer(r[0])
    heard(ghosts, r[0])
    grown = Counted(ghosts.ctl)
    syn = Syn(ghosts)
    assert (syn.state, syn.asked) == (NOT_PERMITTED, {r[0]})
    nonce = syn.nonce()
    syn.send()
    assert (syn.state, syn.asked) == (PERMITTED, {r[0]})
    assert syn.nonce() == syn.copy.tag()[1] == nonce
    syn.send()
    assert (syn.copy.tags(), syn.clones) == ([], [])
    syn.send()
    assert (syn.state, syn.asked) == (PERMITTED, {r[0]})
    assert grown.grown() == {"syn_tagged": 1, "syn_direct": 1, "direct_clones": 3,
                             "syn_retagged": 2, "syn_plain": 1, "direct_repeated": 2}
    assert known(ghosts)[80, r[0]]["missed"] == 1


def test_ports_are_origins(ghosts, r):
    """Who answers for a port answers for it."""
    Syn(ghosts, 80).answer(r[0])
    heard(ghosts, r[0])
    other = Syn(ghosts, 81)
    assert (other.state, other.clones) == (PERMITTED, [])
    other.answer(r[1])
    heard(ghosts, r[1], port=81)
    assert Syn(ghosts, 80).asked == {r[0]}


def test_bounded(net, ghosts, r):
    """As many origins as was said; one more, and the one that was heard of longest ago is
    forgotten. Told to keep fewer, the oldest go."""
    configure(net, client_gateway={"max-learned": 16})
    grown = Counted(ghosts.ctl)
    for i in range(20):
        Syn(ghosts, 1000 + i).answer(r[i % 3])
        heard(ghosts, r[i % 3], port=1000 + i)
    assert {port for port, _ in known(ghosts)} == set(range(1004, 1020))
    now = grown.grown()
    assert (now["learned_new"], now["learned_full"]) == (20, 4)
    configure(net, client_gateway={"max-learned": 32})
    for i in range(20, 36):
        Syn(ghosts, 1000 + i).answer(r[0])
        heard(ghosts, r[0], port=1000 + i)
    assert len(known(ghosts)) == 32
    configure(net, client_gateway={"max-learned": 16})
    wait_until("sixteen are left", lambda: len(known(ghosts)) == 16)
    assert {port for port, _ in known(ghosts)} == set(range(1020, 1036))


def test_crowd(net, ghosts, r):
    """No more than eight answerers of an origin, of however many."""
    configure(net, **{"fan-out": 8})
    for i in range(60):
        syn = Syn(ghosts)
        for replica in r:
            syn.answer(replica)
        if i < 20:
            ghosts.ctl.run("race", "forget")
    wait_until("some are known", lambda: known(ghosts))
    assert len(known(ghosts)) == 8


def test_roles(net, ghosts, r):
    """A change of the configuration keeps what is known, also to services that do not ask
    and back; the role's end does not."""
    Syn(ghosts).answer(r[0])
    heard(ghosts, r[0])
    configure(net, race="race")
    heard(ghosts, r[0])
    grown = Counted(ghosts.ctl)
    syn = Syn(ghosts)
    JOINED.append(syn)
    assert (syn.state, syn.clones) == (PERMITTED, [])
    ghosts.ctl.run("flow", "flush")
    assert grown.grown() == {"syn_tagged": 1, "race_flushed": 1}
    configure(net)
    assert Syn(ghosts).asked == {r[0]}
    ghosts.ctl.apply("")
    assert known(ghosts) == {}


def test_netlink(net):
    """What may be said, and what may not."""
    with Wlb(net["cg"]) as cg:
        for attrs, path in (([attr(netlink.LEARNED, [attr(1, b"123")])], (netlink.LEARNED, 1)),
                            ([attr(netlink.LEARNED, [attr(2, 80)])], (netlink.LEARNED, 2)),
                            ([attr(netlink.NAME, "web")], (netlink.NAME,))):
            with pytest.raises(netlink.Refused) as refused:
                cg.request(netlink.LEARNED_FLUSH, attrs)
            assert refused.value.path == path and refused.value.text
        assert cg.request(netlink.LEARNED_GET, dump=True) == []
