# SPDX-License-Identifier: GPL-2.0-only
"""The control plane: what is refused and how, what is kept, who may, and what it costs
a namespace that has no role."""

import errno
import json
import os
import pathlib
import socket
import struct
import subprocess

import pytest

from wlblab import kernel, web
from wlblab.clones import Delta, Wire, lab, segment
from wlblab.host import wait_until
from wlblab.netlink import (BUSY, BUSY_SET, CLIENT_GATEWAY, CONF_GET, CONF_SET, COUNT, FLOW,
                            FLOW_FLUSH, FLOW_GET, GENERATION, NAME, ORIGIN, RACE_GET, ROLE_CG,
                            ROLE_REPLICA, ROLE_SG, ROLES, SERVED, SERVICE, STATS_GET, Refused, Wlb,
                            address, attr, prefix, u8, u16s, values)
from wlblab.wlb import WLBCTL, table

FAST = {"racing": "60s", "tombstone": "60s", "closing": "1s", "reset": "1s"}


@pytest.fixture(scope="module")
def net():
    with lab(replicas=1) as t0:
        yield t0


@pytest.fixture
def cg(net):
    """A client gateway's socket; whatever it configured is gone afterwards."""
    with Wlb(net["cg"]) as it:
        yield it
    net.wlb("cg").apply("")


# Objects as attributes, right unless told otherwise; None leaves an attribute out.

def _object(kind, parts, changes):
    parts = {**parts, **changes}
    return attr(kind, [b"".join(p) if isinstance(p, list) else p
                       for p in parts.values() if p is not None])


def service(**changes):
    return _object(SERVICE, {"name": attr(1, "web"), "ports": u16s(2, 80, 443),
                             "replica": prefix(4, "198.51.100.0/24")}, changes)


def origin(**changes):
    return _object(ORIGIN, {"name": attr(1, "www"), "server": address(2, "203.0.113.10"),
                            "ports": u16s(3, 80, 443), "replica": replica()}, changes)


def replica(to="198.51.100.2", via=None, delay=None):
    return attr(6, [address(1, to)] + ([] if via is None else [u8(2, via)]) +
                ([] if delay is None else [attr(3, delay)]))


def served(**changes):
    return _object(SERVED, {"name": attr(1, "www"), "server": address(2, "203.0.113.10"),
                            "ports": u16s(3, 80, 443), "local": address(4, "198.51.100.2"),
                            "from": prefix(5, "203.0.113.1/32")}, changes)


def gateway(*settings):
    return attr(CLIENT_GATEWAY, list(settings))


def many(make, count):
    return [make(i) for i in range(count)]


