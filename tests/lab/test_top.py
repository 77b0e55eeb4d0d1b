# SPDX-License-Identifier: GPL-2.0-only
r"""wlbctl top: its rates are those of the traffic, on a pipe and at a terminal, which it leaves as
it was however it ends. T0, and beside the client gateway, which is a cache router too:

 cg dmz0 10.2.0.1 ---- k1, k2, k3 10.2.0.11, .12, .13
"""

import collections
import contextlib
import json
import os
import signal
import socket
import termios
import threading
import time

import pytest

from wlblab import farm, kernel, netlink, web
from wlblab.host import OUT, wait_until
from wlblab.t0 import T0
from wlblab.terminal import ENTERED, Terminal, bare
from wlblab.wlb import WLBCTL

CACHES = {f"k{i}": f"10.2.0.1{i}" for i in (1, 2, 3)}
# Which cache has the bucket: 128, 80 and 48 of them.
BUCKETS = [0] * 128 + [1] * 80 + [2] * 48
PORT = 53


class Site(T0):
    def _describe(self):
        super()._describe()
        self.add_bridge("cg", "dmz0", CACHES, ["10.2.0.1/24"])
        for name, address in CACHES.items():
            self.add_host(name)
            self.add_link(name, "wan0", "cg", name, [f"{address}/24"])
            self.add_route(name, "default", "10.2.0.1")

    def redirect(self):
        """UDP of clients to port 53 goes to the caches, by its source port."""
        group = farm.group("90", farm.DYNAMIC, 90, into=("lan0",),
                           rules=[farm.rule(deny=True, destination="203.0.113.99/32"),
                                  farm.rule()])
        assignment = farm.Assignment(
            [(address, farm.L2, farm.GRE) for address in CACHES.values()], BUCKETS, protocol=17,
            flags=farm.SRC_PORT | farm.PORTS, ports=(PORT,))
        with netlink.Wlb(self["cg"]) as ctl:
            ctl.request(netlink.GROUP_SET, [netlink.attr(netlink.ROUTER, []), group])
            farm.Farm.assign_by(ctl, 4, assignment, "90")

    def datagrams(self, ports, to="203.0.113.10"):
        """One from each port, of 100 octets."""
        for port in ports:
            with self["c1"].entered():
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with sock:
                sock.bind(("", port))
                sock.sendto(bytes(100), (to, PORT))


def cache_of(port):
    bucket = farm.bucket(farm.SRC_PORT, "10.1.1.2", "203.0.113.10", port, PORT)
    return list(CACHES.values())[BUCKETS[bucket]]


@pytest.fixture(scope="module")
def site():
    kernel.load()
    with Site(servers=2) as net:
        net.build()
        net.warm_up()
        for address in CACHES.values():
            net["cg"].ping(address, 1)
        # Two replicas of three for each SYN: the nearer of the two wins.
        net.configure(race="equal", origin={"fan_out": 2, "pick": "random"})
        net.redirect()
        yield net
    kernel.unload()


