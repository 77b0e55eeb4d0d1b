# SPDX-License-Identifier: GPL-2.0-only
"""Memory fails: packets still pass, requests fail whole, the module loads or does not."""

import ctypes
import errno
import os
import subprocess

import pytest

from wlblab import faults, kernel, netlink, wlb
from wlblab.ghosts import Counted
from wlblab.host import Host, wait_until
from wlblab.netlink import (BUSY, BUSY_SET, CLIENT_GATEWAY, CONF_GET, CONF_SET, FLOW, FLOW_FLUSH,
                            FLOW_GET, NAME, ORIGIN, RACE_GET, ROLE_CG, ROLE_REPLICA, ROLE_SG, ROLES,
                            SERVED, SERVICE, STATS_GET, address, attr, prefix, u8, u16s)
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


def test_short_of_memory(net):
    """One of 50 allocations for a packet fails, in the module and all around it: what
    is lost is repeated, the books balance, and nothing remains of it."""
    net.configure(race="equal", timeouts={"racing": "10s", "tombstone": "10s",
                                          "established": "20s", "closing": "5s", "reset": "5s"})
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
    assert grown["cg"]["translate_failed"] > 0
    wait_until("every entry has ended", lambda: not hosts["cg"].stats()["flows"], 60, step=1)
    stats = hosts["cg"].stats()
    counters = stats["counters"]
    assert wlb.unaccounted(stats) == 0 and stats["racing"] == 0
    assert counters["answer_lost"] == counters["reset_sent"] + counters["reset_failed"]
    far = hosts["sg"].counters()
    assert far["clone_sent"] + far["clone_failed"] == 3 * far["syn_cloned"]
    assert hosts["sg"].stats()["held"] == 0


def requests(n):
    """Every request there is, the big ones filled."""
    servers = [address(2, "203.0.113.10"), address(2, "203.0.113.11")]
    service = attr(SERVICE, [attr(1, "web"), u16s(2, 80, 443), prefix(4, "198.51.100.0/24"),
                             prefix(6, f"10.{n % 256}.0.0/16")])
    origin = attr(ORIGIN, [
        attr(1, "www"), *servers, u16s(3, 80, 443), u8(4, 1),
        *(attr(6, [address(1, f"198.51.100.{i}"), u8(2, i % 2), attr(3, i * 1000)])
          for i in range(1, 9))])
    served = attr(SERVED, [attr(1, "www"), *servers, u16s(3, 80), address(4, "198.51.100.2"),
                           prefix(5, "10.9.2.1/32")])
    every = [attr(CLIENT_GATEWAY, [attr(1, "lo")]), service, origin, served]
    return {
        "set": (CONF_SET, [attr(ROLES, ROLE_CG | ROLE_SG | ROLE_REPLICA), *every], False),
        "get": (CONF_GET, [], True),
        "busy": (BUSY_SET, [u8(BUSY, n % 2), attr(NAME, "www")], False),
        "flows": (FLOW_GET, [], True),
        "flush": (FLOW_FLUSH, [attr(FLOW, [address(1, "10.0.0.1")])], False),
        "stats": (STATS_GET, [], False),
        "races": (RACE_GET, [], True),
        "unset": (CONF_SET, [attr(ROLES, ROLE_CG | ROLE_SG | ROLE_REPLICA)], False),
    }


@pytest.fixture
def lone(module):
    """Makes a namespace of one's own, each time a new one."""
    made = []

    def make():
        made.append(Host(f"lone{len(made)}"))
        subprocess.run(["ip", "netns", "add", made[-1].name], check=True)
        return made[-1]
    yield make
    for host in made:
        subprocess.run(["ip", "netns", "del", host.name], check=True)


def refusal(host, request):
    """What came of the request: None (it was done), "refused", or "unknown" if the
    kernel had no memory to tell. One system call, then the answer."""
    result = {}

    def act():
        try:
            asked.send(*request)
        except OSError as error:
            assert error.errno in (errno.ENOMEM, errno.ENOBUFS), error
            result["is"] = "refused"

    def answer():
        if result:
            return result["is"]
        try:
            asked.replies()
        except netlink.Refused as refused:
            assert refused.code in (errno.ENOMEM, errno.ENOBUFS, errno.EMSGSIZE), refused
            return "refused"
        except (TimeoutError, OSError):
            return "unknown"
        return None
    with netlink.Wlb(host) as asked:
        asked.timeout(1)
        yield act
        yield answer()


@pytest.mark.parametrize("what", list(requests(0)))
def test_request(lone, what):
    """Each allocation of each request fails once: it is refused as such, or went well
    in spite of it; one that is refused has changed nothing."""
    # A first configuration makes what stays, so each try needs a namespace without.
    host = None
    results = []
    nth, more = 0, True
    while more:
        nth += 1
        if what == "set" or not host:
            host = lone()
        with netlink.Wlb(host) as ctl:
            if what != "set":
                ctl.request(*requests(nth)["set"])
            before = ctl.configuration()
            attempt = refusal(host, requests(nth)[what])
            more = faults.nth(nth, next(attempt))
            results.append(next(attempt))
            attempt.close()
            if results[-1] == "refused":
                assert ctl.configuration() == before
            ctl.request(*requests(nth)[what])
        assert nth < 1000
    # At the end nothing was left to fail.
    assert results[-1] is None and "refused" in results, results


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
