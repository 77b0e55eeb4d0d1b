# SPDX-License-Identifier: GPL-2.0-only
"""The race at the client gateway: who may answer, who wins, what losers get. First with
packets said one by one by ghosts, then with the stacks of real hosts."""

import errno
import mmap
import os
import random
import socket
import struct
import time

import pytest

from wlblab import kernel, packets, web, wlb
from wlblab.ghosts import Counted
from wlblab.host import wait_until
from wlblab.packets import ACK, ANSWER, FIN, LINUX, NOP, PERMITTED, PSH, RST, SYN
from wlblab.t0 import T0

PORTS = [80, 8080, 8081]
CLOSED, LATE_OPEN = 8080, 8081


@pytest.fixture(scope="module")
def net():
    kernel.load()
    with T0(delays=False, servers=2) as t0:
        t0.build()
        t0.configure(ports=PORTS)
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


def test_no_way_back(net, ghosts):
    """A loser that there is no route to gets no reset, which is counted; the winner stays."""
    race = ghosts.race()
    winner, loser = ghosts.replica[1], ghosts.replica[2]
    race.answer(winner)
    counted = Counted(ghosts.ctl)
    net["cg"].run("ip", "route", "add", "unreachable", loser)
    try:
        race.ignored(race.answer_bytes(loser))
    finally:
        net["cg"].run("ip", "route", "del", "unreachable", loser)
    assert counted.done() == {"answer_lost": 1, "reset_failed": 1}
    race.loses(loser)
    assert race.flow()["winner"] == winner


def test_many_answers(ghosts):
    """More answers than are remembered of a race: all are reset, the first 8 are listed."""
    race = ghosts.race()
    race.answer(ghosts.replica[1])
    for loser in (*ghosts.replica[2:], ghosts.server):
        race.loses(loser)
    (listed,) = (r for r in ghosts.ctl.races()
                 if (r["client"], r["client_port"]) == (ghosts.client, race.sport))
    assert [a["address"] for a in listed["answers"]] == ghosts.replica[1:9]


def test_log(ghosts):
    """Of many races at a time each is listed, whatever their hashes."""
    count, first = 300, 40000
    ports, winner = range(first, first + count), ghosts.replica[1]
    for port in ports:
        ghosts.lan.send(ghosts.syn(port, port))
    wait_until("all race", lambda: ghosts.ctl.stats()["racing"] == count)
    for port in ports:
        ghosts.wan.send(packets.tcp(winner, ghosts.client, 80, port, SYN | ACK, 1, ack=port + 1,
                                    options=LINUX))
    wait_until("all are won", lambda: ghosts.ctl.stats()["racing"] == 0)
    races = ghosts.ctl.races()
    assert [race["client_port"] for race in races[-count:]] == list(ports)
    ids = [race["id"] for race in races]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    ghosts.forget()


def test_replica_wins(ghosts):
    """W60, W62, W65, W67, W80 packet by packet: the first good answer wins; what it
    says reaches the client as the server's, byte for byte; each repetition of a
    loser's answer gets a reset; the winner's own repetition passes."""
    counted = Counted(ghosts.ctl)
    race = ghosts.race()
    winner, loser, server = ghosts.replica[1], ghosts.replica[2], ghosts.server
    assert race.flow()["winner"] is None

    for _ in range(2):
        (synack,) = race.answer(winner)
        assert synack.raw == race.translated(race.answer_bytes(winner), src=server)
        assert synack.sound()
    flow = race.flow()
    assert (flow["winner"], flow["state"]) == (winner, "won")

    for source in (loser, server, loser):
        reset = race.loses(source)
        assert (reset.src, reset.dst, reset.dport) == (ghosts.client, source, 80)
        assert (reset.flags, reset.seq) == (RST, race.isn + 1 & 0xffffffff)
        assert reset.sound() and not reset.payload and not reset.options
    assert race.flow()["winner"] == winner

    for partial in (False, True):
        check = "partial" if partial else None
        raw = race.from_client(winner, ACK | PSH, payload=b"GET /", check=check)
        (carried,) = ghosts.out(raw, partial)
        assert carried.dst == winner and carried.sound()
        if not partial:
            assert carried.raw == race.translated(raw, dst=winner)
        raw = race.from_far(winner, ACK | PSH, ack=6, payload=b"odd", check=check)
        (carried,) = ghosts.into(raw, partial=partial)
        assert carried.src == server and carried.payload == b"odd" and carried.sound()
        if not partial:
            assert carried.raw == race.translated(raw, src=server)
    race.ignored(race.from_far(server, ACK, payload=b"stray"))
    race.ignored(race.from_far(server, RST | ACK))
    assert counted.done() == {
        "syn_tagged": 1, "race_won_replica": 1, "answer_repeated": 1, "answer_lost": 3,
        "reset_sent": 3, "server_stray": 2, "translated_in": 4, "translated_out": 2}


