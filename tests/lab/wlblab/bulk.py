# SPDX-License-Identifier: GPL-2.0-only
"""Much data both ways over one connection, half closed in between."""

import hashlib
import socket
import threading

from . import web


class Sink(threading.Thread):
    """A server that takes all that one client sends, up to its half close; then says what
    it was and sends as much of its own."""

    def __init__(self, host, port, size=web.BIG):
        super().__init__()
        self._size = size
        with host.entered():
            self._listener = socket.create_server(("", port), family=socket.AF_INET6,
                                                  dualstack_ipv6=True)
        self._listener.settimeout(30)
        self.start()

    def run(self):
        with self._listener, self._listener.accept()[0] as sock:
            sock.settimeout(30)
            digest = hashlib.sha256()
            while data := sock.recv(1 << 16):
                digest.update(data)
            sock.sendall(digest.digest())
            sock.sendall(web.big_file().read_bytes()[:self._size])


def both_ways(client, address, server, port, size=web.BIG):
    """Sends size bytes to whoever answers at address, where `server` should, and
    takes as many from it; fails unless both arrive as they were sent."""
    big = web.big_file().read_bytes()[:size]
    sink = Sink(server, port, size)
    with client.connect(address, port) as sock:
        sock.sendall(big)
        sock.shutdown(socket.SHUT_WR)
        answer = bytearray()
        while data := sock.recv(1 << 16):
            answer += data
    sink.join()
    assert answer[:32] == hashlib.sha256(big).digest(), "upload"
    assert answer[32:] == big, "download"
