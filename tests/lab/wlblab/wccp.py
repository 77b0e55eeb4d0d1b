# SPDX-License-Identifier: GPL-2.0-only
"""WCCP by hand: messages made of octets, and a cache that speaks it. Nothing of the project's
own codec: what is wrong there must not be wrong here alike."""

import hashlib
import json
import shutil
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

from .host import wait_until
from .kernel import REPO
from .wlb import Wlbctl, table

ROUTERD = REPO / "build" / "userspace" / "wlb-routerd"
PORT = 2048
# What tshark says of a message that is not as it should be.
WRONG = " || ".join(["_ws.malformed", "wccp.length_bad", "wccp.assignment_length_bad", *(
    f"wccp.missing.{part}" for part in (
        "security_info", "service_info", "wc_id_info", "router_id_info", "query_info",
        "wc_view_info", "rtr_view_info", "assignment"))])
HERE_I_AM, I_SEE_YOU, REDIRECT_ASSIGN, REMOVAL_QUERY = range(10, 14)
GRE, L2 = 1, 2
HASH = 1


def component(kind, body):
    return struct.pack("!HH", kind, len(body)) + body


def message(kind, *components, minor=0, password=None):
    """With Security Info in front; a password of up to 8 octets signs it."""
    security = component(0, struct.pack("!I", 0) if password is None else
                         struct.pack("!I16x", 1))
    body = security + b"".join(components)
    data = struct.pack("!IBBH", kind, 2, minor, len(body)) + body
    if password is None:
        return data
    digest = hashlib.md5(password.encode().ljust(8, b"\0") + data).digest()
    return data[:16] + digest + data[32:]


def timers(interval):
    """Capabilities: HERE_I_AM come in this interval, s, which time-outs have no factor for."""
    return (struct.pack("!HHHH", 4, 4, 0, int(interval * 1000)) +
            struct.pack("!HHBBBB", 5, 4, 0, 1, 0, 1))


def components(data):
    """{type: body} of a message; the first of a type counts."""
    found, at = {}, 8
    while at + 4 <= len(data):
        kind, size = struct.unpack_from("!HH", data, at)
        found.setdefault(kind, data[at + 4:at + 4 + size])
        at += 4 + size
    return found


def standard(number=0):
    return component(1, struct.pack("!BB22x", 0, number))


def dynamic(number, priority=240, protocol=6, flags=0x11, ports=(80,)):
    return component(1, struct.pack("!BBBBI8H", 1, number, priority, protocol, flags,
                                    *ports, *[0] * (8 - len(ports))))


