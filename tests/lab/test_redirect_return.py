# SPDX-License-Identifier: GPL-2.0-only
"""What caches return by GRE, and what only looks like that."""

import socket
import struct
import time

import pytest

from wlblab import packets
from wlblab.farm import group, octets


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
    redirected, returned = farm.grown(before, "redirect_gre", "redirect_returned")
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
    assert farm.grown(before, "redirect_returned")[0] > 3


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
    assert farm.grown(before, "return_stranger", "return_malformed", "redirect_returned") == (
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
    assert farm.grown(before, "return_stranger", "redirect_returned") == (0, 0)
