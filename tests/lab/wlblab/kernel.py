# SPDX-License-Identifier: GPL-2.0-only
"""The module under test and the kernel's log."""

import os
import pathlib
import re
import subprocess
import time

REPO = pathlib.Path(__file__).resolve().parents[3]
MODULE = REPO / "build" / "kmod" / os.uname().release / "wlb.ko"
SPLAT = re.compile("|".join((REPO / "scripts" / "splats").read_text().split("\n")[:-1]))


def loaded():
    return pathlib.Path("/sys/module/wlb").exists()


def load(**parameters):
    """Loads the module, and first what it needs: insmod does not."""
    needs = subprocess.run(["modinfo", "-F", "depends", MODULE], check=True, text=True,
                           capture_output=True).stdout.strip()
    if needs:
        subprocess.run(["modprobe", "-a", *needs.split(",")], check=True)
    subprocess.run(["insmod", MODULE, *(f"{k}={v}" for k, v in parameters.items())], check=True)


def unload():
    subprocess.run(["rmmod", "wlb"], check=True)


_KMEMLEAK = pathlib.Path("/sys/kernel/debug/kmemleak")
_LOCKDEP = pathlib.Path("/proc/lockdep_stats")


def _looks_for_leaks():
    cmdline = pathlib.Path("/proc/cmdline").read_text(encoding="ascii")
    return _KMEMLEAK.exists() and "kmemleak=off" not in cmdline.split()


def forget_leaks():
    if _looks_for_leaks():
        _KMEMLEAK.write_text("clear\n", encoding="ascii")


def leaks():
    """What kmemleak says was allocated and is pointed to by nothing; "" if this kernel
    does not look. It reports nothing younger than 5 s, and what a register or a queue
    still held at the first look is found at the second."""
    if not _looks_for_leaks():
        return ""
    for _ in range(2):
        time.sleep(6)
        _KMEMLEAK.write_text("scan\n", encoding="ascii")
    found = re.split(r"^(?=unreferenced)", _KMEMLEAK.read_text(
        encoding="utf-8", errors="replace"), flags=re.M)
    # A kmem cache whose making failed half-way leaves its name behind: the kernel's own.
    return "".join(leak for leak in found if "sysfs_slab_add" not in leak)


def lockdep_works():
    """False if lockdep has switched itself off, as it does after its first report."""
    return (not _LOCKDEP.exists() or
            bool(re.search(r"debug_locks:\s+1$", _LOCKDEP.read_text(encoding="ascii"), re.M)))


class Log:
    """The kernel's messages from here on."""

    def __init__(self):
        self._fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.lseek(self._fd, 0, os.SEEK_END)
        self._lines = []

    def lines(self):
        while True:
            try:
                record = os.read(self._fd, 8192).decode(errors="replace")
            except BlockingIOError:
                return self._lines
            except BrokenPipeError:     # the buffer went round: say so, read on
                self._lines.append("(messages lost)")
                continue
            self._lines.append(record.partition(";")[2].split("\n")[0])

    def splats(self):
        return [line for line in self.lines() if SPLAT.search(line)]

    def close(self):
        os.close(self._fd)
