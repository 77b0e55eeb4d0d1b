# SPDX-License-Identifier: GPL-2.0-only
"""The module of a client's gateway is reloaded, and its flows are put back: `wlbctl flow
save` and `flow restore`. r1 wins all races here: the server answers late."""

import errno
import json
import pathlib
import stat

import pytest

from wlblab import kernel, packets, web
from wlblab.clones import lab
from wlblab.ghosts import Counted, Ghosts
from wlblab.host import wait_until
from wlblab.netlink import FLOW, FLOW_NEW, Refused, Wlb, address, attr, u8, u16s
from wlblab.packets import ACK, FIN, PSH, RST, SYN

PORTS = [80, 8080]
WAYS = [("nat", None, 4), ("nat", None, 6), ("spoof", "gre", 4), ("tunnel", "gre", 4),
        ("tunnel", "ipip", 6)]
FILE = pathlib.Path("/run/wlb/flows.json")
# As wlbctl(8) has it: neither end hears of the other while the module is gone.
OUTAGE = """table inet outage {
    chain prerouting {
        type filter hook prerouting priority raw
        tcp sport { 80, 8080 } drop
        tcp dport { 80, 8080 } drop
        meta l4proto { 4, 41, 47 } drop
    }
}"""
WON, TOMBSTONE, CLOSING = 1, 2, 3


@pytest.fixture(scope="module")
def net():
    with lab(clients=1, replicas=1) as t0:
        t0.own_origin()
        t0.netem("s", "sg", "delay 200ms")
        configure(t0)
        yield t0


@pytest.fixture(autouse=True)
def settled(net):
    yield
    net.netem("core", "cg", "")
    configure(net)
    net.wlb("cg").run("flow", "flush")


def configure(net, mode="nat", via=None, **kwargs):
    net.configure(ports=PORTS, served={"return_": mode, "via": via}, **kwargs)


def reload(net, mode="nat", via=None, restore=True):
    """The module goes and comes back; the flows that were, as saved."""
    cg, ctl = net["cg"], net.wlb("cg")
    cg.run("nft", "-f", "-", stdin=OUTAGE)
    try:
        ctl.run("flow", "save", FILE)
        kernel.unload()
        kernel.load()
        configure(net, mode, via)
        assert ctl.flows() == []
        flows = json.loads(FILE.read_text(encoding="utf-8"))["flows"]
        if restore:
            assert ctl.json("flow", "restore", FILE) == {
                "restored": len(flows), "refused": 0, "reasons": []}
            assert ctl.counters()["flow_restored"] == len(flows)
    finally:
        cg.run("nft", "delete", "table", "inet", "outage")
    return flows


def saved(net):
    return json.loads(net.wlb("cg").run("flow", "save").stdout)["flows"]


@pytest.mark.parametrize("mode,via,family", WAYS)
def test_download(net, mode, via, family):
    """W92: what a replica sends goes on when the flow is put back, and ends as it is."""
    configure(net, mode, via)
    net.netem("core", "cg", "rate 80mbit")      # so that it lasts
    download = web.Download(net["c1"], net.address["s", family])
    download.read(1 << 16)
    (flow,) = reload(net, mode, via)
    assert (flow["winner"], flow["return"], flow["via"], flow["state"]) == (
        net.address["r1", family], mode, via, "won")
    head, body = download.finish()
    assert b"X-Who: r1" in head and body == web.big_file().read_bytes()
    assert not net.wlb("cg").counters()["translate_failed"]


@pytest.mark.parametrize("mode,via,family", WAYS)
def test_without(net, mode, via, family):
    """W92: nothing is put back: a client that speaks is told by a reset, and a new
    connection races."""
    configure(net, mode, via)
    download = web.Download(net["c1"], net.address["s", family])
    download.read(1 << 16)
    reload(net, mode, via, restore=False)
    with pytest.raises(ConnectionResetError):
        download.finish()
    assert web.fetch(net["c1"], net.address["s", family])[0] == "r1"


@pytest.fixture(scope="module")
def both_ghosts(net):
    both = {family: Ghosts(net, family) for family in (4, 6)}
    yield both
    for ghosts in both.values():
        ghosts.close()


