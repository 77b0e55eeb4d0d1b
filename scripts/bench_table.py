#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: bench_table.py
Writes the tables of docs/benchmarks.md anew from build/results/bench.json, those of what was
measured."""

import json
import pathlib
import sys

REPO = pathlib.Path(__file__).resolve().parent.parent
DOC = REPO / "docs" / "benchmarks.md"
RESULTS = REPO / "build" / "results" / "bench.json"

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


def flow_table(rows):
    """Bytes, and instructions of what is done with each flow."""
    yield ("| what | IP | bytes a flow | goal | to make one by packets | put back | ended | "
           "others wait, at most |\n|---|---|---:|---:|---|---:|---:|---:|\n")
    for row in rows:
        goal = {4: "<= 64", 6: "<= 128"}[row["family"]] if row["name"] == "wlb" else ""
        made = ", ".join(f"{what} {cost}" for what, cost in row["instructions"].items())
        yield (f"| {row['name']} | {row['family']} | {row['bytes']} | {goal} | {made} | "
               f"{row.get('restored', '')} | {row.get('end', '')} | {row.get('pause', '')} |\n")


def written(text, name, lines):
    """text, with these lines between the marks of that name."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    if not after:
        sys.exit(f"bench_table: {DOC.name} has no place for {name}")
    return before + begin + "".join(lines) + end + after


def main():
    measured = json.loads(RESULTS.read_text(encoding="utf-8"))
    text = DOC.read_text(encoding="utf-8")
    kernel = f"Linux {measured['kernel']}.\n\n"
    for key, name, lines in (("packets", "figures", table), ("flows", "flows", flow_table)):
        if key in measured:
            text = written(text, name, [kernel, *lines(measured[key])])
    DOC.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