def test_server_wins(ghosts):
    """W61, W81: the server wins: what goes in comes out, but for the TTL; late answers
    of replicas are reset and the client never hears of them."""
    counted = Counted(ghosts.ctl)
    race = ghosts.race()
    server, loser = ghosts.server, ghosts.replica[1]
    for _ in range(2):
        (synack,) = race.answer(server)
        assert synack.raw == packets.routed(race.answer_bytes(server))
    flow = race.flow()
    assert (flow["winner"], flow["state"]) == (server, "tombstone")
    for _ in range(2):
        assert race.loses(loser).seq == race.isn + 1 & 0xffffffff
    for flags, text in ((ACK | PSH, b"GET /"), (FIN | ACK, b""), (RST, b"")):
        raw = race.from_client(server, flags, payload=text)
        (passed,) = ghosts.out(raw)
        assert passed.raw == packets.routed(raw)
        raw = race.from_far(server, flags, payload=text)
        (passed,) = ghosts.into(raw)
        assert passed.raw == packets.routed(raw)
    assert race.loses(loser).seq == race.isn + 1 & 0xffffffff
    assert counted.done() == {"syn_tagged": 1, "race_won_server": 1, "answer_repeated": 1,
                              "answer_lost": 3, "reset_sent": 3}


def test_no_win(ghosts):
    """W69: an answer that acknowledges another SYN, one of nobody who may answer, one
    with a wrong checksum or another race's nonce is not a win, and is not reset: the
    gateway answers no forged packet. The client's stack judges them; one with a wrong
    nonce it must not see, as all else in it is right."""
    counted = Counted(ghosts.ctl)
    race = ghosts.race()
    replica = ghosts.replica[1]
    tries = {
        "answer_bad_ack": dict(source=replica, ack=race.isn + 2),
        "answer_unlisted": dict(source=ghosts.stranger),
        "answer_bad_checksum": dict(source=replica, check=0x1234),
    }
    for name, arguments in tries.items():
        raw = race.answer_bytes(**arguments)
        (passed,) = ghosts.into(raw)
        assert passed.raw == packets.routed(raw), name
    race.ignored(race.answer_bytes(replica, options=LINUX + packets.tag(
        ANSWER, race.nonce ^ 1)))
    # Not of any race: as it is, and nobody is told.
    other = packets.tcp(replica, ghosts.client, 80, 1, SYN | ACK, 1, 2)
    (passed,) = ghosts.into(other)
    assert passed.raw == packets.routed(other)
    assert race.at_far() == []
    assert race.flow()["winner"] is None
    assert counted.done() == {"syn_tagged": 1, "answer_bad_nonce": 1, **dict.fromkeys(tries, 1)}

    right = packets.tag(ANSWER, race.nonce)
    (synack,) = race.answer(replica, options=LINUX + right)
    assert (synack.src, synack.options) == (ghosts.server, LINUX + NOP * 8)
    assert synack.sound()
    assert race.flow()["winner"] == replica


@pytest.mark.parametrize("winner", ["server", "replica"])
def test_mirrored_tag(ghosts, winner):
    """W69: a stack that mirrors unknown options does not win or lose by that, and the
    client does not see the tag again."""
    counted = Counted(ghosts.ctl)
    race = ghosts.race()
    source = ghosts.server if winner == "server" else ghosts.replica[1]
    mirrored = packets.tag(PERMITTED, race.nonce ^ 0xffff)
    (synack,) = race.answer(source, options=mirrored + LINUX)
    assert (synack.src, synack.options) == (ghosts.server, NOP * 8 + LINUX)
    assert synack.sound()
    grown = counted.grown()
    assert grown["answer_mirrored"] == grown[f"race_won_{winner}"] == 1


