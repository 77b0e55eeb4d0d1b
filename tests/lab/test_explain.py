# SPDX-License-Identifier: GPL-2.0-only
"""wlbctl explain of a cache router and of a cache's host: what it says of a packet, and what
then becomes of a real one of exactly these ends."""

import random
import socket

import pytest

from wlblab import web
from wlblab.farm import (ALT, DST_IP, DYNAMIC, FORWARD, L2, NONE, ORIGINS, PORTS, PORTS_SRC, PROTO0,
                         Assignment, group, rule)
from wlblab.host import wait_until
from wlblab.trace import bpftrace, manual_lines, tracing

UDP = 17


def end(address, port=None):
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Told:
    """What the router says of a packet of the farm's client, and what it did to it."""

    def __init__(self, farm, family):
        self.farm, self.family = farm, family
        self.name = {addresses[family]: name for name, addresses in farm.caches.items()}
        self._sport = 21000

    def role(self, origin=0, sport=0, port=80, *options, protocol="tcp", role="cache-router"):
        answer = self.farm.wlb("r").json(
            "explain", protocol, end(self.farm.client[self.family], sport or 40000),
            end(self.farm.origins[self.family][origin], port), *options)
        return next(one for one in answer["roles"] if one["role"] == role)

    def who(self, *args, **kwargs):
        """Whose page a client gets, by what is said."""
        role = self.role(*args, **kwargs)
        return {"redirected": self.name.get(role.get("cache")), "passed": "s",
                "dropped": None}[role["verdict"]], role

    def agrees(self, origin=0, sport=0, port=80):
        """Who it is, as was said and as it was."""
        if not sport:
            self._sport += 1
            sport = self._sport
        said, role = self.who(origin, sport, port)
        if said:
            was = self.farm.who(self.family, origin, sport, port=port)
        else:
            with pytest.raises(TimeoutError):
                self.farm["c"].connect(self.farm.origins[self.family][origin], port, sport, 1.5)
            was = None
        assert said == was, (origin, sport, port, role)
        return was


@pytest.fixture
def told(farm, family):
    return Told(farm, family)


def test_hash(farm, family, told):
    """Buckets of every field, primary and alternative, some of them nobody's: 45 tuples."""
    dice = random.Random(family)
    farm.set_groups(group("80", DYNAMIC, 80))
    members = [farm.member("k1", family), farm.member("k2", family, L2, L2),
               farm.member("k3", family)]
    seen = []
    for fields in range(1, 16):
        alternative = dice.randrange(16)
        table = [dice.choice((0, 1, 2, ALT, 1 | ALT, NONE)) for _ in range(256)]
        farm.assign(family, Assignment(members, table,
                                       flags=fields | alternative << 8 | PORTS), "80")
        seen += [told.agrees(dice.randrange(ORIGINS)) for _ in range(3)]
    assert set(seen) == {"k1", "k2", "k3", "s"}


def test_traced(farm, family, told):
    """What a tracepoint tells of a packet is what was said of it, bucket and all, or why not."""
    dice = random.Random(family)
    farm.set_groups(group("80", DYNAMIC, 80))
    table = [dice.choice((0, 1, NONE)) for _ in range(256)]
    farm.assign(family, Assignment([farm.member("k1", family), farm.member("k2", family, L2, L2)],
                                   table, flags=DST_IP | PORTS), "80")
    said = []
    with tracing(farm["r"], "--event", "redirect") as events:
        for origin in range(ORIGINS):
            said.append(told.role(origin, 24000 + origin))
            farm.who(family, origin, 24000 + origin)
    for origin, role in enumerate(said):
        of = [e for e in events if e["source_port"] == 24000 + origin]
        assert of and {(e["source"], e["destination"]) for e in of} == {
            (farm.client[family], farm.origins[family][origin])}
        assert {(e["cache"], e["bucket"]) for e in of} == {
            (role.get("cache"), role["bucket"])}, role
        assert {e["reason"] for e in of} == {
            {None: "unassigned", "k1": "gre", "k2": "l2"}[told.name.get(role.get("cache"))]}
    farm.set_groups(group("80", DYNAMIC, 80, rules=[rule(deny=True)]))
    farm.assign(family, farm.one("k1", family), "80")
    with tracing(farm["r"]) as events:
        assert farm.who(family) == "s"
    assert {(e["event"], e["group"], e["cache"], e["reason"]) for e in events} == {
        ("redirect", "80", None, "denied")}


