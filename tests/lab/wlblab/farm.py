# SPDX-License-Identifier: GPL-2.0-only
r"""A cache router, its caches and what goes through them.

 c --- lan0 \            / wan0 --- s  203.0.113.10 to .17   2001:db8:a::10 to ::17
             r ----------
             |           \ hop0 --- hop --- k3  10.3.0.2    2001:db8:3::2
            dmz0
            /   \
          k1     k2      10.2.0.11, .12   2001:db8:2::11, ::12

 c  10.1.1.2  2001:db8:1::2    r's ends .1 / ::1

The caches serve every origin's port 80 themselves, from the end of an ordinary GRE tunnel
or from their network, and say who they are; nobody is a daemon of any protocol here.
"""

import contextlib
import functools
import operator
import socket
import struct
import sys

from . import kernel, netlink, web, wlb
from .net import Net
from .netlink import address, attr, u8, u16s

GRE, L2 = range(2)
HASH, MASK = range(2)
STANDARD, DYNAMIC = range(2)
PREROUTING, FORWARD = range(2)
NONE, ALT = 0xff, 0x80
SRC_IP, DST_IP, SRC_PORT, DST_PORT, PORTS, PORTS_SRC, PROTO0 = (1 << i for i in range(7))
HTTP = DST_IP | PORTS

ORIGINS = 8
CACHES = ("k1", "k2", "k3")

_TAKE = """
table inet take {
    chain prerouting {
        type nat hook prerouting priority -100;
        iifname { "gre4", "gre6", "wan0" } meta l4proto tcp tcp dport { 80, 81 } dnat ip to %s
        iifname { "gre4", "gre6", "wan0" } meta l4proto tcp tcp dport { 80, 81 } dnat ip6 to %s
        iifname { "gre4", "gre6", "wan0" } udp dport 53 dnat ip to %s
        iifname { "gre4", "gre6", "wan0" } udp dport 53 dnat ip6 to %s
    }
}
"""

# Of each host whose name and sockets it is given: on the first, of TCP, what came and how much; on
# the second, of UDP, who has answered. One program for all: starting it is what takes long.
_SERVE = """
import hashlib, socket, sys, threading
def take(name, sock):
    digest = hashlib.sha256()
    while data := sock.recv(1 << 16):
        digest.update(data)
    sock.sendall(name + b" " + digest.hexdigest().encode())
    sock.close()
def accept(name, listener):
    while True:
        threading.Thread(target=take, args=(name, listener.accept()[0]), daemon=True).start()
def answer(name, sock):
    while True:
        data, peer = sock.recvfrom(1 << 16)
        sock.sendto(name + b" %d" % len(data), peer)
words = sys.argv[1:]
for name, tcp, udp in zip(words[::3], words[1::3], words[2::3]):
    for serve, fd in ((accept, tcp), (answer, udp)):
        threading.Thread(target=serve, args=(name.encode(), socket.socket(fileno=int(fd)))).start()
"""


def _serving(host):
    """Its two sockets for _SERVE."""
    with host.entered():
        tcp = socket.create_server(("::", 81), family=socket.AF_INET6, dualstack_ipv6=True)
        udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        udp.bind(("::", 53))
    return tcp, udp


# Sends GRE back as it is to whom it came from: a cache that wants nothing.
_BOUNCE = """
import socket, sys
v6 = ":" in sys.argv[1]
sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW, 47)
print(flush=True)
while True:
    data, peer = sock.recvfrom(1 << 16)
    sock.sendto(data if v6 else data[(data[0] & 15) * 4:], (sys.argv[1], 0))
"""


