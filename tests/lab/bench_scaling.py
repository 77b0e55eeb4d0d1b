# SPDX-License-Identifier: GPL-2.0-only
"""What a second processor adds: plain forwarding and the return mode nat by both paths, with one
injector on each processor, beside one alone. scripts/bench-scaling.sh runs this;
docs/benchmarks.md says what the figures mean.

Each processor has flows of its own, all of one service, one replica and one pair of devices."""

import contextlib
import dataclasses
import json
import multiprocessing
import os
import pathlib
import random
import socket
import statistics
import struct
import sys
import time

from wlblab import inject, kernel
from wlblab.host import Host, wait_until
from wlblab.inject import Packet
from wlblab.packets import fold

import bench

CPUS = (0, 1)
FLOWS = 64          # each processor's
PIECE = 64          # packets
WINDOW = 40000000   # ns that a batch takes
MANY = 1 << 24      # packets, more than that is time for
WATCHED = 1024      # of each in a batch that is watched access by access
SOON = 3000000      # ns until all begin
OVERLAP = 0.8       # of the time that any of them ran all did, at least
OUT = pathlib.Path(bench.OUT)


@dataclasses.dataclass
class Row:
    name: str
    packet: object
    device: str
    sent: dict
    host: Host
    base: object = None     # the Row of plain forwarding
    control: bool = False   # whether what all processors write is seen at all


def shifted(packet, cpu):
    """The same of flows that are this processor's alone."""
    raw = bytearray(packet.raw)
    at = packet.port_at
    struct.pack_into("!H", raw, at, struct.unpack_from("!H", raw, at)[0] + cpu * FLOWS)
    return dataclasses.replace(packet, raw=bytes(raw))


class Injector:
    """One on a processor of its own: a child that waits for what it is told."""

    def __init__(self, cpu):
        self.cpu = cpu
        self.pipe, far = multiprocessing.Pipe()
        self.child = multiprocessing.get_context("fork").Process(
            target=self.work, args=(far,), daemon=True)
        self.child.start()

    def work(self, pipe):
        os.sched_setaffinity(0, {self.cpu})
        while True:
            row, watched = pipe.recv()
            packet = shifted(row.packet, self.cpu)
            with row.host.entered(), inject.opened() as fd:
                inject.write(fd, packet.request(row.device, 2 * FLOWS, FLOWS))
                pipe.send(None)
                start = pipe.recv()
                request = packet.request(
                    row.device, WATCHED if watched else MANY, FLOWS, profile=watched, piece=PIECE,
                    until=0 if watched else start + WINDOW)
                while time.monotonic_ns() < start:
                    pass
                began = time.monotonic_ns()
                _, packets, median = inject.write(fd, request)
                pipe.send((packets, PIECE / median * 1e9, began, time.monotonic_ns()))


def together(injectors, row, watched=False):
    """Packets of all together, how many of them a second, by the median piece of each, and of
    the time that any of them ran the part in which all did."""
    for injector in injectors:
        injector.pipe.send((row, watched))
    for injector in injectors:
        injector.pipe.recv()
    start = time.monotonic_ns() + SOON
    for injector in injectors:
        injector.pipe.send(start)
    packets, rates, began, ended = zip(*(injector.pipe.recv() for injector in injectors))
    return (sum(packets), sum(rates),
            (min(ended) - max(began)) / (max(ended) - min(began)))


def spread(values, form):
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"q1": round(low, form), "median": round(middle, form), "q3": round(high, form)}