def test_forged_acks(all_ghosts):
    """W69: ten thousand guesses of an off-path sender win nothing and cost nothing."""
    ghosts = all_ghosts[4]
    ghosts.forget()
    counted = Counted(ghosts.ctl)
    race = ghosts.race()
    replica, guesses = ghosts.replica[1], 10000
    raw = bytearray(ghosts.wan.frame(race.answer_bytes(replica, ack=0)))
    ack_at = len(raw) - len(LINUX) - 20 + 8
    check_at = ack_at + 8
    base = struct.unpack("!H", raw[check_at:check_at + 2])[0] ^ 0xffff
    sent = 0
    while sent < guesses:
        ack = random.getrandbits(32)
        if ack == race.isn + 1 & 0xffffffff:
            continue
        total = base + (ack >> 16) + (ack & 0xffff)
        total = (total & 0xffff) + (total >> 16)
        total = (total & 0xffff) + (total >> 16)
        raw[ack_at:ack_at + 4] = struct.pack("!I", ack)
        raw[check_at:check_at + 2] = struct.pack("!H", total ^ 0xffff)
        ghosts.wan.send_frame(raw)
        sent += 1
    assert race.flow()["winner"] is None
    assert race.at_far() == []
    ghosts.forget()
    assert counted.done() == {"syn_tagged": 1, "answer_bad_ack": guesses}
    (synack,) = race.answer(replica)
    assert synack.src == ghosts.server


def test_refusals(ghosts):
    """W71: a RST of the server or a replica before any answer neither wins nor reaches
    the client; the replica that accepts wins. Nobody else accepts: the server's RST is
    the client's once it has repeated its SYN."""
    counted = Counted(ghosts.ctl)
    race = ghosts.race()
    server, replica = ghosts.server, ghosts.replica[1]
    for source in (server, replica):
        race.ignored(race.answer_bytes(source, flags=RST | ACK, seq=0, options=b""))
    (synack,) = race.answer(replica)
    assert synack.src == server
    assert counted.done() == {"syn_tagged": 1, "refusal_ignored": 2, "race_won_replica": 1,
                              "translated_in": 1}

    race = ghosts.race()
    refusal = race.answer_bytes(server, flags=RST | ACK, seq=0, options=b"")
    race.ignored(refusal)
    assert len(ghosts.out(ghosts.syn(race.sport, race.isn))) == 1
    forged = race.answer_bytes(server, flags=RST | ACK, seq=0, ack=race.isn + 7)
    assert [p.raw for p in ghosts.into(forged)] == [packets.routed(forged)]
    (refused,) = ghosts.into(refusal)
    assert refused.raw == packets.routed(refusal)
    grown = counted.grown()
    assert (grown["race_refused"], grown["syn_retagged"]) == (1, 1)


def test_late_answer(ghosts):
    """W73: an answer after the flow has closed is reset; the client sees nothing."""
    race = ghosts.race()
    winner, late = ghosts.replica[1:3]
    race.answer(winner)
    assert ghosts.out(race.from_client(winner, FIN | ACK))
    assert ghosts.into(race.from_far(winner, FIN | ACK, ack=2))
    assert ghosts.out(race.from_client(winner, ACK, seq=2, ack=2))
    assert race.flow()["state"] == "closing"
    assert race.loses(late).seq == race.isn + 1 & 0xffffffff
    # A RST ends it too.
    race = ghosts.race()
    race.answer(winner)
    assert ghosts.out(race.from_client(winner, RST))
    assert race.flow()["state"] == "closing"
    assert race.loses(late).seq == race.isn + 1 & 0xffffffff


def _sender(frames, wire, mine, other, me):
    """Sends frame i when the other sender is about to send its own."""
    os.sched_setaffinity(0, {me % os.cpu_count()})
    for i, frame in enumerate(frames, 1):
        mine[:8] = struct.pack("=q", i)
        while struct.unpack("=q", other[:8])[0] < i:
            pass
        wire.send_frame(frame)


