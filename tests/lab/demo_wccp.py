# SPDX-License-Identifier: GPL-2.0-only
"""Two routers with wlb-routerd and three caches with wlb-cached: Squid, nginx and HAProxy, each
as Debian ships it, while 50 clients fetch pages. Caches are killed, fall silent, are drained,
added and overloaded. scripts/demo.sh runs this."""

import collections
import json
import os
import platform
import subprocess
import sys
import time

from wlblab import host, kernel, proxies, site, wccp
from wlblab.cached import Cached
from wlblab.host import wait_until

# The draft's timers, and the shortest that variable timers allow: T in seconds.
INTERVALS = (10, 0.5)
CLIENTS = 25            # behind each router
WEIGHTS = {"k1": 100, "k2": 200, "k3": 100}
KINDS = {"k1": proxies.Squid, "k2": proxies.Nginx, "k3": proxies.Haproxy}
PROBE = {"http": f"http://127.0.0.1:{proxies.PROBE}/", "interval": "500ms", "timeout": "500ms",
         "rise": 2, "fall": 2}

# Each thread is a client that has a page from one server after the other, for ever: a line of
# when, how long, whose proxy, what was wrong, when it was connected and the server; and whose
# file it is.
_FETCH = """
import json, socket, sys, threading, time
origins, clients, pause = json.loads(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
def page(server):
    began = time.monotonic()
    who, wrong, data, connected = "", "", b"", None
    try:
        with socket.create_connection((server, 80), timeout=8) as sock:
            connected = time.monotonic()
            sock.sendall(f"GET / HTTP/1.1\\r\\nHost: {server}\\r\\nConnection: close\\r\\n\\r\\n"
                         .encode())
            while more := sock.recv(65536):
                data += more
        head, _, body = data.partition(b"\\r\\n\\r\\n")
        for line in head.decode().splitlines():
            if line.lower().startswith("x-proxy: "):
                who = line.split(": ")[1]
        if not head.startswith(b"HTTP/1.1 200 ") or b"s" not in body:
            wrong = "status: " + head[:40].decode(errors="replace")
    except OSError as error:
        wrong = type(error).__name__
    print(json.dumps([began, time.monotonic() - began, who or "s", wrong, connected,
                      server]), flush=True)
def client(n):
    while True:
        page(origins[n % len(origins)])
        n += 1
        time.sleep(pause)
for n in range(clients):
    threading.Thread(target=client, args=(n,), daemon=True).start()
    time.sleep(pause / clients)
sys.stdin.read()
"""


class Clients:
    """Fetch from when they are made until they are stopped."""

    def __init__(self, net):
        self.net = net
        self.files = []
        self.children = []
        for name in net.clients:
            self.files.append(open(f"/run/wlb/{name}-pages", "w+", encoding="utf-8"))
            self.children.append(net[name].spawn(
                sys.executable, "-c", _FETCH, json.dumps(net.origins[4]), str(CLIENTS), "1",
                stdin=subprocess.PIPE, stdout=self.files[-1]))
        self.pages = []

    def stop(self):
        for child in self.children:
            child.stdin.close()
            child.wait(30)
        for file, name in zip(self.files, self.net.clients):
            file.seek(0)
            self.pages += [[*json.loads(line), name] for line in file if line.endswith("\n")]
            file.close()

    def between(self, begin, end):
        return [page for page in self.pages if begin <= page[0] < end]


