# SPDX-License-Identifier: GPL-2.0-only
"""Client, server and replicas that exist on two wires only, to either side of the
client gateway: a test says each packet of theirs, and no stack answers on its own."""

import itertools
import random
import struct
import time

from . import packets
from .packets import ACK, LINUX, PERMITTED, SYN, Wire

_ports = itertools.count(20000)


class Counted:
    """What the counters of a wlb have grown by since; those that have not are left out."""

    def __init__(self, ctl):
        self._ctl = ctl
        self._before = ctl.counters()

    def grown(self):
        return {name: value - self._before[name] for name, value in self._ctl.counters().items()
                if value != self._before[name]}

    def done(self):
        """The same without what depends on when segments came: by which path they went."""
        return {name: value for name, value in self.grown().items() if name != "fast"}


class Ghosts:
    """On topology T0: the client is behind cg's lan0, all others behind wan0."""

    def __init__(self, net, family):
        self.net, self.family = net, family
        self.ctl = net.wlb("cg")
        self.client, self.server, self.stranger, prefix, holes = {
            4: ("10.1.1.77", "203.0.113.200", "192.0.2.9", "198.51.100.20",
                ("203.0.113.128/25", "192.0.2.0/24", "198.51.100.192/26")),
            6: ("2001:db8:1:1::77", "2001:db8:a:0:1::200", "2001:db8:c::9", "2001:db8:b:ff::",
                ("2001:db8:a:0:1::/80", "2001:db8:c::/64", "2001:db8:b:ff::/64")),
        }[family]
        self.replica = [f"{prefix}{i}" for i in range(10)]
        self.lan = Wire(net["c1"], "lan0", packets.mac(net["cg"], "lan0"))
        self.wan = Wire(net["core"], "cg", packets.mac(net["cg"], "wan0"))
        here = packets.mac(net["c1"], "lan0").hex(":")
        net["cg"].run("ip", "neigh", "replace", self.client, "lladdr", here, "dev", "lan0",
                      "nud", "permanent")
        for hole in holes:
            net["core"].run("ip", "route", "replace", "blackhole", hole)

    def close(self):
        self.lan.close()
        self.wan.close()

    def forget(self):
        """What the wires still hold is of no interest any more."""
        time.sleep(0.02)
        self.lan.forget()
        self.wan.forget()

    def out(self, raw, partial=False):
        """Sends a packet of the client's side; what reaches the far side of it."""
        source, dest = packets.Packet(raw).tcp[:2], packets.Packet(raw).tcp[2:4]
        self.lan.send(raw, partial)
        return self.wan.receive(lambda p: p.tcp[:2] == source and p.tcp[2:4] == dest)

    def into(self, raw, timeout=5.0, partial=False):
        """Sends a packet of the far side; what reaches the client's side of it."""
        ports = packets.Packet(raw).tcp[:4]
        self.wan.send(raw, partial)
        return self.lan.receive(lambda p: p.tcp[:4] == ports, timeout=timeout)

    def syn(self, sport, isn, **kwargs):
        kwargs.setdefault("options", LINUX)
        return packets.tcp(self.client, self.server, sport, kwargs.pop("dport", 80),
                           kwargs.pop("flags", SYN), isn, **kwargs)

    def race(self, **kwargs):
        return Race(self, **kwargs)

    def flows(self, sport):
        return [f for f in self.ctl.flows()
                if f["client"] == self.client and f["client_port"] == sport]


class Race:
    """A race that the ghosts' client has begun; nobody has answered yet."""

    def __init__(self, ghosts, **kwargs):
        self.ghosts = ghosts
        self.sport = kwargs.pop("sport", None) or next(_ports)
        self.isn = kwargs.pop("isn", None) or random.getrandbits(32)
        (self.tagged,) = ghosts.out(ghosts.syn(self.sport, self.isn, **kwargs))
        state, self.nonce = self.tagged.tag()
        assert state == PERMITTED
        self.sequence = {}      # of each answerer

    def answer_bytes(self, source, **kwargs):
        """The SYN-ACK of source to this race's client."""
        isn = self.sequence.setdefault(source, random.getrandbits(32))
        kwargs.setdefault("options", LINUX)
        kwargs.setdefault("ack", self.isn + 1)
        return packets.tcp(source, self.ghosts.client, 80, self.sport,
                           kwargs.pop("flags", SYN | ACK), kwargs.pop("seq", isn), **kwargs)

    def from_far(self, source, flags=ACK, seq=1, ack=1, **kwargs):
        """A packet of source, sequence numbers relative to the handshake's."""
        return packets.tcp(source, self.ghosts.client, 80, self.sport, flags,
                           self.sequence[source] + seq, self.isn + ack, **kwargs)

    def from_client(self, winner, flags=ACK, seq=1, ack=1, **kwargs):
        return packets.tcp(self.ghosts.client, self.ghosts.server, self.sport, 80, flags,
                           self.isn + seq, self.sequence[winner] + ack, **kwargs)

    def answer(self, source, **kwargs):
        """Sends the SYN-ACK of source; what the client gets of it."""
        return self.ghosts.into(self.answer_bytes(source, **kwargs))

    def loses(self, source, **kwargs):
        """Sends the SYN-ACK of source, which must not reach the client; the reset."""
        mine = self.sport
        self.ghosts.wan.send(self.answer_bytes(source, **kwargs))
        reset = self.ghosts.wan.receive(lambda p: p.sport == mine and p.dst == source)
        assert len(reset) == 1, f"no reset to {source}"
        assert self.at_client() == []
        return reset[0]

    def ignored(self, raw):
        """Sends a packet of the far side that nobody must hear of again."""
        self.ghosts.wan.send(raw)
        time.sleep(0.05)
        assert self.at_client() == [] and self.at_far() == []

    def at_client(self, wait=0.05):
        return [p for p in self.ghosts.lan.drain(wait) if p.tcp is not None
                and p.family == self.ghosts.family and p.dport == self.sport]

    def at_far(self, wait=0.05):
        return [p for p in self.ghosts.wan.drain(wait) if p.tcp is not None
                and p.family == self.ghosts.family and p.sport == self.sport]

    def flow(self):
        (flow,) = self.ghosts.flows(self.sport)
        return flow

    def translated(self, raw, src=None, dst=None):
        """The bytes of a packet with other addresses, one router on. Checksums are
        recomputed from nothing: the module's come from differences."""
        old = packets.Packet(raw)
        check = old.tcp[:16] + b"\0\0" + old.tcp[18:]
        src, dst = src or old.src, dst or old.dst
        pseudo = packets.pack(src) + packets.pack(dst)
        pseudo += struct.pack("!II", len(check), packets.TCP)
        total = packets.fold(pseudo + check) ^ 0xffff
        body = check[:16] + struct.pack("!H", total) + check[18:]
        return packets.ip(src, dst, body, ttl=old.ttl - 1)
