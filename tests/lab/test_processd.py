# SPDX-License-Identifier: GPL-2.0-only
"""wlb-processd: rules for processing as a user writes them, and the copies that it keeps: C6 to
C9, C22. The same at a router or at a cache's host."""

import contextlib
import hashlib
import os
import signal
import stat
import time

import pytest

from wlblab.host import wait_until
from wlblab.packets import ACK, Wire
from wlblab.processd import Processd, fields, file_of
from wlblab.processing import Copies, Line, fell_under, only, option, process, shown

EF = 46

# A group of connections to one server's port 80, as it is returned.
WEB = {"on": ["returned"], "protocol": "tcp", "port": 80}


@pytest.fixture
def processd(place):
    with Processd(place) as daemon:
        yield daemon
    assert shown(place) == []       # it has taken them away


def test_rules(farm, family, place, processd):
    """C6 to C8: DSCP, tags and another destination, in the words of wlb.toml; the first rule that
    matches decides, and what falls under each is counted."""
    processd.start(dict(WEB, destination=only(farm, family, 1), rewrite=farm.caches["k2"][family]),
                   dict(WEB, dscp="ef", tag="DE"), {"on": ["returned", "passing"], "dscp": 10})
    with Line(farm, family) as line:
        got = line.carry(line.syn())
        assert option(b"DE") in got.raw
        first = [rule["packets"] for rule in processd.rules()]
        assert first[0] == 0 < first[1]
        other = line.carry(line.syn(port=81, flags=ACK, payload=b"x"))
        assert option(b"DE") not in other.raw
        assert processd.rules()[2]["packets"] > first[2]
    dsfields = [p.raw[1] if family == 4 else (p.raw[0] << 8 | p.raw[1]) >> 4 & 0xff
                for p in (got, other)]
    assert [value >> 2 for value in dsfields] == [EF, 10]
    assert farm.who(family, 1) == "k2"
    assert farm.who(family) == "s"
    text = processd.ctl.run("process", "show").stdout.splitlines()
    assert text[1].startswith("returned tcp port 80: dscp 46, tag DE; ")


def test_files(farm, family, place, processd):
    """C9: what goes on is in the file, whole or its beginning, and nobody else can read it."""
    whole, short, began = file_of("whole"), file_of("short"), time.time()
    processd.start(dict(WEB, dscp=EF, copy="short"), {"on": ["returned"], "copy": "whole"},
                   copies=[{"name": "whole", "file": str(whole)},
                           {"name": "short", "file": str(short), "length": 64}])
    assert farm.who(family) == "s"
    with Line(farm, family) as line:
        sent = line.carry(line.syn(port=81, flags=ACK, payload=os.urandom(700))).raw
    count = processd.rules()[0]["packets"]
    assert count >= 3
    wait_until("all is there", lambda: [processd.copies()[name]["packets"]
                                        for name in ("short", "whole")] == [count, 1])
    processd.kill(signal.SIGTERM)
    dscp = "ip.dsfield.dscp" if family == 4 else "ipv6.tclass.dscp"
    found = fields(place, short, "frame.interface_name", "frame.cap_len", "tcp.dstport", dscp)
    assert len(found) == count
    for layers in found:
        assert int(layers.pop("frame.cap_len")[0]) <= 64
        assert layers == {"frame.interface_name": ["short"], "tcp.dstport": ["80"],
                          dscp: [str(EF)]}
    (found,) = fields(place, whole, "frame.len", "frame.time_epoch", "tcp.dstport")
    assert int(found["frame.len"][0]) == len(sent) and found["tcp.dstport"] == ["81"]
    assert began <= float(found["frame.time_epoch"][0]) <= time.time()
    for path in (whole, short):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_ring(farm, family, place, processd):
    """C9: there is never more than was allowed, what is there is the newest, and every file of it
    can be read."""
    path = file_of("ring")
    processd.start(dict(WEB, port=81, copy="ring"),
                   copies=[{"name": "ring", "file": str(path), "file-size": 300_000, "files": 3}])
    data = os.urandom(3_000_000)
    assert farm.upload(family, data) == ("s", hashlib.sha256(data).hexdigest())
    copied = processd.rules()[0]["packets"]

    def settled():
        copy = processd.copies()["ring"]
        return copy["packets"] + copy["missed"] + copy["failed"] == copied
    wait_until("all copies are there", settled)
    copy = processd.copies()["ring"]
    assert not copy["failed"] and copy["octets"] > 2 * 900_000
    files = [path, f"{path}.1", f"{path}.2"]
    assert all(150_000 < os.stat(file).st_size <= 300_000 for file in files[1:])
    assert not os.path.exists(f"{path}.3")
    times = [float(packet["frame.time_epoch"][0]) for file in reversed(files)
             for packet in fields(place, file, "frame.time_epoch")]
    assert times == sorted(times) and times


