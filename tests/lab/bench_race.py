# SPDX-License-Identifier: GPL-2.0-only
"""How often the nearest replica wins, and how soon the client is connected, beside what can be
had at best: scripts/bench-race.sh runs this. docs/race-figures.md says what the figures mean."""

import collections
import json
import math
import os
import random
import statistics
import sys
import time

from wlblab import clones, host, kernel
from wlblab.callers import Callers, Ears
from wlblab.race_model import (CLIENT, GOALS, GRID, NEAREST, ORIGIN, QUIET, RACES, RTT,
                               SIGMAS, Cell, limit, model, name, off, regret, wilson)
from wlblab.t0 import DELAYS, T0

# s between connections, mean of an exponential distribution
GAP = 0.005


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered), math.ceil(share * len(ordered))) - 1]


def summary(values, form=3):
    values = list(values)
    return {"p50": round(statistics.median(values), form), "p99": round(
        percentile(values, 0.99), form), "max": round(max(values), form)} if values else None


class Bench:
    """One topology, its client and the ears of those who answer."""

    def __init__(self, net, seed):
        self.net, self.seed = net, seed
        self.rng = random.Random(seed)
        self.hosts = ["s", *net.replicas]
        self.names = {net.address[h, 4]: h for h in self.hosts}
        self.address = {h: net.address[h, 4] for h in self.hosts}
        self.ears = Ears([net[h] for h in self.hosts])
        self.callers = Callers(net["c1"])

    def calls(self, count, to=("s",), gap=GAP):
        """Connections, and {port: winner} of those that were raced."""
        targets = [self.address[self.rng.choice(to)] for _ in range(count)]
        calls = self.callers.run(targets, [self.rng.expovariate(1 / gap) for _ in targets])
        return calls, self.winners()

    def winners(self):
        if not kernel.loaded():
            return {}
        return {f["client_port"]: self.names.get(f["winner"])
                for f in self.net.wlb("cg").flows()}

    def done(self, settle=2.5):
        """What is repeated is repeated, then all is forgotten."""
        time.sleep(settle)
        self.callers.hang_up()
        time.sleep(0.5)
        self.ears.hang_up()
        if kernel.loaded():
            self.net.wlb("cg").run("flow", "flush")

    def once(self):
        """(winner, ms) of one connection, which was connected at self.at."""
        (call,), winners = self.calls(1)
        self.done(settle=0)
        self.at = call.ended / 1e9
        return winners.get(call.port), call.ms

    def configure(self, mode):
        service = {"race": "direct"} if mode == "direct" else {}
        self.net.configure(race="equal" if mode == "equal" else "raw", families=(4,),
                           service=service, client_gateway={"client-quota": 1 << 20})

    def learn(self, *who):
        """direct: until these are known, and how far they are."""
        def known():
            self.once()
            time.sleep(0.2)
            return {self.names[a["address"]] for origin in self.net.wlb("cg").json(
                "race", "learned") for a in origin["answerers"] if not a["raced"]} >= set(who)
        host.wait_until(f"{who} are learned", known, timeout=120)

    def distance(self, replica, ms, more=""):
        self.net.delays[replica] = ms
        for ends in (("core", replica), (replica, "core")):
            self.net.netem(*ends, f"delay {ms}ms {more}")

    def lay(self, cell):
        for i, replica in enumerate(self.net.replicas):
            self.distance(replica, NEAREST + i * cell.delta, (
                f"{cell.sigma}ms distribution normal " if cell.sigma else "") + (
                f"loss {cell.loss}%" if cell.loss else ""))


