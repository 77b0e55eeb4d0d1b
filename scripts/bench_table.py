#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: bench_table.py [bench|flows|time|scaling]...
Writes tables of docs/benchmarks.md anew, each from its file in build/results; without a word that
of bench."""

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


def bench_lines(measured):
    yield f"Linux {measured['kernel']}.\n\n"
    yield "| row | IP | flows | instructions | over forwarding | goal | met |\n"
    yield "|---|---|---:|---:|---:|---:|---|\n"
    for row in measured["packets"]:
        goal, met = verdict(row)
        yield (f"| {row['name']} | {row['family']} | {row['flows']} | {row['instructions']} | "
               f"{row['added']:+} | {goal} | {met} |\n")


def flow_lines(measured):
    """Bytes, and instructions of what is done with each flow."""
    yield f"Linux {measured['kernel']}.\n\n"
    yield ("| what | IP | bytes a flow | goal | to make one by packets | put back | ended | "
           "others wait, at most |\n|---|---|---:|---:|---|---:|---:|---:|\n")
    for row in measured["flows"]:
        goal = {4: "<= 64", 6: "<= 128"}[row["family"]] if row["name"] == "wlb" else ""
        made = ", ".join(f"{what} {cost}" for what, cost in row["instructions"].items())
        yield (f"| {row['name']} | {row['family']} | {row['bytes']} | {goal} | {made} | "
               f"{row.get('restored', '')} | {row.get('end', '')} | {row.get('pause', '')} |\n")


def median(figures, form):
    return f"{figures['median']:{form}} | {figures['q1']:{form}} to {figures['q3']:{form}}"


def time_lines(measured):
    yield f"Linux {measured['kernel']}, {measured['rounds']} rounds.\n\n"
    yield ("| row | IP | flows | ns | quartiles | over forwarding | quartiles | of forwarding | "
           "quartiles |\n|---|---|---:|---:|---:|---:|---:|---:|---:|\n")
    for row in measured["rows"]:
        yield (f"| {row['name']} | {row['family']} | {row['flows']} | "
               f"{median(row['ns'], '.0f')} | "
               f"{median(row['added'], '+.0f')} | {median(row['ratio'], '.2f')} |\n")


def rate_lines(measured):
    yield f"Linux {measured['kernel']}, {measured['rounds']} rounds.\n\n"
    yield ("| row | IP | packets/s of one | two : one | quartiles | of forwarding's | quartiles | "
           "rounds left out |\n|---|---|---:|---:|---:|---:|---:|---:|\n")
    for row in measured["rows"]:
        beside = median(row["to_forward"], ".2f") if "to_forward" in row else " | "
        yield (f"| {row['name']} | {row['family']} | {row['one']['median']:.0f} | "
               f"{median(row['ratio'], '.2f')} | {beside} | {row['left_out']} |\n")
    yield "\n"


def shared_lines(measured):
    yield ("| row | IP | shared lines written | beside forwarding | written for each packet by |\n"
           "|---|---|---:|---:|---|\n")
    for row in measured["shared"]:
        by = sorted({user["function"] for line in row["lines"] for user in line["users"]
                     if user["writes"]})
        yield (f"| {row['name']} | {row['family']} | {len(row['lines'])} | {row['more']:+} | "
               f"{', '.join(f'`{name}`' for name in by)} |\n")


def scaling_lines(measured):
    """Either half may have been measured alone."""
    if "rows" in measured:
        yield from rate_lines(measured)
    if "shared" in measured:
        yield from shared_lines(measured)


# The words between which a table is, and its lines.
TABLES = {"bench": ("figures", bench_lines), "flows": ("flows", flow_lines),
          "time": ("time", time_lines), "scaling": ("scaling", scaling_lines)}


def main():
    text = DOC.read_text(encoding="utf-8")
    for name in sys.argv[1:] or ["bench"]:
        if name not in TABLES:
            sys.exit(__doc__.partition("\n")[0])
        mark, lines = TABLES[name]
        begin, end = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->\n"
        measured = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        if not after:
            sys.exit(f"bench_table: {DOC.name} has no place for {mark}")
        text = before + begin + "".join(lines(measured)) + end + after
    DOC.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
