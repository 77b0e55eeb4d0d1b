# SPDX-License-Identifier: GPL-2.0-only
"""The cache router's data plane: what goes to a cache, how, and what comes back. Groups
and assignments are this file's own words to the module; no daemon runs."""

import errno
import hashlib
import json
import os
import random
import socket
import struct
import time

import pytest

from wlblab import netlink, packets, web
from wlblab.farm import (ALT, DST_IP, DYNAMIC, FORWARD, GRE, L2, NONE, ORIGINS,
                         PORTS, PORTS_SRC, PREROUTING, PROTO0, SRC_PORT, STANDARD, Assignment,
                         bucket, group, octets, rule)
from wlblab.host import wait_until
from wlblab.netlink import attr, u8

UDP = 17
NOBODY = {4: "10.2.0.99", 6: "2001:db8:2::99"}
UNROUTED = {4: "192.0.2.1", 6: "2001:db8:ffff::1"}


def grown(farm, before, *names):
    now = farm.counters()
    return tuple(now[name] - before[name] for name in names)


def redirect_headers(capture):
    """(flags, service, alternative bucket, primary bucket, inner packet) of each GRE."""
    found = []
    for frame in capture.packets():
        raw = bytes(frame)[14:]
        off = 40 if raw[0] >> 4 == 6 else (raw[0] & 15) * 4
        assert raw[off:off + 4] == b"\0\0\x88\x3e"
        found.append((*raw[off + 4:off + 8], raw[off + 8:]))
    return found


@pytest.mark.parametrize("cache", ["k1", "k3"])
def test_gre(farm, family, cache):
    """C20, C21, C12: an ordinary tunnel of Linux takes what the router sends, be the cache
    a neighbour or behind a router; the header is D01 4.12.1's, one hop is taken off."""
    before = farm.counters()
    assert farm.who(family) == "s"
    farm.set_groups(group())
    assert farm.who(family) == "s"
    farm.assign(family, farm.one(cache, family))
    device = "k1" if cache == "k1" else "hop0"
    proto = "ip proto 47" if family == 4 else "ip6 proto 47"
    with farm["r"].capture(device, proto) as capture:
        assert farm.who(family) == cache
    with farm["s"].capture("wan0", "tcp port 80") as direct:
        assert farm.who(family, 1) == cache
    assert not direct.packets()
    headers = redirect_headers(capture)
    index = bucket(DST_IP, farm.client[family], farm.origins[family][0], 0, 80)
    assert {h[:4] for h in headers} == {(0, 0, 0, index)}
    for inner in (h[4] for h in headers):
        assert inner[8 if family == 4 else 7] == 63
        assert packets.fold(inner[:20]) == 0xffff or family == 6
    packets_sent, exempt = grown(farm, before, "redirect_gre", "redirect_exempt")
    assert packets_sent >= len(headers) > 3 and not exempt
    farm.assign(family, None)
    assert farm.who(family) == "s"


def test_l2(farm, family):
    """A cache on a network of the router's gets the packet as it is, to its MAC address."""
    farm.set_groups(group())
    farm.assign(family, farm.one("k1", family, L2, L2))
    mac = json.loads(farm["k1"].out("ip", "-j", "link", "show", "wan0"))[0]["address"]
    with farm["r"].capture("k1", "tcp port 80") as capture:
        assert farm.who(family) == "k1"
    there = [bytes(p) for p in capture.packets() if bytes(p)[:6].hex(":") == mac]
    destination = octets(farm.origins[family][0])
    assert len(there) > 3
    for frame in there:
        at = 14 + (16 if family == 4 else 24)
        assert frame[at:at + len(destination)] == destination
        assert frame[14 + (8 if family == 4 else 7)] == 63
    assert farm.counters()["redirect_l2"] >= len(there)


