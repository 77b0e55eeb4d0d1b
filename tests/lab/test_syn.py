# SPDX-License-Identifier: GPL-2.0-only
"""Which SYNs the client gateway tags, and how; what it must leave as it is."""

import errno
import socket
import struct
import time

import pytest

from wlblab import kernel, packets, wlb
from wlblab.ghosts import Counted
from wlblab.host import wait_until
from wlblab.packets import (ACK, CWR, ECE, FIN, LINUX, MSS, NOP, NOT_PERMITTED, PERMITTED, PSH,
                            RST, SYN, URG)
from wlblab.t0 import T0

PORTS = [80, 8080]
NEVER = ["203.0.113.201", "2001:db8:a:0:1::201", "10.1.1.78", "2001:db8:1:1::78"]
FULL = LINUX + NOP * 12         # 32 bytes: the tag just fits


@pytest.fixture(scope="module")
def net():
    kernel.load()
    with T0(delays=False, clients=1, replicas=2) as t0:
        t0.build()
        t0.configure(ports=PORTS, service={"never": NEVER})
        t0.warm_up()
        yield t0
    kernel.unload()


@pytest.fixture(autouse=True)
def settled(net):
    """No race is lost; nothing of one scenario is left for the next."""
    yield
    net.no_netem()
    net.wlb("cg").run("flow", "flush")
    assert wlb.unaccounted(net.wlb("cg").stats()) == 0


def untouched(ghosts, raw):
    """The packet comes out as it went in, but for the TTL, and once."""
    ghosts.lan.send(raw)
    source = packets.Packet(raw).src
    assert [p.raw for p in ghosts.wan.drain(0.05) if p.src == source] == [packets.routed(raw)]


def test_tagged(ghosts):
    """W1, W3, W4, W5, W10, W18: a SYN, ECN or not, checksum finished or left to the
    device, leaves with the tag in front of its options and nothing else changed; the
    table knows it."""
    counted, nonces = Counted(ghosts.ctl), set()
    kinds = [(options, flags, partial) for options in (b"", MSS, LINUX, FULL)
             for flags in (SYN, SYN | ECE | CWR) for partial in (False, True)]
    for number, (options, flags, partial) in enumerate(kinds):
        sport, isn = 10000 + number, 0xfffffff8 + number & 0xffffffff
        raw = ghosts.syn(sport, isn, options=options, flags=flags, ttl=7 + number,
                         check="partial" if partial else None)
        (tagged,) = ghosts.out(raw, partial)
        state, nonce = tagged.tag()
        nonces.add(nonce)
        assert state == PERMITTED
        expected = ghosts.syn(sport, isn, flags=flags, ttl=7 + number, check=(
            "partial" if partial else None), options=packets.tag(PERMITTED, nonce) + options)
        assert tagged.raw == packets.routed(expected)
        assert tagged.sound()
    assert len(nonces) > len(kinds) // 2
    assert counted.grown() == {"syn_tagged": len(kinds)}
    flows = {f["client_port"]: f for f in ghosts.ctl.flows()}
    for number in range(len(kinds)):
        flow = flows[10000 + number]
        assert 0 < flow.pop("expires_ms") <= 70000
        assert flow == {"client": ghosts.client, "client_port": 10000 + number,
                        "server": ghosts.server, "server_port": 80, "winner": None,
                        "return": None, "via": None, "state": "racing",
                        "isn": 0xfffffff8 + number & 0xffffffff}