class Play:
    """One group of both routers from its beginning to its end."""

    def __init__(self, net, interval):
        self.net, self.interval = net, interval
        self.address = {name: net.caches[name][4] for name in site.CACHES}
        self.routers = {name: wccp.Routerd(net[name]) for name in site.ROUTERS}
        self.caches = {name: Cached(net[name]) for name in site.CACHES}
        self.proxies = {}
        self.killed = []        # (when, whose proxy)
        self.steps = []

    def group(self, name, **keys):
        return {"service": "web-cache", "address": self.address[name], "weight": WEIGHTS[name],
                "routers": [a[4] for a in self.net.routers.values()],
                "interval": f"{round(self.interval * 1000)}ms", "probe": PROBE,
                "deliver": KINDS[name].deliver, **keys}

    def join(self, name):
        self.caches[name].start(self.group(name))

    def owners(self):
        table = self.routers["r1"].show(what="assignment")["table"]
        return [bucket and bucket["cache"] for bucket in table.get("buckets", [])]

    def dealt(self, *names):
        """Waits until these and no others have all buckets at both routers."""
        wanted = {self.address[name] for name in names}

        def is_dealt():
            for router in self.routers.values():
                shares = router.shares()
                if shares.keys() != wanted or not all(shares.values()) or \
                        sum(shares.values()) != 256:
                    return False
            return True
        wait_until(f"{names} have all buckets", is_dealt, 150, 0.2)

    def gone(self, name):
        wait_until(f"{name} is out", lambda: all(
            self.address[name] not in router.shares() for router in self.routers.values()),
            150, 0.1)

    def step(self, what, act, left, out=None):
        """Does something to one cache; how soon routers notice, until all is dealt anew, and
        how many buckets move."""
        before = self.owners()
        began = time.monotonic()
        act()
        noticed = None
        if out:
            self.gone(out)
            noticed = round(time.monotonic() - began, 1)
        self.dealt(*left)
        took = time.monotonic() - began
        after = self.owners()
        moved = sum(a != b for a, b in zip(before, after))
        # Weights say what each must have in the end; who has more gives, who has less takes.
        counts = collections.Counter(before)
        total = sum(WEIGHTS[name] for name in left)
        orphans = 256 - sum(counts[self.address[name]] for name in left)
        least = max(orphans, sum(max(0, 256 * WEIGHTS[name] // total - counts[self.address[name]])
                                 for name in left))
        self.steps.append({"step": what, "noticed_s": noticed, "dealt_s": round(took, 1),
                           "moved": moved, "least": least, "began": began,
                           "ended": time.monotonic()})
        time.sleep(3)           # for pages to be fetched

    def kill(self, name, daemon=False):
        self.killed.append((time.monotonic(), name))
        if daemon:
            self.caches[name].kill()
        self.proxies[name].stop()

    def revive(self, name, daemon=False):
        self.proxies[name].start()
        if daemon:
            self.caches[name].start()

    def run(self):
        for router in self.routers.values():
            router.start({"service": "web-cache", "redirect_in": ["lan0"], "drain": "2m",
                          "group_list": ["10.2.0.0/24"]})
        self.proxies = {name: kind(self.net[name]) for name, kind in KINDS.items()}
        clients = Clients(self.net)
        began = time.monotonic()
        for name in reversed(site.CACHES):
            self.join(name)
        self.dealt(*site.CACHES)
        joined = round(time.monotonic() - began, 1)
        shares = {name: self.routers["r1"].shares()[a] for name, a in self.address.items()}
        time.sleep(5)
        self.step("k3's proxy is killed", lambda: self.kill("k3"), ("k1", "k2"), "k3")
        self.step("and comes back", lambda: self.revive("k3"), site.CACHES)
        self.step("k2 is drained", lambda: self.caches["k2"].ctl.run("cache", "drain"),
                  ("k1", "k3"), "k2")
        self.step("and added again", lambda: self.caches["k2"].ctl.run("cache", "resume"),
                  site.CACHES)
        self.step("k1's host falls silent", lambda: self.kill("k1", True), ("k2", "k3"), "k1")
        self.step("and comes back", lambda: self.revive("k1", True), site.CACHES)
        overload = self.overload()
        clients.stop()
        return self.result(clients, joined, shares, overload)

    def overload(self):
        """k3 is told that it has enough: (when, share that it returns)."""
        cache = self.caches["k3"]
        in_use = int(self.net["k3"].out("cat", "/proc/net/sockstat").split("inuse ")[1].split()[0])
        cache.configure(self.group("k3"), overload={"connections": max(1, in_use)})
        began = time.monotonic()
        cache.ctl.run("cache", "reload")
        returned = []
        while time.monotonic() < began + 10:
            returned.append(cache.about()["returned-share"])
            time.sleep(1)
        cache.configure(self.group("k3"))
        cache.ctl.run("cache", "reload")
        return {"began": began, "ended": time.monotonic(), "returned": max(returned)}

    def result(self, clients, joined, shares, overload):
        for cache in self.caches.values():
            cache.stop()
        for router in self.routers.values():
            router.kill(15)
        for proxy in self.proxies.values():
            proxy.stop()
        failed = [page for page in clients.pages if page[3]]
        open_then = [page for page in failed if self.was_open(page)]
        faults = [self.fault(page) for page in failed if page not in open_then][:10]
        for step in self.steps:
            step["pages"] = dict(sorted(collections.Counter(
                page[2] for page in clients.between(step["began"], step["ended"])).items()))
            step["took_s"] = round(step.pop("ended") - step.pop("began"), 1)
        busy = collections.Counter(page[2] for page in clients.between(overload.pop("began"),
                                                                       overload.pop("ended")))
        return {"interval_s": self.interval, "join_s": joined, "weights": WEIGHTS,
                "buckets": shares, "steps": self.steps,
                "overload": {**overload, "pages": dict(sorted(busy.items()))},
                "pages": len(clients.pages), "failed": len(failed) - len(open_then),
                "failed_open_at_kill": len(open_then),
                "faults": faults}

    def fault(self, page):
        """When and where a page failed, and how far it had come."""
        began, took, _, wrong, connected, server, client = page
        step = [step for step in self.steps if step["began"] <= began][-1:]
        return {"wrong": wrong, "took_s": round(took, 1), "connected": bool(connected),
                "client": client, "server": server,
                "during": step[0]["step"] if step else "joining",
                "after_s": round(began - step[0]["began"], 1) if step else None}

    def was_open(self, page):
        """Its connection was made before a proxy was killed, and was still there."""
        began, took, _, _, connected, _, _ = page
        return any(connected and connected <= when + 0.1 and when <= began + took + 0.1
                   for when, _ in self.killed)


def problems(run):
    """What is not as it must be."""
    interval = run["interval_s"]
    total = sum(WEIGHTS.values())
    for name, buckets in run["buckets"].items():
        if abs(buckets - 256 * WEIGHTS[name] / total) > 1:
            yield f"{name} has {buckets} buckets for weight {WEIGHTS[name]} of {total}"
    if run["failed"]:
        yield f"{run['failed']} pages failed: {run['faults']}"
    if not run["pages"]:
        yield "no page was fetched"
    for step in run["steps"]:
        if step["moved"] > step["least"] + 2:       # weights need not divide 256
            yield f"{step['step']}: {step['moved']} buckets moved, {step['least']} must"
    killed, _, drained, _, silent, _ = run["steps"]
    # A dead proxy is told of; a silent host is noticed after three intervals.
    if killed["noticed_s"] > 4 or drained["noticed_s"] > 2:
        yield f"noticed after {killed['noticed_s']} and {drained['noticed_s']} s"
    if not 2 * interval - 0.5 <= silent["noticed_s"] <= 3 * interval + 2:
        yield f"silence was noticed after {silent['noticed_s']} s"
    if not run["overload"]["returned"] or not run["overload"]["pages"].get("s"):
        yield "nothing was returned under overload"


def show(run):
    shares = ", ".join(f"{name} {n} for {WEIGHTS[name]}" for name, n in run["buckets"].items())
    print(f"T = {run['interval_s']:g} s: joined after {run['join_s']} s; buckets: {shares}")
    for step in run["steps"]:
        noticed = "" if step["noticed_s"] is None else f"out after {step['noticed_s']} s, "
        pages = ", ".join(f"{who} {n}" for who, n in step["pages"].items())
        print(f"  {step['step']:<24}{noticed:<18}dealt after {step['dealt_s']:>5} s, "
              f"{step['moved']:>3} buckets moved ({step['least']} must); pages: {pages}")
    over = run["overload"]
    pages = ", ".join(f"{who} {n}" for who, n in over["pages"].items())
    print(f"  k3 is overloaded        returned up to {over['returned']:.0%} of what is new; "
          f"pages: {pages}")
    print(f"  {run['pages']} pages, {run['failed']} failed, and {run['failed_open_at_kill']} "
          "that were open at a proxy that was killed", flush=True)


def main():
    if not host.in_lab():
        sys.exit("demo_wccp.py: only in a test machine: make demo-wccp")
    began = time.monotonic()
    kernel.load()
    # The counted clock does not wait for a module's file.
    subprocess.run(["modprobe", "-aq", "veth", "bridge", "nf_tables", "nft_ct", "nft_tproxy",
                    "nft_redir", "nft_chain_nat"], check=True)
    runs = []
    print("WCCP version 2: two routers with wlb-routerd; k1 Squid, k2 nginx, k3 HAProxy, each "
          f"with wlb-cached; {2 * CLIENTS} clients.\nPages of proxies by name, s: of the server "
          "itself. T: interval of the messages.", flush=True)
    with site.Site().build() as net:
        for interval in INTERVALS:
            runs.append(Play(net, interval).run())
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
