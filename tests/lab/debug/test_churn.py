# SPDX-License-Identifier: GPL-2.0-only
"""Everything changes under running traffic. Connections that the change tears down may
be lost; nobody gets a wrong page, new connections go on, and the kernel says nothing."""

import random
import subprocess

import pytest

from wlblab import kernel, netlink
from wlblab.netlink import CONFIGURED, NAME, REPLICA, REPLICA_SET, attr
from wlblab.traffic import Traffic


@pytest.fixture
def net(module, make_t0):
    net = make_t0()
    net.configure(race="equal")
    net.warm_up()
    return net


def test_module(net):
    """W113: the module goes and comes back."""
    cycles = 8
    with Traffic(net) as traffic:
        for _ in range(cycles):
            traffic.served_by(net.replicas)
            kernel.unload()
            traffic.served_by(net.servers)
            traffic.goes_on()
            kernel.load()
            net.configure(race="equal")
        traffic.goes_on()
    assert traffic.outcomes["wrong"] == 0
    # What was carried when the module went, no more.
    assert traffic.lost() <= cycles * traffic.parallel, traffic.outcomes


@pytest.mark.parametrize("victim", ["cg", "sg", "r1"])
def test_namespace(net, victim):
    """A host is gone from one moment to the next; then the others, then the module."""
    with Traffic(net) as traffic:
        traffic.served_by(net.replicas)
        subprocess.run(["ip", "netns", "del", victim], check=True)
        del net.hosts[victim]
        if victim == "r1":
            traffic.served_by(net.replicas)
    assert traffic.outcomes["wrong"] == 0
    for host in net.hosts.values():
        host.close()
    kernel.unload()


@pytest.mark.parametrize("link", [("cg", "core"), ("sg", "core"), ("r1", "core"), ("sg", "s")],
                         ids=":".join)
def test_device(net, link):
    """A device goes down and comes back, with packets held and flows carried by it."""
    with Traffic(net) as traffic:
        for _ in range(3):
            traffic.served_by(net.replicas)
            net.link_down(*link)
            if link == ("r1", "core"):
                traffic.goes_on()
            net.link_up(*link)
        traffic.goes_on()
        traffic.served_by(["r1"])
    assert traffic.outcomes["wrong"] == 0


@pytest.mark.parametrize("host,device,addresses", [
    ("cg", "wan0", ["10.9.1.1/24", "2001:db8:9:1::1/64"]),
    ("sg", "wan0", ["10.9.2.1/24", "2001:db8:9:2::1/64"]),
    ("r1", "wan0", ["198.51.100.2/28", "2001:db8:b:1::10/64"])], ids=["cg", "sg", "r1"])
def test_addresses(net, host, device, addresses):
    """Addresses go that carry flows, clones and answers, and come back."""
    with Traffic(net) as traffic:
        for _ in range(3):
            traffic.served_by(["r1"])
            for address in addresses:
                net[host].run("ip", "address", "del", address, "dev", device)
            if host == "r1":
                traffic.goes_on()
            net.restore(host)
        traffic.goes_on()
        traffic.served_by(["r1"])
    assert traffic.outcomes["wrong"] == 0


def test_configuration(net):
    """Roles, services, origins, replicas come and go, are listed and flushed, while
    pages are loaded. New connections never notice."""
    dice = random.Random(7)
    raw, equal = net.config(race="raw"), net.config(race="equal")
    only4 = net.config(race="raw", families=(4,), ports=(80,), via="ipip")
    cg, sg = net.wlb("cg"), net.wlb("sg")
    tearing = 0

    def apply(host):
        nonlocal tearing
        text = dice.choice((raw, equal, only4, {}, {})).get(host, "")
        tearing += host == "cg" and not text
        net.wlb(host).apply(text)

    def flush():
        nonlocal tearing
        tearing += 1
        cg.run("flow", "flush")
    steps = [lambda: apply("cg"), lambda: apply("sg"), lambda: apply("r1"), lambda: apply("r2"),
             lambda: net.wlb("r3").run("replica", "busy", dice.choice(("on", "off")), check=False),
             lambda: cg.run("service", "del", "web", check=False),
             lambda: sg.run("origin", "del", "www6", check=False),
             flush, cg.flows, cg.races, cg.stats, lambda: sg.run("save")]
    with Traffic(net) as traffic:
        for _ in range(60):
            dice.choice(steps)()
        net.configure(race="equal")
        traffic.goes_on()
        traffic.served_by(net.replicas)
    outcomes = traffic.outcomes
    assert outcomes["wrong"] == outcomes["refused"] == outcomes["unsent"] == 0
    assert traffic.lost() <= tearing * traffic.parallel, outcomes


def test_direct(net):
    """Race mode direct, with a preference, cookies, limits, and replicas that a daemon sets: what
    is learned is listed, forgotten, too old and learned anew while pages are loaded. Nobody
    notices."""
    dice = random.Random(11)
    cg = net.wlb("cg")

    def configure(fan_out, learned, sticky=0, cookie="1h"):
        net.configure(race="raw", timeouts={"untagged": "5s", "learned": f"{learned}s"},
                      service={"race": "direct", "explore": "1s", "sticky": f"{sticky}s",
                               "fan-out": fan_out},
                      origin={"cookie": cookie, "clones-per-prefix": 1000})

    def replicas():
        family = dice.choice((4, 6))
        chosen = dice.sample(net.replicas, dice.randrange(3))
        ctl.request(REPLICA_SET, [attr(NAME, f"www{family}"), *(
            attr(REPLICA, [netlink.address(1, net.address[r, family]),
                           attr(3, dice.randrange(1000))]) for r in chosen)])

    def configured():
        ctl.request(REPLICA_SET, [attr(NAME, f"www{dice.choice((4, 6))}"), attr(CONFIGURED, b"")])
    steps = [lambda: configure(dice.randint(1, 3), dice.choice((1, 600)), dice.choice((0, 2)),
                               dice.choice(("3s", "1h"))),
             replicas, configured,
             lambda: net.wlb("r1").run("replica", "busy", dice.choice(("on", "off"))),
             lambda: cg.run("race", "forget", net.address["s", dice.choice((4, 6))]),
             lambda: cg.json("race", "learned"), lambda: cg.json("race", "learned"),
             cg.races, cg.flows, cg.stats, lambda: net.wlb("sg").run("save")]
    configure(2, 600)
    with netlink.Wlb(net["sg"]) as ctl, Traffic(net) as traffic:
        traffic.served_by(net.replicas)
        for _ in range(60):
            dice.choice(steps)()
        configure(2, 600)
        net.wlb("r1").run("replica", "busy", "off")
        traffic.goes_on()
        traffic.served_by(net.replicas)
    assert traffic.lost() == 0, traffic.outcomes
    cg.run("race", "forget")
    counters = cg.counters()
    assert counters["learned_new"] == sum(counters[f"learned_{why}"] for why in (
        "full", "expired", "flushed"))
    assert counters["syn_direct"] > 0 and counters["cookie_kept"] > 0
    assert not counters["direct_failed"] and not counters["learned_failed"]
