# SPDX-License-Identifier: GPL-2.0-only
"""Memory fails for a request: it fails whole, or is done in spite of it."""

import errno
import subprocess

import pytest

from wlblab import faults, netlink
from wlblab.farm import DYNAMIC, FORWARD, GRE, L2, Assignment, group, rule
from wlblab.host import Host
from wlblab.netlink import (ASSIGN_GET, ASSIGN_SET, BUSY, BUSY_SET, BYPASS, BYPASS_ADD, BYPASS_DEL,
                            BYPASS_GET, CACHE, CACHE_GET, CACHE_SET, CLIENT_GATEWAY, CONF_GET,
                            CONF_SET, FAMILY, FLOW, FLOW_FLUSH, FLOW_GET, FLOW_NEW, GROUP_GET,
                            GROUP_SET, LEARNED_FLUSH, LEARNED_GET, LEASE_RENEW, NAME, ORIGIN,
                            PROCESS, PROCESS_GET, PROCESS_SET, RACE_GET, REPLICA, REPLICA_GET,
                            REPLICA_SET, ROLE_CG, ROLE_REPLICA, ROLE_SG, ROLES, ROUTER, SERVED,
                            SERVICE, STATS_GET, address, attr, prefix, u8, u16s)
from wlblab.processing import PASSING
from wlblab.processing import rule as process_rule

# What a request needs to be there. One that needs nothing makes what stays for as long as its
# namespace, so each try has a new one.
AFTER = {"hash": ["groups"], "masks": ["groups"], "lease": ["groups", "hash"],
         "bypass": ["cache"], "bypass again": ["cache", "bypass"], "forget": ["cache", "bypass"],
         **dict.fromkeys(("get", "busy", "flows", "flush", "stats", "races", "replicas", "learned",
                          "relearn", "unset"), ["set"]),
         "flow": ["set"], "replicas get": ["set", "replicas"],
         "groups get": ["groups"], "hash get": ["groups", "hash"],
         "masks get": ["groups", "masks"], "cache get": ["cache"],
         "bypass get": ["cache", "bypass"], "process get": ["process"]}


def wide_area(n):
    """Requests of gateways and replicas, as in requests()."""
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
    flow = [address(1, "10.1.1.9"), u16s(2, 20000 + n), address(3, "203.0.113.10"), u16s(4, 80),
            address(5, "198.51.100.2"), u8(6, 1), attr(7, 60000), attr(8, 1), u8(9, 0),
            *(attr(kind, kind) for kind in range(11, 15)), u8(15, 0), u16s(16, 0)]
    return {
        "set": (CONF_SET, [attr(ROLES, ROLE_CG | ROLE_SG | ROLE_REPLICA), *every], False),
        "get": (CONF_GET, [], True),
        "busy": (BUSY_SET, [u8(BUSY, n % 2), attr(NAME, "www")], False),
        "flow": (FLOW_NEW, [attr(FLOW, flow)], False),
        "flows": (FLOW_GET, [], True),
        "flush": (FLOW_FLUSH, [attr(FLOW, [address(1, "10.0.0.1")])], False),
        "stats": (STATS_GET, [], False),
        "races": (RACE_GET, [], True),
        "replicas": (REPLICA_SET, [attr(NAME, "www"), *(
            attr(REPLICA, [address(1, f"198.51.100.{n % 200 + i}")]) for i in range(1, 9))], False),
        "replicas get": (REPLICA_GET, [], True),
        "learned": (LEARNED_GET, [], True),
        "relearn": (LEARNED_FLUSH, [], False),
        "unset": (CONF_SET, [attr(ROLES, ROLE_CG | ROLE_SG | ROLE_REPLICA)], False),
    }


def requests(n):
    """{name: (command, attributes, is it a dump?)} of every request there is, the big ones filled;
    another n changes what is in them."""
    def assign(name, what):
        return ASSIGN_SET, [attr(NAME, name), u8(FAMILY, 2), what.nest(), *what.values()], False
    members = [(f"198.51.100.{i}", (GRE, L2)[i % 2], GRE) for i in range(1, 33)]
    mask = (bytes(4), bytes([0, 0, 0, 63]), 0, 0, {i: (i + n) % 32 for i in range(64)})
    doors = [attr(1, [address(1, a), u8(2, GRE), u8(3, GRE), u8(4, 0), u8(5, 0)])
             for a in ("198.51.100.1", "2001:db8::1")]
    pair = [address(1, "10.1.1.2"), address(2, f"203.0.113.{n % 250 + 1}")]
    return {
        **wide_area(n),
        "groups": (GROUP_SET, [
            attr(ROUTER, [attr(2, 600000)]),
            group("web", into=["lo"], rules=[rule(True, f"10.{n % 256}.0.0/16")]),
            group("video", DYNAMIC, 80, into=["lo"], out=["lo"], hook=FORWARD, drain=5)], False),
        "groups get": (GROUP_GET, [], True),
        "hash": assign("web", Assignment(members, [(i + n) % 32 for i in range(256)])),
        "hash get": (ASSIGN_GET, [], True),
        "masks": assign("video", Assignment(members, masks=[mask])),
        "masks get": (ASSIGN_GET, [], True),
        "lease": (LEASE_RENEW, [], False),
        "cache": (CACHE_SET, [attr(CACHE, [
            *doors, attr(2, [rule(True, f"10.{n % 256}.0.0/16")[4:]]), attr(3, n % 1000),
            attr(4, 7), u16s(6, 3129)])], False),
        "cache get": (CACHE_GET, [], True),
        "bypass": (BYPASS_ADD, [attr(BYPASS, [*pair, attr(3, 600000)])], False),
        "bypass again": (BYPASS_ADD, [attr(BYPASS, [*pair, attr(3, 60000)])], False),
        "bypass get": (BYPASS_GET, [], True),
        "forget": (BYPASS_DEL, [attr(BYPASS, pair)], False),
        "process": (PROCESS_SET, [attr(PROCESS, [
            process_rule(source=f"10.{n % 256}.0.0/16", dscp=46, tag=b"abc"),
            process_rule(on=PASSING, destination="10.0.0.0/8", copy=5),
            process_rule(proto=6, rewrite="10.9.9.9")])], False),
        "process get": (PROCESS_GET, [], True),
    }


def there_is(ctl):
    """All that requests change, but for what is left of times."""
    dumps = [ctl.request(command, dump=True) for command in
             (GROUP_GET, ASSIGN_GET, CACHE_GET, PROCESS_GET, REPLICA_GET)]
    timed = [len(ctl.request(command, dump=True)) for command in (FLOW_GET, BYPASS_GET)]
    return ctl.configuration(), dumps, timed


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
    host = None
    results = []
    nth, more = 0, True
    while more:
        nth += 1
        if what not in AFTER or not host:
            host = lone()
        with netlink.Wlb(host) as ctl:
            for needed in AFTER.get(what, ()):
                ctl.request(*requests(nth)[needed])
            before = there_is(ctl)
            attempt = refusal(host, requests(nth)[what])
            more = faults.nth(nth, next(attempt))
            results.append(next(attempt))
            attempt.close()
            if results[-1] == "refused":
                assert there_is(ctl) == before
                ctl.request(*requests(nth)[what])
        assert nth < 1000
    # At the end nothing was left to fail.
    assert results[-1] is None and "refused" in results, results
