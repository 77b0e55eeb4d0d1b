# SPDX-License-Identifier: GPL-2.0-only
"""Every return mode by every family, encapsulation, offload and kind of connection tracking
on the client's gateway: data both ways arrive as they were sent, and nothing on the way
is broken, cut or under a wrong address.

WLB_MATRIX=all runs every case, else a subset in which every two values meet.
$WLB_OUT/matrix.json has the counts."""

import itertools
import json
import os

import pytest

from wlblab import firewall, web, wlb
from wlblab.bulk import both_ways
from wlblab.clones import Delta, lab
from wlblab.host import OUT, Capture, wait_until

WAYS = ["nat", "spoof-gre", "spoof-ipip", "tunnel-gre", "tunnel-ipip"]
AXES = [WAYS, [4, 6], ["on", "off"], ["none", "outside", "notrack", "masquerade"]]
FULL = list(itertools.product(*AXES))
SIZE = 2 << 20
done = {"cases": 0, "passed": 0}


def pairs(case):
    return set(itertools.combinations(enumerate(case), 2))


def covering():
    """Few of FULL, in which whatever two values can meet do."""
    left, chosen = set().union(*map(pairs, FULL)), []
    while left:
        chosen.append(max(FULL, key=lambda case: len(pairs(case) & left)))
        left -= pairs(chosen[-1])
    return sorted(chosen)


CASES = FULL if os.environ.get("WLB_MATRIX") == "all" else covering()


@pytest.fixture(scope="module")
def net():
    with lab(clients=1, replicas=1) as t0:
        t0.own_origin()
        t0.netem("s", "sg", "delay 300ms")       # r1 wins
        yield t0
    (OUT / "matrix.json").write_text(json.dumps(
        {**done, "failed": done["cases"] - done["passed"], "skipped": 0}))


@pytest.fixture
def way(net, request):
    mode, _, via = request.param.partition("-")
    tracked = request.node.callspec.params["tracking"] != "notrack"
    net.configure(ports=[80, 8080], served={"return_": mode, "via": via or None},
                  client_gateway={"conntrack": "outside" if tracked else "notrack"})
    counted = Delta(net.wlb("cg"))
    yield mode
    # Without their flows the server's late refusal and late answer are of connections that
    # nobody knows, thus invalid to a firewall.
    wait_until("the server has refused and answered too", lambda: "reset_sent" in counted() and
               {"server_stray", "refusal_ignored"} & set(counted()))
    wait_until("r1 has closed", lambda: not net["r1"].sockets(
        "state", "connected", "exclude", "time-wait"))
    net.wlb("cg").run("flow", "flush")
    assert wlb.unaccounted(net.wlb("cg").stats()) == 0


@pytest.fixture
def offload(net, request):
    net.offloads(request.param)
    return request.param


@pytest.fixture
def tracking(net, request):
    """Nothing looks at connections; a firewall that drops what it does not expect; one
    that wants all of it untracked; one that hides clients behind the gateway's address."""
    kind, cg = request.param, net["cg"]
    if kind == "none":
        yield
        return
    if kind == "notrack":
        firewall.untracked(cg)
    else:
        firewall.stateful(cg, masquerade=kind == "masquerade")
    yield
    refused = firewall.counted(cg)
    firewall.remove(cg)
    assert refused == {}


TROUBLE = ("TcpInCsumErrors", "IpReasmReqds", "Ip6ReasmReqds", "IpFragCreates", "Ip6FragCreates",
           "IcmpInDestUnreachs", "Icmp6InPktTooBigs")


def trouble(net):
    return {name: [net[name].counters().get(key, 0) for key in TROUBLE] for name in net.hosts}


@pytest.mark.parametrize("way,family,offload,tracking", CASES,
                         indirect=["way", "offload", "tracking"], ids=lambda v: str(v))
def test_case(net, way, family, offload, tracking):
    """W80, W82, W84, W91, W100, W101, W115."""
    done["cases"] += 1
    before, counted = trouble(net), Delta(net.wlb("cg"))
    s, r1 = net.address["s", family], net.address["r1", family]
    hidden = net.address["c1", family]
    with net["core"].capture("cg", "", Capture.MANY) as wire:
        both_ways(net["c1"], s, net["r1"], 8080, SIZE)
        (flow,) = net.wlb("cg").flows()
    assert (flow["winner"], flow["return"]) == (r1, way)
    grown = counted()
    lost = ("translate_failed", "tunnel_no_flow", "tunnel_stray", "tunnel_congested",
            "too_big_out", "answer_bad_checksum")
    assert not set(lost) & set(grown), grown
    assert trouble(net) == before
    if flow["client"] != hidden:
        hidden = flow["client"]
    # On the wire: the pairs that this mode may show, and no others.
    ip = "ipv6" if family == 6 else "ip"
    names = [f"{ip}.src", f"{ip}.dst"]
    seen = {tuple(tuple(p[name]) for name in names)
            for p in wire.fields(names, f"tcp.port == 8080 and {ip}")}
    client = hidden
    to, fro = (client, r1), (r1, client)
    inner_to, inner_fro = (client, s), (s, client)

    def nested(outer, inner):
        return tuple(zip(outer, inner))

    def plain(pair):
        return tuple((address,) for address in pair)
    may = {"nat": {plain(to), plain(fro)},
           "spoof": {plain(to), plain(inner_fro), nested(fro, inner_fro)},
           "tunnel": {nested(to, inner_to), nested(fro, inner_fro)}}[way]
    # The SYN, and the server's late answer and its reset.
    assert may <= seen <= may | {plain(inner_to), plain(inner_fro)}, seen
    assert web.fetch(net["c1"], s)[0] == "r1"
    done["passed"] += 1
