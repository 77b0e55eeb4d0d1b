# SPDX-License-Identifier: GPL-2.0-only
"""wlb-gatewayd and two wlb-replicad on T0: who registers, how far it is measured to be, and what
becomes of races when something dies, is busy, or lies."""

import os
import pathlib
import signal
import socket
import time

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from wlblab import kernel, registry, web, wlb
from wlblab.clones import Delta, Tap, Wire
from wlblab.host import wait_until
from wlblab.http import Http
from wlblab.t0 import T0

T = 0.5                 # s, between two questions
REPLICAS = ["r1", "r2"]
LISTEN = {4: "10.9.2.1", 6: "2001:db8:9:2::1"}
PREFIX = {4: "198.51.100.0/24", 6: "2001:db8:b::/48"}


@pytest.fixture(scope="module")
def net(leaks):
    kernel.load()
    t0 = T0(clients=1, replicas=2)
    try:
        t0.build()
        t0.warm_up()
        yield t0
    finally:
        t0.close()
        kernel.unload()


class Play:
    """Daemons of one test, of one family."""

    def __init__(self, net):
        self.net = net
        self.gatewayd = registry.Gatewayd(net["sg"])
        self.replicad = {r: registry.Replicad(net[r]) for r in REPLICAS}
        self.key = registry.key_file("www.key")
        self.ends = []          # to be done

    def of(self, name):
        return self.net.address[name, self.family]

    def configure(self, family, ports=(80,), registry_keys=None, **origin):
        """The kernel's part everywhere, and the daemons'."""
        self.family = family
        self.ports = ports
        net = self.net
        net.wlb("cg").apply(
            wlb.table("client-gateway", inside=["lan0"]) +
            wlb.table("client-gateway.service", array=True, name="web", ports=ports,
                      replicas=[PREFIX[family]]))
        self.gateway(registry_keys, **origin)
        for name in REPLICAS:
            self.replica(name)

    def gateway(self, registry_keys=None, **origin):
        self.net.wlb("sg").apply(wlb.table("server-gateway.origin", array=True, **{
            "name": "www", "server": self.of("s"), "ports": self.ports, "race": "equal",
            "registry": {"key-file": self.key, "listen": LISTEN[self.family],
                         "replicas": [PREFIX[self.family]], "interval": f"{int(T * 1000)}ms",
                         **(registry_keys or {})}, **origin}))

    def replica(self, name, **keys):
        probe = f"[{self.of(name)}]:80" if self.family == 6 else f"{self.of(name)}:80"
        self.net.wlb(name).apply(wlb.table("replica.origin", array=True, **{
            "name": "www", "server": self.of("s"), "ports": self.ports, "local": self.of(name),
            "clones_from": [LISTEN[self.family]], "gateways": [LISTEN[self.family]],
            "key-file": self.key,
            "probe": {"tcp": probe, "interval": "200ms", "timeout": "200ms", "rise": 2, "fall": 2},
            **keys}))

    def start(self, *names):
        if self.gatewayd.child is None:
            self.gatewayd.start()
        for name in names:
            self.replicad[name].start()

    def registered(self, *names, within=10):
        """Waits until these and no others get clones; seconds it took."""
        began = time.monotonic()
        wanted = {self.of(name) for name in names}
        wait_until(f"{names} are in force", lambda: self.gatewayd.in_force().keys() == wanted,
                   within)
        return time.monotonic() - began

    def pages(self, count=6):
        """Who served so many, each by a connection of its own."""
        found = web.pages(self.net["c1"], self.of("s"), count)
        assert all(page.ok for page in found), found
        return {page.who for page in found}

    def clones(self, name):
        return self.gatewayd.in_force()[self.of(name)]["clones"]

    def stop_web(self, name):
        os.kill(int((web.ROOT / name / "pid").read_text()), signal.SIGTERM)
        wait_until("nobody listens", lambda: not self.net[name].sockets(
            "state", "listening", "sport", "=", "80"))
        self.ends.append(lambda: web.serve(self.net[name]))

    def start_web(self, name):
        web.serve(self.net[name])
        self.ends.clear()

    def close(self):
        for end in self.ends:
            end()
        for daemon in (*self.replicad.values(), self.gatewayd):
            if daemon.child:
                daemon.kill(15)
        self.net.wlb("cg").run("flow", "flush")
        self.net.unconfigure()


