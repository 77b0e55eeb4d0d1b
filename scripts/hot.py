#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage: hot.py DIRECTORY FORWARD
Instructions per packet by function, of what tests/bench/hot.c has written there, and how many
more than in the other directory, which comes first."""

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


def profile(directory):
    """{function: instructions per packet}"""
    addresses, names = symbols((directory / "kallsyms").read_text(encoding="ascii"))
    count = int((directory / "profiled").read_text(encoding="ascii"))
    total = collections.Counter()
    for line in (directory / "blocks").read_text(encoding="ascii").splitlines():
        at, instructions, runs = (int(word, 0) for word in line.split())
        place = bisect.bisect(addresses, at) - 1
        if place >= 0:
            total[names[place]] += instructions * runs / count
    return total


def main(directory, forward):
    here = profile(pathlib.Path(directory))
    there = profile(pathlib.Path(forward))
    added = {name: round(here[name] - there[name]) for name in here.keys() | there.keys()}
    for name, more in sorted(added.items(), key=lambda item: (-item[1], item[0])):
        if more or round(here[name]):
            print(f"{more:+8} {here[name]:8.0f}  {name}")
    print(f"{sum(added.values()):+8} {sum(here.values()):8.0f}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.partition("\n")[0])
    main(*sys.argv[1:])