ALL = attr(ROLES, 7)
# what: (attributes, words of the sentence, attribute at fault; None: not told)
REFUSALS = {
    "no roles": ([service()], "roles", ()),
    "an unknown role": ([attr(ROLES, 8)], "", (ROLES,)),
    "roles of a wrong length": ([u16s(ROLES, 1)], "", (ROLES,)),
    "an unknown attribute": ([ALL, attr(99, b"")], "nknown attribute", (99,)),
    "an attribute of replies": ([ALL, attr(COUNT, 1)], "", (COUNT,)),
    "an object of a role not named": ([attr(ROLES, ROLE_SG), service()], "role", (SERVICE,)),
    "settings of a role not named": ([attr(ROLES, ROLE_SG), gateway()], "role",
                                     (CLIENT_GATEWAY,)),
    "a service without name": ([ALL, service(name=None)], "name", (SERVICE,)),
    "a name too long": ([ALL, service(name=attr(1, "x" * 32))], "", (SERVICE, 1)),
    "an empty name": ([ALL, service(name=attr(1, ""))], "1 to 31", (SERVICE, 1)),
    "a name with a blank": ([ALL, origin(name=attr(1, "a b"))], "letters", (ORIGIN, 1)),
    "an unknown attribute in a service": ([ALL, service(x=attr(50, b""))], "nknown",
                                          (SERVICE, 50)),
    "a service without ports": ([ALL, service(ports=None)], "ports", (SERVICE,)),
    "no port": ([ALL, service(ports=u16s(2))], "ports", (SERVICE, 2)),
    "half a port": ([ALL, service(ports=attr(2, b"\x50"))], "ports", (SERVICE, 2)),
    "17 ports": ([ALL, service(ports=u16s(2, *range(1, 18)))], "", (SERVICE, 2)),
    "port 0": ([ALL, service(ports=u16s(2, 0))], "1 to 65535", (SERVICE, 2)),
    "a port twice": ([ALL, origin(ports=u16s(3, 80, 80))], "once", (ORIGIN, 3)),
    "a port in two services": ([ALL, service(), service(name=attr(1, "b"))], "two services",
                               None),
    "all ports twice": ([ALL, service(ports=attr(3, b"")),
                         service(name=attr(1, "b"), ports=attr(3, b""))], "all ports",
                        (SERVICE, 3)),
    "ports and all ports": ([ALL, service(all=attr(3, b""))], "either", (SERVICE,)),
    "nobody who may answer": ([ALL, service(replica=None)], "either replicas", (SERVICE,)),
    "anybody and somebody": ([ALL, service(any=attr(5, b""))], "either replicas", (SERVICE,)),
    "65 prefixes": ([ALL, service(replica=[prefix(4, f"198.51.{i}.0/24") for i in range(65)])],
                    "64", (SERVICE,)),
    "bits past a prefix": ([ALL, service(replica=prefix(4, "198.51.100.1/24"))], "zero",
                           (SERVICE, 4)),
    "an IPv4 prefix of 33": ([ALL, service(replica=prefix(4, "198.51.100.0/33"))], "0..32",
                             (SERVICE, 4)),
    "an IPv6 prefix of 129": ([ALL, service(replica=prefix(4, "2001:db8::/129"))], "",
                              (SERVICE, 4, 2)),
    "an address of 5 bytes": ([ALL, service(replica=attr(4, [attr(1, b"12345"), u8(2, 0)]))],
                              "4 bytes", (SERVICE, 4)),
    "a prefix without length": ([ALL, service(replica=attr(4, [address(1, "10.0.0.0")]))],
                                "length", (SERVICE, 4)),
    "two services of one name": ([ALL, service(), service(ports=u16s(2, 8080))], "twice",
                                 (SERVICE, 1)),
    "1025 services": ([ALL, *many(lambda i: service(name=attr(1, f"s{i}"), ports=u16s(2, i + 1)),
                                  1025)], "1024", None),
    "too few flows": ([ALL, gateway(attr(2, 1023)), service()], "", (CLIENT_GATEWAY, 2)),
    "too many flows": ([ALL, gateway(attr(2, 16777217)), service()], "", (CLIENT_GATEWAY, 2)),
    "a quota of 0": ([ALL, gateway(attr(3, 0)), service()], "", (CLIENT_GATEWAY, 3)),
    "a timeout of 0": ([ALL, gateway(attr(4, 0)), service()], "", (CLIENT_GATEWAY, 4)),
    "a timeout too long": ([ALL, gateway(attr(6, 24 * 24 * 3600 + 1)), service()], "24 days",
                           (CLIENT_GATEWAY, 6)),
    "an unknown kind of tracking": ([ALL, gateway(u8(12, 2)), service()], "outside or notrack",
                                    (CLIENT_GATEWAY, 12)),
    "death after 7 s": ([ALL, gateway(attr(11, 7)), service()], "at least 8 s",
                        (CLIENT_GATEWAY, 11)),
    "learned for too long": ([ALL, gateway(attr(13, 24 * 24 * 3600 + 1)), service()], "24 days",
                             (CLIENT_GATEWAY, 13)),
    "learned for no time": ([ALL, gateway(attr(13, 0)), service()], "", (CLIENT_GATEWAY, 13)),
    "too few origins learned": ([ALL, gateway(attr(14, 15)), service()], "", (CLIENT_GATEWAY, 14)),
    "too many origins learned": ([ALL, gateway(attr(14, 65537)), service()], "",
                                 (CLIENT_GATEWAY, 14)),
    "an unknown race of a service": ([ALL, service(race=u8(8, 2))], "race or direct",
                                     (SERVICE, 8)),
    "a fan-out of none": ([ALL, service(fan=u8(9, 0))], "1 to 8", (SERVICE, 9)),
    "a fan-out of nine": ([ALL, service(fan=u8(9, 9))], "1 to 8", (SERVICE, 9)),
    "exploring too rarely": ([ALL, service(explore=attr(10, 24 * 24 * 3600 + 1))], "24 days",
                             (SERVICE, 10)),
    "sticky for too long": ([ALL, service(sticky=attr(7, 24 * 24 * 3600 + 1))], "24 days",
                            (SERVICE, 7)),
    "trust in a path without spoof": ([ALL, served(trust=attr(9, b""))], "return spoof",
                                      (SERVED, 9)),
    "an interface name with /": ([ALL, gateway(attr(1, "a/b")), service()], "interface",
                                 (CLIENT_GATEWAY, 1)),
    "17 interfaces": ([ALL, gateway(*many(lambda i: attr(1, f"lan{i}"), 17)), service()], "16",
                      (CLIENT_GATEWAY, 1)),
    "an origin without server": ([ALL, origin(server=None)], "server", (ORIGIN,)),
    "an origin without ports": ([ALL, origin(ports=None)], "ports", (ORIGIN,)),
    "17 servers": ([ALL, origin(server=[address(2, f"203.0.113.{i}") for i in range(1, 18)])],
                   "16", (ORIGIN, 2)),
    "servers of two families": ([ALL, origin(server=[address(2, "203.0.113.10"),
                                                     address(2, "2001:db8:a::10")])], "family",
                                (ORIGIN, 2)),
    "a server twice": ([ALL, origin(server=[address(2, "203.0.113.10")] * 2)], "twice",
                       (ORIGIN, 2)),
    "the unspecified address": ([ALL, origin(server=address(2, "0.0.0.0"))], "one host",
                                (ORIGIN, 2)),
    "a multicast address": ([ALL, origin(server=address(2, "ff02::1"), replica=None)],
                            "one host", (ORIGIN, 2)),
    "an unknown race": ([ALL, origin(race=u8(4, 2))], "", (ORIGIN, 4)),
    "a hold too long": ([ALL, origin(hold=attr(5, 1000001))], "1000000", (ORIGIN, 5)),
    "33 replicas": ([ALL, origin(replica=[replica(f"198.51.100.{i}") for i in range(1, 34)])],
                    "32", (ORIGIN, 6)),
    "a replica without address": ([ALL, origin(replica=attr(6, [u8(2, 0)]))], "address",
                                  (ORIGIN, 6)),
    "a replica of the other family": ([ALL, origin(replica=replica("2001:db8:b:1::10"))],
                                      "family", (ORIGIN, 6, 1)),
    "a replica that is its origin": ([ALL, origin(replica=replica("203.0.113.10"))],
                                     "own origin", (ORIGIN, 6, 1)),
    "a replica twice": ([ALL, origin(replica=[replica(), replica()])], "twice", (ORIGIN, 6, 1)),
    "an unknown encapsulation": ([ALL, origin(replica=replica(via=2))], "", (ORIGIN, 6, 2)),
    "a delay too long": ([ALL, origin(replica=replica(delay=1000001))], "1000000",
                         (ORIGIN, 6, 3)),
    "a source of the other family": ([ALL, origin(source=address(7, "2001:db8::1"))], "family",
                                     (ORIGIN, 7)),
    "a fan-out of no replica": ([ALL, origin(fan=u8(9, 0))], "1 to 32", (ORIGIN, 9)),
    "a fan-out of 33": ([ALL, origin(fan=u8(9, 33))], "1 to 32", (ORIGIN, 9)),
    "an unknown pick": ([ALL, origin(pick=u8(10, 2))], "nearest or random", (ORIGIN, 10)),
    "cookies for too long": ([ALL, origin(cookie=attr(13, 24 * 24 * 3600 + 1))], "2073600",
                             (ORIGIN, 13)),
    "settings of a role not named too": ([attr(ROLES, ROLE_REPLICA), attr(28, [attr(1, 1)])],
                                         "role", (28,)),
    "two origins of one name": ([ALL, origin(), origin(ports=u16s(3, 81))], "twice",
                                (ORIGIN, 1)),
    "a server and port in two origins": ([ALL, origin(), origin(name=attr(1, "b"))],
                                         "two origins", None),
    "a replica without local": ([ALL, served(local=None)], "local", (SERVED,)),
    "a replica without gateways": ([ALL, served(**{"from": None})], "from", (SERVED,)),
    "local of the other family": ([ALL, served(local=address(4, "2001:db8:b:1::10"))], "family",
                                  (SERVED, 4)),
    "local that is the origin": ([ALL, served(local=address(4, "203.0.113.10"))], "origin",
                                 (SERVED, 4)),
    "busy in a configuration": ([ALL, served(busy=u8(6, 1))], "", (SERVED, 6)),
    "a server and port served twice": ([ALL, served(), served(name=attr(1, "b"))], "twice",
                                       None),
    # The last object of three roles is wrong: nothing of the others may stay.
    "a mistake at the end": ([ALL, service(ports=u16s(2, 8080)), origin(ports=u16s(3, 8080)),
                              served(ports=u16s(3, 0))], "1 to 65535", (SERVED, 3)),
}


