# SPDX-License-Identifier: GPL-2.0-only
"""The client gateway under a flood, its management, and its end amid traffic."""

import json
import random
import re
import socket
import struct
import subprocess
import time

import pytest

from wlblab import kernel, packets, web, wlb
from wlblab.flood import Flood
from wlblab.ghosts import Counted, Ghosts
from wlblab.host import wait_until
from wlblab.packets import ACK, LINUX, PERMITTED, SYN
from wlblab.t0 import T0

FLOWS = 1024
# The least: at most 1024 flows in 1024 buckets, so that there is always one to evict nearby.
BITS = 10


@pytest.fixture(scope="module")
def net():
    kernel.load(flow_table_bits=BITS)
    with T0(delays=False, clients=2, replicas=1) as t0:
        t0.build()
        configure(t0)
        t0.warm_up()
        t0.netem("s", "sg", "delay 200ms")       # r1 wins
        yield t0
    if kernel.loaded():
        kernel.unload()


@pytest.fixture(autouse=True)
def settled(net):
    yield
    if net.hosts:
        net.wlb("cg").run("flow", "flush")
        assert wlb.unaccounted(net.wlb("cg").stats()) == 0


def configure(net, **keys):
    net.configure(client_gateway={"max-flows": FLOWS, **keys})


def flood(net, ghosts, count, payload=b"", meanwhile=lambda: None):
    """Sends count SYNs of as many clients and ports, with meanwhile() every now and
    then; the largest table seen, and what came out at the far side."""
    source, largest = Flood(ghosts, payload), 0
    for number in range(count):
        source.send(random.randrange(0x300, 0xff00), number % 50000 + 10000)
        if not number % 100:
            meanwhile()
        if number % 2000 == 1999:
            largest = max(largest, net.wlb("cg").stats()["flows"])
    out = ghosts.wan.receive(lambda p: p.dst == ghosts.server, count, timeout=30)
    return largest, out


def connect(net, client, family):
    return net[client].connect(net.address["s", family], 80)


def test_flood(net, all_ghosts):
    """W110: ten thousand SYNs of strangers: the table keeps its bound, races give
    way, downloads do not; every SYN goes on, with a tag or without."""
    ghosts, count = all_ghosts[4], 10000
    ghosts.forget()
    downloads = [web.Download(net[client], net.address["s", family])
                 for client in net.clients for family in (4, 6)]

    def read_on():
        for download in downloads:
            download.read(4096)
    counted = Counted(net.wlb("cg"))
    largest, out = flood(net, ghosts, count, meanwhile=read_on)
    # Each CPU may be about to add one.
    assert FLOWS - 8 < largest <= FLOWS + 2
    assert sum(f["state"] == "won" for f in net.wlb("cg").flows()) == 4
    grown = counted.grown()
    assert len(out) == count
    assert sum(bool(p.tags()) for p in out) == (
        grown["syn_tagged"] + grown.get("syn_retagged", 0))
    assert grown["race_evicted"] > count // 2
    # A new client has its race even now.
    with connect(net, "c1", 4):
        pass
    assert counted.grown()["race_won_replica"] == 1
    big = web.big_file().read_bytes()
    for download in downloads:
        head, body = download.finish()
        assert b"X-Who: r1" in head and body == big


def test_full_of_won_flows(net, all_ghosts):
    """W110: a table full of flows that are carried: none is forgotten, new connections
    are plain ones to the server."""
    ghosts, replica = all_ghosts[4], all_ghosts[4].replica[1]
    ghosts.forget()
    source = Flood(ghosts)
    for number in range(FLOWS):
        source.send(0x14d, 20000 + number)
    for number in range(FLOWS):
        ghosts.wan.send(packets.tcp(replica, "10.1.1.77", 80, 20000 + number, SYN | ACK,
                                    7, 2, options=LINUX))
    wait_until("they have won", lambda: sum(
        f["state"] == "won" for f in net.wlb("cg").flows()) == FLOWS)
    ghosts.forget()
    counted = Counted(net.wlb("cg"))
    _, out = flood(net, ghosts, 1000)
    assert len(out) == 1000 and not any(p.tags() for p in out)
    assert counted.grown() == {"syn_table_full": 1000}
    for family in (4, 6):
        assert web.fetch(net["c1"], net.address["s", family])[0] == "s"
    assert counted.grown() == {"syn_table_full": 1002}
    data = packets.tcp("10.1.1.77", ghosts.server, 20001, 80, ACK, 2, 8, payload=b"x")
    assert ghosts.out(data)[0].dst == replica


def test_flood_with_payload(net, all_ghosts):
    """W110: SYNs with a request leave tombstones behind: they give way to races."""
    ghosts, count = all_ghosts[4], 3000
    ghosts.forget()
    counted = Counted(net.wlb("cg"))
    largest, out = flood(net, ghosts, count, b"GET /")
    assert len(out) == count and not any(p.tags() for p in out)
    assert largest <= FLOWS + 2
    grown = counted.grown()
    assert grown["tombstone_evicted"] > 1000 and "race_evicted" not in grown
    for family in (4, 6):
        assert web.fetch(net["c1"], net.address["s", family])[0] == "r1"