class Cache:
    """A cache at `address` that joins the service group of one router. If it is the lowest
    in sight it deals the buckets out, one to each in turn. interval: seconds, in the words
    of variable timers unless it is 10. group: says HERE_I_AM to this multicast address and
    hears it too; `router` is its router's address all the same."""

    def __init__(self, host, address, router, service=None, interval=0.5, forwarding=GRE,
                 returning=GRE, password=None, weight=100, group=None):
        self.host, self.address, self.router = host, address, router
        self.v6 = ":" in address
        self.service = service or standard()
        self.interval, self.password, self.weight = interval, password, weight
        self.forwarding, self.returning = forwarding, returning
        self.group = group
        self.router_id, self.receive_id, self.change = None, 0, None
        self.caches = []            # in the router's view
        self.heard, self.assigned = 0, 0
        self.shutdown = False
        self._deal_at = None
        self._key = int(time.time())
        with host.entered():
            self.socket = socket.socket(socket.AF_INET6 if self.v6 else socket.AF_INET,
                                        socket.SOCK_DGRAM)
            self.socket.bind(("" if group else address, PORT))
            if group:
                self._join()
        self.socket.settimeout(0.05)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _join(self):
        ttl = 15                    # at most, for IOS
        if self.v6:
            index = socket.if_nametoindex("wan0")
            self.socket.setsockopt(41, socket.IPV6_JOIN_GROUP, socket.inet_pton(
                socket.AF_INET6, self.group) + struct.pack("@I", index))
            self.socket.setsockopt(41, socket.IPV6_MULTICAST_IF, index)
            self.socket.setsockopt(41, socket.IPV6_MULTICAST_HOPS, ttl)
        else:
            own = socket.inet_aton(self.address)
            self.socket.setsockopt(0, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(self.group) + own)
            self.socket.setsockopt(0, socket.IP_MULTICAST_IF, own)
            self.socket.setsockopt(0, socket.IP_MULTICAST_TTL, ttl)

    def stop(self):
        """Falls silent."""
        self._stop.set()
        self._thread.join()
        self.socket.close()

    # Of IPv6 there are indices into a table instead of addresses (R1 5.1.5); we and our
    # router are all that we name, the others of the view behind.
    def _words(self, *addresses):
        if not self.v6:
            return list(map(socket.inet_aton, addresses)), b""
        pack = b"".join(socket.inet_pton(socket.AF_INET6, a) for a in addresses)
        table_ = component(17, struct.pack("!HHI", 2, 16, len(addresses)) + pack)
        return [struct.pack("!I", i + 1) for i in range(len(addresses))], table_

    def _hello(self):
        seen = self.router_id is not None
        words, table_ = self._words(self.address, *([self.router_id] if seen else []))
        identity = words[0] + struct.pack("!HH32sHH", 0, 0, bytes(32), self.weight, 0)
        view = struct.pack("!II", 1, int(seen))
        if seen:
            view += words[1] + struct.pack("!I", self.receive_id)
        view += struct.pack("!I", 0)
        agreed = b"".join(struct.pack("!HHI", kind, 4, value) for kind, value in
                          ((1, self.forwarding), (2, HASH), (3, self.returning)))
        if self.interval != 10:
            agreed += timers(self.interval)
        parts = [self.service, component(3, identity), component(5, view), component(8, agreed)]
        if self.shutdown:
            parts.append(component(15, struct.pack("!HH", 1, 4) + words[0]))
        return self._message(HERE_I_AM, *parts, *([table_] if table_ else []))

    def _message(self, kind, *parts):
        minor = int(self.v6 or self.interval != 10)
        return message(kind, *parts, minor=minor, password=self.password)

    def _deal(self):
        caches = sorted(self.caches, key=lambda a: socket.inet_pton(
            socket.AF_INET6 if self.v6 else socket.AF_INET, a))
        words, table_ = self._words(self.address, self.router_id, *caches)
        self._key += 1
        body = words[0] + struct.pack("!II", self._key, 1) + words[1]
        body += struct.pack("!III", self.receive_id, self.change, len(caches))
        body += b"".join(words[2:]) + bytes(i % len(caches) for i in range(256))
        self._send(self._message(REDIRECT_ASSIGN, self.service, component(6, body),
                                 *([table_] if table_ else [])))
        self.assigned += 1

    def _send(self, data, to=None):
        try:
            self.socket.sendto(data, (to or self.router, PORT))
        except OSError:
            pass            # nobody is there for now

    def _take(self, data):
        parts = components(data)
        if data[3] != I_SEE_YOU or not {2, 4} <= parts.keys():
            return
        self.heard += 1
        names = self._names(parts.get(17))
        ident, view = parts[2], parts[4]
        self.router_id = names(ident[:4])
        self.receive_id = struct.unpack_from("!I", ident, 4)[0]
        change, _, number, routers = struct.unpack("!I4sII", view[:16])
        at = 16 + 4 * routers
        count, = struct.unpack_from("!I", view, at)
        # with hash: 4 address, 4, 32 buckets, 4
        self.caches = [names(view[at + 4 + 44 * i:at + 8 + 44 * i]) for i in range(count)]
        leads = self.address in self.caches and self.address == min(self.caches,
                                                                    key=socket_order)
        # An assignment that the router does not reflect did not arrive.
        reflected = self.assigned and number == self._key
        if not leads:
            self._deal_at = None
        elif change != self.change:
            self._deal_at = time.monotonic() + 1.5 * self.interval
        elif not reflected and self._deal_at is None:
            self._deal_at = time.monotonic() + self.interval
        self.change = change

    def _names(self, table_):
        if not self.v6:
            return lambda word: socket.inet_ntoa(bytes(word))
        body = table_ or b""
        return lambda word: socket.inet_ntop(
            socket.AF_INET6, body[8 + 16 * (struct.unpack("!I", word)[0] - 1):][:16])

    def _run(self):
        next_hello = time.monotonic()
        while not self._stop.is_set():
            now = time.monotonic()
            if now >= next_hello:
                next_hello = now + self.interval
                self._send(self._hello(), self.group or self.router)
            if self._deal_at is not None and now >= self._deal_at:
                self._deal_at = None
                self._deal()
            try:
                data, peer = self.socket.recvfrom(65535)
            except (TimeoutError, OSError):
                continue
            if peer[0] == self.router:
                self._take(data)


