# SPDX-License-Identifier: GPL-2.0-only
"""Reassignments that flows do not notice: a group's `drain`."""

import time

import pytest

from wlblab import packets, web
from wlblab.farm import DST_IP, PORTS, Assignment, group


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
    kept, full = farm.grown(before, "redirect_kept", "redirect_drain_full")
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
        assert farm.grown(before, "redirect_kept")[0] > 0


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
            while not farm.grown(before, "redirect_drain_full")[0]:
                for _ in range(2048):
                    wire.send(packets.tcp(ghost, first, next(ports), 80, packets.SYN))
        with pytest.raises(OSError):
            ends.finish()
        head, body = stays.finish()
        assert b"X-Who: s" in head and body == web.big_file().read_bytes()
        assert farm.grown(before, "redirect_drain_full") == (1,)
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