def test_states(net, both_ghosts, family):
    """W92: each state with all that belongs to it is as it was, and goes on so."""
    ghosts, ctl = both_ghosts[family], net.wlb("cg")
    ghosts.forget()
    winner, late = ghosts.replica[1:3]
    won, closing, reset, asked, tombstone, racing = races = [ghosts.race() for _ in range(6)]
    for race in races[:4]:
        race.answer(winner)
        ghosts.out(race.from_client(winner, ACK | PSH, payload=b"x" * 100))
        ghosts.into(race.from_far(winner, ACK | PSH, ack=101, payload=b"y" * 50))
    ghosts.out(won.from_client(winner, FIN | ACK, seq=101, ack=51))
    ghosts.out(closing.from_client(winner, FIN | ACK, seq=101, ack=51))
    ghosts.into(closing.from_far(winner, FIN | ACK, seq=51, ack=102))
    ghosts.into(reset.from_far(winner, RST, seq=51))
    ghosts.out(ghosts.syn(asked.sport, (asked.isn + 0x12345) % 2**32))
    tombstone.answer(ghosts.server)
    assert racing.flow()["state"] == "racing"

    before = {flow["client_port"]: flow for flow in reload(net)}
    after = {flow["client_port"]: flow for flow in saved(net)}
    assert set(before) == {race.sport for race in races[:5]}
    for flow in [*before.values(), *after.values()]:
        assert 0 < flow.pop("expires_ms") <= 7440000
    assert after == before
    assert [before[race.sport]["state"] for race in races[:5]] == [
        "won", "closing", "closing", "won", "tombstone"]
    assert [before[race.sport]["flags"] for race in races[:4]] == [
        ["fin-client"], ["fin-client", "fin-server"], ["rst"], ["reopen", "asked"]]
    assert before[asked.sport]["new_isn"] == (asked.isn + 0x12345) & 0xffff
    flow = before[won.sport]
    relative = [(flow[key] - base) % 2**32 for key, base in (
        ("client_end", won.isn), ("client_ack", won.sequence[winner]),
        ("server_end", won.sequence[winner]), ("server_ack", won.isn))]
    assert relative == [102, 51, 51, 101]
    assert "flags" not in before[tombstone.sport]

    counted = Counted(ctl)
    ghosts.into(won.from_far(winner, RST, seq=1 << 20))
    assert counted.grown()["rst_out_of_window"] == 1 and won.flow()["state"] == "won"
    ghosts.into(won.from_far(winner, FIN | ACK, seq=51, ack=102))
    assert won.flow()["state"] == "closing"
    ghosts.out(reset.from_client(winner, ACK, seq=101, ack=51))
    assert reset.flow()["state"] == "won"
    # The same new SYN once more, and the winner silent since: it races.
    (out,) = ghosts.out(ghosts.syn(asked.sport, (asked.isn + 0x12345) % 2**32))
    assert out.dst == ghosts.server and out.tags()
    tombstone.loses(late)
    assert ghosts.flows(racing.sport) == []


def test_port_of_no_service(net, both_ghosts):
    """A flow of a port that no service has any more is carried, as after apply."""
    ghosts = both_ghosts[4]
    ghosts.forget()
    race = ghosts.race(dport=8080)
    winner = ghosts.replica[1]
    isn = 7
    ghosts.into(packets.tcp(winner, ghosts.client, 8080, race.sport, SYN | ACK, isn,
                            race.isn + 1))
    flows = net.wlb("cg").run("flow", "save").stdout
    net.wlb("cg").run("flow", "flush")
    net.wlb("cg").apply(net.config(ports=[80])["cg"])
    assert net.wlb("cg").run("flow", "restore", stdin=flows).stdout == "restored 1, refused 0\n"
    raw = packets.tcp(ghosts.client, ghosts.server, race.sport, 8080, ACK, race.isn + 1, isn + 1)
    assert ghosts.out(raw)[0].dst == winner
    raw = packets.tcp(winner, ghosts.client, 8080, race.sport, ACK, isn + 1, race.isn + 1)
    assert ghosts.into(raw)[0].src == ghosts.server


