# SPDX-License-Identifier: GPL-2.0-only
"""The module's tracepoints: what wlbctl trace shows is what happened to the packets; the
manual's bpftrace lines show it too."""

import contextlib
import re
import subprocess
import time

import pytest

from wlblab import kernel, web
from wlblab.clones import lab
from wlblab.host import wait_until
from wlblab.trace import INSTANCES, begins, bpftrace, manual_lines, tracing
from wlblab.wlb import WLBCTL

SG = {4: "10.9.2.1", 6: "2001:db8:9:2::1"}


def told(events, *names):
    """(event, peer, reason) of some events."""
    return [(e["event"], e.get("peer"), e["reason"]) for e in events if e["event"] in names]


@pytest.fixture(scope="module")
def net():
    with lab(clients=1) as it:
        it.own_origin()
        it.netem("s", "sg", "delay 100ms")      # a replica wins
        it.configure(ports=(80,))
        yield it


@pytest.mark.parametrize("family", [4, 6])
def test_race(net, family):
    """A race from its SYN to the flow's end, as each host has seen it, and nothing of others."""
    replicas = {net.address[r, family]: r for r in ("r1", "r2", "r3")}
    hosts = ("cg", "sg", "r1")
    with contextlib.ExitStack() as stack:
        seen = {h: stack.enter_context(tracing(net[h])) for h in hosts}
        began = time.time()
        winner = web.fetch(net["c1"], net.address["s", family])[0]
        wait_until("all have answered", lambda: len(net.wlb("cg").races()[-1]["answers"]) == 4)
        net.wlb("cg").run("flow", "flush")
        ended = time.time()
    cg, sg, r1 = (seen[h] for h in hosts)
    ports = {e["client_port"] for h in hosts for e in seen[h]}
    assert len(ports) == 1 and {e["server_port"] for h in hosts for e in seen[h]} == {80}
    assert all(began <= e["time"] <= ended for e in cg)
    assert {e["client"] for e in cg} == {net.address["c1", family]}
    assert {e["server"] for e in cg} == {net.address["s", family]}
    assert told(cg, "syn")[0] == ("syn", None, "syn_tagged")
    answers = told(cg, "answer")
    assert replicas[answers[0][1]] == winner and answers[0][2] == "race_won_replica"
    assert {who for _, who, why in answers if why.startswith("answer_")} >= (
        set(replicas) - {answers[0][1]} | {net.address["s", family]})
    assert told(cg, "flow_end") == [("flow_end", answers[0][1], "flushed")]
    assert told(sg, "syn") == [("syn", None, "syn_cloned")]
    assert sorted(told(sg, "clone_out")) == sorted(
        ("clone_out", address, "clone_sent") for address in replicas)
    assert [e["reason"] for e in r1] == ["clone_cracked"]
    assert r1[0]["peer"] == SG[family]


def test_refused(net):
    """Why there was no race, no clone, or none taken; by address, by event, as text."""
    server = net.address["s", 4]
    net.configure(ports=(80,), service={"never": ["10.1.1.0/24"]})
    with tracing(net["cg"], "--address", server) as mine, \
            tracing(net["cg"], "--address", "203.0.113.99") as nobodys, \
            tracing(net["sg"], "--event", "syn") as sg:
        assert web.fetch(net["c1"], server)[0] == "s"
    assert told(mine, "syn") == [("syn", None, "syn_not_permitted")] and not nobodys
    assert told(sg, "syn") == [("syn", None, "syn_race_refused")]

    net.configure(ports=(80,))
    net.wlb("r1").run("replica", "busy", "on")
    with tracing(net["r1"]) as r1:
        web.fetch(net["c1"], server)
    net.wlb("r1").run("replica", "busy", "off")
    assert told(r1, "clone_in") == [("clone_in", SG[4], "clone_busy")]

    text = net["cg"].spawn(WLBCTL, "trace", "--event", "syn", "--event", "flow_end", "--count",
                           "2", stdout=subprocess.PIPE)
    begins(text)
    web.fetch(net["c1"], server)
    net.wlb("cg").run("flow", "flush")
    lines = text.communicate(timeout=30)[0].splitlines()
    client = net.address["c1", 4]
    assert re.fullmatch(rf"[0-9:.]{{15}} syn {client}:\d+ > {server}:80 syn_tagged", lines[0])
    assert re.fullmatch(rf"[0-9:.]{{15}} flow_end {client}:\d+ > {server}:80 won by \S+ flushed",
                        lines[1])


def test_bad(net):
    """What it cannot do it says, and leaves nothing behind."""
    for args, status, said in ((("--event", "sin"), 2, "answer|clone_in"),
                               (("--address", "x"), 2, "--address"), (("--count", "0"), 2, "1 or")):
        done = net.wlb("cg").run("trace", *args, check=False)
        assert done.returncode == status and said in done.stderr, done
    # one that was killed cannot clean up; the next one does
    child = net["cg"].spawn(WLBCTL, "trace", stdout=subprocess.DEVNULL)
    left = INSTANCES / f"wlbctl-{child.pid}"
    begins(child)
    child.kill()
    child.wait()
    assert left.exists()
    with tracing(net["cg"]):
        assert not left.exists()
    assert not list(INSTANCES.glob("wlbctl-*"))


def test_private_sys(net):
    """Where `ip netns exec` has mounted a /sys without tracefs."""
    child = net["c1"].spawn("ip", "netns", "exec", "cg", WLBCTL, "trace", "--count", "1",
                            stdout=subprocess.PIPE)
    wait_until("it traces", lambda: list(INSTANCES.glob("wlbctl-*")))
    time.sleep(0.5)
    web.fetch(net["c1"], net.address["s", 4])
    assert " syn " in child.communicate(timeout=30)[0]


@pytest.mark.parametrize("line", manual_lines(redirect=False),
                         ids=lambda line: re.search(r"wlb:(\w+)", line)[1])
def test_bpftrace(net, line, tmp_path):
    """Each one-liner of the manual counts what pages through a replica do."""
    def act():
        for _ in range(3):
            web.fetch(net["c1"], net.address["s", 4])

    text = bpftrace(line, tmp_path / "out", act)
    assert re.search(r"[1-9]", text), text


def test_unloaded(net):
    """The module goes and comes back while somebody traces: he is told, for nothing more will
    come."""
    child = net["cg"].spawn(WLBCTL, "trace", "--event", "syn", stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)
    begins(child)
    kernel.unload()
    kernel.load()
    net.configure(ports=(80,))
    assert child.communicate(timeout=10) == ("", "wlbctl: trace: the module was unloaded\n")
    assert child.returncode == 1
    assert not list(INSTANCES.glob("wlbctl-*"))
    with tracing(net["cg"], "--event", "syn") as events:
        web.fetch(net["c1"], net.address["s", 4])
    assert told(events, "syn") == [("syn", None, "syn_tagged")]
