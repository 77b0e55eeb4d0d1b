# SPDX-License-Identifier: GPL-2.0-only
"""What a cache router's daemon tells the module: kept, told back, refused by name."""

import errno
import struct
import time

import pytest

from wlblab import netlink
from wlblab.farm import DYNAMIC, PORTS, Assignment, group, rule
from wlblab.host import wait_until
from wlblab.netlink import attr, u8


def group_dump(farm):
    with netlink.Wlb(farm["r"]) as ctl:
        return [netlink.values(reply)[netlink.GROUP]
                for reply in ctl.request(netlink.GROUP_GET, dump=True)[1:]]


def assignment_dump(farm):
    """[(name, family, attributes of the assignment, values as bytes)]"""
    found = []
    with netlink.Wlb(farm["r"]) as ctl:
        for reply in ctl.request(netlink.ASSIGN_GET, dump=True):
            top = netlink.values(reply)
            if netlink.ASSIGNMENT in top:
                found.append([top[netlink.NAME], top[netlink.FAMILY][0],
                              list(netlink.attributes(top[netlink.ASSIGNMENT])), b""])
            else:
                assert found[-1][:2] == [top[netlink.NAME], top[netlink.FAMILY][0]]
                found[-1][3] += top[netlink.VALUES]
    return found


def stats_of(dumped):
    return {kind: struct.unpack("=Q", value)[0]
            for kind, value in netlink.values(netlink.values(dumped)[13]).items() if value}


def test_kept(farm):
    """A daemon that starts anew finds all of it; a group keeps its counters and a cache
    its own as long as they stay."""
    values = {n * 7: n % 2 for n in range(5000)}
    extra = (netlink.address(9, "10.2.0.11"), attr(10, 77), attr(11, 78), attr(12, bytes(4096)))
    mask = (b"\0\xff\xff\xff", b"\0\0\0\xff", 0, 0, values)
    mapping = Assignment([farm.member("k1", 4), farm.member("k2", 4)], masks=[mask, mask],
                         extra=extra, flags=PORTS, ports=(8080,))
    farm.set_groups(group(rules=[rule(True, "10.9.0.0/16")] * 200), group("b", DYNAMIC, 3))
    farm.assign(4, mapping, "b")
    farm.assign(4, farm.one("k1", 4, priority=1))
    farm.assign(6, farm.one("k1", 6))
    dumped = assignment_dump(farm)
    assert [(d[0], d[1]) for d in dumped] == [(b"web\0", 2), (b"web\0", 10), (b"b\0", 2)]
    sent = b"".join(v[4:] for v in mapping.values())
    assert dumped[2][3] == sent and len(sent) == 80000
    sent = netlink.values(mapping.nest()[4:])
    got = {kind: value for _, kind, value in dumped[2][2]}
    for kind in (1, 2, 3, 4, 5, 9, 10, 11, 12):
        assert got[kind] == sent[kind], kind
    assert len(group_dump(farm)) == 2

    assert farm.who(4) == "s"       # 200 rules, and none permits
    # Earlier tests' connections may still have something to say, to other origins.
    own = [rule(destination=f"{farm.origins[4][-1]}/32")]
    farm.set_groups(group(rules=own))
    assert farm.who(4, -1) == "k1"
    wait_until("the page's last packets", lambda: rests(farm))
    one, = group_dump(farm)
    gre = stats_of(one)[1]
    assert gre > 3 and stats_of(one)[5] > 3
    count = member_packets(farm, 0)
    assert count == gre
    farm.assign(4, Assignment([farm.member("k2", 4), farm.member("k1", 4)], bytes([1] * 256)))
    assert member_packets(farm, 1) == count
    farm.set_groups(group("renamed", rules=own))
    assert stats_of(group_dump(farm)[0])[1] == gre
    assert farm.who(4, -1) == "k1"
    farm.set_groups(group(number=1))
    assert not assignment_dump(farm) and stats_of(group_dump(farm)[0])[1] == 0


def rests(farm):
    """Is no more redirected?"""
    before = farm.counters()["redirect_gre"]
    time.sleep(0.3)
    return farm.counters()["redirect_gre"] == before


def member_packets(farm, index):
    members = [value for _, kind, value in assignment_dump(farm)[0][2] if kind == 6]
    return struct.unpack("=Q", netlink.values(members[index])[4])[0]


