# SPDX-License-Identifier: GPL-2.0-only
"""Which cache a packet goes to, by group, bucket, mask and redirect list; when there is none."""

import errno
import random
import time

import pytest

from wlblab import netlink, web
from wlblab.farm import (ALT, DST_IP, DYNAMIC, L2, NONE, ORIGINS, PORTS, PORTS_SRC, PROTO0,
                         SRC_PORT, STANDARD, Assignment, bucket, group, octets, redirect_headers,
                         rule)
from wlblab.host import wait_until


def test_subsets(farm, family):
    """C11: every subset of the four fields, primary and alternative."""
    farm.set_groups(group("web", DYNAMIC, 80))
    client = farm.client[family]
    dice = random.Random(family)
    for fields in range(1, 16):
        for alternative in (0, dice.randrange(1, 16)):
            table = [dice.randrange(2) | (ALT if alternative else 0) for _ in range(256)]
            farm.assign(family, Assignment(
                [farm.member("k1", family), farm.member("k2", family, L2, L2)], table,
                flags=fields | alternative << 8 | PORTS))
            origin, sport = dice.randrange(ORIGINS), dice.randrange(20000, 30000)
            index = bucket(alternative or fields, client, farm.origins[family][origin], sport, 80)
            expected = "k1" if table[index] & ~ALT == 0 else "k2"
            assert farm.who(family, origin, sport) == expected, (fields, alternative)


def test_alternative_header(farm, family):
    """The redirect header tells which buckets; only a flagged bucket asks the second."""
    flags = DST_IP | SRC_PORT << 8 | PORTS
    first = bucket(DST_IP, farm.client[family], farm.origins[family][0], 0, 0)
    second = bucket(SRC_PORT, farm.client[family], farm.origins[family][0], 20001, 0)
    table = [0] * 256
    table[first] = ALT
    table[second] = 1 | ALT
    farm.set_groups(group("web", DYNAMIC, 80))
    farm.assign(family, Assignment([farm.member("k1", family), farm.member("k2", family)], table,
                                   flags=flags))
    with farm["r"].capture("k2", "ip proto 47 or ip6 proto 47") as capture:
        assert farm.who(family, 0, 20001) == "k2"
    assert {h[:4] for h in redirect_headers(capture)} == {(3, 80, second, first)}
    table[second] = NONE
    farm.assign(family, Assignment([farm.member("k1", family), farm.member("k2", family)], table,
                                   flags=flags))
    assert farm.who(family, 0, 20001) == "s"
    assert farm.who(family, 1, 20001) == "k1"


def test_mask(farm, family):
    """R1 3.11.2 and 7: masks in order, the first with the packet's value decides; values
    are numbers of the bits that the mask selects."""
    size = 4 if family == 4 else 16
    nothing, low = bytes(size), bytes(size - 1) + b"\x03"
    members = [farm.member(name, family) for name in ("k1", "k2", "k3")]
    farm.set_groups(group("web", DYNAMIC, 80))
    # Source port 0x0005 in bits 0 and 1, destination's lowest two bits in 2 and 3.
    table = {number: number % 3 for number in range(16) if number != 9}
    farm.assign(family, Assignment(members, masks=[
        (nothing, nothing, 0x8000, 0, {1: 2}), (nothing, low, 0x0005, 0, table)], flags=PORTS))
    for sport, origin in ((20000, 0), (20001, 1), (20004, 2), (20005, 3), (20009, 4), (40000, 0)):
        last = octets(farm.origins[family][origin])[-1] & 3
        number = (sport & 1) | (sport >> 2 & 1) << 1 | last << 2
        expected = "k3" if sport & 0x8000 else \
            ("k1", "k2", "k3")[table[number]] if number in table else "s"
        assert farm.who(family, origin, sport) == expected, (sport, origin, number)
    # One mask without bits has one value: everything.
    farm.assign(family, Assignment(members, masks=[(nothing, nothing, 0, 0, {0: 1})],
                                   flags=PORTS))
    assert {farm.who(family, origin) for origin in range(4)} == {"k2"}


def test_services(farm, family):
    """Ports by destination and source, protocol 0, and who is asked first."""
    farm.set_groups(group("a", DYNAMIC, 90), group("b", STANDARD, 0), group("c", DYNAMIC, 80))
    farm.assign(family, farm.one("k1", family, priority=10), "a")
    farm.assign(family, farm.one("k2", family, priority=10), "b")
    farm.assign(family, farm.one("k3", family, priority=10), "c")
    assert farm.who(family) == "k2"         # standard services first
    farm.assign(family, None, "b")
    assert farm.who(family) == "k3"         # then the lower id
    farm.assign(family, farm.one("k1", family, priority=11), "a")
    assert farm.who(family) == "k1"         # but the priority before all
    farm.assign(family, farm.one("k1", family, priority=11, ports=(20, 21, 8080)), "a")
    assert farm.who(family) == "k3"
    farm.assign(family, farm.one("k1", family, priority=11, ports=(21000, 21001),
                                 flags=DST_IP | PORTS | PORTS_SRC), "a")
    assert farm.who(family, sport=21001) == "k1"
    assert farm.who(family, sport=21002) == "k3"
    farm.assign(family, farm.one("k1", family, priority=11, protocol=0, flags=DST_IP, ports=()),
                "a")
    assert farm.who(family) == "k1" and farm.datagram(family) == "k1"
    farm.assign(family, farm.one("k1", family, priority=11, protocol=0, flags=DST_IP | PROTO0,
                                 ports=()), "a")
    assert farm.who(family) == "k3" and farm.datagram(family) == "s"


