# SPDX-License-Identifier: GPL-2.0-only
"""Many clients at once: short connections from one process, some pages, some only
handshakes, some aborted."""

import collections
import errno
import itertools
import select
import socket
import struct
import time

from . import pace

_ABORT = struct.pack("ii", 1, 0)        # SO_LINGER: close() sends a RST

# What a connection of a crowd came to.
OUTCOMES = ("page", "greeted", "refused", "timeout", "broken", "wrong", "unsent")


class _Connection:
    def __init__(self, sock, wants_page, end):
        self.sock, self.wants_page, self.end = sock, wants_page, end
        self.connected = False
        self.data = b""


class Crowd:
    """Connections of hosts to addresses, in turn: one of `pages` loads a page, the rest
    say goodbye by a RST as soon as they are connected."""

    def __init__(self, hosts, addresses, port=80, names=(), patience=10.0, pages=2):
        self.outcomes = collections.Counter()
        self.served_by = collections.Counter()
        self._turns = itertools.cycle(list(itertools.product(hosts, addresses)))
        self._port, self._patience, self._pages = port, pace.limit(patience), pages
        self._names = set(names)
        self._poll = select.epoll()
        self._open = collections.OrderedDict()      # fd -> _Connection, oldest first
        self._started = 0

    def close(self):
        for connection in list(self._open.values()):
            self._end(connection, None)
        self._poll.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def run(self, total, parallel, every=0, meanwhile=lambda: None):
        """Makes total connections, at most parallel at a time; calls meanwhile() after
        each `every` of them."""
        last = self._started + total
        while self._started < last or self._open:
            room = min(parallel - len(self._open), last - self._started)
            for _ in range(room):
                self._start()
                if every and not self._started % every:
                    meanwhile()
            for fd, events in self._poll.poll(0.5):
                self._event(self._open[fd], events)
            self._expire()

    def _start(self):
        host, address = next(self._turns)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with host.entered():
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        wants_page = not self._started % self._pages
        self._started += 1
        connection = _Connection(sock, wants_page, time.monotonic() + self._patience)
        code = sock.connect_ex((address, self._port))
        if code != errno.EINPROGRESS:
            # No port is left, or no route: nothing of it was sent.
            sock.close()
            self.outcomes["unsent"] += 1
            time.sleep(0.01)
            return
        self._open[sock.fileno()] = connection
        self._poll.register(sock.fileno(), select.EPOLLOUT)

    def _end(self, connection, outcome):
        sock = connection.sock
        del self._open[sock.fileno()]
        self._poll.unregister(sock.fileno())
        if outcome != "page":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        sock.close()
        if outcome:
            self.outcomes[outcome] += 1

    def _expire(self):
        now = time.monotonic()
        while self._open:
            connection = next(iter(self._open.values()))
            if connection.end > now:
                return
            self._end(connection, "timeout")

    def _event(self, connection, events):
        try:
            if not connection.connected:
                code = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    self._end(connection, "timeout" if code == errno.ETIMEDOUT else "refused")
                    return
                connection.connected = True
                if not connection.wants_page:
                    self._end(connection, "greeted")
                    return
                connection.sock.send(b"GET / HTTP/1.0\r\n\r\n")
                self._poll.modify(connection.sock.fileno(), select.EPOLLIN)
                return
            data = connection.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            self._end(connection, "broken")
            return
        if data:
            connection.data += data
            return
        head, _, body = connection.data.partition(b"\r\n\r\n")
        who = body.decode(errors="replace").strip()
        if not head:
            self._end(connection, "broken")
        elif who not in self._names or f"X-Who: {who}".encode() not in head:
            self._end(connection, "wrong")
        else:
            self.served_by[who] += 1
            self._end(connection, "page")