def test_file(net):
    """The file is its owner's alone, and whole or as it was; a broken one restores
    nothing."""
    ctl = net.wlb("cg")
    with net["c1"].connect(net.address["s", 4], 80):
        ctl.run("flow", "save", FILE)
        text = FILE.read_text(encoding="utf-8")
        assert stat.S_IMODE(FILE.stat().st_mode) == 0o600
        done = ctl.run("flow", "save", "/run/wlb/absent/flows", check=False)
        assert done.returncode == 1 and "No such file or directory" in done.stderr
        ctl.run("flow", "flush")
        second = text.replace("\n]}", "," + text.split("\n")[1].replace('"won"', '"gone"') + "\n]}")
        for broken, words in ((text[:-5], "parse error at line 2"),
                              (second, 'flows[1]: state: "gone" must be'),
                              ("", "parse error"), ("[]", "must be an object")):
            done = ctl.run("flow", "restore", stdin=broken, check=False)
            assert done.returncode == 1 and words in done.stderr, (broken, done.stderr)
            assert "standard input" in done.stderr and not done.stdout
            assert ctl.flows() == []


def endpoint(address_, port):
    return f"[{address_}]:{port}" if ":" in address_ else f"{address_}:{port}"


def test_some_refused(net):
    """One flow that is refused stops no other."""
    ctl = net.wlb("cg")
    with net["c1"].connect(net.address["s", 4], 80), net["c1"].connect(net.address["s", 6], 80):
        flows = saved(net)
        assert len(flows) == 2
        fine = [{**flow, "client_port": 9} for flow in flows]
        wrong = {**fine[0], "client_port": 10, "winner": fine[0]["server"]}
        text = json.dumps({"version": 1, "flows": [*flows, wrong, *fine]})
        done = ctl.run("flow", "restore", stdin=text, check=False)
    assert (done.returncode, done.stdout) == (1, "restored 2, refused 3\n")
    client, server = flows[0]["client"], flows[0]["server"]
    assert done.stderr.splitlines() == [
        f"wlbctl: 2 refused, first {endpoint(client, flows[0]['client_port'])} > "
        f"{endpoint(server, 80)}: flow: a live one has these addresses and ports "
        "(File exists)",
        f"wlbctl: 1 refused, first {endpoint(wrong['client'], 10)} > "
        f"{endpoint(wrong['server'], 80)}: flow: winner: the server in state "
        "tombstone, else another (Invalid argument)"]


def flow(**changes):
    """A flow as attributes, right unless told otherwise; None leaves one out."""
    parts = {"client": address(1, "10.1.1.9"), "client_port": u16s(2, 40000),
             "server": address(3, "203.0.113.10"), "server_port": u16s(4, 80),
             "winner": address(5, "198.51.100.2"), "state": u8(6, WON), "expires": attr(7, 60000),
             "isn": attr(8, 1), "ret": u8(9, 0), "via": None, "client_end": attr(11, 2),
             "client_ack": attr(12, 3), "server_end": attr(13, 4), "server_ack": attr(14, 5),
             "flags": u8(15, 0), "new_isn": u16s(16, 0), **changes}
    return [attr(FLOW, [part for part in parts.values() if part is not None])]


def tombstone(number=0, **changes):
    empty = dict.fromkeys(("ret", "client_end", "client_ack", "server_end", "server_ack", "flags",
                           "new_isn"))
    return flow(**{**empty, "winner": None, "state": u8(6, TOMBSTONE),
                   "client_port": u16s(2, 20000 + number), **changes})


