#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: bench_table.py [connections|control]
Writes tables of docs/benchmarks.md anew from build/results: those of packets, bench.json, or of
connections.json or control.json."""

import json
import pathlib
import sys

REPO = pathlib.Path(__file__).resolve().parent.parent
DOC = REPO / "docs" / "benchmarks.md"
RESULTS = REPO / "build" / "results"

# Instructions over forwarding, at most: what this project set out to reach, for IPv4.
GOALS = {
    "no role, module loaded": 0, "no service, client gateway on": 210,
    "nat, client -> replica": 550, "nat, replica -> client": 450,
    "spoof, client -> replica": 550, "spoof, replica -> client": 210,
    "tunnel, client -> replica": 900, "tunnel, replica -> client": 450,
    "nat, client -> replica, fast path": -500, "nat, replica -> client, fast path": -450,
    "spoof, client -> replica, fast path": -500,
    "tunnel, client -> replica, fast path": -300, "tunnel, replica -> client, fast path": -300,
    "SYN, tagged, new entry": 1500, "winning answer": 900, "losing answer and its reset": 1500,
    "WCCP hash, GRE": -350, "WCCP hash, L2": -500,
}
# A difference as small as this is the timer's.
NOISE = 20


def verdict(row):
    goal = GOALS.get(row["name"])
    if goal is None or row["family"] != 4 or row["flows"] == 1000000:
        return "", ""
    return f"{goal:+}", "yes" if row["added"] <= goal + NOISE else "**no**"


def table(rows):
    yield "| row | IP | flows | instructions | over forwarding | goal | met |\n"
    yield "|---|---|---:|---:|---:|---:|---|\n"
    for row in rows:
        goal, met = verdict(row)
        yield (f"| {row['name']} | {row['family']} | {row['flows']} | {row['instructions']} | "
               f"{row['added']:+} | {goal} | {met} |\n")


def packets(measured):
    yield f"Linux {measured['kernel']}.\n\n"
    yield from table(measured["packets"])


def spread(figures, scale=1, form=".0f"):
    """Median, and from the least to the most."""
    p50, low, high = (format(scale * figures[key], form) for key in ("p50", "min", "max"))
    return f"{p50} | {low} - {high}"


def connections(measured):
    yield (f"Linux {measured['kernel']}, {measured['connections']} connections, "
           f"{measured['parallel']} at a time; {measured['rows'][0]['rounds']} rounds. "
           f"{measured['seconds']} s of the machine that it ran on.\n\n")
    yield ("| way | connections a second, median | least - most | of plain forwarding's, % | "
           "least - most |\n|---|---:|---:|---:|---:|\n")
    for row in measured["rows"]:
        yield (f"| {row['way']} | {spread(row['per_second'])} | "
               f"{spread(row['of_plain'], 100, '.1f')} |\n")
    yield ("\n| in a flood, way | SYNs a second | connections a second, median | least - most | "
           "of plain forwarding's without, % | least - most | flows then | cookies of s, r1 |\n"
           "|---|---:|---:|---:|---:|---:|---:|---:|\n")
    for row in measured["flooded"]:
        yield (f"| {row['way']} | {row['flood_per_second']:.0f} | {spread(row['per_second'])} | "
               f"{spread(row['of_plain'], 100, '.1f')} | "
               f"{'' if row['flows'] is None else format(row['flows'], '.0f')} | "
               f"{row['cookies']['s']:.0f}, {row['cookies']['r1']:.0f} |\n")


def control(measured):
    yield (f"Linux {measured['kernel']}. "
           f"{measured['seconds']} s of the machine that it ran on.\n\n")
    if measured.get("routerd"):
        yield ("| groups | all usable after, s | processor until then, s | HERE_I_AM a second | "
               "processor, % | us each | RSS, idle, MB | RSS, MB | `wccp show`, s |\n"
               "|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
    for row in measured.get("routerd", ()):
        yield (f"| {row['groups']} | {row['usable_s']:.1f} | {row['usable_cpu_s']:.2f} | "
               f"{row['heard_per_second']:.1f} | {100 * row['steady_cpu']:.2f} | "
               f"{row['cpu_us_per_message']:.0f} | {row['idle_rss_kb'] / 1024:.1f} | "
               f"{row['peak_rss_kb'] / 1024:.1f} | {row['show_s']:.2f} |\n")
    head = ("seconds | user, s | system, s | largest RSS, MB | output, MB |\n"
            "|---|---:|---:|---:|---:|---:|---:|\n")

    def command(row):
        return (f"{row['seconds']:.3f} | {row['user_s']:.3f} | {row['sys_s']:.3f} | "
                f"{row['peak_rss_kb'] / 1024:.1f} | {row['bytes'] / 1e6:.1f} |\n")
    if measured.get("flows"):
        yield f"\n| command | flows | {head}"
    for row in measured.get("flows", ()):
        yield f"| `{row['command']}` | {row['flows']} | {command(row)}"
    if measured.get("apply"):
        yield f"\n| `wlbctl apply` and `service list` | services | {head}"
    for row in measured.get("apply", ()):
        yield f"| {row['what']} | {row['services']} | {command(row)}"


# What is asked for: its results, the words around its place, its lines.
TABLES = {"packets": ("bench.json", "figures", packets),
          "connections": ("connections.json", "connections", connections),
          "control": ("control.json", "control plane", control)}


def main():
    if len(sys.argv) > 2 or sys.argv[1:] not in ([], ["connections"], ["control"]):
        sys.exit(__doc__.partition("\n")[0])
    name, words, lines = TABLES[sys.argv[1] if len(sys.argv) > 1 else "packets"]
    begin, end = f"<!-- {words} -->\n", f"<!-- end of {words} -->\n"
    measured = json.loads((RESULTS / name).read_text(encoding="utf-8"))
    text = DOC.read_text(encoding="utf-8")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    if not rest or end not in rest:
        sys.exit(f"bench_table: {DOC.name} has no place for {words}")
    DOC.write_text(before + begin + "".join(lines(measured)) + end + after, encoding="utf-8")


if __name__ == "__main__":
    main()