def test_l2_changes(farm, family):
    """The route to the neighbour is kept from packet to packet, and is what it is now: another MAC
    address, no network with the cache any more, a smaller MTU."""
    farm.set_groups(group())
    farm.assign(family, farm.one("k1", family, L2, L2))
    page = web.big_file().read_bytes()
    assert web.fetch(farm["c"], farm.origins[family][0], "10M") == ("k1", page)
    k1, r = farm["k1"], farm["r"]
    old = json.loads(k1.out("ip", "-j", "link", "show", "wan0"))[0]["address"]
    own = farm.caches["k1"][family]
    k1.run("ip", "link", "set", "wan0", "address", "02:00:00:00:77:01")
    r.run("ip", "neigh", "replace", own, "lladdr", "02:00:00:00:77:01", "dev", "dmz0")
    try:
        assert farm.who(family) == "k1"
    finally:
        k1.run("ip", "link", "set", "wan0", "address", old)
        r.run("ip", "neigh", "replace", own, "lladdr", old, "dev", "dmz0")
    before = farm.counters()
    bits = 32 if family == 4 else 128
    r.run("ip", "route", "add", f"{own}/{bits}", "via", farm.router["k3"][family][:-1] + "2")
    try:
        assert farm.who(family) == "s"
        assert grown(farm, before, "redirect_not_adjacent")[0]
    finally:
        r.run("ip", "route", "del", f"{own}/{bits}")
    assert farm.who(family) == "k1"
    farm.offloads("off")
    r.run("ip", "link", "set", "dmz0", "mtu", "1400")
    try:
        before = farm.counters()
        data = os.urandom(200000)
        farm.assign(family, farm.one("k1", family, L2, L2, ports=(81,)))
        assert farm.upload(family, data) == ("k1", hashlib.sha256(data).hexdigest())
        assert grown(farm, before, "redirect_too_big")[0]
    finally:
        r.run("ip", "link", "set", "dmz0", "mtu", "1500")
        farm.offloads("on")


def test_source(farm, family):
    """The outer source is the router id, if the group has one."""
    source = {4: "10.1.1.1", 6: "2001:db8:1::1"}
    farm.set_groups(group(source=source.values()))
    farm.assign(family, farm.one("k1", family))
    with farm["r"].capture("k1", "ip proto 47 or ip6 proto 47") as capture, \
            pytest.raises(TimeoutError):
        farm["c"].connect(farm.origins[family][0], 80, timeout=1)
    at = 14 + (12 if family == 4 else 8)
    wanted = octets(source[family])
    assert {bytes(p)[at:at + len(wanted)] for p in capture.packets()} == {wanted}
    farm.set_groups(group())
    assert farm.who(family) == "k1"


def gre_rules(farm, statement=""):
    """Makes the router's rules for what it sends; how many packets have come by them since."""
    farm["r"].run("nft", "-f", "-", stdin=f"""
table inet own {{}}
delete table inet own
table inet own {{
    counter gre {{}}
    chain out {{ type route hook output priority 0; meta l4proto 47 counter name gre {statement}; }}
}}
""")

    def seen():
        listed = json.loads(farm["r"].out("nft", "-j", "list", "counters", "table", "inet", "own"))
        return next(o["counter"]["packets"] for o in listed["nftables"] if "counter" in o)
    return seen


def test_straight(farm, family):
    """GRE goes from PRE_ROUTING to the neighbour as long as the same second has seen a packet to
    that cache come through all rules for what the router sends. So these see one in a second,
    and are obeyed within one; those that would have changed the packets see them all."""
    farm.redirect(family)
    page = web.big_file().read_bytes()
    names = ("redirect_gre", "fast")
    try:
        for statement, straight in (("", True), ("meta mark set 7", False)):
            seen = gre_rules(farm, statement)
            time.sleep(1.4)     # what is a second to the module is 1.28 s where HZ is 100
            before = farm.counters()
            assert web.fetch(farm["c"], farm.origins[family][0], "10M") == ("k1", page)
            sent, fast = grown(farm, before, *names)
            assert sent == fast + seen() and (fast > sent / 2 if straight else fast == 0)
        gre_rules(farm)
        assert farm.who(family) == "k1"
        farm["r"].run("nft", "add", "rule", "inet", "own", "out", "meta", "l4proto", "47", "drop")
        time.sleep(1.4)
        with pytest.raises(TimeoutError):
            farm["c"].connect(farm.origins[family][0], 80, timeout=1.5)
    finally:
        farm["r"].run("nft", "delete", "table", "inet", "own")
    # What the route says now, and the way to it.
    farm.assign(family, farm.one("k3", family))
    before = farm.counters()
    assert web.fetch(farm["c"], farm.origins[family][0], "10M") == ("k3", page)
    assert grown(farm, before, "fast")[0]
    net, gateway = (("10.3.0.0/24", "10.4.0.2") if family == 4 else
                    ("2001:db8:3::/64", "2001:db8:4::2"))
    farm["r"].run("ip", "route", "replace", "unreachable", net)
    try:
        assert farm.who(family) == "s"
    finally:
        farm["r"].run("ip", "route", "del", "unreachable", net)
        farm["r"].run("ip", "route", "replace", net, "via", gateway)
    assert farm.who(family) == "k3"