def test_redirect_list(farm, family):
    """The first rule that matches decides, none denies; denied is the end of it, or with
    "check services all" the next service's turn."""
    length = 32 if family == 4 else 128
    any_ = "0.0.0.0/0" if family == 4 else "::/0"
    first, second, third = (f"{a}/{length}" for a in farm.origins[family][:3])
    rules = (rule(True, None, first), rule(False, f"{farm.client[family]}/{length}", second),
             rule(True, any_, second), rule(False, None, first))
    groups = (group("a", DYNAMIC, 1, rules=rules), group("b", DYNAMIC, 2))
    before = farm.counters()
    farm.set_groups(*groups)
    farm.assign(family, farm.one("k1", family, priority=2), "a")
    farm.assign(family, farm.one("k2", family, priority=1), "b")
    assert [farm.who(family, i) for i in range(3)] == ["s", "k1", "s"]
    assert farm.grown(before, "redirect_denied")[0] > 6
    farm.set_groups(*groups, check_all=True)
    assert [farm.who(family, i) for i in range(3)] == ["k2", "k1", "k2"]
    assert third


def test_closed(farm, family):
    """Without a cache a packet is forwarded, or dropped if the service is closed."""
    index = bucket(DST_IP, farm.client[family], farm.origins[family][0], 0, 0)
    table = bytes(NONE if i == index else 0 for i in range(256))
    before = farm.counters()
    farm.set_groups(group())
    farm.assign(family, Assignment([farm.member("k1", family)], table))
    assert (farm.who(family, 0), farm.who(family, 1)) == ("s", "k1")
    assert farm.grown(before, "redirect_unassigned", "redirect_closed")[1] == 0
    farm.set_groups(group(closed=True))
    assert farm.who(family, 1) == "k1"      # the group has kept its assignment
    with pytest.raises(TimeoutError):
        farm["c"].connect(farm.origins[family][0], 80, timeout=1.5)
    assert farm.grown(before, "redirect_closed")[0] >= 1
    # Nobody at all is a member.
    farm.assign(family, Assignment([], bytes([NONE] * 256)))
    with pytest.raises(TimeoutError):
        farm["c"].connect(farm.origins[family][1], 80, timeout=1.5)
    farm.set_groups(group())
    assert farm.who(family, 1) == "s"


def test_lease(farm, family):
    """Without a sign of life for the lease a group loses its assignments, unless it is closed,
    and what comes too late is told so. Each request of who looks after it is such a sign."""
    before = farm.counters()
    farm.set_groups(group(), group("tight", DYNAMIC, 9, closed=True), lease=1500)
    farm.assign(family, farm.one("k1", family))
    farm.assign(family, Assignment([], bytes([NONE] * 256), ports=(8080,)), "tight")
    for _ in range(4):
        time.sleep(0.75)
        farm.renew_lease()
    for _ in range(4):
        time.sleep(0.75)
        farm.assign(family, farm.one("k2", family))
    assert farm.who(family) == "k2"
    began = time.monotonic()
    wait_until("the group is idle", lambda: farm.who_now(family) == "s", 5)
    assert 1 < time.monotonic() - began < 2.5
    assert farm.grown(before, "lease_ended") == (1,)
    with pytest.raises(TimeoutError):
        farm["c"].connect(farm.origins[family][0], 8080, timeout=1.5)
    with pytest.raises(netlink.Refused) as refused:
        farm.renew_lease()
    assert refused.value.code == errno.ESTALE and "has ended" in refused.value.text
    farm.set_groups(group(), lease=1000)
    farm.renew_lease()
    farm.assign(family, farm.one("k1", family))
    farm.set_groups(group())
    with pytest.raises(netlink.Refused) as refused:
        farm.renew_lease()
    assert refused.value.code == errno.ENOENT
    time.sleep(1.5)
    assert farm.who(family) == "k1"         # no lease any more
    assert farm.grown(before, "lease_ended") == (1,)


def test_often(farm, family):
    """The daemon of many groups has many assignments to set: none waits until no packet looks at
    the one before, which takes some ticks of the clock."""
    farm.set_groups(group())
    took = []
    for cache in ("k1", "k2") * 20:
        began = time.monotonic()
        farm.assign(family, farm.one(cache, family))
        took.append(time.monotonic() - began)
    assert sorted(took)[2] < 0.004
    assert farm.who(family) == "k2"


def test_swap(farm, family):
    """A packet sees the old assignment or the new one: with the members' order and the
    buckets changed together a hundred times, every page is the same cache's."""
    farm.set_groups(group())
    k1, k2 = farm.member("k1", family), farm.member("k2", family)
    both = (Assignment([k1, k2], bytes(256)), Assignment([k2, k1], bytes([1] * 256)))
    farm.assign(family, both[0])
    child = farm["c"].popen("curl", "-s", "-H", "Connection: close",
                            web.url(farm.origins[family][0], "[1-100]"), stdout=-1)
    with netlink.Wlb(farm["r"]) as ctl:
        swaps = 0
        while child.poll() is None:
            farm.assign_by(ctl, family, both[(swaps := swaps + 1) % 2])
            time.sleep(0.002)       # with one processor the pages want some of it
    assert child.communicate()[0] == "k1\n" * 100
    assert swaps > 20


def test_elsewhere(farm, family):
    """A group of another interface, of higher priority, has no say."""
    farm.set_groups(group(), group("other", DYNAMIC, 90, into=("dmz0",)))
    farm.assign(family, farm.one("k1", family))
    farm.assign(family, farm.one("k2", family, priority=250), "other")
    assert [farm.who(family, i) for i in range(ORIGINS)] == ["k1"] * ORIGINS