def test_refusals(cg):
    """Each refused request is refused with EINVAL or the policy's errno, a sentence and
    the attribute at fault; configuration and generation stay what they were."""
    cg.request(CONF_SET, [ALL, service(), origin(), served()])
    before = cg.configuration()
    wrong = []
    for what, (attrs, words, path) in REFUSALS.items():
        try:
            cg.request(CONF_SET, attrs)
        except Refused as refused:
            if refused.code not in (errno.EINVAL, errno.ERANGE):
                wrong.append(f"{what}: {refused}")
            if not refused.text or words not in refused.text:
                wrong.append(f"{what}: {refused}: not a word of {words!r}")
            if path is not None and refused.path != path:
                wrong.append(f"{what}: {refused}, should be at {path}")
        else:
            wrong.append(f"{what}: done")
        if cg.configuration() != before:
            wrong.append(f"{what}: the configuration changed")
            cg.request(CONF_SET, [ALL, service(), origin(), served()])
            before = cg.configuration()
    assert not wrong, "\n".join(wrong)


def test_generation(cg):
    """A change based on what somebody else changed meanwhile is refused with ESTALE."""
    cg.request(CONF_SET, [ALL, service()])
    generation, before = cg.configuration()
    attrs = [attr(ROLES, ROLE_SG), attr(GENERATION, generation), origin()]
    cg.request(CONF_SET, attrs)
    now, after = cg.configuration()
    assert now != generation
    assert after[1:] == [*before[1:], after[-1]], "the other role was touched"
    with pytest.raises(Refused) as refused:
        cg.request(CONF_SET, attrs)
    assert refused.value.code == errno.ESTALE
    assert refused.value.path == (GENERATION,)
    assert cg.configuration() == (now, after)