def test_interface(farm, family, place, processd):
    """C9: copies leave by an interface, as soon as there is one; what is too long for it is cut."""
    # nobody is there, so that nobody answers but by a reset
    processd.start(dict(WEB, port=82, copy="watch"),
                   copies=[{"name": "watch", "interface": "mon0"}])
    try:
        with Line(farm, family) as line:
            line.carry(line.syn(port=82))
            wait_until("it cannot be sent", lambda: processd.copies()["watch"]["failed"] == 1)
            assert "No such device" in processd.copies()["watch"]["error"]
            place.run("ip", "link", "add", "mon0", "mtu", "1300", "type", "veth",
                      "peer", "name", "mon1")
            for name in ("mon0", "mon1"):
                place.run("sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1")
                place.run("ip", "link", "set", name, "up")
            with Wire(place, "mon1") as monitor:
                sent = line.carry(line.syn(port=82))
                (got,) = monitor.receive(lambda p: p.sport == sent.sport)
                assert got.raw == sent.raw
                long = line.carry(line.syn(port=82, flags=ACK, payload=os.urandom(1350)))
                wait_until("it is sent", lambda: processd.copies()["watch"]["packets"] == 2)
        copy = processd.copies()["watch"]
        assert copy["cut"] == 1 and copy["octets"] == len(sent.raw) + 1300 < len(long.raw) + 1300
        assert copy["error"] == ""
    finally:
        with contextlib.suppress(Exception):
            place.run("ip", "link", "del", "mon0")


def test_stalls(farm, family, place, processd):
    """C9: a daemon that stands still, as before a slow disk, stops no packet; what it has missed
    it counts."""
    path = file_of("stalled")
    processd.start(dict(WEB, port=81, copy="all"),
                   copies=[{"name": "all", "file": str(path), "files": 1}])
    data = os.urandom(24_000_000)
    processd.child.send_signal(signal.SIGSTOP)
    try:
        assert farm.upload(family, data) == ("s", hashlib.sha256(data).hexdigest())
    finally:
        processd.child.send_signal(signal.SIGCONT)

    def settled():
        # That copies were missed shows with the next one that is not, and there may be no room
        # for one until the daemon has read what waited for it.
        assert farm.upload(family, data[:1000])[0] == "s"
        copied = processd.rules()[0]["packets"]
        time.sleep(.2)
        copy = processd.copies()["all"]
        return copy["packets"] + copy["missed"] == copied
    wait_until("each is kept or missed", settled, 30)
    assert processd.copies()["all"]["missed"] > 0 < processd.copies()["all"]["packets"]


def test_changes(farm, family, place, processd):
    """SIGHUP changes rules and copies at once, or nothing; SIGKILL leaves the rules in force, and
    the next daemon goes on."""
    path, other = file_of("kept"), file_of("other")
    copy = {"name": "a", "file": str(path)}
    processd.start(dict(WEB, dscp=1, copy="a"), copies=[copy])
    assert farm.who(family) == "s"
    wait_until("copies are there", lambda: processd.copies()["a"]["packets"] ==
               processd.rules()[0]["packets"] >= 3)
    before = processd.copies()["a"]["packets"]
    processd.reload(dict(WEB, dscp=2, copy="b"), dict(WEB, copy="a"),
                    copies=[{"name": "b", "file": str(other)}, dict(copy, length=40)])
    assert farm.who(family) == "s"
    assert processd.copies()["a"]["packets"] == before
    count = processd.rules()[0]["packets"]
    wait_until("they go to the other", lambda: processd.copies()["b"]["packets"] == count >= 3)

    asked = processd.rules()
    for bad, why in (([dict(WEB, dscp=64)], ":5:8: rule #1: dscp is 64, must be 0..63"),
                     ([], "there is no [[processing.rule]]"),
                     ([dict(WEB, copy="c")], "there is no [[processing.copy]] named")):
        processd.configure(*bad)
        done = processd.ctl.run("process", "reload", check=False)
        assert done.returncode == 1 and why in done.stderr
    processd.configure(dict(WEB, copy="c"), copies=[{"name": "c", "file": "/etc/passwd"}])
    done = processd.ctl.run("process", "reload", check=False)
    assert done.returncode == 1
    assert "/etc/passwd is there already and is no pcapng file" in done.stderr
    assert processd.rules() == asked and set(processd.copies()) == {"a", "b"}

    processd.kill(signal.SIGKILL)
    assert len(shown(place)) == 2
    assert farm.who(family) == "s"
    assert fell_under(place)[0] > count
    processd.start(dict(WEB, dscp=3, copy="a"), copies=[copy])
    assert os.path.exists(f"{path}.1")      # what the killed one has written
    assert farm.who(family) == "s"
    wait_until("copies are there", lambda: processd.copies()["a"]["packets"] >= 3)
    # Somebody else's, or none, as after the module was loaded anew.
    process(place)
    wait_until("the rules are back", lambda: len(shown(place)) == 1, 30)
    assert farm.who(family) == "s"
    assert fell_under(place)[0] >= 3


def test_refused(farm, place, processd):
    """What it cannot keep it does not begin."""
    foreign = file_of("foreign")
    foreign.write_text("not a capture")
    copy = {"name": "a", "file": str(foreign)}
    assert "is no pcapng file" in processd.refused(dict(WEB, copy="a"), copies=[copy])
    assert foreign.read_text() == "not a capture"
    copy["file"] = "/nowhere/x.pcapng"
    assert "/nowhere/x.pcapng: No such file or directory" in processd.refused(
        dict(WEB, copy="a"), copies=[copy])
    copy["file"] = str(file_of("good"))
    with Copies(place, 2048):
        said = processd.refused(dict(WEB, copy="a"), copies=[copy])
        assert "group 2048 of NFLOG is another program's; see nflog-group" in said
    assert shown(place) == []
    processd.start(dict(WEB, copy="a"), copies=[copy], nflog_group=7)
    assert processd.copies()["a"]["group"] == 7
    second = Processd(place)
    second.path = processd.path
    assert "another wlb-processd runs in this network namespace" in second.refused(
        dict(WEB, copy="a"), copies=[copy], nflog_group=7)
    assert len(shown(place)) == 1