@pytest.mark.parametrize("offloads", ["on", "off"])
@pytest.mark.parametrize("way", ["gre", "l2"])
def test_bulk(farm, family, way, offloads):
    """10 MB both ways through a cache, in packets larger than any wire's and in small
    ones."""
    forward = GRE if way == "gre" else L2
    farm.offloads(offloads)
    try:
        farm.set_groups(group())
        farm.assign(family, farm.one("k1", family, forward, forward, ports=(80, 81)))
        who, body = web.fetch(farm["c"], farm.origins[family][0], "10M")
        assert who == "k1" and body == web.big_file().read_bytes()
        data = os.urandom(web.BIG)
        assert farm.upload(family, data) == ("k1", hashlib.sha256(data).hexdigest())
    finally:
        farm.offloads("on")


def test_path_mtu(farm, family):
    """What does not fit is told of to its sender, who learns 28 (IPv6: 48) less than the
    way to the cache has."""
    farm.offloads("off")
    before = farm.counters()
    farm.set_groups(group())
    farm.assign(family, farm.one("k1", family, ports=(81,)))
    try:
        data = os.urandom(200000)
        assert farm.upload(family, data) == ("k1", hashlib.sha256(data).hexdigest())
    finally:
        farm.offloads("on")
    assert grown(farm, before, "redirect_too_big")[0] >= 1
    route = farm["c"].out("ip", "route", "get", farm.origins[family][0])
    assert f"mtu {1500 - (28 if family == 4 else 48)}" in route


def test_path_mtu_on_the_way(farm, family):
    """A narrow link behind the router: the error about the tunnel is the router's, and the
    client learns of it by its next packet."""
    farm.offloads("off")
    before = farm.counters()
    farm.set_groups(group())
    farm.assign(family, farm.one("k3", family, ports=(81,)))
    for host, device in (("hop", "down0"), ("k3", "wan0")):
        farm[host].run("ip", "link", "set", device, "mtu", 1400)
    try:
        data = os.urandom(200000)
        assert farm.upload(family, data) == ("k3", hashlib.sha256(data).hexdigest())
    finally:
        farm.offloads("on")
        for host, device in (("hop", "down0"), ("k3", "wan0")):
            farm[host].run("ip", "link", "set", device, "mtu", 1500)
        farm["r"].run("ip", "route", "flush", "cache")
        farm["r"].run("ip", "-6", "route", "flush", "cache")
    assert min(grown(farm, before, "redirect_icmp", "redirect_too_big")) >= 1