@pytest.mark.parametrize("family", [4, 6])
def test_quota(net, all_ghosts, family):
    """W110: one client (IPv6: one /64) may have so many races unanswered, others have
    theirs; an answer makes room."""
    ghosts, quota = all_ghosts[family], 16
    neighbour = {4: "10.1.1.78", 6: "2001:db8:1:1::78"}[family]
    ghosts.forget()
    configure(net, **{"client-quota": quota})
    counted = Counted(net.wlb("cg"))
    races = [ghosts.race() for _ in range(quota)]
    for number in range(5):
        raw = ghosts.syn(15000 + number, 1)
        assert ghosts.out(raw)[0].raw == packets.routed(raw)
    (out,) = ghosts.out(packets.tcp(neighbour, ghosts.server, 15100, 80, SYN, 1))
    assert bool(out.tags()) == (family == 4)
    grown = counted.grown()
    assert (grown["syn_client_quota"], grown["syn_tagged"]) == (
        (5, quota + 1) if family == 4 else (6, quota))
    races[0].answer(ghosts.replica[1])
    ghosts.race()
    raw = ghosts.syn(15200, 1)
    assert ghosts.out(raw)[0].raw == packets.routed(raw)
    configure(net)


def test_management(net, all_ghosts):
    """W113: the counters of the manual, all of them and no others; flush by client,
    server and winner; races listed and told as they happen."""
    cg, ghosts = net.wlb("cg"), all_ghosts[4]
    manual = (kernel.REPO / "include/uapi/linux/wlb.h").read_text()
    manual = manual.partition("#define WLB_STATS(X)")[2]
    names = re.findall(r"^\tX\((\w+), \"", manual, re.MULTILINE)
    assert len(names) > 50
    stats = cg.stats()
    assert list(stats["counters"]) == names
    assert set(stats) == {"counters", "flows", "racing", "held"}

    # More than a clock of 100 Hz can take for nothing.
    net.netem("r1", "core", "delay 20ms")
    monitor = cg.monitor()
    with monitor.stdout:
        time.sleep(1)
        socks = [connect(net, client, family) for client in net.clients for family in (4, 6)]
        told = [json.loads(monitor.stdout.readline()) for _ in range(4)]
        net["cg"].stop(monitor)
    assert {(r["client"], r["client_port"]) for r in told} >= {
        (sock.getsockname()[0], sock.getsockname()[1]) for sock in socks[:1]}
    wait_until("the server's answers", lambda: all(
        len(r["answers"]) == 2 for r in cg.races()[-4:]), step=0.1)
    for race, sock in zip(cg.races()[-4:], socks):
        family = 6 if ":" in race["client"] else 4
        assert (race["client"], race["client_port"]) == sock.getsockname()[:2]
        assert race["winner"] == net.address["r1", family]
        assert [(a["address"], a["won"]) for a in race["answers"]] == [
            (net.address["r1", family], True), (net.address["s", family], False)]
        assert race["answers"][1]["delay_us"] > 150000 and race["answers"][0]["delay_us"] > 15000
        assert abs(race["time_ns"] / 1e9 - time.time()) < 60

    net.netem("r1", "core", "")
    lone = ghosts.race()
    for args, count in ((["--client", net.address["c2", 6]], 1),
                        (["--client", net.address["c2", 6]], 0),
                        (["--winner", net.address["r1", 6]], 1),
                        (["--client", net.address["c1", 4], "--winner", net.address["s", 4]], 0),
                        (["--server", net.address["s", 4]], 2),
                        ([], 1)):
        assert cg.json("flow", "flush", *args) == {"flushed": count}, args
    assert cg.flows() == [] and cg.stats()["flows"] == 0
    assert ghosts.flows(lone.sport) == []
    for sock in socks:
        sock.close()


def test_unload_amid_traffic(net):
    """The module goes while it carries downloads and races run: nothing is left of it,
    connections are plain ones. It comes back with another identifier of the tag."""
    children = [net[client].popen("curl", "-s", "-o", "/dev/null", "--limit-rate", "300k",
                                  "--max-time", 30, web.url(net.address["s", family], "10M"))
                for client in net.clients for family in (4, 6)]
    children += [net["c1"].popen("curl", "-s", "-o", "/dev/null", "-m", 8,
                                 web.url(net.address["s", 4], "[1-200]"))]
    wait_until("downloads", lambda: sum(
        f["state"] == "won" for f in net.wlb("cg").flows()) >= 4)
    kernel.unload()
    assert not kernel.loaded()
    for family in (4, 6):
        assert web.fetch(net["c1"], net.address["s", family])[0] == "s"
    for child in children:
        child.kill()
        child.wait()

    kernel.load(exid=0x1234)
    configure(net)
    ghosts = Ghosts(net, 4)
    (out,) = ghosts.out(ghosts.syn(16000, 1))
    ghosts.close()
    (tag,) = out.tags()
    assert tag == packets.tag(PERMITTED, struct.unpack("!H", tag[6:])[0], exid=0x1234)
    with connect(net, "c1", 4) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"X-Who: r1" in sock.recv(4096)


def test_namespaces_vanish(net):
    """The gateways' namespaces go with flows won, races running and packets held; then
    all others, then the module."""
    # Nobody is at the second address; for its sake all else is held for a second.
    net.configure(race="equal", families=(4,), origin={"max-hold": "1s", "replicas": [
        {"address": net.address["r1", 4], "delay": "1ms"},
        {"address": "198.51.100.201", "delay": "1s"}]})
    socks = [connect(net, client, 4) for client in net.clients]
    for client in net.clients:
        with net[client].entered():
            socks.append(socket.socket(socket.AF_INET))
        socks[-1].setblocking(False)
        socks[-1].connect_ex((net.address["s", 4], 80))
    wait_until("two SYNs and two clones each are held",
               lambda: net.wlb("sg").stats()["held"] == 4, timeout=2, step=0)
    subprocess.run(["ip", "netns", "del", "sg"], check=True)
    # The two others race on, unless their second was over before sg was gone.
    states = sorted(f["state"] for f in net.wlb("cg").flows())
    assert len(states) == 4 and states[2:] == ["won", "won"]
    subprocess.run(["ip", "netns", "del", "cg"], check=True)
    for sock in socks:
        sock.close()
    net.close()
    kernel.unload()
    assert not kernel.loaded()