@pytest.fixture
def play(net):
    play = Play(net)
    yield play
    play.close()


def test_nearest(play, family):
    """Both register by their own word and are measured to 0.3 ms; race mode equal then has the
    nearest win each time, without a delay that somebody has set by hand."""
    play.configure(family)
    play.start(*REPLICAS)
    play.registered("r1", "r2")
    wait_until("15 samples", lambda: all(r["samples"] == 15
                                         for r in play.gatewayd.replicas().values()), 20)
    for name in REPLICAS:
        shown = play.gatewayd.replicas()[play.of(name)]
        true = play.net.clone_delay(name)
        print(f"{name}: {true} ms, measured {shown['round-trip-ms'] / 2:.3f} ms, "
              f"in the kernel {shown['delay-ms']:.3f} ms")
        assert abs(shown["round-trip-ms"] / 2 - true) < 0.3
        assert abs(shown["delay-ms"] - true) < 0.3
        assert play.gatewayd.in_force()[play.of(name)]["delay-ms"] == shown["delay-ms"]
        assert (shown["state"], shown["in-force"]) == ("ready", True)
    assert play.pages(20) == {"r1"}
    assert play.clones("r1") == play.clones("r2") == 20
    for name in REPLICAS:
        shown = play.replicad[name].show()
        assert shown["state"] == "ready" and not shown["silent"]
        (gateway,) = shown["gateways"]
        assert gateway["address"] == LISTEN[family] and gateway["silent"] < 2 * T
        assert gateway["interval"] == T
    for what in ("gateway", "replica"):
        daemon = play.gatewayd if what == "gateway" else play.replicad["r1"]
        assert "ready" in daemon.ctl.run(what, "show").stdout
    # Once farther away it wins no more.
    play.net.netem("core", "r1", "delay 60ms")
    play.net.netem("r1", "core", "delay 60ms")
    try:
        wait_until("it is known", lambda: abs(
            play.gatewayd.in_force()[play.of("r1")]["delay-ms"] - 110) < 0.3, 20)
        assert play.pages() == {"r2"}
    finally:
        play.net.netem("core", "r1", "delay 5ms")
        play.net.netem("r1", "core", "delay 5ms")


def test_dead_server(play, family):
    """A server that dies behind a living daemon answers no race, and its gateway clones to it no
    more; it is back after three answers."""
    play.configure(family)
    play.start(*REPLICAS)
    play.registered("r1", "r2")
    assert play.pages(2) == {"r1"}
    play.stop_web("r1")
    took = play.registered("r2", within=5)
    assert took < 0.2 * 2 + 0.2 + 1, took       # two failed probes, a call and a question
    assert play.pages() == {"r2"}
    assert play.replicad["r1"].show()["state"] == "down"
    assert "refused" in play.replicad["r1"].show()["probe"]["why"]
    assert play.net.wlb("r1").json("replica", "list")[0]["busy"]
    assert play.gatewayd.replicas()[play.of("r1")]["deaths"] == 1
    play.start_web("r1")
    wait_until("it works", lambda: play.replicad["r1"].show()["state"] == "ready")
    took = play.registered("r1", "r2")
    assert took > T, took
    assert play.pages() == {"r1"}


