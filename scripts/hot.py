#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: hot.py DIRECTORY
Instructions per packet by function, of what tests/bench/hot.c has written there."""

import bisect
import collections
import pathlib
import sys


def symbols(text):
    """Addresses and names of functions, ascending."""
    found = []
    for line in text.splitlines():
        address, kind, *name = line.split()
        if kind in "tTwW":
            found.append((int(address, 16), " ".join(name)))
    found.sort()
    return [a for a, _ in found], [n for _, n in found]


def main(directory):
    addresses, names = symbols((directory / "kallsyms").read_text(encoding="ascii"))
    count = int((directory / "profiled").read_text(encoding="ascii"))
    total = collections.Counter()
    for line in (directory / "blocks").read_text(encoding="ascii").splitlines():
        at, instructions, runs = (int(word, 0) for word in line.split())
        place = bisect.bisect(addresses, at) - 1
        if place >= 0:
            total[names[place]] += instructions * runs
    for name, instructions in total.most_common():
        if instructions >= count / 2:
            print(f"{instructions / count:8.0f}  {name}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__.partition("\n")[0])
    main(pathlib.Path(sys.argv[1]))
