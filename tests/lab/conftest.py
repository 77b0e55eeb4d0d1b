# SPDX-License-Identifier: GPL-2.0-only
"""Every scenario ends with: no complaint in the kernel's log since it began, and
no race lost in the counters of any client gateway."""

import collections
import os
import zlib

import pytest

from wlblab import host, kernel, netlink, pace, wlb
from wlblab.cachehost import CacheHost
from wlblab.farm import lab
from wlblab.ghosts import Ghosts
from wlblab.net import clear
from wlblab.processing import returning
from wlblab.t0 import T0


def pytest_configure(config):
    config.addinivalue_line("markers", "whole: others need what it keeps")
    if not host.in_lab():
        pytest.exit("these scenarios run in the machine that scripts/lab.sh boots", 4)
    pace.measure()


def pytest_report_header():
    return pace.said()


def _part():
    """WLB_PART=k/n as (k, n)"""
    part, _, of = os.environ.get("WLB_PART", "0/1").partition("/")
    return int(part), int(of)


def pytest_collection_modifyitems(config, items):
    """WLB_PART=k/n: of each scenario's cases every n-th from the k-th on, so that n machines
    run them all. One that has a single case runs in each, or in one of n/2 from 4 on. From 8 on
    one of n/4 scenarios runs at all. One that another suite needs runs in each."""
    part, of = _part()
    cases = collections.defaultdict(list)
    for item in items:
        cases[item.nodeid.partition("[")[0]].append(item)
    kept = set()
    for name, group in cases.items():
        shift = zlib.crc32(name.encode()) + part + 1
        if group[0].get_closest_marker("whole"):
            kept.update(group)
        elif of > 4 and (shift + 1) % (of // 4):
            continue
        elif len(group) > 1:
            kept.update(group[shift % of::of] or group[:1])
        elif (shift + 1) % max(of // 2, 1) == 0:
            kept.update(group)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


@pytest.fixture(autouse=True)
def kernel_log():
    log = kernel.Log()
    yield log
    splats = log.splats()
    log.close()
    assert not splats, "the kernel complained:\n" + "\n".join(splats)


@pytest.fixture(scope="module", autouse=True)
def own():
    """What a file has left behind because its setup failed is not for the next to stumble over."""
    yield
    clear()
    if kernel.loaded():
        kernel.unload()


@pytest.fixture(scope="module", autouse=True)
def leaks(request, own):
    """In a kernel that looks for them: no memory is lost between the first scenario of
    a file and its last, which is the one told of, and the checks themselves still work.
    Where few scenarios of each file run it looks once, after the last file: 4 s each time."""
    files = [item.path for item in request.session.items]
    few = _part()[1] > 8
    if not few or request.path == files[0]:
        kernel.forget_leaks()
    yield
    found = kernel.leaks() if not few or request.path == files[-1] else ""
    assert not found, "memory lost:\n" + found
    assert kernel.lockdep_works(), "lockdep has given up: see the kernel's log"


def _counted(host):
    """Has the module counted anything here? Asked without starting a program: of most hosts of a
    net it has not."""
    with netlink.Wlb(host) as ctl:
        (reply,) = ctl.request(netlink.STATS_GET)
    return any(map(any, netlink.values(netlink.values(reply)[netlink.STATS]).values()))


def _settle(net):
    """What holds at the end of every scenario that loaded the module."""
    for name in net.hosts:
        if kernel.loaded() and _counted(net[name]):
            stats = net.wlb(name).stats()
            assert wlb.unaccounted(stats) == 0, f"{name}: races lost: {stats}"


@pytest.fixture
def make_t0(kernel_log):
    """make_t0(**options) builds a T0 of its own for this scenario."""
    nets = []

    def make(**options):
        nets.append(T0(**options))
        return nets[-1].build()
    yield make
    try:
        for net in nets:
            _settle(net)
    finally:
        for net in nets:
            net.close()


@pytest.fixture
def t0(make_t0):
    return make_t0()


@pytest.fixture
def module():
    """The module is loaded during this scenario, and can be taken out after it."""
    if not kernel.loaded():
        kernel.load()
    yield
    if kernel.loaded():
        kernel.unload()
    assert not kernel.loaded()


@pytest.fixture(params=[4, 6])
def family(request):
    return request.param


@pytest.fixture(params=["router", "cache"])
def place(request, farm, family):
    """All of the group's packets are returned by k1; yields the host with the rules."""
    with returning(farm, family, request.param) as host:
        yield host


@pytest.fixture(scope="module")
def world(leaks):
    """Routers and caches, the file's own."""
    with lab() as net:
        yield net


@pytest.fixture
def farm(world):
    yield world
    world.reset()


@pytest.fixture
def k1(farm):
    host = CacheHost(farm, "k1")
    yield host
    host.close()


@pytest.fixture(scope="module")
def all_ghosts(net):
    """Of the file's own net, by family: tap devices in the place of its hosts."""
    both = {family: Ghosts(net, family) for family in (4, 6)}
    yield both
    for ghosts in both.values():
        ghosts.close()


@pytest.fixture
def ghosts(all_ghosts, family):
    all_ghosts[family].forget()
    return all_ghosts[family]
