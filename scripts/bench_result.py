#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: bench_result.py
Puts what the parts of the benchmarks have measured (bench.json's packets, time.json, flows.json,
connections.json), those of them that there are, into build/results/bench.json by short names of
paths, so that a script can compare two runs. Each part says of which commit it is."""

import json
import re
import sys

import result

# What follows from no rule below.
PATHS = {"no service, client gateway on": "other", "no role, module loaded": "idle",
         "SYN, tagged, new entry": "syn", "winning answer": "answer-win",
         "losing answer and its reset": "answer-lose", "WCCP hash, GRE": "wccp-gre",
         "WCCP hash, L2": "wccp-l2"}
SHORT = (("nft DNAT and flowtable", "nft-flowtable"), ("IPVS tunnel", "ipvs-tun"),
         ("SYN cloned to ", "clone-"), (", client -> server", ""), (", server -> client", "-rev"),
         (", client -> replica", "-fwd"), (", replica -> client", "-rev"),
         (", fast path", "-fast"))


def path(name):
    """nat-fwd-fast of "nat, client -> replica, fast path"."""
    if name in PATHS:
        return PATHS[name]
    for long, short in SHORT:
        name = name.replace(long, short)
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def insns(part):
    return [{"path": path(p["name"]), "family": p["family"], "flows": p["flows"],
             "insns": p["instructions"], "added": p["added"]} for p in part.get("packets", ())]


def nanoseconds(part):
    return [{"path": path(r["name"]), "family": r["family"], "flows": r["flows"],
             "p50": r["ns"]["median"], "q1": r["ns"]["q1"], "q3": r["ns"]["q3"],
             "ratio": r["ratio"]["median"]} for r in part["rows"]]


def bytes_per_flow(part):
    got = {}
    for row in part["flows"]:
        if row["name"] == "wlb":
            got[str(row["family"])] = row["bytes"]
        else:
            got[path(row["name"])] = row["bytes"]
    return got


def connections(part):
    return {row["way"] + (f", {row['rate']} SYNs a second" if row["rate"] else ""):
            row["per_second"]["p50"] for row in part["rows"] + part["flooded"]}


# {key of bench.json: (whose figures, how)}
PARTS = {"insns": ("bench.json", insns), "ns": ("time.json", nanoseconds),
         "bytes_per_flow": ("flows.json", bytes_per_flow),
         "cps": ("connections.json", connections)}


def main():
    if sys.argv[1:]:
        sys.exit(__doc__.partition("\n")[0])
    figures, commits = {}, {}
    for key, (file, take) in PARTS.items():
        found = result.RESULTS / file
        if found.exists():
            part = json.loads(found.read_text(encoding="utf-8"))
            if got := take(part):
                figures[key], commits[key] = got, part.get("commit", "")
    result.add("bench.json", {**figures, "commits": commits})


if __name__ == "__main__":
    main()
