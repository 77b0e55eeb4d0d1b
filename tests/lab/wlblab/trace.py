# SPDX-License-Identifier: GPL-2.0-only
"""The module's tracepoints, by wlbctl trace and by bpftrace."""

import contextlib
import json
import pathlib
import re
import subprocess
import time

import pytest

from . import kernel
from .host import wait_until
from .wlb import WLBCTL

INSTANCES = pathlib.Path("/sys/kernel/tracing/instances")


def begins(child):
    """Waits until wlbctl trace traces."""
    events = INSTANCES / f"wlbctl-{child.pid}" / "events" / "wlb"
    wait_until("wlbctl traces", lambda: (events / "enable").exists() and
               (events / "enable").read_text()[0] != "0")
    time.sleep(0.5)         # it may be at the first of several events


@contextlib.contextmanager
def tracing(host, *args):
    """What wlbctl trace of a host tells in this block: a list that is there behind it."""
    events = []
    child = host.spawn(WLBCTL, "-j", "trace", *args, stdout=subprocess.PIPE)
    begins(child)
    yield events
    time.sleep(0.5)         # what the last packet tells is on its way
    child.terminate()
    events.extend(json.loads(line) for line in child.communicate()[0].splitlines())
    assert child.returncode == 0
    assert not (INSTANCES / f"wlbctl-{child.pid}").exists()


def manual_lines(redirect):
    """The manual's one-liners, those about packets of groups or the others."""
    page = (kernel.REPO / "docs" / "wlb.7").read_text(encoding="utf-8")
    lines = [line.replace("\\e", "\\") for line in re.findall(r"^\$ (bpftrace .*)$", page, re.M)]
    return [line for line in lines if ("wlb_redirect" in line) == redirect]


def bpftrace(line, path, act):
    """What the command has shown of what act() does; @path: of a file of ours."""
    if not pathlib.Path("/proc/sys/kernel/unprivileged_bpf_disabled").exists():
        pytest.skip("this kernel has no BPF")
    with path.open("w", encoding="utf-8") as file:
        child = subprocess.Popen(["sh", "-c", "exec " + line], stdout=file,
                                 stderr=subprocess.STDOUT, text=True)
        try:
            wait_until("bpftrace is attached",
                       lambda: "Attaching" in path.read_text(encoding="utf-8"), 120)
            time.sleep(3)
            act()
        finally:
            child.send_signal(2)
            child.wait(60)
    text = path.read_text(encoding="utf-8")
    assert child.returncode == 0, text
    return text.partition("...")[2]