def test_refused(farm):
    """What is wrong is refused by name, and changes nothing."""
    farm.set_groups(group())
    good = farm.one("k1", 4)
    farm.assign(4, good)
    k1 = farm.member("k1", 4)

    def groups(*attrs):
        return netlink.GROUP_SET, list(attrs)

    def assign(assignment, family=2, name="web"):
        return netlink.ASSIGN_SET, [attr(7, name), u8(19, family), assignment.nest(),
                                    *assignment.values()]

    def masked(*masks):
        return assign(Assignment([k1], masks=masks))

    zero = bytes(4)
    name, kind, number = attr(1, "x"), u8(2, 0), u8(3, 0)
    wide = group(rules=[rule(True, "10.0.0.0/8")] * 513)
    mixed = attr(7, [netlink.prefix(2, "10.0.0.0/8"), netlink.prefix(3, "2001:db8::/32")])
    for (command, attrs), path, text in (
            (groups(attr(18, [name, kind])), (18,), "needs name, type and id"),
            (groups(group(), group(number=1)), (18,), "given twice"),
            (groups(group("a"), group("b")), (18,), "one type and id"),
            (groups(group("a b")), (18, 1), "letters"),
            (groups(group(into=("a/b",))), (18, 4), "interface"),
            (groups(*(group(f"g{i}", DYNAMIC, i, into=[f"e{i}"]) for i in range(65))),
             (18, 4), "at most 64"),
            (groups(wide), (18,), "at most 512"),
            (groups(attr(18, [name, kind, number, mixed])), (18, 7), "one address family"),
            (groups(attr(18, [name, kind, number, netlink.address(10, "2001:db8::1")])),
             (18, 10), "its family"),
            (groups(attr(18, [name, u8(2, 2), number])), (18, 2), "range"),
            (groups(attr(18, [name, kind, number, attr(12, 28801)])), (18, 12), "range"),
            (groups(attr(17, [attr(2, 3600001)]), group()), (17, 2), "range"),
            (groups(attr(17, [attr(2, 999)]), group()), (17, 2), "range"),
            (assign(good, name="nobody"), (7,), "of no group"),
            (assign(good, family=3), (19,), "family"),
            (assign(farm.one("k1", 6)), (20, 6, 1), "family"),
            (assign(Assignment([k1, k1], bytes(256))), (20, 6, 1), "given twice"),
            (assign(Assignment([k1], bytes([1] * 256))), (20, 7), "a member's number"),
            (assign(Assignment([k1], bytes(255))), (20, 7), ""),
            (assign(Assignment([("224.0.0.1", 0, 0)], bytes(256))), (20, 6, 1), "one host"),
            (assign(Assignment([(f"10.2.1.{i}", 0, 0) for i in range(33)], bytes(256))),
             (20, 6), "at most 32"),
            (assign(Assignment([k1], bytes(256), masks=[(zero, zero, 1, 0, {})])), (20, 8),
             "not of this method"),
            (masked((b"\xff" * 4, b"\xff" * 4, 1, 0, {})), (20, 8), "at most 32 bits"),
            (masked((bytes(16), zero, 1, 0, {})), (20, 8, 1), "addresses"),
            (masked(*[(zero, zero, 1, 0, {})] * 65), (20,), "at most 64"),
            (masked((zero, zero, 1, 0, {2: 0})), (21,), "a mask and a member"),
            (masked((zero, zero, 1, 0, {0: 1})), (21,), "a mask and a member"),
            ((netlink.ASSIGN_SET, [attr(7, "web"), u8(19, 2), attr(21, bytes(8))]), (21,),
             "of no assignment"),
            ((netlink.ASSIGN_SET, [attr(7, "web")]), (), "name and family"),
            ((netlink.ASSIGN_SET, [attr(7, "web"), u8(19, 2), attr(20, [u8(1, 1)])]), (20,),
             "needs priority"),
            ((netlink.ASSIGN_SET, [*assign(Assignment([k1], masks=[(zero, zero, 1, 0, {})]))[1],
                                   attr(21, struct.pack("=IBBHIBBH", 1, 0, 0, 0, 0, 0, 0, 0))]),
             (21,), "ascending")):
        with netlink.Wlb(farm["r"]) as ctl, pytest.raises(netlink.Refused) as refused:
            ctl.request(command, attrs)
        assert refused.value.path == path and text in refused.value.text, refused.value
        assert refused.value.code == (errno.ENOENT if "of no group" in text else
                                      errno.ERANGE if "range" in refused.value.text else
                                      errno.EINVAL)
        assert farm.who(4) == "k1"


def test_devices_come_and_go(farm):
    """Interfaces are names: one that is made later, or is called so later, counts."""
    farm.set_groups(group(into=("late0",)))
    farm.assign(4, farm.one("k1", 4))
    assert farm.who(4) == "s"
    r = farm["r"]
    for name in ("late0", "lan0"):
        old = "lan0" if name == "late0" else "late0"
        r.run("ip", "link", "set", old, "down")
        r.run("ip", "link", "set", old, "name", name)
        r.run("ip", "link", "set", name, "up")
        wait_until("the link is up", lambda n=name: "LOWER_UP" in r.out("ip", "link", "show", n))
        assert farm.who(4) == ("k1" if name == "late0" else "s")