@pytest.mark.parametrize("way", ["gre", "l2"])
def test_fragments(farm, family, way):
    """A datagram in fragments, of which but the first has ports, goes to one cache whole."""
    forward = GRE if way == "gre" else L2
    farm.set_groups(group("dns", DYNAMIC, 53))
    farm.assign(family, farm.one("k1", family, forward, forward, protocol=UDP, ports=(53,)), "dns")
    assert farm.datagram(family) == "k1"
    # An IPv6 host cuts what it learns to be too large itself, from the next one on.
    assert farm.datagram(family, 4000) or farm.datagram(family, 4000) == "k1"
    if way == "gre" and family == 4:
        # as large as fits the client's link, not the tunnel
        assert farm.datagram(family, 1472) == "k1"


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
    assert grown(farm, before, "redirect_denied")[0] > 6
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
    assert grown(farm, before, "redirect_unassigned", "redirect_closed")[1] == 0
    farm.set_groups(group(closed=True))
    assert farm.who(family, 1) == "k1"      # the group has kept its assignment
    with pytest.raises(TimeoutError):
        farm["c"].connect(farm.origins[family][0], 80, timeout=1.5)
    assert grown(farm, before, "redirect_closed")[0] >= 1
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
    assert grown(farm, before, "lease_ended") == (1,)
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
    assert grown(farm, before, "lease_ended") == (1,)


@pytest.mark.parametrize("way", ["gre", "l2"])
@pytest.mark.parametrize("where", ["out", "forward"])
def test_behind_the_rules(farm, family, where, way):
    """By the interface that a packet goes out by, or with hook = forward: the forward chain
    and connection tracking see its flow as an ordinary one."""
    forward = GRE if way == "gre" else L2
    r = farm["r"]
    r.run("nft", "-f", "-", stdin="""
table inet wall {
    chain forward {
        type filter hook forward priority 0; policy drop;
        meta l4proto ipv6-icmp accept
        ct state established,related accept
        ct state new iifname lan0 tcp flags syn / fin,syn,rst,ack accept
    }
}
""")
    try:
        assert farm.who(family) == "s"
        farm.set_groups(group(into=(), out=("wan0",)) if where == "out" else
                        group(hook=FORWARD))
        farm.assign(family, farm.one("k1", family, forward, forward))
        assert farm.who(family) == "k1"
        who, body = web.fetch(farm["c"], farm.origins[family][0], "10M")
        assert who == "k1" and body == web.big_file().read_bytes()
        r.run("nft", "insert", "rule", "inet", "wall", "forward", "tcp", "dport", "80", "drop")
        with pytest.raises(TimeoutError):
            farm["c"].connect(farm.origins[family][0], 80, timeout=1.5)
    finally:
        r.run("nft", "delete", "table", "inet", "wall")


def test_masquerade(farm):
    """Source NAT on the way out: the cache answers the router's address, and its own way
    out is known as a cache's all the same."""
    r = farm["r"]
    r.run("nft", "-f", "-", stdin="""
table ip hide {
    chain post {
        type nat hook postrouting priority 100;
        oifname wan0 masquerade
    }
}
""")
    try:
        farm.set_groups(group(into=(), out=("wan0",)))
        farm.assign(4, farm.one("k1", 4))
        before = farm.counters()
        assert farm.who(4) == "k1"
        assert not grown(farm, before, "redirect_exempt")[0]
        assert farm.who(4, host="k1") == "s"
        assert grown(farm, before, "redirect_exempt")[0] > 3
    finally:
        r.run("nft", "delete", "table", "ip", "hide")


def test_exempt(farm, family):
    """C4: a cache's own packets, what comes in by an excluded interface, and what has the
    MAC address of a cache that returns by L2."""
    farm.set_groups(group(into=("lan0", "dmz0")))
    farm.assign(family, farm.one("k1", family))
    assert farm.who(family, host="k1") == "s"
    assert farm.who(family, host="k2") == "k1"
    assert farm.who(family) == "k1"
    farm.set_groups(group(into=("lan0", "dmz0"), exclude=("dmz0", "lan7")))
    assert farm.who(family, host="k2") == "s"
    assert farm.who(family) == "k1"
    # Of another group's exclusion this one knows nothing.
    farm.set_groups(group(into=("lan0", "dmz0")),
                    group("other", DYNAMIC, 7, into=("dmz0",), exclude=("dmz0",)))
    assert farm.who(family, host="k2") == "k1"
    # k2 is a cache, and speaks under another address than the one it is known by.
    other = "10.2.0.77" if family == 4 else "2001:db8:2::77"
    farm["k2"].run("ip", "address", "add", f"{other}/{24 if family == 4 else 64}", "dev", "wan0",
                   *(["nodad"] if family == 6 else []))
    try:
        for ret, expected in ((GRE, "k1"), (L2, "s")):
            farm.assign(family, Assignment(
                [farm.member("k1", family), farm.member("k2", family, GRE, ret)], bytes(256)))
            farm["r"].ping(farm.caches["k2"][family], 1)
            got = farm["k2"].run("curl", "-s", "--max-time", 5, "--interface", other,
                                 web.url(farm.origins[family][0])).stdout.strip()
            assert got == expected, ret
    finally:
        farm["k2"].run("ip", "address", "del", f"{other}/{24 if family == 4 else 64}", "dev",
                       "wan0")


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


