# SPDX-License-Identifier: GPL-2.0-only
"""wlbctl doctor of the roles of wide-area selection: it finds what keeps a host from its work,
and what it says mends it. wlb-cached's part of it is test_cached::test_doctor."""

import contextlib
import json
import shlex

import pytest

from wlblab import web
from wlblab.clones import lab
from wlblab.host import CommandFailed


@pytest.fixture(scope="module")
def net():
    with lab(clients=1) as net:
        net.own_origin()
        net.netem("s", "sg", "delay 100ms")     # a replica wins
        configure(net)
        yield net


def configure(net, **service):
    net.configure(ports=(80,), service=service, served={"return_": "tunnel"})


def doctor(net, host, *args):
    """Status, and what is not good."""
    done = net.wlb(host).run("-j", "doctor", *args, check=False)
    return done.returncode, [f for f in json.loads(done.stdout)["findings"]
                             if f["grade"] != "good"]


def found(net, host, what):
    status, findings = doctor(net, host)
    return status, [f for f in findings if what in f["finding"]]


def test_healthy(net):
    """Nothing is found where all is as it should be, in each role."""
    assert web.fetch(net["c1"], net.address["s", 4])[0] in ("r1", "r2", "r3")
    for host in ("cg", "sg", "r1", "r2"):
        assert doctor(net, host) == (0, []), host
    said = net.wlb("cg").run("doctor").stdout
    assert "good: net.ipv4.ip_forward is on\n" in said and "flows\n" in said


@pytest.mark.parametrize("host,fault,what,family", [
    ("cg", "sysctl -qw net.ipv4.ip_forward=0", "net.ipv4.ip_forward is off", 4),
    ("sg", "sysctl -qw net.ipv6.conf.all.forwarding=0", "net.ipv6.conf.all.forwarding is off", 6),
    ("r1", "ip address del 203.0.113.10/32 dev lo", "203.0.113.10 is no address", None),
])
def test_fault(net, host, fault, what, family):
    """A fault is found and told of with the command that mends it; the status is 1 until then."""
    assert found(net, host, what) == (0, [])
    net[host].run(*fault.split())
    status, (finding,) = found(net, host, what)
    assert status == 1 and finding["grade"] == "fault" and finding["consequence"]
    if family:
        with pytest.raises(CommandFailed):
            web.fetch(net["c1"], net.address["s", family], timeout=3)
    net[host].run(*finding["mend"].split())
    assert found(net, host, what) == (0, [])
    assert web.fetch(net["c1"], net.address["s", family or 4])[0] in ("r1", "r2", "r3")


@pytest.mark.parametrize("rules,what", [
    ("table inet t { flowtable f { hook ingress priority 0; devices = { wan0 };\n}\n}",
     "flowtable f"),
    ("table inet t { chain c { type filter hook forward priority 0;\n"
     "tcp dport 81 limit rate 9/second accept;\n}\n}", "limit or count"),
])
def test_passed_by(net, rules, what):
    """What nftables would do wrong with flows of ours is warned of."""
    net["cg"].run("nft", rules)
    try:
        status, (finding,) = found(net, "cg", what)
        assert status == 0 and finding["grade"] == "warning" and finding["mend"]
        assert doctor(net, "sg") == (0, [])     # it has no flows
    finally:
        net["cg"].run("nft", "delete", "table", "inet", "t")
    assert found(net, "cg", what) == (0, [])


def test_counter(net):
    """What was refused has its reason and remedy: a replica that nobody permits."""
    configure(net, replicas=["192.0.2.0/24"])
    try:
        assert web.fetch(net["c1"], net.address["s", 4])[0] == "s"
        _, (finding,) = found(net, "cg", "answer_unlisted")
        assert finding["grade"] == "warning" and "replicas of the service" in finding["mend"]
    finally:
        configure(net)


def test_file(net, tmp_path):
    """A file that says otherwise than what runs, one whose daemon does not run, and a bad one."""
    path = tmp_path / "wlb.toml"
    path.write_text(net.wlb("cg").run("save").stdout, encoding="utf-8")
    assert doctor(net, "cg", path) == (0, doctor(net, "cg")[1])
    path.write_text("", encoding="utf-8")
    assert "not what the file says" in doctor(net, "cg", path)[1][0]["finding"]
    path.write_text('[[cache-router.group]]\nservice = "web-cache"\nredirect-in = ["lan0"]\n'
                    'group-list = ["10.2.0.0/16"]\nsource = ["10.1.1.1"]\n', encoding="utf-8")
    status, findings = doctor(net, "core", path)
    assert status == 1 and [f["mend"] for f in findings if f["grade"] == "fault"] == [
        "systemctl start wlb-routerd"]
    path.write_text("nonsense = 1\n", encoding="utf-8")
    done = net.wlb("cg").run("doctor", path, check=False)
    assert done.returncode == 1 and "1:1" in done.stderr and not done.stdout


