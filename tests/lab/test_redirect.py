# SPDX-License-Identifier: GPL-2.0-only
"""The cache router's data plane: how packets go to a cache, and which do not. Groups and
assignments are this file's own words to the module; no daemon runs."""

import hashlib
import json
import os
import time

import pytest

from wlblab import packets, web
from wlblab.farm import (DST_IP, DYNAMIC, FORWARD, GRE, L2, PREROUTING, Assignment, bucket, group,
                         octets, redirect_headers)

UDP = 17
NOBODY = {4: "10.2.0.99", 6: "2001:db8:2::99"}
UNROUTED = {4: "192.0.2.1", 6: "2001:db8:ffff::1"}


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
    packets_sent, exempt = farm.grown(before, "redirect_gre", "redirect_exempt")
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
        assert farm.grown(before, "redirect_not_adjacent")[0]
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
        assert farm.grown(before, "redirect_too_big")[0]
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
            sent, fast = farm.grown(before, *names)
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
    assert farm.grown(before, "fast")[0]
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
    assert farm.grown(before, "redirect_too_big")[0] >= 1
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
    assert min(farm.grown(before, "redirect_icmp", "redirect_too_big")) >= 1


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
        assert not farm.grown(before, "redirect_exempt")[0]
        assert farm.who(4, host="k1") == "s"
        assert farm.grown(before, "redirect_exempt")[0] > 3
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


@pytest.mark.parametrize("way", [GRE, L2], ids=["gre", "l2"])
def test_own_address(farm, family, way):
    """A cache that is said to have an address of the router's own gets nothing: clients are served
    by their servers, and it is counted why."""
    own = farm.router["k1"][family]
    farm.set_groups(group())
    farm.assign(family, Assignment([(own, way, GRE)], bytes(256)))
    before = farm.counters()
    assert farm.who(family) == "s"
    assert farm.grown(before, "redirect_no_route")[0] >= 2
    assert farm.grown(before, "redirect_gre", "redirect_l2", "redirect_failed") == (0, 0, 0)


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
    assert farm.grown(before, "redirect_malformed", "redirect_gre") == (2, 0)


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
        assert farm.grown(before, stat)[0] > 3
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
    assert farm.grown(before, "redirect_gre", "redirect_l2") == (0, 0)


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
        assert farm.grown(before, "redirect_gre") == (0,)
        assert farm.who(family, 1) == "k1"
    finally:
        farm["r"].run("ip", "address", "del", own, "dev", "lo")
    assert farm.who(family) == "k1"
