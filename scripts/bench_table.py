#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: bench_table.py
Writes the table of docs/benchmarks.md anew from build/results/bench.json."""

import json
import pathlib
import sys

REPO = pathlib.Path(__file__).resolve().parent.parent
DOC = REPO / "docs" / "benchmarks.md"
RESULTS = REPO / "build" / "results" / "bench.json"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"

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


def main():
    measured = json.loads(RESULTS.read_text(encoding="utf-8"))
    text = DOC.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        sys.exit(f"bench_table: {DOC.name} has no place for figures")
    lines = [f"Linux {measured['kernel']}.\n\n", *table(measured["packets"])]
    DOC.write_text(before + BEGIN + "".join(lines) + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
