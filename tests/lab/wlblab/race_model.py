# SPDX-License-Identifier: GPL-2.0-only
"""What can be had at best: how often the nearest of two replicas wins, by race mode, and how soon
the client is connected."""

import collections
import functools
import itertools
import math
import random
import statistics

# ms one way: from the client and from the origin to the core, which all are at, and from the
# nearest replica. The origin is so far that in race mode equal its answer is never first, and the
# nearest so far that jitter takes nothing that is not there: 4 of the largest sigma.
CLIENT, ORIGIN, NEAREST = 1, 60, 20
DELTAS, SIGMAS, LOSSES = (1, 2, 5, 10, 20), (0.5, 1, 2, 5), (0, 0.1, 1, 5)
RACES = ("raw", "equal", "direct")
GOALS = ("equal", "direct")
MODEL = 20000                   # connections of the model
RTT = 2 * (CLIENT + NEAREST)
Cell = collections.namedtuple("Cell", "delta sigma loss")
QUIET = Cell(5, 0, 0)           # what the path and the code take, and nothing else
GRID = [Cell(*c) for c in itertools.product(DELTAS, SIGMAS, LOSSES)]


def name(cell):
    return f"delta {cell.delta} ms, sigma {cell.sigma:g} ms, loss {cell.loss:g} %"


def limit(mode, cell):
    """Share of connections that the nearest can win. Both answers have two links, so their
    difference has a sigma of 2 sigma; direct compares round trips, which differ by 2 delta."""
    away = {"equal": cell.delta, "direct": 2 * cell.delta}.get(mode)
    if away is None:
        return 0.0
    nearer = statistics.NormalDist().cdf(away / (2 * cell.sigma or 1e-9))
    heard = (1 - cell.loss / 100) ** 2
    return heard * (heard * nearer + 1 - heard)


def answers(mode, cell, rng):
    """{who: ms until the client has the answer} of one connection, the model of the above."""
    out = CLIENT + ORIGIN                           # to the server's gateway
    far = ORIGIN + NEAREST + cell.delta             # D, what equal holds for
    all_ = {"s": 2 * out + (far if mode == "equal" else 0)}
    for i in range(2):
        near = NEAREST + i * cell.delta
        forth = {"raw": out + ORIGIN + near, "equal": out + far, "direct": CLIENT + near}[mode]
        if all(rng.random() >= cell.loss / 100 for _ in range(2)):
            all_[f"r{i + 1}"] = (forth + near + CLIENT + rng.gauss(0, cell.sigma) +
                                 rng.gauss(0, cell.sigma))
    return all_


@functools.cache
def model(mode, cell, seed):
    rng = random.Random(f"{seed} {mode} {cell}")
    races = [answers(mode, cell, rng) for _ in range(MODEL)]
    winners = [min(race, key=race.get) for race in races]
    return {"share": winners.count("r1") / MODEL,
            "regret_ms": statistics.fmean(regret(cell, who) for who in winners),
            "connect_ms": statistics.median(min(race.values()) for race in races)}


def off(mode, cell, seed):
    """The share that the model has above the formula's, if that is more than chance."""
    share = limit(mode, cell)
    more = model(mode, cell, seed)["share"] - share
    return more if abs(more) > 4.5 * math.sqrt(share * (1 - share) / MODEL) + 2e-4 else 0


def regret(cell, winner):
    """What the client's round trip to the winner is longer than to the nearest, ms."""
    return {"r1": 0, "r2": 2 * cell.delta, "s": 2 * (ORIGIN - NEAREST)}[winner]


def wilson(won, n, z=1.96):
    """Of a share, 95 %."""
    middle, half = won + z * z / 2, z * math.sqrt(won * (n - won) / n + z * z / 4)
    return [(middle - half) / (n + z * z), (middle + half) / (n + z * z)]