def test_two_at_once(all_ghosts):
    """W70: two answers in the same instant on two CPUs: one of them wins, the other is
    reset, a thousand times over."""
    ghosts, races = all_ghosts[4], 1000
    ghosts.forget()
    counted = Counted(ghosts.ctl)
    begun = [ghosts.race() for _ in range(races)]
    answers = [[ghosts.wan.frame(race.answer_bytes(source)) for race in begun]
               for source in ghosts.replica[1:3]]
    at = [mmap.mmap(-1, 8), mmap.mmap(-1, 8)]
    children = []
    for me in (0, 1):
        child = os.fork()
        if not child:
            try:
                _sender(answers[me], ghosts.wan, at[me], at[1 - me], me)
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0

    ports = {race.sport for race in begun}
    at_client = [p for p in ghosts.lan.drain(0.3) if p.tcp is not None and p.dport in ports]
    assert sorted(p.dport for p in at_client) == sorted(ports)
    assert {p.src for p in at_client} == {ghosts.server}
    resets = [p for p in ghosts.wan.drain(0.3) if p.tcp is not None and p.sport in ports]
    assert sorted(p.sport for p in resets) == sorted(ports)
    assert {p.flags for p in resets} == {RST}
    loser = {p.sport: p.dst for p in resets}
    winner = {f["client_port"]: f["winner"] for f in ghosts.ctl.flows()
              if f["client"] == ghosts.client}
    assert all({winner[port], loser[port]} == set(ghosts.replica[1:3]) for port in ports)
    # Neither was always first, or they have not raced.
    assert set(winner.values()) == set(ghosts.replica[1:3])
    assert counted.done() == {"syn_tagged": races, "race_won_replica": races,
                              "answer_lost": races, "reset_sent": races, "translated_in": races}


def slow(net, *names):
    """These answer late; the others at once."""
    for name in names:
        net.netem(name, net.gateways[0] if name in net.servers else "core", "delay 200ms")


def connect(net, client, server, family, port=80, source_port=0):
    with net[client].entered():
        sock = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.settimeout(10)
    sock.bind(("", source_port))
    sock.connect((net.address[server, family], port))
    return sock


def page(sock):
    """Who serves on this connection."""
    sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
    text = b""
    while data := sock.recv(65536):
        text += data
    return text.split(b"\r\n\r\n")[1].decode().strip()


def test_losers_are_reset(net, family):
    """W65: real losers: one RST each with the sequence number that they expect, one
    embryonic reset, no challenge ACK, no half-open connection left."""
    losers = ["s", "r2", "r3"]
    slow(net, *losers)
    before = {name: net[name].counters() for name in losers}
    counted = Counted(net.wlb("cg"))
    client = net.address["c1", family]
    with packets.Wire(net["core"], "cg") as out, packets.Wire(net["cg"], "wan0") as back:
        with connect(net, "c1", "s", family) as sock:
            port = sock.getsockname()[1]
            assert page(sock) == "r1"
        wait_until("three resets", lambda: counted.grown().get("reset_sent") == 3, step=0.1)
        wait_until("nobody is half open", lambda: not any(
            net[name].half_open() for name in losers), timeout=1)
        mine = [p for p in back.drain() if p.tcp is not None and p.dst == client
                and p.dport == port and p.flags == SYN | ACK]
        resets = {p.dst: p for p in out.drain() if p.tcp is not None and p.src == client
                  and p.sport == port and p.flags & RST}
    assert {p.src for p in mine} == {net.address[n, family] for n in (*losers, "r1")}
    assert len(mine) == 4, "an answer was repeated: its reset has not worked"
    for synack in mine:
        if synack.src != net.address["r1", family]:
            assert resets.pop(synack.src).seq == synack.ack
    assert not resets, "a reset to the winner"
    for name in losers:
        after = net[name].counters()
        grown = {key: after[key] - before[name][key] for key in (
            "TcpExtEmbryonicRsts", "TcpAttemptFails", "TcpExtTCPChallengeACK")}
        assert grown == {"TcpExtEmbryonicRsts": 1, "TcpAttemptFails": 1,
                         "TcpExtTCPChallengeACK": 0}, name


def test_reset_lost(net, family):
    """W68: the reset is lost on its way: the loser's next answer brings another."""
    slow(net, "s", "r2", "r3")
    word, address = ("ip", "ip6")[family == 6], net.address["r2", family]
    # 70 bytes: one RST of either family, but not two.
    net["core"].run("nft", "-f", "-", stdin=f"""table inet lose {{
        chain lose {{
            type filter hook forward priority 0
            {word} daddr {address} tcp flags & rst == rst quota until 70 bytes counter drop
        }}
        }}""")
    counted = Counted(net.wlb("cg"))
    try:
        with connect(net, "c1", "s", family) as sock:
            assert page(sock) == "r1"
        wait_until("a reset more than losers", lambda: counted.grown().get("reset_sent") == 4,
                   step=0.1)
        assert "packets 1 " in net["core"].out("nft", "list", "table", "inet", "lose")
        wait_until("r2 is not half open", lambda: not net["r2"].half_open(), timeout=5)
    finally:
        net["core"].run("nft", "delete", "table", "inet", "lose")