class Scaling(bench.Bench):
    def __init__(self, families, seed):
        super().__init__()
        self.families = families
        self.rng = random.Random(seed)
        self.rows, self.open = [], contextlib.ExitStack()
        self.values = {}

    def place(self, name):
        self.host = Host(name)
        self.build()
        wait_until("devices are up", lambda: self.sent().keys() >= {"c0", "s0"})

    def prepare(self):
        for family in self.families:
            out, server = bench.outwards(family), bench.inwards(family, bench.SERVER[family])
            own = bench.inwards(family, bench.replica(family))
            self.place(f"plain{family}")
            plain = [Row("forward, client -> server", out, "c0", {"s0": 1}, self.host),
                     Row("forward, server -> client", server, "s0", {"c0": 1}, self.host)]
            self.rows += plain
            for path, label in (("off", ""), ("auto", ", fast path")):
                self.place(f"nat{family}{path}")
                self.open.enter_context(
                    self.carried(family, FLOWS * len(CPUS), 0, fastpath=path))
                self.rows += [
                    Row(f"nat, client -> replica{label}", out, "c0", {"s0": 1}, self.host,
                        plain[0]),
                    Row(f"nat, replica -> client{label}", own, "s0", {"c0": 1}, self.host,
                        plain[1])]

    def controls(self):
        """What is known to write what all processors use. Plain forwarding by way of a rule that
        counts in one place; the ordinary path to a replica that a path MTU was learned of, to
        which the kernel has one route for all processors, with a counter of references."""
        family = self.families[0]
        self.place("control")
        self.open.enter_context(self.rules("""table inet control {
            chain f { type filter hook forward priority 0; quota over 1000000 mbytes drop; }
        }"""))
        self.rows.append(Row("forward, a rule with a quota", bench.outwards(family), "c0",
                             {"s0": 1}, self.host, control=True))
        if family == 4:
            self.place("learned")
            self.open.enter_context(self.carried(4, FLOWS * len(CPUS), 0))
            self.learn()
            self.rows.append(Row("nat, client -> replica, path MTU learned", bench.outwards(4),
                                 "c0", {"s0": 1}, self.host, self.rows[0], control=True))

    def learn(self):
        """As by a router on the way to the replica, who tells a socket of the gateway's."""
        near, far = bench.GATEWAY[4], bench.replica(4)
        with self.host.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((near, 0))
            sock.connect((far, 9))
            said = bench.ip(near, far, struct.pack("!HHHH", sock.getsockname()[1], 9, 8, 0),
                            proto=socket.IPPROTO_UDP)
            icmp = bytearray(struct.pack("!BBHHH", 3, 4, 0, 0, 1400) + said)
            struct.pack_into("!H", icmp, 2, fold(bytes(icmp)) ^ 0xffff)
            error = Packet(bench.ip(far, near, bytes(icmp), proto=socket.IPPROTO_ICMP))
            inject.run(self.host, error, "s0", 1)
        assert "mtu 1400" in self.host.out("ip", "route", "get", far), "no path MTU was learned"

    def batch(self, injectors, row, watched=False):
        """All must have left by the device that they should, those that warm up too."""
        self.host = row.host
        before = self.sent()
        packets, rate, overlap = together(injectors, row, watched)
        after = self.sent()
        packets += 2 * FLOWS * len(injectors)
        grown = {d: (after[d] - before[d]) / packets for d in ("c0", "s0")}
        if any(grown[d] != row.sent.get(d, 0) for d in grown):
            raise AssertionError(f"packets sent per packet: {grown}, should be {row.sent}")
        return rate, overlap

    def fast(self, row):
        self.host = row.host
        return self.ctl().counters()["fast"]

    def round(self, injectors, number):
        """{name, family: (one's rate, both's, overlap)}"""
        done = {}
        for row in self.rng.sample(self.rows, len(self.rows)):
            alone = [injectors[number % 2]]
            turns = [alone, injectors]
            self.rng.shuffle(turns)
            rates = {len(some): self.batch(some, row) for some in turns}
            done[row.name, row.packet.family] = rates[1][0], *rates[2]
        for key, value in done.items():
            self.values.setdefault(key, []).append(value)

    def measured(self):
        """A round in which one ran alone for a while is left out, and counted."""
        for row in self.rows:
            family = row.packet.family
            every = self.values[row.name, family]
            bases = self.values[row.base.name, family] if row.base else every
            good = [(value, base) for value, base in zip(every, bases)
                    if min(value[2], base[2]) >= OVERLAP]
            if len(good) < len(every) / 2:
                sys.exit(f"bench-scaling: {row.name}: in {len(every) - len(good)} rounds of "
                         f"{len(every)} the processors did not run at the same time")
            figures = {"name": row.name, "family": family, "left_out": len(every) - len(good),
                       "one": spread((v[0] for v, _ in good), 0),
                       "two": spread((v[1] for v, _ in good), 0),
                       "ratio": spread((v[1] / v[0] for v, _ in good), 3)}
            if row.base:
                figures["to_forward"] = spread(
                    (v[1] / v[0] / (b[1] / b[0]) for v, b in good), 3)
            yield figures

    def watch(self, injectors):
        """Once each, for tests/bench/shared.c. Whether both run at the same time is all the same:
        it looks at what they use."""
        for row in self.rows:
            self.batch(injectors, row, True)
        runs = [{"name": row.name, "family": row.packet.family, "count": WATCHED,
                 "control": row.control, "base": row.base and row.base.name}
                for row in self.rows]
        (OUT / "runs.json").write_text(json.dumps(runs), encoding="utf-8")
        pathlib.Path("/proc/sys/kernel/kptr_restrict").write_text("0", encoding="ascii")
        symbols = pathlib.Path("/proc/kallsyms").read_text(encoding="ascii")
        (OUT / "kallsyms").write_text(symbols, encoding="ascii")


def main():
    """usage: bench_scaling.py rate|watch; the environment: FAMILY, 4 or 6; ROUNDS; SEED."""
    began = time.monotonic()
    rounds, seed = int(os.environ.get("ROUNDS") or 100), int(os.environ.get("SEED") or 1)
    family = int(os.environ.get("FAMILY") or 0)
    inject.load()
    kernel.load()
    scaling = Scaling((family,) if family else (4, 6), seed)
    scaling.prepare()
    if sys.argv[1] == "watch":
        scaling.controls()
    injectors = [Injector(cpu) for cpu in CPUS]
    if sys.argv[1] == "watch":
        scaling.watch(injectors)
        return
    counted = {row.host.name: scaling.fast(row) for row in scaling.rows if row.base}
    for number in range(rounds):
        began_round = time.monotonic()
        scaling.round(injectors, number)
        if not number % 10:
            print(f"bench-scaling: round {number + 1} of {rounds}, "
                  f"{time.monotonic() - began_round:.1f} s", flush=True)
    for row in scaling.rows:
        if row.base:
            gone = scaling.fast(row) - counted[row.host.name]
            assert (gone > 0) == ("fast path" in row.name), f"{row.name}: {gone} went fast"
    figures = list(scaling.measured())
    for row in figures:
        ratio, beside = row["ratio"], row.get("to_forward")
        print(f"{row['name']:36} IPv{row['family']} {row['one']['median']:8.0f} packets/s, "
              f"two {ratio['median']:.2f} times ({ratio['q1']:.2f} to {ratio['q3']:.2f})" +
              (f", {beside['median']:.2f} of forwarding's ({beside['q1']:.2f} to "
               f"{beside['q3']:.2f})" if beside else "") + f", {row['left_out']} left out")
    (OUT / "scaling.json").write_text(json.dumps({
        "kernel": os.uname().release, "commit": os.environ.get("WLB_COMMIT"), "rounds": rounds,
        "seed": seed, "seconds": round(time.monotonic() - began), "rows": figures}, indent=1),
        encoding="utf-8")


if __name__ == "__main__":
    main()
