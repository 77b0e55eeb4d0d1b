# SPDX-License-Identifier: GPL-2.0-only
"""A program at a terminal: what it shows, keys that are pressed, and the window's size."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from . import pace

ENTERED, LEFT = "\x1b[?1049h", "\x1b[?1049l"
# A page from its first octet to its last.
_PAGE = re.compile(r"\x1b\[H([^\x07]*?)\x1b\[J", re.S)
_LOOK = re.compile(r"\x1b\[[0-9;]*[mK]")


def bare(page):
    """Its lines without colours."""
    return _LOOK.sub("", page).split("\r\n")


class Terminal:
    def __init__(self, *args, columns=100, rows=30):
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        self.seen = ""

        def take():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.child = subprocess.Popen(
            [str(a) for a in args], stdin=self.slave, stdout=self.slave, stderr=self.slave,
            preexec_fn=take)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        os.close(self.master)
        os.close(self.slave)

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text.encode())

    def read(self, seconds):
        if select.select([self.master], [], [], seconds)[0]:
            self.seen += os.read(self.master, 1 << 16).decode()

    def wait(self, condition, timeout=30):
        """Its first true value of all that was seen so far."""
        end = time.monotonic() + pace.limit(timeout)
        while not (value := condition(self.seen)):
            assert time.monotonic() < end, self.seen[-3000:]
            self.read(0.2)
        return value

    def page(self, condition=lambda page: True, timeout=30):
        """The next page that fits, as it came, from the first that is begun after now."""
        start = len(self.seen)

        def fits(seen):
            pages = [p for p in _PAGE.findall(seen[start:]) if condition(p)]
            return pages and pages[-1]
        return self.wait(fits, timeout)

    def ended(self):
        """(status, whether the terminal is as it was before)"""
        end = time.monotonic() + pace.limit(20)
        while self.child.poll() is None:
            assert time.monotonic() < end, "it has not ended"
            self.read(0.1)
        while select.select([self.master], [], [], 0)[0]:
            self.read(0)
        return self.child.returncode, self.is_left()

    def is_left(self):
        return (self.seen.rfind(LEFT) > self.seen.rfind(ENTERED)
                and self.seen.rfind("\x1b[?25h") > self.seen.rfind("\x1b[?25l")
                and termios.tcgetattr(self.slave) == self.before)
