# SPDX-License-Identifier: GPL-2.0-only
"""Who serves a page, and how soon, on topology T0: scripts/demo.sh runs this."""

import json
import math
import os
import statistics
import sys
import time

from wlblab import host, kernel, web
from wlblab.t0 import T0

PAGES = 100
# Pages at a time: more of them only wait for the emulated processors.
PARALLEL = 4
SLACK_MS = 3
# case: (race mode, who must win, at least so many of 100 pages)
CASES = {
    "off": (None, "s", 100),
    "raw": ("raw", "s", 100),
    "equal": ("equal", "r1", 99),
    "direct": ("direct", "r1", 99),
    "equal-busy": ("equal", "r2", 99),
    "equal-dead": ("equal", "r2", 99),
}
# What is measured, in this order: (case, return mode).
RUNS = [("off", "nat"), ("raw", "nat"), ("equal", "nat"), ("equal", "spoof"), ("equal", "tunnel"),
        ("direct", "nat"), ("equal-busy", "nat"), ("equal-dead", "nat")]
WHY_RAW = """\
raw picks the origin: a replica hears of a client only by way of the server gateway, so
its answer travels client -> gateway -> replica -> client, and where the shortest way is
also the fastest that is never shorter than client -> gateway -> origin and back. equal
holds every copy until all have arrived at the same time: the nearest to the client wins.
direct asks those who have answered such a race (one page before the first that is counted)
without any detour: the nearest wins in its own round trip."""


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered), math.ceil(share * len(ordered))) - 1]


def summary(values):
    if not values:
        return None
    return {"p50": round(statistics.median(values), 2), "p99": round(percentile(values, 0.99), 2)}


def measure(net, case, mode, family):
    began = time.monotonic()
    net.warm_up((family,))
    pages = web.pages(net["c1"], net.address["s", family], PAGES, PARALLEL)
    time.sleep(1)
    good = [p for p in pages if p.ok]
    hosts = [*net.servers, *net.replicas]
    share = {h: sum(p.who == h for p in good) / PAGES for h in hosts}
    result = {
        "case": case, "mode": mode, "family": family, "pages": PAGES,
        "failed": PAGES - len(good),
        "share": {h: value for h, value in share.items() if value},
        "connect_ms": summary([p.connect_ms for p in good]),
        "ttfb_ms": summary([p.ttfb_ms for p in good]),
        "half_open": sum(net[h].half_open() for h in hosts),
        "carried": carried(net),
    }
    print(f"demo: {name(result)}: {len(good)} of {PAGES} pages, "
          f"{time.monotonic() - began:.0f} s", flush=True)
    return result


def carried(net):
    """The return modes of the flows that replicas have won since the last call."""
    if not kernel.loaded():
        return []
    replicas = {net.address[r, family] for r in net.replicas for family in (4, 6)}
    found = {f["return"] for f in net.wlb("cg").flows() if f["winner"] in replicas}
    net.wlb("cg").run("flow", "flush")
    return sorted(found)


def learn(net, family):
    """The race that shows who answers."""
    net.warm_up((family,))
    web.pages(net["c1"], net.address["s", family], 1)
    known = {net.address[r, family] for r in net.replicas}
    host.wait_until("the replicas are known", lambda: known <= {
        a["address"] for origin in net.wlb("cg").json("race", "learned")
        for a in origin["answerers"]})


def name(result):
    return f"{result['case']} {result['mode']} IPv{result['family']}"


def run_case(net, case, mode):
    race = CASES[case][0]
    if race == "direct":
        net.configure(race="raw", service={"race": race}, served={"return_": mode})
        for family in (4, 6):
            learn(net, family)
    elif race:
        net.configure(race=race, served={"return_": mode})
    if case == "equal-busy":
        net.wlb("r1").run("replica", "busy", "on")
    elif case == "equal-dead":
        net.link_down("r1", "core")
    results = [measure(net, case, mode, family) for family in (4, 6)]
    if case == "equal-busy":
        net.wlb("r1").run("replica", "busy", "off")
    elif case == "equal-dead":
        net.link_up("r1", "core")
    for result in results:
        result["predicted_ms"] = net.connect_ms(CASES[case][1], race)
    return results


def faults(result, zero):
    """What is wrong with one case, one sentence each."""
    _, winner, least = CASES[result["case"]]
    if result["failed"]:
        yield f"{result['failed']} pages failed"
    if round(result["share"].get(winner, 0) * PAGES) < least:
        yield f"{winner} served fewer than {least} of {PAGES} pages"
    modes = [result["mode"]] if winner.startswith("r") else []
    if result["carried"] != modes:
        yield f"flows came back by {result['carried']}, not by {modes}"
    if result["half_open"]:
        yield f"{result['half_open']} half-open sockets"
    if result["connect_ms"]:
        off = result["connect_ms"]["p50"] - result["predicted_ms"]
        if abs(off) > SLACK_MS + zero:
            yield (f"median connect time is {off:+.1f} ms off the prediction, "
                   f"{SLACK_MS + zero:.1f} are allowed")


def print_table(results, zero):
    form = "{:<11} {:<7} {:>3}  {:<14} {:>14} {:>9} {:>10} {:>14} {:>6} {:>9}"
    print()
    print(form.format("case", "return", "IP", "served by", "connect ms", "predicted", "zero-delay",
                      "first byte ms", "failed", "half-open"))
    print(form.format("", "", "", "% of pages", "median/p99", "ms", "median ms", "median/p99", "",
                      ""))
    for r in results:
        def pair(key):
            return f"{r[key]['p50']:.1f}/{r[key]['p99']:.1f}" if r[key] else "-"
        share = " ".join(f"{h} {100 * v:.0f}" for h, v in r["share"].items()) or "nobody"
        print(form.format(r["case"], r["mode"] if CASES[r["case"]][0] else "-",
                          f"v{r['family']}", share, pair("connect_ms"),
                          r.get("predicted_ms", "-"), f"{zero[r['family']]:.1f}", pair("ttfb_ms"),
                          r["failed"], r["half_open"]))
    print()
    print(WHY_RAW)
    print()


def main():
    if not host.in_lab():
        sys.exit("demo: run scripts/demo.sh; this part runs in its machine")
    began = time.monotonic()
    results = []
    with T0(clients=1) as net:
        net.build()
        net.own_origin()
        for case, mode in RUNS:
            if case != "off" and not kernel.loaded():
                kernel.load()
            results += run_case(net, case, mode)
        net.flatten()
        net.configure(race="equal")
        flat = [measure(net, "zero-delay", "nat", family) for family in (4, 6)]
    kernel.unload()
    zero = {r["family"]: r["connect_ms"]["p50"] if r["connect_ms"] else math.inf for r in flat}

    print_table(results, zero)
    wrong = [f"{name(r)}: {text}" for r in results for text in faults(r, zero[r["family"]])]
    wrong += [f"{name(r)}: {r['failed']} pages failed" for r in flat if r["failed"]]
    for text in wrong:
        print(f"demo: {text}")
    seconds = time.monotonic() - began
    print(f"demo: {'FAILED' if wrong else 'as predicted'}, {seconds:.0f} s", flush=True)
    (host.OUT / "demo.json").write_text(json.dumps({
        "cases": results, "zero_delay": flat, "wrong": wrong,
        "kernel": os.uname().release, "commit": os.environ.get("WLB_COMMIT", ""),
        "seconds": round(seconds, 1)}, indent=1) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
