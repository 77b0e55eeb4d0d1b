# SPDX-License-Identifier: GPL-2.0-only
"""Processing of packets that caches return and of those that pass: C6 to C9, C22. The same
rules at the router or at the cache's host."""

import contextlib
import errno
import hashlib
import os
import struct
import threading
import time

import pytest

from wlblab import netlink, packets
from wlblab.farm import FORWARD, GRE, L2, group
from wlblab.packets import ACK, LINUX, MSS, NOP, SYN, Wire
from wlblab.processing import (COPY_GROUP, COPY_LEN, DSCP, ON, PASSING, PORT, RETURNED, REWRITE,
                               TAG, UNTAG, Copies, Line, fell_under, only, option, process,
                               returning, rule, shown)

EF = 46             # DSCP
ECT1, CE = 1, 3     # ECN


_HIDE = """
table inet hide {
    chain out {
        type nat hook postrouting priority srcnat;
        oifname "wan0" masquerade
    }
}
"""


def dsfield(raw):
    return raw[1] if raw[0] >> 4 == 4 else struct.unpack("!H", raw[:2])[0] >> 4 & 0xff


def marked(raw, value):
    """The same packet with this DSCP and ECN."""
    raw = bytearray(raw)
    if raw[0] >> 4 == 4:
        raw[1] = value
        raw[10:12] = b"\0\0"
        raw[10:12] = struct.pack("!H", packets.fold(bytes(raw[:(raw[0] & 15) * 4])) ^ 0xffff)
    else:
        raw[:2] = struct.pack("!H", 6 << 12 | value << 4)
    return bytes(raw)


def grown(after, before, *names):
    return tuple(after[f"process_{name}"] - before[f"process_{name}"] for name in names)


def test_dscp(farm, family, place):
    """C6: DSCP as the rule says, ECN as it was, every checksum right; what the rule does not
    speak for is as it was."""
    process(place, rule(destination=only(farm, family, 1)),
            rule(destination=only(farm, family), proto=6, dscp=EF))
    before = farm.wlb(place.name).counters()
    with Line(farm, family) as line:
        sent = line.syn()
        got = line.carry(marked(sent, 10 << 2 | ECT1))
        assert got.raw == packets.routed(marked(sent, EF << 2 | ECT1))
        line.dst = farm.origins[family][1]
        sent = marked(line.syn(), 10 << 2 | ECT1)
        assert line.carry(sent).raw == packets.routed(sent)
        # with the resets that the client's host answers the servers with
        assert all(count in (1, 2) for count in fell_under(place))
    marked_so, failed = grown(farm.wlb(place.name).counters(), before, "marked", "failed")
    assert marked_so == fell_under(place)[1] and not failed
    with Wire(farm["s"], "wan0") as wire:
        assert farm.who(family) == "s"
        data = os.urandom(2_000_000)
        assert farm.upload(family, data) == ("s", hashlib.sha256(data).hexdigest())
        got = [p for p in wire.drain() if p.dst == farm.origins[family][0]]
    assert {dsfield(p.raw) >> 2 for p in got} == {EF} and len(got) > 10


@pytest.mark.parametrize("way, back", [(GRE, GRE), (L2, L2), (L2, GRE)],
                         ids=["gre", "l2", "l2-gre"])
def test_same(farm, family, way, back):
    """C22: the same rules at either place, or at both, make the same packets."""
    rules = [rule(proto=6, port=81, dscp=12, tag=b"Z\xfcrich"),
             rule(proto=6, port=82, untag=True),
             rule(proto=6, dscp=0)]
    arrived = []
    for where in ((), ("router",), ("cache",), ("router", "cache")):
        with returning(farm, family, "cache", way, back), Line(farm, family) as line:
            for name in where:
                process(farm["r" if name == "router" else "k1"], *rules)
            sent = [marked(raw, 26 << 2 | ECT1) for raw in (
                line.syn(), line.syn(port=81), line.syn(port=82, options=option(b"ab") + NOP * 2),
                line.syn(port=81, options=option(b"abcdef") + NOP * 2 + MSS),
                line.syn(port=81, flags=ACK, payload=b"x" * 33, options=b""))]
            arrived.append([line.carry(raw).raw for raw in sent])
            process(farm["r"])
    none, router, cache, both = arrived
    # what comes and goes by L2 has passed the router twice
    assert none == [packets.routed(raw, 2 if back == L2 else 1) for raw in sent]
    assert router == cache == both
    assert all(raw != plain for raw, plain in zip(router, none))