def test_gateway_killed(play, family):
    """kill -9 of wlb-gatewayd: clones go on; the next one takes the replicas over, and finds the
    dead among them."""
    play.configure(family)
    play.start(*REPLICAS)
    play.registered("r1", "r2")
    play.pages(2)
    play.gatewayd.kill(signal.SIGKILL)
    before = play.gatewayd.in_force()
    time.sleep(4 * T)
    assert play.pages(2) == {"r1"}
    after = play.gatewayd.in_force()
    assert after.keys() == before.keys()
    assert all(after[a]["clones"] == before[a]["clones"] + 2 for a in before)
    play.replicad["r2"].kill(signal.SIGKILL)
    play.gatewayd.start()
    assert play.gatewayd.in_force().keys() == before.keys()
    assert play.pages(1) == {"r1"}
    play.registered("r1", within=5)
    wait_until("it is asked", lambda: play.gatewayd.replicas()[play.of("r1")]["samples"] >= 2)
    assert play.clones("r1") == before[play.of("r1")]["clones"] + 3
    play.replicad["r2"].start()
    play.registered("r1", "r2")
    play.gatewayd.kill(15)              # nobody looks after them any more
    assert not play.gatewayd.in_force()


def test_replica_killed(play):
    """kill -9 of wlb-replicad: the kernel keeps its last state; a new one goes on from there and
    its gateway hardly notices."""
    play.configure(4)
    play.start(*REPLICAS)
    play.registered("r1", "r2")
    play.replicad["r1"].kill(signal.SIGKILL)
    assert play.pages(1) == {"r1"}
    play.replicad["r1"].start()
    time.sleep(6 * T)
    shown = play.gatewayd.replicas()[play.of("r1")]
    assert shown["in-force"] and shown["deaths"] == 0 and shown["silent"] < 2 * T


def test_host_down(play, family):
    """The host of a replica falls silent: clones stop within three intervals and what the last
    question's answer may take."""
    play.configure(family)
    play.start(*REPLICAS)
    play.registered("r1", "r2")
    wait_until("it is asked", lambda: play.gatewayd.replicas()[play.of("r1")]["samples"] >= 3)
    play.net.link_down("r1", "core")
    try:
        took = play.registered("r2", within=10)
        print(f"gone after {took:.2f} s, {took / T:.2f} intervals")
        assert took < 3.25 * T + 4 * 0.11 + 0.3, took
        assert play.gatewayd.replicas()[play.of("r1")]["unanswered"] >= 3
        assert play.pages(3) == {"r2"}
    finally:
        began = time.monotonic()
        play.net.link_up("r1", "core")
    play.registered("r1", "r2")
    took = time.monotonic() - began
    print(f"back after {took:.2f} s")
    assert took > T, took               # three answers, of which a call may have caused one
    assert play.gatewayd.replicas()[play.of("r1")]["deaths"] == 1


def test_drain(play, family):
    """A drained replica finishes what it has begun and takes no more races; SIGTERM is the
    same."""
    play.configure(family)
    play.start(*REPLICAS)
    play.registered("r1", "r2")
    download = web.Download(play.net["c1"], play.of("s"))
    download.read(1000)
    play.replicad["r1"].ctl.run("replica", "drain", "www")
    took = play.registered("r2", within=3)
    assert took < 1, took
    shown = play.replicad["r1"].show()
    assert (shown["state"], shown["connections"], shown["silent"]) == ("draining", 1, True)
    delta = Delta(play.net.wlb("r1"))
    assert play.pages() == {"r2"}
    assert not delta()
    head, body = download.finish()
    assert b"X-Who: r1" in head and body == web.big_file().read_bytes()
    wait_until("nothing is left", lambda: play.replicad["r1"].show()["connections"] == 0)
    play.replicad["r1"].ctl.run("replica", "resume")
    play.registered("r1", "r2", within=3)
    assert play.pages() == {"r1"}
    play.replicad["r1"].kill(15)
    play.registered("r2", within=1)
    assert play.pages(2) == {"r2"}
    assert play.net.wlb("r1").json("replica", "list")[0]["busy"]
    play.replicad["r1"].start()
    play.registered("r1", "r2")


