# SPDX-License-Identifier: GPL-2.0-only
"""Memory fails: packets still pass, the module loads or does not."""

import ctypes
import os

import pytest

from wlblab import faults, kernel, wlb
from wlblab.ghosts import Counted
from wlblab.host import wait_until
from wlblab.traffic import Traffic

_INIT_MODULE, _DELETE_MODULE = 313, 176     # x86_64
_libc = ctypes.CDLL(None, use_errno=True)


def test_no_flows(net):
    """W14: there is no memory for an entry: SYNs go untagged to the server, at once."""
    net.netem("s", "sg", "delay 100ms")     # a replica would win
    cg = net.wlb("cg")
    with Traffic(net) as traffic:
        traffic.served_by(net.replicas)
        with faults.marked_caches():
            traffic.goes_on()       # those that had an entry are through
            counted, before = Counted(cg), traffic.served()
            traffic.goes_on()
            after, grown = traffic.served(), counted.grown()
        traffic.served_by(net.replicas)
    assert all(after[r] == before[r] for r in net.replicas)
    assert after["s"] > before["s"]
    assert grown["syn_no_memory"] > 0 and "syn_tagged" not in grown
    assert traffic.lost() == 0, traffic.outcomes


@pytest.mark.parametrize("mode", ["nat", "tunnel"])
def test_short_of_memory(net, mode):
    """One of 50 allocations for a packet fails, in the module and all around it: what
    is lost is repeated, the books balance, and nothing remains of it."""
    net.own_origin()
    net.configure(race="equal", served={"return_": mode},
                  timeouts={"racing": "10s", "tombstone": "10s", "established": "20s",
                            "closing": "5s", "reset": "5s"})
    hosts = {name: net.wlb(name) for name in ("cg", "sg", *net.replicas)}
    counted = {name: Counted(ctl) for name, ctl in hosts.items()}
    with Traffic(net) as traffic:
        traffic.served_by(net.servers + net.replicas)
        with faults.shared(net, *hosts), faults.packets(2):
            traffic.goes_on(600, timeout=600)
            lost = traffic.lost()
        grown = {name: c.grown() for name, c in counted.items()}
        traffic.goes_on()
    assert traffic.outcomes["wrong"] == 0 and lost < 300
    assert grown["cg"]["syn_no_memory"] > 0 and grown["sg"]["clone_failed"] > 0
    if mode == "nat":
        assert grown["cg"]["translate_failed"] > 0
    wait_until("every entry has ended", lambda: not hosts["cg"].stats()["flows"], 60, step=1)
    stats = hosts["cg"].stats()
    counters = stats["counters"]
    assert wlb.unaccounted(stats) == 0 and stats["racing"] == 0
    assert counters["answer_lost"] == counters["reset_sent"] + counters["reset_failed"]
    far = hosts["sg"].counters()
    assert far["clone_sent"] + far["clone_failed"] == 3 * far["syn_cloned"]
    assert hosts["sg"].stats()["held"] == 0


def test_load():
    """Each allocation of loading the module fails once: it is refused, and can be
    loaded next time."""
    if kernel.loaded():
        kernel.unload()
    module = os.open(kernel.MODULE, os.O_RDONLY | os.O_CLOEXEC)
    loaded, refused = [], 0

    def load():
        if not _libc.syscall(_INIT_MODULE, module, b"", 0):
            loaded.append(True)
    nth, more = 0, True
    while more:
        nth += 1
        more = faults.nth(nth, load)
        if loaded:
            # What failed did not matter: a name in debugfs, say.
            loaded.clear()
            assert _libc.syscall(_DELETE_MODULE, b"wlb", 0) == 0
        else:
            refused += 1
        assert not kernel.loaded() and nth < 5000
    os.close(module)
    assert refused > 20
