# SPDX-License-Identifier: GPL-2.0-only
"""Flows that a replica has won, from the handshake to the end: real downloads and
uploads, and what ends a flow. r1 wins all races here: the server answers late."""

import http.client
import socket
import time

import pytest

from wlblab import firewall, kernel, packets, web, wlb
from wlblab.bulk import both_ways
from wlblab.ghosts import Counted
from wlblab.host import wait_until
from wlblab.packets import ACK, FIN, PSH, RST
from wlblab.t0 import T0

PORTS = [80, 8080]


@pytest.fixture(scope="module")
def net():
    kernel.load()
    with T0(delays=False, clients=1, replicas=1) as t0:
        t0.build()
        t0.own_origin()
        t0.configure(ports=PORTS)
        t0.warm_up()
        yield t0
    kernel.unload()


@pytest.fixture(autouse=True)
def settled(net):
    net.netem("s", "sg", "delay 200ms")
    yield
    net.no_netem()
    net.wlb("cg").run("flow", "flush")
    assert wlb.unaccounted(net.wlb("cg").stats()) == 0


def bad_checksums(net):
    return sum(net[name].counters()["TcpInCsumErrors"] for name in ("c1", "r1"))


def connect(net, family, port=80):
    with net["c1"].entered():
        return socket.create_connection((net.address["s", family], port), 10)


@pytest.mark.parametrize("offload", ["on", "off"])
def test_both_ways(net, family, offload):
    """W80, W86: 10 MB up, half close, 10 MB down on one connection; large packets and
    checksums left to the devices, or neither. No packet with a bad checksum."""
    net.offloads(offload)
    before, counted = bad_checksums(net), Counted(net.wlb("cg"))
    both_ways(net["c1"], net.address["s", family], net["r1"], 8080)
    net.offloads("on")
    assert bad_checksums(net) == before
    grown = counted.grown()
    assert grown["race_won_replica"] == 1 and "translate_failed" not in grown
    # Full size packets one by one, or fewer.
    full = web.BIG // 1440
    assert (grown["translated_in"] > full) == (grown["translated_out"] > full) == (
        offload == "off")


def test_ip_options(net):
    """IPv4 options that a client uses do not keep its packets from the winner."""
    counted = Counted(net.wlb("cg"))
    with connect(net, 4) as sock:
        wait_until("r1 has won", lambda: counted.grown().get("race_won_replica"))
        before = Counted(net.wlb("cg"))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\1\1\1\0")
        with net["r1"].capture("wan0", "ip[0] == 0x46") as seen:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert b"X-Who: r1" in sock.recv(4096)
        assert any(p.haslayer("TCP") and b"GET /" in bytes(p) for p in seen.packets())
    assert before.grown()["translated_out"] > 0


def test_refused_by_winner(net, family):
    """An ICMP error of the winner's own is the server's to the client, and about the
    server's address."""
    server = packets.pack(net.address["s", family])
    counted = Counted(net.wlb("cg"))
    with connect(net, family) as sock, packets.Wire(net["c1"], "lan0") as wire:
        wait_until("r1 has won", lambda: counted.grown().get("race_won_replica"))
        net["r1"].run("nft", "-f", "-", stdin="""table inet refusing {
            chain input {
                type filter hook input priority 0
                tcp dport 80 reject with icmpx type admin-prohibited
            }
        }""")
        try:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            outer, kind = (20, 3) if family == 4 else (40, 1)
            errors = wait_until("the error", lambda: [
                p for p in wire.drain() if p.proto in (1, 58) and p.raw[outer] == kind])
        finally:
            net["r1"].run("nft", "delete", "table", "inet", "refusing")
    quoted = errors[0].raw[outer + 8:]
    assert packets.pack(errors[0].src) == server
    assert (quoted[16:20] if family == 4 else quoted[24:40]) == server


def test_server_won(net, family):
    """W81: 10 MB of a flow that the server has won; nothing is translated."""
    net.netem("s", "sg", "")
    net.netem("r1", "core", "delay 200ms")
    counted = Counted(net.wlb("cg"))
    assert web.fetch(net["c1"], net.address["s", family], "10M") == (
        "s", web.big_file().read_bytes())
    wait_until("the loser's reset", lambda: counted.done() == {
        "syn_tagged": 1, "race_won_server": 1, "answer_lost": 1, "reset_sent": 1}, step=0.1)