def test_busy(cg):
    """Busy by name or all; kept over a change; ENOENT where nothing is served."""
    with pytest.raises(Refused) as refused:
        cg.request(BUSY_SET, [u8(BUSY, 1)])
    assert refused.value.code == errno.ENOENT and refused.value.text

    def busy():
        return [values(values(o)[SERVED])[6][0] for o in cg.configuration()[1][1:]]
    two = [ALL, served(), served(name=attr(1, "b"), ports=u16s(3, 81))]
    cg.request(CONF_SET, two)
    cg.request(BUSY_SET, [u8(BUSY, 1), attr(NAME, "b")])
    assert busy() == [0, 1]
    cg.request(CONF_SET, two)
    assert busy() == [0, 1]
    for attrs, code in (([u8(BUSY, 1), attr(NAME, "c")], errno.ENOENT),
                        ([u8(BUSY, 2)], errno.ERANGE), ([attr(NAME, "b")], errno.EINVAL)):
        with pytest.raises(Refused) as refused:
            cg.request(BUSY_SET, attrs)
        assert refused.value.code == code and refused.value.text, attrs
    cg.request(BUSY_SET, [u8(BUSY, 0)])
    assert busy() == [0, 0]


def test_privileges(net):
    """Without CAP_NET_ADMIN nothing changes and no client is named; counters and the
    configuration may be read. Root of a user's own namespace may in it."""
    cg, ctl = net["cg"], net.wlb("cg")
    ctl.apply(net.config()["cg"])
    without = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", WLBCTL]
    try:
        before = ctl.run("save").stdout
        for command in (["service", "del", "web"], ["flow", "list"], ["flow", "flush"],
                        ["flow", "save"], ["race", "list"], ["replica", "busy", "on"],
                        ["monitor", "--count", "1"]):
            done = cg.run(*without, *command, check=False, timeout=20)
            assert (done.returncode, done.stdout) == (1, ""), command
            assert "needs CAP_NET_ADMIN" in done.stderr, command
        flow = {"client": "10.1.1.9", "client_port": 1, "server": "203.0.113.10",
                "server_port": 80, "winner": "203.0.113.10", "state": "tombstone",
                "expires_ms": 9000, "isn": 1}
        done = cg.run(*without, "flow", "restore", check=False,
                      stdin=json.dumps({"version": 1, "flows": [flow]}))
        assert (done.returncode, done.stdout) == (1, "") and "CAP_NET_ADMIN" in done.stderr
        assert ctl.flows() == []
        assert cg.run(*without, "save").stdout == before
        assert "syn_tagged" in json.loads(cg.run(*without, "-j", "stats").stdout)["counters"]
        own = subprocess.run(
            ["unshare", "--user", "--map-root-user", "--net", "sh", "-ec",
             f"{WLBCTL} service add own --ports 81 --replicas any; {WLBCTL} service list"],
            text=True, capture_output=True, timeout=60)
        assert own.returncode == 0 and "own" in own.stdout, own.stderr
        assert ctl.run("save").stdout == before
    finally:
        ctl.apply("")