def socket_order(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


class Routerd:
    """wlb-routerd of one host."""

    def __init__(self, host):
        self.host = host
        self.child = None
        self.path = f"/run/wlb/{host.name}-routerd.toml"
        self.log_path = f"/run/wlb/{host.name}-routerd-{time.monotonic_ns()}.log"
        self.ctl = Wlbctl(host)

    def configure(self, *groups, **keys):
        text = table("cache-router", **keys) if keys else ""
        text += "".join(table("cache-router.group", array=True, **group) for group in groups)
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text)

    def start(self, *groups, **keys):
        if groups:
            self.configure(*groups, **keys)
        with open(self.log_path, "a", encoding="utf-8") as log:
            self.child = self.host.spawn(ROUTERD, "-c", self.path, "-l", "debug", stderr=log)
        wait_until("wlb-routerd answers", self.answers, 20)

    def answers(self):
        assert self.child.poll() is None, self.log()
        return self.ctl.run("wccp", "show", check=False).returncode == 0

    def kill(self, signal=9):
        self.host.stop(self.child, signal)
        self.child = None

    def log(self):
        with open(self.log_path, encoding="utf-8") as log:
            return log.read()

    def show(self, family=4, group="web-cache", what="detail"):
        groups = json.loads(self.ctl.run("-j", "wccp", "show", group, what).stdout)["groups"]
        (found,) = [g for g in groups if g["family"] == f"IPv{family}"]
        return found

    def shares(self, family=4, group="web-cache"):
        """{address of a usable cache: buckets}"""
        return {c["address"]: c["share"] for c in self.show(family, group)["caches"]
                if c["usable"]}

    def refused(self, text):
        """What the daemon says of a configuration that it does not take."""
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text)
        with self.host.entered():
            done = subprocess.run([ROUTERD, "-c", self.path], text=True, capture_output=True,
                                  timeout=60, check=False)
        assert done.returncode == 1, done
        return done.stderr


_SQUID = """
http_port 3128
http_port 3129 intercept
http_access allow all
cache_effective_user proxy
pid_filename none
access_log stdio:{where}/access.log
cache_log {where}/cache.log
coredump_dir {where}
cache_mem 64 MB
maximum_object_size 16 MB
maximum_object_size_in_memory 16 MB
memory_cache_shared off
refresh_pattern . 60 20% 60
shutdown_lifetime 1 second
visible_hostname {name}
wccp2_router {router}
wccp2_rebuild_wait off
wccp2_forwarding_method gre
wccp2_return_method gre
wccp2_assignment_method hash
wccp2_service standard 0
"""


# `redirect` would need an address on the tunnel's device.
_TO_SQUID = """
table ip squid {{
    chain prerouting {{
        type nat hook prerouting priority -101;
        iifname "gre4" tcp dport 80 dnat to {address}:3129
    }}
}}
"""


class Squid:
    """Debian's Squid on a cache's host, in place of what serves there."""

    def __init__(self, host, address, router):
        self.host = host
        self.where = Path("/run/wlb") / f"squid-{host.name}"
        shutil.rmtree(self.where, ignore_errors=True)
        self.where.mkdir(parents=True)
        shutil.chown(self.where, "proxy")
        config = self.where / "squid.conf"
        config.write_text(_SQUID.format(where=self.where, name=host.name, router=router))
        host.run("nft", "-f", "-", stdin=_TO_SQUID.format(address=address))
        self.child = host.spawn("squid", "-N", "-f", config, stdout=-3, stderr=-3)

    def log(self):
        path = self.where / "access.log"
        return path.read_text().splitlines() if path.exists() else []

    def stop(self):
        self.host.stop(self.child)
        self.host.run("nft", "delete", "table", "ip", "squid")