def test_bpftrace(farm, family, tmp_path):
    """The manual's one-liner about packets that no cache gets."""
    farm.set_groups(group("80", DYNAMIC, 80, rules=[rule(deny=True)]))
    farm.assign(family, farm.one("k1", family), "80")
    (line,) = manual_lines(redirect=True)
    assert "[80, denied]: " in bpftrace(line, tmp_path / "out", lambda: farm.who(family))


def test_mask(farm, family, told):
    """Masks in their order, with values that nobody has: 40 tuples."""
    dice = random.Random(family)
    size = 4 if family == 4 else 16
    farm.set_groups(group("80", DYNAMIC, 80))
    members = [farm.member(name, family) for name in ("k1", "k2", "k3")]
    seen = []
    for _ in range(8):
        masks = []
        for _ in range(2):
            sport = dice.choice((0x0005, 0x0101, 0x0012))
            destination = bytes(size - 1) + bytes([dice.choice((1, 3, 7))])
            bits = (sport.bit_count() + destination[-1].bit_count())
            masks.append((bytes(size), destination, sport, 0,
                          {n: dice.randrange(3) for n in range(1 << bits) if dice.random() < 0.5}))
        farm.assign(family, Assignment(members, masks=masks, flags=PORTS), "80")
        seen += [told.agrees(dice.randrange(ORIGINS)) for _ in range(5)]
    assert set(seen) == {"k1", "k2", "k3", "s"}


def test_criteria(farm, family, told):
    """A service has a packet or not by each of its words, and which is asked first."""
    farm.set_groups(group("a", DYNAMIC, 90), group("b"), group("c", DYNAMIC, 80))
    for name, cache in (("a", "k1"), ("b", "k2"), ("c", "k3")):
        farm.assign(family, farm.one(cache, family, priority=10), name)
    assert told.agrees() == "k2"
    farm.assign(family, None, "b")
    assert told.agrees() == "k3"
    for one, of, other, by in (
            ({"priority": 11}, {}, {}, ("k1", "k1")),
            ({"priority": 11, "ports": (20, 8080)}, {}, {}, ("k3", "k3")),
            ({"priority": 11, "ports": (25001,), "flags": DST_IP | PORTS | PORTS_SRC},
             {"sport": 25001}, {"sport": 25002}, ("k1", "k3")),
            ({"priority": 11, "protocol": UDP, "ports": (80,)}, {}, {}, ("k3", "k3")),
            ({"priority": 11, "protocol": 0, "flags": DST_IP, "ports": ()}, {}, {}, ("k1", "k1")),
            ({"priority": 11, "protocol": 0, "flags": DST_IP | PROTO0, "ports": ()}, {}, {},
             ("k3", "k3"))):
        farm.assign(family, farm.one("k1", family, **one), "a")
        assert (told.agrees(**of), told.agrees(**other)) == by, one
    for protocol, cache in ((0, "k1"), (6, None)):
        farm.assign(family, farm.one("k1", family, protocol=protocol, flags=DST_IP, ports=()), "a")
        said, _ = told.who(protocol="udp", port=53)
        assert said == farm.datagram(family) == (cache or "s")


