# SPDX-License-Identifier: GPL-2.0-only
"""wlbctl doctor of a cache router: what keeps clients from caches, or caches from clients; each
fault is made, seen to harm, found, and mended by what the doctor says."""

import dataclasses
import json
import struct
import subprocess

import pytest

from wlblab import firewall, inject
from wlblab.clones import ACK, segment
from wlblab.farm import FORWARD, GRE, L2, group

DEAF = """table inet deaf {
    chain input {
        type filter hook input priority filter
        icmp type destination-unreachable drop
        icmpv6 type packet-too-big drop
    }
}"""
DATA = bytes(100000)


def found(farm, what):
    done = farm.wlb("r").run("-j", "doctor", check=False)
    findings = [f for f in json.loads(done.stdout)["findings"]
                if f["grade"] != "good" and what in f["finding"]]
    return done.returncode, findings


@pytest.fixture
def deaf(farm):
    farm["c"].run("nft", "-f", "-", stdin=DEAF)
    yield
    farm["c"].run("nft", "flush", "ruleset")
    farm["r"].run("nft", "flush", "ruleset")


def upload(farm, family):
    """Who takes much of a client's; fails if nobody does."""
    with farm["c"].connect(farm.origins[family][0], 81, timeout=5) as sock:
        sock.settimeout(5)
        sock.sendall(DATA)
        sock.shutdown(1)
        return sock.recv(100).decode().split()[0]


@pytest.mark.usefixtures("deaf")
def test_room(farm, family):
    """GRE leaves less than clients send, and these hear no ICMP."""
    farm.set_groups(group())
    farm.assign(family, farm.one("k1", family, ports=(80, 81)))
    with pytest.raises(TimeoutError):
        upload(farm, family)
    room = 1500 - (28 if family == 4 else 48)
    status, (finding,) = found(farm, f"takes 1500 bytes, {room} of them a client's")
    assert status == 0 and finding["grade"] == "warning" and "ICMP" in finding["consequence"]
    farm["r"].run("sh", "-c", finding["mend"])
    assert upload(farm, family) == "k1"
    assert found(farm, "bytes") == (0, [])
    farm["r"].run("nft", "flush", "ruleset")
    farm.assign(family, farm.one("k1", family, L2, ports=(80, 81)))
    assert upload(farm, family) == "k1"
    assert found(farm, "bytes") == (0, [])


def test_strict(farm):
    """The reverse path filter sees clients' addresses on the caches' network."""
    farm.redirect(4)
    child = farm.bounce("k1", 4)
    r = farm["r"]
    try:
        assert farm.who(4) == "s" and found(farm, "rp_filter") == (0, [])
        r.sysctl(net__ipv4__conf__dmz0__rp_filter=1)
        with pytest.raises(TimeoutError):
            farm.who(4)
        status, (finding,) = found(farm, "rp_filter")
        assert status == 0 and "dmz0" in finding["finding"]
        r.run("sh", "-c", finding["mend"])
        assert farm.who(4) == "s" and found(farm, "rp_filter") == (0, [])
    finally:
        r.sysctl(net__ipv4__conf__dmz0__rp_filter=0)
        farm.unbounce("k1", 4, child)


def test_wall(farm):
    """A firewall that goes by state has not seen what was taken before it; with hook = "forward",
    as the doctor says, it has."""
    farm.redirect(4)
    assert farm.who(4) == "k1" and found(farm, "rules of FORWARD") == (0, [])
    firewall.stateful(farm["r"])
    try:
        with pytest.raises(TimeoutError):
            farm.who(4)
        status, (finding,) = found(farm, "rules of FORWARD")
        assert status == 0 and "dropped" in finding["consequence"]
        assert 'hook = "forward"' in finding["mend"]
        farm.set_groups(group(hook=FORWARD))
        farm.assign(4, farm.one("k1", 4, GRE, GRE))
        assert farm.who(4) == "k1" and found(farm, "rules of FORWARD") == (0, [])
    finally:
        firewall.remove(farm["r"])
        farm["r"].run("conntrack", "-F", check=False)


@pytest.mark.parametrize("host,way", [("s", None), ("k1", GRE), ("k1", L2)])
def test_merged(farm, host, way):
    """Why LRO is a fault: what it has put together is not sent on, to a server or to a cache; what
    GRO has is. No device here has it, so that the finding itself is a unit test's."""
    if way is not None:
        farm.set_groups(group())
        farm.assign(4, farm.one("k1", 4, way))
    raw = bytearray(segment(farm.client[4], farm.origins[4][0], 5000, flags=ACK))
    struct.pack_into("!H", raw, 2, len(raw) + 4000)
    packet = inject.Packet(bytes(raw), fill=4000, gso_size=1000)
    inject.load()
    try:
        def arrived(one):
            with farm[host].capture("wan0", "tcp port 80 or ip proto 47") as seen:
                inject.run(farm["r"], one, "lan0", 3)
            return sum(len(bytes(p)) > 1000 for p in seen.packets())
        assert arrived(packet) >= 3
        assert arrived(dataclasses.replace(packet, merged=True)) == 0
    finally:
        subprocess.run(["rmmod", "wlb_inject"], check=True)
