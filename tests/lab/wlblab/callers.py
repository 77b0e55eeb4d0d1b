# SPDX-License-Identifier: GPL-2.0-only
"""Connections from one process, each timed from connect() until it is writable, and ears that
take them: plain listening sockets, which a race ends at as well as at a web server."""

import dataclasses
import errno
import resource
import selectors
import socket
import struct
import time

_ABORT = struct.pack("ii", 1, 0)        # SO_LINGER: close() sends a RST
_BACKLOG = 65535
_PORTS = range(10000, 60000)


@dataclasses.dataclass
class Call:
    port: int                   # its own
    to: str
    began: int = 0              # ns of CLOCK_MONOTONIC
    ms: float | None = None     # until it was connected; None: never

    @property
    def ended(self):
        return self.began + round(self.ms * 1e6)


class Ears:
    """Listens on hosts. Nobody takes connections until hang_up(), which ends them all."""

    def __init__(self, hosts, port=80):
        self._socks = []
        for host in hosts:
            host.sysctl(net__core__somaxconn=_BACKLOG, net__ipv4__tcp_max_syn_backlog=_BACKLOG)
            with host.entered():
                sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # theirs inherit it: none waits for the other end, nor in TIME-WAIT
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            sock.setblocking(False)
            sock.bind(("", port))
            sock.listen(_BACKLOG)
            self._socks.append(sock)

    def hang_up(self):
        for sock in self._socks:
            try:
                while True:
                    sock.accept()[0].close()
            except BlockingIOError:
                pass

    def close(self):
        self.hang_up()
        for sock in self._socks:
            sock.close()


class Callers:
    """Calls from one host. Every one has a port of its own, which comes round again after
    50,000 calls; so nothing that is left of an old one, or late, meets a new one."""

    def __init__(self, host):
        resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))
        self._host = host
        self._next = 0
        self._socks = []

    def run(self, targets, gaps=(), port=80, patience=30.0):
        """Calls the targets, which are addresses, one after the other. Before each is a gap
        (s); nobody waits for another's end. They are held until hang_up()."""
        with self._host.entered():
            socks = [socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                     for _ in targets]
        self._socks += socks
        todo = list(zip(targets, socks))[::-1]
        calls, waiting = [], {}
        gaps = iter(gaps)
        due = time.monotonic() + next(gaps, 0)
        with selectors.EpollSelector() as ready:
            while todo or (waiting and due > time.monotonic()):
                if todo and due <= time.monotonic():
                    to, sock = todo.pop()
                    calls.append(self._begin(to, sock, port))
                    waiting[sock] = calls[-1]
                    ready.register(sock, selectors.EVENT_WRITE)
                    due += next(gaps, 0) if todo else patience
                for key, _ in ready.select(max(due - time.monotonic(), 0)):
                    sock, call = key.fileobj, waiting.pop(key.fileobj)
                    ready.unregister(sock)
                    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                        call.ms = (time.monotonic_ns() - call.began) / 1e6
        return calls

    def _begin(self, to, sock, port):
        own = _PORTS[self._next % len(_PORTS)]
        self._next += 1
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        sock.bind(("", own))
        call = Call(own, to, time.monotonic_ns())
        code = sock.connect_ex((to, port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, f"connect to {to}")
        return call

    def hang_up(self):
        """Ends all calls by RSTs."""
        for sock in self._socks:
            sock.close()
        self._socks.clear()
