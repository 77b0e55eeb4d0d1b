# SPDX-License-Identifier: GPL-2.0-only
"""packaging/wireshark/wlb.lua by tshark, of SYNs made byte by byte."""

import pathlib
import struct
import subprocess
import sys

import pytest

REPO = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(REPO / "tests" / "lab"))

from wlblab import packets      # noqa: E402
from wlblab.packets import ACK, EXID, LINUX, NOP, SYN, tag      # noqa: E402

LUA = REPO / "packaging" / "wireshark" / "wlb.lua"
ADDRESSES = {4: ("10.1.1.2", "203.0.113.10"), 6: ("2001:db8:1::2", "2001:db8:a::10")}
FIELDS = ("tag.state", "tag.offers", "tag.nonce", "tag.cookie", "label")


def long_tag(state, nonce, cookie):
    return (struct.pack("!BBH", 253, 16, EXID) + tag(state, nonce)[4:] +
            struct.pack("!Q", cookie))


def label(data):
    return struct.pack("!BBH", 254, 4 + len(data), EXID + 1) + data


def syn(family, options, flags=SYN):
    return packets.tcp(*ADDRESSES[family], 33000, 80, flags, 1000, options=options)


def tshark(tmp_path, raw, *options):
    """The program's output for a capture of these IP packets."""
    file = tmp_path / "syns.pcap"
    with file.open("wb") as out:
        out.write(struct.pack("=IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))
        for packet in raw:
            out.write(struct.pack("=IIII", 0, 0, len(packet), len(packet)) + packet)
    done = subprocess.run(["tshark", "-X", f"lua_script:{LUA}", "-r", file, *options],
                          capture_output=True, text=True, check=True)
    errors = [line for line in done.stderr.splitlines() if not line.startswith("Running as")]
    assert errors == []
    return done.stdout


def fields(tmp_path, raw, *more):
    """Of each packet, what FIELDS say."""
    out = tshark(tmp_path, raw, "-T", "fields", *(x for f in FIELDS for x in ("-e", f"wlb.{f}")),
                 *more)
    return [tuple(line.split("\t")) for line in out.splitlines()]


@pytest.mark.parametrize("family", [4, 6])
def test_fields(tmp_path, family):
    raw = [syn(family, LINUX + tag(1, 0xbeef)),
           syn(family, LINUX + long_tag(2, 0x1234, 0x0102030405060708), SYN | ACK),
           syn(family, label(b"DE") + NOP * 2 + LINUX + tag(0, offers=0x20)),
           syn(family, LINUX)]
    assert fields(tmp_path, raw) == [
        ("1", "0x0f", "0xbeef", "", ""), ("2", "0x0f", "0x1234", "0x0102030405060708", ""),
        ("0", "0x20", "0x0000", "", "4445"), ("", "", "", "", "")]
    assert len(fields(tmp_path, raw, "-Y", "wlb")) == 3
    assert len(fields(tmp_path, raw, "-Y", "wlb.tag.offers.cloned == 1")) == 1
    lines = tshark(tmp_path, raw).splitlines()
    assert lines[0].endswith("[wlb: permitted, nonce beef]")
    assert "[wlb: answer, nonce 1234]" in lines[1] and "wlb:" not in lines[3]


@pytest.mark.parametrize("family", [4, 6])
def test_in_tunnels(tmp_path, family):
    """A clone on its way is read by its inner header."""
    outer = {4: ("203.0.113.1", "198.51.100.7"), 6: ("2001:db8:a::1", "2001:db8:b::7")}[family]
    inner = syn(family, LINUX + tag(1, 7))
    gre = struct.pack("!HH", 0, {4: 0x0800, 6: 0x86dd}[family]) + inner
    raw = [packets.ip(*outer, gre, proto=47),
           packets.ip(*outer, inner, proto={4: 4, 6: 41}[family])]
    assert [line[2] for line in fields(tmp_path, raw)] == ["0x0007"] * 2


def test_others(tmp_path):
    """Another's experiment is none of ours; a tag of another length or version is marked; a
    broken option list ends there."""
    raw = [syn(4, LINUX + tag(1, 7, exid=0xf989)),
           syn(4, LINUX + struct.pack("!BBHBBHI", 253, 12, EXID, 0x11, 1, 7, 0)),
           syn(4, LINUX + struct.pack("!BBHBBH", 253, 8, EXID, 0x21, 1, 7)),
           syn(4, LINUX + struct.pack("!BBHBBH", 253, 9, EXID, 0x11, 1, 7)),
           syn(4, LINUX + struct.pack("!BBHBBH", 253, 0, EXID, 0x11, 1, 7))]
    assert fields(tmp_path, raw) == [("", "", "", "", "")] * 5
    assert len(fields(tmp_path, raw, "-Y", "wlb.malformed")) == 2


def test_another_identifier(tmp_path):
    """All gateways may have agreed on another one."""
    raw = [syn(4, LINUX + tag(1, 7, exid=0x1234)), syn(4, LINUX + tag(1, 8))]
    assert [line[2] for line in fields(tmp_path, raw, "-o", f"wlb.exid:{0x1234}")] == ["0x0007", ""]
