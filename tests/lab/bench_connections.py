# SPDX-License-Identifier: GPL-2.0-only
"""Connections per second, end to end, and what is left of them in a flood of SYNs, with us and
without: scripts/bench-connections.sh runs this. docs/benchmarks.md says what the figures mean.

Topology T0 without delays, all of it on one processor: client, gateways, server and replicas.
ab opens connections as fast as they are served, a small page and no keep-alive each. In each
round every way is measured after plain forwarding, the module not loaded, and compared with
that."""

import contextlib
import json
import multiprocessing
import os
import pathlib
import random
import re
import statistics
import sys
import time
import types

from wlblab import kernel
from wlblab.clones import Wire
from wlblab.flood import Flood
from wlblab.host import in_lab
from wlblab.t0 import T0
from wlblab.wlb import RACE_ENDS

OUT = pathlib.Path(os.environ.get("WLB_OUT", "/run/wlb/out"))
PARALLEL = 32
# A clock that skips idle time skips this: what TIME_WAIT and half-open sockets live.
SETTLE = 130
# c1 stands for many clients.
GATEWAY = {"client-quota": 1 << 20}
SMALL = 2048
BURST = 0.005       # s between bursts of the flood
LONGEST = 5         # s of a run in a flood
PLAIN = "plain forwarding"

# What is configured; whose answers win.
WAYS = {
    "role on, no service of that port": ({"ports": (8080,)}, None),
    "service, the server wins": ({"only": "cg"}, "server"),
    "3 replicas, nat": ({}, "replica"),
    "3 replicas, spoof": ({"served": {"return_": "spoof"}}, "replica"),
    "3 replicas, tunnel": ({"served": {"return_": "tunnel"}}, "replica"),
}
FLOODED = {
    "3 replicas, nat": {},
    f"3 replicas, nat, max-flows {SMALL}": {"client_gateway": {"max-flows": SMALL, **GATEWAY}},
    "3 replicas, nat, 100 clones a second": {"origin": {"clones-per-second": 100}},
}


class Bench:
    def __init__(self, net, count):
        self.net, self.count = net, count
        self.url = f"http://{net.address['s', 4]}/"
        self.cg = net.wlb("cg")
        self.wrong = []

    def configure(self, only=None, **kwargs):
        kernel.load()
        kwargs.setdefault("client_gateway", GATEWAY)
        for host, text in self.net.config(families=(4,), **kwargs).items():
            if only in (None, host):
                self.net.wlb(host).apply(text)

    def unconfigure(self):
        if kernel.loaded():
            self.net.unconfigure()
            kernel.unload()

    def ab(self, *limits):
        """What ab says of its connections."""
        text = self.net["c1"].out("ab", "-q", "-l", "-r", "-s", 30, "-c", PARALLEL, *limits,
                                  self.url, timeout=100000)

        def number(words):
            return float(re.search(rf"^{words}:? +([\d.]+)", text, re.M).group(1))
        connect = re.search(r"^Connect: +(.*)", text, re.M)
        return {"per_second": number("Requests per second"), "complete": number(
                    "Complete requests"), "failed": number("Failed requests"),
                "connect_ms": dict(zip(("min", "mean", "sd", "p50", "max"), map(
                    float, connect.group(1).split()))) if connect else None}

    def measure(self, *limits):
        """ab's figures, and of ours by whom the races of these connections were won."""
        before = self.cg.counters() if kernel.loaded() else {}
        got = self.ab(*limits)
        if before:
            grown = {k: v - before[k] for k, v in self.cg.counters().items() if v != before[k]}
            got["syn_tagged"] = grown.get("syn_tagged", 0)
            got["races"] = {k: grown[k] for k in RACE_ENDS if k in grown}
            got["counters"] = grown
        return got

    def run(self, way):
        configuration, winner = WAYS.get(way, (None, None))
        if configuration is not None:
            self.configure(**configuration)
        self.ab("-n", 2 * PARALLEL)                              # neighbours, routes, caches
        got = self.measure("-n", self.count)
        if got["failed"] or got["complete"] != self.count:
            self.wrong.append(f"{way}: {got['complete']:.0f} complete, {got['failed']:.0f} failed")
        won = got.get("races", {}).get(f"race_won_{winner}", 0)
        if winner and won < 0.99 * self.count:
            self.wrong.append(f"{way}: {won} of {self.count} races were won by the {winner}: "
                              f"{got['races']}")
        if configuration is not None and not winner and got["syn_tagged"]:
            self.wrong.append(f"{way}: {got['syn_tagged']} SYNs were tagged")
        self.unconfigure()
        time.sleep(SETTLE)
        return got

    # The flood.

    @contextlib.contextmanager
    def flood(self, rate, got):
        """SYNs of strangers to the server, so many a second; begins with what fills the small
        table."""
        if not rate:
            yield
            return
        with Wire(self.net, "c1", "cg") as wire:
            deaf = types.SimpleNamespace(frame=lambda raw: raw, send_frame=wire.send)
            flood = Flood(types.SimpleNamespace(lan=deaf, server=self.net.address["s", 4]))
            near, far = multiprocessing.Pipe()
            child = multiprocessing.Process(target=self._flood, args=(flood, rate, far))
            child.start()
        time.sleep(1.5 * SMALL / rate)
        try:
            yield
        finally:
            near.send("enough")
            got["flood_per_second"] = near.recv()
            child.join()

    @staticmethod
    def _flood(flood, rate, pipe):
        dice, sent, began = random.Random(1), 0, time.monotonic()
        while not pipe.poll():
            while sent < rate * (time.monotonic() - began):
                flood.send(dice.randrange(0x300, 0xff00), sent % 50000 + 10000)
                sent += 1
            time.sleep(BURST)
        pipe.send(round(sent / (time.monotonic() - began)))

    def flooded(self, way, rate):
        """Connections that are made meanwhile, and how all hosts defend themselves."""
        if way != PLAIN:
            self.configure(**FLOODED[way])
        self.ab("-n", 2 * PARALLEL)
        before = {h: self.net[h].counters() for h in ("s", *self.net.replicas)}
        got = {}
        with self.flood(rate, got):
            got.update(self.measure("-t", LONGEST, "-n", self.count))
            got["flows"] = self.cg.stats()["flows"] if kernel.loaded() else None
        got["cookies"] = {host: self.net[host].counters()["TcpExtSyncookiesSent"] - then[
            "TcpExtSyncookiesSent"] for host, then in before.items()}
        self.unconfigure()
        time.sleep(SETTLE)
        return got