def test_tag(farm, family, place):
    """C8: a SYN gets the option in front of its own, which stay as they are; a label that it
    has is overwritten; what does not fit stays as it is, and is counted."""
    process(place, rule(tag=b"CH-ZH", port=80, proto=6))
    label = option(b"CH-ZH") + NOP * 3
    ours, other = option(b"AAAAA") + NOP * 3, option(b"AAA") + NOP
    with Line(farm, family) as line:
        before = farm.wlb(place.name).counters()
        for options, wanted in ((LINUX, label + LINUX), (b"", label), (NOP * 28, label + NOP * 28),
                                (ours + LINUX, label + LINUX),
                                (MSS + ours + ours, MSS + label + NOP * 12),
                                (other + MSS, label + NOP * 8 + MSS),
                                (packets.tag(1, 7) + LINUX, label + packets.tag(1, 7) + LINUX),
                                (MSS + b"\0\xff\xff\xff", label + MSS + b"\0\xff\xff\xff")):
            for partial in (False, True):
                sent = line.syn(options, check="partial" if partial else None)
                got = line.carry(sent, partial)
                assert got.options == wanted, got
                assert (got.seq, got.flags, got.dport) == (1000, SYN, 80)
        tagged = 16
        for left in (line.syn(NOP * 32), line.syn(payload=b"GET /"), line.syn(NOP * 40),
                     line.syn(b"\x13\x12" + bytes(16) + NOP * 2),
                     line.syn(b"\x02\x01\x00\x00")):
            assert line.carry(left).raw == packets.routed(left)
        for other in (line.syn(flags=ACK), line.syn(port=81)):
            assert line.carry(other).raw == packets.routed(other)
        assert grown(farm.wlb(place.name).counters(), before, "tagged", "no_room", "failed") == (
            tagged, 5, 0)
    assert farm.who(family) == "s"


def test_tag_mtu(farm):
    """A SYN never becomes larger than its way."""
    with returning(farm, 4, "router") as router, Line(farm, 4) as line:
        process(router, rule(tag=b"0123456789abcdef", proto=6))
        router.run("ip", "route", "add", line.dst, "dev", "wan0", "mtu", "lock", "72")
        try:
            sent = line.syn()
            assert line.carry(sent).raw == packets.routed(sent)
            got = line.carry(line.syn(MSS))
            assert got.options == option(b"0123456789abcdef") + MSS
        finally:
            router.run("ip", "route", "del", line.dst, "dev", "wan0")


def test_untag(farm, family, place):
    """C8: at the exit the option is taken out, all others stay where they are."""
    process(place, rule(untag=True))
    before = farm.wlb(place.name).counters()
    with Line(farm, family) as line:
        sent = line.syn(MSS + option(b"DE") + option(b"") + LINUX + NOP * 2)
        got = line.carry(sent)
        assert got.options == MSS + NOP * 10 + LINUX + NOP * 2
        for left in (line.syn(), line.syn(packets.tag(1, 7)),
                     line.syn(b"\xfe\x08\x57\x4c" + bytes(4))):
            assert line.carry(left).raw == packets.routed(left)
    assert grown(farm.wlb(place.name).counters(), before, "untagged", "failed") == (1, 0)


@pytest.mark.parametrize("into", [GRE, L2])
def test_passing(farm, family, into):
    """What is forwarded is processed, both ways; not what is the router's own, nor what goes to
    a cache, from whichever hook."""
    router = farm["r"]
    process(router, rule(on=PASSING, dscp=EF), rule(on=RETURNED, dscp=1))
    with Wire(farm["s"], "wan0") as there, Wire(farm["c"], "wan0") as back:
        assert farm.who(family) == "s"
        for wire, host in ((there, farm.origins[family][0]), (back, farm.client[family])):
            got = [p for p in wire.drain() if p.dst == host]
            assert {dsfield(p.raw) >> 2 for p in got} == {EF} and len(got) > 3
        there.forget()
        router.ping(farm.origins[family][0], 1)
        got = [p for p in there.drain() if p.proto in (1, 58)]
        assert got and {dsfield(p.raw) for p in got} == {0}
    for kwargs in ({}, {"hook": FORWARD}, {"into": (), "out": ("wan0",)}):
        farm.set_groups(group(**kwargs))
        farm.assign(family, farm.one("k1", family, into, into))
        before = fell_under(router)
        with Wire(farm["k1"], "wan0") as wire:
            farm["c"].connect(farm.origins[family][0], 80).close()
            got = [p for p in wire.drain() if into == GRE and p.proto == 47 or
                   into == L2 and p.src == farm.client[family]]
        assert got and {dsfield(p.raw) for p in got} == {0}
        if into == GRE:
            inner = {dsfield(p.raw[p.offset + 8:]) for p in got}
            assert inner == {0}
        # the cache's answers
        assert fell_under(router)[0] > before[0] and fell_under(router)[1] == 0
    process(router)