def test_judged_by_tshark(net):
    """W3: of SYNs of a real stack, by another's reading of them."""
    net["c1"].run("ethtool", "-K", "lan0", "tx", "off")
    with net["core"].capture("cg", "tcp or ip6") as capture:
        for family in (4, 6):
            with net["c1"].entered():
                with socket.create_connection((net.address["s", family], 80), 5):
                    pass
    net["c1"].run("ethtool", "-K", "lan0", "tx", "on")
    syns = capture.fields(
        ["tcp.options", "tcp.hdr_len", "tcp.checksum.status", "ip.checksum.status", "frame.len"],
        "tcp.flags.syn == 1 && tcp.flags.ack == 0 && (ip.src == 10.1.1.2 || "
        "ipv6.src == 2001:db8:1:1::2)", ["tcp.check_checksum:TRUE", "ip.check_checksum:TRUE"])
    assert len(syns) == 2
    for syn, ip_length in zip(syns, (20, 40)):
        options = bytes.fromhex(syn["tcp.options"][0].replace(":", ""))
        assert options.startswith(bytes.fromhex("fd08574c110f"))
        assert [kind for kind, _ in packets.options_list(options)] == [253, 2, 4, 8, 1, 3]
        assert syn["tcp.hdr_len"] == ["48"]
        assert syn["frame.len"] == [str(14 + ip_length + 48)]
        assert syn["tcp.checksum.status"] == ["1"]
        assert syn.get("ip.checksum.status", ["1"]) == ["1"]


def test_not_a_start(ghosts):
    """W1, W6: no other combination of flags, and no other port, gets a tag or an entry."""
    counted = Counted(ghosts.ctl)
    for flags in (SYN | ACK, SYN | FIN, SYN | RST, 0, FIN | PSH | URG, ACK, RST, FIN | ACK):
        untouched(ghosts, ghosts.syn(11000, 1, flags=flags))
    untouched(ghosts, ghosts.syn(11000, 1, dport=22))
    untouched(ghosts, ghosts.syn(80, 1, dport=11000))
    assert ghosts.flows(11000) == ghosts.flows(80) == []
    assert counted.grown() == {}


def test_ports(net, all_ghosts):
    """W2: ports of a list; all ports; then a list again."""
    ghosts = all_ghosts[4]
    ghosts.forget()
    untouched(ghosts, ghosts.syn(11100, 1, dport=65535))
    assert ghosts.out(ghosts.syn(11101, 1, dport=8080))[0].tag()[0] == PERMITTED
    try:
        net.wlb("cg").apply(net.config(service={"ports": "all"})["cg"])
        for dport in (22, 80, 65535):
            assert ghosts.out(ghosts.syn(11102, 1, dport=dport))[0].tag()[0] == PERMITTED
    finally:
        net.configure(ports=PORTS, service={"never": NEVER})
    untouched(ghosts, ghosts.syn(11103, 1, dport=22))


def test_repeated(ghosts):
    """W7: the same SYN again: the same tag, no second entry, no second race. W17: from the
    second time on, every other one goes without."""
    counted = Counted(ghosts.ctl)
    race = ghosts.race()
    for plain in (False, True, False):
        if plain:
            untouched(ghosts, ghosts.syn(race.sport, race.isn))
            continue
        (again,) = ghosts.out(ghosts.syn(race.sport, race.isn))
        assert again.raw == race.tagged.raw
    assert len(ghosts.flows(race.sport)) == 1
    race.answer(ghosts.replica[1])
    assert counted.grown() == {"syn_tagged": 1, "syn_retagged": 2, "syn_plain": 1,
                               "race_won_replica": 1, "translated_in": 1}
    assert len([r for r in ghosts.ctl.races() if r["client_port"] == race.sport
                and r["client"] == ghosts.client]) == 1


def test_repeated_after_winner(ghosts):
    """W8: once somebody has won, a repeated SYN is his alone, without a tag."""
    counted = Counted(ghosts.ctl)
    race = ghosts.race()
    syn = ghosts.syn(race.sport, race.isn)
    race.answer(ghosts.replica[1])
    (again,) = ghosts.out(syn)
    assert again.raw == race.translated(syn, dst=ghosts.replica[1])
    race = ghosts.race()
    race.answer(ghosts.server)
    untouched(ghosts, ghosts.syn(race.sport, race.isn))
    grown = counted.grown()
    assert (grown["syn_tagged"], grown["syn_to_winner"]) == (2, 2)
    assert "syn_retagged" not in grown