def measure(bench, cell, mode, count):
    """One cell by raw, equal, direct; or dns: a random replica's own address, no wlb."""
    began = time.monotonic()
    cg = bench.net.wlb("cg") if mode in RACES else None
    if mode == "direct":
        bench.calls(50, gap=0.1)                    # warm up: distances are learned anew
        bench.done()
    before = cg.counters() if cg else {}
    calls, winners = bench.calls(count, ("r1", "r2") if mode == "dns" else ("s",))
    good = [c for c in calls if c.ms is not None]
    who = [winners.get(c.port) if cg else bench.names[c.to] for c in good]
    result = {**cell._asdict(), "mode": mode, "connections": count,
              "failed": count - len(good) + who.count(None),
              "winners": dict(collections.Counter(who)),
              "connect_ms": summary(c.ms for c in good)}
    regrets = [regret(cell, w) for w in who if w]
    result["regret_ms"] = {"mean": round(statistics.fmean(regrets), 4),
                           "p99": percentile(regrets, 0.99)}
    if cg:
        won = who.count("r1")
        result.update(share=won / count, ci95=[round(v, 5) for v in wilson(won, count)],
                      limit=round(limit(mode, cell), 5),
                      model={k: round(v, 4) for k, v in model(mode, cell, bench.seed).items()})
        after = cg.counters()
        result["syns"] = {k: after[k] - before[k] for k in (
            "syn_tagged", "syn_direct", "direct_explored", "direct_unknown", "direct_fallback",
            "direct_repeated", "answer_lost") if after[k] != before[k]}
    bench.done()
    result["machine_s"] = round(time.monotonic() - began, 1)
    return result


def faults(result, seed):
    """What misses its goal in a cell, one sentence each."""
    cell, mode = Cell(*(result[k] for k in Cell._fields)), result["mode"]
    what = f"{mode}: {name(cell)}"
    if mode in GOALS and off(mode, cell, seed):
        yield f"{what}: the model is {off(mode, cell, seed):+.4f} off the formula"
    if result["failed"]:
        yield f"{what}: {result['failed']} connections failed"
    if mode in GOALS and result["ci95"][1] < result["limit"] - 0.01:
        yield (f"{what}: the nearest won {100 * result['share']:.1f} %, {100 * result['limit']:.1f}"
               " % are the limit")
    if mode == "direct":
        # what chance does to the median of so many: 2.5 of its standard errors
        chance = 2.5 * 1.2533 * math.sqrt(2 / result["connections"]) * result["sigma"]
        least = max(RTT, result["model"]["connect_ms"])
        if result["connect_ms"]["p50"] > least + 0.2 + chance:
            yield f"{what}: median connect time {result['connect_ms']['p50']} ms, not {least:.1f}"


def grid(cells, count, seed):
    """Yields each cell's figures by each mode. The way to the origin has neither jitter nor
    loss, so plain TCP to it is measured once."""
    with T0(clients=1, replicas=2) as net:
        net.build(serve=False)
        bench = Bench(net, seed)
        net.warm_up((4,))
        net.keep_neighbours()
        net.no_netem()
        yield {"mode": "zero-delay", "connect_ms": summary(c.ms for c in bench.calls(500)[0])}
        bench.done()
        for ends in (("cg", "core"), ("core", "cg")):
            net.netem(*ends, f"delay {CLIENT}ms")
        for ends in (("sg", "core"), ("core", "sg")):
            net.netem(*ends, f"delay {ORIGIN}ms")
        net.delays.update(cg=CLIENT, s=ORIGIN)
        yield {"mode": "plain", "connect_ms": summary(c.ms for c in bench.calls(count)[0])}
        bench.done()
        for cell in cells:
            bench.lay(cell)
            yield measure(bench, cell, "dns", count)
        kernel.load()
        for mode in RACES:
            for cell in cells:
                bench.lay(cell)
                if mode != "direct" or cell == cells[0]:
                    bench.configure(mode)
                    if mode == "direct":
                        bench.learn("r1", "r2")
                yield measure(bench, cell, mode, count)
        net.unconfigure()
        kernel.unload()
        bench.ears.close()


# What happens once: replicas come, go, and lose.