def test_as_it_came_in(farm, family):
    """Rules are about addresses before the router's own translation."""
    router = farm["r"]
    router.run("nft", "-f", "-", stdin=_HIDE)
    length = 32 if family == 4 else 128
    process(router, rule(on=PASSING, source=f"{farm.client[family]}/{length}", dscp=EF),
            rule(on=PASSING, destination=f"{farm.client[family]}/{length}", dscp=1))
    try:
        with Wire(farm["s"], "wan0") as wire:
            assert farm.who(family) == "s"
            got = [p for p in wire.drain() if p.dst == farm.origins[family][0]]
        assert {dsfield(p.raw) >> 2 for p in got} == {EF}
        assert farm.client[family] not in {p.src for p in got}
        assert fell_under(router)[1] == 0
    finally:
        process(router)
        router.run("nft", "delete", "table", "inet", "hide")


def test_copies(farm, family, place):
    """C9: a copy of each packet as it goes on, whole or its beginning, without the headers that
    it was returned in."""
    process(place, rule(proto=6, port=80, dscp=EF, tag=b"here", copy=5, copy_len=64),
            rule(proto=6, port=81, copy=6))
    before = farm.wlb(place.name).counters()
    with Copies(place, 5) as short, Copies(place, 6) as whole, Line(farm, family) as line:
        first = line.carry(line.syn()).raw
        second = line.carry(line.syn(port=81, flags=ACK, payload=os.urandom(700))).raw
        assert short.read(1)[0] == first[:64]
        assert whole.read(1)[0] == second and len(second) > 700
    copied, failed = grown(farm.wlb(place.name).counters(), before, "copied", "failed")
    assert copied == sum(fell_under(place)) and not failed


def test_capture(farm, family, place):
    """C9: tcpdump keeps the copies, and what tshark makes of them."""
    process(place, rule(proto=6, port=80, dscp=EF, copy=7, copy_len=64))
    with place.capture("nflog:7") as capture:
        assert farm.who(family) == "s"
        time.sleep(1.5)         # the kernel collects them for a second
    dscp = "ip.dsfield.dscp" if family == 4 else "ipv6.tclass.dscp"
    found = capture.fields(["nflog.prefix", "tcp.dstport", dscp])
    assert len(found) == fell_under(place)[0] > 3
    for layers in found:
        assert layers == {"nflog.prefix": ["wlb"], "tcp.dstport": ["80"], dscp: [str(EF)]}


@pytest.mark.parametrize("reader", ["none", "silent"])
def test_nobody_reads(farm, family, place, reader):
    """C9: who does not read stops nothing; neither does nobody."""
    process(place, rule(copy=9))
    data = os.urandom(3_000_000)
    with contextlib.ExitStack() as stack:
        if reader == "silent":
            stack.enter_context(Copies(place, 9, buffer=4096))
        before = farm.wlb(place.name).counters()
        assert farm.upload(family, data) == ("s", hashlib.sha256(data).hexdigest())
        assert grown(farm.wlb(place.name).counters(), before, "copied")[0] > 20


def test_withdrawn(farm, family, place):
    """Rules come and go under traffic, and none of it is lost."""
    data, done = os.urandom(8_000_000), threading.Event()
    answers = []

    def upload():
        answers.append(farm.upload(family, data))
        done.set()

    thread = threading.Thread(target=upload)
    thread.start()
    count = 0
    with Copies(place, 3, buffer=4096):
        while not done.is_set() or count < 20:
            process(place, rule(dscp=EF, copy=3), rule(on=PASSING, dscp=1, copy=3, copy_len=20))
            process(place)
            count += 1
            time.sleep(0.005)       # a counted clock goes on only while nobody runs
            assert count < 2000
    thread.join()
    assert answers == [("s", hashlib.sha256(data).hexdigest())]
    assert shown(place) == []