def test_interfaces(farm, family, told):
    """In by, out by, excluded, behind routing, and a packet of another interface."""
    assignment = farm.one("k1", family)
    for words, who in (({}, "k1"), ({"into": ("hop0",)}, "s"), ({"exclude": ("lan0",)}, "s"),
                       ({"into": (), "out": ("wan0",)}, "k1"),
                       ({"into": (), "out": ("hop0",)}, "s"), ({"hook": FORWARD}, "k1"),
                       ({"hook": FORWARD, "exclude": ("lan0",)}, "s")):
        farm.set_groups(group(**words))
        farm.assign(family, assignment)
        assert told.agrees() == who, words
    farm.set_groups(group())
    farm.assign(family, assignment)
    assert told.who(0, 0, 80, "--in", "hop0")[0] == "s"
    # What goes to the router itself, and what its caches say.
    answer = farm.wlb("r").json("explain", "tcp", end(farm.client[family], 40000),
                                end(farm.router["k1"][family], 80))
    assert answer["packet"]["local"] and answer["roles"][0]["verdict"] == "passed"
    answer = farm.wlb("r").json("explain", "tcp", end(farm.caches["k1"][family], 40000),
                                end(farm.origins[family][0], 80), "--in", "lan0")
    assert answer["roles"][0]["verdict"] == "passed"


def test_list(farm, family, told):
    """The redirect list, with and without "check services all"."""
    length = 32 if family == 4 else 128
    any_ = "0.0.0.0/0" if family == 4 else "::/0"
    first, second = (f"{a}/{length}" for a in farm.origins[family][:2])
    rules = (rule(True, None, first), rule(False, f"{farm.client[family]}/{length}", second),
             rule(True, any_, second))
    for check_all, expected in ((False, ["s", "k1", "s"]), (True, ["k2", "k1", "k2"])):
        farm.set_groups(group("1", DYNAMIC, 1, rules=rules), group("2", DYNAMIC, 2),
                        check_all=check_all)
        farm.assign(family, farm.one("k1", family, priority=2), "1")
        farm.assign(family, farm.one("k2", family, priority=1), "2")
        assert [told.agrees(origin) for origin in range(3)] == expected
    _, role = told.who(0)
    assert 'rule 1, "!any -> ' in next(s["says"] for s in role["steps"] if s["rule"] == "group 1")


@pytest.mark.parametrize("closed", [False, True])
def test_unusable(farm, family, told, closed):
    """Nobody is assigned, no route, not adjacent, no neighbour: to the server, or dropped."""
    nobody = {4: "10.2.0.99", 6: "2001:db8:2::99"}[family]
    unrouted = {4: "192.0.2.1", 6: "2001:db8:ffff::1"}[family]
    farm.set_groups(group(closed=closed))
    otherwise = None if closed else "s"
    table = bytes([NONE] * 256)
    farm.assign(family, Assignment([farm.member("k1", family)], table))
    assert told.agrees() == otherwise
    for cache in ((unrouted, 0, 0), (farm.caches["k3"][family], L2, 0)):
        farm.assign(family, Assignment([cache], bytes(256)))
        assert told.agrees() == otherwise, cache
    farm.assign(family, Assignment([(nobody, L2, 0)], bytes(256)))
    # Its neighbour entry must say so first.
    farm["r"].run("ping", "-c", 1, "-W", 1, nobody, check=False)

    def failed():
        return "FAILED" in farm["r"].out("ip", "neigh", "show", nobody)
    wait_until("nobody is there", failed, 8)
    assert told.agrees() == otherwise
    farm.assign(family, farm.one("k1", family))
    assert told.agrees() == "k1"


def test_drained(farm, family, told):
    """A cache loses its buckets: new connections go where is said, one that is open stays, and
    that it may is said."""
    farm.set_groups(group(drain=600))
    members = [farm.member("k1", family), farm.member("k2", family)]
    farm.assign(family, Assignment(members, bytes(256)))
    download = web.Download(farm["c"], farm.origins[family][0], length=1 << 18)
    download.read(1000)
    farm.assign(family, Assignment(members, bytes([1] * 256)))
    assert told.agrees() == "k2"
    role = told.role(0, 40000, 80, "--segment")
    assert role["drain_s"] == 600 and any("stays with its cache" in step["says"]
                                          for step in role["steps"])
    head, _ = download.finish()
    assert b"X-Who: k1" in head
    farm.set_groups(group())
    assert "drain_s" not in told.role()


