# SPDX-License-Identifier: GPL-2.0-only
"""Allocations that fail by order: Documentation/fault-injection of the kernel."""

import contextlib
import os
import pathlib

from .packets import Wire

_DEBUG = pathlib.Path("/sys/kernel/debug")
_NTH = "/proc/thread-self/fail-nth"


def _set(what, **values):
    for name, value in values.items():
        (_DEBUG / what / name.replace("_", "-")).write_text(f"{value}\n", encoding="ascii")


@contextlib.contextmanager
def marked_caches():
    """Every allocation fails from the kmem caches that the machine was booted to mark
    (slub_debug=A,...): those of the module's flows. No other does."""
    _set("failslab", cache_filter="Y", ignore_gfp_wait="N", task_filter="N", verbose=0, interval=1,
         times=-1, space=0, probability=100)
    try:
        yield
    finally:
        _set("failslab", probability=0, cache_filter="N")


@contextlib.contextmanager
def packets(percent):
    """So many of all allocations that may not sleep fail: those for packets."""
    for what in ("failslab", "fail_page_alloc"):
        _set(what, ignore_gfp_wait="Y", task_filter="N", verbose=0, interval=1, times=-1, space=0)
    _set("fail_page_alloc", min_order=0, ignore_gfp_highmem="Y")
    for what in ("failslab", "fail_page_alloc"):
        _set(what, probability=percent)
    try:
        yield
    finally:
        for what in ("failslab", "fail_page_alloc"):
            _set(what, probability=0)


@contextlib.contextmanager
def shared(net, *names):
    """A socket keeps every packet that comes in at a device of these hosts: who changes one has to
    make a copy first."""
    with contextlib.ExitStack() as stack:
        for (name, _), device in net.ends().items():
            if name in names:
                stack.enter_context(Wire(net[name], device))
        yield


def nth(number, action):
    """Calls action() with the number-th allocation (from 1) of this thread failing; True
    if there was one. Let action() be one system call."""
    _set("failslab", ignore_gfp_wait="N", cache_filter="N", probability=0, verbose=0)
    _set("fail_page_alloc", ignore_gfp_wait="N", ignore_gfp_highmem="Y", min_order=0,
         probability=0, verbose=0)
    fd = os.open(_NTH, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.pwrite(fd, b"%d" % number, 0)
        action()
    finally:
        left = int(os.pread(fd, 16, 0))
        os.pwrite(fd, b"0", 0)
        os.close(fd)
    return left == 0
