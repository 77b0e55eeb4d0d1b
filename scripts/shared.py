#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: shared.py DIRECTORY
Cache lines that two processors use and one of them writes, of what tests/bench/shared.c has
written there: how often for each packet, and by which functions. Writes shared.json there; status
1 if carrying has more such lines than plain forwarding, or if none was found where there is one
for sure."""

import bisect
import collections
import json
import pathlib
import sys

from hot import symbols

# Of a packet: what each packet of one processor writes is 0.5 of all packets. What is less often is
# a timer's, which come more often to each packet where the emulation is slow.
RARE = 0.25


def read(directory):
    """{run: {line: [(processor, function, offset in the line, reads, writes), ...]}}"""
    addresses, names = symbols((directory / "kallsyms").read_text(encoding="ascii"))
    runs = collections.defaultdict(lambda: collections.defaultdict(list))
    for text in (directory / "lines").read_text(encoding="ascii").splitlines():
        run, cpu, line, at, offset, reads, writes = (int(word, 0) for word in text.split())
        name = names[bisect.bisect(addresses, at) - 1]
        runs[run][line].append((cpu, name, offset, reads, writes))
    return runs


def described(uses, packets):
    """A line that is written often enough, or None."""
    writes = sum(use[4] for use in uses) / packets
    if writes < RARE:
        return None
    by = collections.defaultdict(lambda: [0, 0])
    for _, name, offset, reads, written in uses:
        of = by[name, offset]
        of[0] += reads
        of[1] += written
    users = [{"function": name, "offset": offset, "reads": round(r / packets, 2),
              "writes": round(w / packets, 2)} for (name, offset), (r, w) in sorted(by.items())
             if (r + w) / packets >= RARE]
    return {"writes": round(writes, 2), "reads": round(sum(u[3] for u in uses) / packets, 2),
            "users": users}


def main(directory):
    runs = read(directory)
    rows, bad, plain = [], 0, {}
    for number, row in enumerate(json.loads((directory / "runs.json").read_text("utf-8"))):
        lines = [described(uses, 2 * row["count"]) for uses in runs[number].values()]
        lines = sorted(filter(None, lines), key=lambda line: -line["writes"])
        plain[row["name"], row["family"]] = len(lines)
        more = len(lines) - plain.get((row["base"], row["family"]), 0) if row["base"] else 0
        bad += not lines if row["control"] else more > 0
        rows.append({**row, "seen": len(runs[number]), "lines": lines, "more": more})
        print(f"{row['name']}, IPv{row['family']}: {len(lines)} shared lines are written for each "
              "packet" + (f", {more:+} beside forwarding" if row["base"] else "") +
              f"; {len(runs[number])} once in a while")
        for line in lines:
            print(f"    {line['writes']:6.2f} writes, {line['reads']:6.2f} reads: " + ", ".join(
                f"{u['function']} +{u['offset']} {u['reads']:g}r {u['writes']:g}w"
                for u in line["users"]))
    (directory / "shared.json").write_text(json.dumps({"shared": rows}, indent=1),
                                           encoding="utf-8")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__.partition("\n")[0])
    main(pathlib.Path(sys.argv[1]))
