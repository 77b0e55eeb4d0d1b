# SPDX-License-Identifier: GPL-2.0-only
"""The host of a cache of a Farm, with the module's role and a proxy of its own."""

import contextlib
import socket
import struct
import sys

from . import netlink
from .farm import GRE
from .host import wait_until
from .netlink import address, attr, u8, u16s
from .wlb import Wlbctl

MARK, PORT = 7, 3129

# Takes connections to every address, and says whose end it is.
_PROXY = """
import socket, sys, threading
name, port = sys.argv[1].encode(), int(sys.argv[2])
def serve(sock):
    with sock:
        data = b""
        while b"\\r\\n\\r\\n" not in data:
            more = sock.recv(4096)
            if not more:
                return
            data += more
        sock.sendall(b"HTTP/1.0 200 OK\\r\\nX-Who: " + name + b"\\r\\n\\r\\n" + name)
listener = socket.socket(socket.AF_INET6)
listener.setsockopt(socket.SOL_IP, 19, 1)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("::", port))
listener.listen(128)
while True:
    threading.Thread(target=serve, args=listener.accept()[:1], daemon=True).start()
"""

_TPROXY = """
table inet proxied {
    chain prerouting {
        type filter hook prerouting priority mangle;
        meta mark %d meta l4proto tcp tproxy to :%d accept
    }
}
"""


class CacheHost:
    def __init__(self, farm, name):
        self.farm, self.name, self.host = farm, name, farm[name]
        self._child = None
        # The role is instead of what an administrator sets up by hand.
        for family in (4, 6):
            self.host.run("ip", "link", "set", f"gre{family}", "down")

    def close(self):
        self.off()
        for family in (4, 6):
            self.host.run("ip", "link", "set", f"gre{family}", "up")

    def door(self, family, way=GRE, back=GRE, kind=0, number=0, router=None, source=None):
        parts = [address(1, router or self.farm.router[self.name][family]), u8(2, way),
                 u8(3, back), u8(4, kind), u8(5, number)]
        return attr(1, parts + ([address(6, source)] if source else []))

    def request(self, command, *attrs, dump=False):
        with netlink.Wlb(self.host) as ctl:
            return ctl.request(command, attrs, dump)

    def set(self, *doors, rules=(), share=0, mark=MARK, nat=False, port=PORT):
        """rules: as farm.rule() makes them. port: where the proxy listens, or a list."""
        parts = [*doors, *(attr(2, [part[4:]]) for part in rules), attr(3, share), attr(4, mark)]
        parts += [attr(5, b"")] if nat else []
        parts += [u16s(6, number) for number in (port if isinstance(port, list) else [port])]
        self.request(netlink.CACHE_SET, attr(netlink.CACHE, parts))

    def off(self):
        self.request(netlink.CACHE_SET)

    def shown(self):
        """The words of the configuration, and the doors: {type: value} each."""
        first, *doors = [netlink.values(netlink.values(reply)[netlink.CACHE])
                         for reply in self.request(netlink.CACHE_GET, dump=True)]
        return first, [netlink.values(door[1]) for door in doors]

    def bypass(self, destination, lifetime, source=None):
        self.request(netlink.BYPASS_ADD, self._pair(destination, source, attr(3, lifetime)))

    def forget(self, destination=None, source=None):
        self.request(netlink.BYPASS_DEL, *([self._pair(destination, source)]
                                           if destination else []))

    @staticmethod
    def _pair(destination, source, *more):
        pair = [address(1, source)] if source else []
        return attr(netlink.BYPASS, [*pair, address(2, destination), *more])

    def bypasses(self):
        """{(source or None, destination): seconds left}"""
        found = {}
        for reply in self.request(netlink.BYPASS_GET, dump=True):
            entry = netlink.values(netlink.values(reply)[netlink.BYPASS])
            names = [None if kind not in entry else socket.inet_ntop(
                socket.AF_INET if len(entry[kind]) == 4 else socket.AF_INET6, entry[kind])
                for kind in (1, 2)]
            found[tuple(names)] = struct.unpack("=I", entry[3])[0]
        return found

    def counters(self):
        return Wlbctl(self.host).counters()

    @contextlib.contextmanager
    def tproxy(self):
        """A transparent proxy, in place of what takes packets by NAT."""
        host = self.host
        take = host.out("nft", "list", "table", "inet", "take")
        child = host.spawn(sys.executable, "-c", _PROXY, self.name, str(PORT))
        host.run("nft", "delete", "table", "inet", "take")
        host.run("nft", "-f", "-", stdin=_TPROXY % (MARK, PORT))
        for family in ("-4", "-6"):
            host.run("ip", family, "rule", "add", "fwmark", MARK, "lookup", "100")
            host.run("ip", family, "route", "add", "local", "default", "dev", "lo", "table", "100")
        wait_until("the proxy listens", lambda: host.out("ss", "-Hlnt", "sport", "=", str(PORT)))
        try:
            yield
        finally:
            host.stop(child)
            for family in ("-4", "-6"):
                host.run("ip", family, "rule", "del", "fwmark", MARK, "lookup", "100")
                host.run("ip", family, "route", "del", "local", "default", "dev", "lo",
                         "table", "100")
            host.run("nft", "delete", "table", "inet", "proxied")
            host.run("nft", "-f", "-", stdin=take)
