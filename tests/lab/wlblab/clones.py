# SPDX-License-Identifier: GPL-2.0-only
"""Hand-made start packets and clones, and taps that see what goes by on a device.

Packets are bytes from the IP header on. scapy builds and reads them; sockets of
our own send and take them: a tcpdump per look would cost most of a scenario."""

import contextlib
import ctypes
import dataclasses
import errno
import fcntl
import select
import socket
import struct
import time

from scapy.config import conf
from scapy.layers.inet import GRE, IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from . import kernel
from .t0 import T0
from .wlb import table, unaccounted

conf.verb = 0

EXID = 0x574C
NOT_PERMITTED, PERMITTED = 0, 1
OFFER_NAT, OFFER_GRE, OFFER_CLONED = 1, 8, 0x20

SYN, ACK, RST, FIN = 2, 16, 4, 1
SYN_ACK = SYN | ACK

# Whose SYNs a Bench sends, and to whom they are cloned.
CLIENT = {4: "10.1.9.9", 6: "2001:db8:1:9::9"}
REPLICAS = ["r1", "r2", "r3"]

_ETH_P = {4: 0x0800, 6: 0x86DD}
_ETH_P_ALL = 3
_PACKET_OUTGOING = 4
_SO_RCVBUFFORCE = 33
_SO_TIMESTAMPNS = 35
_SIOCGIFHWADDR = 0x8927
_SIOCETHTOOL, _ETHTOOL_STXCSUM = 0x8946, 0x17


@contextlib.contextmanager
def lab(**options):
    """The module and one T0 without delays, for all scenarios of a file."""
    kernel.load()
    net = T0(delays=False, **options)
    try:
        net.build()
        net.warm_up()
        yield net
        for name in net.hosts:
            stats = net.wlb(name).stats()
            assert unaccounted(stats) == 0, f"{name}: races lost: {stats}"
    finally:
        net.close()
        kernel.unload()


def settle(net):
    """The end of a scenario in which r1 may have won: no delays, no flows, nothing lost."""
    net.no_netem()
    net.wlb("cg").run("flow", "flush")
    assert unaccounted(net.wlb("cg").stats()) == 0
    for host in ("cg", "r1"):
        counters = net.wlb(host).counters()
        assert not counters["translate_failed"] and not counters["reply_failed"], host


def tag(state=PERMITTED, offers=OFFER_NAT | OFFER_GRE, nonce=0x1234):
    return struct.pack("!BBHBBH", 253, 8, EXID, 1 << 4 | state, offers, nonce)


MSS = b"\x02\x04\x05\xb4"


def ip(src, dst, **fields):
    return (IPv6 if ":" in dst else IP)(src=src, dst=dst, **fields)


def segment(src, dst, sport, dport=80, flags=SYN, options=MSS, payload=b"", seq=1000, ack=0,
            header=None, **tcp):
    """One TCP packet as bytes, its checksums right. Options are bytes, so that broken
    ones can be made; header: an IP header other than the plain one."""
    options += b"\x00" * (-len(options) % 4)
    header = ip(src, dst) if header is None else header
    tcp.setdefault("dataofs", 5 + len(options) // 4)
    return bytes(header / TCP(sport=sport, dport=dport, flags=flags, seq=seq, ack=ack, **tcp)
                 / Raw(options + payload))


def encapsulate(inner, src, dst, via="gre", **gre):
    """A clone as a server gateway would make it."""
    six = ":" in dst
    proto = {"gre": 47, "ipip": 41 if six else 4}[via]
    outer = IPv6(src=src, dst=dst, nh=proto) if six else IP(src=src, dst=dst, proto=proto)
    if via == "gre":
        gre.setdefault("proto", _ETH_P[6 if six else 4])
        outer /= GRE(**gre)
    return bytes(outer / Raw(inner))


def checksums_right(packet):
    """Are the IP and TCP checksums of a packet what scapy computes?"""
    version = packet[0] >> 4
    parsed = (IP if version == 4 else IPv6)(packet)
    stripped = parsed.copy()
    if version == 4:
        del stripped.chksum
    del stripped[TCP].chksum
    return bytes(stripped) == bytes(parsed)


@dataclasses.dataclass
class Seen:
    """A packet that went by: when (ns of the wall clock), out of the host or into it,
    and what it was."""
    time: int
    out: bool
    data: bytes

    def __post_init__(self):
        self.version = self.data[0] >> 4
        self.proto = self.data[6 if self.version == 6 else 9]
        size = 16 if self.version == 6 else 4
        family = socket.AF_INET6 if self.version == 6 else socket.AF_INET
        at = 8 if self.version == 6 else 12
        self.src = socket.inet_ntop(family, self.data[at:at + size])
        self.dst = socket.inet_ntop(family, self.data[at + size:at + 2 * size])
        self.header = 40 if self.version == 6 else (self.data[0] & 15) * 4

    @property
    def inner(self):
        """The packet in a clone, None if this is none. GRE: the plain header only."""
        if self.proto == (41 if self.version == 6 else 4):
            return Seen(self.time, self.out, self.data[self.header:])
        if self.proto == 47:
            return Seen(self.time, self.out, self.data[self.header + 4:])
        return None

    @property
    def is_tcp(self):
        return self.proto == 6 and len(self.data) >= self.header + 20

    @property
    def ports(self):
        return struct.unpack_from("!HH", self.data, self.header)

    @property
    def sport(self):
        return self.ports[0]

    @property
    def seq(self):
        return struct.unpack_from("!I", self.data, self.header + 4)[0]

    @property
    def ack(self):
        return struct.unpack_from("!I", self.data, self.header + 8)[0]

    @property
    def flags(self):
        return self.data[self.header + 13]

    @property
    def options(self):
        end = self.header + (self.data[self.header + 12] >> 4) * 4
        return self.data[self.header + 20:end]


class Tap:
    """All IP packets on a device of a host from here on, in both directions."""

    def __init__(self, host, device):
        with host.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 32 << 20)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.bind((device, _ETH_P_ALL))
        self._socket.setblocking(False)
        self.packets = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._socket.close()

    def _drain(self):
        while True:
            try:
                data, control, _, address = self._socket.recvmsg(65536, 64)
            except BlockingIOError:
                return
            except OSError as error:    # told once when the device goes down
                if error.errno != errno.ENETDOWN:
                    raise
                continue
            if address[1] in _ETH_P.values():
                when = next(struct.unpack("qq", value) for _, kind, value in control
                            if kind == _SO_TIMESTAMPNS)
                self.packets.append(Seen(when[0] * 10**9 + when[1],
                                         address[2] == _PACKET_OUTGOING, data))

    def seen(self, condition):
        """What went by so far and fits."""
        self._drain()
        return [p for p in self.packets if condition(p)]

    def wait(self, condition, count=1, timeout=5.0):
        """As seen(), once there are count of them."""
        end = time.monotonic() + timeout
        while len(found := self.seen(condition)) < count:
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"{len(found)} of {count} packets after {timeout:g} s; all "
                                     f"that was seen: {self.packets[-20:]}")
            select.select([self._socket], [], [], left)
        return found

    def nothing(self, condition, during=0.3):
        """True if nothing that fits has gone by and nothing does for a while."""
        time.sleep(during)
        return not self.seen(condition)


