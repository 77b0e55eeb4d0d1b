# SPDX-License-Identifier: GPL-2.0-only
"""wlb-gatewayd and wlb-replicad of one host, and their messages made by hand."""

import contextlib
import hashlib
import hmac
import os
import pathlib
import select
import socket
import struct
import subprocess
import threading
import time

from .host import wait_until
from .kernel import REPO
from .netlink import address as packed
from .wlb import Wlbctl

BIN = REPO / "build" / "userspace"
PORT = 2061
KEY = "1 sixteen-octets-or-more\n"
HELLO, ASK, STATE = 1, 2, 3
READY, BUSY, DRAINING, DOWN = range(4)


def key_file(name, text=KEY):
    path = pathlib.Path("/run/wlb") / name
    path.write_text(text, encoding="ascii")
    path.chmod(0o600)
    return str(path)


def _element(kind, value):
    return struct.pack("!HH", kind, len(value)) + value


def _octets(text):
    return packed(1, text)[4:4 + (16 if ":" in text else 4)]


def message(kind, sequence, elements, secret=b"sixteen-octets-or-more", key=1, boot=99):
    """What somebody with that key would say."""
    body = b"wlbr" + struct.pack("!BBHIQQ", 1, kind, 0, key, boot, sequence) + elements
    direction = b"\1" if kind == ASK else b"\0"
    return body + _element(7, hmac.new(secret, body + direction, hashlib.sha256).digest())


def elements(data):
    """{type: value} of a message, none of whose elements of interest is there twice."""
    found, at = {}, 28
    while at + 4 <= len(data):
        kind, size = struct.unpack_from("!HH", data, at)
        found[kind] = data[at + 4:at + 4 + size]
        at += 4 + size
    return found


def state(challenge, own, server, ports=(80,), what=READY, lifetime=5000):
    """The elements of a STATE."""
    origin = (_element(16, _octets(server)) + _element(17, struct.pack(f"!{len(ports)}H", *ports)) +
              _element(18, bytes([what])) + _element(19, struct.pack("!I", 1)) +
              _element(20, b"\3") + _element(21, b"\1"))
    return (_element(3, challenge) + _element(1, b"forged") + _element(2, _octets(own)) +
            _element(6, struct.pack("!I", lifetime)) + _element(5, origin))


class Crowd:
    """Replicas of one host that do nothing but register: they answer at once, and say HELLO each
    second if nobody has asked for three intervals. The host has their addresses already."""

    def __init__(self, host, addresses, gateway, server, interval):
        self.host, self.addresses, self.gateway = host, list(addresses), (gateway, PORT)
        self.server, self.interval = server, interval
        self.sequence = 0
        self.sockets = {}
        with host.entered():
            for address in self.addresses:
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                sock.bind((address, PORT))
                self.sockets[sock] = address
        self._asked = dict.fromkeys(self.sockets, 0)
        self._hello = dict.fromkeys(self.sockets, 0)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _say(self, sock, kind, what):
        self.sequence += 1
        with contextlib.suppress(BlockingIOError):
            sock.sendto(message(kind, self.sequence, what), self.gateway)

    def _run(self):
        while not self._end.is_set():
            for sock in select.select(list(self.sockets), (), (), 0.05)[0]:
                asked = elements(sock.recv(8192))
                self._asked[sock] = time.monotonic()
                self._say(sock, STATE, state(asked[3], self.sockets[sock], self.server,
                                             lifetime=int(5000 * self.interval)))
            now = time.monotonic()
            for sock, address in self.sockets.items():
                if now >= max(self._asked[sock] + 3 * self.interval, self._hello[sock] + 1):
                    self._hello[sock] = now
                    self._say(sock, HELLO, _element(1, b"crowd") + _element(2, _octets(address)))

    def close(self):
        self._end.set()
        self._thread.join()
        for sock in self.sockets:
            sock.close()


class Daemon:
    """One of them on one host."""

    def __init__(self, host, program, name):
        self.host = host
        self.child = None
        self.program, self.object = BIN / program, name
        self.path = f"/run/wlb/{host.name}.toml"        # what Wlbctl.apply() has written
        self.log_path = f"/run/wlb/{host.name}-{program}-{time.monotonic_ns()}.log"
        self.ctl = Wlbctl(host)

    def start(self):
        with open(self.log_path, "a", encoding="utf-8") as log:
            self.child = self.host.spawn(self.program, "-c", self.path, "-l", "debug", stderr=log)
        wait_until(f"{self.program.name} answers", self.answers, 20)

    def answers(self):
        assert self.child.poll() is None, self.log()
        return self.ctl.run(self.object, "show", check=False).returncode == 0

    def kill(self, signal=9):
        self.host.stop(self.child, signal)
        self.child = None

    def reload(self):
        self.ctl.run(self.object, "reload")

    def log(self):
        with open(self.log_path, encoding="utf-8") as log:
            return log.read()

    def all(self):
        return self.ctl.json(self.object, "show")

    def refused(self, text):
        """What the daemon says of a configuration that it does not take."""
        path = self.path + ".refused"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        with self.host.entered():
            done = subprocess.run([self.program, "-c", path], text=True, capture_output=True,
                                  timeout=60, check=False)
        os.unlink(path)
        assert done.returncode == 1, done
        return done.stderr


class Gatewayd(Daemon):
    def __init__(self, host):
        super().__init__(host, "wlb-gatewayd", "gateway")

    def replicas(self):
        """{address: what is told of it}"""
        return {r["address"]: r for r in self.all()["replicas"]}

    def messages(self):
        (registry,) = self.all()["registries"]
        return registry["messages"]

    def in_force(self):
        """{address: what the kernel says of it}; without the daemon, too."""
        return {r["address"]: r for r in self.ctl.json("gateway", "list")}


class Replicad(Daemon):
    def __init__(self, host):
        super().__init__(host, "wlb-replicad", "replica")

    def show(self):
        (replica,) = self.all()["replicas"]
        return replica

    def messages(self):
        (registration,) = self.all()["registrations"]
        return registration["messages"]
