# SPDX-License-Identifier: GPL-2.0-only
"""Pages, greetings or downloads without end while something else goes on. By a process of its
own: a thread would wait for the interpreter's lock, in steps of the clock."""

import itertools
import multiprocessing
import select
import signal
import socket
import time
import traceback

from . import pace, web
from .crowd import OUTCOMES, Crowd
from .host import wait_until

_PARALLEL = 16      # connections at a time
_fork = multiprocessing.get_context("fork")


class _Beside:
    """A process beside this one, and what it counts, by names."""

    def __init__(self, names):
        self._names = tuple(names)
        # Both ends read and write whole words: no lock.
        self._counts = _fork.Array("L", len(self._names), lock=False)
        self._child = _fork.Process(target=self._run, daemon=True)
        self._on = _fork.Event()

    def _run(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            for counts in self._turns():
                for at, name in enumerate(self._names):
                    self._counts[at] = counts.get(name, 0)
                # Without it a lone processor has no time for what goes on beside this.
                time.sleep(self._pause)
                if not self._on.is_set():
                    return
        except BaseException:
            traceback.print_exc()
            raise

    def _turns(self):
        """Yields the counts after each turn, from the child."""
        raise NotImplementedError

    def __enter__(self):
        self._on.set()
        self._child.start()
        return self

    def __exit__(self, *_):
        self._on.clear()
        self._child.join(pace.limit(60))
        if self._child.is_alive():
            self._child.kill()
        assert self._child.exitcode == 0, "the traffic's process died"

    @property
    def counts(self):
        return dict(zip(self._names, self._counts))

    def _wait(self, what, condition, timeout):
        wait_until(what, lambda: not self._child.is_alive() or condition(), timeout)
        assert self._child.is_alive(), "the traffic's process died"


class Traffic(_Beside):
    """Pages and greetings, from both clients of a T0, IPv4 and IPv6, to its server."""

    _pause = 0.05

    def __init__(self, net):
        self._net = net
        self.parallel = pace.parallel(_PARALLEL)
        self._hosts = net.servers + net.replicas
        super().__init__((*OUTCOMES, *self._hosts))

    def _turns(self):
        net = self._net
        with Crowd([net[c] for c in net.clients], [net.address["s", family] for family in (4, 6)],
                   names=self._hosts, patience=8.0) as crowd:
            while True:
                crowd.run(self.parallel, self.parallel)
                yield {**crowd.outcomes, **crowd.served_by}

    @property
    def outcomes(self):
        return {name: self.counts[name] for name in OUTCOMES}

    def served(self):
        """How many pages each host has served."""
        return {name: self.counts[name] for name in self._hosts}

    def good(self):
        return self.outcomes["page"] + self.outcomes["greeted"]

    def lost(self):
        return sum(self.outcomes.values()) - self.good()

    def goes_on(self, count=None, timeout=60):
        """Waits for so many more that went well, more than may have been on their way."""
        wanted = self.good() + (count or 4 * self.parallel)
        self._wait("traffic goes on", lambda: self.good() >= wanted, timeout)

    def served_by(self, names, timeout=60):
        """Waits for a page of one of names."""
        before = self.served()
        self._wait(f"a page of {names}", lambda: any(
            self.served()[n] > before[n] for n in names), timeout)


class _Download:
    """The big file, over a connection of its own."""

    def __init__(self, host, address, big):
        self._big = big
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with host.entered():
            self.sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        # So little at a time that it lasts.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)
        # If there is no route just now, asking says so.
        self.sock.connect_ex((address, 80))
        self._head, self._at, self.asked = b"", None, False
        self.heard = time.monotonic()

    def ask(self):
        self.sock.send(b"GET /10M HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.asked = True

    def read(self):
        """(bytes of the file that came, what it has come to, if to anything)."""
        data = self.sock.recv(1 << 16)
        if not data:
            return 0, "broken"
        self.heard = time.monotonic()
        if self._at is None:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return 0, None
            if not head.startswith(b"HTTP/1.1 200 "):
                return 0, "wrong"
            self._at = 0
        if self._big[self._at:self._at + len(data)] != data:
            return 0, "wrong"
        self._at += len(data)
        return len(data), "whole" if self._at == len(self._big) else None


class Downloads(_Beside):
    """The big file, from all clients of a T0, IPv4 and IPv6, to its server; each byte is looked
    at. Each that is over, however, is followed by another."""

    _pause = 0.01
    _PATIENCE = 20

    def __init__(self, net, parallel=8):
        self._net = net
        # Every client and family at least once.
        self.parallel = max(2 * len(net.clients), pace.parallel(parallel))
        self._patience = pace.limit(self._PATIENCE)
        self._found = dict.fromkeys(("bytes", "begun", "whole", "broken", "wrong"), 0)
        super().__init__(self._found)

    def _turns(self):
        net, big = self._net, web.big_file().read_bytes()
        ends = itertools.cycle([(net[c], net.address["s", family])
                                for c in net.clients for family in (4, 6)])
        poll, running = select.epoll(), {}
        while True:
            while len(running) < self.parallel:
                download = _Download(*next(ends), big)
                running[download.sock.fileno()] = download
                poll.register(download.sock.fileno(), select.EPOLLOUT)
                self._found["begun"] += 1
            over = {fd: self._event(poll, fd, running[fd]) for fd, _ in poll.poll(0.2)}
            now = time.monotonic()
            over.update((fd, "broken") for fd, download in running.items()
                        if now - download.heard > self._patience)
            for fd, outcome in over.items():
                if outcome:
                    self._found[outcome] += 1
                    poll.unregister(fd)
                    running.pop(fd).sock.close()
            yield self._found

    def _event(self, poll, fd, download):
        try:
            if not download.asked:
                download.ask()
                poll.modify(fd, select.EPOLLIN)
                return None
            count, outcome = download.read()
        except BlockingIOError:
            return None
        except OSError:
            return "broken"
        self._found["bytes"] += count
        return outcome

    def go_on(self, count=4 << 20, timeout=60):
        """Waits for so many bytes more."""
        wanted = self.counts["bytes"] + count
        self._wait("downloads go on", lambda: self.counts["bytes"] >= wanted, timeout)

    def until(self, what, condition, timeout=60):
        """Waits for a condition, as long as they are there."""
        self._wait(what, condition, timeout)