class Wire:
    """Puts packets on the link from one host to its neighbour, as they are."""

    def __init__(self, net, host, peer):
        device, far = net.device(host, peer), net.device(peer, host)
        with net[peer].entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
            answer = fcntl.ioctl(query, _SIOCGIFHWADDR, struct.pack("16s24x", far.encode()))
        self._mac = answer[18:24]
        self._device = device
        with net[host].entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, packet):
        to = (self._device, _ETH_P[packet[0] >> 4], 0, 0, self._mac)
        while True:
            try:
                self._socket.sendto(packet, to)
                return
            except OSError as error:    # the other end's queue is full
                if error.errno != errno.ENOBUFS:
                    raise
                time.sleep(0.001)


def no_checksum_offload(host, device):
    """From now on the host fills in checksums itself, and a tap sees them."""
    data = struct.pack("II", _ETHTOOL_STXCSUM, 0)
    value = ctypes.create_string_buffer(data)
    request = struct.pack("16sP16x", device.encode(), ctypes.addressof(value))
    with host.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        fcntl.ioctl(query, _SIOCETHTOOL, request)


class Delta:
    """Counters of a host since here: those that changed, by how much."""

    def __init__(self, control):
        self._control = control
        self.reset()

    def reset(self):
        self._before = self._control.counters()

    def __call__(self):
        now = self._control.counters()
        return {k: v - self._before[k] for k, v in now.items() if v != self._before[k]}


class Bench:
    """A gateway between a wire on which SYNs come, a tap where clones leave, and the
    servers behind it."""

    def __init__(self, net):
        self.net = net
        self.wire = Wire(net, "core", "sg")
        self.wan = Tap(net["sg"], "wan0")
        self.server = {s: Tap(net[s], "lan0") for s in net.servers}
        self.delta = Delta(net.wlb("sg"))

    def close(self):
        for part in (self.wire, self.wan, *self.server.values()):
            part.__exit__()

    def origins(self, family, *origins, host="sg", settings=None):
        """Each origin has the server s, port 80 and all replicas unless it says so."""
        text = table("server-gateway", **settings) if settings else ""
        for i, keys in enumerate(origins or [{}]):
            text += table("server-gateway.origin", array=True, **{
                "name": f"o{i}", "server": self.net.address["s", family], "ports": [80],
                "replicas": [{"address": self.net.address[r, family]} for r in REPLICAS], **keys})
        self.net.wlb(host).apply(text)
        self.delta.reset()

    _last = 30000

    def syn(self, family, to="s", options=None, client=None, **kwargs):
        """(port, bytes) of a SYN from a port that nobody used."""
        Bench._last += 1
        options = MSS + tag() if options is None else options
        return Bench._last, segment(client or CLIENT[family], self.net.address[to, family],
                                    Bench._last, options=options, **kwargs)

    def arrived(self, sport, at="s"):
        """The SYN as the server got it. Clones leave before it does, so that after this
        there is no need to wait for them."""
        return self.server[at].wait(lambda p: not p.out and p.is_tcp and p.sport == sport)[0]

    def clones(self, sport):
        return self.wan.seen(lambda p: p.out and p.proto in (4, 41, 47) and
                             p.inner.is_tcp and p.inner.sport == sport)