@pytest.fixture
def top(site):
    """Starts it at a terminal."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **window: stack.enter_context(
            Terminal(WLBCTL, "-n", "cg", "top", *args, **window))


def test_rates(site):
    """Each sample times its seconds, added up, is what was sent, and nothing else."""
    child = site["cg"].spawn(WLBCTL, "-j", "top", "--interval", "500ms", stdout=-1)
    samples = [json.loads(child.stdout.readline())]
    assert not samples[0]["raced_per_s"] and not samples[0]["wins"]
    ports = range(20000, 20150)
    winners = collections.Counter(web.connect(site["c1"], "203.0.113.10")[0] for _ in range(12))
    site.datagrams(ports)
    site.datagrams(range(20200, 20207), to="203.0.113.99")
    # What is in flight ends, and two samples go by in which nothing happens.
    while any(s["raced_per_s"] or s["carried_per_s"] or s["redirected_per_s"]
              for s in samples[-2:]) or len(samples) < 4:
        samples.append(json.loads(child.stdout.readline()))
    child.send_signal(signal.SIGINT)
    assert child.wait(20) == 0

    sums = collections.Counter()
    for sample in samples:
        for key, rate in sample.items():
            if key.endswith("_per_s"):
                sums[key] += rate * sample["seconds"]
        for row in sample["wins"]:
            sums["win", row["answerer"]] += row["per_s"] * sample["seconds"]
        for group in sample["groups"]:
            sums["bytes"] += group["bytes_per_s"] * sample["seconds"]
            for row in group["caches"]:
                sums[row["cache"]] += row["packets_per_s"] * sample["seconds"]
        for row in sample["refusals"]:
            sums[row["counter"]] += row["per_s"] * sample["seconds"]
    assert sums["raced_per_s"] == pytest.approx(12)
    assert sums["won_by_replicas_per_s"] == pytest.approx(12)
    for name, count in winners.items():
        assert sums["win", site.address[name, 4]] == pytest.approx(count)
    assert sums["redirected_per_s"] == pytest.approx(len(ports))
    assert sums["bytes"] == pytest.approx(len(ports) * 128)
    for address, count in collections.Counter(map(cache_of, ports)).items():
        assert sums[address] == pytest.approx(count), address
    assert sums["redirect_denied"] == pytest.approx(7)
    carried = site.wlb("cg").counters()
    assert sums["carried_per_s"] == pytest.approx(
        sum(carried[name] for name in ("translated_out", "translated_in")))


def test_clones(site):
    """At the server's gateway: clones of each replica, of which each SYN has two."""
    child = site["sg"].spawn(WLBCTL, "-j", "top", "--interval", "500ms", stdout=-1)
    sample = json.loads(child.stdout.readline())
    replicas = {site.address[r, 4] for r in site.replicas}
    assert replicas < {row["replica"] for row in sample["clones"]}
    for _ in range(6):
        web.connect(site["c1"], "203.0.113.10")
    total, by_replica = 0, 0
    while total < 11.9:
        sample = json.loads(child.stdout.readline())
        total += sample["cloned_per_s"] * sample["seconds"]
        by_replica += sum(row["per_s"] for row in sample["clones"]) * sample["seconds"]
    site["sg"].stop(child)
    assert total == pytest.approx(12) == by_replica


def test_fast(site):
    """The share of the fast path, which a cache router does not have: at first none, then most."""
    shares = []
    for redirects in (True, False):
        if not redirects:
            with netlink.Wlb(site["cg"]) as ctl:
                ctl.request(netlink.GROUP_SET, [netlink.attr(netlink.ROUTER, [])])
        child = site["cg"].spawn(WLBCTL, "-j", "top", "--interval", "300ms", stdout=-1)
        child.stdout.readline()
        with site["c1"].connect("203.0.113.10", 80) as sock:
            sock.sendall(b"GET /10M HTTP/1.0\r\n\r\n")
            left = 1 << 20
            while left > 0:
                left -= len(sock.recv(1 << 16))
        fast, carried = 0, 0
        while True:
            sample = json.loads(child.stdout.readline())
            carried += sample["carried_per_s"]
            fast += sample["carried_per_s"] * (sample["fast_share"] or 0)
            if carried and not sample["carried_per_s"]:
                break
        site["cg"].stop(child)
        shares.append(fast / carried)
    site.redirect()
    assert shares[0] == 0 and 0.5 < shares[1] < 1


def test_plain(site):
    """One block for each look, without a sequence for terminals, and no more than asked for."""
    text = site["cg"].out(WLBCTL, "top", "--count", 2, "--interval", "300ms")
    blocks = text.rstrip("\n").split("\n\nwlbctl top")
    assert len(blocks) == 2 and "\x1b" not in text
    assert all("SYNs raced 0.0/s" in block and "10.2.0.12" in block for block in blocks)


def shows(address):
    return lambda page: any(line.startswith(address) for line in bare(page))


def test_live(site, top):
    """Who wins is seen as it happens; a smaller window has all in it, and `q` ends it."""
    terminal = top("--interval", "1s", columns=100, rows=30)
    first = terminal.page()
    assert terminal.seen.startswith(ENTERED)
    assert "SYNs raced -/s" in "".join(bare(first))
    for _ in range(4):
        winner = web.connect(site["c1"], "203.0.113.10")[0]
    page = terminal.page(shows(site.address[winner, 4]))
    assert any("203.0.113.10:80" in line for line in bare(page))
    terminal.resize(40, 9)
    lines = bare(terminal.page(lambda page: len(bare(page)) <= 9))
    assert all(len(line) <= 40 for line in lines)
    terminal.resize(100, 30)
    terminal.page(lambda page: len(bare(page)) > 9)
    terminal.type("xq")
    assert terminal.ended() == (0, True)