def comes(bench, mode, trials):
    """r3 comes up, the nearest of all: s until it wins, with two connections a second."""
    took = []
    for _ in range(trials):
        bench.net.wlb("r3").run("replica", "busy", "on")
        if mode == "direct":
            bench.net.wlb("cg").run("race", "forget")
            bench.learn("r1", "r2")
        time.sleep(bench.rng.uniform(0, 10))
        bench.net.wlb("r3").run("replica", "busy", "off")
        took.append(until_wins(bench, "r3"))
    return took


def until_wins(bench, who, patience=120):
    began = time.monotonic()
    while bench.once()[0] != who:
        if time.monotonic() - began > patience:
            break
    return bench.at - began


def approaches(bench, trials):
    """r3 is known and the farthest; its path becomes the shortest."""
    took = []
    for _ in range(trials):
        bench.distance("r3", DELAYS["r3"])
        bench.net.wlb("cg").run("race", "forget")
        bench.learn("r1", "r2", "r3")
        bench.distance("r3", 1)
        took.append(until_wins(bench, "r3"))
    return took


def dies(bench, trials):
    """(winner, ms) of the first connection that begins after r1 has fallen silent."""
    got = []
    for _ in range(trials):
        host.wait_until("r1 wins", lambda: bench.once()[0] == "r1", timeout=60)
        time.sleep(bench.rng.uniform(0, 2))
        bench.distance("r1", DELAYS["r1"], "loss 100%")
        got.append(bench.once())
        bench.distance("r1", DELAYS["r1"])
    return got


def loses(bench, loss, count=300):
    """From the win, and from the SYN's arrival, to the RST at each loser, ms."""
    net = bench.net
    for replica in net.replicas:
        bench.distance(replica, DELAYS[replica], f"loss {loss}%" if loss else "")
    before = {h: net[h].counters()["TcpExtEmbryonicRsts"] for h in bench.hosts}
    taps = {h: clones.Tap(net[h], "lan0" if h == "s" else "wan0") for h in bench.hosts}
    calls, winners = bench.calls(count)
    time.sleep(70)
    left = sum(net[h].half_open() for h in bench.hosts)
    clock = time.time_ns() - time.monotonic_ns()
    ends = {c.port: c.ended + clock for c in calls}
    after_win, half_open, late = [], [], []
    for who, tap in taps.items():
        begun, reset = {}, {}
        for p in tap.seen(lambda p: not p.out):
            inner = p.inner or p
            if inner.is_tcp and inner.flags in (clones.SYN, clones.RST):
                seen = begun if inner.flags == clones.SYN else reset
                seen.setdefault(inner.sport, p.time)
        tap.close()
        lost = [port for port in begun.keys() & reset.keys() if winners[port] != who]
        after_win += [(reset[port] - ends[port]) / 1e6 for port in lost]
        lives = [(reset[port] - begun[port]) / 1e6 for port in lost]
        half_open += lives
        late += [ms - 2 * (DELAYS["cg"] + DELAYS[who]) for ms in lives]
    bench.done()
    return {"loss": loss, "connections": count, "losers": len(half_open),
            "embryonic_resets": sum(net[h].counters()["TcpExtEmbryonicRsts"] - before[h]
                                    for h in bench.hosts),
            "left_half_open": left, "win_to_reset_ms": summary(after_win),
            "half_open_ms": summary(half_open),
            "over_round_trip_ms": summary(late)}


def events(seed, wrong):
    """{mode: figures}, on T0 as it is."""
    found = {}
    with T0(clients=1) as net:
        net.build(serve=False)
        bench = Bench(net, seed)
        net.warm_up((4,))
        net.keep_neighbours()
        kernel.load()
        for mode in RACES:
            bench.configure(mode)
            if mode == "direct":
                bench.learn(*net.replicas)
            found[mode] = {"losers": [loses(bench, loss) for loss in (0, 1)]}
            for lost in found[mode]["losers"]:
                if lost["left_half_open"]:
                    wrong.append(f"{mode}: {lost['left_half_open']} sockets stay half-open")
                if not lost["loss"] and lost["over_round_trip_ms"]["max"] > 0.2:
                    wrong.append(f"{mode}: losers' sockets live longer than a round trip: {lost}")
            for replica in net.replicas:
                bench.distance(replica, DELAYS[replica])
            if mode in GOALS:
                found[mode].update(changes(bench, mode, wrong))
        net.unconfigure()
        bench.ears.close()
    kernel.unload()
    return found