def test_sleeps(play):
    """A gateway's daemon that was kept from running has not asked meanwhile: it takes none of
    its many replicas for dead, but one that is."""
    addresses = [f"198.51.100.{i}" for i in range(128, 228)]
    r1, core = play.net["r1"], play.net["core"]
    core.run("ip", "route", "add", "198.51.100.128/25", "via", play.net.address["r1", 4])
    for address in addresses:
        r1.run("ip", "address", "add", f"{address}/32", "dev", "lo")
    play.configure(4)
    play.start(*REPLICAS)
    crowd = registry.Crowd(r1, addresses, LISTEN[4], play.of("s"), T)

    def alive():
        return {a: r for a, r in play.gatewayd.replicas().items()
                if r["state"] == "ready" and r["silent"] < 2 * T}
    try:
        wait_until("all are known", lambda: len(alive()) == 2 + len(addresses), 30)
        table = play.gatewayd.in_force().keys()
        for intervals in (2.5, 3.5, 8):
            play.gatewayd.child.send_signal(signal.SIGSTOP)
            time.sleep(intervals * T)
            play.gatewayd.child.send_signal(signal.SIGCONT)
            wait_until("all have been asked again", lambda: len(alive()) == 2 + len(addresses), 5)
            assert {a for a, r in alive().items() if r["deaths"]} == set()
            assert play.gatewayd.in_force().keys() == table
        assert "removed" not in play.gatewayd.log()
        play.gatewayd.child.send_signal(signal.SIGSTOP)
        play.replicad["r2"].kill(signal.SIGKILL)
        time.sleep(8 * T)
        play.gatewayd.child.send_signal(signal.SIGCONT)
        wait_until("r2 is found dead", lambda: f"replica {play.of('r2')} removed" in
                   play.gatewayd.log(), 6 * T)
        assert play.gatewayd.log().count("removed") == 1
    finally:
        crowd.close()
        for address in addresses:
            r1.run("ip", "address", "del", f"{address}/32", "dev", "lo")
        core.run("ip", "route", "del", "198.51.100.128/25")


def payloads(tap, play, out):
    """What went between a replica and the gateway."""
    size = 20 if play.family == 4 else 40
    return [p.data[size + 8:] for p in tap.seen(lambda p: p.proto == 17 and p.out == out and
                                                p.data[size + 8:size + 12] == b"wlbr")]


def datagram(play, name, payload, port=registry.PORT):
    ip = IPv6 if play.family == 6 else IP
    return bytes(ip(src=play.of(name), dst=LISTEN[play.family]) /
                 UDP(sport=port, dport=registry.PORT) / Raw(payload))


def test_liars(play, family):
    """What was recorded and is sent again, and what others have signed, changes nothing and is
    counted."""
    play.configure(family)
    play.start()
    with Tap(play.net["sg"], "wan0") as tap, Wire(play.net, "core", "sg") as wire:
        play.start(*REPLICAS)
        play.registered("r1", "r2")
        time.sleep(2 * T)
        play.replicad["r1"].ctl.run("replica", "drain")
        play.registered("r2")
        said = [p for p in payloads(tap, play, out=False) if p[5] == registry.STATE]
        assert len(said) >= 4
        before = play.gatewayd.messages()["refused"]
        for payload in said:
            wire.send(datagram(play, "r1", payload))
            wire.send(datagram(play, "r2", payload))

        def noticed():
            now = play.gatewayd.messages()["refused"]
            return sum(now[why] - before[why] for why in ("replayed", "stale", "other-address"))
        wait_until("all are refused", lambda: noticed() == 2 * len(said), 3)
        # Signed by nobody who has the key, or by nobody who was asked.
        server = play.of("s")
        forged = registry.state(bytes(16), play.of("r1"), server)
        for payload, reason in (
                (registry.message(registry.STATE, 1 << 40, forged), "stale"),
                (registry.message(registry.STATE, 1, forged, secret=b"x" * 16), "forged"),
                (registry.message(registry.STATE, 1, forged, key=7), "unknown-key"),
                (registry.message(registry.STATE, 1, forged)[:-5], "malformed"),
                (b"x" * 100, "malformed"),
                (payloads(tap, play, out=True)[-1], "forged")):     # the gateway's own words
            before = play.gatewayd.messages()["refused"][reason]
            wire.send(datagram(play, "r1", payload))
            wait_until(reason, lambda was=before, why=reason: play.gatewayd.messages()["refused"][
                why] == was + 1, 3)
        stranger = bytes((IPv6 if family == 6 else IP)(
            src="2001:db8:77::1" if family == 6 else "192.0.2.77", dst=LISTEN[family]) /
            UDP(sport=2061, dport=2061) / Raw(registry.message(registry.STATE, 1, forged)))
        wire.send(stranger)
        wait_until("a stranger", lambda: play.gatewayd.messages()["refused"]["stranger"] == 1, 3)
        assert play.gatewayd.in_force().keys() == {play.of("r2")}
        assert play.gatewayd.replicas()[play.of("r1")]["state"] == "draining"
        # A HELLO that was recorded has its sender asked, and no more than a few times.
        hello = next(p for p in payloads(tap, play, out=False) if p[5] == registry.HELLO)
        asked = play.gatewayd.messages()["ask"]
        for name in REPLICAS:
            for _ in range(20):
                wire.send(datagram(play, name, hello))
        time.sleep(0.2)
        assert play.gatewayd.messages()["ask"] - asked <= 6
        play.registered("r2", within=1)