DEAF = """table inet deaf {
    chain input {
        type filter hook input priority filter
        icmp type destination-unreachable drop
        icmpv6 type packet-too-big drop
    }
}"""
CLIENTS = ("10.1.0.0/16", "10.9.1.1")       # a route of core's


def cookie(net, family, timeout=5):
    """Who answers a request that fills several packets; fails if nobody does."""
    with net["c1"].connect(net.address["s", family], 80, timeout=timeout) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\nCookie: " + b"x" * 6000 + b"\r\n\r\n")
        data = b""
        while more := sock.recv(4096):
            data += more
    return data.partition(b"\r\n\r\n")[2].decode().strip()


def who(net, family=4):
    return web.fetch(net["c1"], net.address["s", family], timeout=5)[0]


def mend(net, host, finding):
    net[host].run("sh", "-c", finding["mend"])


@contextlib.contextmanager
def nft(net, host, rules):
    net[host].run("nft", "-f", "-", stdin=rules)
    try:
        yield
    finally:
        net[host].run("nft", "flush", "ruleset")
        net[host].run("conntrack", "-F", check=False)


@contextlib.contextmanager
def second_link(net, host, peer, network):
    """Another wire, device more0 at both ends: host has .1 of the network, peer .2"""
    net[host].run("ip", "link", "add", "more0", "type", "veth", "peer", "name", "more0",
                  "netns", peer)
    for i, name in enumerate((host, peer), 1):
        net[name].run("ip", "address", "add", f"{network}.{i}/24", "dev", "more0")
        net[name].run("ip", "link", "set", "more0", "up")
    try:
        yield
    finally:
        net[host].run("ip", "link", "del", "more0")


def strictly(net, host, what):
    """The reverse path filter of more0 becomes strict, which keeps r1 from being heard; what
    the doctor says lets it again."""
    assert who(net) == "r1" and found(net, host, "rp_filter") == (0, [])
    net[host].sysctl(net__ipv4__conf__more0__rp_filter=1)
    with contextlib.suppress(CommandFailed):
        assert who(net) == "s"
    status, (finding,) = found(net, host, "more0.rp_filter is strict")
    assert status == 0 and finding["grade"] == "warning" and what in finding["consequence"]
    mend(net, host, finding)
    assert who(net) == "r1" and found(net, host, "rp_filter") == (0, [])


@pytest.fixture
def r1_alone(net):
    """Nobody else than r1 wins a race."""
    for name in ("r2", "r3"):
        net.wlb(name).run("replica", "busy", "on")
    yield
    for name in ("r2", "r3"):
        net.wlb(name).run("replica", "busy", "off")


@pytest.mark.usefixtures("r1_alone")
def test_reverse_path_of_answers(net):
    """Replicas are reached by another interface than servers: their answers have the server's
    address when the filter looks."""
    with second_link(net, "cg", "core", "10.9.7"):
        net["cg"].run("ip", "route", "add", "198.51.100.0/24", "via", "10.9.7.2")
        net["core"].run("ip", "rule", "add", "from", "198.51.100.0/24", "lookup", "77")
        net["core"].run("ip", "route", "add", CLIENTS[0], "via", "10.9.7.1", "table", "77")
        try:
            strictly(net, "cg", "answers of replicas")
        finally:
            net["core"].run("ip", "rule", "del", "from", "198.51.100.0/24", "lookup", "77")
            net["core"].run("ip", "route", "flush", "table", "77")


@pytest.mark.usefixtures("r1_alone")
def test_reverse_path_of_clones(net):
    """Clones come by another interface than the one that leads to clients."""
    with second_link(net, "r1", "sg", "10.9.8"):
        net["sg"].run("ip", "route", "add", "198.51.100.2/32", "via", "10.9.8.1")
        net.configure(ports=(80,), served={"return_": "tunnel", "clones_from": ["10.9.8.2"]},
                      families=(4,))
        try:
            strictly(net, "r1", "clones")
        finally:
            net["sg"].run("ip", "route", "del", "198.51.100.2/32")
            configure(net)


