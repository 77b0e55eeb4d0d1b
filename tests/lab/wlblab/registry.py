# SPDX-License-Identifier: GPL-2.0-only
"""wlb-gatewayd and wlb-replicad of one host, and their messages made by hand."""

import hashlib
import hmac
import os
import pathlib
import struct
import subprocess
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


def state(challenge, own, server, ports=(80,), what=READY):
    """The elements of a STATE."""
    origin = (_element(16, _octets(server)) + _element(17, struct.pack(f"!{len(ports)}H", *ports)) +
              _element(18, bytes([what])) + _element(19, struct.pack("!I", 1)) +
              _element(20, b"\3") + _element(21, b"\1"))
    return (_element(3, challenge) + _element(1, b"forged") + _element(2, _octets(own)) +
            _element(6, struct.pack("!I", 5000)) + _element(5, origin))


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