@pytest.mark.parametrize("where", ["in", "out"])
def test_returned(farm, family, where):
    """C1, C3: what a cache returns goes to its destination as the client sent it, but for
    one hop; it is redirected once, whichever way it meets the router."""
    before = farm.counters()
    farm.set_groups(group(into=("lan0", "dmz0"), out=("wan0",)) if where == "in" else
                    group(into=(), out=("wan0",)))
    farm.assign(family, farm.one("k1", family))
    child = farm.bounce("k1", family)
    try:
        with farm["r"].capture("k1", "ip proto 47 or ip6 proto 47") as loop, \
                farm["s"].capture("wan0", "tcp dst port 80") as arrived:
            assert farm.who(family) == "s"
    finally:
        farm.unbounce("k1", family, child)
    frames = [bytes(p) for p in loop.packets()]
    sent = [f for f in frames if f[14 + (12 if family == 4 else 8):][:len(octets(
        farm.router["k1"][family]))] == octets(farm.router["k1"][family])]
    assert len(frames) == 2 * len(sent)
    inner = [bytes(p)[14:] for p in arrived.packets()]
    assert len(inner) == len(sent)
    for raw in inner:
        assert raw[12:16] == octets(farm.client[4]) if family == 4 else \
            raw[8:24] == octets(farm.client[6])
        assert raw[8 if family == 4 else 7] == 63
    redirected, returned = grown(farm, before, "redirect_gre", "redirect_returned")
    assert redirected == returned == len(sent)


def test_returned_by_bridge(farm, family):
    """Where a bridge calls the IP hooks (br_netfilter), what is returned through it is routed
    like the rest: nobody is told of a better way, as after a NAT there."""
    r = farm["r"]
    r.run("modprobe", "br_netfilter", check=False)      # unless it is built in
    r.sysctl(**{"net__bridge__bridge-nf-call-ip6tables": 1,
                "net__bridge__bridge-nf-call-iptables": 1})
    farm.set_groups(group())
    farm.assign(family, farm.one("k1", family))
    child = farm.bounce("k1", family)
    before = farm.counters()
    try:
        with farm["c"].capture("wan0", "icmp or icmp6 and ip6[40] == 137") as told:
            assert farm.who(family) == "s"
    finally:
        farm.unbounce("k1", family, child)
        r.sysctl(**{"net__bridge__bridge-nf-call-ip6tables": 0,
                    "net__bridge__bridge-nf-call-iptables": 0})
        r.run("rmmod", "br_netfilter", check=False)     # modprobe -r takes all bridges along
    assert not told.packets()
    assert grown(farm, before, "redirect_returned")[0] > 3


def forged(farm, family, payload, proto=0x883e, flags=0):
    """GRE from k2 to the router with such a packet inside."""
    with farm["k2"].entered():
        sock = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_RAW,
                             47)
    with sock:
        sock.sendto(struct.pack("!HH", flags, proto) + payload,
                    (farm.router["k2"][family], 0))