def test_large(net, cg):
    """1000 services and 1000 origins are applied, read back the same, saved and applied
    again without a change."""
    text = "".join(table("client-gateway.service", array=True, name=f"s{i}", ports=[1000 + i],
                         replicas=["198.51.100.0/24", "2001:db8:b::/48"]) for i in range(1000))
    text += "".join(table("server-gateway.origin", array=True, name=f"o{i}",
                          server=f"203.0.{i // 250}.{i % 250 + 1}", ports=[80, 443], replicas=[
                              {"address": "198.51.100.2", "delay": "5ms"}]) for i in range(1000))
    ctl = net.wlb("cg")
    assert len(ctl.apply(text).splitlines()) == 2000
    services, origins = ctl.json("service", "list"), ctl.json("origin", "list")
    assert [(s["name"], s["ports"]) for s in services] == [
        (f"s{i}", [1000 + i]) for i in range(1000)]
    assert [(o["name"], o["server"]) for o in origins] == [
        (f"o{i}", [f"203.0.{i // 250}.{i % 250 + 1}"]) for i in range(1000)]
    generation = cg.configuration()[0]
    assert ctl.apply(ctl.run("save").stdout) == "no change\n"
    assert cg.configuration()[0] == generation
    # The largest single object: two full lists of IPv6 prefixes.
    lists = [[f"2001:db8:{n}:{i:x}::/64" for i in range(1, 65)] for n in (1, 2)]
    ctl.apply(table("client-gateway.service", array=True, name="big", ports=list(range(1, 17)),
                    replicas=lists[0], never=lists[1]))
    assert ctl.json("service", "list") == [{"name": "big", "ports": list(range(1, 17)),
                                            "replicas": lists[0], "never": lists[1],
                                            "sticky_s": 0, "race": "race", "fan_out": 4,
                                            "explore_s": 10, "fastpath": "auto"}]


