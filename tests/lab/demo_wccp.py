# SPDX-License-Identifier: GPL-2.0-only
"""A router with wlb-routerd, two caches that speak WCCP by hand, real pages: who serves how
many, and what happens when a cache falls silent and comes back. scripts/demo.sh runs this."""

import json
import os
import platform
import sys
import time

from wlblab import host, kernel, wccp
from wlblab.farm import ORIGINS, Farm
from wlblab.host import wait_until

ROUNDS = 4              # over all origins, by a new connection each
# The draft's timers, and the shortest that variable timers allow: T in seconds.
INTERVALS = (10, 0.5)


def pages(farm):
    """{who: pages}, and how many came from nobody."""
    served, failed = {}, 0
    for _ in range(ROUNDS):
        for origin in range(ORIGINS):
            try:
                who = farm.who(4, origin)
                served[who] = served.get(who, 0) + 1
            except OSError:
                failed += 1
    return served, failed


def owners(router):
    table = router.show(what="assignment")["table"]
    return [bucket and bucket["cache"] for bucket in table.get("buckets", [])]


def moved(before, after):
    return sum(a != b for a, b in zip(before, after))


def dealt(router, *addresses):
    """Seconds until all buckets are these caches', and nobody else's."""
    began = time.monotonic()

    def is_dealt():
        shares = router.shares()
        return set(shares) == set(addresses) and all(shares.values()) and \
            sum(shares.values()) == 256
    wait_until("the buckets are dealt", is_dealt, 120, 0.05)
    return time.monotonic() - began


def play(farm, interval):
    """One group from its beginning to its end."""
    router = wccp.Routerd(farm["r"])
    router.start({"service": "web-cache", "redirect_in": ["lan0"],
                  "group_list": ["10.2.0.0/24"]})
    address = {name: farm.caches[name][4] for name in ("k1", "k2")}
    name_of = {a: name for name, a in address.items()}

    def join(name):
        return wccp.Cache(farm[name], address[name], farm.router[name][4], interval=interval)
    caches = {name: join(name) for name in address}
    joined = dealt(router, *address.values())
    shares = router.shares()
    served, failed = pages(farm)
    both = owners(router)

    caches["k1"].stop()
    began = time.monotonic()
    wait_until("k1 is lost", lambda: address["k1"] not in router.shares(), 120, 0.05)
    detect = time.monotonic() - began
    meanwhile, more = pages(farm)
    failed += more
    dealt(router, address["k2"])
    recover = time.monotonic() - began
    alone, more = pages(farm)
    failed += more
    lost = moved(both, owners(router))

    before = owners(router)
    caches["k1"] = join("k1")
    back = dealt(router, *address.values())
    after = owners(router)
    for cache in caches.values():
        cache.stop()
    router.kill(15)
    straight, more = pages(farm)
    failed += more
    farm.reset()
    return {
        "interval_s": interval,
        "caches": [{"name": name_of[a], "pages": served.get(name_of[a], 0), "buckets": n}
                   for a, n in sorted(shares.items())],
        "failed": failed,
        "join_s": round(joined, 2), "detect_s": round(detect, 2),
        "recover_s": round(recover, 2), "back_s": round(back, 2),
        "moved_buckets": lost + moved(before, after),
        "moved_minimum": both.count(address["k1"]) + len(after) // 2,
        "pages_while_unassigned": meanwhile, "pages_of_one": alone, "pages_without": straight,
    }


def problems(run):
    """What is not as it must be."""
    interval = run["interval_s"]
    served = {cache["name"]: cache["pages"] for cache in run["caches"]}
    if run["failed"]:
        yield f"{run['failed']} pages failed"
    if not all(served.get(name) for name in ("k1", "k2")):
        yield f"pages of both caches were awaited, not {served}"
    # The last message may have come a whole interval before the silence began.
    if not 2 * interval - 0.5 <= run["detect_s"] <= 3 * interval + 1:
        yield f"silence was noticed after {run['detect_s']} s"
    # 1.5 T until the other cache deals, one T until it hears of the loss.
    if run["recover_s"] > run["detect_s"] + 4 * interval + 1:
        yield f"buckets were dealt anew after {run['recover_s']} s"
    if set(run["pages_while_unassigned"]) - {"k2", "s"}:
        yield f"after the loss {run['pages_while_unassigned']} served"
    if set(run["pages_of_one"]) != {"k2"} or set(run["pages_without"]) != {"s"}:
        yield "pages came from who should not serve any more"
    if run["moved_buckets"] != run["moved_minimum"]:
        yield f"{run['moved_buckets']} buckets moved"


def show(run):
    shares = ", ".join(f"{c['name']} {c['pages']} ({c['buckets']} buckets)" for c in run["caches"])
    print(f"{run['interval_s']:>5g} s  {run['join_s']:>7.1f} s  {shares:<42}"
          f"  {run['detect_s']:>6.1f} s  {run['recover_s']:>6.1f} s  {run['back_s']:>6.1f} s"
          f"  {run['moved_buckets']:>4} of {run['moved_minimum']}")


def main():
    if not host.in_lab():
        sys.exit("demo_wccp.py: only in a test machine: make demo-wccp")
    began = time.monotonic()
    kernel.load()
    runs = []
    print("WCCP version 2: wlb-routerd, two caches, pages of 8 servers through the module.\n"
          "messages every ... joined after ... pages of each cache; a cache falls silent: noticed "
          "and dealt anew after ...; it comes back: after ...; buckets moved (least possible)\n"
          "drafts: 10 s; noticed after 30 s, dealt 15 s after that", flush=True)
    with Farm().build() as farm:
        for interval in INTERVALS:
            runs.append(play(farm, interval))
            show(runs[-1])
    kernel.unload()
    found = [f"{run['interval_s']:g} s: {text}" for run in runs for text in problems(run)]
    for text in found:
        print(f"demo: {text}")
    out = os.environ.get("WLB_OUT", "/run/wlb/out")
    # Of the shortest timers, and the draft's beside.
    with open(os.path.join(out, "wccp.json"), "w", encoding="utf-8") as file:
        json.dump({"kernel": platform.release(), "commit": os.environ.get("WLB_COMMIT", ""),
                   "seconds": round(time.monotonic() - began, 1), **runs[-1],
                   "draft": runs[0]}, file, indent=1)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