def test_keep_alive(net, family):
    """W86: a hundred requests on one connection, one race."""
    counted = Counted(net.wlb("cg"))
    with connect(net, family) as sock:
        client = http.client.HTTPConnection("www.example")
        client.sock = sock
        for number in range(100):
            client.request("GET", f"/{number}")
            answer = client.getresponse()
            assert answer.getheader("X-Who") == "r1"
            assert answer.read() == b"r1\n"
    assert counted.grown()["syn_tagged"] == 1


def test_idle(net):
    """W86: a flow lives as long as it speaks within the time for established ones, and
    no longer."""
    net.wlb("cg").apply(net.config(ports=PORTS, timeouts={"established": "4s"})["cg"])
    try:
        with connect(net, 4) as sock:
            for _ in range(3):
                sock.sendall(b"GET / HTTP/1.1\r\nHost: www\r\n\r\n")
                assert b"X-Who: r1" in sock.recv(4096)
                time.sleep(2)
            (flow,) = net.wlb("cg").flows()
            assert flow["state"] == "won" and flow["expires_ms"] < 3000
            wait_until("the flow is forgotten", lambda: not net.wlb("cg").flows(), timeout=12,
                       step=0.2)
    finally:
        net.configure(ports=PORTS)


def test_end(net, ghosts):
    """W87: a flow closes after both FINs, or a RST within the window, and goes after
    its time; a repeated FIN is still carried; a RST outside the window ends nothing;
    who goes on speaking after a RST is heard."""
    winner = ghosts.replica[1]
    net.wlb("cg").apply(net.config(ports=PORTS, timeouts={
        "closing": "3s", "reset": "2s"})["cg"])
    try:
        race = ghosts.race()
        race.answer(winner)
        out, into = race.from_client, race.from_far
        ghosts.out(out(winner, ACK | PSH, payload=b"x" * 100))
        ghosts.into(into(winner, ACK | PSH, ack=101, payload=b"y" * 100))
        counted = Counted(ghosts.ctl)
        for seq in (0, 102, 1 << 16, 1 << 31):
            assert ghosts.into(into(winner, RST, seq=seq))[0].src == ghosts.server
            assert ghosts.out(out(winner, RST, seq=seq - (seq == 0)))[0].dst == winner
        assert race.flow()["state"] == "won"
        assert counted.grown()["rst_out_of_window"] == 8
        ghosts.into(into(winner, RST, seq=101))
        assert race.flow()["state"] == "closing"
        ghosts.out(out(winner, ACK, seq=101, ack=101))
        assert race.flow()["state"] == "won"

        ghosts.out(out(winner, FIN | ACK, seq=101, ack=101))
        assert race.flow()["state"] == "won"
        ghosts.into(into(winner, FIN | ACK, seq=101, ack=102))
        assert race.flow()["state"] == "closing"
        ghosts.out(out(winner, ACK, seq=102, ack=102))
        raw = into(winner, FIN | ACK, seq=101, ack=102)
        assert ghosts.into(raw)[0].raw == race.translated(raw, src=ghosts.server)
        assert 0 < race.flow()["expires_ms"] <= 3000
        reset = ghosts.race()
        reset.answer(winner)
        ghosts.out(reset.from_client(winner, RST))
        assert 0 < reset.flow()["expires_ms"] <= 2000
        wait_until("both are gone", lambda: not ghosts.flows(race.sport) + ghosts.flows(
            reset.sport), timeout=10, step=0.2)
    finally:
        net.configure(ports=PORTS)


def test_reset_sweep(net, all_ghosts):
    """W87: somebody sends RSTs with sequence numbers all over the space into a
    download, to both ends: it stands."""
    wires = all_ghosts[4]
    server, client = net.address["s", 4], net.address["c1", 4]
    r1 = net.address["r1", 4]
    net.netem("core", "cg", "rate 10mbit")      # so that it lasts
    where = web.ROOT / "swept"
    child = net["c1"].popen("curl", "-sS", "-o", where, web.url(server, "10M"))
    counted = Counted(net.wlb("cg"))
    port = wait_until("a flow", lambda: [f["client_port"] for f in net.wlb("cg").flows()
                                         if f["state"] == "won"])[0]
    for number in range(512):
        seq = (number << 23) + 12345
        wires.wan.send(packets.tcp(r1, client, 80, port, RST, seq))
        wires.lan.send(packets.tcp(client, server, port, 80, RST, seq))
    assert child.poll() is None, "the download was over before the sweep"
    assert child.wait(60) == 0
    assert where.read_bytes() == web.big_file().read_bytes()
    assert counted.grown()["rst_out_of_window"] > 900


