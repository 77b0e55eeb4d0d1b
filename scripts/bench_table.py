#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: bench_table.py [bench|flows|time|scaling|connections|control]...
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


def spread(figures, scale=1, form=".0f"):
    """Median, and from the least to the most."""
    p50, low, high = (format(scale * figures[key], form) for key in ("p50", "min", "max"))
    return f"{p50} | {low} - {high}"


def connection_lines(measured):
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


def control_lines(measured):
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


# The words between which a table is, and its lines.
TABLES = {"bench": ("figures", bench_lines), "flows": ("flows", flow_lines),
          "time": ("time", time_lines), "scaling": ("scaling", scaling_lines),
          "connections": ("connections", connection_lines),
          "control": ("control plane", control_lines)}


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
        if end not in rest:
            sys.exit(f"bench_table: {DOC.name} has no place for {mark}")
        text = before + begin + "".join(lines(measured)) + end + after
    DOC.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