def test_strangers(farm, family):
    """C5: what is no cache's is dropped and counted; tunnels of the user's own are left
    alone, as is what only passes."""
    farm.set_groups(group())
    farm.assign(family, farm.one("k1", family))
    inner = packets.tcp(farm.client[family], farm.origins[family][0], 33000, 80, packets.SYN,
                        options=packets.MSS)
    header = b"\0\0\0\0"
    before = farm.counters()
    with farm["s"].capture("wan0", "tcp dst port 80") as arrived:
        forged(farm, family, header + inner)
        farm.assign(family, farm.one("k2", family))
        for broken in (b"", header, header + inner[:30], header + b"\x55" + inner[1:], inner[:19]):
            forged(farm, family, broken)
        forged(farm, family, header + inner, 0x0800 if family == 4 else 0x86dd)
        forged(farm, family, header + inner, flags=0x2000)
        forged(farm, family, b"\4\0\0\0" + inner)
        if family == 4:
            forged(farm, family, inner)     # of version 1, without a redirect header
        time.sleep(0.3)
    good = 2 if family == 4 else 1
    # the server's answers are none of the client's, who says so
    flags = (34 if family == 4 else 54) + 13
    syns = [p for p in arrived.packets() if bytes(p)[flags] == packets.SYN]
    assert len(syns) == good
    assert grown(farm, before, "return_stranger", "return_malformed", "redirect_returned") == (
        1, 5, good)


def test_passing(farm, family):
    """What a cache sends to another router than this one passes, header and all."""
    farm.redirect(family)
    origin = farm.origins[family][0]
    inner = packets.tcp(farm.client[family], origin, 33000, 80, packets.SYN)
    raw = packets.ip(farm.caches["k1"][family], origin,
                     struct.pack("!HHI", 0, 0x883e, 0) + inner, proto=47)
    before = farm.counters()
    with packets.Wire(farm["k1"], "wan0", packets.mac(farm["r"], "dmz0")) as near, \
            packets.Wire(farm["s"], "wan0") as far:
        near.send(raw)
        assert packets.routed(raw) in [p.raw for p in far.drain()]
    assert grown(farm, before, "return_stranger", "redirect_returned") == (0, 0)


@pytest.mark.parametrize("hook", [PREROUTING, FORWARD], ids=["prerouting", "forward"])
def test_truncated(farm, family, hook):
    """TCP and UDP too short for their ports are nobody's service: forwarded, and counted."""
    farm.set_groups(group(hook=hook))
    farm.assign(family, farm.one("k1", family, protocol=0, flags=DST_IP))
    addresses = farm.client[family], farm.origins[family][0]
    whole = packets.tcp(*addresses, 33000, 80, packets.SYN)
    short = [packets.ip(*addresses, whole[-20:-1]), packets.ip(*addresses, whole[-20:-17], UDP)]
    before = farm.counters()
    with packets.Wire(farm["c"], "wan0", packets.mac(farm["r"], "lan0")) as near, \
            packets.Wire(farm["s"], "wan0") as far:
        for raw in short:
            near.send(raw)
        seen = [p.raw for p in far.drain()]
    assert all(packets.routed(raw) in seen for raw in short)
    assert grown(farm, before, "redirect_malformed", "redirect_gre") == (2, 0)


def test_elsewhere(farm, family):
    """A group of another interface, of higher priority, has no say."""
    farm.set_groups(group(), group("other", DYNAMIC, 90, into=("dmz0",)))
    farm.assign(family, farm.one("k1", family))
    farm.assign(family, farm.one("k2", family, priority=250), "other")
    assert [farm.who(family, i) for i in range(ORIGINS)] == ["k1"] * ORIGINS


def test_gone(farm, family):
    """C19: no route to the cache, no network with it, nobody there: the packet is forwarded
    as if there were no cache; of a closed service it is dropped."""
    before = farm.counters()
    farm.set_groups(group())
    for address, forward, stat in ((UNROUTED[family], GRE, "redirect_no_route"),
                                   (farm.caches["k3"][family], L2, "redirect_not_adjacent"),
                                   (NOBODY[family], L2, "redirect_no_neighbour")):
        farm.assign(family, Assignment([(address, forward, forward)], bytes(256)))
        try:
            farm["c"].connect(farm.origins[family][0], 80, timeout=20).close()
        except OSError:
            # as long as the neighbour is asked, IPv6 tells the client so
            assert family == 6 and stat == "redirect_no_neighbour"
        assert farm.who(family) == "s", stat
        assert grown(farm, before, stat)[0] > 3
    farm.set_groups(group(closed=True))
    with pytest.raises(TimeoutError):
        farm["c"].connect(farm.origins[family][0], 80, timeout=1.5)


