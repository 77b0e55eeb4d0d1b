# SPDX-License-Identifier: GPL-2.0-only
"""Packets from nowhere: tests/bench/inject.c, by /proc/wlb-inject."""

import contextlib
import dataclasses
import os
import pathlib
import struct
import subprocess

from .kernel import MODULE

_PROC = pathlib.Path("/proc/wlb-inject")
_ETHER = 14
UNNECESSARY, PARTIAL = 1, 2      # enum inject_csum
# Of Linux's include/linux/skbuff.h.
GSO_TCPV4, GSO_TCPV6 = 1 << 0, 1 << 4


def load():
    subprocess.run(["insmod", MODULE.with_name("wlb-inject.ko")], check=True)


@dataclasses.dataclass(frozen=True)
class Packet:
    """One to be injected: bytes from the IP header on, and what of it differs from flow to
    flow: the port and, all 16384 flows, the low half of the address at these offsets."""
    raw: bytes
    port_at: int = 0
    host_at: int = 0
    inner: int = 0          # where an IPv4 header inside is, which differs
    fill: int = 0           # bytes of payload behind, in pages
    gso_size: int = 0
    merged: bool = False    # as LRO does it: nobody knows of what the segments were
    burst: int = 1

    @property
    def family(self):
        return self.raw[0] >> 4

    def request(self, device, count, flows, *, start=0, until=0, piece=0,
                profile=False):
        six = self.family == 6
        ether = bytes(6) + b"\x02\0\0\0\0\xfe" + (b"\x86\xdd" if six else b"\x08\0")
        tcp = _ETHER + (40 if six else 20)
        heads = [0 if six else _ETHER, _ETHER + self.inner if self.inner else 0]
        cut = self.gso_size and not self.merged
        gso = (GSO_TCPV6 if six else GSO_TCPV4) if cut else 0
        raw = bytearray(self.raw)
        for at in heads:
            if at:
                raw[at - _ETHER + 10:at - _ETHER + 12] = b"\0\0"
        return struct.pack(
            "=16sQIIIIIIHHHHHHHHHHHH", device.encode(), until, count, flows, start, self.burst,
            piece, self.fill, self.gso_size, gso, self.port_at and self.port_at + _ETHER,
            self.host_at and self.host_at + _ETHER, *heads, tcp,
            PARTIAL if cut else UNNECESSARY, profile, 0, 0, 0) + ether + bytes(raw)


@contextlib.contextmanager
def opened():
    """The file that requests are written to, for write() in the namespace that they are for."""
    fd = os.open(_PROC, os.O_RDWR)
    try:
        yield fd
    finally:
        os.close(fd)


def write(fd, request):
    """ns that all its packets took, how many they were, and ns of the median piece of them."""
    os.write(fd, request)
    return tuple(map(int, os.pread(fd, 64, 0).split()))


def run(host, packet, device, count, flows=1, *, start=0, piece=0, profile=False):
    """ns per packet, from its making to its end; by a clock that counts instructions, those.
    start: the first one's flow. piece: of so many packets, of which the median counts, and not
    all. profile: tests/bench/hot.c is to count them by block."""
    with host.entered(), opened() as fd:
        ns, packets, median = write(fd, packet.request(
            device, count, flows, start=start, piece=piece, profile=profile))
        return median / piece if piece else ns / packets