def test_answer_lost_on_lan(net):
    """W8: the client does not get the winner's answer: its next SYN is not cloned, the
    connection stands."""
    for family in (4, 6):
        cg, sg = Counted(net.wlb("cg")), Counted(net.wlb("sg"))
        replicas = [Counted(net.wlb(name)) for name in net.replicas]
        net.netem("s", "sg", "delay 200ms")
        net.netem("cg", "c1", "loss 100%")
        with net["c1"].entered():
            sock = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6)
        with sock:
            sock.setblocking(False)
            assert sock.connect_ex((net.address["s", family], 80)) == errno.EINPROGRESS
            wait_until("two late answers", lambda: cg.grown().get("answer_lost") == 2, step=0.05)
            # The winner repeats its answer as well, at the same time: keep it away.
            wait_until("the SYN again", lambda: cg.grown().get("syn_to_winner"), step=0.05)
            net.netem("cg", "c1", "")
            wait_until("connected", lambda: _connected(sock), step=0.05)
        assert sg.grown()["syn_cloned"] == 1
        assert [r.grown()["clone_cracked"] for r in replicas] == [1, 1]


def _connected(sock):
    try:
        return sock.getpeername()
    except OSError:
        return None


def test_port_reused(ghosts):
    """W9: a new SYN from the port of a flow: raced anew once the flow has closed; while
    it lives the winner is asked (RFC 5961), and raced if he does not object; from the
    far side it changes nothing."""
    winner = ghosts.replica[1]

    def won():
        race = ghosts.race(isn=1000)
        race.answer(winner)
        return race

    closed = won()
    ghosts.out(closed.from_client(winner, FIN | ACK))
    ghosts.into(closed.from_far(winner, FIN | ACK, ack=2))
    assert closed.flow()["state"] == "closing"
    again = ghosts.race(sport=closed.sport, isn=500000)
    assert again.flow()["state"] == "racing" and again.flow()["isn"] == 500000
    (synack,) = again.answer(ghosts.server)
    assert synack.raw == packets.routed(again.answer_bytes(ghosts.server))

    live = won()
    forged = ghosts.syn(live.sport, 700000)
    ghosts.wan.send(forged)
    time.sleep(0.05)
    assert [p.raw for p in live.at_far()] == [packets.routed(forged)]
    assert (live.flow()["winner"], live.flow()["isn"]) == (winner, 1000)
    asked = ghosts.syn(live.sport, 700000)
    (syn,) = ghosts.out(asked)
    assert syn.raw == live.translated(asked, dst=winner)
    (challenge,) = ghosts.into(live.from_far(winner, ACK))
    assert challenge.src == ghosts.server
    assert live.flow()["winner"] == winner
    ghosts.out(live.from_client(winner, RST))
    assert ghosts.race(sport=live.sport, isn=700000).flow()["state"] == "racing"

    silent = won()
    assert ghosts.out(ghosts.syn(silent.sport, 800000))[0].dst == winner
    assert ghosts.race(sport=silent.sport, isn=800000).flow()["winner"] is None

    racing = ghosts.race(isn=1)
    counted = Counted(ghosts.ctl)
    other = ghosts.race(sport=racing.sport, isn=2)
    assert len(ghosts.flows(racing.sport)) == 1 and other.flow()["isn"] == 2
    assert counted.grown() == {"race_replaced": 1, "syn_tagged": 1}


@pytest.mark.parametrize("length", [36, 40])
def test_no_room(ghosts, length):
    """W10: options that leave no room for the tag: untagged, counted, no entry."""
    counted = Counted(ghosts.ctl)
    untouched(ghosts, ghosts.syn(12000, 1, options=LINUX + NOP * (length - 20)))
    assert counted.grown() == {"syn_no_room": 1}
    assert ghosts.flows(12000) == []