def test_refusals(farm):
    """What is wrong is refused by name and changes nothing; what was set is shown."""
    router = farm["r"]
    process(router, rule(on=3, source="10.0.0.0/8", destination="203.0.113.0/24", proto=6, port=80,
                         rewrite="10.8.8.8", dscp=0, tag=b"\0\1", copy=65535, copy_len=64),
            rule(untag=True, destination="2001:db8::/32", copy=0), rule())
    one, two, three = shown(router)
    assert one[ON] == struct.pack("=I", 3) and one[PORT] == struct.pack("=H", 80)
    assert one[REWRITE] == bytes([10, 8, 8, 8]) and REWRITE not in two
    assert one[DSCP] == b"\0" and one[TAG] == b"\0\1" and UNTAG not in one
    assert one[COPY_GROUP] == b"\xff\xff" and one[COPY_LEN] == struct.pack("=I", 64)
    assert UNTAG in two and two[COPY_LEN] == bytes(4) and DSCP not in two
    assert three.keys() == {ON, 12}
    nest = (24, 1)
    for bad, path, text in (
            (rule(on=None), nest, "on: which packets"), (rule(on=0), nest, "on: which packets"),
            (rule(on=4), (*nest, 1), ""),
            (rule(source="10.0.0.0/8", destination="2001:db8::/32"), nest, "one address family"),
            (rule(proto=0), (*nest, 4), "range"), (rule(proto=6, port=0), (*nest, 5), "range"),
            (rule(port=80), (*nest, 5), "proto 6 or 17"),
            (rule(port=80, proto=1), (*nest, 5), "proto 6 or 17"),
            (rule(dscp=64), (*nest, 6), "range"),
            (rule(rewrite="224.0.0.1"), (*nest, 7), "one host"),
            (rule(rewrite="10.8.8.8", destination="2001:db8::/32"), (*nest, 7), "family"),
            (rule(rewrite="2001:db8::1", source="10.0.0.0/8"), (*nest, 7), "family"),
            (rule(tag=b""), (*nest, 8), "1 to 16 bytes"), (rule(tag=bytes(17)), (*nest, 8), ""),
            (rule(tag=b"x", untag=True), (*nest, 8), "not with untag"),
            (rule(tag=b"x", proto=17), (*nest, 8), "proto 6"),
            (rule(untag=True, proto=17), (*nest, 9), "proto 6"),
            (rule(copy_len=5), (*nest, 11), "copy-group")):
        with pytest.raises(netlink.Refused) as refused:
            process(router, rule(), bad)
        assert refused.value.code in (errno.EINVAL, errno.ERANGE), refused.value
        assert refused.value.path == path and text in refused.value.text, refused.value
    with pytest.raises(netlink.Refused) as refused:
        process(router, *[rule()] * 65)
    assert "at most 64" in refused.value.text
    assert shown(router) == [one, two, three]
    process(router, *[rule(dscp=n) for n in range(64)])
    assert [r[DSCP][0] for r in shown(router)] == list(range(64))
    process(router)
    assert shown(router) == []


def address_of(farm, family, name="k2"):
    return farm.caches[name][family]


def test_rewrite(farm, family, place):
    """C7: another server has what is returned, from end to end: pages, uploads, datagrams, these
    in fragments too. A cache's host does it in its own name, as it would not see the answers."""
    process(place, rule(destination=only(farm, family), rewrite=address_of(farm, family), dscp=EF))
    before = farm.wlb(place.name).counters()
    assert farm.datagram(family) == "k2"
    # an IPv6 host cuts what it learns to be too large itself, from the next one on
    assert farm.datagram(family, 4000) or farm.datagram(family, 4000) == "k2"
    with Wire(farm["k2"], "wan0") as wire:
        assert [farm.who(family, origin) for origin in (0, 1)] == ["k2", "s"]
        got = [p for p in wire.drain() if p.tcp is not None]
    me = farm.client[family] if place.name == "r" else farm.caches["k1"][family]
    assert {p.src for p in got} == {me} and {dsfield(p.raw) >> 2 for p in got} == {EF}
    data = os.urandom(3_000_000)
    assert farm.upload(family, data) == ("k2", hashlib.sha256(data).hexdigest())
    rewritten, failed = grown(farm.wlb(place.name).counters(), before, "rewritten", "failed")
    assert rewritten >= 3 and not failed