def test_keys(play):
    """Another key registers nobody; keys are changed while all goes on. A file that others may
    read is refused."""
    play.configure(4)
    other = registry.key_file("other.key", "1 another-secret-than-that\n")
    play.replica("r1", **{"key-file": other})
    play.start(*REPLICAS)
    play.registered("r2")
    wait_until("it is noticed", lambda: play.gatewayd.messages()["refused"]["forged"] > 0)
    time.sleep(2 * T)
    assert play.gatewayd.in_force().keys() == {play.of("r2")}
    pathlib.Path(other).write_text(registry.KEY + "2 another-secret-than-that\n",
                                   encoding="ascii")
    play.replicad["r1"].reload()
    play.registered("r1", "r2")
    pathlib.Path(other).chmod(0o644)
    done = play.replicad["r1"].ctl.run("replica", "reload", check=False)
    assert done.returncode == 1 and "must be 0600 or 0640" in done.stderr
    time.sleep(2 * T)
    assert play.gatewayd.in_force().keys() == {play.of("r1"), play.of("r2")}


def test_configured(play):
    """Replicas of the configuration get clones without a word of theirs, and with the delay that
    was measured once they have registered; permissions are taken from a new configuration."""
    replicas = [{"address": play.net.address[r, 4], "delay": "10ms"} for r in REPLICAS]
    play.configure(4, replicas=replicas)
    play.start("r1")
    wait_until("r1 is measured", lambda: abs(
        play.gatewayd.in_force()[play.of("r1")]["delay-ms"] - 55) < 0.5, 10)
    assert play.gatewayd.in_force()[play.of("r2")]["delay-ms"] == 10
    play.replicad["r1"].kill(signal.SIGKILL)
    play.registered("r2")
    play.gateway({"replicas": ["198.51.100.16/28"]})
    play.gatewayd.reload()
    play.registered()
    play.replicad["r1"].start()
    play.replicad["r2"].start()
    play.registered("r2")
    assert play.gatewayd.messages()["refused"]["stranger"] > 0
    assert "registry" in play.gatewayd.refused("")