def test_already_tagged(ghosts):
    """W11: the gateway's own policy takes the place of a tag that is there; a client
    that opts out is left alone; of several tags the strictest holds, and one remains."""
    may, not_ = packets.tag(PERMITTED, 0xabcd, 0x1f), packets.tag(NOT_PERMITTED, offers=0)
    long = bytes([253, 16]) + may[2:] + bytes(8)
    old = may[:4] + b"\x21" + may[5:]       # of another version: not a tag of ours
    counted = Counted(ghosts.ctl)
    for number, (options, rest, kind) in enumerate((
            (MSS + may + NOP * 4, MSS + b"%s" + NOP * 4, PERMITTED),
            (may + may + MSS, b"%s" + NOP * 8 + MSS, PERMITTED),
            (MSS + long, MSS + b"%s" + NOP * 8, PERMITTED),
            (MSS + old, b"%s" + MSS + old, PERMITTED),
            (MSS + may + not_, MSS + b"%s" + NOP * 8, NOT_PERMITTED),
            (not_ + may + MSS, b"%s" + NOP * 8 + MSS, NOT_PERMITTED))):
        raw = ghosts.syn(12100 + number, 5, options=options)
        (out,) = ghosts.out(raw)
        (flow,) = ghosts.flows(12100 + number) or [None]
        assert (flow is None) == (kind == NOT_PERMITTED)
        at = rest.index(b"%s")
        tag = out.options[at:at + 8]
        nonce = struct.unpack("!H", tag[6:])[0] if kind == PERMITTED else 0
        assert tag == packets.tag(kind, nonce, packets.OFFERS if kind == PERMITTED else 0)
        assert out.raw == packets.routed(ghosts.syn(
            12100 + number, 5, options=rest.replace(b"%s", tag)))
        assert nonce != 0xabcd
    untouched(ghosts, ghosts.syn(12200, 5, options=MSS + not_))
    assert counted.grown() == {"syn_tagged": 4, "syn_opted_out": 3}
    untouched(ghosts, ghosts.syn(12201, 5, options=MSS + bytes([253, 6]) + may[2:6] + NOP * 2))
    assert counted.grown() == {"syn_tagged": 4, "syn_opted_out": 3, "syn_bad_tag": 1}
    assert ghosts.flows(12200) == ghosts.flows(12201) == []


def test_never(net, ghosts):
    """W12: clients and servers that are never to be redirected: tagged so, no entry;
    the server's gateway does not clone."""
    counted = Counted(ghosts.ctl)
    server, client = NEVER[ghosts.family == 6], NEVER[2 + (ghosts.family == 6)]
    for number, (src, dst) in enumerate(((ghosts.client, server), (client, ghosts.server))):
        raw = packets.tcp(src, dst, 12300 + number, 80, SYN, 9, options=LINUX)
        (out,) = ghosts.out(raw)
        assert out.raw == packets.routed(packets.tcp(
            src, dst, 12300 + number, 80, SYN, 9,
            options=packets.tag(NOT_PERMITTED, offers=0) + LINUX))
    assert counted.grown() == {"syn_not_permitted": 2}
    assert not ghosts.ctl.flows()
    family = ghosts.family
    sg, r1 = Counted(net.wlb("sg")), Counted(net.wlb("r1"))
    try:
        net.wlb("cg").apply(net.config(service={"never": [net.address["c1", family]]})["cg"])
        with net["c1"].entered():
            with socket.create_connection((net.address["s", family], 80), 5):
                pass
    finally:
        net.configure(ports=PORTS, service={"never": NEVER})
    assert sg.grown() == {"syn_race_refused": 1}
    assert r1.grown() == {}