def test_never(farm, family):
    """The router's own addresses, and packets at the end of their life."""
    farm.set_groups(group())
    farm.assign(family, farm.one("k1", family, protocol=0, flags=DST_IP))
    before = farm.counters()
    farm["c"].ping("10.1.1.1" if family == 4 else "2001:db8:1::1", 1)
    farm["c"].ping(farm.router["k1"][family], 1)
    done = farm["c"].run("ping", "-n", "-c", 1, "-t", 1, "-W", 2, farm.origins[family][0],
                         check=False)
    assert "exceeded" in done.stdout.lower()
    farm["r"].ping(farm.origins[family][0], 1)
    assert grown(farm, before, "redirect_gre", "redirect_l2") == (0, 0)


def test_becomes_own(farm, family):
    """What was somebody else's is the router's from the moment that it has the address."""
    farm.redirect(family)
    assert farm.who(family) == "k1"
    own = f"{farm.origins[family][0]}/{32 if family == 4 else 128}"
    farm["r"].run("ip", "address", "add", own, "dev", "lo", *(["nodad"] * (family == 6)))
    try:
        before = farm.counters()
        with pytest.raises(ConnectionRefusedError):
            farm["c"].connect(farm.origins[family][0], 80, timeout=2)
        assert grown(farm, before, "redirect_gre") == (0,)
        assert farm.who(family, 1) == "k1"
    finally:
        farm["r"].run("ip", "address", "del", own, "dev", "lo")
    assert farm.who(family) == "k1"


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


@pytest.mark.parametrize("method", ["hash", "mask"])
def test_drain(farm, family, method):
    """A reassignment that a long download does not notice: it stays where it was, new flows
    go to the new cache and stay there through the next one, a cache that leaves ends it."""
    nothing = bytes(4 if family == 4 else 16)

    def to(*names, which):
        members = [farm.member(name, family) for name in names]
        if method == "hash":
            return Assignment(members, bytes([which] * 256))
        return Assignment(members, masks=[(nothing, nothing, 1, 0, {0: which, 1: which})],
                          flags=PORTS)

    server = farm.origins[family][0]
    before = farm.counters()
    farm.set_groups(group(drain=600))
    farm.assign(family, to("k1", "k2", which=0))
    # What is told between the first flow and this is of no flow that has begun since.
    first = web.Download(farm["c"], server)
    first.read(1000)
    farm.assign(family, to("k1", "k2", which=1))
    assert farm.who(family) == "k2"
    second = web.Download(farm["c"], server)
    second.read(1000)
    farm.assign(family, to("k2", "k1", which=1))
    assert farm.who(family) == "k1"
    third = web.Download(farm["c"], server)
    for download, cache in ((first, b"k1"), (second, b"k2"), (third, b"k1")):
        head, body = download.finish()
        assert b"X-Who: " + cache in head and body == web.big_file().read_bytes()
    kept, full = grown(farm, before, "redirect_kept", "redirect_drain_full")
    assert kept > 10 and not full
    # Nobody waits for a cache that has gone.
    lost = web.Download(farm["c"], server)
    lost.read(1000)
    farm.assign(family, to("k2", which=0))
    with pytest.raises(OSError):
        lost.finish()


def test_drain_from_before(farm, family):
    """What began while nothing drained stays by the assignment that it began with. The next drain
    remembers nothing of this one."""
    farm.set_groups(group(drain=4))
    members = [farm.member("k1", family), farm.member("k2", family)]
    for old, new in ((0, 1), (1, 0)):
        farm.assign(family, Assignment(members, bytes([old] * 256)))
        time.sleep(4.2)
        download = web.Download(farm["c"], farm.origins[family][0], length=1 << 18)
        download.read(1000)
        before = farm.counters()
        farm.assign(family, Assignment(members, bytes([new] * 256)))
        assert farm.who(family) == ("k1", "k2")[new]
        head, body = download.finish()
        assert b"X-Who: " + (b"k1", b"k2")[old] in head
        assert body == web.big_file().read_bytes()[:1 << 18]
        assert grown(farm, before, "redirect_kept")[0] > 0


