# SPDX-License-Identifier: GPL-2.0-only
"""Rules for processing, of a host, and readers of the copies that they make."""

import contextlib
import socket
import struct

from . import netlink, packets
from .farm import GRE, group
from .netlink import address, attr, prefix, u8, u16s, values
from .packets import LINUX, SYN, Wire

RETURNED, PASSING = 1, 2
(ON, SOURCE, DESTINATION, PROTO, PORT, DSCP, REWRITE, TAG, UNTAG, COPY_GROUP, COPY_LEN,
 PACKETS) = range(1, 13)
EXID = 0x574d       # of labels, include/wlb/label.h

_NETFILTER = 12
_ULOG = 4
_PACKET, _CONFIG = range(2)
_BIND, _COPY_PACKET = 1, 2


def rule(*parts, on=RETURNED, source=None, destination=None, proto=None, port=None, dscp=None,
         rewrite=None, tag=None, untag=False, copy=None, copy_len=None):
    parts = list(parts)
    parts += [attr(ON, on)] if on is not None else []
    parts += [prefix(SOURCE, source)] if source else []
    parts += [prefix(DESTINATION, destination)] if destination else []
    parts += [u8(PROTO, proto)] if proto is not None else []
    parts += [u16s(PORT, port)] if port is not None else []
    parts += [u8(DSCP, dscp)] if dscp is not None else []
    parts += [address(REWRITE, rewrite)] if rewrite else []
    parts += [attr(TAG, tag)] if tag is not None else []
    parts += [attr(UNTAG, b"")] if untag else []
    parts += [u16s(COPY_GROUP, copy)] if copy is not None else []
    parts += [attr(COPY_LEN, copy_len)] if copy_len is not None else []
    return attr(1, parts)


def process(host, *rules):
    """In place of all rules there are; none: nothing is processed."""
    with netlink.Wlb(host) as ctl:
        ctl.request(netlink.PROCESS_SET, [attr(netlink.PROCESS, list(rules))])


def shown(host):
    """{type: value} of each rule."""
    with netlink.Wlb(host) as ctl:
        replies = ctl.request(netlink.PROCESS_GET, dump=True)
    return [values(values(values(reply)[netlink.PROCESS])[1]) for reply in replies]


def fell_under(host):
    """How many packets fell under each rule."""
    return [struct.unpack("=Q", one[PACKETS])[0] for one in shown(host)]


def option(data):
    """A label, without what keeps words aligned."""
    return struct.pack("!BBH", 254, 4 + len(data), EXID) + data


class Copies:
    """A reader of an NFLOG group, which reads when it is asked to."""

    def __init__(self, host, group, buffer=1 << 20):
        with host.entered():
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._sequence = 0
        self._ask(group, attr(1, bytes([_BIND])))
        self._ask(group, attr(2, struct.pack("!IBB", 0xffff, _COPY_PACKET, 0)))
        self._ask(group, attr(5, struct.pack("!I", 1)))     # each by itself
        self._socket.settimeout(2)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def _ask(self, group, attribute):
        self._sequence += 1
        body = struct.pack("!BBH", 0, 0, group) + attribute
        self._socket.send(struct.pack("=IHHII", 16 + len(body), _ULOG << 8 | _CONFIG, 5,
                                      self._sequence, 0) + body)
        assert struct.unpack_from("=i", self._socket.recv(4096), 16)[0] == 0

    def read(self, count):
        """The next count copies; fewer if they do not come in time."""
        found = []
        while len(found) < count:
            try:
                data = self._socket.recv(1 << 18)
            except TimeoutError:
                break
            while data:
                size, kind = struct.unpack_from("=IH", data)
                if kind == _ULOG << 8 | _PACKET:
                    found.append(values(data[20:size])[9])
                data = data[(size + 3) & ~3:]
        return found


def only(farm, family, origin=0):
    """The prefix of one origin."""
    return f"{farm.origins[family][origin]}/{32 if family == 4 else 128}"


@contextlib.contextmanager
def returning(farm, family, where, way=GRE, back=GRE):
    """By the module's role, at the cache; for the router's sake by a program that knows of none.
    """
    farm.set_groups(group(rules=()))
    farm.assign(family, farm.one("k1", family, way, back, protocol=0, flags=1, ports=()))
    if where == "router":
        child = farm.bounce("k1", family)
        try:
            yield farm["r"]
        finally:
            process(farm["r"])
            farm.unbounce("k1", family, child)
        return
    for six in (4, 6):
        farm["k1"].run("ip", "link", "set", f"gre{six}", "down")
    door = attr(1, [address(1, farm.router["k1"][family]), u8(2, way), u8(3, back),
                    u8(4, 0), u8(5, 0)])
    with netlink.Wlb(farm["k1"]) as ctl:
        ctl.request(netlink.CACHE_SET, [attr(netlink.CACHE, [attr(2, []), door])])
    try:
        yield farm["k1"]
    finally:
        process(farm["k1"])
        with netlink.Wlb(farm["k1"]) as ctl:
            ctl.request(netlink.CACHE_SET)
        for six in (4, 6):
            farm["k1"].run("ip", "link", "set", f"gre{six}", "up")


class Line:
    """From the client's end of its link to the server's, by packets made by hand."""

    def __init__(self, farm, family):
        self.src, self.dst = farm.client[family], farm.origins[family][0]
        self._from = Wire(farm["c"], "wan0", packets.mac(farm["r"], "lan0"))
        self._to = Wire(farm["s"], "wan0")
        self._port = 33000

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._from.close()
        self._to.close()

    def carry(self, raw, partial=False):
        """What of it arrives."""
        sent = packets.Packet(raw)
        self._to.forget()
        self._from.send(raw, partial)
        got = self._to.receive(lambda p: p.src == sent.src and p.sport == sent.sport)
        assert len(got) == 1
        assert got[0].sound()
        return got[0]

    def syn(self, options=LINUX, flags=SYN, payload=b"", port=80, **kwargs):
        self._port += 1
        return packets.tcp(self.src, self.dst, self._port, port, flags, seq=1000,
                           options=options, payload=payload, **kwargs)