def spread(values):
    """Median, least and most."""
    return {"p50": statistics.median(values), "min": min(values), "max": max(values)}


def rows(measured):
    """{(what, SYNs a second): figures}: beside what plain forwarding came to in its round."""
    found = {}
    for what, rate in dict.fromkeys((m["way"], m.get("rate", 0)) for m in measured):
        mine = [m for m in measured if (m["way"], m.get("rate", 0)) == (what, rate)]
        row = {"way": what, "rate": rate, "rounds": len(mine),
               "per_second": spread([m["per_second"] for m in mine]),
               "of_plain": spread([m["per_second"] / m["plain"] for m in mine])}
        for key in ("flood_per_second", "flows"):
            values = [m[key] for m in mine if m.get(key) is not None]
            row[key] = statistics.median(values) if values else None if key == "flows" else 0
        if "cookies" in mine[0]:
            row["cookies"] = {host: statistics.median(m["cookies"][host] for m in mine)
                              for host in mine[0]["cookies"]}
        found[what, rate] = row
    return list(found.values())


def table(title, measured):
    print(f"\n| {title} | connections a second, median | least - most | of plain forwarding's | "
          "least - most |\n|---|---:|---:|---:|---:|")
    for row in measured:
        name = row["way"] + (f", {row['rate']} SYNs a second" if row["rate"] else "")
        each, part = row["per_second"], row["of_plain"]
        print(f"| {name} | {each['p50']:.0f} | {each['min']:.0f} - {each['max']:.0f} | "
              f"{100 * part['p50']:.1f} % | {100 * part['min']:.1f} - {100 * part['max']:.1f} |")


def main():
    if not in_lab():
        sys.exit("bench-connections: run scripts/bench-connections.sh; this part runs in its "
                 "machine")
    rounds = int(os.environ.get("ROUNDS") or 5)
    count = int(os.environ.get("CONNECTIONS") or 500)
    rates = [int(r) for r in (os.environ.get("RATES") or "1000 3000").split()]
    began = time.monotonic()
    plain, floods = [], []
    with T0(clients=1, delays=False) as net:
        net.build()
        net.own_origin()
        # Nobody hears of what a stranger is answered.
        net["cg"].run("ip", "route", "add", "blackhole", "10.1.0.0/16")
        bench = Bench(net, count)
        net.warm_up((4,))
        net.keep_neighbours()
        for _ in range(rounds):
            base = None
            for way in (PLAIN, *WAYS):
                got = bench.run(way)
                base = base or got["per_second"]
                plain.append({"way": way, "plain": base, **got})
                print(f"bench-connections: {way}: {got['per_second']:.0f}/s "
                      f"({100 * got['per_second'] / base:.1f} %) {got.get('races', '')}",
                      flush=True)
        for _ in range(rounds):
            base = None
            for rate in (0, *rates):
                for way in (PLAIN, *FLOODED) if rate else (PLAIN,):
                    got = bench.flooded(way, rate)
                    base = base or got["per_second"]
                    floods.append({"way": way, "rate": rate, "plain": base, **got})
                    print(f"bench-connections: {way}, {rate} SYNs/s: {got['per_second']:.0f}/s "
                          f"({100 * got['per_second'] / base:.1f} %) "
                          f"{got.get('flood_per_second', '')} {got.get('flows', '')} "
                          f"{got['cookies']}", flush=True)
    out = {"kernel": os.uname().release, "commit": os.environ.get("WLB_COMMIT", ""),
           "connections": count, "parallel": PARALLEL, "rows": rows(plain),
           "flooded": rows(floods), "measured": plain, "measured_flooded": floods,
           "wrong": bench.wrong, "machine_s": round(time.monotonic() - began)}
    (OUT / "connections.json").write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")
    table("", out["rows"])
    table("in a flood", out["flooded"])
    for text in bench.wrong:
        print(f"bench-connections: {text}")
    return 1 if bench.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