def test_drain_port_again(farm, family):
    """A port's connection is remembered with a cache that has gone: the port's next one is
    remembered with the cache that it goes to."""
    server = farm.origins[family][0]

    def page():
        """Ends by FINs, which forget nothing."""
        with farm["c"].connect(server, 80, 40123) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            data = b""
            while more := sock.recv(4096):
                data += more
        return data.partition(b"\r\n\r\n")[2].decode().strip()
    farm.set_groups(group(drain=600))
    farm.assign(family, farm.one("k1", family))
    assert page() == "k1"
    farm.assign(family, farm.one("k2", family))
    assert page() == "k2"
    farm.assign(family, Assignment([farm.member("k1", family), farm.member("k2", family)],
                                   bytes(256)))
    assert page() == "k2" and farm.who(family) == "k1"


def test_drain_full(farm, family):
    """New flows of a bucket find no room to be remembered in: its drain is over, and those from
    before go with the bucket. Those of others stay."""
    ghost = {4: "10.1.1.77", 6: "2001:db8:1::77"}[family]
    first, second = farm.origins[family][:2]
    farm["k2"].run("nft", "add", "table", "inet", "deaf")
    farm["k2"].run("nft", "add", "chain", "inet", "deaf", "in",
                   "{ type filter hook prerouting priority -400; }")
    farm["k2"].run("nft", "add", "rule", "inet", "deaf", "in", "ip" if family == 4 else "ip6",
                   "saddr", ghost, "drop")
    try:
        farm.set_groups(group(drain=600))
        ends, stays = (web.Download(farm["c"], server) for server in (first, second))
        ends.read(1000)
        stays.read(1000)
        before = farm.counters()
        farm.assign(family, farm.one("k2", family, flags=DST_IP))
        ends.read(1000)
        ports = iter(range(1024, 65536))
        with packets.Wire(farm["c"], "wan0", packets.mac(farm["r"], "lan0")) as wire:
            # 8 in each of 8192 sets
            while not grown(farm, before, "redirect_drain_full")[0]:
                for _ in range(2048):
                    wire.send(packets.tcp(ghost, first, next(ports), 80, packets.SYN))
        with pytest.raises(OSError):
            ends.finish()
        head, body = stays.finish()
        assert b"X-Who: s" in head and body == web.big_file().read_bytes()
        assert grown(farm, before, "redirect_drain_full") == (1,)
    finally:
        farm["k2"].run("nft", "delete", "table", "inet", "deaf")


def test_no_drain(farm, family):
    """Without it, flows go with their bucket and end."""
    farm.set_groups(group())
    farm.assign(family, farm.one("k1", family))
    download = web.Download(farm["c"], farm.origins[family][0])
    download.read(1000)
    farm.assign(family, farm.one("k2", family))
    with pytest.raises(OSError):
        download.finish()


def test_drain_ends(farm):
    """When its time is over, the new assignment is all there is."""
    farm.set_groups(group(drain=2))
    farm.assign(4, farm.one("k1", 4))
    members = [farm.member("k1", 4), farm.member("k2", 4)]
    download = web.Download(farm["c"], farm.origins[4][0])
    download.read(1000)
    farm.assign(4, Assignment(members, bytes([1] * 256)))
    assert farm.datagram(4) == "s"
    time.sleep(2.2)
    with pytest.raises(OSError):
        download.finish()
    assert farm.who(4) == "k2"


def test_join(farm):
    """With a drain, a cache that joins takes no flow away from the origin."""
    farm.set_groups(group(drain=600))
    download = web.Download(farm["c"], farm.origins[4][0])
    download.read(1000)
    farm.assign(4, farm.one("k1", 4))
    assert farm.who(4) == "k1"
    head, body = download.finish()
    assert b"X-Who: s" in head and body == web.big_file().read_bytes()


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