def test_bypass(farm, family, k1, told):
    """At a cache's host: its rules, what was learned, overload, and who is no router."""
    length = 32 if family == 4 else 128
    farm.redirect(family)
    router = farm.router["k1"][family]

    def taken(origin, *options, source=router):
        answer = farm.wlb("k1").json("explain", "tcp", end(farm.client[family], 40000),
                                     end(farm.origins[family][origin], 80), "--from", source,
                                     *options)
        return answer["roles"][0]["verdict"]
    with k1.tproxy():
        k1.set(k1.door(family), rules=[
            rule(True, None, f"{farm.origins[family][0]}/{length}"),
            rule(False, None, f"{farm.origins[family][1]}/{length}")])
        k1.bypass(farm.origins[family][2], 100)
        k1.bypass(farm.origins[family][3], 100, farm.client[family])
        k1.bypass(farm.origins[family][4], 100, farm.router["k1"][family])
        for origin, verdict in enumerate(("taken-in", "returned", "returned", "returned",
                                          "taken-in")):
            assert taken(origin) == verdict
            assert told.who(origin)[0] == "k1"      # the router does not know
            assert farm.who(family, origin) == ("k1" if verdict == "taken-in" else "s"), origin
        assert taken(0, source=farm.client[family]) == "passed"
        # One that is open, and one that nobody has begun.
        with farm["c"].connect(farm.origins[family][0], 80) as sock:
            port = sock.getsockname()[1]
            answer = farm.wlb("k1").json("explain", "tcp", end(farm.client[family], port),
                                         end(farm.origins[family][0], 80), "--segment", "--from",
                                         router)
            assert answer["roles"][0]["verdict"] == "taken-in"
            assert sock.send(b"x") == 1
        assert taken(0, "--segment") == "returned"
        k1.set(k1.door(family), share=1000)
        assert taken(0) == "returned" and farm.who(family) == "s"


def test_text(farm, family):
    """What people read: the packet, the verdict, and the rules in their order."""
    farm.set_groups(group("web-cache"), group("80", DYNAMIC, 80))
    farm.assign(family, farm.one("k1", family), "web-cache")
    farm.assign(family, farm.one("k2", family, ports=(8080,), priority=250), "80")
    client, origin = end(farm.client[family], 40000), end(farm.origins[family][0], 80)
    said = farm.wlb("r").run("explain", "tcp", client, origin).stdout
    cache = farm.caches["k1"][family]
    lines = said.splitlines()
    assert lines[0] == f"SYN, tcp {client} -> {origin}, in by lan0, out by wan0"
    assert lines[1] == f"cache-router: redirected to cache {cache} by GRE, out by dmz0"
    assert lines[2] == "    group 80: its service is of destination ports 8080"
    assert lines[3].startswith("    group web-cache: of its service, bucket ")
    assert lines[3].endswith(f": cache {cache}") and len(lines) == 4
    done = farm.wlb("c").run("explain", "tcp", client, origin)
    assert "no role of wlb is on here" in done.stdout


def test_own(farm, family):
    """A packet that the router sends itself has come in by no interface, and goes nowhere else."""
    farm.redirect(family)
    own = farm.router["k1"][family]
    answer = farm.wlb("r").json("explain", "tcp", end(own, 40000), end(farm.origins[family][0], 80))
    assert answer["packet"]["in"] is None and answer["roles"][0]["verdict"] == "passed"
    with farm["r"].entered():
        with socket.create_connection((farm.origins[family][0], 80), 5) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            data = b""
            while more := sock.recv(4096):
                data += more
    assert data.endswith(b"s\n") or data.strip().endswith(b"s")
