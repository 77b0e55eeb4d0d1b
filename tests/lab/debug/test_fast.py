# SPDX-License-Identifier: GPL-2.0-only
"""Long downloads by the fast path while all that it goes by changes: routes, neighbours, devices,
rules, services, flows, the gateway itself and the module. No byte is wrong, what is not torn down
goes on, and the fast path is taken again."""

import contextlib
import os
import pathlib
import random
import subprocess
import time

import pytest

from wlblab import kernel
from wlblab.host import wait_until
from wlblab.traffic import Downloads

ROUNDS = 3          # of all changes, each time in another order
WAYS = [("nat", None), ("spoof", "gre"), ("spoof", "ipip"), ("tunnel", "gre"), ("tunnel", "ipip")]
ROUTES = {4: ("10.1.1.0/24", "10.1.2.0/24", "10.9.1.0/24"),
          6: ("2001:db8:1:1::/64", "2001:db8:1:2::/64", "2001:db8:9:1::/64")}
LINKS = (("cg", "c1"), ("cg", "c2"), ("cg", "core"))
DEVICES = ("lan0", "lan1", "wan0")
COUNT = """table inet some {
    chain forward {
        type filter hook forward priority filter
        ct state invalid counter
    }
}"""


def routes():
    """How many of IPv4's are there, of all namespaces."""
    lines = pathlib.Path("/proc/net/stat/rt_cache").read_text(encoding="ascii").splitlines()
    return int(lines[1].split()[0], 16)


@pytest.fixture
def no_route_lost():
    """kmemleak finds none of those that nobody has let go of: the kernel has a list of them. What
    is left of broken connections holds some, for two minutes at most."""
    before = routes()
    yield
    wait_until("all routes are gone", lambda: routes() <= before, timeout=300, step=2)


@pytest.fixture
def net(no_route_lost, module, make_t0):
    net = make_t0(delays=False, replicas=2)
    net.own_origin()
    configure(net)
    net.warm_up()
    net.netem("s", "sg", "delay 100ms")     # a replica wins
    spread(net)
    for name in net.servers + net.replicas:
        # What is left of broken connections keeps its namespace for so long.
        net[name].sysctl(net__ipv4__tcp_orphan_retries=1)
    return net


def configure(net, way=WAYS[0], **kwargs):
    mode, via = way
    net.configure(served={"return_": mode, **({"via": via} if via else {})}, **kwargs)


def spread(net):
    """Packets that come to the gateway are everybody's."""
    if os.cpu_count() > 1:
        for device in DEVICES:
            # ip netns exec gives it the sysfs of its namespace.
            net["cg"].run("ip", "netns", "exec", "cg", "sh", "-c",
                          f"echo {(1 << os.cpu_count()) - 1:x} >"
                          f"/sys/class/net/{device}/queues/rx-0/rps_cpus")


def fast(net, downloads):
    """Waits until they take the fast path, each with some packets."""
    cg = net.wlb("cg")
    wanted = cg.counters()["fast"] + 200 * downloads.parallel
    downloads.until("the fast path is taken", lambda: cg.counters()["fast"] >= wanted)


@contextlib.contextmanager
def downloading(net):
    with Downloads(net) as downloads:
        fast(net, downloads)
        yield downloads
    found = downloads.counts
    print(found)
    assert found["wrong"] == 0, found