def test_payload_later(ghosts):
    """The same SYN with a request, while its race runs: that is the server's alone, whoever wins
    the race."""
    counted = Counted(ghosts.ctl)
    race = ghosts.race()
    (out,) = ghosts.out(ghosts.syn(race.sport, race.isn, payload=b"GET /"))
    assert out.tags() == [] and out.payload == b"GET /"
    race.answer(ghosts.replica[1])
    grown = counted.grown()
    assert (grown["syn_tagged"], grown["syn_payload"], grown["race_won_replica"]) == (1, 1, 1)
    assert "syn_retagged" not in grown


def test_payload(ghosts):
    """W14: a SYN that carries a request, or a Fast Open cookie of either kind, goes to
    the server alone, and so does the same SYN repeated without them."""
    cookie, request = b"\x22\x0a" + b"cookie01", b"\x22\x02"
    old = b"\xfe\x0c\xf9\x89" + b"cookie01"
    counted = Counted(ghosts.ctl)
    for number, (options, payload) in enumerate((
            (LINUX, b"GET / HTTP/1.0\r\n\r\n"), (MSS + cookie, b"GET /"), (MSS + request, b""),
            (MSS + old, b""))):
        untouched(ghosts, ghosts.syn(12400 + number, 5, options=options, payload=payload))
        untouched(ghosts, ghosts.syn(12400 + number, 5, options=MSS))
        assert all(f["state"] != "racing" for f in ghosts.flows(12400 + number))
    asks = packets.tag(PERMITTED, 1)
    (out,) = ghosts.out(ghosts.syn(12410, 5, options=asks + MSS, payload=b"x"))
    assert out.tag() == (NOT_PERMITTED, 0) and out.sound() and out.payload == b"x"
    grown = counted.grown()
    assert grown["syn_payload"] == 5
    assert "syn_tagged" not in grown


def test_signed(ghosts):
    """W15: TCP-MD5 and TCP-AO sign what a tag or a translation would change."""
    counted = Counted(ghosts.ctl)
    md5, ao = b"\x13\x12" + b"d" * 16, b"\x1d\x10\x01\x02" + b"m" * 12
    for number, option in enumerate((md5, ao)):
        untouched(ghosts, ghosts.syn(12500 + number, 5, options=MSS + option))
        assert ghosts.flows(12500 + number) == []
    assert counted.grown() == {"syn_signed": 2}


def exchange(ghosts, parts):
    """Sends fragments; what comes out on the far side, whole."""
    for part in parts:
        ghosts.lan.send(part)
    return packets.reassemble([p for p in ghosts.wan.drain(0.1) if p.src == ghosts.client])


def test_fragments(ghosts):
    """W16: a SYN in fragments, in any order, is raced as if it were whole; data of a
    carried flow in fragments is translated; others' fragments come out with the same
    content."""
    counted = Counted(ghosts.ctl)
    for sport in (12600, 12601):
        syn = ghosts.syn(sport, 5, options=FULL)
        parts = packets.fragments(syn, ident=sport)
        assert len(parts) == 3
        whole = exchange(ghosts, parts if sport % 2 else reversed(parts))
        state, nonce = whole.tag()
        assert state == PERMITTED and whole.sound()
        assert whole.options == packets.tag(PERMITTED, nonce) + FULL
    race = ghosts.race()
    race.answer(ghosts.replica[1])
    data = race.from_client(ghosts.replica[1], ACK | PSH, payload=bytes(range(100)))
    whole = exchange(ghosts, packets.fragments(data))
    assert whole.dst == ghosts.replica[1] and whole.sound()
    assert whole.payload == bytes(range(100))
    other = packets.tcp(ghosts.client, ghosts.server, 12602, 22, ACK, 1, 1, payload=b"o" * 100)
    whole = exchange(ghosts, packets.fragments(other))
    assert whole.tcp == packets.Packet(other).tcp and whole.dst == ghosts.server
    assert counted.grown() == {"syn_tagged": 3, "race_won_replica": 1, "translated_in": 1,
                               "translated_out": 1}