def test_busy(play, family):
    """A full accept queue: the replica falls silent, says so and why, stays registered, and is
    back when the queue is empty."""
    play.configure(family, ports=(80, 8080))
    play.replica("r1", busy={"accept-queue": 0.8, "load": 1000})
    with play.net["r1"].entered():
        listener = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("", 8080))
    listener.listen(4)
    waiting = []
    try:
        play.start(*REPLICAS)
        play.registered("r1", "r2")
        assert play.pages(2) == {"r1"}
        for _ in range(4):
            waiting.append(play.net["r1"].connect(play.of("r1"), 8080))
        wait_until("it is busy", lambda: play.replicad["r1"].show()["state"] == "busy", 5)
        shown = play.replicad["r1"].show()
        assert shown["busy"]["accept-queue"] == {"busy": True, "limit": 0.8, "value": 1}
        assert not shown["busy"]["load"]["busy"] and shown["silent"]
        wait_until("its gateway knows", lambda: play.gatewayd.replicas()[play.of("r1")]["state"] ==
                   "busy", 3)
        delta = Delta(play.net.wlb("r1"))
        assert play.pages(4) == {"r2"}
        assert delta() == {"clone_busy": 4}
        play.registered("r1", "r2", within=1)
        for _ in waiting[:2]:
            listener.accept()[0].close()
        wait_until("it is ready", lambda: play.replicad["r1"].show()["state"] == "ready", 5)
        assert play.pages(2) == {"r1"}
    finally:
        for sock in (listener, *waiting):
            sock.close()


@pytest.mark.whole
def test_http(play):
    """What the daemons of both gateways and of a replica serve: who is how far, and who wins."""
    play.configure(4)
    play.replica("r1", busy={"connections-per-second": 2000})
    play.start(*REPLICAS)
    play.registered("r1", "r2")
    client = registry.Gatewayd(play.net["cg"])
    client.start()
    try:
        assert play.pages(20) == {"r1"}
        server, r1, r2 = play.of("s"), play.of("r1"), play.of("r2")
        of_client = Http(play.net["cg"], "gatewayd")
        pair = f'{{server="{server}:80",answerer="{r1}"}}'
        # Losers have time to answer.
        wait_until("all races are counted", lambda: of_client.metrics().get(
            f"wlb_race_wins_total{pair}") == 20, 30)
        metrics = of_client.metrics()
        assert metrics[f"wlb_latest_race_wins{pair}"] >= 20     # earlier scenarios' too
        assert metrics[f"wlb_race_answer_seconds_count{pair}"] == 20
        assert metrics['wlb_races_total{outcome="won_replica"}'] >= 20
        origins = {(o["server"], o["server_port"]): o["answerers"]
                   for o in of_client.status()["kernel"]["races"]}
        assert {r1, r2, server} <= {a["address"] for a in origins[server, 80]}
        # What it learns for direct races; the replicas take no clones of its own.
        play.net.wlb("cg").apply(
            wlb.table("client-gateway", inside=["lan0"]) +
            wlb.table("client-gateway.service", array=True, name="web", ports=[80],
                      replicas=[PREFIX[4]], race="direct"))
        play.pages(2)
        time.sleep(1.1)     # what is served is kept for a second
        assert 0.1 < of_client.metrics()[f"wlb_answerer_rtt_seconds{pair}"] < 0.2
        of_client.keep("client-gateway")
        gateway = Http(play.net["sg"], "gatewayd")
        metrics = gateway.metrics()
        for name, address in (("r1", r1), ("r2", r2)):
            labels = f'{{origin="www",replica="{address}"}}'
            assert metrics[f"wlb_registry_replica_in_force{labels}"] == 1
            assert metrics[f"wlb_replica_clones_sent_total{labels}"] >= 20
            assert abs(metrics[f"wlb_registry_replica_delay_seconds{labels}"] * 1000 -
                       play.net.clone_delay(name)) < 1
        assert "key-file" not in gateway.get("/status.json")
        gateway.keep()
        replica = Http(play.net["r1"], "replicad")
        metrics = replica.metrics()
        assert metrics['wlb_served_busy_limit{replica="www",criterion="connections-per-second"}'] \
            == 2000
        assert metrics['wlb_served_state{replica="www",state="ready"}'] == 1
        assert metrics['wlb_replica_clones_total{outcome="cracked"}'] >= 20
        assert "key-file" not in replica.get("/status.json")
        replica.keep()
    finally:
        client.kill(15)