def test_objects(net):
    """add, del and list of each object, and their refusals, by wlbctl."""
    ctl = net.wlb("cg")

    def refused(words, *args, status=1):
        before = ctl.run("save").stdout
        done = ctl.run(*args, check=False)
        assert (done.returncode, done.stdout) == (status, ""), args
        assert words in done.stderr, (args, done.stderr)
        assert ctl.run("save").stdout == before, args
    try:
        ctl.run("service", "add", "web", "--ports", "80,443", "--replicas", "198.51.100.0/24",
                "--never", "203.0.113.99")
        assert ctl.json("service", "list") == [{
            "name": "web", "ports": [80, 443], "replicas": ["198.51.100.0/24"],
            "never": ["203.0.113.99"], "sticky_s": 0, "race": "race", "fan_out": 4,
            "explore_s": 10, "fastpath": "auto"}]
        refused("exists already", "service", "add", "web", "--ports", "81", "--replicas", "any")
        refused("port 80", "service", "add", "b", "--ports", "80", "--replicas", "any")
        refused("does not exist", "service", "del", "b")
        refused("replicas", "service", "add", "b", "--ports", "81", status=2)
        ctl.run("origin", "add", "www", "--server", "203.0.113.10,203.0.113.11", "--ports", "80",
                "--race", "equal", "--max-hold", "50ms", "--source", "203.0.113.1", "--strip-tag",
                "--replica", "198.51.100.2,via=ipip,delay=55ms", "--clones-per-second", "7",
                "--cookie", "1m")
        assert ctl.json("origin", "list") == [{
            "name": "www", "server": ["203.0.113.10", "203.0.113.11"], "ports": [80],
            "race": "equal", "max_hold_us": 50000, "source": "203.0.113.1", "strip_tag": True,
            "replicas": [{"address": "198.51.100.2", "via": "ipip", "delay_us": 55000}],
            "fan_out": 32, "pick": "nearest", "clones_per_second": 7, "clones_per_prefix": 0,
            "cookie_s": 60}]
        refused("203.0.113.10", "origin", "add", "b", "--server", "203.0.113.10", "--ports", "80")
        refused("198.51.100.2", "origin", "add", "b", "--server", "198.51.100.2", "--ports", "80",
                "--replica", "198.51.100.2")
        refused("IPv4", "origin", "add", "b", "--server", "203.0.113.12", "--ports", "80",
                "--replica", "2001:db8::2")
        ctl.run("replica", "add", "www", "--server", "203.0.113.10", "--ports", "80", "--local",
                "198.51.100.2", "--from", "203.0.113.1")
        refused("no-such", "replica", "busy", "on", "no-such")
        ctl.run("replica", "busy", "on", "www")
        listed, = ctl.json("replica", "list")
        assert listed == {"name": "www", "server": ["203.0.113.10"], "ports": [80],
                          "local": "198.51.100.2", "return": "nat", "via": None,
                          "trust_path": False, "clones_from": ["203.0.113.1"], "busy": True}
        for kind, name in (("service", "web"), ("origin", "www"), ("replica", "www")):
            ctl.run(kind, "del", name)
            assert ctl.json(kind, "list") == []
        done = ctl.run("apply", "/nonexistent", check=False)
        assert done.returncode == 1 and "/nonexistent" in done.stderr
    finally:
        ctl.apply("")


_TRACING = pathlib.Path("/sys/kernel/tracing")
_HOOKS = {"cg": ["wlb_cg_in4", "wlb_cg_out4", "wlb_cg_in6", "wlb_cg_out6"],
          "sg": ["wlb_sg_clone4", "wlb_sg_clone6"],
          "r1": ["wlb_replica_crack4", "wlb_replica_crack6"]}


class HookCalls:
    """Counts the calls of the module's hooks. Debian's kernel has no nfnetlink_hook, by
    which nft would list them."""

    def __enter__(self):
        self._write("kprobe_events", "".join(
            f"p:wlb_lab/{name} {name}\n" for names in _HOOKS.values() for name in names))
        self._write("events/wlb_lab/enable", "1")
        return self

    def __exit__(self, *_):
        self._write("events/wlb_lab/enable", "0")
        self._write("kprobe_events", "")

    @staticmethod
    def _write(name, text):
        (_TRACING / name).write_text(text, encoding="ascii")

    @staticmethod
    def _read():
        lines = (_TRACING / "kprobe_profile").read_text(encoding="ascii").splitlines()
        return {line.split()[0]: int(line.split()[1]) for line in lines}

    def during(self, traffic):
        """The hooks that ran while traffic() did."""
        before = self._read()
        traffic()
        return sorted(name for name, n in self._read().items() if n != before[name])