@pytest.mark.usefixtures("r1_alone")
def test_room(net, family):
    """Less room on the way to a replica than the replica knows of: a client that hears no ICMP
    does not get through what is larger. With little room behind the clients nothing is found."""
    net["c1"].run("nft", "-f", "-", stdin=DEAF)
    try:
        assert cookie(net, family) == "r1"
        net["cg"].run("ip", "link", "set", "wan0", "mtu", 1400)
        with pytest.raises(TimeoutError):
            cookie(net, family)
        status, findings = found(net, "cg", "takes 1400 bytes")
        assert status == 0 and len(findings) == 2       # one for each family
        for finding in findings:
            mend(net, "cg", finding)
        assert cookie(net, family) == "r1"
        assert found(net, "cg", "bytes") == (0, [])
        net["cg"].run("nft", "delete", "table", "inet", "wlb_mss")
        net["cg"].run("ip", "link", "set", "lan0", "mtu", 1350)
        net["c1"].run("ip", "link", "set", "lan0", "mtu", 1350)
        assert cookie(net, family) == "r1"
        assert found(net, "cg", "bytes") == (0, [])
    finally:
        net["c1"].run("ip", "link", "set", "lan0", "mtu", 1500)
        for device in ("wan0", "lan0"):
            net["cg"].run("ip", "link", "set", device, "mtu", 1500)
        net["c1"].run("nft", "delete", "table", "inet", "deaf")
        net["cg"].run("nft", "flush", "ruleset")


def test_own_tunnel(net):
    """A GRE tunnel of the administrator's between the hosts that clones go from and to: they
    cannot be told apart, unless it has a key."""
    ends = {"sg": ("10.9.2.1", "198.51.100.2"), "r1": ("198.51.100.2", "10.9.2.1")}

    def arrives():
        return not net["sg"].run("ping", "-c1", "-W1", "10.99.0.2", check=False).returncode
    try:
        for i, (host, (local, remote)) in enumerate(ends.items(), 1):
            net[host].run("ip", "link", "add", "own0", "type", "gre", "local", local,
                          "remote", remote)
            net[host].run("ip", "address", "add", f"10.99.0.{i}/24", "dev", "own0")
            net[host].run("ip", "link", "set", "own0", "up")
        assert not arrives()
        net.wlb("r1").apply("")
        assert arrives()
        configure(net)
        status, (finding,) = found(net, "r1", "own0")
        assert status == 0 and finding["grade"] == "warning"
        command, _, rest = finding["mend"].partition(", ")
        assert "other end" in rest
        for host in ends:
            net[host].run(*shlex.split(command))
        assert arrives() and found(net, "r1", "own0") == (0, [])
    finally:
        for host in ends:
            net[host].run("ip", "link", "del", "own0")


@pytest.mark.usefixtures("r1_alone")
def test_untracked_wall(net):
    """conntrack = "notrack" behind a firewall that lets pass by state: nothing passes."""
    with nft(net, "cg", "table inet wall { chain forward {\n"
             "type filter hook forward priority filter; policy drop\n"
             "ct state established,related accept\n"
             "iifname lan0 tcp dport 80 ct state new accept\n}\n}"):
        try:
            assert who(net) == "r1" and found(net, "cg", "notrack") == (0, [])
            net.configure(ports=(80,), client_gateway={"conntrack": "notrack"},
                          served={"return_": "tunnel"})
            with pytest.raises(CommandFailed):
                who(net)
            status, (finding,) = found(net, "cg", "notrack")
            assert status == 1 and "inet wall forward" in finding["finding"]
            mend(net, "cg", finding)
            assert who(net) == "r1" and found(net, "cg", "notrack") == (0, [])
        finally:
            configure(net)


@pytest.mark.usefixtures("r1_alone")
def test_untracked_hidden(net):
    """conntrack = "notrack" where clients are to be hidden: they are not."""
    rules = ("table ip hide { chain postrouting {\ntype nat hook postrouting priority srcnat\n"
             "oifname wan0 masquerade\n}\n}")
    net["core"].run("ip", "route", "del", CLIENTS[0])
    try:
        with nft(net, "cg", rules):
            assert who(net) == "r1" and found(net, "cg", "notrack") == (0, [])
            net.configure(ports=(80,), client_gateway={"conntrack": "notrack"},
                          served={"return_": "tunnel"})
            with pytest.raises(CommandFailed):
                who(net)
            status, (finding,) = found(net, "cg", "notrack")
            assert status == 0 and 'conntrack = "outside"' in finding["mend"]
            configure(net)
            assert who(net) == "r1" and found(net, "cg", "notrack") == (0, [])
    finally:
        net["core"].run("ip", "route", "add", CLIENTS[0], "via", CLIENTS[1])
        configure(net)