def octets(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def bucket(fields, src, dst, sport, dport):
    """R1 5.1.2."""
    data = b""
    for field, value in ((SRC_IP, octets(src)), (DST_IP, octets(dst)),
                         (SRC_PORT, struct.pack("!H", sport)),
                         (DST_PORT, struct.pack("!H", dport))):
        data += value if fields & field else b""
    return functools.reduce(operator.xor, data, 0)


def rule(deny=False, source=None, destination=None):
    parts = [attr(1, b"")] if deny else []
    parts += [netlink.prefix(2, source)] if source else []
    return attr(7, parts + ([netlink.prefix(3, destination)] if destination else []))


def group(name="web", kind=STANDARD, number=0, into=("lan0",), out=(), exclude=(), rules=(),
          closed=False, hook=PREROUTING, source=(), drain=0):
    """A WLB_A_GROUP."""
    parts = [attr(1, name), u8(2, kind), u8(3, number)]
    parts += [attr(4, device) for device in into] + [attr(5, device) for device in out]
    parts += [attr(6, device) for device in exclude] + list(rules)
    parts += [attr(8, b"")] if closed else []
    parts += [u8(9, hook), *(address(11 if ":" in a else 10, a) for a in source)]
    return attr(netlink.GROUP, [*parts, attr(12, drain)])


def redirect_headers(capture):
    """(flags, service, alternative bucket, primary bucket, inner packet) of each GRE."""
    found = []
    for frame in capture.packets():
        raw = bytes(frame)[14:]
        off = 40 if raw[0] >> 4 == 6 else (raw[0] & 15) * 4
        assert raw[off:off + 4] == b"\0\0\x88\x3e"
        found.append((*raw[off + 4:off + 8], raw[off + 8:]))
    return found


class Assignment:
    """What WLB_CMD_ASSIGN_SET carries of a service and who has what of it."""

    def __init__(self, members, buckets=None, masks=None, priority=240, protocol=6, flags=HTTP,
                 ports=(80,), extra=()):
        self.members = members          # (address, forward, return)
        self.buckets = buckets          # 256 octets
        self.masks = masks              # (src, dst, sport, dport, {number: member})
        self.service = (priority, protocol, flags, ports)
        self.extra = list(extra)

    def nest(self):
        priority, protocol, flags, ports = self.service
        parts = [u8(1, priority), u8(2, protocol), attr(3, flags),
                 u16s(4, *ports, *[0] * (8 - len(ports))),
                 u8(5, MASK if self.buckets is None else HASH)]
        parts += [attr(6, [address(1, a), u8(2, forward), u8(3, ret)])
                  for a, forward, ret in self.members]
        if self.buckets is not None:
            parts.append(attr(7, bytes(self.buckets)))
        for src, dst, sport, dport, _ in self.masks or ():
            parts.append(attr(8, [attr(1, src), attr(2, dst), u16s(3, sport), u16s(4, dport)]))
        return attr(netlink.ASSIGNMENT, parts + self.extra)

    def values(self):
        values = [struct.pack("=IBBH", number, i, member, 0)
                  for i, (*_, table) in enumerate(self.masks or ())
                  for number, member in sorted(table.items())]
        return [attr(netlink.VALUES, b"".join(values[at:at + 4096]))
                for at in range(0, len(values), 4096)]


@contextlib.contextmanager
def lab():
    """A built farm whose hosts have found one another, with the module loaded."""
    kernel.load()
    with Farm().build() as net:
        for name, addresses in net.caches.items():
            for family in (4, 6):
                net[name].knock(net.router[name][family])
                net["c"].knock(addresses[family])
        for family in (4, 6):
            net["c"].knock(net.origins[family][0])
        yield net
    kernel.unload()
    assert not kernel.loaded()


class Farm(Net):
    def __init__(self):
        super().__init__()
        self.add_host("r", forward=True)
        self.add_host("hop", forward=True)
        for name in ("c", "s", *CACHES):
            self.add_host(name)
        self.caches = {"k1": {4: "10.2.0.11", 6: "2001:db8:2::11"},
                       "k2": {4: "10.2.0.12", 6: "2001:db8:2::12"},
                       "k3": {4: "10.3.0.2", 6: "2001:db8:3::2"}}
        self.router = {"k1": {4: "10.2.0.1", 6: "2001:db8:2::1"},
                       "k2": {4: "10.2.0.1", 6: "2001:db8:2::1"},
                       "k3": {4: "10.4.0.1", 6: "2001:db8:4::1"}}
        self.client = {4: "10.1.1.2", 6: "2001:db8:1::2"}
        self.origins = {4: [f"203.0.113.{10 + i}" for i in range(ORIGINS)],
                        6: [f"2001:db8:a::{10 + i}" for i in range(ORIGINS)]}
        self.add_bridge("r", "dmz0", ["k1", "k2"], ["10.2.0.1/24", "2001:db8:2::1/64"])
        for name in ("k1", "k2"):
            self.add_link(name, "wan0", "r", name,
                          [f"{self.caches[name][4]}/24", f"{self.caches[name][6]}/64"])
        self.add_link("c", "wan0", "r", "lan0", ["10.1.1.2/24", "2001:db8:1::2/64"],
                      ["10.1.1.1/24", "2001:db8:1::1/64"])
        self.add_link("s", "wan0", "r", "wan0",
                      [f"{a}/24" for a in self.origins[4]] + [f"{a}/64" for a in self.origins[6]],
                      ["203.0.113.1/24", "2001:db8:a::1/64"])
        self.add_link("hop", "up0", "r", "hop0", ["10.4.0.2/24", "2001:db8:4::2/64"],
                      ["10.4.0.1/24", "2001:db8:4::1/64"])
        self.add_link("k3", "wan0", "hop", "down0", ["10.3.0.2/24", "2001:db8:3::2/64"],
                      ["10.3.0.1/24", "2001:db8:3::1/64"])
        for host, via in (("c", ("10.1.1.1", "2001:db8:1::1")),
                          ("s", ("203.0.113.1", "2001:db8:a::1")),
                          ("k1", ("10.2.0.1", "2001:db8:2::1")),
                          ("k2", ("10.2.0.1", "2001:db8:2::1")),
                          ("k3", ("10.3.0.1", "2001:db8:3::1")),
                          ("hop", ("10.4.0.1", "2001:db8:4::1"))):
            for gateway in via:
                self.add_route(host, "default", gateway)
        self.add_route("r", "10.3.0.0/24", "10.4.0.2")
        self.add_route("r", "2001:db8:3::/64", "2001:db8:4::2")

    def build(self):
        super().build()
        for name in ("s", *CACHES):
            web.serve(self[name])
        self._serve("s", *CACHES)
        for name in CACHES:
            self._tunnel(name)
            self.take(name)
        return self

    def take(self, name):
        """The cache serves what comes for others."""
        four, six = self.caches[name][4], self.caches[name][6]
        self[name].run("nft", "-f", "-", stdin=_TAKE % (four, six, four, six))

    def _serve(self, *names):
        sockets = {name: _serving(self[name]) for name in names}
        words = [word for name, pair in sockets.items()
                 for word in (name, *(sock.fileno() for sock in pair))]
        self[names[0]].spawn(sys.executable, "-S", "-c", _SERVE, *words,
                             pass_fds=[word for word in words if isinstance(word, int)])
        for pair in sockets.values():
            for sock in pair:
                sock.close()

    def _tunnel(self, name):
        """What the administrator of any cache sets up by hand."""
        self._batch(["ip", "-n", name], [
            f"link add gre4 type gre local {self.caches[name][4]} remote {self.router[name][4]}",
            f"link add gre6 type ip6gre local {self.caches[name][6]} "
            f"remote {self.router[name][6]} encaplimit none",
            "link set gre4 up", "link set gre6 up"])
        self[name].sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1,
                          net__ipv4__conf__gre4__rp_filter=0)

    def wlb(self, host):
        return wlb.Wlbctl(self[host])

    def counters(self):
        return self.wlb("r").counters()

    def grown(self, before, *names):
        now = self.counters()
        return tuple(now[name] - before[name] for name in names)

    def member(self, name, family, forward=GRE, ret=GRE):
        return (self.caches[name][family], forward, ret)

    def redirect(self, family, way=GRE, back=GRE):
        """Everything to k1."""
        self.set_groups(group())
        self.assign(family, self.one("k1", family, way, back))

    def one(self, name, family, forward=GRE, ret=GRE, **kwargs):
        """An assignment of everything to one cache."""
        return Assignment([self.member(name, family, forward, ret)], bytes(256), **kwargs)

    def set_groups(self, *groups, check_all=False, lease=0):
        """lease: ms."""
        router = [attr(1, b"")] if check_all else []
        if lease:
            router.append(attr(2, lease))
        with netlink.Wlb(self["r"]) as ctl:
            ctl.request(netlink.GROUP_SET, [attr(netlink.ROUTER, router), *groups])

    def renew_lease(self):
        with netlink.Wlb(self["r"]) as ctl:
            ctl.request(netlink.LEASE_RENEW)

    def assign(self, family, assignment, name="web"):
        with netlink.Wlb(self["r"]) as ctl:
            self.assign_by(ctl, family, assignment, name)

    @staticmethod
    def assign_by(ctl, family, assignment, name="web"):
        ctl.request(netlink.ASSIGN_SET, [
            attr(netlink.NAME, name),
            u8(netlink.FAMILY, socket.AF_INET if family == 4 else socket.AF_INET6),
            *([assignment.nest(), *assignment.values()] if assignment else [])])

    def reset(self):
        """No group; and nobody remembers what a path was like."""
        self.set_groups()
        self["c"].run("ip", "route", "flush", "cache")
        self["c"].run("ip", "-6", "route", "flush", "cache")

    def who_now(self, family):
        """The same while it changes, which a connection in the midst of it does not survive."""
        with contextlib.suppress(ConnectionResetError):
            return self.who(family)

    def who(self, family, origin=0, sport=0, host="c", port=80):
        """Whose page a client of that port gets."""
        server = self.origins[family][origin]
        with self[host].connect(server, port, sport) as sock:
            if sport:
                # so that the port may be used again at once
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            data = b""
            while more := sock.recv(4096):
                data += more
        return data.partition(b"\r\n\r\n")[2].decode().strip()

    def upload(self, family, data, origin=0):
        """(who got it, digest of what arrived)"""
        with self["c"].connect(self.origins[family][origin], 81, timeout=60) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            answer = b""
            while more := sock.recv(4096):
                answer += more
        return tuple(answer.decode().split())

    def datagram(self, family, length=10, origin=0):
        """Whose answer a datagram gets, None if nobody's."""
        with self["c"].entered():
            sock = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6,
                                 socket.SOCK_DGRAM)
        with sock:
            sock.settimeout(2)
            # IP_MTU_DISCOVER, IPV6_MTU_DISCOVER: may be cut on its way
            sock.setsockopt(*((0, 10, 0) if family == 4 else (41, 23, 0)))
            sock.sendto(bytes(length), (self.origins[family][origin], 53))
            try:
                name, size = sock.recvfrom(100)[0].decode().split()
            except TimeoutError:
                return None
        assert int(size) == length
        return name

    def bounce(self, name, family):
        """The cache returns every packet instead of serving it."""
        device = f"gre{family}"
        host = self[name]
        host.run("ip", "link", "set", device, "down")
        child = host.spawn(sys.executable, "-c", _BOUNCE, self.router[name][family], stdout=-1)
        child.stdout.readline()
        return child

    def unbounce(self, name, family, child):
        self[name].stop(child)
        self[name].run("ip", "link", "set", f"gre{family}", "up")

    def offloads(self, value):
        ends = self.ends()
        for (host, _), device in ends.items():
            self[host].run("ethtool", "-K", device, "tx", value, "tso", value, "gso", value,
                           "gro", value)


class Seen:
    """A farm as clients see it, for Traffic."""

    clients, servers, replicas = ["c"], ["s"], list(CACHES)

    def __init__(self, farm):
        self._farm = farm
        self.address = {("s", family): farm.origins[family][0] for family in (4, 6)}

    def __getitem__(self, name):
        return self._farm[name]
