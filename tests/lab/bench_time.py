# SPDX-License-Identifier: GPL-2.0-only
"""What a packet costs, in ns: the rows of bench.py, by the same injector, in a kernel without
debugging on the processor itself. scripts/bench-time.sh runs this; docs/benchmarks.md says what
the figures mean.

Each configuration has a namespace of its own, and all stand beside each other: in each round each
row has its turn, in short batches, in an order drawn anew, and plain forwarding of the same
packet right before or behind it. What a busy machine takes from one it takes from both."""

import dataclasses
import json
import os
import pathlib
import random
import statistics
import sys
import time

from wlblab import inject, kernel
from wlblab.host import Host, wait_until

import bench

BATCH = 1024        # packets, if a row has no more flows
PIECE = 64          # of a batch, of which the median counts: bursts are shorter
WARM = 200
NEW_IN = 4          # rounds that what has to be made anew has one turn in
TABLE = 262144      # connection tracking's buckets, so that it has more of them than entries


@dataclasses.dataclass
class Unit:
    """Rows of one configuration. New: in a namespace made anew for each turn, as each flow's
    first packet is what they are about."""
    setup: object
    rows: list
    new: bool
    host: Host = None
    context: object = None


def spread(values, form=1):
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"q1": round(low, form), "median": round(middle, form), "q3": round(high, form)}


class Timed(bench.Bench):
    def __init__(self, only, family, seed):
        super().__init__(only=only, family=family)
        self.rng = random.Random(seed)
        self.units = []
        self.plain = Host("plain")
        self.values = {}        # (name, family, flows): [(ns, ns of forwarding), ...]
        self.made = 0

    def group(self, setup, rows):
        """Nothing is measured yet."""
        wanted = [i for i, row in enumerate(rows) if not self.only or self.only in row.name]
        rows = rows[:wanted[-1] + 1] if wanted else []
        for new in (False, True):
            some = [row for row in rows if row.first == new]
            if some:
                self.units.append(Unit(setup, some, new))

    def all(self):
        for family in self.families:
            for rows in (self.forwarding, self.idle, self.carrying, self.races, self.cloning,
                         self.redirecting, self.large, self.contenders):
                rows(family)

    def place(self, host):
        self.host = host
        self.build()
        wait_until("devices are up", lambda: self.sent().keys() >= {"c0", "s0"})

    def begin(self, unit):
        self.made += 1
        unit.host = Host(f"gw{self.made}")
        self.place(unit.host)
        unit.context = unit.setup()
        unit.context.__enter__()
        for row in unit.rows:
            for packet, device in row.before * 3:
                inject.run(self.host, packet, device, row.flows, row.flows)

    def end(self, unit):
        """The namespace's end is the kernel's to work on: not in anybody's time."""
        self.host = unit.host
        unit.context.__exit__(None, None, None)
        self.host = self.plain
        self.run("ip", "netns", "delete", unit.host.name)
        unit.context = None
        time.sleep(0.1)

    def forwarded(self, row):
        self.host = self.plain
        packet, device = row.base or row.packet, row.base_device or row.device
        to = {"c0": "s0", "s0": "c0"}[device]
        inject.run(self.host, packet, device, WARM)
        return self.once(packet, device, BATCH, 1, {to: 1}, piece=PIECE)

    def timed(self, row, host, number):
        """Of so many flows that their entries are in no cache the next ones, as they are."""
        self.host = host
        count, start = max(BATCH, min(row.flows, bench.MANY)), 0
        if row.first:
            count = row.flows
        elif row.flows > bench.MANY:
            start = number * count % row.flows
        else:
            inject.run(self.host, row.packet, row.device, max(WARM, row.flows), row.flows)
        return self.once(row.packet, row.device, count, row.flows, row.sent, row.name,
                         start=start, piece=PIECE)

    def round(self, number):
        for unit in self.rng.sample(self.units, len(self.units)):
            if unit.new:
                if number % NEW_IN:
                    continue
                self.begin(unit)
            for row in unit.rows:
                key = row.name, row.packet.family, row.flows
                if self.rng.random() < 0.5:
                    base, value = self.forwarded(row), self.timed(row, unit.host, number)
                else:
                    value, base = self.timed(row, unit.host, number), self.forwarded(row)
                self.values.setdefault(key, []).append((value, base))
            if unit.new:
                self.end(unit)

    def rounds(self, number):
        began = time.monotonic()
        for unit in self.units:
            if not unit.new:
                self.begin(unit)
        print(f"bench-time: {len(self.units)} configurations, made in "
              f"{time.monotonic() - began:.0f} s", flush=True)
        for i in range(number):
            began = time.monotonic()
            self.round(i)
            if not i % 10:
                print(f"bench-time: round {i + 1} of {number}, "
                      f"{time.monotonic() - began:.1f} s", flush=True)

    def measured(self):
        for unit in self.units:
            for row in unit.rows:
                pairs = self.values[row.name, row.packet.family, row.flows]
                yield {"name": row.name, "family": row.packet.family, "flows": row.flows,
                       "turns": len(pairs),
                       "ns": spread(v for v, _ in pairs), "forward": spread(b for _, b in pairs),
                       "added": spread(v - b for v, b in pairs),
                       "ratio": spread((v / b for v, b in pairs), 3)}


def main():
    """usage: bench_time.py; the environment: ROWS, words in rows' names; FAMILY, 4 or 6;
    ROUNDS; SEED of the order."""
    began = time.monotonic()
    rounds, seed = int(os.environ.get("ROUNDS") or 40), int(os.environ.get("SEED") or 1)
    if rounds <= NEW_IN:
        sys.exit(f"bench-time: ROUNDS must be more than {NEW_IN}, for a median of two at least")
    pathlib.Path("/sys/module/nf_conntrack/parameters/hashsize").write_text(f"{TABLE}\n",
                                                                            encoding="ascii")
    inject.load()
    kernel.load()
    timed = Timed(os.environ.get("ROWS"), int(os.environ.get("FAMILY") or 0), seed)
    timed.all()
    if not timed.units:
        sys.exit("bench-time: no such row")
    try:
        timed.place(timed.plain)
        timed.rounds(rounds)
    finally:
        for unit in timed.units:
            if unit.context:
                timed.end(unit)
    rows = list(timed.measured())
    for row in rows:
        ns, ratio = row["ns"], row["ratio"]
        print(f"{row['name']:44} IPv{row['family']} {row['flows']:8} flows {ns['median']:8.0f} ns "
              f"({ns['q1']:.0f} to {ns['q3']:.0f}), {ratio['median']:.2f} of forwarding "
              f"({ratio['q1']:.2f} to {ratio['q3']:.2f})")
    with open(f"{bench.OUT}/time.json", "w", encoding="utf-8") as file:
        json.dump({"kernel": os.uname().release, "commit": os.environ.get("WLB_COMMIT"),
                   "rounds": rounds, "seed": seed, "seconds": round(time.monotonic() - began),
                   "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