def test_ip_options(all_ghosts):
    """W19: IPv4 options before the TCP header; a record of the route is made."""
    ghosts = all_ghosts[4]
    ghosts.forget()
    for number, option in enumerate((b"\x01" * 4, b"\x07\x0b\x04" + bytes(8), b"\x01" * 40)):
        body = packets.segment(ghosts.client, ghosts.server, 12700 + number, 80, SYN, 5,
                               options=LINUX)
        raw = packets.ip(ghosts.client, ghosts.server, body, options=option)
        (out,) = ghosts.out(raw)
        assert out.offset == packets.Packet(raw).offset and out.sound()
        state, nonce = out.tag()
        assert out.options == packets.tag(state, nonce) + LINUX
        assert state == PERMITTED and len(ghosts.flows(12700 + number)) == 1
    assert b"\x07\x0b" not in out.raw[:60]


def test_extension_headers(all_ghosts):
    """W19: IPv6 hop-by-hop and destination options before the TCP header."""
    ghosts = all_ghosts[6]
    ghosts.forget()
    pad = b"\x01\x04\0\0\0\0"
    for number, (first, kinds) in enumerate(((0, [60, 6]), (60, [6]), (0, [6]))):
        body = packets.segment(ghosts.client, ghosts.server, 12800 + number, 80, SYN, 5,
                               options=LINUX)
        chain = b"".join(bytes([kind, 0]) + pad for kind in kinds)
        (out,) = ghosts.out(packets.ip(ghosts.client, ghosts.server, chain + body, proto=first))
        assert out.raw[40:out.offset] == chain and out.sound()
        state, nonce = out.tag()
        assert out.options == packets.tag(state, nonce) + LINUX
        assert state == PERMITTED and len(ghosts.flows(12800 + number)) == 1


def test_authentication_header(ghosts):
    """W19: a signed packet is left alone."""
    counted = Counted(ghosts.ctl)
    body = packets.segment(ghosts.client, ghosts.server, 12900, 80, SYN, 5, options=LINUX)
    header = bytes([packets.TCP, 4, 0, 0]) + bytes(20)
    untouched(ghosts, packets.ip(ghosts.client, ghosts.server, header + body, proto=51))
    assert counted.grown() == {}


def test_malformed(ghosts):
    """Broken SYNs are forwarded as they are, each counted by its fault."""
    counted = Counted(ghosts.ctl)
    bad = [
        ("syn_malformed", dict(options=MSS + b"\x05\x00" + NOP * 2)),
        ("syn_malformed", dict(options=MSS + b"\x05\x01" + NOP * 2)),
        ("syn_malformed", dict(options=MSS + b"\x05\x05" + NOP * 2)),
        ("syn_malformed", dict(options=NOP * 3 + b"\xfd")),
        ("syn_malformed", dict(options=MSS, doff=4)),
        ("syn_malformed", dict(options=MSS, doff=0)),
        ("syn_malformed", dict(options=MSS, doff=15)),
        ("syn_bad_checksum", dict(options=LINUX, check=0xbeef)),
    ]
    for number, (name, arguments) in enumerate(bad):
        untouched(ghosts, ghosts.syn(13000 + number, 5, **arguments))
        assert ghosts.flows(13000 + number) == []
    for length in (0, 12, 19):
        body = packets.segment(ghosts.client, ghosts.server, 13100, 80, SYN, 5)[:length]
        untouched(ghosts, packets.ip(ghosts.client, ghosts.server, body))
    assert counted.grown() == {"syn_malformed": 7, "syn_bad_checksum": 1, "tcp_truncated": 3}
    # What follows the end of the list is not a list.
    after_end = MSS + b"\0\x05\0\0"
    (out,) = ghosts.out(ghosts.syn(13200, 5, options=after_end))
    assert out.options[8:] == after_end and out.sound()
    assert counted.grown()["syn_tagged"] == 1