def test_winner_repeats(net, family):
    """W67: every packet of the winner arrives twice: the connection stands."""
    slow(net, "s", "r2", "r3")
    net.netem("r1", "core", "duplicate 100%")
    counted = Counted(net.wlb("cg"))
    with connect(net, "c1", "s", family) as sock:
        assert page(sock) == "r1"
    grown = counted.grown()
    assert grown["answer_repeated"] == grown["race_won_replica"] == 1


def test_gateway_of_server_unaware(net, family):
    """W28: no server gateway: the server ignores the tag and wins."""
    net.wlb("sg").apply("")
    try:
        counted = Counted(net.wlb("cg"))
        with connect(net, "c1", "s", family) as sock:
            assert page(sock) == "s"
        assert counted.done() == {"syn_tagged": 1, "race_won_server": 1}
    finally:
        net.configure(ports=PORTS)


def test_closed_ports(net, family):
    """W71: only r1 has the port open: it wins, nobody hears of the server's RST.
    Nobody has: the client is refused, soon, not timed out."""
    slow(net, "r1")
    counted = Counted(net.wlb("cg"))
    with net["r1"].entered():
        listener = socket.create_server(("", LATE_OPEN), family=socket.AF_INET6,
                                        dualstack_ipv6=True)
    with listener:
        with connect(net, "c1", "s", family, LATE_OPEN):
            peer, _ = listener.accept()
            peer.close()
    grown = counted.grown()
    assert (grown["race_won_replica"], grown["refusal_ignored"]) == (1, 1)
    began = time.monotonic()
    with pytest.raises(OSError) as refused:
        connect(net, "c1", "s", family, CLOSED)
    assert refused.value.errno == errno.ECONNREFUSED
    assert time.monotonic() - began < 8
    assert counted.grown()["race_refused"] == 1


def test_nobody_answers(all_ghosts, net, family):
    """W72: an unanswered race ends by its timeout; the client's next SYN begins anew."""
    ghosts = all_ghosts[family]
    ghosts.forget()
    net.wlb("cg").apply(net.config(ports=PORTS, timeouts={"racing": "1s"})["cg"])
    try:
        counted = Counted(ghosts.ctl)
        race = ghosts.race()
        wait_until("the race is over", lambda: counted.done() == {
            "syn_tagged": 1, "race_unanswered": 1}, timeout=8, step=0.2)
        assert ghosts.flows(race.sport) == []
        again = ghosts.race(sport=race.sport, isn=race.isn)
        assert again.tagged.seq == race.isn
        assert counted.grown()["syn_tagged"] == 2
    finally:
        net.configure(ports=PORTS)


def test_client_gives_up(net, family):
    """W74: the client aborts before any answer. It says so only when one arrives: the
    winner is told, the others are reset, nobody stays half open, the flow closes."""
    net.netem("core", "cg", "delay 700ms")
    counted = Counted(net.wlb("cg"))
    with net["c1"].entered():
        sock = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6)
    with sock:
        sock.setblocking(False)
        assert sock.connect_ex((net.address["s", family], 80)) == errno.EINPROGRESS
        time.sleep(0.05)
    hosts = ("s", "r1", "r2", "r3")
    assert net.wlb("cg").flows()[0]["state"] == "racing"
    wait_until("four answers", lambda: counted.grown().get("answer_lost") == 3, step=0.05)
    wait_until("nobody is half open", lambda: not any(
        net[name].half_open() for name in hosts), timeout=2)
    assert not any(net[name].sockets("state", "established") for name in hosts)
    grown = counted.grown()
    assert grown["reset_sent"] == 3
    assert grown.get("race_won_replica", 0) + grown.get("race_won_server", 0) == 1
    (flow,) = net.wlb("cg").flows()
    assert flow["state"] in ("closing", "tombstone")


def test_same_port(net, family):
    """W75: one port of two clients, and one port of one client to two servers: each
    connection is its own, though one replica serves all that it can."""
    slow(net, "s", "s2", "r2", "r3")
    port = 40000 + family
    socks = [connect(net, "c1", "s", family, source_port=port),
             connect(net, "c2", "s", family, source_port=port),
             connect(net, "c1", "s2", family, source_port=port)]
    flows = {(f["client"], f["server"]): f["winner"] for f in net.wlb("cg").flows()
             if f["client_port"] == port}
    client, server = net.address["c1", family], net.address["s", family]
    r1 = net.address["r1", family]
    assert len(flows) == 3
    assert flows[client, server] == flows[net.address["c2", family], server] == r1
    # r1 has this client's port in use: it may not answer for s2 as well.
    assert flows[client, net.address["s2", family]] not in (None, r1)
    names = {net.address[n, family]: n for n in ("s", "s2", "r1", "r2", "r3")}
    served = [page(sock) for sock in socks]
    assert served[:2] == ["r1", "r1"]
    assert served[2] == names[flows[client, net.address["s2", family]]]
    for sock in socks:
        sock.close()


