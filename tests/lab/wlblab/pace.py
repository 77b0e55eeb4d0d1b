# SPDX-License-Identifier: GPL-2.0-only
"""How slow this machine is. Limits of what a scenario waits for are meant for Debian's kernel,
emulated by a processor of its own. Where a kernel watches itself, or the host is busy, the same
takes many times as long: the limits are longer, and less is under way at a time, by as much as the
work below was seen to take. TCP's own timers know nothing of that."""

import socket
import time

_CONNECTIONS = 100
_USUAL = 0.4        # s, for so many, with Debian's 6.1 in QEMU
_measured = [1.0]


def _work():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        for _ in range(_CONNECTIONS):
            with socket.create_connection(listening.getsockname()) as near, \
                    listening.accept()[0] as far:
                near.sendall(bytes(100))
                far.recv(4096)
                far.sendall(bytes(1000))
                near.recv(4096)


def measure():
    """Anew: scenarios that take long call it when they begin."""
    began = time.monotonic()
    _work()
    _measured[0] = max(1.0, (time.monotonic() - began) / _USUAL)


def said():
    return f"waits are {_measured[0]:.1f} times as long as on a usual machine"


def limit(seconds):
    """What takes no longer than that on a usual machine takes no longer than this here."""
    return seconds * _measured[0]


def parallel(count):
    """Who has so many connections at a time there has so many here."""
    return max(2, round(count / _measured[0]))
