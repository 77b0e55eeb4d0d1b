# SPDX-License-Identifier: GPL-2.0-only
"""A host of the lab: a network namespace, and what can be done in one."""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import socket
import subprocess
import time

from . import pace

_libc = ctypes.CDLL(None, use_errno=True)
_home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
_CLONE_NEWNET = 0x40000000

OUT = pathlib.Path(os.environ.get("WLB_OUT", "/run/wlb/out"))


def in_lab():
    """True in a machine booted by scripts/lab.sh."""
    return os.environ.get("WLB_OUT") == "/run/wlb/out" and os.uname().nodename == "lab"


def _setns(fd):
    if _libc.setns(fd, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def wait_until(what, condition, timeout=10.0, step=0.02):
    """Polls condition() and returns its first true value, at most 5 % later than it is true:
    where the clock skips what nobody uses, polls are all that a wait costs. The timeout is for
    a usual machine."""
    timeout = pace.limit(timeout)
    began = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        passed = time.monotonic() - began
        if passed > timeout:
            raise TimeoutError(f"{what}: not within {timeout:g} s")
        time.sleep(max(step, min(passed / 20, 0.5)))


class CommandFailed(AssertionError):
    """A command of a scenario ended with another status than 0."""


class Host:
    def __init__(self, name):
        self.name = name
        self._children = []

    def __repr__(self):
        return f"<{self.name}>"

    @contextlib.contextmanager
    def entered(self):
        """Sockets and children made in this block, by this thread, are the host's.
        No `ip netns exec`: starting one more program costs much under emulation."""
        fd = os.open(f"/run/netns/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(fd)
            try:
                yield self
            finally:
                _setns(_home)
        finally:
            os.close(fd)

    def popen(self, *args, **kwargs):
        with self.entered():
            return subprocess.Popen([str(a) for a in args], text=True, **kwargs)

    def run(self, *args, check=True, timeout=60, stdin=None):
        """Runs a command to its end; its output is in the result."""
        timeout = pace.limit(timeout)
        child = self.popen(*args, stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            stdout, stderr = child.communicate(stdin, timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            stdout, stderr = child.communicate()
            raise CommandFailed(f"{self.name}: {' '.join(map(str, args))}: not done after "
                                f"{timeout:g} s\n{stdout}{stderr}") from None
        done = subprocess.CompletedProcess(child.args, child.returncode, stdout, stderr)
        if check and done.returncode:
            raise CommandFailed(f"{self.name}: {' '.join(map(str, args))}: status "
                                f"{done.returncode}\n{stdout}{stderr}")
        return done

    def connect(self, address, port, from_port=0, timeout=10):
        """A TCP connection of this host."""
        with self.entered():
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        sock.settimeout(timeout)
        sock.bind(("", from_port))
        sock.connect((address, port))
        return sock

    def knock(self, address, port=80):
        """Waits for an answer, of a port that nobody serves as well: then all on the way know
        their neighbours."""
        with contextlib.suppress(ConnectionRefusedError):
            self.connect(address, port).close()

    def out(self, *args, **kwargs):
        return self.run(*args, **kwargs).stdout

    def spawn(self, *args, **kwargs):
        """Starts a daemon that lives until stop() or the end of the topology."""
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        child = self.popen(*args, **kwargs)
        self._children.append(child)
        return child

    def stop(self, child, signal=15):
        if child.poll() is None:
            child.send_signal(signal)
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if child in self._children:
            self._children.remove(child)

    def close(self):
        for child in self._children:
            child.terminate()
        for child in list(self._children):
            self.stop(child)

    def sysctl(self, **values):
        """sysctl(net__ipv4__ip_forward=1); __ stands for the dot."""
        with self.entered():
            for key, value in values.items():
                path = pathlib.Path("/proc/sys") / key.replace("__", "/")
                path.write_text(f"{value}\n")

    def counters(self):
        """The kernel's own counters under nstat's names: TcpExtEmbryonicRsts, ..."""
        values = {}
        with self.entered():
            for name in ("snmp", "netstat"):
                lines = pathlib.Path(f"/proc/thread-self/net/{name}").read_text().splitlines()
                for keys, numbers in zip(lines[::2], lines[1::2]):
                    group = keys.split(":")[0]
                    values.update((group + k, int(n)) for k, n in
                                  zip(keys.split()[1:], numbers.split()[1:]))
            for line in pathlib.Path("/proc/thread-self/net/snmp6").read_text().splitlines():
                key, number = line.split()
                values[key] = int(number)
        return values

    def sockets(self, *filters):
        """Lines of ss for TCP sockets that match: sockets("state", "syn-recv")."""
        return self.out("ss", "-Htan", *filters).splitlines()

    def half_open(self):
        return len(self.sockets("state", "syn-recv"))

    def ping(self, address, count=3, interval=0.2):
        """Round trip times in ms. The first packet also finds the neighbours."""
        text = self.out("ping", "-n", "-c", count, "-i", interval, "-W", 3, address)
        return [float(line.split("time=")[1].split()[0])
                for line in text.splitlines() if "time=" in line]

    def capture(self, device, expression="", options=()):
        return Capture(self, device, expression, options)


class Capture:
    """tcpdump on one device from here until the with block ends; the file stays
    in the lab's output directory. Then .dropped says how many packets it was too slow
    for: with the options MANY, none."""

    _count = 0
    _FEW = ("-U", "--immediate-mode")
    MANY = ("-s", "128", "-B", "32768")

    def __init__(self, host, device, expression, options):
        Capture._count += 1
        self.host = host
        self.path = OUT / f"{Capture._count:03}-{host.name}-{device}.pcap"
        self._args = ["tcpdump", "-n", "-p", "-Z", "root", *(options or self._FEW),
                      "-i", device, "-w", str(self.path), *expression.split()]

    def __enter__(self):
        self._child = self.host.spawn(*self._args, stderr=subprocess.PIPE)
        first = self._child.stderr.readline()
        if "listening on" not in first:
            raise CommandFailed(f"{self.host.name}: {' '.join(self._args)}: {first}"
                                f"{self._child.stderr.read()}")
        return self

    def __exit__(self, *_):
        # What is on its way through the packet socket, which holds back for a second
        # unless it is told not to.
        time.sleep(0.2 if "--immediate-mode" in self._args else 1.5)
        self.host.stop(self._child, signal=2)
        said = self._child.stderr.read()
        self.dropped = int(re.search(r"(\d+) packets? dropped by kernel", said).group(1))

    def fields(self, names, display_filter="", options=()):
        """One dict per packet that matches, values as tshark prints them."""
        args = ["tshark", "-n", "-r", self.path, "-T", "json"]
        if display_filter:
            args += ["-Y", display_filter]
        for option in options:
            args += ["-o", option]
        for name in names:
            args += ["-e", name]
        packets = json.loads(self.host.out(*args) or "[]")
        return [p["_source"]["layers"] for p in packets]

    def packets(self):
        """scapy's packets. Importing scapy takes seconds here, so only who asks pays."""
        from scapy.utils import rdpcap
        return rdpcap(str(self.path))