def test_conservation(net, all_ghosts):
    """Every tagged SYN on the wire is a race, every race has one end; with many at a
    time, answers spread over both CPUs where there are two, and some that nobody answers."""
    cg = net.wlb("cg")
    if os.cpu_count() > 1:
        # ip netns exec gives it the sysfs of its namespace.
        net["cg"].run("ip", "netns", "exec", "cg", "sh", "-c",
                      "echo 3 >/sys/class/net/wan0/queues/rx-0/rps_cpus")
    before = Counted(cg)
    with packets.Wire(net["core"], "cg") as out:
        unanswered = [all_ghosts[family].race() for family in (4, 6) for _ in range(3)]
        for family in (4, 6):
            pages = web.pages(net["c1"], net.address["s", family], 24, parallel=4)
            assert all(p.ok for p in pages)
        syns = {(p.src, p.sport, p.dst, p.dport, p.seq) for p in out.drain()
                if p.tcp is not None and p.flags & 0x3f == SYN and p.tags()}
    wait_until("all answers", lambda: before.grown().get("answer_lost") == 48 * 3, step=0.1)
    grown = before.grown()
    won = grown.get("race_won_replica", 0) + grown.get("race_won_server", 0)
    assert len(syns) == grown["syn_tagged"] == 48 + len(unanswered)
    assert won == 48
    assert cg.stats()["racing"] == len(unanswered)
    flows = cg.flows()
    assert {(f["client"], f["client_port"], f["server"], f["server_port"], f["isn"])
            for f in flows} == syns
    assert sum(f["state"] == "racing" for f in flows) == len(unanswered)
    assert {f["client_port"] for f in flows if f["winner"] is None} == {
        race.sport for race in unanswered}


# The last one: from here on tags to that server are long.
def test_cookie(ghosts):
    """S2: the cookie of an answer of the server's that is this race's is kept, won or lost, and
    shown to that server from then on, where a SYN has room for it; no other is."""
    def gift(race, cookie, nonce=0):
        return LINUX + struct.pack("!BBHBBHQ", 253, 16, packets.EXID, 0x10 | ANSWER, 0,
                                   race.nonce ^ nonce, cookie)

    def tag_of(**kwargs):
        sport = next(ports)
        (tagged,) = ghosts.out(ghosts.syn(sport, 5, **kwargs))
        assert tagged.sound()
        (option,) = tagged.tags()
        assert tagged.options == option + kwargs.get("options", LINUX)
        assert option[4:6] == bytes([0x10 | PERMITTED, packets.OFFERS])
        return option

    ports = iter(range(13000, 14000))
    counted = Counted(ghosts.ctl)
    race = ghosts.race()
    race.answer(ghosts.server, options=gift(race, 2), ack=race.isn + 2)
    race.answer(ghosts.stranger, options=gift(race, 3))
    other = ghosts.race()
    (synack,) = other.answer(ghosts.server, options=gift(other, 1, nonce=1))
    assert synack.options == LINUX + NOP * 16
    assert len(tag_of()) == 8 and "cookie_kept" not in counted.grown()
    # the client never sees it
    (synack,) = race.answer(ghosts.server, options=gift(race, 0xc00c1e))
    assert synack.options == LINUX + NOP * 16 and synack.sound()
    assert counted.grown()["cookie_kept"] == 1
    assert tag_of()[8:] == struct.pack("!Q", 0xc00c1e)
    assert tag_of(options=LINUX + NOP * 4)[8:] == struct.pack("!Q", 0xc00c1e)
    # a replica's is none, the server's is even when it comes late
    race = ghosts.race()
    race.answer(ghosts.replica[1], options=gift(race, 4))
    assert tag_of(options=LINUX)[8:] == struct.pack("!Q", 0xc00c1e)
    race.loses(ghosts.server, options=gift(race, 0xbea7))
    assert tag_of()[8:] == struct.pack("!Q", 0xbea7)
    assert len(tag_of(options=LINUX + NOP * 8)) == 8     # no room
    assert counted.grown()["cookie_kept"] == 2
