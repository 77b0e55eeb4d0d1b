# SPDX-License-Identifier: GPL-2.0-only
"""A hundred thousand races over bad links, with winners that die. The books of the
module must balance, and those of two judges that know nothing of it: what the clients'
wires carried, and nftables' counters beside each hook."""

import collections
import json
import os
import random
import struct

import pytest

from wlblab import pace, wlb
from wlblab.crowd import Crowd
from wlblab.host import OUT, Capture, wait_until
from wlblab.judge import judge

RACES = int(os.environ.get("WLB_RACES", "100000"))
LINKS = "loss 5% duplicate 5% reorder 10% 50%"
HANDSHAKES = "(tcp[tcpflags] & tcp-syn != 0) or (ip6 proto 6 and ip6[53] & 2 != 0)"


def handshakes(capture):
    """SYNs and SYN-ACKs as a wire carried them, one after the other: (source, destination,
    client's port, is it a SYN-ACK, its sequence number, what a SYN-ACK acknowledges)."""
    data, at = capture.path.read_bytes(), 24
    while at < len(data):
        size = struct.unpack_from("=I", data, at + 8)[0]
        frame, at = data[at + 16:at + 16 + size], at + 16 + size
        v6 = frame[12:14] == b"\x86\xdd"
        source, dest = (frame[22:38], frame[38:54]) if v6 else (frame[26:30], frame[30:34])
        tcp = frame[54:] if v6 else frame[14 + 4 * (frame[14] & 15):]
        sport, dport, seq, ack = struct.unpack_from("!HHII", tcp)
        answer = bool(tcp[13] & 0x10)
        yield source, dest, dport if answer else sport, answer, seq, ack


def watch(net, host, device):
    return net[host].capture(device, HANDSHAKES, Capture.MANY)


def winners(near, far):
    """Whose answers each attempt of a client saw while it was made: near their side of
    the gateway the sequence numbers, far from it who had sent them. A late answer to an
    attempt whose port the client has used again since belongs to no race any more."""
    sender = {(client, port, ack, seq): source
              for source, client, port, answer, seq, ack in handshakes(far) if answer}
    seen = collections.defaultdict(set)
    for capture in near:
        current = {}
        for source, dest, port, answer, seq, ack in handshakes(capture):
            if not answer:
                current[source, port] = (seq + 1) & 0xffffffff
            elif current.get((dest, port)) == ack:
                seen[dest, port, ack].add(sender[dest, port, ack, seq])
    return seen


@pytest.fixture
def net(module, make_t0):
    net = make_t0()
    # Longer than losers repeat their answers, whatever the flow has come to: with the
    # entry gone, those reach the client, which resets them itself.
    timeouts = dict.fromkeys(("racing", "tombstone", "established", "closing", "reset"), "70s")
    net.configure(race="equal", timeouts=timeouts,
                  client_gateway={"client-quota": 100000, "max-flows": 1 << 20})
    net.warm_up()
    for client in net.clients:
        # Few ports, so that they are used again while the gateway remembers them.
        net[client].sysctl(net__ipv4__ip_local_port_range="20000 35999")
    yield net


def test_storm(net):
    """W69 to W75 at large: whatever links lose, repeat and swap, there is one winner,
    everybody else is reset, and nothing is lost in the books."""
    dice = random.Random(RACES)
    for host, peer in net.ends():
        delay = dice.choice((1, 3, 10, 20))
        net.netem(host, peer, f"delay {delay}ms {delay}ms {LINKS}")
    gre = "meta l4proto gre"
    clones = {f"{name}v{family}": f"{gre} {'ip6' if family == 6 else 'ip'} daddr "
              f"{net.address[name, family]}" for name in net.replicas for family in (4, 6)}
    sent = judge(net["sg"], "output", clones)
    arrived = {name: judge(net[name], "prerouting", {"clones": gre}) for name in net.replicas}
    resets = judge(net["cg"], "output", {"resets": "tcp flags & rst == rst"})

    dead = []

    def somebody_dies():
        for name in dead:
            net.link_up(name, "core")
        dead[:] = dice.sample(net.replicas, dice.choice((0, 1, 1, 2)))
        for name in dead:
            net.link_down(name, "core")

    crowd = Crowd([net[c] for c in net.clients], [net.address["s", 4], net.address["s", 6]],
                  names=net.servers + net.replicas, pages=16)
    with crowd, watch(net, "cg", "wan0") as wan, watch(net, "c1", "lan0") as c1, \
            watch(net, "c2", "lan0") as c2:
        crowd.run(RACES, pace.parallel(500), every=5000, meanwhile=somebody_dies)
    net.no_netem()
    for name in dead:
        net.link_up(name, "core")

    cg, sg = net.wlb("cg"), net.wlb("sg")
    wait_until("every entry has ended", lambda: not cg.stats()["flows"], 200, step=5)
    stats, far = cg.stats(), sg.counters()
    near = stats["counters"]
    assert wan.dropped == c1.dropped == c2.dropped == 0
    wins = winners((c1, c2), wan)
    doubles = sum(len(who) > 1 for who in wins.values())
    (OUT / "storm.json").write_text(json.dumps({
        "races": near["syn_tagged"], "double_wins": doubles, "outcomes": crowd.outcomes,
        "served_by": crowd.served_by, "cg": near, "sg": far}, indent=1))

    # The clients: whoever got through got one answer, and from whom it should be.
    assert sum(crowd.outcomes.values()) == RACES
    assert crowd.outcomes["wrong"] == 0
    assert crowd.outcomes["page"] + crowd.outcomes["greeted"] > 0.8 * RACES, crowd.outcomes
    if crowd.outcomes["page"] > 500:
        assert set(crowd.served_by) == set(net.servers + net.replicas)
    assert len(wins) > 0.8 * RACES and doubles == 0
    # The client gateway.
    assert near["syn_tagged"] > 0.95 * RACES
    assert wlb.unaccounted(stats) == 0 and stats["racing"] == 0
    assert near["answer_lost"] == near["reset_sent"] == resets()["resets"]
    assert near["reset_failed"] == near["translate_failed"] == 0
    # The server gateway and the replicas.
    assert far["clone_failed"] == far["hold_full"] == far["hold_dropped"] == 0
    assert far["clone_sent"] == 3 * far["syn_cloned"] == sum(sent().values())
    for name in net.replicas:
        mine = net.wlb(name).counters()
        assert sum(n for key, n in mine.items() if key.startswith("clone_")) == \
            arrived[name]()["clones"]
        assert mine["clone_cracked"] > 0.5 * arrived[name]()["clones"]
    for name in net.servers + net.replicas:
        wait_until(f"{name} has nothing half open", lambda n=name: not net[n].half_open(), 150,
                   step=5)
