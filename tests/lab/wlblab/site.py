# SPDX-License-Identifier: GPL-2.0-only
r"""Two cache routers, three caches on a network of both, and clients behind each router.

 c1 --- lan0 r1 \ dmz0              / wan0 r1 \
                 sw --- k1, k2, k3              sw --- s   203.0.113.10 to .227
 c2 --- lan0 r2 /                   \ wan0 r2 /            2001:db8:a::a to ::e3

 c1 10.1.1.2, c2 10.1.2.2; caches 10.2.0.11 to .13; routers 10.2.0.1 and .2, on every network
 with that last number. IPv6 alike: 2001:db8:1:: and 2:: for the clients, 2001:db8:d:: between.
"""

import contextlib

from . import kernel, web
from .net import Net

CACHES = ("k1", "k2", "k3")
ROUTERS = ("r1", "r2")
ORIGINS = 8


@contextlib.contextmanager
def lab():
    """A built site with the module loaded."""
    kernel.load()
    with Site().build() as net:
        yield net
    kernel.unload()
    assert not kernel.loaded()


class Site(Net):
    def __init__(self):
        super().__init__()
        for name in ROUTERS:
            self.add_host(name, forward=True)
        for name in ("sw", "c1", "c2", "s", *CACHES):
            self.add_host(name)
        self.caches = {name: {4: f"10.2.0.{11 + i}", 6: f"2001:db8:d::{11 + i}"}
                       for i, name in enumerate(CACHES)}
        self.routers = {name: {4: f"10.2.0.{i}", 6: f"2001:db8:d::{i}"}
                        for i, name in enumerate(ROUTERS, 1)}
        self.clients = {f"c{i}": {4: f"10.1.{i}.2", 6: f"2001:db8:{i}::2"} for i in (1, 2)}
        # far enough from one another for every cache to have some of them
        self.origins = {4: [f"203.0.113.{10 + 31 * i}" for i in range(ORIGINS)],
                        6: [f"2001:db8:a::{10 + 31 * i:x}" for i in range(ORIGINS)]}
        self.add_bridge("sw", "dmz0", [*CACHES, "d1", "d2"])
        self.add_bridge("sw", "wan0", ["s", "w1", "w2"])
        for name, addresses in self.caches.items():
            self.add_link(name, "lan0", "sw", name, [f"{addresses[4]}/24", f"{addresses[6]}/64"])
        self.add_link("s", "wan0", "sw", "s", [f"{a}/24" for a in self.origins[4]] +
                      [f"{a}/64" for a in self.origins[6]])
        for i, name in enumerate(ROUTERS, 1):
            self.add_link(name, "dmz0", "sw", f"d{i}", [f"10.2.0.{i}/24", f"2001:db8:d::{i}/64"])
            self.add_link(name, "wan0", "sw", f"w{i}",
                          [f"203.0.113.{i}/24", f"2001:db8:a::{i}/64"])
            self.add_link(f"c{i}", "wan0", name, "lan0",
                          [f"10.1.{i}.2/24", f"2001:db8:{i}::2/64"],
                          [f"10.1.{i}.1/24", f"2001:db8:{i}::1/64"])
            for via in (f"10.1.{i}.1", f"2001:db8:{i}::1"):
                self.add_route(f"c{i}", "default", via)
            for host, four, six in (("s", "203.0.113", "2001:db8:a"),
                                    *((cache, "10.2.0", "2001:db8:d") for cache in CACHES)):
                self.add_route(host, f"10.1.{i}.0/24", f"{four}.{i}")
                self.add_route(host, f"2001:db8:{i}::/64", f"{six}::{i}")
        self.add_route("s", "10.2.0.0/24", "203.0.113.1")
        self.add_route("s", "2001:db8:d::/64", "2001:db8:a::1")
        for name in CACHES:
            self.add_route(name, "default", "10.2.0.1")
            self.add_route(name, "default", "2001:db8:d::1")

    def build(self):
        super().build()
        # a page for clients alone, as where an account is bound to an address
        web.serve(self["s"], extra=f"""location = /mine {{
            allow 10.1.0.0/16; allow 2001:db8:1::/64; allow 2001:db8:2::/64; deny all;
            alias {web.ROOT}/10M;
        }}""")
        return self

    def who(self, client, family, origin=0, timeout=10):
        """Which proxy's page a client gets, "s" if it is the server's own."""
        server = self.origins[family][origin]
        with self[client].connect(server, 80, timeout=timeout) as sock:
            sock.settimeout(timeout)
            name = f"[{server}]" if family == 6 else server
            sock.sendall(f"GET /{origin} HTTP/1.1\r\nHost: {name}\r\n"
                         "Connection: close\r\n\r\n".encode())
            data = b""
            while more := sock.recv(65536):
                data += more
        head, _, body = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200") or b"s" not in body:
            raise ConnectionError(data[:200])
        for line in head.decode().splitlines():
            if line.lower().startswith("x-proxy: "):
                return line.split(": ")[1]
        return "s"