def test_hooks(net):
    """A namespace without a role does not run a line of the module for its packets, nor
    does one with a role elsewhere; a role has its hooks, and they go with it."""
    def pages(server, client="c1"):
        return lambda: [web.fetch(net[client], net.address[server, f]) for f in (4, 6)]
    if not (_TRACING / "kprobe_events").exists():
        pytest.skip("this kernel has no kprobes to count calls by")
    passing = {"cg": pages("s"), "sg": pages("s"), "r1": pages("r1")}
    beside = {"cg": pages("r1", "s"), "sg": pages("r1"), "r1": pages("s")}
    config = net.config()
    with HookCalls() as calls:
        assert calls.during(pages("s")) == []
        for host, names in _HOOKS.items():
            net.wlb(host).apply(config[host])
            assert calls.during(passing[host]) == sorted(names), host
            # now and then a neighbour asks whether the host is still there
            assert any(calls.during(beside[host]) == [] for _ in range(3)), host
            net.wlb(host).apply("")
            assert calls.during(passing[host]) == [], host


def test_namespaces(net):
    """Configuration and counters are each namespace's own; without the role nothing is
    counted."""
    ctl = net.wlb("cg")
    ctl.apply(net.config()["cg"])
    here, there = Delta(ctl), Delta(net.wlb("core"))
    assert net.wlb("core").json("service", "list") == []
    assert web.fetch(net["c1"], net.address["s", 4])[0] == "s"
    assert here()["syn_tagged"] == 1
    assert there() == {}
    ctl.apply("")
    here.reset()
    assert web.fetch(net["c1"], net.address["s", 4])[0] == "s"
    assert here() == {}


def test_monitor_and_flush(net):
    """Races are told as they are answered; flows are flushed by client, server and
    winner; what lives outlives a change of the configuration."""
    ctl = net.wlb("cg")
    config = net.config(timeouts=FAST)
    ctl.apply(config["cg"])
    with net["cg"].entered():
        monitor = subprocess.Popen([WLBCTL, "-j", "monitor", "--count", "2"], text=True,
                                   stdout=subprocess.PIPE)
    try:
        # A subscriber is heard of in the kernel's list of netlink sockets.
        def subscribed():
            with net["cg"].entered():
                lines = open("/proc/thread-self/net/netlink", encoding="ascii").read().split("\n")
            return any(line.split()[1:4][0] == "16" and int(line.split()[3], 16) for line in
                       lines[1:] if line)
        wait_until("the monitor listens", subscribed)
        for client, family in (("c1", 4), ("c2", 6)):
            assert web.fetch(net[client], net.address["s", family])[0] == "s"
        out, _ = monitor.communicate(timeout=20)
        assert monitor.returncode == 0
    finally:
        monitor.kill()
    told = [json.loads(line) for line in out.splitlines()]
    assert [r["client"] for r in told] == [net.address["c1", 4], net.address["c2", 6]]
    assert [r["winner"] for r in told] == [net.address["s", 4], net.address["s", 6]]
    listed = ctl.races()
    assert [r["id"] for r in listed[-2:]] == [r["id"] for r in told]

    web.fetch(net["c2"], net.address["s", 4])
    # what lives outlives a change
    flows = {(f["client"], f["client_port"], f["isn"]) for f in ctl.flows()}
    assert len(flows) == 3
    ctl.apply(config["cg"].replace("[80, 443]", "[80, 443, 8080]"))
    assert {(f["client"], f["client_port"], f["isn"]) for f in ctl.flows()} == flows

    def flush(*args):
        return ctl.json("flow", "flush", *args)["flushed"]
    assert flush("--client", "10.1.77.77") == 0
    assert flush("--client", net.address["c1", 4], "--server", net.address["r1", 4]) == 0
    assert flush("--server", net.address["s", 6]) == 1
    assert flush("--client", net.address["c1", 4], "--server", net.address["s", 4]) == 1
    assert flush() == 1
    assert ctl.flows() == []
    done = ctl.run("flow", "flush", "--client", "10.1.1.2", "--server", "2001:db8::1", check=False)
    assert done.returncode == 1 and "family" in done.stderr
    ctl.apply("")


