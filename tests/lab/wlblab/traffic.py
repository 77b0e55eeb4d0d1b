# SPDX-License-Identifier: GPL-2.0-only
"""Pages and greetings without end while something else goes on. By a process of its own:
a thread would wait for the interpreter's lock, in steps of the clock."""

import multiprocessing
import signal
import time
import traceback

from . import pace
from .crowd import OUTCOMES, Crowd
from .host import wait_until

_PARALLEL = 16      # connections at a time
_fork = multiprocessing.get_context("fork")


class Traffic:
    """From both clients of a T0, IPv4 and IPv6, to its server."""

    def __init__(self, net):
        self._net = net
        self.parallel = pace.parallel(_PARALLEL)
        self._names = net.servers + net.replicas
        # Both ends read and write whole words: no lock.
        self._counts = _fork.Array("L", len(OUTCOMES) + len(self._names), lock=False)
        self._child = _fork.Process(target=self._run, daemon=True)
        self._on = _fork.Event()

    def _run(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        net, keys = self._net, (*OUTCOMES, *self._names)
        try:
            with Crowd([net[c] for c in net.clients],
                       [net.address["s", family] for family in (4, 6)],
                       names=self._names, patience=8.0) as crowd:
                while self._on.is_set():
                    crowd.run(self.parallel, self.parallel)
                    counts = {**crowd.outcomes, **crowd.served_by}
                    for at, key in enumerate(keys):
                        self._counts[at] = counts.get(key, 0)
                    # Without it a lone processor has no time for what goes on beside this.
                    time.sleep(0.05)
        except BaseException:
            traceback.print_exc()
            raise

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
    def outcomes(self):
        return dict(zip(OUTCOMES, self._counts))

    def served(self):
        """How many pages each host has served."""
        return dict(zip(self._names, self._counts[len(OUTCOMES):]))

    def good(self):
        return self.outcomes["page"] + self.outcomes["greeted"]

    def lost(self):
        return sum(self.outcomes.values()) - self.good()

    def _wait(self, what, condition, timeout):
        wait_until(what, lambda: not self._child.is_alive() or condition(), timeout)
        assert self._child.is_alive(), "the traffic's process died"

    def goes_on(self, count=None, timeout=60):
        """Waits for so many more that went well, more than may have been on their way."""
        wanted = self.good() + (count or 4 * self.parallel)
        self._wait("traffic goes on", lambda: self.good() >= wanted, timeout)

    def served_by(self, names, timeout=60):
        """Waits for a page of one of names."""
        before = self.served()
        self._wait(f"a page of {names}", lambda: any(
            self.served()[n] > before[n] for n in names), timeout)
