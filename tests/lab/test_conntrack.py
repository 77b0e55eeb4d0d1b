# SPDX-License-Identifier: GPL-2.0-only
"""What the connection tracking of a client's gateway sees of the services' packets: the key
`conntrack`. r1 wins all races unless a scenario says otherwise."""

import pytest

from wlblab import firewall, web, wlb
from wlblab.bulk import both_ways
from wlblab.clones import Delta, Wire, lab, segment
from wlblab.host import wait_until
from wlblab.packets import ACK

WAYS = [("nat", None), ("spoof", "gre"), ("tunnel", "ipip")]
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(filter(None, way)))
PORTS = [80, 8080]
SIZE = 1 << 20
NARROW = 1400
# Tracking is on where a rule asks for it. What it calls invalid or a state is counted.
RULES = """table inet wall {
    counter invalid { }
    counter untracked { }
    counter tracked { }
    chain judge {
        ct state invalid counter name invalid return
        ct state untracked counter name untracked return
        counter name tracked
    }
    chain prerouting {
        type filter hook prerouting priority filter
        tcp sport { 80, 8080 } jump judge
        tcp dport { 80, 8080 } jump judge
        icmp type destination-unreachable jump judge
        icmpv6 type packet-too-big jump judge
    }
    chain output {
        type filter hook output priority filter
        tcp sport { 80, 8080 } jump judge
        tcp dport { 80, 8080 } jump judge
    }
}"""


@pytest.fixture(scope="module")
def net():
    with lab(clients=1, replicas=1) as t0:
        t0.own_origin()
        t0.netem("s", "sg", "delay 200ms")
        yield t0


@pytest.fixture(autouse=True)
def settled(net):
    yield
    for host in ("cg", "c1"):
        ctl = net.wlb(host)
        ctl.run("flow", "flush")
        assert wlb.unaccounted(ctl.stats()) == 0
    net.wlb("c1").apply("")


@pytest.fixture(params=["cg", "c1"])
def gateway(net, request):
    """Where the role is: between client and server, or on the client itself."""
    net[request.param].run("nft", "-f", "-", stdin=RULES)
    yield request.param
    net[request.param].run("nft", "delete", "table", "inet", "wall")
    net[request.param].run("conntrack", "-F")


def configure(net, gateway, conntrack, way=WAYS[0]):
    texts = net.config(ports=PORTS, served={"return_": way[0], "via": way[1]}, client_gateway={
        "conntrack": conntrack, "inside": ["lan0"] if gateway == "cg" else None})
    texts[gateway] = texts.pop("cg")
    net.wlb("c1" if gateway == "cg" else "cg").apply("")
    for host, text in texts.items():
        net.wlb(host).apply(text)


def entries(net, gateway):
    """The lines of what is tracked, of web pages."""
    lines = []
    for family in ("ipv4", "ipv6"):
        lines += net[gateway].out("conntrack", "-L", "-f", family, "-p", "tcp").splitlines()
    return [line for line in lines if "dport=80 " in line or "dport=8080 " in line]


@ways
def test_notrack(net, family, gateway, way):
    """W91: nothing of a flow is tracked, won by a replica or the server, and it arrives as
    it was sent."""
    configure(net, gateway, "notrack", way)
    s = net.address["s", family]
    both_ways(net["c1"], s, net["r1"], 8080, SIZE)
    net.wlb("r1").run("replica", "busy", "on")
    try:
        head, body = web.Download(net["c1"], s, 0, SIZE).finish()
        assert b"X-Who: s" in head and body == web.big_file().read_bytes()[:SIZE]
    finally:
        net.wlb("r1").run("replica", "busy", "off")
    assert entries(net, gateway) == []
    states = firewall.counted(net[gateway])
    assert set(states) == {"untracked"} and states["untracked"] > 50


@ways
def test_outside(net, family, gateway, way):
    """W115: by default it sees the client speak with the server, whoever has won."""
    configure(net, gateway, "outside", way)
    client, s = net.address["c1", family], net.address["s", family]
    both_ways(net["c1"], s, net["r1"], 8080, SIZE)
    (entry,) = entries(net, gateway)
    fields = [word.partition("=")[2] for word in entry.split() if word[:4] in ("src=", "dst=")]
    assert fields == [client, s, s, client] and "ASSURED" in entry
    assert set(firewall.counted(net[gateway])) == {"tracked"}


def test_change(net, family, gateway):
    """A connection lives on when the key changes under it, either way."""
    s = net.address["s", family]
    for before, after in (("outside", "notrack"), ("notrack", "outside")):
        configure(net, gateway, before)
        download = web.Download(net["c1"], s)
        download.read(1 << 16)
        net.wlb(gateway).apply(net.wlb(gateway).run("save").stdout.replace(
            f'conntrack = "{before}"', f'conntrack = "{after}"'))
        assert f'conntrack = "{after}"' in net.wlb(gateway).run("save").stdout
        head, body = download.finish()
        assert b"X-Who: r1" in head and body == web.big_file().read_bytes()


def test_others(net, family, gateway):
    """Ports of no service are tracked as ever, and so is what comes from outside."""
    configure(net, gateway, "notrack")
    r1, client = net.address["r1", family], net.address["c1", family]
    assert web.fetch(net["c1"], net.address["s", family])[0] == "r1"

    def others():
        states = firewall.counted(net[gateway])
        return states.get("invalid", 0) + states.get("tracked", 0)
    assert others() == 0
    # Of no flow: from a service's port to a port that has asked nobody.
    with Wire(net, "core" if gateway == "cg" else "cg", gateway) as wire:
        wire.send(segment(r1, client, 80, 50001, ACK, b""))
        wait_until("it is invalid or tracked", lambda: others() == 1)
    for chain in ("prerouting", "output"):
        net[gateway].run("nft", "add", "rule", "inet", "wall", chain, "tcp dport 81 jump judge")
    with pytest.raises(ConnectionRefusedError):
        net["c1"].connect(r1, 81)
    assert others() == 2


@pytest.mark.parametrize("way", [WAYS[0], WAYS[2]], ids=lambda way: way[0])
def test_errors(net, family, way):
    """W100: a router's error about an untracked flow is not invalid either."""
    net["cg"].run("nft", "-f", "-", stdin=RULES)
    net["core"].sysctl(net__ipv4__icmp_ratelimit=0, net__ipv6__icmp__ratelimit=0)
    prefix, rest = {4: ("198.51.100.0/28", ["dev", "r1"]),
                    6: ("2001:db8:b:1::/64", ["dev", "r1", "metric", "256"])}[family]
    configure(net, "cg", "notrack", way)
    ctl = Delta(net.wlb("cg"))

    def route(*mtu):
        net["core"].run("ip", f"-{family}", "route", "replace", prefix, *rest, *mtu)
    route("mtu", NARROW)
    try:
        both_ways(net["c1"], net.address["s", family], net["r1"], 8080, SIZE)
        assert ctl()["icmp_in" if way[0] == "nat" else "icmp_tunnel"]
        assert set(firewall.counted(net["cg"])) == {"untracked"}
    finally:
        route()
        for host in net.hosts:
            net[host].run("ip", f"-{family}", "route", "flush", "cache")
        net["cg"].run("nft", "delete", "table", "inet", "wall")