def test_changes(net):
    """What tears nothing down breaks no download."""
    dice = random.Random(23)
    cg, ctl = net["cg"], net.wlb("cg")
    tearing = 0

    def route():
        family = dice.choice((4, 6))
        at = dice.randrange(3)
        metric = () if family == 4 else ("metric", 256)
        cg.run("ip", f"-{family}", "route", "replace", ROUTES[family][at], "dev", DEVICES[at],
               *metric, "mtu", dice.choice((1300, 1500)))

    def hole():
        """No way to somebody, for a moment."""
        family = dice.choice((4, 6))
        who = net.address[dice.choice((*net.clients, *net.replicas)), family]
        cg.run("ip", "route", "add", "blackhole", who)
        time.sleep(0.1)
        cg.run("ip", "route", "del", "blackhole", who)

    def other_way():
        family = dice.choice((4, 6))
        via = {4: "10.9.1.2", 6: "2001:db8:9:1::2"}[family]
        length = {4: 32, 6: 128}[family]
        cg.run("ip", "route", dice.choice(("replace", "del")),
               f"{net.address[dice.choice(net.replicas), family]}/{length}", "via", via,
               check=False)

    def neighbours():
        cg.run("ip", "neigh", "flush", "dev", dice.choice(DEVICES))

    def neighbour():
        at = dice.randrange(2)
        cg.run("ip", "neigh", "del", net.address[net.clients[at], dice.choice((4, 6))], "dev",
               DEVICES[at], check=False)

    def size():
        """At both ends: what is longer than the other end takes is lost without a word."""
        at, mtu = dice.choice(LINKS), dice.choice((1400, 1500))
        for ends in (at, reversed(at)):
            host, peer = ends
            net[host].run("ip", "link", "set", net.device(host, peer), "mtu", mtu)

    def cable():
        host, peer = dice.choice((*LINKS, ("core", "cg")))
        net.link_down(host, peer)
        net.link_up(host, peer)

    def offloads():
        net.offloads(dice.choice(("on", "off")))

    def rules():
        if dice.randrange(2):
            cg.run("nft", "-f", "-", stdin=COUNT)
        else:
            cg.run("nft", "flush", "ruleset")

    def setting():
        ctl.apply(net.config(service={"fastpath": dice.choice(("auto", "on", "off"))},
                             timeouts={"established": dice.choice(("60s", "600s"))})["cg"])

    def way():
        """A replica that has turned to nat carries nobody by tunnel any more; who begins before
        the next host has turned too is torn again."""
        nonlocal tearing
        tearing += 2
        configure(net, dice.choice(WAYS))

    def service():
        ctl.run("service", "del", "web", check=False)
        setting()

    def flush():
        nonlocal tearing
        tearing += 1
        ctl.run("flow", "flush")

    def role():
        nonlocal tearing
        tearing += 1
        ctl.apply("")
        setting()
    steps = [route, hole, other_way, neighbours, neighbour, size, cable, offloads, rules, setting,
             way, service, flush, role, ctl.flows, ctl.stats]
    with downloading(net) as downloads:
        for _ in range(ROUNDS):
            for step in dice.sample(steps, len(steps)):
                step()
            downloads.go_on()
            ctl.apply(net.config()["cg"])
            fast(net, downloads)
        found = downloads.counts
        assert found["broken"] <= tearing * downloads.parallel, found
        downloads.until("one is whole", lambda: downloads.counts["whole"] > found["whole"])


def test_module(net):
    """The module goes under them, and comes back."""
    cycles = 4
    with downloading(net) as downloads:
        for cycle in range(cycles):
            kernel.unload()
            downloads.go_on()
            kernel.load()
            configure(net, WAYS[cycle % len(WAYS)])
            fast(net, downloads)
        # What was carried when the module went, no more.
        found = downloads.counts
        assert found["broken"] <= cycles * downloads.parallel, found


@pytest.mark.parametrize("ends", [("cg", "core"), ("cg", "c1")], ids=":".join)
def test_device(net, ends):
    """A device goes for good, with the routes by it, and another one has its name."""
    device, peer_device = net.device(*ends), net.device(*reversed(ends))
    with downloading(net) as downloads:
        for way in (WAYS[0], WAYS[3]):
            configure(net, way)
            net["cg"].run("ip", "link", "del", device)
            subprocess.run(["ip", "link", "add", device, "netns", ends[0], "type", "veth",
                            "peer", "name", peer_device, "netns", ends[1]], check=True)
            for host in ends:
                net.restore(host)
            spread(net)
            fast(net, downloads)


def test_namespace(net):
    """The gateway is gone from one moment to the next; then the module."""
    with downloading(net):
        subprocess.run(["ip", "netns", "del", "cg"], check=True)
    del net.hosts["cg"]
    for host in net.hosts.values():
        host.close()
    kernel.unload()