def changes(bench, mode, wrong, trials=10):
    got = dies(bench, trials)
    should = bench.net.connect_ms("r2", mode)
    if any(who != "r2" or ms > should + 1 for who, ms in got):
        wrong.append(f"{mode}: when r1 has died the next connection is {got}, not r2 in {should}")
    bench.distance("r3", 1)
    found = {"failover": {"next": collections.Counter(who for who, _ in got),
                          "connect_ms": summary(ms for _, ms in got), "predicted_ms": should},
             "comes_s": summary(comes(bench, mode, trials))}
    if mode == "direct":
        found["approaches_s"] = summary(approaches(bench, trials))
    for key in ("comes_s", "approaches_s"):
        if key in found and found[key]["max"] > 30:
            wrong.append(f"{mode}: {key}: a new nearest replica takes {found[key]['max']:.0f} s")
    print(f"bench-race: {mode}: {json.dumps(found)}", flush=True)
    return found


def print_table(results):
    """docs/race-figures.md has it."""
    by = {(Cell(*(r[k] for k in Cell._fields)), r["mode"]): r for r in results if "delta" in r}
    print("| delta | sigma | loss % | equal: limit | won, 95 % | regret | direct: limit "
          "| won, 95 % | regret | connect: raw | equal | direct | dns |")
    print("|--:" * 13 + "|")
    for cell in dict.fromkeys(cell for cell, _ in by):
        def won(mode):
            r = by[cell, mode]
            low, high = (100 * v for v in r["ci95"])
            mean, p99 = r["regret_ms"]["mean"], r["regret_ms"]["p99"]
            return (f"{100 * r['limit']:.1f} | {100 * r['share']:.1f}, {low:.1f}-{high:.1f} | "
                    f"{mean:.2f}/{p99:g}")
        times = " | ".join("{p50:.1f}/{p99:.0f}".format(**by[cell, mode]["connect_ms"])
                           for mode in (*RACES, "dns"))
        print(f"| {cell.delta} | {cell.sigma:g} | {cell.loss:g} | {won('equal')} | "
              f"{won('direct')} | {times} |")


def main():
    if not host.in_lab():
        sys.exit("bench-race: run scripts/bench-race.sh; this part runs in its machine")
    seed = int(os.environ.get("SEED") or 1)
    count = int(os.environ.get("CONNECTIONS") or 2000)
    cells = [Cell(int(d), float(s), float(p)) for d, s, p in (
        text.split(":") for text in os.environ.get("CELLS", "").split())] or [QUIET, *GRID]
    results, wrong = [], []
    out = {"seed": seed, "netem_seed": "none: netem of this kernel takes none",
           "kernel": os.uname().release, "commit": os.environ.get("WLB_COMMIT", ""),
           "results": results, "wrong": wrong}

    def write():
        (host.OUT / "race.json").write_text(json.dumps(out, indent=1) + "\n")

    for result in grid(cells, count, seed):
        results.append(result)
        print(f"bench-race: {json.dumps(result)}", flush=True)
        if "delta" in result:
            wrong += faults(result, seed)
        elif result["mode"] == "zero-delay":
            own = result["connect_ms"]["p99"]
            if own > min(SIGMAS) / 10:
                wrong.append(f"this machine's own jitter, {own} ms, is too much")
        write()
    out["events"] = events(seed, wrong)
    print_table(results)
    for text in wrong:
        print(f"bench-race: {text}")
    print(f"bench-race: {'FAILED' if wrong else 'as predicted'}", flush=True)
    write()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