@pytest.mark.parametrize("end", ["\x03", signal.SIGTERM, signal.SIGHUP, "\x1c"])
def test_leaves(top, end):
    """The terminal is as it was, whatever ends it."""
    terminal = top("--interval", "1h")
    terminal.page()
    assert not termios.tcgetattr(terminal.slave)[3] & (termios.ICANON | termios.ECHO)
    if isinstance(end, str):
        terminal.type(end)
    else:
        terminal.child.send_signal(end)
    assert terminal.ended() == (0, True)


def test_suspended(top):
    """^Z gives the terminal back, and it goes on behind `fg`."""
    def state():
        with open(f"/proc/{terminal.child.pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0]
    terminal = top("--interval", "1h")
    terminal.page()
    terminal.type("\x1a")
    wait_until("it stops", lambda: state() == "T")
    terminal.read(1)
    assert terminal.is_left()
    os.kill(terminal.child.pid, signal.SIGCONT)
    terminal.page()
    assert not terminal.is_left()
    terminal.type("q")
    assert terminal.ended() == (0, True)


def test_many(site, top):
    """A while of everything, of which a page is kept for tests/page, who make a picture of it."""
    site.configure(race="equal", service={"race": "direct"})
    site.netem("core", "r1", "delay 5ms loss 35%")
    stop = threading.Event()

    def pages(server):
        while not stop.is_set():
            with contextlib.suppress(OSError):
                web.connect(site["c1"], server)

    def download():
        """Not as fast as it can: the machine has others to serve."""
        with contextlib.suppress(OSError), site["c2"].connect("203.0.113.11", 80) as sock:
            sock.sendall(b"GET /10M HTTP/1.0\r\n\r\n")
            while not stop.is_set() and sock.recv(1 << 14):
                time.sleep(0.1)

    def questions():
        for start in range(20000, 60000, 9):
            if stop.is_set():
                return
            site.datagrams(range(start, start + 9))
            site.datagrams([start], to="203.0.113.99")
            time.sleep(0.05)

    terminal = top("--interval", "2s", columns=84, rows=30)
    threads = [threading.Thread(target=t, args=args) for t, *args in (
        (pages, "203.0.113.10"), (pages, "203.0.113.10"), (pages, "203.0.113.11"), (questions,),
        (download,))]
    for thread in threads:
        thread.start()
    try:
        # Two who win of each server, and all three get clones.
        page = terminal.page(lambda page: all(page.count(site.address[r, 4]) >= n for r, n in (
            ("r1", 4), ("r2", 4), ("r3", 2))) and "redirect_denied" in page, 120)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        site.netem("core", "r1", "delay 5ms")
    assert len(bare(page)) <= 30 and all(address in page for address in CACHES.values())
    where = OUT / "top"
    where.mkdir(parents=True, exist_ok=True)
    (where / "page.ansi").write_text(page, encoding="utf-8", newline="")
    terminal.type("q")
    assert terminal.ended() == (0, True)


def test_reloaded(site, top):
    """The module goes, and another one comes: it is said, and nothing is compared."""
    terminal = top("--interval", "500ms")
    terminal.page(lambda page: "SYNs raced -/s" not in "".join(bare(page)))
    site.unconfigure()
    kernel.unload()
    terminal.page(lambda page: "module is not loaded" in page)
    kernel.load()
    terminal.page(lambda page: "SYNs raced -/s" in "".join(bare(page)))
    terminal.page(lambda page: "SYNs raced 0.0/s" in "".join(bare(page)))
    terminal.type("q")
    assert terminal.ended() == (0, True)
    kernel.unload()
    done = site["cg"].run(WLBCTL, "top", "--count", 1, check=False)
    assert done.returncode == 1 and "module is not loaded" in done.stderr
    kernel.load()