@pytest.mark.parametrize("lacks", ["forwarding", "route"])
def test_rewrite_without_a_way(farm, family, lacks):
    """A cache that does not forward, or knows no way to the other server, returns what it would
    have rewritten like the rest, or sends it on as it is."""
    elsewhere = {4: "192.0.2.99", 6: "2001:db8:99::1"}[family]
    with returning(farm, family, "cache") as cache:
        process(cache, rule(destination=only(farm, family), proto=6, rewrite=elsewhere))
        cache.run("nft", "delete", "table", "inet", "take")
        cache.run("ip", "route", "add", "unreachable", elsewhere)
        if lacks == "forwarding":
            cache.sysctl(net__ipv4__ip_forward=0, net__ipv6__conf__all__forwarding=0)
        try:
            before = farm.wlb("k1").counters()
            assert farm.who(family) == "s"
            rewritten, failed = grown(farm.wlb("k1").counters(), before, "rewritten", "failed")
            assert failed >= 1 and not rewritten
        finally:
            cache.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
            cache.run("ip", "route", "del", "unreachable", elsewhere)
            farm.take("k1")


def test_rewrite_passing(farm, family):
    """C7: the same without a cache; whom the router itself serves is not concerned."""
    router = farm["r"]
    process(router, rule(on=PASSING, rewrite=address_of(farm, family), proto=6))
    try:
        assert farm.who(family) == "k2" and farm.datagram(family) == "s"
        farm["c"].ping(farm.router["k1"][family], 1)
        with pytest.raises(ConnectionRefusedError):
            farm["c"].connect(farm.router["k1"][family], 80)
    finally:
        process(router)
    assert farm.who(family) == "s"


def test_rewrite_by_bridge(farm, family):
    """Where a bridge calls the IP hooks, what is returned through it and rewritten is routed by the
    router like the rest, from its first packet on."""
    r = farm["r"]
    r.run("modprobe", "br_netfilter", check=False)      # unless it is built in
    r.sysctl(**{"net__bridge__bridge-nf-call-ip6tables": 1,
                "net__bridge__bridge-nf-call-iptables": 1})
    try:
        with returning(farm, family, "router") as router:
            process(router, rule(rewrite=address_of(farm, family), dscp=EF))
            for _ in range(3):
                with Wire(farm["k2"], "wan0") as wire:
                    assert farm.datagram(family) == "k2"
                    got = [p for p in wire.drain() if p.proto == 17]
                assert [dsfield(p.raw) >> 2 for p in got] == [EF]
    finally:
        r.sysctl(**{"net__bridge__bridge-nf-call-ip6tables": 0,
                    "net__bridge__bridge-nf-call-iptables": 0})
        r.run("rmmod", "br_netfilter", check=False)     # modprobe -r takes all bridges along


def test_rewrite_path_mtu(farm, family, place):
    """C7: an error about what was rewritten tells the client of the server that it asked."""
    process(place, rule(destination=only(farm, family), rewrite=address_of(farm, family, "k3")))
    farm.offloads("off")
    farm["hop"].run("ip", "link", "set", "down0", "mtu", 1300)
    try:
        data = os.urandom(200_000)
        assert farm.upload(family, data) == ("k3", hashlib.sha256(data).hexdigest())
        route = farm["c"].out("ip", "route", "get", farm.origins[family][0])
        assert "mtu 1300" in route
    finally:
        farm.offloads("on")
        farm["hop"].run("ip", "link", "set", "down0", "mtu", 1500)
        for host in ("c", "r", "k1"):
            farm[host].run("ip", "route", "flush", "cache")
            farm[host].run("ip", "-6", "route", "flush", "cache")


def ask(sock):
    """On a connection that is there already; whose page it is."""
    sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
    data = b""
    while more := sock.recv(4096):
        data += more
    return data.partition(b"\r\n\r\n")[2].decode().strip()


def test_rewrite_under_way(farm, family, place):
    """A connection stays where it began when such a rule comes, and when it goes."""
    server = farm.origins[family][0]
    with farm["c"].connect(server, 80) as before:
        process(place, rule(rewrite=address_of(farm, family)))
        with farm["c"].connect(server, 80) as during:
            process(place)
            with farm["c"].connect(server, 80) as after:
                assert (ask(before), ask(during), ask(after)) == ("s", "k2", "s")