def test_other_options(net, family):
    """W88: the winner's stack has neither timestamps nor SACK and another window scale
    than the server's: the client keeps to what the winner said, through 1 % loss."""
    r1 = net["r1"]
    r1.sysctl(net__ipv4__tcp_timestamps=0, net__ipv4__tcp_sack=0,
              net__ipv4__tcp_rmem="4096 65536 131072")
    net.netem("core", "cg", "loss 1%")
    try:
        who, body = web.fetch(net["c1"], net.address["s", family], "10M")
        assert (who, body) == ("r1", web.big_file().read_bytes())
        with packets.Wire(net["cg"], "lan0") as wire, packets.Wire(net["c1"], "lan0") as client:
            net.netem("core", "cg", "")
            assert web.fetch(net["c1"], net.address["s", family])[0] == "r1"
            # Others may still repeat their answers to earlier scenarios' connections.
            sent = [p for p in wire.drain() if p.tcp is not None and p.dport == 80]
            port = next(p.sport for p in sent if p.flags & packets.SYN)
            sent = [p for p in sent if p.sport == port]
            (synack,) = client.receive(lambda p: p.flags & packets.SYN and p.dport == port)
        assert {kind for kind, _ in packets.options_list(synack.options)} <= {1, 2, 3}
        kinds = {kind for p in sent[1:] for kind, _ in packets.options_list(p.options)}
        assert not kinds & {5, 8}, "options that the winner has not agreed to"
        assert {8, 4} <= {kind for kind, _ in packets.options_list(sent[0].options)}
    finally:
        r1.sysctl(net__ipv4__tcp_timestamps=1, net__ipv4__tcp_sack=1,
                  net__ipv4__tcp_rmem="4096 131072 6291456")


@pytest.mark.parametrize("way", [("nat", None), ("spoof", "gre"), ("tunnel", "gre"),
                                 ("tunnel", "ipip")], ids=lambda w: "-".join(filter(None, w)))
def test_loss_and_reordering(net, family, way):
    """W90: five downloads at a time, and beside them 1 MB both ways on one connection,
    through 5 % loss, duplicates and reordering in both directions, in every return mode."""
    mode, via = way
    net.configure(ports=PORTS, served={"return_": mode, "via": via})
    # If a clone is lost r1 gets another one, and nobody else has answered meanwhile.
    net.netem("sg", "s", "loss 100%")
    for host, peer in (("core", "cg"), ("cg", "core")):
        net.netem(host, peer, "delay 4ms loss 5% duplicate 5% reorder 25% 50%")
    part = web.BIG // 5
    files = [web.ROOT / f"part{i}" for i in range(5)]
    try:
        children = [net["c1"].popen(
            "curl", "-sS", "-o", file, "-r", f"{i * part}-{(i + 1) * part - 1}", "--max-time", 90,
            web.url(net.address["s", family], "10M")) for i, file in enumerate(files)]
        both_ways(net["c1"], net.address["s", family], net["r1"], 8080, 1 << 20)
        assert [child.wait(100) for child in children] == [0] * 5
        assert b"".join(file.read_bytes() for file in files) == web.big_file().read_bytes()
        assert [(f["winner"], f["return"]) for f in net.wlb("cg").flows()] == [
            (net.address["r1", family], mode)] * 6
    finally:
        net.configure(ports=PORTS)


def test_firewall(net, family):
    """W115: the gateway has a stateful firewall that drops all it does not expect, and
    hides its clients behind its own address: the replica serves as before, and no
    packet is invalid to it."""
    cg = net["cg"]
    firewall.stateful(cg, masquerade=True)
    before, counted = bad_checksums(net), Counted(net.wlb("cg"))
    try:
        assert web.fetch(net["c1"], net.address["s", family], "10M") == (
            "r1", web.big_file().read_bytes())
        assert web.fetch(net["c1"], net.address["s", family])[0] == "r1"
        wait_until("the server's resets", lambda: counted.grown().get("reset_sent") == 2,
                   step=0.1)
        (first, second) = net.wlb("cg").flows()
        own = {4: "10.9.1.1", 6: "2001:db8:9:1::1"}[family]
        assert (first["client"], second["client"]) == (own, own)
        assert firewall.counted(cg) == {}
    finally:
        firewall.remove(cg)
    assert bad_checksums(net) == before
    wait_until("s is not half open", lambda: not net["s"].half_open(), timeout=5)