REFUSALS = {
    "no flow": ([], "which one", ()),
    "an address": (flow(client=attr(1, b"123")), "4 or 16 bytes", (FLOW, 1)),
    "an address of nobody": (flow(server=address(3, "0.0.0.0")), "one host", (FLOW, 3)),
    "a family": (flow(server=address(3, "2001:db8::1")), "family", (FLOW, 3)),
    "a winner's family": (flow(winner=address(5, "2001:db8::1")), "family", (FLOW, 5)),
    "the server as a replica": (flow(winner=address(5, "203.0.113.10")), "another", (FLOW, 5)),
    "a replica as the server": (tombstone(winner=address(5, "198.51.100.2")), "server",
                                (FLOW, 5)),
    "a client's port": (flow(client_port=u16s(2, 0)), "1 to 65535", (FLOW, 2)),
    "a server's port": (flow(server_port=u16s(4, 0)), "1 to 65535", (FLOW, 4)),
    "a port's length": (flow(server_port=u8(4, 80)), "", (FLOW, 4)),
    "a race": (flow(state=u8(6, 0)), "won, tombstone or closing", (FLOW, 6)),
    "a state": (flow(state=u8(6, 4)), "won, tombstone or closing", (FLOW, 6)),
    "no time": (flow(expires=attr(7, 0)), "1 ms to 24 days", (FLOW, 7)),
    "25 days": (flow(expires=attr(7, 25 * 86400000)), "1 ms to 24 days", (FLOW, 7)),
    "a return mode": (flow(ret=u8(9, 3)), "nat, spoof or tunnel", (FLOW, 9)),
    "via of nat": (flow(via=u8(10, 0)), "none with return nat", (FLOW, 10)),
    "no via": (flow(ret=u8(9, 1)), "need via", (FLOW, 9)),
    "a via": (flow(ret=u8(9, 2), via=u8(10, 2)), "gre or ipip", (FLOW, 10)),
    "an unknown flag": (flow(flags=u8(15, 1 << 3)), "flags", (FLOW, 15)),
    "both FINs of a won flow": (flow(flags=u8(15, 3)), "state closing", (FLOW, 15)),
    "one FIN of a closing flow": (flow(state=u8(6, CLOSING), flags=u8(15, 1)), "both FINs",
                                  (FLOW, 15)),
    "an unknown attribute": (flow(x=attr(17, b"")), "nknown attribute", (FLOW, 17)),
    "a tombstone with a return mode": (tombstone(ret=u8(9, 0)), "if a replica won", (FLOW, 9)),
    "a tombstone with flags": (tombstone(flags=u8(15, 0)), "if a replica won", (FLOW, 15)),
    **{f"no {name}": (flow(**{name: None}), "needs", (FLOW,)) for name in (
        "client", "client_port", "server", "server_port", "winner", "state", "expires", "isn")},
    **{f"no {name}": (flow(**{name: None}), "if a replica won", (FLOW,)) for name in (
        "ret", "client_end", "client_ack", "server_end", "server_ack", "flags", "new_isn")},
}


@pytest.fixture
def ctl(net):
    with Wlb(net["cg"]) as it:
        yield it


def refused(ctl, attributes):
    with pytest.raises(Refused) as caught:
        ctl.request(FLOW_NEW, attributes)
    return caught.value


def test_refusals(net, ctl):
    """S8: a flow that cannot be is refused, with the attribute and what it may be."""
    for what, (attributes, words, path) in REFUSALS.items():
        error = refused(ctl, attributes)
        assert error.code in (errno.EINVAL, errno.ERANGE), (what, error)
        assert words in error.text and error.path == path, (what, error)
    assert net.wlb("cg").flows() == []
    for right in (flow(), tombstone(), tombstone(1, winner=address(5, "203.0.113.10"))):
        ctl.request(FLOW_NEW, right)
    assert refused(ctl, flow()).code == errno.EEXIST
    assert refused(ctl, tombstone(1)).code == errno.EEXIST
    net.wlb("cg").apply("")
    error = refused(ctl, flow())
    assert error.code == errno.ENOENT and "client gateway" in error.text


def test_full(net, ctl):
    """W110: no more are put back than the table may hold; those that race or have lost
    give way to nobody."""
    configure(net, client_gateway={"max-flows": 1024})
    for number in range(1024):
        ctl.request(FLOW_NEW, tombstone(number))
    error = refused(ctl, tombstone(1024))
    assert error.code == errno.ENOSPC and "max-flows" in error.text
    assert net.wlb("cg").stats()["flows"] == 1024


def test_gone(net, ctl):
    """A flow that was put back lives as long as it had left."""
    ctl.request(FLOW_NEW, flow(expires=attr(7, 1500)))
    assert len(net.wlb("cg").flows()) == 1
    wait_until("it is forgotten", lambda: not net.wlb("cg").stats()["flows"], timeout=10, step=0.2)