def test_dump(net, cg):
    """A dump of 10,000 flows is whole, none twice, in many pieces, by raw netlink and
    by wlbctl."""
    count, clients = 10000, 4
    config = net.config(timeouts=FAST, client_gateway={"client_quota": 100000})
    ctl = net.wlb("cg")
    ctl.apply(config["cg"])
    core = net["core"]
    core.run("ip", "route", "add", "blackhole", "203.0.113.77")
    sent = set()
    try:
        with Wire(net, "c1", "cg") as wire:
            sample = segment("10.1.1.2", "203.0.113.77", 1, options=b"")
            for i in range(count):
                client, port = f"10.1.1.{10 + i % clients}", 1024 + i // clients
                wire.send(_retarget(sample, client, port, i))
                sent.add((client, port, i))
        wait_until("all are in the table", lambda: ctl.stats()["flows"] >= count, timeout=20,
                   step=0.3)
        replies = cg.request(FLOW_GET, dump=True)
        assert cg.reads > 20 and not cg.torn
        flows = [values(values(r)[FLOW]) for r in replies]
        seen = [(socket.inet_ntop(socket.AF_INET, f[1]), struct.unpack("=H", f[2])[0],
                 struct.unpack("=I", f[8])[0]) for f in flows]
        assert len(seen) == count and set(seen) == sent
        listed = ctl.flows()
        assert {(f["client"], f["client_port"], f["isn"]) for f in listed} == sent
        assert all(f["state"] == "racing" and f["winner"] is None for f in listed)
        assert ctl.json("flow", "flush", "--client", "10.1.1.10")["flushed"] == count // clients
        assert ctl.json("flow", "flush")["flushed"] == count - count // clients
    finally:
        core.run("ip", "route", "del", "blackhole", "203.0.113.77")


def _retarget(packet, client, port, seq):
    """The IPv4 SYN with another source, port and number, checksums right: scapy would
    take a minute for so many."""
    def checksum(data):
        total = sum(struct.unpack(f"!{len(data) // 2}H", data))
        while total >> 16:
            total = (total & 0xffff) + (total >> 16)
        return struct.pack("!H", ~total & 0xffff)
    header = packet[:10] + b"\0\0" + socket.inet_aton(client) + packet[16:20]
    tcp = struct.pack("!H", port) + packet[22:24] + struct.pack("!I", seq) + packet[28:36] + \
        b"\0\0" + packet[38:]
    pseudo = header[12:20] + struct.pack("!HH", 6, len(tcp))
    return (header[:10] + checksum(header) + header[12:] +
            tcp[:16] + checksum(pseudo + tcp) + tcp[18:])


def test_other_commands(cg):
    """Requests other than the configuration refuse what they do not know."""
    for command, dump in ((CONF_GET, True), (FLOW_GET, True), (RACE_GET, True),
                          (STATS_GET, False)):
        with pytest.raises(Refused) as refused:
            cg.request(command, [attr(ROLES, ROLE_CG | ROLE_REPLICA)], dump=dump)
        assert refused.value.code == errno.EINVAL, command
    for attrs, path in (([attr(FLOW, [attr(1, b"12345")])], (FLOW, 1)),
                        ([attr(FLOW, [address(1, "10.0.0.1"), address(3, "2001:db8::1")])],
                         (FLOW, 3)),
                        ([attr(FLOW, [attr(70, b"")])], (FLOW, 70))):
        with pytest.raises(Refused) as refused:
            cg.request(FLOW_FLUSH, attrs)
        assert (refused.value.code, refused.value.path) == (errno.EINVAL, path)
        assert refused.value.text
    with pytest.raises(Refused) as refused:
        cg.request(200, [])
    assert refused.value.code == errno.EOPNOTSUPP


def test_without_module(net):
    """Commands say that the module is not there. The last scenario of this file."""
    kernel.unload()
    try:
        # The kernel asks for the module each time, which takes a while here.
        for command in (["stats"], ["origin", "del", "x"], ["monitor"], ["apply", os.devnull]):
            done = net.wlb("cg").run(*command, check=False)
            assert (done.returncode, done.stdout) == (1, ""), command
            assert "wlb module is not loaded (modprobe wlb)" in done.stderr, command
        assert net.wlb("cg").run("check", os.devnull, check=False).returncode == 0
    finally:
        kernel.load()
