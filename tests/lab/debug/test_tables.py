# SPDX-License-Identifier: GPL-2.0-only
"""Everything that a cache router, a cache's host and their processing go by changes under
running traffic, as their daemons may change it. Nobody loses a connection by that, but who has
to repeat his SYN meanwhile: the host may decide otherwise about the second."""

import random

from wlblab import netlink
from wlblab.farm import (CACHES, DST_IP, GRE, L2, PORTS, SRC_PORT, Assignment, Seen, group, rule)
from wlblab.processing import PASSING, RETURNED, process, shown
from wlblab.processing import rule as processing
from wlblab.traffic import Traffic


def assignment(farm, dice, family):
    """Whom each connection goes to, by hash or by mask; the members are always the same."""
    way = dice.choice((GRE, L2))
    members = [farm.member("k1", family), farm.member("k2", family, way, way),
               farm.member("k3", family)]
    dice.shuffle(members)
    if dice.randrange(2):
        return Assignment(members, bytes(dice.randrange(3) for _ in range(256)),
                          flags=DST_IP | SRC_PORT | PORTS)
    any_ = bytes(4 if family == 4 else 16)
    return Assignment(members, masks=[(any_, any_, 7, 0,
                                       {i: dice.randrange(3) for i in range(8)})], flags=PORTS)


def repeated_syns(host):
    names, values = (line.split() for line in host.out("cat", "/proc/net/netstat").splitlines()
                     if line.startswith("TcpExt:"))
    return int(dict(zip(names, values))["TCPSynRetrans"])


def test_tables(farm, k1):
    """Groups with a drain, assignments, doors, bypasses, shares and rules come and go, and are
    listed."""
    dice = random.Random(5)
    families = (4, 6)

    def groups():
        farm.set_groups(group(drain=600, rules=dice.choice(((), [rule(source="10.1.0.0/16")]))))

    def assign():
        family = dice.choice(families)
        farm.assign(family, assignment(farm, dice, family))

    def doors():
        k1.set(*(k1.door(family) for family in families), share=dice.choice((0, 500)))

    def bypass():
        family = dice.choice(families)
        k1.bypass(farm.origins[family][0], 600,
                  dice.choice((None, farm.client[family], farm.origins[family][1])))

    def rules():
        process(farm["r"], *(processing(on=PASSING | RETURNED, **dice.choice((
            {"dscp": 10}, {"tag": b"told"}, {"untag": True}))) for _ in range(dice.randrange(3))))

    def listed():
        with netlink.Wlb(farm["r"]) as ctl:
            for command in (netlink.GROUP_GET, netlink.ASSIGN_GET, netlink.CACHE_GET):
                ctl.request(command, dump=True)
        shown(farm["r"])
        k1.shown()
        k1.bypasses()
        k1.counters()
    steps = [groups, assign, assign, doors, bypass, k1.forget, rules, listed]
    groups()
    doors()
    before = repeated_syns(farm["c"])
    with k1.tproxy(), Traffic(Seen(farm)) as traffic:
        traffic.served_by(["s"])
        for family in families:
            farm.assign(family, assignment(farm, dice, family))
        traffic.served_by(CACHES)
        for _ in range(100):
            dice.choice(steps)()
        k1.forget()
        process(farm["r"])
        traffic.goes_on()
        traffic.served_by(CACHES)
    assert traffic.outcomes["wrong"] == 0
    assert traffic.lost() <= repeated_syns(farm["c"]) - before, traffic.outcomes
    counters = farm.counters()
    assert counters["redirect_gre"] and counters["redirect_l2"]
